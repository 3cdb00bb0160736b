/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the parts of the reader of profiles. */
#ifndef CULPRIT_PROFILE_READ_PRIV_H
#define CULPRIT_PROFILE_READ_PRIV_H

#include "profile/image.h"
#include "util/err.h"

struct reader {
	struct image im;
	const char *name; /* for messages */
	const char *text, *end;
	const char *p;	  /* where it is */
	const char *line; /* start of that line */
	unsigned line_no;
	struct err *err;
	int depth; /* levels that are open */
	/* scratch of lists */
	struct image_range *range;
	struct image_place *place;
	char *string;
	size_t string_len;
};

/* "NAME:LINE:COLUMN: ..." for where r->p is. Returns -EBADMSG. */
int reader_bad(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Length of the word at r->p: up to a space, '=' or the end of the line. */
size_t reader_word(const struct reader *r);
/* Exactly one space, then something. */
int reader_space(struct reader *r);
/* A quoted string into r->string, r->string_len. */
int reader_string(struct reader *r);
int reader_number(struct reader *r, uint64_t *v);
/* Whole line of an entry of the debuginfo; r->p at its first character. */
int reader_entry(struct reader *r);

#endif
