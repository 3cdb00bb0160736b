/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How an RPC layer frames its messages on the wire, and what one frame's head says. A framing is either
 * described (a fixed header with magic bytes and a length, and fields in it or in a protobuf message that
 * follows) or built in: baidu_std, which is such a description, and grpc (user/framing/h2.h). Pure: bytes in,
 * facts out.
 */
#ifndef CULPRIT_FRAMING_H
#define CULPRIT_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAMING_METHOD_LEN  128
#define FRAMING_HEADER_MAX  256
#define FRAMING_META_MAX    512		   /* bytes of a protobuf message that are looked at */
#define FRAMING_LENGTH_MAX  (256ULL << 20) /* a longer frame is taken for a wrong guess */
#define FRAMING_PATH	    4
#define FRAMING_MAGICS	    4
#define FRAMING_PARTS	    3
#define FRAMING_CAPTURE	    1024 /* bytes of a call that are read, if the spec does not say */
#define FRAMING_CAPTURE_MAX 4096

enum framing_kind { FRAMING_NONE, FRAMING_DESCRIBED, FRAMING_GRPC };

enum framing_type {
	FRAMING_UNSET,
	FRAMING_NUMBER, /* `width` bytes at `offset` of the header */
	FRAMING_TEXT,	/* `width` bytes at `offset`, NUL-padded */
	FRAMING_PB,	/* a field of the protobuf message: path of field numbers */
};

/* Where a value stands. */
struct framing_field {
	enum framing_type type;
	unsigned offset, width;
	bool big; /* big endian */
	unsigned path[FRAMING_PATH];
	unsigned n_path;
};

struct framing_magic {
	unsigned offset, n;
	uint8_t bytes[16];
};

/* Tells requests, or responses: the field has this value, or (a protobuf field) is there. */
struct framing_mark {
	struct framing_field field;
	bool has_value;
	uint64_t value;
};

struct framing_name {
	uint64_t number;
	char *name;
};

struct framing {
	enum framing_kind kind;
	struct framing_magic magic[FRAMING_MAGICS];
	unsigned n_magic;
	unsigned header; /* bytes before the payload */
	struct framing_field length;
	int64_t length_add; /* payload bytes = length + this */
	struct framing_field
		meta; /* bytes of the protobuf message right after the header; unset: all of the payload */
	struct framing_field id;
	struct framing_field method[FRAMING_PARTS]; /* joined by dots */
	unsigned n_method;
	struct framing_mark request, response; /* unset: by who made the connection */
	struct framing_field error;	       /* of a response: not 0 is an error */
	bool has_timed_out;
	uint64_t timed_out;	      /* of a response: the value of `error` that says so */
	struct framing_field timeout; /* of a request: ms that the caller waits */
	struct framing_name *number;  /* names of methods that are numbers */
	size_t n_numbers;
	char **longpoll; /* methods whose answer may take any time */
	size_t n_longpoll;
	unsigned capture;
};

/*
 * Sets one key of a spec's [rpc NAME] section. -EINVAL: *why is a static text and *bad the offset in value;
 * -ENOENT: not a key of a framing; -EEXIST: a second one of a key that stands once; -ENOMEM.
 */
int framing_set(struct framing *f, const char *key, size_t key_len, const char *value, size_t len,
		size_t *bad, const char **why);
/* Whether a description is complete; NULL, or what is missing (static). */
const char *framing_check(const struct framing *f);
void framing_deinit(struct framing *f);
/* Of this method answers may take any time. */
bool framing_is_longpoll(const struct framing *f, const char *method);

/* What a frame's head says. */
struct framing_head {
	bool request, response; /* both false: by the side that made the connection */
	bool has_id;
	uint64_t id;
	char method[FRAMING_METHOD_LEN]; /* empty: not said */
	bool error, timed_out;		 /* of a response */
	int64_t timeout_ms;		 /* -1 not said */
};

/*
 * One direction of a described stream. Fed with what calls moved; finds the frames' heads, skips what is
 * between them, and where a head was not seen looks for the next one.
 */
struct framer {
	bool synced;
	uint64_t skip; /* bytes of the payload under way */
	uint8_t held[FRAMING_HEADER_MAX + FRAMING_META_MAX];
	size_t n_held;
	uint64_t frames, resyncs;
	uint64_t unread; /* bytes passed over while it was not known where frames begin */
};

typedef void (*framer_sink)(void *ctx, const struct framing_head *f);
/* data: the first len of total bytes that one call moved. */
void framer_feed(struct framer *s, const struct framing *f, const uint8_t *data, size_t len, uint64_t total,
		 framer_sink sink, void *ctx);

/* A described head at data. Bytes of it that are needed, counting those given; 0: this is none. */
size_t framing_need(const struct framing *f, const uint8_t *data, size_t len);
/* len >= framing_need(), or all there is. The frame's bytes in all; 0: this is no frame. */
uint64_t framing_parse(const struct framing *f, const uint8_t *data, size_t len, struct framing_head *out);

#endif
