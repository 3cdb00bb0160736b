// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Only in the static binary: what Debian's static elfutils 0.192 refers to but does not contain (its internal
 * library libeu.a is not installed; repaired upstream in 0.193), and the end of all dlopen.
 *
 * eu_t*: search trees, as declared in elfutils' lib/eu-search.h: the C library's tsearch(3) on the tree's
 * first member. elfutils touches that member through these functions or the C library's only. Debian builds
 * elfutils without locks, so there are none here.
 */
#include <search.h>
#include <stddef.h>

typedef int compare_fn(const void *, const void *);

struct search_tree {
	void *root;
};

void *eu_tsearch(const void *key, struct search_tree *tree, compare_fn *compare);
void *eu_tfind(const void *key, struct search_tree *tree, compare_fn *compare);
void *eu_tdelete(const void *key, struct search_tree *tree, compare_fn *compare);
void eu_tdestroy(struct search_tree *tree, void (*free_node)(void *));
void eu_search_tree_init(struct search_tree *tree);
void eu_search_tree_fini(struct search_tree *tree, void (*free_node)(void *));
void *__wrap_dlopen(const char *file, int mode);

void *eu_tsearch(const void *key, struct search_tree *tree, compare_fn *compare)
{
	return tsearch(key, &tree->root, compare);
}

void *eu_tfind(const void *key, struct search_tree *tree, compare_fn *compare)
{
	return tfind(key, &tree->root, compare);
}

void *eu_tdelete(const void *key, struct search_tree *tree, compare_fn *compare)
{
	return tdelete(key, &tree->root, compare);
}

void eu_tdestroy(struct search_tree *tree, void (*free_node)(void *))
{
	tdestroy(tree->root, free_node);
	tree->root = NULL;
}

void eu_search_tree_init(struct search_tree *tree)
{
	tree->root = NULL;
}

void eu_search_tree_fini(struct search_tree *tree, void (*free_node)(void *))
{
	eu_tdestroy(tree, free_node);
}

/*
 * libdwfl asks debuginfod servers through a library that it loads at run time when DEBUGINFOD_URLS is set. A
 * static program must not load a library made for the node's own C library: there is none, and libdwfl goes
 * on without it.
 */
void *__wrap_dlopen(const char *file, int mode)
{
	(void)file;
	(void)mode;
	return NULL;
}
