/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared by rpc.c (by debuginfo) and rpc_classes.c (by run-time type information). */
#ifndef CULPRIT_PLAN_RPC_PRIV_H
#define CULPRIT_PLAN_RPC_PRIV_H

#include "plan/rpc.h"

/* Base classes of protobuf's generic services: the client's channel and the server's dispatch
 * (google/protobuf/service.h). */
#define CHANNEL_BASE "google::protobuf::RpcChannel::CallMethod"
#define SERVICE_BASE "google::protobuf::Service::CallMethod"

/* A channel function found in a module. */
struct rpc_code {
	const char *path; /* as in struct rpc_site, as are the others */
	const char *function;
	uint64_t vaddr, size, die;
	unsigned arg;
};
/* -ENOMEM. */
int rpc_site_add(struct rpc_plan *plan, const struct elf_file *bin, const struct rpc_code *c);
unsigned rpc_arg_number(const struct spec_rpc *r);
/* Else protobuf's own base class serves, as without a spec. */
bool rpc_names_channel(const struct spec *spec);
void rpc_note(struct rpc_plan *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Channels and dispatches by the vtables of all libraries, and with `exe` of the executable too. -ENOMEM. */
int rpc_plan_classes(struct rpc_plan *p, pid_t pid, const struct spec *spec, bool exe);

#endif
