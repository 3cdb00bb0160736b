/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the files of user/layout only. */
#ifndef CULPRIT_GUARD_PRIV_H
#define CULPRIT_GUARD_PRIV_H

#include "dwarf/funcs.h"
#include "layout/guard.h"

/* Vtable symbols of one module, by demangled class name. */
struct vtable {
	char *cls;
	uint64_t vaddr; /* 0: referenced but not defined there */
};
struct vtables {
	const struct elf_file *module;
	struct vtable *v;
	size_t n;
};

struct builder {
	struct dbg *d;
	struct guard_table *g;
	const struct guard_opts *opts;
	uint32_t max_types, max_depth;
	uint32_t *depth;	/* of each type of g */
	struct vtables *tables; /* [0] the binary, then the libraries; read at the first need */
	size_t n_tables;
	struct err *err;
};

/* shapes.c: what a member's class says about how to walk it. reason gets the text if it is not understood. */
bool shape_repeated(struct builder *b, const struct dbg_member *m, struct guard_repeated *r, char *reason,
		    size_t len);
/* Bits of the has-bit words of message class cls that may be set, as a count; 0 = not known. */
uint32_t shape_has_bits(struct builder *b, struct dbg_type cls, bool words_are_array);
/* Enumeration that the accessor of scalar member `member` of message class cls returns. false: it returns
 * none. */
bool shape_accessor_enum(struct builder *b, struct dbg_type cls, const char *member,
			 struct dbg_type_info *ret, struct dbg_type *type);

/* Enumeration of the fields of message class cls's oneof number `index` of `count`, as x_case() returns it; 0
 * is "none of them". */
bool shape_oneof_case(struct builder *b, struct dbg_type cls, uint32_t index, uint32_t count,
		      struct dbg_type_info *ret, struct dbg_type *type);

/* vtable.c */
int vtables_read(struct builder *b);
void vtables_free(struct builder *b);
void vptrs_fill(struct builder *b, struct guard_type *t);
bool vtable_known(struct builder *b, const char *cls);
void default_instance_fill(struct builder *b, struct guard_type *t);

#endif
