// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/guard_priv.h"

#define DEFAULT_TYPES 32
#define DEFAULT_DEPTH 4
#define MAX_NEST      8 /* of classes by value */
#define TAG_MASK                                                                                             \
	3 /* ArenaStringPtr: bit 0 set by nobody alone, bit 1 heap, both: mutable in an arena (3.20 to 3.21) \
	   */

const char *guard_kind_name(enum guard_kind k)
{
	static const char *const names[] = {"opaque",
					    "vptr",
					    "message pointer",
					    "pointer",
					    "string pointer",
					    "string",
					    "string",
					    "repeated message",
					    "repeated scalar",
					    "bool",
					    "enum",
					    "int",
					    "uint",
					    "float",
					    "has-bits",
					    "cached size",
					    "metadata"};

	return (unsigned)k < sizeof(names) / sizeof(names[0]) ? names[k] : "?";
}

/* Where members stand: a class by value inside of the type is dissolved into it. */
struct frame {
	const char *prefix; /* "" or "node_." */
	uint32_t offset;
	bool in_union;
	int depth;
};

static bool message_base(struct builder *b, struct dbg_type cls)
{
	struct dbg_base *base = NULL;
	bool found = false;
	size_t n = 0;

	if (dbg_bases(b->d, cls, &base, &n, NULL))
		return false;
	for (size_t i = 0; i < n && !found; i++) {
		struct dbg_type_info info;

		found = !dbg_type_info(b->d, base[i].type, &info) &&
			(!strcmp(info.name, "google::protobuf::Message") ||
			 !strcmp(info.name, "google::protobuf::MessageLite"));
	}
	free(base);
	return found;
}

/* Index of a type in the table, added if there is room. GUARD_NONE: no room. */
static int32_t add_type(struct builder *b, struct dbg_type type, uint32_t depth)
{
	struct guard_table *g = b->g;
	struct dbg_type_info info;
	struct guard_type *t;

	for (size_t i = 0; i < g->n_type; i++)
		if (g->type[i].type.die == type.die)
			return (int32_t)i;
	if (g->n_type == b->max_types || depth > b->max_depth || dbg_type_info(b->d, type, &info)) {
		g->truncated = true;
		return GUARD_NONE;
	}
	b->depth[g->n_type] = depth;
	t = &g->type[g->n_type];
	t->type = type;
	t->name = info.name;
	t->size = (uint32_t)info.size;
	t->message = message_base(b, type);
	vptrs_fill(b, t);
	default_instance_fill(b, t);
	return (int32_t)g->n_type++;
}

static struct guard_field *add_field(struct guard_type *t)
{
	struct guard_field *f = reallocarray(t->field, t->n_field + 1, sizeof(*f));

	if (!f)
		return NULL;
	t->field = f;
	f += t->n_field++;
	memset(f, 0, sizeof(*f));
	f->elem = GUARD_NONE;
	f->has_mask = UINT32_MAX;
	return f;
}

static void __attribute__((format(printf, 2, 3))) opaque(struct guard_field *f, const char *fmt, ...)
{
	va_list ap;

	f->kind = GUARD_OPAQUE;
	va_start(ap, fmt);
	vsnprintf(f->reason, sizeof(f->reason), fmt, ap);
	va_end(ap);
}

/* The class that declares a member, as a type. */
static struct dbg_type owner_type(struct builder *b, struct dbg_type cls, const char *owner)
{
	struct dbg_type_info info;
	struct dbg_type found = {0};
	struct dbg_base *base = NULL;
	size_t n = 0;

	if (!dbg_type_info(b->d, cls, &info) && !strcmp(info.name, owner))
		return cls;
	if (dbg_bases(b->d, cls, &base, &n, NULL))
		return found;
	for (size_t i = 0; i < n && !found.die; i++)
		if (!dbg_type_info(b->d, base[i].type, &info) && !strcmp(info.name, owner))
			found = base[i].type;
	free(base);
	return found;
}

/* Generated message classes have a cached size and derive from MessageLite. */
static bool generated(struct builder *b, const struct dbg_member *all, size_t n, const char *owner,
		      struct dbg_type cls)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i].name, "_cached_size_") && !strcmp(all[i].owner, owner))
			return message_base(b, cls);
	return false;
}

/* C++ lets an enumeration without a fixed type hold any value of the bits its enumerators need ([dcl.enum]);
 * flags do. */
