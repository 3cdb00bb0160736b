/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Binary search in arrays of structs that are sorted by a member. Arguments but the member's name are
 * evaluated once, v more often. */
#ifndef CULPRIT_SEARCH_H
#define CULPRIT_SEARCH_H

#include <stddef.h>

#define SEARCH_(v, n, member, below, key)                                                                    \
	({                                                                                                   \
		size_t lo_ = 0, hi_ = (n);                                                                   \
		__typeof__((v)->member) key_ = (key);                                                        \
		while (lo_ < hi_) {                                                                          \
			size_t mid_ = lo_ + (hi_ - lo_) / 2;                                                 \
			if ((v)[mid_].member below key_)                                                     \
				lo_ = mid_ + 1;                                                              \
			else                                                                                 \
				hi_ = mid_;                                                                  \
		}                                                                                            \
		lo_;                                                                                         \
	})

/* Index of the first of v[0..n) whose member is not below key; n: none. */
#define FIRST_FROM(v, n, member, key) SEARCH_(v, n, member, <, key)
/* Index of the first whose member is above key; n: none. */
#define FIRST_AFTER(v, n, member, key) SEARCH_(v, n, member, <=, key)

/* The one of v[0..n), ranges [from, to) in order that do not overlap, that contains key; NULL: none. */
#define RANGE_WITH(v, n, from, to, key)                                                                      \
	({                                                                                                   \
		__typeof__(&(v)[0]) v_ = (v);                                                                \
		__typeof__((v)->from) at_ = (key);                                                           \
		size_t after_ = FIRST_AFTER(v_, n, from, at_);                                               \
		after_ &&at_ < v_[after_ - 1].to ? &v_[after_ - 1] : NULL;                                   \
	})

#endif
