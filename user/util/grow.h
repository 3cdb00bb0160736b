/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arrays that grow one element at a time. */
#ifndef CULPRIT_GROW_H
#define CULPRIT_GROW_H

#include <errno.h>
#include <stddef.h>

/* Makes room for one more element in *v, which holds n and was made by GROW alone. 0 or -ENOMEM; *v stays
 * valid either way. The new element is not initialised. */
#define GROW(v, n)                                                                                           \
	({                                                                                                   \
		void *more_ = grow(*(v), (n), sizeof(**(v)));                                                \
		if (more_)                                                                                   \
			*(v) = more_;                                                                        \
		more_ ? 0 : -ENOMEM;                                                                         \
	})
void *grow(void *v, size_t n, size_t size);

#endif
