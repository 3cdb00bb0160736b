// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "report/report.h"
#include "stalls/explain.h"
#include "store/track.h"
#include "util/hash.h"

#define RETAKE_NS 5000000000ULL /* a thread's stacks are taken again after so long */

struct tracked {
	uint64_t inode;
	struct session_conn c;
	struct session_wait w; /* id 0: none so far; end NULL: it goes on */
	uint64_t unread_ns;    /* unread bytes were first seen, and nobody has read since; 0 none */
	uint64_t taken_ns;     /* when w.thread was looked at */
	uint64_t look;
	bool dirty;
	struct tracked *next; /* of those to be freed */
	UT_hash_handle hh;
};

struct track {
	struct store *store;
	uint64_t threshold_ns;
	struct tracked *all;
	int64_t n_conns, n_waits;
	uint64_t look, no_room, waits_no_room;
	/* of the look that runs */
	struct stall_engine *e;
	const struct look *l;
	struct report_clock clock;
	bool last;
	unsigned rows, stacks;
	uint64_t unkept;
};

int track_create(struct track **ret, struct store *s, uint64_t threshold_ns)
{
	struct track *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->store = s;
	t->threshold_ns = threshold_ns;
	*ret = t;
	return 0;
}

static void tracked_free(struct tracked *k)
{
	session_wait_deinit(&k->w);
	free(k);
}

void track_destroy(struct track *t)
{
	struct tracked *k, *next, *gone = NULL;

	if (!t)
		return;
	HASH_ITER (hh, t->all, k, next) {
		HASH_DEL(t->all, k);
		k->next = gone;
		gone = k;
	}
	for (; gone; gone = next) {
		next = gone->next;
		tracked_free(gone);
	}
	free(t);
}

static uint64_t wall(const struct track *t, uint64_t mono_ns)
{
	return mono_ns ? t->clock.real_ns + mono_ns - t->clock.mono_ns : 0;
}

static void write_conn(struct track *t, struct tracked *k)
{
	store_conn(t->store, &k->c);
	k->dirty = false;
}

static void end_wait(struct track *t, struct tracked *k, const char *end, uint64_t until_ns)
{
	if (!k->w.id || k->w.end)
		return;
	k->w.end = end;
	k->w.until_ns = until_ns;
	store_wait(t->store, &k->w);
}

static const char *family_text(int family)
{
	return family == AF_UNIX ? "unix" : family == AF_INET6 ? "inet6" : "inet";
}

static struct tracked *tracked_new(struct track *t, const struct open_sock *o)
{
	struct tracked *k = HASH_COUNT(t->all) < TRACK_CONNS ? calloc(1, sizeof(*k)) : NULL;

	if (!k) {
		t->unkept++;
		return NULL;
	}
	k->inode = o->inode;
	k->c.id = ++t->n_conns;
	k->c.inode = o->inode;
	k->c.first_ns = t->clock.real_ns;
	k->dirty = true;
	snprintf(k->c.family, sizeof(k->c.family), "%s", family_text(o->facts.family));
	memcpy(k->c.local, o->facts.local, sizeof(k->c.local));
	memcpy(k->c.remote, o->facts.remote, sizeof(k->c.remote));
	HASH_ADD(hh, t->all, inode, sizeof(k->inode), k);
	return k;
}

static void drop(struct track *t, struct tracked *k)
{
	k->c.gone = true;
	end_wait(t, k, "closed", 0);
	write_conn(t, k);
	HASH_DEL(t->all, k);
}

/* Kernel counters of ages are as old as the look. */
static uint64_t age_to_wall(const struct track *t, int64_t ms)
{
	uint64_t age_ns = ms < 0 ? 0 : (uint64_t)ms * 1000000;

	return ms < 0 || age_ns > t->clock.real_ns ? 0 : wall(t, t->l->now_ns) - age_ns;
}

