/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What bpf/payload.bpf.c sends: the first bytes of what a process sends and receives on its stream sockets.
 * Used only where the spec describes how RPCs are framed; user space reads names and numbers from it and
 * keeps nothing else.
 */
#ifndef CULPRIT_ABI_PAYLOAD_H
#define CULPRIT_ABI_PAYLOAD_H

#include "base.h"

#define PAYLOAD_MAX	4096 /* bytes of one call that can be copied */
#define PAYLOAD_IOVS	64   /* pieces of one call that are looked at */
#define PAYLOAD_CALLS	8192 /* threads */
#define PAYLOAD_STREAMS 16384

/* One-slot array map `settings`. */
struct payload_cfg {
	__u32 tgid;
	__u32 capture; /* bytes of each call, at most PAYLOAD_MAX */
};
_Static_assert(sizeof(struct payload_cfg) == 8, "payload_cfg");

/* Map `streams`, by inode: sockets met so far. */
struct payload_stream {
	__u32 off; /* 1: user space has found that it does not carry what is looked for */
	__u32 pad;
};
_Static_assert(sizeof(struct payload_stream) == 8, "payload_stream");

/* How the arguments of a call name its buffers. */
enum payload_form {
	PAYLOAD_BUF, /* address, length */
	PAYLOAD_IOV, /* address of an array of struct iovec, its length */
	PAYLOAD_MSG, /* address of a struct msghdr */
};

/* Array map `forms`, by number of a system call: enum payload_form + 1, 0 if it is not followed, and more. */
#define PAYLOAD_NR_MAX	  512
#define PAYLOAD_FORM(how) (((how)&0xff) - 1)
#define PAYLOAD_SENDS	  0x100
#define PAYLOAD_CLOSES	  0x200
#define PAYLOAD_FLAGS_ARG(n)                                                                                 \
	((n) << 16) /* number of the argument that is the flags of a receive; 0: none                        \
		     */
#define PAYLOAD_HAS_FLAGS(how) ((how) >> 16)

/* Map `ops`, by tid: the call that a thread is in. Where the sock tracepoints tell when it is over, nothing.
 */
struct payload_op {
	__u64 entry_ns; /* 0: none */
	__u64 inode;
	__u64 sk; /* struct sock *; 0: begun before the session, user space wrote this */
	__u64 addr, len;
	__s32 fd;
	__u16 form; /* enum payload_form */
	__u16 sent;
};
_Static_assert(sizeof(struct payload_op) == 48, "payload_op");

enum payload_kind {
	PAYLOAD_BYTES = ABI_KIND_PAYLOAD, /* struct payload_rec */
	PAYLOAD_CLOSED,			  /* struct payload_rec: the socket's descriptor is being closed */
};

struct payload_rec {
	struct abi_hdr h; /* of the end of the call */
	__u64 entry_ns;	  /* of its begin, where that is seen; else of its end */
	__u64 inode;
	__u8 peer[16]; /* IPv4 in the first four bytes, network order */
	__u16 port;    /* of the peer, network order */
	__u16 local;   /* our own port, host order */
	__u16 family;
	__u16 sent;  /* 1: sent, 0: received */
	__u32 total; /* bytes that the call moved */
	__u32 len;   /* the first of them that are in data[]; only these are sent */
	__u8 data[PAYLOAD_MAX];
};
_Static_assert(sizeof(struct payload_rec) == 96 + PAYLOAD_MAX, "payload_rec");

#endif
