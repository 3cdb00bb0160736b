// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fixture.h"
#include "layout/writers.h"

#define LEASE FIXTURES "/lease"

/* Everything found for one root type. */
struct world {
	struct dbg *d;
	struct elf_file *lib;
	struct guard_table *g;
	struct writers *w;
};

static struct world build(const char *program, const char *root, const char *lib, uint32_t max_types,
			  uint32_t max_depth)
{
	struct world x = {0};
	struct guard_opts o = {.max_types = max_types, .max_depth = max_depth};
	const struct elf_file *libs[1];
	struct dbg_type t;
	struct err e = {0};

	if (dbg_open(&x.d, program, NULL, &e) || dbg_find_class(x.d, root, &t, &e))
		fail_msg("%s", e.msg);
	if (lib && elf_file_open(&x.lib, lib, &e))
		fail_msg("%s", e.msg);
	libs[0] = x.lib;
	o.libs = libs;
	o.n_libs = lib ? 1 : 0;
	if (guard_build(&x.g, x.d, t, &o, &e) || writers_find(&x.w, x.d, x.g, &e))
		fail_msg("%s", e.msg);
	return x;
}

static void drop(struct world *x)
{
	writers_free(x->w);
	guard_free(x->g);
	elf_file_close(x->lib);
	dbg_close(x->d);
}

/* The protobuf library the fixture is linked with, as ldd finds it. */
static const char *protobuf(void)
{
	static char path[256];
	FILE *p = popen("ldd " LEASE " | sed -n 's/.*libprotobuf[^ ]* => \\([^ ]*\\) .*/\\1/p'", "r");

	assert_non_null(p);
	assert_int_equal(fscanf(p, "%255s", path), 1);
	pclose(p);
	return path;
}

static const struct guard_type *type_of(const struct world *x, const char *name)
{
	for (size_t i = 0; i < x->g->n_type; i++)
		if (!strcmp(x->g->type[i].name, name))
			return &x->g->type[i];
	fail_msg("no type %s", name);
	return NULL;
}

static const struct guard_field *field(const struct guard_type *t, const char *path)
{
	for (size_t i = 0; i < t->n_field; i++)
		if (!strcmp(t->field[i].path, path))
			return &t->field[i];
	fail_msg("no field %s in %s", path, t->name);
	return NULL;
}

struct expect {
	const char *path;
	enum guard_kind kind;
	uint32_t width;
	const char *elem; /* type it leads to */
};

static void check_fields(const struct world *x, const struct guard_type *t, const char *program,
			 const char *prefix, const struct expect *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct guard_field *f = field(t, e[i].path);
		char name[128];

		snprintf(name, sizeof(name), "%s%s", prefix, e[i].path);
		if (f->kind != e[i].kind || f->width != e[i].width)
			fail_msg("%s is %s of %u bytes (%s)", e[i].path, guard_kind_name(f->kind), f->width,
				 f->reason);
		assert_int_equal(f->offset, fixture_says(program, name));
		if (e[i].elem)
			assert_string_equal(x->g->type[f->elem].name, e[i].elem);
		else
			assert_int_equal(f->elem, GUARD_NONE);
	}
}

