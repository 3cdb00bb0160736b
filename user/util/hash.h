/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* uthash, in a form that clang's static analyzer can follow. */
#ifndef CULPRIT_HASH_H
#define CULPRIT_HASH_H

#include <stddef.h>

#ifdef __clang_analyzer__
/* it has no values for single bytes of a wider key member */
unsigned hash_of(const void *key, size_t len);
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = hash_of((keyptr), (keylen)))
#endif
#include <uthash.h>

/*
 * The analyzer cannot relate an element's links to the table's and so believes that what was deleted and
 * freed is still reached through its neighbours. Shown to it is the list of elements alone, which is what
 * owns them.
 */
#ifdef __clang_analyzer__
#undef HASH_DELETE_HH
#define HASH_DELETE_HH(hh, head, delptrhh)                                                                   \
	do {                                                                                                 \
		if ((delptrhh) == &(head)->hh)                                                               \
			DECLTYPE_ASSIGN(head, (delptrhh)->next);                                             \
	} while (0)
#endif

#endif
