// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/stalls.h"
#include "sock/sock.h"

int stalls_wire_option(struct stalls_opts *o, const char *arg, struct err *err)
{
	const char *why;
	size_t bad;
	int rc;

	if (o->n_framings == WIRE_FRAMINGS)
		return err_set(err, -EINVAL, "at most %d framings", WIRE_FRAMINGS);
	rc = framing_set(&o->framing[o->n_framings], "framing", 7, arg, strlen(arg), &bad, &why);
	if (rc)
		return err_set(err, -EINVAL, "--framing '%s': %s; docs/spec.md tells how to describe others",
			       arg, why ? why : "out of memory");
	o->n_framings++;
	return 0;
}

static int accepted(void *ctx, uint64_t inode)
{
	struct stalls_run *r = ctx;
	struct sock_facts s = {0};

	if (!threads_socks(r->threads) || !sock_table_find(threads_socks(r->threads), inode, &s) || !s.known)
		return -1;
	return s.accepted;
}

static void ignore(void *ctx, uint64_t inode)
{
	struct stalls_run *r = ctx;

	payload_ignore(r->payload, inode);
}

/* All framings of the session, and the most bytes that one of them wants of a call. */
static size_t framings(const struct stalls_run *r, const struct framing *v[WIRE_FRAMINGS], unsigned *capture)
{
	size_t n = 0;

	for (size_t i = 0; i < r->opts.n_framings; i++)
		v[n++] = &r->opts.framing[i];
	for (size_t i = 0; r->spec && i < r->spec->n_rpc && n < WIRE_FRAMINGS; i++)
		if (r->spec->rpc[i].framing.kind != FRAMING_NONE)
			v[n++] = &r->spec->rpc[i].framing;
	*capture = 0;
	for (size_t i = 0; i < n; i++) {
		/* of HTTP/2 every header block must be seen as a whole, and several share a call */
		unsigned want = v[i]->capture		     ? v[i]->capture
				: v[i]->kind == FRAMING_GRPC ? FRAMING_CAPTURE_MAX
							     : FRAMING_CAPTURE;

		*capture = want > *capture ? want : *capture;
	}
	return n;
}

int stalls_wire_open(struct stalls_run *r, struct err *err)
{
	const struct framing *v[WIRE_FRAMINGS];
	struct payload_opts po = {
		.pid = r->opts.common.pid, .btf = r->opts.common.btf, .no_sock_tp = r->opts.no_sock};
	struct wire_ops ops = {.ctx = r, .accepted = accepted, .ignore = ignore};
	size_t n = framings(r, v, &po.capture);
	int rc;

	if (!n)
		return 0;
	if (wire_create(&r->wire, v, n, &ops))
		return err_set(err, -ENOMEM, "out of memory");
	rc = payload_open(&r->payload, &po, err);
	return rc ? rc : payload_attach(r->payload, r->opts.common.dry_run, err);
}

int stalls_wire_start(struct stalls_run *r, struct err *err)
{
	if (!r->payload)
		return 0;
	session_usage_add(&r->usage, payload_object(r->payload));
	return payload_add_to(r->payload, r->transport, err);
}

void stalls_wire_seed(struct stalls_run *r, const struct autopsy *a)
{
	if (!r->payload)
		return;
	payload_seed(r->payload, a);
	wire_from(r->wire, mono_now_ns());
}

/* What was lost may have been an answer. */
static void check_gap(struct stalls_run *r)
{
	uint64_t lost = transport_lost(r->transport, ABI_LOST_RING);

	if (lost > r->wire_lost)
		wire_gap(r->wire);
	r->wire_lost = lost;
}

bool stalls_wire_oldest(void *run, uint64_t inode, bool ours, struct wire_pending *out)
{
	struct stalls_run *r = run;

	check_gap(r);
	return wire_oldest(r->wire, inode, ours, mono_now_ns(), out);
}

size_t stalls_wire_all(void *run, struct wire_pending *v, size_t max)
{
	struct stalls_run *r = run;

	check_gap(r);
	return wire_all_oldest(r->wire, mono_now_ns(), v, max);
}

bool stalls_wire_began(void *run, uint64_t after_ns, uint64_t until_ns)
{
	struct stalls_run *r = run;

	return wire_began(r->wire, after_ns, until_ns, mono_now_ns());
}

void stalls_wire_event(struct stalls_run *r, const struct abi_hdr *rec)
{
	if (r->wire)
		wire_event(r->wire, rec);
}

/* Inodes of open sockets, sorted. */
struct open_list {
	uint64_t *v;
	size_t n;
};

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool is_open(void *ctx, uint64_t inode)
{
	const struct open_list *l = ctx;

	return l->n && bsearch(&inode, l->v, l->n, sizeof(*l->v), by_number);
}

void stalls_wire_forget(struct stalls_run *r, const struct stalls_tables *now, uint64_t now_ns)
{
	struct open_list l = {.v = calloc(now->n_open + 1, sizeof(*l.v))};

	if (r->wire && l.v && now->n_open) {
		for (size_t i = 0; i < now->n_open; i++)
			l.v[l.n++] = now->open[i].inode;
		qsort(l.v, l.n, sizeof(*l.v), by_number);
		wire_forget(r->wire, is_open, &l, now_ns);
		payload_forget(r->payload, is_open, &l);
	}
	free(l.v);
}

void stalls_wire_account(struct stalls_run *r, struct summary *s)
{
	struct wire_losses l;

	if (!r->wire)
		return;
	check_gap(r);
	l = wire_losses(r->wire);
	summary_count(s, "connections read", wire_connections(r->wire));
	summary_count(s, "bytes between frames not understood", l.unread);
	summary_count(s, "calls whose answer was not among what was read", l.doubt);
	if (l.foreign)
		summary_note(s, false, "%llu connections carry none of the framings described",
			     (unsigned long long)l.foreign);
	if (l.unknown && !l.known)
		summary_note(s, false,
			     "no frame was found on %llu connections read: are they framed as described?",
			     (unsigned long long)l.unknown);
	if (l.blind)
		summary_note(
			s, false,
			"%llu HTTP/2 connections began before the session, or part of their headers was not "
			"seen: methods on them are not named",
			(unsigned long long)l.blind);
	if (l.full)
		summary_note(s, true, "%llu connections, calls or methods found no room in the ledger",
			     (unsigned long long)l.full);
}

void stalls_wire_close(struct stalls_run *r)
{
	payload_close(r->payload);
	wire_destroy(r->wire);
	for (size_t i = 0; i < r->opts.n_framings; i++)
		framing_deinit(&r->opts.framing[i]);
}
