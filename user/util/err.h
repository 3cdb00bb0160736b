/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Errors as values: library code returns -errno and leaves a message for the command to print; it never
 * prints itself. */
#ifndef CULPRIT_ERR_H
#define CULPRIT_ERR_H

#define ERR_MSG_LEN 768

struct err {
	int code;		/* -errno; 0 while nothing went wrong */
	char msg[ERR_MSG_LEN];	/* what failed, with the name of the thing */
	char hint[ERR_MSG_LEN]; /* what the user can do; empty if nothing is known */
};

/* Sets code (negative) and message; returns code. e may be NULL. Clears an older hint. */
#define err_set(e, code, ...)                                                                                \
	({                                                                                                   \
		const int code_ = (code); /* what is returned, visible to whoever analyses the caller */     \
		err_write((e), code_, __VA_ARGS__);                                                          \
		code_;                                                                                       \
	})
void err_write(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Adds what to do about it. e may be NULL. */
void err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts text and ": " before the message, for the caller's context; returns e's code. e may be NULL (then
 * -EINVAL). */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
