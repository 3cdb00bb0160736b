// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Makes a small BTF out of a kernel's: some types by name, with all their members and what stands inside them
 * by value. Pointers lead nowhere, which relocations do not mind: each dereference is a relocation of its
 * own. usage: btf-prune SOURCE DESTINATION < NAMES
 *
 * Unlike `bpftool gen min_core_btf` it keeps the members that no program reads yet, so that its output need
 * not be made anew with each change of a program.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct btf *from;
static struct btf *to;
static int *kept; /* id there, by id here; 0 = not yet */

static const char *name_of(const struct btf_type *t)
{
	return btf__name_by_offset(from, t->name_off);
}

static int check(int id)
{
	if (id < 0) {
		fprintf(stderr, "btf-prune: %s\n", strerror(-id));
		exit(1);
	}
	return id;
}

static int keep(__u32 id);

static int keep_composite(const struct btf_type *t)
{
	const struct btf_member *m = btf_members(t);
	int n = btf_vlen(t), id, *type = calloc((size_t)n + 1, sizeof(*type));

	if (!type)
		check(-ENOMEM);
	for (int i = 0; i < n; i++) /* before the struct: members are added in one go */
		type[i] = keep(m[i].type);
	id = check(btf_is_union(t) ? btf__add_union(to, name_of(t), t->size)
				   : btf__add_struct(to, name_of(t), t->size));
	for (int i = 0; i < n; i++)
		check(btf__add_field(to, btf__name_by_offset(from, m[i].name_off), type[i],
				     btf_member_bit_offset(t, (__u32)i),
				     btf_member_bitfield_size(t, (__u32)i)));
	free(type);
	return id;
}

static int keep_enum(const struct btf_type *t)
{
	int id = check(btf__add_enum(to, name_of(t), t->size));
	const struct btf_enum *e = btf_enum(t);

	for (int i = 0; i < btf_vlen(t); i++)
		check(btf__add_enum_value(to, btf__name_by_offset(from, e[i].name_off), e[i].val));
	return id;
}

static int keep_enum64(const struct btf_type *t)
{
	int id = check(btf__add_enum64(to, name_of(t), t->size, btf_kflag(t)));
	const struct btf_enum64 *e = btf_enum64(t);

	for (int i = 0; i < btf_vlen(t); i++)
		check(btf__add_enum64_value(to, btf__name_by_offset(from, e[i].name_off),
					    btf_enum64_value(&e[i])));
	return id;
}

static int keep_type(const struct btf_type *t)
{
	int type, index;

	switch (btf_kind(t)) {
	case BTF_KIND_INT:
		return check(btf__add_int(to, name_of(t), t->size, btf_int_encoding(t)));
	case BTF_KIND_FLOAT:
		return check(btf__add_float(to, name_of(t), t->size));
	case BTF_KIND_PTR:
		return check(btf__add_ptr(to, 0));
	case BTF_KIND_ARRAY:
		type = keep(btf_array(t)->type);
		index = keep(btf_array(t)->index_type);
		return check(btf__add_array(to, index, type, btf_array(t)->nelems));
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return keep_composite(t);
	case BTF_KIND_ENUM:
		return keep_enum(t);
	case BTF_KIND_ENUM64:
		return keep_enum64(t);
	case BTF_KIND_FWD:
		return check(btf__add_fwd(to, name_of(t), btf_kflag(t) ? BTF_FWD_UNION : BTF_FWD_STRUCT));
	case BTF_KIND_TYPEDEF:
		type = keep(t->type);
		return check(btf__add_typedef(to, name_of(t), type));
	default: /* const, volatile, restrict and tags say nothing of a layout */
		return keep(t->type);
	}
}

static int keep(__u32 id)
{
	const struct btf_type *t = id ? btf__type_by_id(from, id) : NULL;

	if (!t || btf_is_func_proto(t) || btf_is_func(t))
		return 0;
	if (!kept[id])
		kept[id] = keep_type(t);
	return kept[id];
}

/* Every type of that name: there may be several. */
static void keep_named(const char *name)
{
	for (__u32 id = 1; id < btf__type_cnt(from); id++) {
		const struct btf_type *t = btf__type_by_id(from, id);

		if ((btf_is_composite(t) || btf_is_any_enum(t) || btf_is_typedef(t)) &&
		    !strcmp(name_of(t), name))
			keep(id);
	}
}

static int store(const char *path)
{
	__u32 size;
	const void *data = btf__raw_data(to, &size);
	FILE *f = data ? fopen(path, "wb") : NULL;
	int failed = !f || fwrite(data, 1, size, f) != size;

	if (f && fclose(f))
		failed = 1;
	if (failed)
		fprintf(stderr, "btf-prune: cannot write %s: %s\n", path, strerror(errno));
	return failed;
}

int main(int argc, char **argv)
{
	char name[256];
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: btf-prune SOURCE DESTINATION < NAMES\n");
		return 2;
	}
	from = btf__parse(argv[1], NULL);
	if (!from) {
		fprintf(stderr, "btf-prune: %s: no BTF: %s\n", argv[1], strerror(errno));
		return 1;
	}
	to = btf__new_empty();
	kept = calloc(btf__type_cnt(from), sizeof(*kept));
	if (!to || !kept)
		check(-ENOMEM);
	while (scanf("%255s", name) == 1)
		keep_named(name);
	rc = store(argv[2]);
	btf__free(to);
	btf__free((struct btf *)from);
	free(kept);
	return rc;
}
