/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of user/symbol share. */
#ifndef CULPRIT_IMAGE_PRIV_H
#define CULPRIT_IMAGE_PRIV_H

#include <elfutils/libdwfl.h>

#include "proc/maps.h"
#include "symbol/image.h"
#include "symbol/names.h"
#include "unwind/unwind.h"

#define IMAGE_MAX_FRAMES 256 /* of one stack, inlined ones not counted */
#define IMAGE_MAX_INLINE 64  /* at one address */

struct unit_index;
void unit_indexes_free(struct unit_index *all); /* NULL is fine */

/* One mapped ELF file, or the vdso. */
struct image_module {
	struct image *im;
	char *path;	     /* as the target sees it */
	uint64_t start, end; /* of its mappings */
	uint64_t offset;     /* into the file, of the first mapping */
	dev_t dev;
	uint64_t inode;
	char *build_id;		 /* hex, NULL if none */
	int fd, debug_fd;	 /* kept open, so that the target may exit; -1 if there is none */
	char *file, *debug_file; /* names of the two, as libdwfl is to see them */
	void *copy;		 /* bytes of the vdso */
	size_t copy_len;
	uint64_t low; /* address of its first loadable segment */
	Dwfl_Module *dwfl;
	bool has_symtab; /* .symtab, here or in the debuginfo: every function is named */
	bool symtab_known;
	struct unit_index *units; /* uthash: functions of the units that were asked for */
};

/* Groups the mappings into modules, without opening them. *ret: array of n pointers, for modules_free. */
int modules_scan(const struct proc_maps *maps, struct image_module ***ret, size_t *n);
bool module_same(const struct image_module *a, const struct image_module *b);
/* Opens the file and its debuginfo; a module that cannot be opened keeps its path and range only. */
void module_open(struct image_module *m, struct image *im);
void module_free(struct image_module *m);
void modules_free(struct image_module **v, size_t n);
extern const Dwfl_Callbacks module_callbacks;

struct symbol_entry; /* cache of symbolised addresses */

/* A physical frame of the last unwind, and where its inlined frames stand in the caller's list. */
struct image_frame {
	struct unwind_frame u;
	size_t first; /* index of its innermost frame in struct frames */
	size_t n;     /* its frames, the inlined ones included */
};

struct image {
	pid_t pid;
	uint64_t start_ticks; /* tells a reused pid */
	char *debuginfo_dir;
	struct proc_maps maps;
	struct image_module **module; /* by address */
	size_t n_modules;
	Dwfl *dwfl;
	struct symbol_entry *cache; /* uthash, by address */
	size_t n_cached;
	/* the last unwind, for image_frame_param */
	struct image_frame frame[IMAGE_MAX_FRAMES];
	size_t n_frames;
	bool live;
	struct abi_stack copy; /* valid if !live */
};

struct image_module *image_module_at(const struct image *im, uint64_t addr);
/* NULL if the module has no readable ELF file. */
Dwfl_Module *module_dwfl(struct image_module *m);
/* Load bias: address in the process - address in the file. */
uint64_t module_bias(struct image_module *m);
void image_cache_drop(struct image *im);
/* How the stack of the last unwind is read. */
struct unwind_mem image_memory(struct image *im);

/*
 * The functions at addr by DWARF, innermost inlined first, the out-of-line one last; 0 if DWARF does not
 * tell. *bias: address in the process - address in DWARF.
 */
size_t scopes_at(struct image_module *m, uint64_t addr, Dwarf_Die *cu, Dwarf_Die scope[IMAGE_MAX_INLINE],
		 uint64_t *bias);

#endif
