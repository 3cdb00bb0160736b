// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dwarf/lazy.h"
#include "dwarf/mentions.h"
#include "dwarf/unit_cache.h"
#include "dwarf/unit_names.h"
#include "util/grow.h"
#include "util/hash.h"

#define LAZY_BYTES                                                                                           \
	(32 << 20)    /* of .debug_info: what is smaller is walked in less time than it takes to search */
#define MAX_BELOW  4  /* pointers followed from a class */
#define MAX_WANTED 64 /* classes asked for at a time */

struct lazy_unit {
	uint64_t die; /* offset of its own entry */
	bool loaded;
};

struct lazy {
	struct lazy_unit *unit;
	size_t n;
	struct mentions m;
	int broken; /* why units could not be walked: nothing is known then */
	struct unit_cache cache;
	struct asked {
		uint64_t key; /* of a qualified name */
		UT_hash_handle hh;
	} * asked;
};

static size_t threshold = LAZY_BYTES;

void lazy_set_threshold(size_t bytes)
{
	threshold = bytes;
}

static bool find_section(Elf *elf, const char *name, struct section *ret)
{
	size_t strndx;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	*ret = (struct section){0};
	if (elf_getshdrstrndx(elf, &strndx))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *s = gelf_getshdr(scn, &sh) ? elf_strptr(elf, strndx, sh.sh_name) : NULL;
		Elf_Data *data;

		if (!s || strcmp(s, name) != 0 || sh.sh_type == SHT_NOBITS)
			continue;
		data = elf_rawdata(scn, NULL);
		if (!data || !data->d_buf || (sh.sh_flags & SHF_COMPRESSED))
			return false;
		*ret = (struct section){.p = data->d_buf, .size = data->d_size};
		return true;
	}
	return false;
}

/* elf_file_open() maps the file, and nobody writes to what is mapped; but libelf may have made a copy. */
static bool is_mapped(Elf *elf, const struct section *s)
{
	size_t size = 0;
	const uint8_t *file = (const uint8_t *)elf_rawfile(elf, &size);

	return file && s->p >= file && s->p + s->size <= file + size;
}

/* Do units refer to entries or strings of others? Then what a unit has is not told by its own bytes.
 * .debug_abbrev is a row of tables (DWARF 5, 7.5.3). */
static bool self_contained(const struct section *abbrev)
{
	const uint8_t *p = abbrev->p, *end = p + abbrev->size;
	uint64_t code, tag, at, form, ignored;

	while (p < end) {
		if (!unit_uleb(&p, end, &code))
			return false;
		if (!code)
			continue;
		if (!unit_uleb(&p, end, &tag) || p++ >= end)
			return false;
		if (tag == DW_TAG_partial_unit || tag == DW_TAG_imported_unit || tag == DW_TAG_type_unit)
			return false;
		do {
			if (!unit_uleb(&p, end, &at) || !unit_uleb(&p, end, &form))
				return false;
			if (form == DW_FORM_implicit_const && !unit_uleb(&p, end, &ignored))
				return false;
			if (form == DW_FORM_ref_addr || form == DW_FORM_ref_sig8 ||
			    form == DW_FORM_GNU_ref_alt || form == DW_FORM_GNU_strp_alt ||
			    form == DW_FORM_ref_sup4 || form == DW_FORM_ref_sup8 ||
			    form == DW_FORM_strp_sup || form == DW_FORM_strx ||
			    (form >= DW_FORM_strx1 && form <= DW_FORM_strx4) || form == DW_FORM_GNU_str_index)
				return false;
		} while (at || form);
	}
	return true;
}

static int read_units(struct lazy *l, Dwarf *dw)
{
	Dwarf_Off off = 0, next;
	size_t head;

	while (!dwarf_next_unit(dw, off, &next, &head, NULL, NULL, NULL, NULL, NULL, NULL)) {
		if (GROW(&l->unit, l->n) || GROW(&l->m.unit, l->n))
			return -ENOMEM;
		l->m.unit[l->n] = (struct mention_unit){.start = off, .end = next};
		l->unit[l->n++] = (struct lazy_unit){.die = off + head};
		if (next <= off || next > l->m.info.size)
			return -EINVAL;
		off = next;
	}
	return 0;
}

