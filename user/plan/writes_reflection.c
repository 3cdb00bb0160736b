// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reflection: protobuf's own code writes fields of any message by its description. Its members that may write
 * take the message as a pointer that is not const, first; swaps take another one. They stand in protobuf's
 * library, or in the binary if that is linked in.
 */
#include <errno.h>
#include <string.h>

#include "dwarf/dbg.h"
#include "plan/writes_priv.h"

#define ARG1_REG 4 /* rsi, DWARF's number; arg0 is the Reflection */
#define ARG2_REG 1 /* rdx */

struct scan {
	struct writes_plan *p;
	const struct writes_plan_in *in;
	size_t found;
	int ret;
	struct err *err;
};

/* Messages that a member of Reflection may write, by its demangled name: 0, 1 or 2 of them. */
static unsigned writes(const char *name)
{
	static const char *const cls[] = {"google::protobuf::Reflection::",
					  "google::protobuf::internal::GeneratedMessageReflection::"};
	/* write no field by themselves: iterators over maps, pointers to elements, and helpers of those that
	 * do */
	static const char *const not_these[] = {"MapBegin",
						"MapEnd",
						"MutableMapData",
						"MutableHasBits",
						"MutableOneofCase",
						"MutableInternalMetadata",
						"MutableExtensionSet",
						"MutableRepeatedMessage",
						"SetBit",
						"ClearBit",
						"SwapBit"};
	static const char message[] = "google::protobuf::Message*";
	const char *p = NULL;

	for (size_t i = 0; i < sizeof(cls) / sizeof(cls[0]) && !p; i++)
		if (!strncmp(name, cls[i], strlen(cls[i])))
			p = name + strlen(cls[i]);
	for (size_t i = 0; p && i < sizeof(not_these) / sizeof(not_these[0]); i++)
		if (!strncmp(p, not_these[i], strlen(not_these[i])) && p[strlen(not_these[i])] == '(')
			return 0;
	p = p ? strchr(p, '(') : NULL;
	if (!p || strncmp(p + 1, message, strlen(message)) != 0)
		return 0;
	p += 1 + strlen(message);
	return !strncmp(p, ", ", 2) && !strncmp(p + 2, message, strlen(message)) ? 2 : 1;
}

static int one(void *ctx, const struct elf_sym *sym)
{
	struct scan *s = ctx;
	struct plan_row row = {.vaddr = sym->vaddr, .size = sym->size, .role = WR_ROLE_MUTATE};
	char name[1024];

	if (!sym->defined || strncmp(sym->name, "_ZN", 3) != 0 || !strstr(sym->name, "Reflection"))
		return 0;
	dbg_demangle(sym->name, name, sizeof(name));
	row.n_obj = writes(name);
	if (!row.n_obj)
		return 0;
	row.function = name;
	row.obj[0] = (struct arg_path){.reg = ARG1_REG, .arg = 1};
	row.obj[1] = (struct arg_path){.reg = ARG2_REG, .arg = 2};
	s->found++;
	s->ret = plan_add_row(s->p, s->in, &row, s->err);
	return s->ret;
}

static bool is_protobuf(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !strncmp(slash ? slash + 1 : path, "libprotobuf.so", 14);
}

int plan_add_reflection(struct writes_plan *p, const struct writes_plan_in *in, struct err *err)
{
	struct scan s = {.p = p, .in = in, .err = err};
	bool messages = false;

	for (unsigned t = 0; t < p->n_types; t++)
		messages |= p->info[t].guard->message;
	if (!messages)
		return 0;
	dbg_for_each_symbol(in->dbg, one, &s);
	for (size_t i = 0; !s.ret && !s.found && i < in->n_modules; i++) {
		struct writes_plan_in mine = *in;

		if (!is_protobuf(in->module[i].name))
			continue;
		mine.at = (unsigned)i + 1;
		s.in = &mine;
		elf_for_each_dynsym(in->module[i].file, one, &s);
	}
	if (!s.ret && !s.found)
		return plan_note(
			p, "no functions of protobuf's reflection were found: changes made by it, if the "
			   "program uses it, have no known writer");
	return s.ret;
}
