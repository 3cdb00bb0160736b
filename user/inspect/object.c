// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/object_priv.h"

/* Index into k->type of what a field leads to; -1: it leads to no object. */
static int64_t target_type(const struct object *o, const struct guard_field *g)
{
	if (g->elem == GUARD_NONE || !g->proto || g->in_union)
		return -1;
	return (int64_t)o->type->base + g->elem;
}

static void broken(struct object_field *f, unsigned reason, int elem, uint64_t addr, uint64_t word,
		   uint64_t pointee)
{
	if (f->bad)
		return; /* the first one stands for all of the field */
	f->bad = reason;
	f->bad_elem = elem;
	f->bad_addr = addr;
	f->bad_word = word;
	f->pointee = pointee;
}

/* Follows a good pointer to a message one level down. */
static int follow(struct object **ret, struct reading *r, int64_t type, uint64_t p, unsigned depth)
{
	int rc;

	*ret = NULL;
	if (!p || type < 0 || !depth || r->n_nodes >= OBJECT_MAX_NODES)
		return 0;
	rc = object_level(ret, r, (unsigned)type, p, depth - 1);
	return rc == -EFAULT ? 0 : rc;
}

static int read_message_ptr(struct reading *r, const struct object *o, struct object_field *f, unsigned depth)
{
	f->child = calloc(1, sizeof(*f->child));
	if (!f->child)
		return -ENOMEM;
	f->n_children = 1;
	return f->bad ? 0 : follow(&f->child[0], r, target_type(o, f->guard), f->value.word, depth);
}

/* A pointer that is an element: never NULL, and right. */
static int read_pointer_element(struct reading *r, const struct object *o, struct object_field *f, size_t i,
				uint64_t at, unsigned depth)
{
	struct wr_field rule = {.kind = f->guard->elem == GUARD_NONE ? WR_F_STRING_PTR : WR_F_MESSAGE,
				.pointee = f->known->rule.pointee,
				.width = 8};
	int64_t type = target_type(o, f->guard);
	struct object_value *v = &f->elem[i];
	uint64_t pointee = 0;
	unsigned bad = v->word ? rule_pointer(r->m, &rule, 0, v->word, &pointee) : WR_BAD_POINTER;

	if (f->known->has_rule && bad)
		broken(f, bad, (int)i, at, v->word, pointee);
	if (f->guard->elem == GUARD_NONE) {
		value_string(r, v, v->word);
		return 0;
	}
	v->kind = VALUE_PTR;
	return bad ? 0 : follow(&f->child[i], r, type, v->word, depth);
}

static int read_elements(struct reading *r, const struct object *o, struct object_field *f, uint64_t block,
			 unsigned depth)
{
	const struct guard_repeated *rep = &f->guard->rep;
	size_t n = f->current < OBJECT_MAX_ELEMS ? (size_t)f->current : OBJECT_MAX_ELEMS;
	bool pointers = f->guard->kind == GUARD_REPEATED_PTR;
	struct dbg_type_info info = {0};
	uint8_t bytes[8];
	int rc = 0;

	f->elem = calloc(n + 1, sizeof(*f->elem));
	f->child = pointers ? calloc(n + 1, sizeof(*f->child)) : NULL;
	if (!f->elem || (pointers && !f->child))
		return -ENOMEM;
	f->n_children = pointers ? n : 0;
	if (!pointers && f->guard->type.die)
		dbg_type_info(r->k->dbg, f->guard->type, &info);
	for (size_t i = 0; !rc && i < n; i++) {
		uint64_t at = block + rep->header + i * rep->elem_size;

		memset(bytes, 0, sizeof(bytes));
		if (rep->elem_size > sizeof(bytes) ||
		    r->m->read(r->m->ctx, at, bytes, rep->elem_size) != (ssize_t)rep->elem_size) {
			if (f->known->has_rule && rep->elem_size <= sizeof(bytes))
				broken(f, WR_BAD_POINTER, (int)i, f->addr + (uint32_t)rep->pointer, block, 0);
			break;
		}
		f->n_elems++;
		if (!pointers) {
			value_element(r, &f->elem[i], info.target, bytes, rep->elem_size);
			continue;
		}
		memcpy(&f->elem[i].word, bytes, 8);
		rc = read_pointer_element(r, o, f, i, at, depth);
	}
	return rc;
}

static int32_t count_of(const uint8_t *bytes, int32_t off)
{
	int32_t v = -1;

	if (off != GUARD_NONE)
		memcpy(&v, bytes + off, sizeof(v));
	return v;
}

static int read_repeated(struct reading *r, const struct object *o, struct object_field *f,
			 const uint8_t *node, unsigned depth)
{
	const struct guard_repeated *rep = &f->guard->rep;
	const uint8_t *bytes = node + f->guard->offset;
	uint32_t off = 0, width = 0;
	uint64_t block = 0, word = 0;

	f->current = count_of(bytes, rep->current);
	f->total = count_of(bytes, rep->total);
	f->allocated = count_of(bytes, rep->allocated);
	if (rep->pointer != GUARD_NONE)
		memcpy(&block, bytes + rep->pointer, 8);
	if (rep->rep_allocated != GUARD_NONE && f->total > 0 &&
	    r->m->read(r->m->ctx, block + (uint32_t)rep->rep_allocated, &f->allocated, 4) != 4)
		f->allocated = -1;
	if (f->known->has_rule) {
		unsigned bad = rule_repeated(r->m, &f->known->rule, node, &off, &width);

		memcpy(&word, node + off, width);
		if (bad)
			broken(f, bad, -1, o->addr + off, word, 0);
	}
	if (f->bad || f->current <= 0 || rep->pointer == GUARD_NONE)
		return 0;
	return read_elements(r, o, f, block, depth);
}

