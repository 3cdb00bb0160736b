// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "writes/crash.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So long before its death, a check by the dying thread counts as what it did last. */
#define BEFORE_NS    5000000000ull
#define NEAR_ADDRESS 4096 /* a member of what a wild pointer points to is not farther away */

struct crash_watch {
	pid_t pid;
	struct crash_signal *sig[CRASH_KEPT]; /* newest last */
	size_t n;
	struct crash_node node[CRASH_NODES]; /* of the newest signal */
	size_t n_nodes;
	struct crash_node next[CRASH_NODES]; /* of the signal whose record is still to come */
	size_t n_next;
	bool fatal, settled;
	int exit_code;
};

int crash_watch_create(struct crash_watch **ret, pid_t pid, struct err *err)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return err_set(err, -ENOMEM, "out of memory");
	(*ret)->pid = pid;
	(*ret)->exit_code = -1;
	return 0;
}

void crash_watch_destroy(struct crash_watch *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		free(c->sig[i]);
	free(c);
}

static void keep_signal(struct crash_watch *c, const struct crash_signal *s)
{
	struct crash_signal *copy;

	if (c->fatal || s->hdr.size < CRASH_SIGNAL_HEAD || s->hdr.size > sizeof(*s) ||
	    s->stack.len > s->hdr.size - CRASH_SIGNAL_HEAD)
		return;
	copy = calloc(1, sizeof(*copy));
	if (!copy)
		return;
	memcpy(copy, s, s->hdr.size);
	if (c->n == CRASH_KEPT) {
		free(c->sig[0]);
		memmove(c->sig, c->sig + 1, (CRASH_KEPT - 1) * sizeof(c->sig[0]));
		c->n--;
	}
	c->sig[c->n++] = copy;
	memcpy(c->node, c->next, sizeof(c->node));
	c->n_nodes = c->n_next;
	c->n_next = 0;
	c->fatal = !s->handler;
}

void crash_record(struct crash_watch *c, const struct abi_hdr *rec)
{
	if (rec->kind == CRASH_SIGNAL)
		keep_signal(c, (const struct crash_signal *)rec);
	else if (rec->kind == CRASH_NODE && rec->size >= sizeof(struct crash_node) && c->n_next < CRASH_NODES)
		memcpy(&c->next[c->n_next++], rec, sizeof(struct crash_node));
	else if (rec->kind == CRASH_EXIT && rec->size >= sizeof(struct crash_exit))
		c->exit_code = (int)((const struct crash_exit *)rec)->code;
}

bool crash_is_fatal(const struct crash_watch *c)
{
	return c->fatal;
}

int crash_exit_code(const struct crash_watch *c)
{
	return c->exit_code;
}

/*
 * A handler that prints a stack and raises the signal again has the process killed by a copy, perhaps in
 * another thread: where it all began is what was sent by the kernel, or by abort() (code SI_TKILL), before.
 */
static const struct crash_signal *origin(const struct crash_watch *c, bool *handled)
{
	const struct crash_signal *last = c->sig[c->n - 1];

	*handled = false;
	for (size_t i = 0; last->code <= 0 && i + 1 < c->n; i++) {
		if (c->sig[i]->signal != last->signal)
			continue;
		*handled = true;
		return c->sig[i];
	}
	return last;
}

void crash_settle(struct crash_watch *c, struct engine *e, struct sweep *s)
{
	if (!c->fatal || c->settled)
		return;
	c->settled = true;
	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct crash_node *n = &c->node[i];

		if (n->len != sizeof(n->bytes))
			continue;
		engine_last_sight(e, n->addr, n->bytes, n->len);
		if (s)
			sweep_last_sight(s, n->addr, &n->node, n->bytes, n->hdr.ts_ns);
	}
}

static bool fault_at(const struct crash_signal *s)
{
	return s->code > 0 && s->code != SI_KERNEL &&
	       (s->signal == SIGSEGV || s->signal == SIGBUS || s->signal == SIGILL || s->signal == SIGFPE);
}

enum { BY_VALUE = 4, BY_THREAD = 2, BY_NODE = 1 };

