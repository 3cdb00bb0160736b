// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The specs that need no file. */
#include "spec/spec_priv.h"

static const char zbs_text[] =
	"# ZBS: the extent leases a data node (or any client of libmeta) caches, and its RPC layer.\n"
	"[cache vextent_leases]\n"
	"type    = zbs::libmeta::CachedLease\n"
	"insert  = zbs::libmeta::Meta::CacheVExtentLease\n"
	"check   = zbs::libmeta::Meta::RefreshChildExtentLocation\n"
	"touch   = zbs::libmeta::Meta::ClearExpiredLease\n"
	"destroy = zbs::libmeta::CachedLease::~CachedLease\n"
	"\n"
	"[rpc zbs]\n"
	"channel    = google::protobuf::RpcChannel::CallMethod\n"
	"method_arg = arg1\n";

const struct spec_builtin spec_builtins[] = {
	{"zbs", zbs_text},
	{NULL, NULL},
};