static int read_field(struct reading *r, const struct object *o, struct object_field *f, const uint8_t *node,
		      unsigned depth)
{
	const struct guard_field *g = f->guard;
	const uint8_t *bytes = node + g->offset;
	uint64_t pointee = 0;
	unsigned bad;

	value_scalar(r, &f->value, g, bytes, g->width);
	if (g->kind == GUARD_REPEATED || g->kind == GUARD_REPEATED_PTR)
		return read_repeated(r, o, f, node, depth);
	if (f->known->has_rule) {
		bad = rule_value(&f->known->rule, f->value.word);
		if (!bad)
			bad = rule_pointer(r->m, &f->known->rule, (unsigned)(o->type - r->k->type),
					   f->value.word, &pointee);
		if (bad)
			broken(f, bad, -1, f->addr, f->value.word, pointee);
	}
	if (g->in_union) /* which of them counts is not known: bytes only, and nothing is followed */
		return 0;
	if (g->kind == GUARD_STRING_PTR)
		value_string(r, &f->value, f->value.word);
	else if (g->kind == GUARD_ARENA_STRING)
		value_string(r, &f->value, f->value.word & ~(uint64_t)g->tag_mask);
	else if (g->kind == GUARD_STRING)
		value_string(r, &f->value, f->addr);
	else if (g->kind == GUARD_MSG_PTR)
		return read_message_ptr(r, o, f, depth);
	return 0;
}

static void read_has(struct object *o)
{
	for (size_t i = 0; i < o->n_fields; i++) {
		int bit = o->field[i].known->bit, word = -1;

		for (size_t k = 0; bit >= 0 && k < o->n_fields; k++) {
			/* the words of has-bits follow each other */
			if (o->field[k].guard->kind != GUARD_HAS_BITS || ++word != bit / 32)
				continue;
			o->field[i].has = (int)(o->field[k].value.word >> (bit % 32) & 1);
			break;
		}
	}
}

static int read_fields(struct reading *r, struct object *o, const uint8_t *node, size_t len, unsigned depth)
{
	const struct guard_type *t = o->type->guard;
	int rc = 0;

	o->field = calloc(t->n_field + 1, sizeof(*o->field));
	if (!o->field)
		return -ENOMEM;
	for (size_t i = 0; !rc && i < t->n_field; i++) {
		struct object_field *f = &o->field[o->n_fields];

		if ((uint64_t)t->field[i].offset + t->field[i].width > len) {
			o->unreadable = true;
			continue;
		}
		o->n_fields++;
		f->guard = &t->field[i];
		f->known = &o->type->field[i];
		f->addr = o->addr + f->guard->offset;
		f->has = f->bad_elem = -1;
		rc = read_field(r, o, f, node, depth);
	}
	read_has(o);
	return rc;
}

int object_level(struct object **ret, struct reading *r, unsigned type, uint64_t addr, unsigned depth)
{
	uint32_t size = r->k->type[type].guard->size;
	struct object *o;
	uint64_t vptr;
	uint8_t *node;
	ssize_t got;
	int rc = -ENOMEM;

	*ret = NULL;
	if (!size || size > OBJECT_MAX_SIZE)
		return -EFAULT;
	r->n_nodes++;
	o = calloc(1, sizeof(*o));
	node = calloc(1, size + 8);
	if (!o || !node)
		goto out;
	rc = -EFAULT;
	got = r->m->read(r->m->ctx, addr, node, size);
	if (got <= 0)
		goto out;
	o->type = &r->k->type[type];
	o->addr = addr;
	memcpy(&vptr, node, 8);
	o->cls = known_class(r->k, vptr);
	rc = read_fields(r, o, node, (size_t)got, depth);
	if (rc)
		goto out;
	*ret = o;
	o = NULL;
out:
	object_free(o);
	free(node);
	return rc;
}

int object_read(struct object **ret, const struct known *k, const struct rule_mem *m, unsigned type,
		uint64_t addr, unsigned depth)
{
	struct reading r = {.k = k, .m = m};

	return object_level(ret, &r, type, addr, depth < OBJECT_MAX_DEPTH ? depth : OBJECT_MAX_DEPTH);
}

void object_free(struct object *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n_fields; i++) {
		struct object_field *f = &o->field[i];

		for (size_t k = 0; k < f->n_children; k++)
			object_free(f->child[k]);
		for (size_t k = 0; k < f->n_elems; k++)
			free(f->elem[k].text);
		free(f->child);
		free(f->elem);
		free(f->value.text);
	}
	free(o->field);
	free(o);
}
