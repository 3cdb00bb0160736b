// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace/force.h"
#include "trace/stalls_priv.h"

#define BATCH		256 /* pairs of a map that are read at once */
#define FORGET_AFTER_NS (5ULL * 1000000000)

static bool is_wait(enum call_class c)
{
	return c == CALL_POLL || c == CALL_SELECT || c == CALL_EPOLL || c == CALL_READ || c == CALL_WRITE ||
	       c == CALL_CONNECT || c == CALL_ACCEPT;
}

static void waiters_add(int map, const struct stalls_call *c, uint32_t by)
{
	for (uint32_t i = 0; i < c->n_fds; i++) {
		uint32_t fd = (uint32_t)c->fd[i].fd, n;

		/* not atomic against the kernel's own count: at worst a close is reported that nobody waits
		 * for */
		if (c->fd[i].fd < 0 || bpf_map_lookup_elem(map, &fd, &n))
			continue;
		n += by;
		bpf_map_update_elem(map, &fd, &n, BPF_ANY);
	}
}

static struct stalls_call call_of(const struct thread_facts *t, const struct autopsy *a,
				  const struct autopsy_ops *ops)
{
	struct stalls_call c;
	uint64_t blocked = t->blocked_known ? t->blocked_ns : 0;

	memset(&c, 0, sizeof(c));
	c.entry_ns = a->taken.mono_ns > blocked ? a->taken.mono_ns - blocked : 1;
	c.timeout_ns = t->timeout_ms < 0 ? t->timeout_ms : t->timeout_ms * 1000000;
	c.nr = (uint32_t)t->nr;
	c.flags = STALLS_CALL_SEEDED | (t->class == CALL_READ ? STALLS_CALL_RECV : 0) |
		  (t->class == CALL_WRITE ? STALLS_CALL_SEND : 0);
	memcpy(c.arg, t->arg, sizeof(c.arg));
	for (size_t i = 0; i < t->n_wait && c.n_fds < STALLS_FDS; i++) {
		const struct fd_facts *f = &a->fd[t->wait[i].fd];
		struct stalls_fd *d = &c.fd[c.n_fds++];

		d->fd = f->fd;
		d->events = (uint16_t)t->wait[i].events;
		/* a number that had lost its file already is the autopsy's to find: there is nothing to pin
		 */
		if (f->open && !t->wait[i].dead) {
			d->file = ops->file ? ops->file(ops->ctx, f->fd) : 0;
			d->inode = f->inode;
		}
	}
	if (t->n_wait > STALLS_FDS)
		c.flags |= STALLS_CALL_MORE_FDS;
	return c;
}

int stalls_trace_seed(struct stalls_trace *t, const struct autopsy *a, const struct autopsy_ops *ops)
{
	int calls = bpf_map__fd(t->skel->maps.calls), waiters = bpf_map__fd(t->skel->maps.waiters);

	for (size_t i = 0; i < a->n_threads; i++) {
		const struct thread_facts *th = &a->thread[i];
		uint32_t tid = (uint32_t)th->tid;
		struct stalls_call c;

		if (!th->in_call || th->moved || !is_wait(th->class))
			continue;
		c = call_of(th, a, ops);
		waiters_add(waiters, &c, 1);
		/* a thread that has made another call since has its slot already */
		if (bpf_map_update_elem(calls, &tid, &c, BPF_NOEXIST))
			waiters_add(waiters, &c, (uint32_t)-1);
	}
	return 0;
}

struct rows {
	void (*put)(void *row, const void *key, const void *value);
	size_t size; /* of a row */
	void *v;
	size_t n, cap;
};

static int rows_add(struct rows *r, const void *key, const void *value)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 64;
		void *grown = realloc(r->v, cap * r->size);

		if (!grown)
			return -ENOMEM;
		r->v = grown;
		r->cap = cap;
	}
	r->put((char *)r->v + r->n++ * r->size, key, value);
	return 0;
}

/* A thousand threads are some system calls, not thousands. -ENOTSUP: the kernel (before 5.6) cannot, or a
 * bucket is too full. */
static int read_batches(const struct bpf_map *map, struct rows *r)
{
	size_t key_size = bpf_map__key_size(map), value_size = bpf_map__value_size(map);
	char *keys = malloc(BATCH * key_size), *values = malloc(BATCH * value_size);
	size_t max = bpf_map__max_entries(map);
	uint32_t cursor = 0, *from = NULL;
	int rc = keys && values ? 0 : -ENOMEM, end = 0;

	if (forced(FORCE_NOBATCH))
		rc = -ENOTSUP;
	while (!rc && !end && r->n < max) {
		uint32_t count = BATCH;

		end = bpf_map_lookup_batch(bpf_map__fd(map), from, &cursor, keys, values, &count, NULL);
		if (end && end != -ENOENT)
			rc = -ENOTSUP;
		for (size_t i = 0; !rc && i < count; i++)
			rc = rows_add(r, keys + i * key_size, values + i * value_size);
		from = &cursor;
	}
	free(keys);
	free(values);
	return rc;
}