static void protobuf_3_layout(void **state)
{
	static const struct expect chunk[] = {
		{"id_", GUARD_UINT, 4, NULL},
		{"name_", GUARD_ARENA_STRING, 8, NULL},
		{"read_perf_", GUARD_MSG_PTR, 8, "fx::Perf"},
		{"mode_", GUARD_ENUM, 4, NULL},
		{"ready_", GUARD_BOOL, 1, NULL},
		{"pids_", GUARD_REPEATED, 16, NULL},
		{"tags_", GUARD_REPEATED_PTR, 24, NULL},
		{"samples_", GUARD_REPEATED_PTR, 24, "fx::Perf"},
		{"moment_", GUARD_INT, 8, NULL},
		{"ratio_", GUARD_FLOAT, 4, NULL},
		{"_has_bits_", GUARD_HAS_BITS, 4, NULL},
		{"_cached_size_", GUARD_CACHED_SIZE, 4, NULL},
	};
	static const struct expect lease[] = {
		{"chunks_", GUARD_REPEATED_PTR, 24, "fx::Chunk"},
		{"epoch_", GUARD_UINT, 8, NULL},
		{"first_", GUARD_MSG_PTR, 8, "fx::Chunk"},
		{"stamp_", GUARD_MSG_PTR, 8, "google::protobuf::Timestamp"},
		{"refs_", GUARD_INT, 4, NULL},
		{"hits_", GUARD_UINT, 8, NULL},
		{"expired_", GUARD_BOOL, 1, NULL},
		{"wanted_", GUARD_ENUM, 4, NULL},
	};
	struct world x = build(LEASE, "fx::CachedLease", protobuf(), 0, 0);
	const struct guard_type *c = type_of(&x, "fx::Chunk");

	(void)state;
	check_fields(&x, c, LEASE, "Chunk.", chunk, sizeof(chunk) / sizeof(chunk[0]));
	check_fields(&x, &x.g->type[0], LEASE, "CachedLease.", lease, sizeof(lease) / sizeof(lease[0]));
	assert_int_equal(c->size, fixture_says(LEASE, "Chunk"));
	assert_false(x.g->truncated);
	assert_int_equal(x.g->n_type, 5);
	/* id name read_perf mode ready moment ratio level, and attrs's has none: repeated and oneof fields
	 * neither */
	assert_int_equal(field(c, "_has_bits_")->has_mask & 0xff, 0xff);
	assert_true(field(c, "_has_bits_")->has_mask < 0x400);
	assert_int_equal(field(c, "mode_")->enum_set, 0x26);
	assert_true(field(c, "mode_")->enum_exact && field(c, "mode_")->proto);
	/* a plain enumeration may hold any value of its bits */
	assert_int_equal(field(&x.g->type[0], "wanted_")->enum_max, 7);
	assert_int_equal(field(&x.g->type[0], "wanted_")->enum_min, 0);
	assert_false(field(&x.g->type[0], "wanted_")->enum_exact || field(&x.g->type[0], "expired_")->proto);
	assert_int_equal(field(c, "place_")->kind, GUARD_OPAQUE);
	assert_int_equal(field(c, "attrs_")->kind, GUARD_OPAQUE);
	assert_true(field(c, "attrs_")->reason[0] != '\0');
	drop(&x);
}

static void repeated_shapes(void **state)
{
	struct world x = build(LEASE, "fx::Chunk", NULL, 0, 0),
		     y = build(FIXTURES "/legacy", "old::Chunk", NULL, 0, 0);
	const struct guard_repeated *r = &field(&x.g->type[0], "samples_")->rep;

	(void)state;
	/* 3.21: arena, current, total, rep -> {allocated, elements[]} */
	assert_int_equal(r->current, 8);
	assert_int_equal(r->total, 12);
	assert_int_equal(r->allocated, GUARD_NONE);
	assert_int_equal(r->pointer, 16);
	assert_int_equal(r->header, 8);
	assert_int_equal(r->rep_allocated, 0);
	r = &field(&x.g->type[0], "pids_")->rep;
	assert_int_equal(r->current, 0);
	assert_int_equal(r->total, 4);
	assert_int_equal(r->pointer, 8);
	assert_int_equal(r->elem_size, 4);
	assert_true(r->pointer_may_be_arena);
	/* 2.5: elements, current, allocated, total */
	r = &field(&y.g->type[0], "samples_")->rep;
	assert_int_equal(r->pointer, 0);
	assert_int_equal(r->current, 8);
	assert_int_equal(r->allocated, 12);
	assert_int_equal(r->total, 16);
	assert_int_equal(r->header, 0);
	r = &field(&y.g->type[0], "ids_")->rep;
	assert_int_equal(r->pointer, 0);
	assert_int_equal(r->current, 8);
	assert_int_equal(r->total, 12);
	assert_false(r->pointer_may_be_arena);
	drop(&y);
	drop(&x);
}

