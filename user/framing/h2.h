/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * gRPC on the wire: HTTP/2 (RFC 9113) with header compression (RFC 7541, by libnghttp2). Reads :path,
 * grpc-status and grpc-timeout of each stream. A connection is read from its start, or from a call that
 * begins with a frame; then, and after a header block that was not seen as a whole, the compression table is
 * not known and methods stay unknown.
 */
#ifndef CULPRIT_FRAMING_H2_H
#define CULPRIT_FRAMING_H2_H

#include "framing/framing.h"

enum h2_what {
	H2_REQUEST, /* headers of a client: a stream begins */
	H2_ASKED,   /* the client has sent all of its request */
	H2_ANSWER,  /* something of the answer: headers or data */
	H2_END,	    /* the server has sent all */
	H2_RESET,   /* either side gave the stream up */
};

struct h2_event {
	enum h2_what what;
	bool sent; /* by this process */
	uint32_t stream;
	char method[FRAMING_METHOD_LEN]; /* REQUEST: "pkg.Service.Method"; empty: not known */
	int64_t timeout_ms;		 /* REQUEST: -1 not said */
	int status;			 /* END: grpc-status, -1 not known. RESET: HTTP/2 error code */
};

struct h2;
typedef void (*h2_sink)(void *ctx, const struct h2_event *e);

/* Whether a connection of which these are the first bytes seen may be one: the preface, or frames. */
bool h2_begins(const uint8_t *data, size_t len, uint64_t total);
/* -ENOMEM. */
int h2_create(struct h2 **ret);
void h2_destroy(struct h2 *h); /* NULL is fine */
/*
 * data: the first len of total bytes that one call moved. server: 1 this process accepted the connection, 0
 * it made it, -1 not known (a connection seen from its start tells by itself).
 */
void h2_feed(struct h2 *h, bool sent, int server, const uint8_t *data, size_t len, uint64_t total,
	     h2_sink sink, void *ctx);
/* Frames understood so far; whether methods can be told; bytes passed over, by direction. */
uint64_t h2_frames(const struct h2 *h);
bool h2_blind(const struct h2 *h);
uint64_t h2_unread(const struct h2 *h, bool sent);

#endif