/* Something of it is new, besides that it was seen again. */
static bool moved(const struct session_conn *a, const struct session_conn *b)
{
	return a->fd != b->fd || strcmp(a->state, b->state) != 0 || a->accepted != b->accepted ||
	       a->peer_inode != b->peer_inode || a->recv_queue != b->recv_queue ||
	       a->send_queue != b->send_queue || a->unacked != b->unacked || a->bytes_sent != b->bytes_sent ||
	       a->bytes_acked != b->bytes_acked || a->bytes_received != b->bytes_received ||
	       a->last_send_ns != b->last_send_ns || a->last_recv_ns != b->last_recv_ns ||
	       a->recv_tid != b->recv_tid || a->send_tid != b->send_tid;
}

static void update(struct track *t, struct tracked *k, const struct conn_view *v)
{
	const struct sock_facts *s = &v->o->facts;
	const struct stalls_sock *f = v->flow;
	struct session_conn old = k->c, *c = &k->c;

	c->fd = v->o->fd;
	memcpy(c->state, s->state, sizeof(c->state));
	c->accepted = s->accepted;
	c->peer_inode = s->peer_inode;
	c->recv_queue = sock_unread(s);
	c->send_queue = s->send_queue;
	c->unacked = s->unacked;
	c->bytes_sent = s->bytes_sent;
	c->bytes_acked = s->bytes_acked;
	c->bytes_received = s->bytes_received;
	/* ages jitter by a tick: while nothing moves, what was said stays */
	if (f && f->last_send_ns)
		c->last_send_ns = wall(t, f->last_send_ns);
	else if (!c->last_send_ns || old.bytes_acked != s->bytes_acked || old.send_queue != s->send_queue)
		c->last_send_ns = age_to_wall(t, s->last_send_ms);
	if (f && f->last_recv_ns)
		c->last_recv_ns = wall(t, f->last_recv_ns);
	else if (!c->last_recv_ns || old.bytes_received != s->bytes_received ||
		 old.recv_queue != c->recv_queue)
		c->last_recv_ns = age_to_wall(t, s->last_recv_ms);
	if (f) {
		c->recv_tid = (pid_t)f->recv_tid;
		c->send_tid = (pid_t)f->send_tid;
	}
	k->dirty |= moved(&old, c);
	c->seen_ns = wall(t, t->l->now_ns);
}

static json_t *thread_json(const struct track *t, const struct conn_thread *c)
{
	char *doing = c->t ? explain_doing(c->t) : NULL;
	static const struct frames none;
	json_t *v = json_pack("{s:o, s:o, s:o, s:I, s:o, s:o}", "tid",
			      c->t ? json_integer(c->t->tid) : json_null(), "comm",
			      c->t ? json_str(c->t->comm) : json_null(), "how", json_str(c->how), "looked_ns",
			      (json_int_t)wall(t, t->l->now_ns), "doing", json_str(doing), "kernel_stack",
			      c->t ? json_strs(c->t->kernel_stack, c->t->n_kernel) : json_array());

	if (v)
		json_set_frames(v, "user_stack", c->t ? &c->t->user_stack : &none);
	free(doing);
	return v;
}

static void take_thread(struct track *t, struct tracked *k, const struct conn_view *v)
{
	struct conn_thread c;

	if (k->w.thread && !t->last && t->l->now_ns < k->taken_ns + RETAKE_NS)
		return;
	if (t->stacks >= TRACK_STACKS)
		return;
	t->stacks++;
	k->taken_ns = t->l->now_ns;
	stall_engine_conn_thread(t->e, t->l, v, &c);
	json_decref(k->w.thread);
	k->w.thread = thread_json(t, &c);
}

static bool begin_wait(struct track *t, struct tracked *k, bool ours, uint64_t since_ns)
{
	if (t->n_waits == TRACK_WAITS) {
		t->waits_no_room++;
		return false;
	}
	session_wait_deinit(&k->w);
	k->w = (struct session_wait){.id = ++t->n_waits, .conn = k->c.id, .ours = ours, .since_ns = since_ns};
	k->taken_ns = 0;
	return true;
}