static void widen(struct guard_field *f)
{
	uint64_t top = (uint64_t)(f->enum_max > 0 ? f->enum_max : 0),
		 low = (uint64_t)(f->enum_min < 0 ? -(f->enum_min + 1) : 0);
	uint64_t all = top | low;

	for (int i = 1; i < 64; i *= 2)
		all |= all >> i;
	f->enum_max = (int64_t)all;
	f->enum_min = f->enum_min < 0 ? -(int64_t)all - 1 : 0;
}

static void enum_field(struct guard_field *f, const struct dbg_type_info *e)
{
	if (e->enum_min > e->enum_max) {
		opaque(f, "enumeration without enumerators");
		return;
	}
	f->kind = GUARD_ENUM;
	f->enum_min = e->enum_min;
	f->enum_max = e->enum_max;
	f->enum_set = e->enum_set;
	f->enum_exact = f->proto && e->enum_min >= 0 && e->enum_max < 64;
	if (!f->proto)
		widen(f);
}

static void pointer_field(struct builder *b, uint32_t depth, struct guard_field *f,
			  const struct dbg_type_info *i)
{
	struct dbg_type_info to;
	bool known;

	f->kind = GUARD_PTR;
	if (!i->target.die || dbg_type_info(b->d, i->target, &to))
		return;
	if (f->proto && to.kind == DBG_STRING) {
		f->kind = GUARD_STRING_PTR;
		return;
	}
	known = to.kind == DBG_CLASS && (to.declaration ? f->proto : message_base(b, i->target)) &&
		vtable_known(b, to.name);
	if (!known)
		return;
	f->elem = add_type(b, i->target, depth + 1);
	if (f->elem == GUARD_NONE)
		opaque(f, "message %.80s is deeper than the table goes", to.name);
	else
		f->kind = GUARD_MSG_PTR;
}

