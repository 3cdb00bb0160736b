/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by the parts of the engine: engine.c (threads and sockets), server.c (threads blocked elsewhere),
 * found.c (findings). */
#ifndef CULPRIT_STALLS_ENGINE_PRIV_H
#define CULPRIT_STALLS_ENGINE_PRIV_H

#include "util/hash.h"

#include "stalls/engine.h"
#include "stalls/verdict.h"

#define ENGINE_CLOSED_KEPT 64 /* closes of watched descriptors remembered, with 16 KiB of stack each */

/* What was learnt about a thread, good as long as it does not run. */
struct memo {
	pid_t tid;
	uint64_t start_ns, switches, entry_ns;
	bool stack_read;
	struct rpc_stack rpc;
	char method[RPC_METHOD_LEN]; /* by the stack; empty: unknown */
	uint64_t rpc_entry_ns;	     /* of the RPC record proved to be running; 0 none */
	uint64_t look;
	struct memo *next; /* of those to be freed */
	UT_hash_handle hh;
};

/* A finding stays with the live ones for so many looks after it is over: its end may be told again, exactly.
 */
#define ENGINE_LIVE_ON 2

struct found {
	struct found *live; /* next of those that last, or have just ended */
	struct stall stall;
	uint64_t start_ns; /* when the call began, at the latest */
	uint64_t entry_ns; /* as in the table of calls; 0: not from there */
	uint64_t key;	   /* inode, or the descriptor if there is none */
	uint64_t look;	   /* that saw it last */
	bool over;
	uint64_t over_look; /* that found it over, or came before it was told */
	/* about a connection of an event loop: lasts until the connection is answered, whatever calls the
	 * loop makes
	 */
	bool by_conn;
	uint64_t end_ns;
	const char *outcome;
};

struct stall_engine {
	struct stall_engine_cfg cfg;
	struct stall_engine_ops ops;
	struct memo *memo;
	struct found **found; /* all, in the order found */
	size_t n_found;
	struct found *live;
	struct stalls_closed *closed; /* ring of ENGINE_CLOSED_KEPT */
	size_t n_closed;
	bool looking;
	struct stalls_ended *late; /* ends that came in the middle of a look, whose facts are older */
	size_t n_late;
	uint64_t look; /* number of the current or last look */
	uint64_t last_look_ns;
	uint64_t due_ns; /* when what is owed on some connection passes the threshold; 0: nothing is */
	uint64_t healthy, unclear;
};

/* One thread in one look. */
struct subject {
	const struct look *l;
	struct thread_facts *t;
	const struct stalls_call *call; /* NULL: not followed */
	uint64_t start_ns, blocked_ns;
	bool at_least, before;
	struct memo *memo;
	bool reported;
	bool busy; /* not blocked itself: blocked_ns is how long an answer is owed */
};

/* What a finding is about, besides the thread. */
struct about {
	struct verdict_in in;
	struct verdict_out out;
	int fd; /* -1 none */
	uint64_t inode;
	const struct fd_facts *file; /* NULL unknown */
	const struct fd_facts *now;  /* dead: what the number means now; NULL unknown */
	const struct stalls_fd *pin; /* what the call had at its entry; NULL unknown */
	const struct about *client;  /* for_client: that connection */
	bool on_wire;		     /* a request that is outstanding there, by its frames */
	struct wire_pending wire;
	bool mixed;	 /* on_wire: other requests and answers went over the connection since */
	pid_t peer_pid;	 /* process of this machine that has the other end, as far as the chain knows; 0: none
			  */
	bool computes;	 /* server: it has been running ever since it read the request */
	size_t n_rivals; /* server: other sockets that it could as well be; the socket is left out then */
};

/* engine.c */
/* Takes and reads the user stack, once per state of the thread. */
void subject_stack(struct stall_engine *e, struct subject *s);
bool subject_in_rpc(const struct subject *s);

/* wait.c: threads that wait for descriptors. in_rpc: only those whose stack shows an RPC, judged as such */
bool call_is_wait(enum call_class c);
int engine_wait(struct stall_engine *e, struct subject *s, bool in_rpc);
bool subject_waits_for(const struct subject *s, uint64_t inode);
/* The descriptors of a wait, epoll sets as their members; *v for free(). Their number, or -ENOMEM. */
ssize_t engine_wait_fds(struct stall_engine *e, const struct subject *s, struct about **v);
/* The client on whose behalf the thread asked here, if its request came right before; NULL: none. */
const struct about *engine_client_of(const struct about *a, const struct about *v, size_t n);
const struct open_sock *open_by_inode(const struct stalls_tables *t, uint64_t inode);
/* threads whose RPC is known to be outstanding, whatever they wait for */
int engine_rpc(struct stall_engine *e, struct subject *s);

/* spin.c: threads that compute since they read a request */
int engine_computing(struct stall_engine *e, const struct look *l);
/* What the thread has used of a CPU since it last received on this connection. false: not known. */
bool reader_cpu(const struct thread_facts *t, const struct stalls_sock *flow, uint64_t *ns);

/* A thread that is not blocked. Its stack is not looked at for the RPC: it is about something else by now. */
struct subject subject_busy(const struct stall_engine *e, const struct look *l, struct thread_facts *t,
			    struct memo *memo, uint64_t owed_ns);
/* loop.c: connections of threads that other events keep busy, and requests outstanding on the wire */
int engine_loops(struct stall_engine *e, const struct look *l);

/* server.c: threads that do not wait for a socket, while somebody waits for them */
int engine_elsewhere(struct stall_engine *e, struct subject *v, size_t n, const struct look *l);

/* chain.c */
/* For whom the thread waits, and so on to the end: into st->chain, and a->peer_pid. -ENOMEM. */
int chain_follow(struct stall_engine *e, struct stall *st, const struct subject *s, struct about *a);
struct chain_place chain_home(const struct stall_engine *e, const struct look *l);

/* reader.c: the thread at the other end of a connection */
struct reader {
	struct thread_facts *t; /* NULL: cannot be known */
	char how[STEP_LEN];	/* how it is known */
	char unknown[STEP_LEN]; /* why it cannot be; empty: plain */
};
/* end: the connection as `at` has it. alone: no other process has it open. */
struct reader reader_of(struct stall_engine *e, const struct chain_place *at, const struct sock_facts *end,
			bool alone);
/* The same of one request of several on a connection: who used it last tells nothing of this one. */
struct reader reader_of_one(const struct chain_place *at, bool alone);

/* found.c */
/* The other party is this thread of that process. */
void found_other(struct stall *st, struct thread_facts *t, const struct chain_place *at, const char *role);
int found_report(struct stall_engine *e, struct subject *s, const struct about *a);
/* Whether this look has a finding about this socket already. */
bool found_in_look(const struct stall_engine *e, uint64_t inode);
void found_settle(struct stall_engine *e, const struct look *l);
void found_ended(struct stall_engine *e, const struct stalls_ended *ev);
void found_free(struct found *f);

/*
 * The table's call is the one the thread is in; restart_syscall goes on with one that a signal interrupted.
 * Where the end of calls is not seen, the table may hold one that is over: then the thread is in another with
 * other arguments, of a kind that no hook tells of.
 */
bool engine_same_call(const struct stalls_call *c, const struct thread_facts *t);
/*
 * What happened age_ms ago (negative: not known) came right before a call that has been blocked for at least
 * blocked_ns, and at most at_most_ns, if that is more.
 */
bool engine_right_before(int64_t age_ms, uint64_t blocked_ns, uint64_t at_most_ns);

#endif
