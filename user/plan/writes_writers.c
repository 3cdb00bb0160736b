// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The legitimate writers of the guarded types, and which of them need a probe. */
#include <string.h>

#include "plan/writes_priv.h"

#define RESERVED 1024 /* probes kept for the functions of further caches */

/*
 * Inlined in a destructor that has a probe itself, as a member's destructor is in its holder's: what is
 * destroyed there has been forgotten with the holder.
 */
static bool ends_with_holder(const struct writes_plan_in *in, const struct writers *w,
			     const struct writer_func *f)
{
	const struct elf_sym *sym =
		f->role == WRITER_DTOR && f->inlined ? dbg_symbol_at(in->dbg, f->vaddr) : NULL;

	for (size_t i = 0; sym && i < w->n_func; i++) {
		if (w->func[i].role == WRITER_DTOR && !w->func[i].inlined && w->func[i].vaddr == sym->vaddr)
			return true;
	}
	return false;
}

/* The class that a member function's name begins with: "A::B<X::Y>" of "A::B<X::Y>::f(int)". Returns its
 * length. */
static size_t class_len(const char *name)
{
	size_t len = 0;
	int depth = 0;

	for (size_t i = 0; name[i] && (depth || name[i] != '('); i++) {
		if (name[i] == '<')
			depth++;
		else if (name[i] == '>')
			depth--;
		else if (!depth && name[i] == ':' && name[i + 1] == ':')
			len = i;
	}
	return len;
}

/* A base that declares none of the judged fields (a reference count, say) needs no licence. */
static bool needs_licence(const struct writes_plan *p, uint32_t type, const struct writer_func *f)
{
	const struct wr_type *t = &p->type[type];
	size_t len = class_len(f->name);

	if (f->role != WRITER_MUTATOR || !f->of_base)
		return true;
	for (unsigned i = 0; i < t->n_fields; i++) {
		const char *owner = plan_guard_field(p, type, i)->owner;

		if ((p->field[t->first_field + i].flags & WR_FF_SHADOW) && strlen(owner) == len &&
		    !strncmp(owner, f->name, len))
			return true;
	}
	return false;
}

/*
 * The type itself is built here, and nothing else tells of its objects: they are followed from now on. A
 * message's arena comes first in what protoc writes since 3.0; one on it ends without a destructor.
 */
static void make_birth(struct plan_row *row)
{
	const char *args = row->function + class_len(row->function);
	struct arg_path arena = {.reg = 4, .arg = 1}; /* rsi */

	args += strcspn(args, "(");
	row->role = WR_ROLE_BIRTH;
	row->n_obj = 1;
	if (!strncmp(args, "(google::protobuf::Arena*", 25))
		row->obj[row->n_obj++] = arena;
}