/* When the answer to what was waited for began: by what the session saw of the socket. */
static uint64_t answered_at(const struct track *t, const struct tracked *k, const struct conn_view *v)
{
	uint64_t at = !v->flow ? 0 : wall(t, k->w.ours ? v->flow->last_recv_ns : v->flow->last_send_ns);

	return at > k->w.since_ns ? at : 0;
}

/* The kernel does not tell when what lies unread in a unix socket came: at the latest when it was first seen.
 */
static uint64_t since(const struct track *t, struct tracked *k, const struct conn_view *v)
{
	bool unread = v->turn == CONN_OWES && !v->since_ns;

	if (!unread)
		k->unread_ns = 0;
	else if (!k->unread_ns || (v->flow && v->flow->last_recv_ns > k->unread_ns))
		k->unread_ns = t->l->now_ns;
	return unread ? k->unread_ns : v->since_ns;
}

static void follow_wait(struct track *t, struct tracked *k, const struct conn_view *v)
{
	uint64_t since_ns = wall(t, since(t, k, v)), now_ns = wall(t, t->l->now_ns);
	bool lasts = v->turn != CONN_IDLE && now_ns >= since_ns + t->threshold_ns / 2,
	     ours = v->turn == CONN_ASKED;
	bool same = k->w.id && !k->w.end && lasts && k->w.ours == ours && since_ns <= k->w.seen_ns;

	if (!same)
		end_wait(t, k, "answered", k->w.id ? answered_at(t, k, v) : 0);
	if (!lasts || (!same && !begin_wait(t, k, ours, since_ns)))
		return;
	k->w.seen_ns = now_ns;
	k->w.unread = ours ? 0 : sock_unread(&v->o->facts);
	k->w.rpc_id_known = v->on_wire;
	k->w.rpc_id = v->on_wire ? v->wire.id : 0;
	snprintf(k->w.method, sizeof(k->w.method), "%s", v->on_wire ? v->wire.method : "");
	take_thread(t, k, v);
	store_wait(t->store, &k->w);
	write_conn(t, k);
}

static void on_view(void *ctx, const struct conn_view *v)
{
	struct track *t = ctx;
	uint64_t inode = v->o->inode;
	struct tracked *k;

	HASH_FIND(hh, t->all, &inode, sizeof(inode), k);
	if (k && k->look == t->look)
		return; /* another descriptor of it */
	/* the number is used again */
	if (k &&
	    (strcmp(k->c.local, v->o->facts.local) != 0 || strcmp(k->c.remote, v->o->facts.remote) != 0)) {
		drop(t, k);
		tracked_free(k);
		k = NULL;
	}
	if (!k)
		k = tracked_new(t, v->o);
	if (!k)
		return;
	k->look = t->look;
	update(t, k, v);
	follow_wait(t, k, v);
	if (k->dirty && (t->last || t->rows < TRACK_ROWS)) {
		t->rows++;
		write_conn(t, k);
	}
}

void track_look(struct track *t, struct stall_engine *e, const struct look *l,
		const struct report_clock *clock, bool last)
{
	struct tracked *k, *next, *gone = NULL;

	t->look++;
	t->e = e;
	t->l = l;
	t->clock = *clock;
	t->last = last;
	t->rows = t->stacks = 0;
	t->unkept = 0;
	stall_engine_connections(e, l, on_view, t);
	HASH_ITER (hh, t->all, k, next) {
		if (k->look == t->look)
			continue;
		drop(t, k);
		k->next = gone;
		gone = k;
	}
	for (; gone; gone = next) {
		next = gone->next;
		tracked_free(gone);
	}
	if (t->unkept > t->no_room)
		t->no_room = t->unkept;
}

void track_finish(struct track *t)
{
	for (struct tracked *k = t->all; k; k = k->hh.next)
		if (k->dirty)
			write_conn(t, k);
}

struct track_account track_account(const struct track *t)
{
	return (struct track_account){.conns = (uint64_t)t->n_conns,
				      .waits = (uint64_t)t->n_waits,
				      .no_room = t->no_room,
				      .waits_no_room = t->waits_no_room};
}