static void repeated_field(struct builder *b, uint32_t depth, struct guard_field *f,
			   const struct dbg_member *m)
{
	struct dbg_type_info to;

	if (!shape_repeated(b, m, &f->rep, f->reason, sizeof(f->reason)) ||
	    dbg_type_info(b->d, m->info.target, &to))
		return;
	if (m->info.kind == DBG_REPEATED) {
		f->kind = GUARD_REPEATED;
		return;
	}
	if (to.kind == DBG_STRING) {
		f->kind = GUARD_REPEATED_PTR;
		return;
	}
	f->elem = add_type(b, m->info.target, depth + 1);
	if (f->elem == GUARD_NONE)
		opaque(f, "message %.80s is deeper than the table goes", to.name);
	else
		f->kind = GUARD_REPEATED_PTR;
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* HasBits<N> or uint32[N]: one field per word. f is the first word's. */
static int has_bits_field(struct builder *b, struct guard_type *t, const struct dbg_member *m,
			  struct guard_field first)
{
	struct dbg_type owner = owner_type(b, t->type, m->owner);
	uint32_t words = m->size / 4;
	uint32_t bits = owner.die ? shape_has_bits(b, owner, m->info.kind == DBG_ARRAY) : 0;

	if (bits > 32 * words)
		bits = 0;
	for (uint32_t i = 0; i < words; i++) {
		struct guard_field *f = add_field(t);
		uint32_t left = bits > 32 * i ? bits - 32 * i : 0;

		if (!f)
			return -ENOMEM;
		*f = first;
		f->kind = GUARD_HAS_BITS;
		f->offset = first.offset + 4 * i;
		f->width = 4;
		f->has_mask = !bits || left >= 32 ? UINT32_MAX : (1U << left) - 1;
		f->path = dbg_string(b->d, words > 1 ? "%s[%u]" : "%s", first.path, i);
		if (!f->path)
			return -ENOMEM;
	}
	return 0;
}

/* Which field of a oneof is set: its number, or 0. One word for each oneof. */
static int case_field(struct builder *b, struct guard_type *t, const struct dbg_member *m,
		      struct guard_field first)
{
	struct dbg_type owner = owner_type(b, t->type, m->owner);
	uint32_t words = m->size / 4;

	for (uint32_t i = 0; i < words; i++) {
		struct guard_field *f = add_field(t);
		struct dbg_type_info e;

		if (!f)
			return -ENOMEM;
		*f = first;
		f->offset = first.offset + 4 * i;
		f->width = 4;
		if (owner.die && shape_oneof_case(b, owner, i, words, &e, &f->type))
			enum_field(f, &e);
		else
			opaque(f, "which fields the oneof has is not known");
		f->path = dbg_string(b->d, "%s[%u]", first.path, i);
		if (!f->path)
			return -ENOMEM;
	}
	return 0;
}

static int add_members(struct builder *b, size_t type, struct dbg_type cls, const struct frame *fr);

static int class_field(struct builder *b, size_t type, const struct dbg_member *m, const struct frame *fr,
		       struct guard_field *f)
{
	const char *name = m->info.name;
	struct frame in = {.offset = f->offset, .in_union = f->in_union, .depth = fr->depth + 1};

	if (starts(name, "google::protobuf::internal::CachedSize")) {
		f->kind = GUARD_CACHED_SIZE;
		return 0;
	}
	if (starts(name, "google::protobuf::internal::InternalMetadata")) {
		f->kind = GUARD_METADATA;
		return 0;
	}
	if (starts(name, "google::protobuf::") || starts(name, "std::") || starts(name, "boost::") ||
	    m->info.declaration || !*name || fr->depth == MAX_NEST) {
		opaque(f, "%.100s: its inside is not followed", *name ? name : "unnamed class");
		return 0;
	}
	in.prefix = dbg_string(b->d, "%s.", f->path);
	if (!in.prefix)
		return -ENOMEM;
	b->g->type[type].n_field--; /* its members take its place */
	return add_members(b, type, m->type, &in);
}

/* Members that their name decides. 1 = done, 0 = an ordinary one, negative: error. f may be gone then. */
static int special_member(struct builder *b, struct guard_type *t, const struct dbg_member *m,
			  struct guard_field *f)
{
	if (m->bit_field) {
		opaque(f, "bit field");
		return 1;
	}
	if (!strcmp(m->name, "_vptr")) {
		f->kind = GUARD_VPTR;
		if (f->offset)
			opaque(f, "vptr of a base or member: which vtable it has is not known");
		return 1;
	}
	if (starts(m->info.name, "google::protobuf::UnknownFieldSet")) {
		f->kind = GUARD_METADATA; /* whatever its shape */
		return 1;
	}
	if (f->proto && !strcmp(m->name, "_has_bits_") && m->size && m->size % 4 == 0) {
		struct guard_field first = *f;
		int rc;

		t->n_field--;
		rc = has_bits_field(b, t, m, first);
		return rc ? rc : 1;
	}
	if (f->proto && !strcmp(m->name, "_oneof_case_") && m->info.kind == DBG_ARRAY && m->size &&
	    m->size % 4 == 0) {
		struct guard_field first = *f;
		int rc;

		t->n_field--;
		rc = case_field(b, t, m, first);
		return rc ? rc : 1;
	}
	if (f->proto && !strcmp(m->name, "_cached_size_") && m->info.kind == DBG_INT) {
		f->kind = GUARD_CACHED_SIZE;
		return 1;
	}
	return 0;
}

static void by_kind(struct builder *b, size_t type, const struct dbg_member *m, struct guard_field *f)
{
	struct guard_type *t = &b->g->type[type];
	uint32_t depth = b->depth[type];
	struct dbg_type_info e;

	switch (m->info.kind) {
	case DBG_BOOL:
		f->kind = GUARD_BOOL;
		break;
	case DBG_INT:
		f->kind = GUARD_INT; /* protobuf keeps enumerations as int */
		if (f->proto && m->size == 4 &&
		    shape_accessor_enum(b, owner_type(b, t->type, m->owner), m->name, &e, &f->type))
			enum_field(f, &e);
		break;
	case DBG_UINT:
		f->kind = GUARD_UINT;
		break;
	case DBG_FLOAT:
		f->kind = GUARD_FLOAT;
		break;
	case DBG_ENUM:
		enum_field(f, &m->info);
		break;
	case DBG_PTR:
		pointer_field(b, depth, f, &m->info);
		break;
	case DBG_REF:
	case DBG_SMART_PTR:
		f->kind = GUARD_PTR;
		break;
	case DBG_STRING:
		f->kind = GUARD_STRING;
		break;
	case DBG_ARENA_STRING:
		f->kind = GUARD_ARENA_STRING;
		f->tag_mask = TAG_MASK;
		break;
	case DBG_REPEATED:
	case DBG_REPEATED_PTR:
		repeated_field(b, depth, f, m);
		break;
	case DBG_ARRAY:
		opaque(f, "array: its elements are not followed");
		break;
	case DBG_UNION:
		opaque(f, "union (a oneof holds one of its fields): which counts is not followed");
		break;
	default:
		opaque(f, "%.100s: not understood", *m->info.name ? m->info.name : "its type");
	}
}

static int add_member(struct builder *b, size_t type, const struct dbg_member *m, const struct frame *fr,
		      bool proto)
{
	struct guard_type *t = &b->g->type[type];
	struct guard_field *f = add_field(t);
	int rc;

	if (!f)
		return -ENOMEM;
	f->offset = fr->offset + m->offset;
	f->width = m->size;
	f->owner = m->owner;
	f->type = m->type;
	f->proto = proto;
	f->in_union = fr->in_union || m->in_union;
	f->path = dbg_string(b->d, "%s%s", fr->prefix, m->name);
	if (!f->path)
		return -ENOMEM;
	rc = special_member(b, t, m, f);
	if (rc)
		return rc < 0 ? rc : 0;
	if (m->info.kind == DBG_CLASS)
		return class_field(b, type, m, fr, f);
	by_kind(b, type, m, f);
	return 0;
}

/* Which owner's data is a message's is asked once per owner: members stand together by owner mostly. */
static int add_members(struct builder *b, size_t type, struct dbg_type cls, const struct frame *fr)
{
	struct dbg_member *m = NULL;
	const char *owner = NULL;
	bool proto = false;
	size_t n = 0;
	int rc = dbg_members(b->d, cls, &m, &n, b->err);

	for (size_t i = 0; i < n && !rc; i++) {
		if (!owner || strcmp(owner, m[i].owner) != 0) {
			owner = m[i].owner;
			proto = generated(b, m, n, owner, cls);
		}
		rc = add_member(b, type, &m[i], fr, proto);
		if (rc == -ENOMEM)
			err_set(b->err, rc, "out of memory");
	}
	free(m);
	return rc;
}

/* The vptr of a class whose polymorphic base is only declared here stands at 0 all the same (Itanium C++
 * ABI, 2.4). */
static int add_vptr(struct guard_type *t, bool polymorphic)
{
	struct guard_field *f;

	for (size_t i = 0; i < t->n_field; i++)
		if (t->field[i].offset < 8)
			return 0;
	if (!polymorphic)
		return 0;
	f = add_field(t);
	if (!f)
		return -ENOMEM;
	memmove(t->field + 1, t->field, (t->n_field - 1) * sizeof(*f));
	memset(t->field, 0, sizeof(*f));
	*t->field = (struct guard_field){.width = 8,
					 .kind = GUARD_VPTR,
					 .path = "_vptr",
					 .owner = t->name,
					 .elem = GUARD_NONE,
					 .has_mask = UINT32_MAX};
	return 0;
}

static int fill_type(struct builder *b, size_t type)
{
	struct guard_type *t = &b->g->type[type];
	const struct frame whole = {.prefix = ""};
	struct dbg_type_info info;
	int rc = dbg_type_info(b->d, t->type, &info);

	if (rc || info.declaration)
		return rc; /* its vptr is all that is known of it */
	rc = add_members(b, type, t->type, &whole);
	return rc ? rc : add_vptr(t, info.polymorphic);
}

int guard_build(struct guard_table **ret, struct dbg *d, struct dbg_type root, const struct guard_opts *opts,
		struct err *err)
{
	static const struct guard_opts none;
	struct builder b = {.d = d, .opts = opts ? opts : &none, .err = err};
	int rc = -ENOMEM;

	*ret = NULL;
	b.max_types = b.opts->max_types ? b.opts->max_types : DEFAULT_TYPES;
	b.max_depth = b.opts->max_depth ? b.opts->max_depth : DEFAULT_DEPTH;
	b.g = calloc(1, sizeof(*b.g));
	b.depth = calloc(b.max_types, sizeof(*b.depth));
	if (b.g)
		b.g->type = calloc(b.max_types, sizeof(*b.g->type));
	if (!b.g || !b.depth || !b.g->type || vtables_read(&b)) {
		err_set(err, rc, "out of memory");
		goto out;
	}
	if (add_type(&b, root, 0) == GUARD_NONE) {
		rc = err_set(err, -EINVAL, "no such type");
		goto out;
	}
	rc = 0;
	for (size_t i = 0; i < b.g->n_type && !rc; i++)
		rc = fill_type(&b, i);
	if (rc)
		goto out;
	*ret = b.g;
	b.g = NULL;
out:
	vtables_free(&b);
	free(b.depth);
	guard_free(b.g);
	return rc;
}

void guard_free(struct guard_table *g)
{
	if (!g)
		return;
	for (size_t i = 0; g->type && i < g->n_type; i++)
		free(g->type[i].field);
	free(g->type);
	free(g);
}

int guard_field_at(const struct guard_type *t, uint32_t offset)
{
	for (size_t i = 0; i < t->n_field; i++)
		if (offset >= t->field[i].offset && offset - t->field[i].offset < t->field[i].width)
			return (int)i;
	return GUARD_NONE;
}