static void protobuf_2_layout(void **state)
{
	static const char prog[] = FIXTURES "/legacy";
	static const struct expect chunk[] = {
		{"name_", GUARD_STRING_PTR, 8, NULL},
		{"read_perf_", GUARD_MSG_PTR, 8, "old::Perf"},
		{"tags_", GUARD_REPEATED_PTR, 24, NULL},
		{"samples_", GUARD_REPEATED_PTR, 24, "old::Perf"},
		{"ids_", GUARD_REPEATED, 16, NULL},
		{"mode_", GUARD_ENUM, 4, NULL},
		{"_cached_size_", GUARD_CACHED_SIZE, 4, NULL},
		{"_has_bits_", GUARD_HAS_BITS, 4, NULL},
	};
	struct world x = build(prog, "old::Chunk", NULL, 0, 0);
	const struct guard_type *c = &x.g->type[0];

	(void)state;
	check_fields(&x, c, prog, "", chunk, sizeof(chunk) / sizeof(chunk[0]));
	assert_int_equal(field(c, "_has_bits_")->has_mask, 0x3f); /* six fields, by k...FieldNumber */
	assert_int_equal(field(c, "_unknown_fields_")->kind, GUARD_METADATA);
	assert_true(c->default_is_pointer && c->default_vaddr);
	assert_true(field(c, "mode_")->shadow_judged);
	assert_true(c->message && c->vptrs_known);
	drop(&x);
}

static uint64_t nm(const char *file, const char *symbol)
{
	char cmd[512];
	unsigned long v = 0;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "nm %s | grep ' %s$'", file, symbol);
	p = popen(cmd, "r");
	assert_non_null(p);
	assert_int_equal(fscanf(p, "%lx", &v), 1);
	pclose(p);
	return v;
}

static void vtables_and_defaults(void **state)
{
	struct world x = build(LEASE, "fx::CachedLease", protobuf(), 0, 0);
	const struct guard_type *lease = type_of(&x, "fx::Lease"), *root = &x.g->type[0];
	const struct guard_type *stamp = type_of(&x, "google::protobuf::Timestamp");

	(void)state;
	assert_true(root->vptrs_known);
	assert_int_equal(root->n_vptr, 1);
	assert_int_equal(root->vptr[0].vaddr, nm(LEASE ".full", "_ZTVN2fx11CachedLeaseE") + 16);
	assert_ptr_equal(root->vptr[0].module, dbg_binary(x.d));
	assert_int_equal(root->field[0].kind, GUARD_VPTR);
	assert_int_equal(root->field[0].offset, 0);
	/* a pointer to fx::Lease may lead to a fx::CachedLease */
	assert_int_equal(lease->n_vptr, 2);
	assert_int_equal(lease->vptr[0].vaddr, nm(LEASE ".full", "_ZTVN2fx5LeaseE") + 16);
	assert_int_equal(lease->vptr[1].vaddr, root->vptr[0].vaddr);
	/* a class of the library: its vtable is there, and its members are not known here */
	assert_true(stamp->vptrs_known);
	assert_ptr_equal(stamp->vptr[0].module, x.lib);
	assert_int_equal(stamp->n_field, 0);
	assert_int_equal(lease->default_vaddr, nm(LEASE ".full", "_ZN2fx24_Lease_default_instance_E"));
	assert_int_equal(root->default_vaddr, lease->default_vaddr); /* its first base's */
	assert_false(root->default_is_pointer);
	drop(&x);
}

static void without_the_library(void **state)
{
	struct world x = build(LEASE, "fx::CachedLease", NULL, 0, 0);

	(void)state;
	/* no vtable of it is known: then nothing may be said of what the pointer leads to */
	assert_int_equal(field(&x.g->type[0], "stamp_")->kind, GUARD_PTR);
	drop(&x);
}

