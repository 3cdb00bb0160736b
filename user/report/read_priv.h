/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values of a JSON object by key, for the readers of user/report/read*.c. Each takes null and a missing key
 * for "not known" and leaves *ret then as it is. 0, -EINVAL (wrong type or out of range) or -ENOMEM. */
#ifndef CULPRIT_REPORT_READ_PRIV_H
#define CULPRIT_REPORT_READ_PRIV_H

#include "report/read.h"
#include "util/err.h"

/* Reads one object: the first error stays, and what comes after it is not read any more. */
struct reader {
	const json_t *v;
	const struct report_clock *clock;
	struct err *err;
	int rc;
};

struct reader read_part(const struct reader *r, const json_t *v); /* of a part of it, without an error yet */
void reader_join(struct reader *r, const struct reader *part);	  /* takes the part's error over */

const json_t *read_object(struct reader *r, const char *key); /* NULL: none */
const json_t *read_array(struct reader *r, const char *key);
const char *read_ref(struct reader *r, const char *key); /* borrowed; NULL: none */
void read_str(struct reader *r, const char *key, char **ret);
void read_into(struct reader *r, const char *key, char *buf, size_t len); /* cut to fit */
void read_bool(struct reader *r, const char *key, bool *ret);
/* min..max, both included; at most INT64_MAX */
void read_i64(struct reader *r, const char *key, int64_t min, int64_t max, int64_t *ret);
void read_int(struct reader *r, const char *key, int min, int max, int *ret);
void read_u32(struct reader *r, const char *key, uint32_t *ret);
void read_u64(struct reader *r, const char *key, uint64_t *ret);
void read_hex(struct reader *r, const char *key, uint64_t *ret);
void read_real(struct reader *r, const char *key, double *ret);
void read_ms(struct reader *r, const char *key, uint64_t *ns); /* whole or broken milliseconds */
void read_time(struct reader *r, const char *key, uint64_t *ns);
void read_frames(struct reader *r, const char *key, struct frames *ret); /* and KEY_truncated */
void read_strs(struct reader *r, const char *key, char ***ret, size_t *n);
void read_touch(struct reader *r, const char *key, struct touch *ret);
void read_touch_of(struct reader *of, struct touch *ret); /* the object itself is one */
/* The number i for which name(i) is the value; name() says "?" where they end. An unknown name is -EINVAL. */
void read_name(struct reader *r, const char *key, const char *(*name)(unsigned i), unsigned *ret);
/* n zeroed elements of size; NULL and -ENOMEM, or without an error if n is 0. */
void *read_room(struct reader *r, size_t n, size_t size);

#endif