int lazy_open(struct lazy **ret, struct dbg *d)
{
	Elf *elf = dbg_elf(d);
	struct section info, str, abbrev, types;
	struct lazy *l;
	uint64_t key;
	int rc;

	*ret = NULL;
	if (d->alt || find_section(elf, ".debug_types", &types) || !find_section(elf, ".debug_info", &info) ||
	    info.size < threshold || !find_section(elf, ".debug_str", &str) ||
	    !find_section(elf, ".debug_abbrev", &abbrev) || !self_contained(&abbrev))
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->m.info = info;
	rc = read_units(l, d->dw);
	if (rc || !l->n) {
		lazy_close(l);
		return rc == -ENOMEM ? rc : 0; /* the walk over everything says what is wrong */
	}
	l->m.abbrev = abbrev;
	l->m.str = str;
	l->m.mapped = !d->inflated && is_mapped(elf, &info) && is_mapped(elf, &str);
	l->m.n_units = l->n;
	key = bytes_hash(bytes_hash(NAME_SEED, &info.size, sizeof(info.size)), &str.size, sizeof(str.size));
	rc = unit_cache_open(&l->cache, elf_file_build_id_hex(d->bin), key, l->n);
	*ret = l;
	return rc;
}

void lazy_close(struct lazy *l)
{
	struct asked *a, *next;

	if (!l)
		return;
	unit_cache_close(&l->cache);
	HASH_ITER (hh, l->asked, a, next) {
		HASH_DEL(l->asked, a);
		free(a);
	}
	mentions_deinit(&l->m);
	free(l->unit);
	free(l);
}

size_t lazy_n_units(const struct lazy *l)
{
	return l->n;
}

bool lazy_unit(const struct lazy *l, size_t i, Dwarf *dw, Dwarf_Die *die)
{
	return l->unit[i].loaded && dwarf_offdie(dw, l->unit[i].die, die);
}

/* A part of a qualified name as it is searched for; "": it says nothing, since short names stand in the entry
 * itself. */
static void search_name(const struct part *part, char *buf, size_t len)
{
	const char *angle = memchr(part->p, '<', part->n);
	size_t head = angle ? (size_t)(angle - part->p) : part->n, n = part->n;

	buf[0] = '\0';
	if (!strncmp(part->p, "operator", 8) || head < MENTION_MIN || *part->p == '(' || *part->p == '{' ||
	    memchr(part->p, ' ', head) || (!angle && n >= len))
		return;
	if (angle &&
	    (n >= len || part->p[n - 1] != '>' || memchr(part->p, '\n', n) || memchr(part->p, '\t', n)))
		n = head + 1; /* the begin must do */
	memcpy(buf, part->p, n);
	buf[n] = '\0';
}

struct hits {
	uint64_t **bits; /* of each name */
};

static void hit(void *ctx, size_t name, size_t unit)
{
	struct hits *h = ctx;

	h->bits[name][unit / 64] |= 1ULL << (unit % 64);
}

/* Asked for by all that makes plans, sooner or later: looked for along with the first names. */
static const char *const usual[] = {"google", "protobuf", "RpcChannel", "CallMethod", "Service"};

#define N_USUAL	   (sizeof(usual) / sizeof(usual[0]))
#define MAX_SEARCH (4 * MAX_WANTED)

static void add_wanted(const struct lazy *l, const char *name, const char **want, size_t *n)
{
	bool seen = !*name || *n == MAX_SEARCH || unit_cache_find(&l->cache, name);

	for (size_t i = 0; i < *n && !seen; i++)
		seen = !strcmp(want[i], name);
	if (!seen)
		want[(*n)++] = name;
}

/* Searches for those of the names that are not known yet, all in one pass. */
static int learn(struct lazy *l, char (*name)[MENTION_MAX], size_t n)
{
	const char *want[MAX_SEARCH];
	uint64_t *bits[MAX_SEARCH];
	struct hits h = {.bits = bits};
	size_t n_want = 0;
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		add_wanted(l, name[i], want, &n_want);
	for (size_t i = 0; i < N_USUAL && n_want; i++)
		add_wanted(l, usual[i], want, &n_want);
	if (!n_want)
		return 0;
	for (size_t i = 0; i < n_want; i++) {
		bits[i] = calloc((l->n + 63) / 64, sizeof(**bits));
		rc = bits[i] ? rc : -ENOMEM;
	}
	rc = rc ? rc : mentions_find(&l->m, want, n_want, hit, &h);
	for (size_t i = 0; i < n_want; i++) {
		if (rc)
			free(bits[i]);
		else
			rc = unit_cache_add(&l->cache, want[i], bits[i]);
	}
	return rc;
}