static void bounded(void **state)
{
	struct world x = build(LEASE, "fx::CachedLease", NULL, 2, 0);
	const struct guard_field *f;

	(void)state;
	assert_true(x.g->truncated);
	assert_int_equal(x.g->n_type, 2);
	f = field(&x.g->type[0], "parent_");
	assert_int_equal(f->kind, GUARD_OPAQUE);
	assert_non_null(strstr(f->reason, "deeper"));
	drop(&x);
	x = build(LEASE, "fx::CachedLease", NULL, 0, 1);
	assert_true(x.g->truncated);
	assert_int_equal(field(type_of(&x, "fx::Chunk"), "read_perf_")->kind, GUARD_OPAQUE);
	drop(&x);
}

static const struct writer_func *writer(const struct world *x, uint32_t type, const char *name)
{
	for (size_t i = 0; i < x->w->n_func; i++)
		if (x->w->func[i].type == type && !x->w->func[i].inlined &&
		    !strncmp(x->w->func[i].name, name, strlen(name)))
			return &x->w->func[i];
	return NULL;
}

static void mutators(void **state)
{
	struct world x = build(LEASE, "fx::CachedLease", protobuf(), 0, 0);
	const struct writer_func *f;

	(void)state;
	f = writer(&x, 1, "fx::Chunk::MergeImpl(");
	assert_int_equal(f->vaddr,
			 nm(LEASE ".full", "_ZN2fx5Chunk9MergeImplERN6google8protobuf7MessageERKS3_"));
	assert_int_equal(f->n_obj, 1);
	assert_int_equal(f->obj[0].arg, 0); /* static: `to` comes first */
	f = writer(&x, 1, "fx::Chunk::InternalSwap(");
	assert_int_equal(f->n_obj, 2);
	assert_int_equal(f->obj[1].arg, 1);
	assert_int_equal(writer(&x, 1, "fx::Chunk::~Chunk")->role, WRITER_DTOR);
	assert_int_equal(writer(&x, 1, "fx::Chunk::Chunk(")->role, WRITER_CTOR);
	assert_int_equal(writer(&x, 1, "fx::Chunk::Clear(")->role, WRITER_MUTATOR);
	assert_true(writer(&x, 0, "fx::Lease::Clear(")->of_base);
	assert_false(writer(&x, 0, "fx::CachedLease::~CachedLease")->of_base);
	/* readers, and members of classes that protoc did not write */
	assert_null(writer(&x, 1, "fx::Chunk::_InternalSerialize("));
	assert_null(writer(&x, 1, "fx::Chunk::ByteSizeLong("));
	assert_null(writer(&x, 0, "fx::CachedLease::Bump("));
	drop(&x);
}

static void inlined_destructors(void **state)
{
	struct world x = build(LEASE, "fx::CachedLease", protobuf(), 0, 0);
	uint64_t lo = nm(LEASE ".full", "_ZN2fx4DropEPNS_11CachedLeaseE");
	bool found = false;

	(void)state;
	for (size_t i = 0; i < x.w->n_func; i++) {
		const struct writer_func *f = &x.w->func[i];

		found |= f->inlined && f->role == WRITER_DTOR && f->type == 0 && f->vaddr >= lo &&
			 f->vaddr < lo + 48 && f->obj[0].reg == 5;
	}
	assert_true(found);
	assert_int_equal(x.w->dtors_uncovered, 0);
	drop(&x);
}

static bool licenses(const struct writer_site *s, const struct guard_type *t, const struct guard_field *f)
{
	size_t i = (size_t)(f - t->field);

	return s->covers[i / 64] >> (i % 64) & 1;
}

