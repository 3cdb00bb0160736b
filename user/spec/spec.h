/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What to follow, as the user states it: caches of objects and RPC layers. Only names; nothing here looks at
 * a binary.
 *
 *   [cache NAME]                     [rpc NAME]
 *   type    = zbs::libmeta::CachedLease   channel = google::protobuf::RpcChannel::CallMethod
 *   insert  = FUNCTION[:ARG]              method_arg = arg1
 *   check   = FUNCTION[:ARG]              server = FUNCTION
 *   remove  = FUNCTION[:ARG]
 *   touch   = FUNCTION               (carries no object; named in a finding's window)
 *   destroy = FUNCTION
 *
 * A [rpc NAME] may also say how its messages are framed: docs/spec.md. Keys but type and method_arg may be
 * repeated. '#' and ';' start a comment line. ARG: see dbg_arg_path().
 */
#ifndef CULPRIT_SPEC_H
#define CULPRIT_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "framing/framing.h"
#include "util/err.h"

enum spec_role { SPEC_INSERT, SPEC_CHECK, SPEC_REMOVE, SPEC_DESTROY, SPEC_TOUCH, SPEC_N_ROLES };
const char *spec_role_name(enum spec_role r);

struct spec_func {
	enum spec_role role;
	char *name;	    /* as the user wrote it */
	char *arg;	    /* NULL: the only parameter that leads to the type */
	unsigned line, col; /* where it stands; 0 = command line */
};

struct spec_cache {
	char *name;
	char *type;
	size_t n_func;
	struct spec_func *func; /* in the order of the file */
	unsigned line;
};

struct spec_rpc {
	char *name;
	char **channel; /* CLASS::METHOD: overrides of it in classes derived from CLASS, or functions
			   themselves */
	size_t n_channel;
	char *method_arg; /* where the MethodDescriptor is, "arg1" by default */
	char **server;	  /* functions (glob patterns with *) that handle requests on the server side */
	size_t n_server;
	struct framing framing; /* how its messages are framed on the wire; kind FRAMING_NONE: not said */
	unsigned line;
};

struct spec {
	char *source; /* file name, "built-in zbs" or "command line" */
	size_t n_cache, n_rpc;
	struct spec_cache *cache;
	struct spec_rpc *rpc;
};

/* text need not end in NUL. source is for messages: "FILE:LINE:COL: ...". -EINVAL. *ret for spec_free(). */
int spec_parse(struct spec **ret, const char *text, size_t len, const char *source, struct err *err);
/* A built-in name ("zbs") or a file. -ENOENT names the built-in ones. */
int spec_load(struct spec **ret, const char *name_or_file, struct err *err);
/* --type and repeated --insert/--check/--remove/... values "F[:ARG]", in order. One cache named after the
 * type's last part. */
struct spec_option {
	enum spec_role role;
	const char *value;
};
int spec_from_options(struct spec **ret, const char *type, const struct spec_option *opt, size_t n_opt,
		      struct err *err);
void spec_free(struct spec *s); /* NULL is fine */

#endif
