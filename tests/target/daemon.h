// All parts of the daemon, and what its control commands do.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "chunk/worker.h"
#include "control.h"
#include "faults/faults.h"
#include "libmeta/lease_load.h"
#include "libmeta/meta.h"
#include "faults/memory_faults.h"
#include "faults/rpc_faults.h"
#include "options.h"
#include "rpc/call_table.h"
#include "rpc/dump_meta.h"
#include "rpc/event_loop.h"
#include "rpc/meta_service.h"
#include "rpc/rpc_load.h"
#include "rpc/server.h"
#include "truth.h"

namespace zbs
{

class Daemon
{
      public:
	explicit Daemon(const Options &options);

	// Starts everything. False with a reason in `error`.
	bool Start(std::string *error);
	// Returns when `quit` was commanded, or *interrupted became true.
	void Run(const std::atomic<bool> &interrupted);
	void Stop();
	// What is printed when the daemon is up.
	std::string ReadyLine() const;

      private:
	void StartLoad(const rpc::Endpoint &server);
	std::string HandleCommand(const std::string &line);
	std::string Status();

	const Options options_;
	std::string control_path_;
	uint16_t port_ = 0;
	TruthLog truth_;
	rpc::CallTable calls_;
	libmeta::Meta meta_;
	libmeta::LeaseLoad load_;
	chunk::Worker worker_;
	rpc::MetaServiceImpl service_;
	rpc::Server server_;
	rpc::EventLoop loop_;
	// With --server-only there are no clients.
	std::unique_ptr<rpc::DumpMeta> dump_;
	std::unique_ptr<rpc::RpcLoad> rpc_load_;
	MemoryFaults memory_faults_;
	RpcFaults rpc_faults_;
	Faults faults_;
	Control control_;
	uint64_t started_ns_ = 0;
	std::atomic<bool> quitting_{false};
};

} // namespace zbs