static int read_singly(const struct bpf_map *map, struct rows *r)
{
	size_t key_size = bpf_map__key_size(map), max = bpf_map__max_entries(map);
	unsigned char key[64], next[64];
	void *value = malloc(bpf_map__value_size(map)), *prev = NULL;
	int fd = bpf_map__fd(map), rc = value ? 0 : -ENOMEM;

	r->n = 0;
	while (!rc && r->n < max && !bpf_map_get_next_key(fd, prev, next)) {
		memcpy(key, next, key_size);
		prev = key;
		if (!bpf_map_lookup_elem(fd, key, value))
			rc = rows_add(r, key, value);
	}
	free(value);
	return rc;
}

/* All pairs of a hash map, each written by put(). Keys that come and go meanwhile may be missing or twice. */
static int map_read(const struct bpf_map *map, void (*put)(void *row, const void *key, const void *value),
		    size_t row_size, void **rows, size_t *n)
{
	struct rows r = {.put = put, .size = row_size};
	int rc = read_batches(map, &r);

	if (rc == -ENOTSUP)
		rc = read_singly(map, &r);
	*rows = r.v;
	*n = r.n;
	return rc;
}

static void put_call(void *row, const void *key, const void *value)
{
	struct call_row *r = row;

	memcpy(&r->tid, key, sizeof(r->tid));
	memcpy(&r->call, value, sizeof(r->call));
}

static void put_sock(void *row, const void *key, const void *value)
{
	struct sock_row *r = row;

	memcpy(&r->inode, key, sizeof(r->inode));
	memcpy(&r->sock, value, sizeof(r->sock));
}

static void put_rpc(void *row, const void *key, const void *value)
{
	struct rpc_row *r = row;

	memcpy(&r->tid, key, sizeof(r->tid));
	memcpy(&r->rpc, value, sizeof(r->rpc));
}

static void put_method(void *row, const void *key, const void *value)
{
	struct method_row *r = row;

	memcpy(&r->key, key, sizeof(r->key));
	memcpy(&r->sum, value, sizeof(r->sum));
}

int stalls_trace_calls(struct stalls_trace *t, struct stalls_tables *ret, struct err *err)
{
	int rc = map_read(t->skel->maps.calls, put_call, sizeof(*ret->call), (void **)&ret->call,
			  &ret->n_calls);

	return rc ? err_set(err, rc, "out of memory") : 0;
}

int stalls_trace_tables(struct stalls_trace *t, struct threads *threads, struct stalls_tables *ret,
			struct err *err)
{
	int rc;

	*ret = (struct stalls_tables){0};
	rc = stalls_trace_calls(t, ret, err);
	if (rc)
		return rc;
	rc = map_read(t->skel->maps.socks, put_sock, sizeof(*ret->sock), (void **)&ret->sock, &ret->n_socks);
	if (!rc)
		rc = map_read(t->skel->maps.rpcs, put_rpc, sizeof(*ret->rpc), (void **)&ret->rpc,
			      &ret->n_rpcs);
	if (!rc)
		rc = map_read(t->skel->maps.methods, put_method, sizeof(*ret->method), (void **)&ret->method,
			      &ret->n_methods);
	if (!rc && threads)
		rc = threads_open_socks(threads, &ret->open, &ret->n_open);
	if (!rc)
		rc = stalls_tables_sort(ret);
	return rc ? err_set(err, rc, "out of memory") : 0;
}

static int by_inode(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void stalls_trace_forget(struct stalls_trace *t, const struct stalls_tables *now, uint64_t now_ns)
{
	int map = bpf_map__fd(t->skel->maps.socks);
	uint64_t *open = calloc(now->n_open + 1, sizeof(*open));

	if (!open)
		return;
	for (size_t i = 0; i < now->n_open; i++)
		open[i] = now->open[i].inode;
	qsort(open, now->n_open, sizeof(*open), by_inode);
	for (size_t i = 0; i < now->n_socks; i++) {
		const struct stalls_sock *s = &now->sock[i].sock;
		uint64_t last = s->last_send_ns > s->last_recv_ns ? s->last_send_ns : s->last_recv_ns;

		if (last + FORGET_AFTER_NS > now_ns ||
		    bsearch(&now->sock[i].inode, open, now->n_open, sizeof(*open), by_inode))
			continue;
		bpf_map_delete_elem(map, &now->sock[i].inode);
	}
	free(open);
}

void stalls_trace_forget_calls(struct stalls_trace *t, bool all)
{
	int calls = bpf_map__fd(t->skel->maps.calls), waiters = bpf_map__fd(t->skel->maps.waiters);
	struct stalls_tables now = {0};

	if (stalls_trace_calls(t, &now, NULL))
		return;
	for (size_t i = 0; i < now.n_calls; i++) {
		const struct stalls_call *c = &now.call[i].call;

		if (!c->entry_ns || !(all || (c->flags & (STALLS_CALL_RECV | STALLS_CALL_SEND))))
			continue;
		waiters_add(waiters, c, (uint32_t)-1);
		bpf_map_delete_elem(calls, &now.call[i].tid);
	}
	stalls_tables_deinit(&now);
}