/* Each function of the fixture has one setter, whose object and field are known from its source. */
static void setter_sites(void **state)
{
	static const struct {
		const char *func, *type, *path;
		uint8_t reg; /* 255: any */
		int64_t delta;
	} want[] = {
		{"_ZN2fx5SetIdEPNS_5ChunkEj", "fx::Chunk", "id_", 5, 0},
		{"_ZN2fx7SetModeEPNS_5ChunkE", "fx::Chunk", "mode_", 255, 0},
		{"_ZN2fx8SetReadyEiPNS_5ChunkE", "fx::Chunk", "ready_", 4, 0},
		{"_ZN2fx8SetRatioEPNS_5ChunkEf", "fx::Chunk", "ratio_", 5, 0},
		{"_ZN2fx7ClearIdEPNS_5ChunkE", "fx::Chunk", "id_", 5, 0},
		{"_ZN2fx9AddMomentEPNS_5ChunkE", "fx::Chunk", "moment_", 5, 0},
		{"_ZN2fx7SetHeldEPNS_6HolderE", "fx::Chunk", "id_", 5, 16}, /* a message inside of a struct */
		{"_ZN2fx8SetEpochEPNS_11CachedLeaseEm", "fx::CachedLease", "epoch_", 5, 0},
		{"_ZN2fx8SetEpochEPNS_11CachedLeaseEm", "fx::Lease", "epoch_", 5, 0},
	};
	struct world x = build(LEASE, "fx::CachedLease", protobuf(), 0, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct guard_type *t = type_of(&x, want[i].type);
		const struct guard_field *f = field(t, want[i].path);
		unsigned hits = 0, in_range = 0;

		for (size_t k = 0; k < x.w->n_site; k++) {
			const struct writer_site *s = &x.w->site[k];

			if (strcmp(s->caller, want[i].func) != 0 || &x.g->type[s->type] != t)
				continue;
			hits++;
			if (!licenses(s, t, f))
				fail_msg("%s", want[i].func);
			for (size_t m = 0; m < t->n_field; m++)
				if (&t->field[m] != f && t->field[m].kind != GUARD_HAS_BITS &&
				    licenses(s, t, &t->field[m]))
					fail_msg("%s: %s", want[i].func, t->field[m].path);
			assert_true(want[i].reg == 255 || s->obj.reg == want[i].reg);
			assert_int_equal(s->obj.offs[0], want[i].delta);
			in_range += s->in_range;
		}
		/* compilers count one of the two stores, to the has-bits and of the value, to the caller */
		if (in_range != 1 || hits > 2)
			fail_msg("%u sites in %s, %u in the setter", hits, want[i].func, in_range);
	}
	drop(&x);
}

static void coverage_is_judged(void **state)
{
	struct world x = build(LEASE, "fx::CachedLease", protobuf(), 0, 0);
	const struct guard_type *c = type_of(&x, "fx::Chunk");

	(void)state;
	assert_true(field(c, "moment_")->shadow_judged);
	assert_true(field(c, "ratio_")->shadow_judged);
	assert_true(field(c, "id_")->shadow_judged); /* set on the stack, too: that object is in no cache */
	assert_int_equal(field(c, "id_")->inlined_writers, 4);
	/* the store has no base register: a change of the field may be legitimate and unseen */
	assert_false(field(c, "level_")->shadow_judged);
	assert_int_equal(field(c, "level_")->inlined_uncovered, 1);
	assert_non_null(strstr(field(c, "level_")->reason, "1 of 1"));
	/* pointers, counters and plain members never are */
	assert_false(field(c, "read_perf_")->shadow_judged || field(c, "_cached_size_")->shadow_judged);
	assert_false(field(&x.g->type[0], "hits_")->shadow_judged);
	drop(&x);
}

static void field_lookup(void **state)
{
	struct world x = build(LEASE, "fx::Perf", NULL, 0, 0);
	const struct guard_type *t = &x.g->type[0];
	int i = guard_field_at(t, field(t, "load_")->offset + 7);

	(void)state;
	assert_true(i >= 0);
	assert_string_equal(t->field[i].path, "load_");
	assert_int_equal(guard_field_at(t, t->size), GUARD_NONE);
	drop(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protobuf_3_layout),
		cmocka_unit_test(repeated_shapes),
		cmocka_unit_test(protobuf_2_layout),
		cmocka_unit_test(vtables_and_defaults),
		cmocka_unit_test(without_the_library),
		cmocka_unit_test(bounded),
		cmocka_unit_test(mutators),
		cmocka_unit_test(inlined_destructors),
		cmocka_unit_test(setter_sites),
		cmocka_unit_test(coverage_is_judged),
		cmocka_unit_test(field_lookup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
