// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "util/hash.h"

#include "sock/diag.h"
#include "sock/netlink.h"
#include "sock/sock.h"
#include "util/grow.h"
#include "util/search.h"

#define ALL_STATES 0xffffffffU

struct entry {
	uint64_t inode;
	struct diag_sock s;
	struct entry *next; /* of those to be used again */
	UT_hash_handle hh;
};

/* A TCP socket by both of its addresses. */
struct addressed {
	uint64_t hash; /* of them as they were at the dump */
	const struct entry *e;
};

enum { FAM_INET, FAM_INET6, FAM_UNIX, FAM_MAX };

struct sock_table {
	int fd;
	struct entry *by_inode;
	struct entry *spare;	      /* of earlier dumps: one as large as the last needs no memory */
	struct addressed *by_address; /* sorted by hash; made when it is asked for first */
	size_t n_addressed;
	struct diag_sock *listener;
	size_t n_listeners;
	struct diag_sock *queued; /* connections that nobody has accepted yet */
	size_t n_queued;
	bool has[FAM_MAX];
};

static int family_index(int family)
{
	return family == AF_INET    ? FAM_INET
	       : family == AF_INET6 ? FAM_INET6
	       : family == AF_UNIX  ? FAM_UNIX
				    : -1;
}

int sock_table_open(struct sock_table **ret, pid_t pid, struct err *err)
{
	struct sock_table *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, -ENOMEM, "out of memory");
	t->fd = diag_open(pid, err);
	if (t->fd < 0) {
		int rc = t->fd;

		free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

static void table_clear(struct sock_table *t)
{
	struct entry *e = t->by_inode;

	HASH_CLEAR(hh, t->by_inode); /* frees the table, not its entries */
	while (e) {
		struct entry *next = e->hh.next;

		e->next = t->spare;
		t->spare = e;
		e = next;
	}
	free(t->by_address);
	free(t->listener);
	free(t->queued);
	t->by_address = NULL;
	t->listener = t->queued = NULL;
	t->n_addressed = t->n_listeners = t->n_queued = 0;
}

void sock_table_close(struct sock_table *t)
{
	if (!t)
		return;
	table_clear(t);
	while (t->spare) {
		struct entry *next = t->spare->next;

		free(t->spare);
		t->spare = next;
	}
	close(t->fd);
	free(t);
}

static struct entry *entry_find(const struct sock_table *t, uint64_t inode)
{
	struct entry *e;

	HASH_FIND(hh, t->by_inode, &inode, sizeof(inode), e);
	return e;
}

static int list_add(struct diag_sock **list, size_t *n, const struct diag_sock *s)
{
	struct diag_sock *v;

	if (GROW(list, *n))
		return -ENOMEM;
	v = *list;
	v[(*n)++] = *s;
	return 0;
}

static int table_add(struct sock_table *t, const struct diag_sock *s)
{
	uint64_t inode = s->f.inode;
	struct entry *e;

	if (s->listening && list_add(&t->listener, &t->n_listeners, s))
		return -ENOMEM;
	if (!inode) /* TIME-WAIT and others that no file holds */
		return strcmp(s->f.state, "ESTABLISHED") != 0 ? 0 : list_add(&t->queued, &t->n_queued, s);
	e = entry_find(t, inode);
	if (e) {
		e->s = *s;
		return 0;
	}
	e = t->spare;
	if (e)
		t->spare = e->next;
	else
		e = malloc(sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->inode = inode;
	e->s = *s;
	HASH_ADD(hh, t->by_inode, inode, sizeof(e->inode), e);
	return 0;
}

static int take_inet(void *ctx, const void *body, size_t len)
{
	struct diag_sock s;
	int rc = diag_parse_inet(body, len, &s);

	return rc ? rc : table_add(ctx, &s);
}

static int take_unix(void *ctx, const void *body, size_t len)
{
	struct diag_sock s;
	int rc = diag_parse_unix(body, len, &s);

	return rc ? rc : table_add(ctx, &s);
}

static int dump_inet(struct sock_table *t, int family)
{
	const struct inet_diag_req_v2 req = {.sdiag_family = (uint8_t)family,
					     .sdiag_protocol = IPPROTO_TCP,
					     .idiag_ext = 1 << (INET_DIAG_INFO - 1),
					     .idiag_states = ALL_STATES};

	return diag_request(t->fd, true, &req, sizeof(req), take_inet, t);
}

static int dump_unix(struct sock_table *t)
{
	const struct unix_diag_req req = {.sdiag_family = AF_UNIX,
					  .udiag_states = ALL_STATES,
					  .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN};

	return diag_request(t->fd, true, &req, sizeof(req), take_unix, t);
}

/* What one socket alone cannot tell: whether its address is listened on, and the name of a unix peer. */
static void complete(const struct sock_table *t, struct diag_sock *s)
{
	const struct entry *peer;

	s->f.accepted = false;
	for (size_t i = 0; i < t->n_listeners && !s->f.accepted; i++)
		s->f.accepted = diag_accepted_by(s, &t->listener[i]);
	if (s->family != AF_UNIX || !s->f.peer_inode)
		return;
	peer = entry_find(t, s->f.peer_inode);
	if (peer && peer->s.f.local[0])
		memcpy(s->f.remote, peer->s.f.local, sizeof(s->f.remote));
	else
		snprintf(s->f.remote, sizeof(s->f.remote), "unix:[%llu]",
			 (unsigned long long)s->f.peer_inode);
}

static int by_hash(const void *a, const void *b)
{
	const struct addressed *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static int index_addresses(struct sock_table *t)
{
	struct entry *e, *tmp;

	if (t->by_address)
		return 0;
	t->by_address = calloc(HASH_COUNT(t->by_inode) + 1, sizeof(*t->by_address));
	if (!t->by_address)
		return -ENOMEM;
	HASH_ITER (hh, t->by_inode, e, tmp)
		if (e->s.family != AF_UNIX && !e->s.listening)
			t->by_address[t->n_addressed++] =
				(struct addressed){diag_ends_hash(e->s.f.local, e->s.f.remote), e};
	qsort(t->by_address, t->n_addressed, sizeof(*t->by_address), by_hash);
	return 0;
}

int sock_table_dump(struct sock_table *t, struct err *err)
{
	int rc[FAM_MAX];
	struct entry *e, *tmp;

	table_clear(t);
	rc[FAM_INET] = dump_inet(t, AF_INET);
	rc[FAM_INET6] = dump_inet(t, AF_INET6);
	rc[FAM_UNIX] = dump_unix(t);
	for (int i = 0; i < FAM_MAX; i++) {
		t->has[i] = !rc[i];
		if (rc[i] && rc[i] != -ENOENT && rc[i] != -EINVAL && rc[i] != -EPROTONOSUPPORT)
			return err_set(err, rc[i], "sock_diag dump: %s", strerror(-rc[i]));
	}
	HASH_ITER (hh, t->by_inode, e, tmp)
		complete(t, &e->s);
	return 0;
}

bool sock_table_find(const struct sock_table *t, uint64_t inode, struct sock_facts *out)
{
	const struct entry *e = entry_find(t, inode);

	if (e)
		*out = e->s.f;
	return e != NULL;
}

static bool mirrors(const struct diag_sock *s, const struct sock_facts *of)
{
	return s->f.family != AF_UNIX && !s->listening && s->f.inode != of->inode &&
	       !strcmp(s->f.local, of->remote) && !strcmp(s->f.remote, of->local);
}

static enum sock_peer peer_tcp(struct sock_table *t, const struct sock_facts *of, struct sock_facts *out)
{
	uint64_t hash = diag_ends_hash(of->remote, of->local);
	size_t n = 0, at;

	if (index_addresses(t))
		return SOCK_PEER_NONE;
	at = FIRST_FROM(t->by_address, t->n_addressed, hash, hash);
	for (; at < t->n_addressed && t->by_address[at].hash == hash; at++) {
		const struct entry *e = t->by_address[at].e;

		if (!mirrors(&e->s, of))
			continue;
		*out = e->s.f;
		n++;
	}
	if (n)
		return n == 1 ? SOCK_PEER_FOUND : SOCK_PEER_NONE;
	for (size_t i = 0; i < t->n_queued; i++) {
		for (size_t k = 0; mirrors(&t->queued[i], of) && k < t->n_listeners; k++) {
			if (!diag_accepted_by(&t->queued[i], &t->listener[k]))
				continue;
			*out = t->listener[k].f;
			n++;
		}
	}
	return n == 1 ? SOCK_PEER_QUEUED : SOCK_PEER_NONE;
}

enum sock_peer sock_table_peer(struct sock_table *t, const struct sock_facts *of, struct sock_facts *out)
{
	const struct entry *e;

	if (!of->known)
		return SOCK_PEER_NONE;
	if (of->family != AF_UNIX)
		return peer_tcp(t, of, out);
	e = of->peer_inode ? entry_find(t, of->peer_inode) : NULL;
	if (!e || e->s.f.peer_inode != of->inode)
		return SOCK_PEER_NONE;
	*out = e->s.f;
	return SOCK_PEER_FOUND;
}

struct one {
	struct diag_sock s;
	bool seen;
};

static int one_inet(void *ctx, const void *body, size_t len)
{
	struct one *o = ctx;

	o->seen = true;
	return diag_parse_inet(body, len, &o->s);
}

static int one_unix(void *ctx, const void *body, size_t len)
{
	struct one *o = ctx;

	o->seen = true;
	return diag_parse_unix(body, len, &o->s);
}

static int ask_inet(struct sock_table *t, const struct diag_sock *s, struct one *o)
{
	const struct inet_diag_req_v2 req = {.sdiag_family = (uint8_t)s->family,
					     .sdiag_protocol = IPPROTO_TCP,
					     .idiag_ext = 1 << (INET_DIAG_INFO - 1),
					     .idiag_states = ALL_STATES,
					     .id = s->id};

	return diag_request(t->fd, false, &req, sizeof(req), one_inet, o);
}

static int ask_unix(struct sock_table *t, const struct diag_sock *s, struct one *o)
{
	const struct unix_diag_req req = {.sdiag_family = AF_UNIX,
					  .udiag_states = ALL_STATES,
					  .udiag_ino = (uint32_t)s->f.inode,
					  .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN,
					  .udiag_cookie = {s->cookie[0], s->cookie[1]}};

	return diag_request(t->fd, false, &req, sizeof(req), one_unix, o);
}

int sock_table_query(struct sock_table *t, uint64_t inode, struct sock_facts *out, struct err *err)
{
	struct entry *e = entry_find(t, inode);
	struct one o = {.seen = false};
	int rc;

	if (!e)
		return err_set(err, -ENOENT, "socket %llu is not in the table", (unsigned long long)inode);
	rc = e->s.family == AF_UNIX ? ask_unix(t, &e->s, &o) : ask_inet(t, &e->s, &o);
	if (!rc && (!o.seen || o.s.f.inode != inode))
		rc = -ENOENT;
	if (rc == -ESTALE) { /* several listeners share these addresses; the kernel looked at another one */
		rc = sock_table_dump(t, err);
		return rc ? rc
		       : sock_table_find(t, inode, out)
			       ? 0
			       : err_set(err, -ENOENT, "socket %llu: gone", (unsigned long long)inode);
	}
	if (rc)
		return err_set(err, rc, "socket %llu: %s", (unsigned long long)inode,
			       rc == -ENOENT ? "gone" : strerror(-rc));
	e->s = o.s;
	complete(t, &e->s);
	*out = e->s.f;
	return 0;
}

size_t sock_table_count(const struct sock_table *t)
{
	return HASH_COUNT(t->by_inode);
}

bool sock_table_has(const struct sock_table *t, int family)
{
	int i = family_index(family);

	return i >= 0 && t->has[i];
}
