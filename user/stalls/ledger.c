// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stalls/rpc.h"

/* A call of a running thread, or a sum of finished ones, while lines are merged. */
struct part {
	struct stalls_method_key key;
	struct stalls_method sum;
	uint64_t in_flight, oldest_ns;
};

/* Inverse of method_time() in bpf/lib/flows.bpf.h: where bucket i ends. */
static uint64_t bucket_end_ns(unsigned i)
{
	unsigned log = i / 4, quarter = i % 4;

	if (log < 2)
		return (2ULL << log) * 1000;
	return ((5ULL + quarter) << (log - 2)) * 1000;
}

uint64_t rpc_quantile(const uint32_t bucket[STALLS_BUCKETS], double share)
{
	uint64_t total = 0, seen = 0;

	for (unsigned i = 0; i < STALLS_BUCKETS; i++)
		total += bucket[i];
	if (!total)
		return 0;
	for (unsigned i = 0; i < STALLS_BUCKETS; i++) {
		seen += bucket[i];
		if ((double)seen >= share * (double)total)
			return bucket_end_ns(i);
	}
	return bucket_end_ns(STALLS_BUCKETS - 1);
}

unsigned rpc_bucket(uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned log = 63 - (unsigned)__builtin_clzll(us | 1);
	unsigned i = log < 2 ? log * 4 : log * 4 + (unsigned)((us >> (log - 2)) & 3);

	return i < STALLS_BUCKETS ? i : STALLS_BUCKETS - 1;
}

static struct stalls_method_key key_of(const struct stalls_rpc *r)
{
	struct stalls_method_key k;

	memset(&k, 0, sizeof(k));
	k.method = r->method;
	memcpy(k.peer, r->peer, sizeof(k.peer));
	k.port = r->port;
	k.family = r->family;
	return k;
}

static struct part *part_of(struct part *v, size_t *n, const struct stalls_method_key *key)
{
	for (size_t i = 0; i < *n; i++)
		if (!memcmp(&v[i].key, key, sizeof(*key)))
			return &v[i];
	memset(&v[*n], 0, sizeof(v[*n]));
	v[*n].key = *key;
	return &v[(*n)++];
}

/* A call that has not sent yet has no peer: it counts with its method's, if that has but one. */
static struct part *part_of_method(struct part *v, size_t n, uint64_t method)
{
	struct part *only = NULL;

	for (size_t i = 0; i < n; i++) {
		if (v[i].key.method != method || !v[i].key.family)
			continue;
		if (only)
			return NULL;
		only = &v[i];
	}
	return only;
}

/* The last call of each thread is not among the sums yet. */
static void add_last(struct part *v, size_t *n, const struct rpc_row *row, uint64_t now_ns, bool running)
{
	const struct stalls_rpc *r = &row->rpc;
	struct stalls_method_key key = key_of(r);
	struct part *p = running && !r->family ? part_of_method(v, *n, r->method) : NULL;

	if (!p)
		p = part_of(v, n, &key);
	p->sum.calls++;
	if (running) {
		uint64_t age = now_ns > r->entry_ns ? now_ns - r->entry_ns : 0;

		p->in_flight++;
		if (age > p->oldest_ns)
			p->oldest_ns = age;
	} else if (!r->first_send_ns) {
		p->sum.unsent++;
	} else if (!r->last_recv_ns) {
		p->sum.unanswered++;
	} else {
		uint64_t ns = r->last_recv_ns - r->entry_ns;

		p->sum.bucket[rpc_bucket(ns)]++;
		if (ns > p->sum.max_ns)
			p->sum.max_ns = ns;
	}
}

static void peer_text(const struct stalls_method_key *k, char *buf, size_t len)
{
	char ip[INET6_ADDRSTRLEN];

	if (k->family == AF_INET && inet_ntop(AF_INET, k->peer, ip, sizeof(ip)))
		snprintf(buf, len, "%s:%u", ip, ntohs(k->port));
	else if (k->family == AF_INET6 && inet_ntop(AF_INET6, k->peer, ip, sizeof(ip)))
		snprintf(buf, len, "[%s]:%u", ip, ntohs(k->port));
	else
		snprintf(buf, len, "%s", k->family == AF_UNIX ? "unix" : "-");
}

static uint64_t trouble(const struct rpc_line *l)
{
	return l->in_flight + l->unanswered + l->timed_out + l->errors;
}

static int by_trouble(const void *a, const void *b)
{
	const struct rpc_line *x = a, *y = b;
	int c;

	if (trouble(x) != trouble(y))
		return trouble(x) < trouble(y) ? 1 : -1;
	if (x->calls != y->calls)
		return x->calls < y->calls ? 1 : -1;
	c = strcmp(x->method, y->method);
	return c ? c : strcmp(x->peer, y->peer);
}

int rpc_ledger_build(struct rpc_ledger *ret, const struct stalls_tables *t, uint64_t now_ns,
		     int (*name)(void *ctx, uint64_t method, char *buf, size_t len),
		     bool (*running)(void *ctx, pid_t tid, const struct stalls_rpc *r), void *ctx)
{
	struct part *v = calloc(t->n_methods + t->n_rpcs + 1, sizeof(*v));
	size_t n = 0;

	*ret = (struct rpc_ledger){0};
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_methods; i++)
		part_of(v, &n, &t->method[i].key)->sum = t->method[i].sum;
	for (size_t i = 0; i < t->n_rpcs; i++)
		add_last(v, &n, &t->rpc[i], now_ns, running(ctx, (pid_t)t->rpc[i].tid, &t->rpc[i].rpc));
	ret->v = calloc(n + 1, sizeof(*ret->v));
	if (!ret->v) {
		free(v);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		struct rpc_line *l = &ret->v[i];

		peer_text(&v[i].key, l->peer, sizeof(l->peer));
		if (name(ctx, v[i].key.method, l->method, sizeof(l->method)))
			strcpy(l->method, "?");
		l->calls = v[i].sum.calls;
		l->in_flight = v[i].in_flight;
		l->oldest_ns = v[i].oldest_ns;
		l->unanswered = v[i].sum.unanswered;
		l->p50_ns = rpc_quantile(v[i].sum.bucket, 0.5);
		l->p99_ns = rpc_quantile(v[i].sum.bucket, 0.99);
		l->max_ns = v[i].sum.max_ns;
		if (l->p50_ns > l->max_ns)
			l->p50_ns = l->max_ns;
		if (l->p99_ns > l->max_ns)
			l->p99_ns = l->max_ns;
	}
	ret->n = n;
	free(v);
	rpc_ledger_merge(ret);
	return 0;
}

const char *rpc_by_name(enum rpc_by b)
{
	static const char *const names[] = {"call", "wire client", "wire server"};

	return names[b];
}

static bool on_wire_too(const struct rpc_ledger *l, const struct rpc_line *x)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].by == RPC_BY_WIRE_CLIENT && !strcmp(l->v[i].peer, x->peer) &&
		    !strcmp(l->v[i].method, x->method))
			return true;
	return false;
}

void rpc_ledger_merge(struct rpc_ledger *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].by != RPC_BY_CALL || !on_wire_too(l, &l->v[i]))
			l->v[n++] = l->v[i];
	l->n = n;
	if (n)
		qsort(l->v, n, sizeof(*l->v), by_trouble);
}

void rpc_ledger_deinit(struct rpc_ledger *l)
{
	free(l->v);
	*l = (struct rpc_ledger){0};
}
