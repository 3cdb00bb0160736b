/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which functions of a process are RPC channels and handlers, by its debuginfo, and where probes on the
 * channels stand. */
#ifndef CULPRIT_PLAN_RPC_H
#define CULPRIT_PLAN_RPC_H

#include <stdbool.h>
#include <sys/types.h>

#include "dwarf/dbg.h"
#include "spec/spec.h"
#include "stalls/rpc.h"
#include "util/err.h"

/* A probe at the begin of a channel function. */
struct rpc_site {
	char *path;	/* file to attach to, as we can open it */
	uint64_t entry; /* offset in the file of the function's first instruction */
	uint64_t cheap; /* of a later one that costs less to probe; entry if there is none */
	uint32_t ra;	/* for STALLS_COOKIE, at `cheap` */
	unsigned arg;	/* number of the argument that is the MethodDescriptor */
	char *function;
	uint64_t die; /* of the function (dbg_entry.die) */
};

/* How a MethodDescriptor holds its full name: layouts of reference versions, told by the library's soname. Of
 * any other, and where protobuf is linked statically, each is tried, and one counts that has both names of a
 * method. */
enum rpc_layout {
	RPC_LAYOUT_UNKNOWN,
	RPC_LAYOUT_3_0,	 /* as 2.5, with strings of today's ABI */
	RPC_LAYOUT_2_5,	 /* libprotobuf.so.8: full_name_ at 8, a std::string * (of the old ABI, text at
			  *string) */
	RPC_LAYOUT_3_21, /* libprotobuf.so.32: all_names_ at 8, a std::string[2]; the second is the full name
			  */
};

#define RPC_PLAN_NOTES 8
struct rpc_plan {
	struct rpc_names names;
	struct rpc_site *site;
	size_t n_sites;
	enum rpc_layout layout;
	char *note[RPC_PLAN_NOTES]; /* what could not be found, and why */
	size_t n_notes;
};

/*
 * spec may be NULL or name no channel: then protobuf's own base classes serve. Want of debuginfo is no error:
 * then there are no sites, and a note says why. -ENOMEM, -ESRCH.
 */
int rpc_plan_build(struct rpc_plan *ret, pid_t pid, const struct spec *spec, const char *debuginfo,
		   struct err *err);
/* What of it stands in one module, to be attached to by this path, added to ret. -ENOMEM. */
int rpc_plan_find(struct rpc_plan *ret, struct dbg *dbg, const char *path, const struct spec *spec);
void rpc_plan_deinit(struct rpc_plan *p);

/*
 * Full name of the MethodDescriptor at `method`. read_mem reads exactly len bytes of the target. -ENODATA:
 * what stands there is no name.
 */
int rpc_method_name(enum rpc_layout layout, uint64_t method,
		    int (*read_mem)(void *ctx, uint64_t addr, void *buf, size_t len), void *ctx, char *buf,
		    size_t len);

#endif
