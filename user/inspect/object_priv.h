/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Between the files that read an object. */
#ifndef CULPRIT_OBJECT_PRIV_H
#define CULPRIT_OBJECT_PRIV_H

#include "inspect/object.h"

/* One call of object_read(). */
struct reading {
	const struct known *k;
	const struct rule_mem *m;
	size_t n_nodes;
};

void value_scalar(const struct reading *r, struct object_value *v, const struct guard_field *g,
		  const uint8_t *bytes, uint32_t width);
void value_element(const struct reading *r, struct object_value *v, struct dbg_type elem,
		   const uint8_t *bytes, uint32_t width);
void value_string(const struct reading *r, struct object_value *v, uint64_t p);

/* A level of object_read(); type and addr as there. */
int object_level(struct object **ret, struct reading *r, unsigned type, uint64_t addr, unsigned depth);

#endif