/* What speaks for this damage being the cause. */
static unsigned evidence(const struct crash_watch *c, const struct crash_signal *s,
			 const struct engine_finding *f)
{
	unsigned v = 0;

	if (fault_at(s) && f->w.new_value > NEAR_ADDRESS && s->addr >= f->w.new_value &&
	    s->addr - f->w.new_value < NEAR_ADDRESS)
		v |= BY_VALUE;
	if (f->w.found.tid == (pid_t)s->hdr.tid && f->w.found.ts_ns <= s->hdr.ts_ns &&
	    f->w.found.ts_ns + BEFORE_NS > s->hdr.ts_ns)
		v |= BY_THREAD;
	for (size_t i = 0; i < c->n_nodes; i++)
		if (c->node[i].addr == f->node)
			v |= BY_NODE;
	return v;
}

static const char *name_of(int signal)
{
	static const char *const names[32] = {
		[SIGQUIT] = "SIGQUIT", [SIGILL] = "SIGILL", [SIGTRAP] = "SIGTRAP", [SIGABRT] = "SIGABRT",
		[SIGBUS] = "SIGBUS",   [SIGFPE] = "SIGFPE", [SIGSEGV] = "SIGSEGV", [SIGXCPU] = "SIGXCPU",
		[SIGXFSZ] = "SIGXFSZ", [SIGSYS] = "SIGSYS",
	};

	return signal > 0 && signal < 32 && names[signal] ? names[signal] : "signal";
}

/* Is one of these frames the destructor of the class? */
static bool destroys(const struct frames *st, const char *class_name)
{
	const char *last = strrchr(class_name, ':');
	char name[512];

	last = last ? last + 1 : class_name;
	if ((size_t)snprintf(name, sizeof(name), "%s::~%s", class_name, last) >= sizeof(name))
		return false;
	for (size_t i = 0; i < st->n; i++)
		if (st->v[i].symbol && !strncmp(st->v[i].symbol, name, strlen(name)))
			return true;
	return false;
}

static char *explain(const struct crash_signal *s, const struct engine_finding *f, unsigned by,
		     const struct frames *stack)
{
	char *text = NULL;
	size_t len;
	FILE *o = open_memstream(&text, &len);

	if (!o)
		return NULL;
	if (!f)
		fputs("no object followed here is known to be damaged: it died of something else, or of a "
		      "field "
		      "that is not guarded",
		      o);
	else if (by & BY_VALUE)
		fprintf(o, "it used the damaged value: 0x%" PRIx64 " is %s of %s%s", (uint64_t)s->addr,
			f->w.path, f->w.object_type, s->addr == f->w.new_value ? "" : ", and an offset");
	else if (by & BY_THREAD)
		fprintf(o, "this thread was at %s when it died; its %s is damaged",
			f->w.found.function ? f->w.found.function : f->w.object_type, f->w.path);
	else
		fprintf(o, "a register or the stack of the dying thread leads to the damaged %s",
			f->w.node_type);
	if (f && (!f->lives || destroys(stack, f->w.object_type)))
		fputs("; the object was being destroyed", o);
	return fclose(o) ? NULL : text;
}

bool crash_tell(const struct crash_watch *c, const struct engine *e, crash_unwind_fn unwind, void *ctx,
		uint64_t now_ns, struct crash *out)
{
	const struct engine_finding *best = NULL;
	const struct crash_signal *s;
	unsigned by = 0;
	bool handled;

	*out = (struct crash){.pid = c->pid};
	if (!c->fatal)
		return false;
	s = origin(c, &handled);
	for (size_t i = 0; i < engine_n_findings(e); i++) {
		const struct engine_finding *f = engine_finding(e, i);
		unsigned v = evidence(c, s, f);

		if (v > by || (v && v == by && f->found_ns > best->found_ns)) {
			best = f;
			by = v;
		}
	}
	out->tid = (pid_t)s->hdr.tid;
	memcpy(out->comm, s->hdr.comm, sizeof(out->comm));
	out->comm[sizeof(out->comm) - 1] = '\0';
	out->ts_ns = s->hdr.ts_ns;
	out->told_ns = now_ns;
	out->signal = (int)s->signal;
	out->signal_name = name_of(out->signal);
	out->code = s->code;
	out->has_addr = fault_at(s);
	out->addr = s->addr;
	out->handled = handled;
	out->damage = best ? &best->w : NULL;
	unwind(ctx, &s->stack, false, &out->stack);
	out->explanation = explain(s, best, by, &out->stack);
	return true;
}
