/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by wire.c (connections) and wire_calls.c (calls). */
#ifndef CULPRIT_STALLS_WIRE_PRIV_H
#define CULPRIT_STALLS_WIRE_PRIV_H

#include "../../bpf/abi/payload.h"
#include "framing/h2.h"
#include "stalls/wire.h"
#include "util/hash.h"

#define WIRE_EARLY 16 /* answers kept whose request was not seen yet */

/* Sums of one method with one peer, on one side. */
struct wire_method_key {
	uint8_t peer[16];
	uint16_t port; /* 0 where clients are the peers */
	uint16_t family;
	uint32_t ours;
	char method[FRAMING_METHOD_LEN];
};

struct wire_method {
	struct wire_method_key key;
	uint64_t calls, in_flight, errors, timed_out, unclear, unanswered, answered;
	uint64_t max_ns;
	uint32_t bucket[STALLS_BUCKETS];
	UT_hash_handle hh;
};

/* A request that is outstanding. */
struct wire_call {
	uint64_t id;
	struct wire_method *method;
	uint64_t start_ns;
	int64_t timeout_ms; /* -1 not said */
	pid_t tid;
	bool asked;	/* all of the request was sent */
	bool answering; /* something of the answer came */
	UT_hash_handle hh;
};

/* What an answer says. */
enum outcome { OUTCOME_GOOD, OUTCOME_ERROR, OUTCOME_TIMED_OUT, OUTCOME_UNCLEAR };

/* An answer that was told before its request: threads race from the end of their calls. */
struct early {
	uint64_t id, ts_ns;
	bool sent;
	enum outcome outcome;
};

struct conn {
	uint64_t inode;
	int framing; /* index; -1 not known yet */
	int server;  /* we accepted it: 1, 0; -1 not known */
	bool foreign;
	uint8_t peer[16];
	uint16_t port, family;
	uint64_t calls, bytes, last_ns;
	struct framer (*framer)[2]; /* by framing; [1] what is sent */
	struct h2 *h2;
	struct wire_call *call[2]; /* oldest first; [1]: we asked */
	struct early early[WIRE_EARLY];
	unsigned n_early;
	UT_hash_handle hh;
};

struct wire {
	struct wire_ops ops;
	const struct framing *framing[WIRE_FRAMINGS];
	size_t n_framings;
	struct conn *conn;
	struct wire_method *method;
	size_t n_calls;
	uint64_t from_ns;
	struct wire_losses gone;
};

/* wire_calls.c */
void wire_frame(struct wire *w, struct conn *c, const struct payload_rec *r, const struct framing_head *f);
void wire_h2(struct wire *w, struct conn *c, const struct payload_rec *r, const struct h2_event *e);
/* They stay without an answer. */
void wire_calls_drop(struct wire *w, struct conn *c, uint64_t now_ns);
/* Their answers may have come. */
void wire_calls_doubt(struct wire *w, struct conn *c, bool ours);
void wire_methods_free(struct wire *w);

#endif
