// One kind of RPC stall: how to bring it about, and how to see that it has come about.
#pragma once

#include <memory>
#include <string>

#include <sys/types.h>

#include "faults/params.h"
#include "json.h"
#include "rpc/call_table.h"
#include "rpc/dump_meta.h"
#include "rpc/meta_service.h"
#include "rpc/rpc_load.h"
#include "rpc/server.h"

namespace zbs
{

// The daemon's parts that RPC faults work on.
struct RpcParts {
	rpc::CallTable *calls = nullptr;
	rpc::Server *server = nullptr;		 // null with --connect
	rpc::MetaServiceImpl *service = nullptr; // null with --connect
	rpc::DumpMeta *dump = nullptr;		 // null with --server-only
	rpc::RpcLoad *load = nullptr;		 // null with --server-only
};

class RpcFault
{
      public:
	RpcFault(const RpcParts &parts, const FaultParams &params) : parts_(parts), params_(params)
	{
	}

	virtual ~RpcFault() = default;

	// False with a reason in `error`, and then nothing is left to end.
	virtual bool Begin(std::string *error) = 0;
	virtual void End() = 0;
	// Called for a call of Victim() and Method() that has been under way for StuckAfterMs(). True when it
	// is stuck in the way this fault means; then `record` has what only this fault knows.
	virtual bool OnStuck(const rpc::CallInfo &call, JsonObject *record) = 0;
	// The server's thread that keeps the call waiting, 0 when it is not a server's fault.
	virtual pid_t ServerTid() const
	{
		return 0;
	}
	// The name of the client thread that gets stuck.
	virtual std::string Victim() const
	{
		return "meta-dump";
	}
	virtual std::string Method() const
	{
		return rpc::kListDb;
	}
	virtual int64_t StuckAfterMs() const
	{
		return 300;
	}
	// The name of the thread that calls OnStuck().
	virtual std::string Watcher() const
	{
		return "fault-watch";
	}

      protected:
	int TimeoutMs() const
	{
		return static_cast<int>(params_.Number("timeout_ms", rpc::kDefaultTimeoutMs));
	}

	const RpcParts parts_;
	const FaultParams params_;
};

// Server-side kinds (rpc_server_faults.cc) and client-side kinds (rpc_client_faults.cc). Null for an unknown
// name.
std::unique_ptr<RpcFault> NewServerFault(const std::string &name, const RpcParts &parts,
					 const FaultParams &params);
std::unique_ptr<RpcFault> NewClientFault(const std::string &name, const RpcParts &parts,
					 const FaultParams &params);

} // namespace zbs
