// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "sock/diag.h"
#include "stalls/tables.h"
#include "util/search.h"

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int by_call_tid(const void *a, const void *b)
{
	return ORDER(((const struct call_row *)a)->tid, ((const struct call_row *)b)->tid);
}

static int by_inode(const void *a, const void *b)
{
	return ORDER(((const struct sock_row *)a)->inode, ((const struct sock_row *)b)->inode);
}

static int by_rpc_tid(const void *a, const void *b)
{
	return ORDER(((const struct rpc_row *)a)->tid, ((const struct rpc_row *)b)->tid);
}

static void sort(void *v, size_t n, size_t size, int (*cmp)(const void *, const void *))
{
	if (n)
		qsort(v, n, size, cmp);
}

static const void *find(const void *key, const void *v, size_t n, size_t size,
			int (*cmp)(const void *, const void *))
{
	return n ? bsearch(key, v, n, size, cmp) : NULL;
}

static int by_hash(const void *a, const void *b)
{
	return ORDER(((const struct open_ends *)a)->hash, ((const struct open_ends *)b)->hash);
}

static bool is_tcp(const struct sock_facts *s)
{
	return s->known && (s->family == AF_INET || s->family == AF_INET6);
}

static int index_ends(struct stalls_tables *t)
{
	free(t->ends);
	t->n_ends = 0;
	t->ends = calloc(t->n_open + 1, sizeof(*t->ends));
	if (!t->ends)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_open; i++) {
		const struct sock_facts *s = &t->open[i].facts;

		if (is_tcp(s))
			t->ends[t->n_ends++] = (struct open_ends){diag_ends_hash(s->local, s->remote), i};
	}
	sort(t->ends, t->n_ends, sizeof(*t->ends), by_hash);
	return 0;
}

int stalls_tables_sort(struct stalls_tables *t)
{
	sort(t->call, t->n_calls, sizeof(*t->call), by_call_tid);
	sort(t->sock, t->n_socks, sizeof(*t->sock), by_inode);
	sort(t->rpc, t->n_rpcs, sizeof(*t->rpc), by_rpc_tid);
	return index_ends(t);
}

void stalls_tables_deinit(struct stalls_tables *t)
{
	free(t->call);
	free(t->sock);
	free(t->rpc);
	free(t->method);
	free(t->open);
	free(t->ends);
	*t = (struct stalls_tables){0};
}

const struct stalls_call *tables_call(const struct stalls_tables *t, pid_t tid)
{
	struct call_row key = {.tid = (uint32_t)tid};
	const struct call_row *r = find(&key, t->call, t->n_calls, sizeof(key), by_call_tid);

	return r && r->call.entry_ns ? &r->call : NULL;
}

const struct stalls_sock *tables_sock(const struct stalls_tables *t, uint64_t inode)
{
	struct sock_row key = {.inode = inode};
	const struct sock_row *r = find(&key, t->sock, t->n_socks, sizeof(key), by_inode);

	return r ? &r->sock : NULL;
}

const struct stalls_rpc *tables_rpc(const struct stalls_tables *t, pid_t tid)
{
	struct rpc_row key = {.tid = (uint32_t)tid};
	const struct rpc_row *r = find(&key, t->rpc, t->n_rpcs, sizeof(key), by_rpc_tid);

	return r ? &r->rpc : NULL;
}

const struct open_sock *tables_ends(const struct stalls_tables *t, const char *local, const char *remote)
{
	uint64_t hash = diag_ends_hash(local, remote);

	for (size_t i = FIRST_FROM(t->ends, t->n_ends, hash, hash); i < t->n_ends && t->ends[i].hash == hash;
	     i++) {
		const struct open_sock *o = &t->open[t->ends[i].at];

		if (!strcmp(o->facts.local, local) && !strcmp(o->facts.remote, remote))
			return o;
	}
	return NULL;
}
