// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Writes a vmlinux.h of some types of a kernel: those named, each with what stands in it by value; of what it
 * only points to, a declaration. A name is that of a struct, union, enum, typedef, or of a constant of an
 * enum that has no name. usage: btf-header KERNEL < NAMES > vmlinux.h     KERNEL: a BTF file, or an
 * uncompressed kernel image of arm64, which holds one
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(void *ctx, const char *format, va_list args)
{
	vprintf(format, args);
}

/* Is this enum the home of constant `name`? */
static bool has_constant(const struct btf *btf, const struct btf_type *t, const char *name)
{
	for (int i = 0; (btf_is_enum(t) || btf_is_enum64(t)) && i < btf_vlen(t); i++) {
		__u32 off = btf_is_enum(t) ? btf_enum(t)[i].name_off : btf_enum64(t)[i].name_off;

		if (!strcmp(btf__name_by_offset(btf, off), name))
			return true;
	}
	return false;
}

/* All types of that name: a kernel may have several that differ. Number of those written. */
static int dump_named(struct btf_dump *d, const struct btf *btf, const char *name)
{
	int n = 0;

	for (__u32 id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		bool named = btf_is_composite(t) || btf_is_any_enum(t) || btf_is_typedef(t);
		const char *own = btf__name_by_offset(btf, t->name_off);

		if ((!named || strcmp(own, name) != 0) && !(named && !*own && has_constant(btf, t, name)))
			continue;
		if (btf_dump__dump_type(d, id))
			return -1;
		n++;
	}
	return n;
}

/* The section .BTF lies in the image as it is: its header, then types and strings (include/uapi/linux/btf.h).
 */
static struct btf *btf_of_image(const char *path)
{
	static const unsigned char magic[] = {0x9f, 0xeb, 1, 0, sizeof(struct btf_header), 0, 0, 0};
	FILE *f = fopen(path, "rb");
	struct btf *btf = NULL;
	char *image = NULL;
	long size = 0;

	if (f && !fseek(f, 0, SEEK_END))
		size = ftell(f);
	if (size > 0 && !fseek(f, 0, SEEK_SET))
		image = malloc((size_t)size);
	if (image && fread(image, 1, (size_t)size, f) != (size_t)size)
		size = 0;
	for (long at = 0; image && !btf && at + (long)sizeof(struct btf_header) <= size; at += 4) {
		struct btf_header h;

		if (memcmp(image + at, magic, sizeof(magic)) != 0)
			continue;
		memcpy(&h, image + at, sizeof(h));
		if ((unsigned long)h.hdr_len + h.str_off + h.str_len <= (unsigned long)(size - at))
			btf = btf__new(image + at, h.hdr_len + h.str_off + h.str_len);
	}
	free(image);
	if (f)
		fclose(f);
	return btf;
}

int main(int argc, char **argv)
{
	struct btf_dump *d;
	struct btf *btf;
	char name[256];
	__u32 size;
	int rc = 0;

	if (argc == 4 && !strcmp(argv[1], "--btf")) { /* the image's BTF as a file */
		btf = btf_of_image(argv[2]);
		const void *data = btf ? btf__raw_data(btf, &size) : NULL;
		FILE *f = data ? fopen(argv[3], "wb") : NULL;

		return !f || fwrite(data, 1, size, f) != size || fclose(f);
	}
	if (argc != 2) {
		fprintf(stderr, "usage: btf-header KERNEL < NAMES > vmlinux.h\n       btf-header --btf "
				"KERNEL FILE\n");
		return 2;
	}
	btf = btf__parse(argv[1], NULL);
	btf = btf ? btf : btf_of_image(argv[1]);
	d = btf ? btf_dump__new(btf, print, NULL, NULL) : NULL;
	if (!d) {
		fprintf(stderr, "btf-header: %s: no kernel types in it: %s\n", argv[1], strerror(errno));
		return 1;
	}
	printf("#ifndef __VMLINUX_H__\n#define __VMLINUX_H__\n\n#pragma clang attribute push "
	       "(__attribute__((preserve_access_index)), "
	       "apply_to = record)\n\n");
	while (!rc && scanf("%255s", name) == 1) {
		int n = dump_named(d, btf, name);

		if (n < 0) {
			fprintf(stderr, "btf-header: cannot write %s\n", name);
			rc = 1;
		}
	}
	printf("#pragma clang attribute pop\n\n#endif\n");
	btf_dump__free(d);
	btf__free(btf);
	return rc;
}