/* Marks the units with all of the names; true: some are new. */
static bool mark(struct lazy *l, char (*name)[MENTION_MAX], size_t n)
{
	bool news = false;

	for (size_t u = 0; u < l->n; u++) {
		bool in = true;

		for (size_t i = 0; i < n && in; i++) {
			const struct unit_set *s = name[i][0] ? unit_cache_find(&l->cache, name[i]) : NULL;

			in = !s || (s->bits[u / 64] >> (u % 64) & 1);
		}
		if (in && !l->unit[u].loaded)
			news = l->unit[u].loaded = true;
	}
	return news;
}

/* Everything that was made of the nodes is made again; the functions' tables at their next need. */
static int walk_again(struct dbg *d)
{
	int rc;

	types_free(d);
	d->types = NULL;
	index_free(d);
	free(d->code);
	d->code = NULL;
	d->n_code = 0;
	d->have_code = false;
	rc = index_build(d, NULL);
	if (rc) /* half an index would say that what it lacks is not there */
		index_free(d);
	d->lazy->broken = rc;
	return rc;
}

int lazy_want(struct dbg *d, const struct part *parts, size_t n)
{
	char name[MAX_DEPTH][MENTION_MAX];
	int rc;

	if (!d->lazy || d->lazy->broken)
		return d->lazy ? d->lazy->broken : 0;
	for (size_t i = 0; i < n; i++)
		search_name(&parts[i], name[i], sizeof(name[i]));
	rc = learn(d->lazy, name, n);
	if (rc)
		return rc;
	return mark(d->lazy, name, n) ? walk_again(d) : 0;
}

int lazy_want_all(struct dbg *d)
{
	bool news = false;

	if (d->lazy && d->lazy->broken)
		return d->lazy->broken;
	for (size_t i = 0; d->lazy && i < d->lazy->n; i++) {
		news |= !d->lazy->unit[i].loaded;
		d->lazy->unit[i].loaded = true;
	}
	return news ? walk_again(d) : 0;
}

/* Classes to be looked for in other units, by their qualified names. */
struct below {
	struct dbg *d;
	const char *want[MAX_WANTED];
	size_t n;
	struct asked *seen; /* entries looked at */
};

/* true: it is new in the set. */
static bool add_key(struct asked **set, uint64_t key)
{
	struct asked *a;

	HASH_FIND(hh, *set, &key, sizeof(key), a);
	if (a)
		return false;
	a = calloc(1, sizeof(*a));
	if (!a)
		return false;
	a->key = key;
	HASH_ADD(hh, *set, key, sizeof(a->key), a);
	return true;
}

static void want_class(struct below *b, Dwarf_Die *die)
{
	uint32_t n = node_of(b->d, die_id(b->d, die));
	const char *name = n ? node_qualified(b->d, n) : "";

	if (!*name || b->n == MAX_WANTED || strstr(name, "(anonymous)"))
		return;
	if (add_key(&b->d->lazy->asked, name_hash(NAME_SEED, name, strlen(name))))
		b->want[b->n++] = name;
}

static void look_below(struct below *b, Dwarf_Die *type, int pointers);

static void look_at_type_of(struct below *b, Dwarf_Die *die, int pointers)
{
	Dwarf_Die type;

	if (type_of(b->d, die, &type))
		look_below(b, &type, pointers);
}

/* Members of a base may be inlined where the class itself is not mentioned. Those of the libraries' own bases
 * write nothing that is judged, and are everywhere. */
static bool is_library(const char *name)
{
	static const char *const library[] = {"google::protobuf::", "std::", "__gnu_cxx::", "__cxxabiv1::"};

	for (size_t i = 0; i < sizeof(library) / sizeof(library[0]); i++)
		if (!strncmp(name, library[i], strlen(library[i])))
			return true;
	return false;
}

