/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the fuzz targets share: foreign bytes taken piece by piece, and as a file. */
#ifndef CULPRIT_FUZZ_H
#define CULPRIT_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* libFuzzer's entry point. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t left;
};

/* Fills len bytes; those beyond the end are 0. */
static inline void take(struct input *in, void *to, size_t len)
{
	size_t n = len < in->left ? len : in->left;

	memset(to, 0, len);
	memcpy(to, in->p, n);
	in->p += n;
	in->left -= n;
}

static inline uint64_t take_u64(struct input *in)
{
	uint64_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline uint8_t take_u8(struct input *in)
{
	uint8_t v;

	take(in, &v, sizeof(v));
	return v;
}

/* A number of a few values for the most part, so that two of them are often the same; any in one of 32. */
static inline uint64_t take_small(struct input *in)
{
	uint8_t v = take_u8(in);

	return v >> 3 ? v & 7 : take_u64(in);
}

/* Bytes as a NUL-terminated string; for free(). */
static inline char *text_of(const uint8_t *data, size_t size)
{
	char *s = malloc(size + 1);

	if (!s)
		abort();
	memcpy(s, data, size);
	s[size] = '\0';
	return s;
}

/* A file of these bytes, by the name /proc/self/fd/N. Returns its descriptor, to be closed. */
static inline int file_of(const uint8_t *data, size_t size, char path[32])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

#endif