int plan_add_writers(struct writes_plan *p, const struct plan_part *part, bool check_too, struct err *err)
{
	const struct writes_plan_in *in = &part->in;
	const struct writers *w = part->w;

	for (size_t i = 0; i < w->n_func; i++) {
		const struct writer_func *f = &w->func[i];
		const struct elf_sym *sym = f->inlined ? NULL : dbg_symbol_at(in->dbg, f->vaddr);
		struct plan_row row = {.function = f->name,
				       .vaddr = f->vaddr,
				       .size = sym ? sym->size : 0,
				       .inlined = f->inlined,
				       .type = part->type[f->type],
				       .n_obj = f->n_obj};
		int ret;

		if (row.type == PLAN_NO_TYPE || ends_with_holder(in, w, f) || !needs_licence(p, row.type, f))
			continue;
		memcpy(row.obj, f->obj, sizeof(row.obj));
		row.role = f->role == WRITER_CTOR   ? WR_ROLE_CREATE
			   : f->role == WRITER_DTOR ? WR_ROLE_DESTROY
						    : WR_ROLE_MUTATE;
		if (check_too && f->role == WRITER_CTOR && f->type == 0 && !f->of_base && f->n_obj == 1 &&
		    !f->inlined)
			make_birth(&row);
		p->births |= row.role == WR_ROLE_BIRTH;
		if (check_too && f->role == WRITER_MUTATOR && f->type == 0)
			row.role = WR_ROLE_ALTER;
		ret = plan_add_row(p, in, &row, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* The type's fields in the kernel's table that the site licenses. false: none of them, or judged ones were
 * asked for and none is. */
static bool fields_of(const struct writes_plan *p, const struct plan_part *part, unsigned type,
		      const struct writer_site *s, uint64_t fields[WR_MAX_TYPE_FIELDS / 64])
{
	const struct guard_type *seen = &part->g->type[s->type]; /* as the part's module describes it */
	bool judged = part->in.setters != SETTERS_ALL;
	const struct wr_type *t = &p->type[type];
	bool found = false;

	for (unsigned i = 0; i < t->n_fields; i++) {
		const struct guard_field *f = plan_same_field(seen, plan_guard_field(p, type, i));
		size_t g = f ? (size_t)(f - seen->field) : WRITER_FIELD_WORDS * 64;

		if (g >= WRITER_FIELD_WORDS * 64 || !(s->covers[g / 64] >> (g % 64) & 1))
			continue;
		fields[i / 64] |= 1ull << (i % 64);
		found |= !judged || (p->field[t->first_field + i].flags & WR_FF_SHADOW);
	}
	return found;
}

/* Does type a contain type b, as nodes? */
static bool contains(const struct writes_plan *p, unsigned a, unsigned b, unsigned depth)
{
	const struct wr_type *t = &p->type[a];

	if (a == b)
		return true;
	for (uint32_t i = 0; depth && i < t->n_children; i++) {
		unsigned c = p->field[t->first_field + t->child[i]].pointee;

		if (c < p->n_types && contains(p, c, b, depth - 1))
			return true;
	}
	return false;
}

/* Members of generated messages that write their own object and what it contains, nothing else. */
static bool writes_its_own(const char *function)
{
	static const char *const name[] = {
		"Clear",	"MergeFrom", "MergeImpl",      "CopyFrom",
		"InternalSwap", "Swap",	     "_InternalParse", "MergePartialFromCodedStream",
		"SharedCtor",	"SharedDtor"};
	const char *f = function + class_len(function);
	size_t len;

	f += strncmp(f, "::", 2) ? 0 : 2;
	len = strcspn(f, "(");
	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		if (strlen(name[i]) == len && !strncmp(name[i], f, len))
			return true;
	}
	return false;
}

/* Inlined in a writer of a message that contains this one: its licence covers what it contains. */
static bool licensed_by_holder(const struct writes_plan *p, const struct plan_part *part,
			       const struct writer_site *s)
{
	const struct elf_sym *sym = dbg_symbol_at(part->in.dbg, s->vaddr);
	const struct writers *w = part->w;

	for (size_t i = 0; sym && i < w->n_func; i++) {
		const struct writer_func *f = &w->func[i];

		if (!f->inlined && f->vaddr == sym->vaddr && f->role == WRITER_MUTATOR &&
		    writes_its_own(f->name) && part->type[f->type] != PLAN_NO_TYPE &&
		    contains(p, part->type[f->type], part->type[s->type], WR_PATH_DEPTH))
			return true;
	}
	return false;
}

/* No room for the site's probe: its fields' changes are not judged. */
static void unjudge(struct writes_plan *p, unsigned type, const uint64_t fields[WR_MAX_TYPE_FIELDS / 64])
{
	const struct wr_type *t = &p->type[type];

	for (unsigned i = 0; i < t->n_fields; i++) {
		struct wr_field *f = &p->field[t->first_field + i];

		if (!(fields[i / 64] >> (i % 64) & 1) || !(f->flags & WR_FF_SHADOW))
			continue;
		f->flags &= (uint8_t)~WR_FF_SHADOW;
		p->coverage.judged--;
		p->coverage.changes++;
	}
}

int plan_add_stores(struct writes_plan *p, const struct plan_part *part, struct err *err)
{
	const struct writes_plan_in *in = &part->in;
	const struct writers *w = part->w;
	unsigned left_out = 0;

	for (size_t i = 0; i < w->n_site; i++) {
		const struct writer_site *s = &w->site[i];
		struct plan_row row = {.function = s->setter,
				       .vaddr = s->vaddr,
				       .inlined = true,
				       .role = WR_ROLE_STORE,
				       .type = part->type[s->type],
				       .n_obj = 1};
		int ret;

		if (row.type == PLAN_NO_TYPE || !fields_of(p, part, row.type, s, row.fields) ||
		    licensed_by_holder(p, part, s))
			continue;
		if (p->n_probes + RESERVED > WR_MAX_PROBES) {
			unjudge(p, row.type, row.fields);
			left_out++;
			continue;
		}
		row.obj[0] = s->obj;
		ret = plan_add_row(p, in, &row, err);
		if (ret)
			return ret;
	}
	return left_out ? plan_note(p,
				    "%u instructions of inlined setters have no probe: more than %d probes "
				    "are not set; changes of their fields are not judged",
				    left_out, WR_MAX_PROBES - RESERVED)
			: 0;
}