/* Does the class derive from google::protobuf::MessageLite? */
static bool is_message(struct dbg *d, Dwarf_Die *cls, int depth)
{
	Dwarf_Die c, base;

	for (int more = depth < MAX_DEPTH ? die_child(cls, &c) : 0; more > 0; more = die_next(&c)) {
		const char *name;
		uint32_t n;

		if (dwarf_tag(&c) != DW_TAG_inheritance || !type_of(d, &c, &base))
			continue;
		n = node_of(d, die_id(d, &base));
		name = n ? node_qualified(d, n) : "";
		if (!strcmp(name, "google::protobuf::MessageLite") ||
		    !strcmp(name, "google::protobuf::Message") || is_message(d, &base, depth + 1))
			return true;
	}
	return false;
}

static void look_at_base(struct below *b, Dwarf_Die *cls, Dwarf_Die *base, int pointers)
{
	const char *name;
	Dwarf_Die type;
	uint32_t n;

	if (!type_of(b->d, base, &type))
		return;
	n = node_of(b->d, die_id(b->d, &type));
	name = n ? node_qualified(b->d, n) : "";
	if (!strcmp(name, "google::protobuf::Message") || !strcmp(name, "google::protobuf::MessageLite"))
		want_class(b, cls); /* a message, guarded with what holds it: its setters may be anywhere */
	if (!is_library(name))
		want_class(b, &type);
	else if (die_declaration(&type))
		return;
	look_below(b, &type, pointers);
}

static void look_below(struct below *b, Dwarf_Die *type, int pointers)
{
	int tag = dwarf_tag(type);
	Dwarf_Die c;

	if (tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type || tag == DW_TAG_array_type) {
		pointers += tag != DW_TAG_array_type;
		if (pointers <= MAX_BELOW)
			look_at_type_of(b, type, pointers);
		return;
	}
	if (!is_class_tag(tag) || !add_key(&b->seen, die_id(b->d, type)))
		return;
	if (die_declaration(type)) {
		want_class(b, type);
		return;
	}
	if (pointers && !is_message(b->d, type, 0))
		return; /* a plain pointer is not followed */
	for (int more = die_child(type, &c); more > 0; more = die_next(&c)) {
		int child = dwarf_tag(&c);

		if (child == DW_TAG_inheritance)
			look_at_base(b, type, &c, pointers);
		else if (child == DW_TAG_member && !die_flag(&c, DW_AT_external))
			look_at_type_of(b, &c, pointers);
		else if ((child == DW_TAG_template_type_parameter ||
			  (child == DW_TAG_subprogram && !strcmp(die_name(&c), "Get"))) &&
			 pointers < MAX_BELOW)
			look_at_type_of(b, &c, pointers + 1);
	}
}

static int want_names(struct dbg *d, const char *const *want, size_t n)
{
	char name[MAX_WANTED][MENTION_MAX];
	bool news = false;
	int rc = 0;

	/* one pass over the sections for all of them */
	for (size_t i = 0; i < n; i++) {
		struct part parts[MAX_DEPTH];
		size_t n_parts = name_split(want[i], parts, MAX_DEPTH);

		search_name(&parts[n_parts - 1], name[i], sizeof(name[i]));
	}
	rc = learn(d->lazy, name, n);
	for (size_t i = 0; i < n && !rc; i++) {
		struct part parts[MAX_DEPTH];
		size_t n_parts = name_split(want[i], parts, MAX_DEPTH);
		char one[MAX_DEPTH][MENTION_MAX];

		for (size_t k = 0; k < n_parts; k++)
			search_name(&parts[k], one[k], sizeof(one[k]));
		rc = learn(d->lazy, one, n_parts);
		news |= !rc && mark(d->lazy, one, n_parts);
	}
	return rc ? rc : news ? walk_again(d) : 0;
}

int lazy_want_below(struct dbg *d, struct dbg_type cls)
{
	int rc = 0;

	for (int round = 0; d->lazy && round < 8 && !rc; round++) {
		struct below b = {.d = d};
		struct asked *a, *next;
		Dwarf_Die die;

		if (die_at(d, cls.die, &die) && type_peel(d, &die, &die)) {
			if (!round)
				want_class(&b, &die);
			look_below(&b, &die, 0);
		}
		HASH_ITER (hh, b.seen, a, next) {
			HASH_DEL(b.seen, a);
			free(a);
		}
		if (!b.n)
			break;
		rc = want_names(d, b.want, b.n);
	}
	return rc;
}
