// Brings an RPC fault about, writes down every call that gets stuck in it, and ends it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "faults/params.h"
#include "faults/rpc_fault.h"
#include "truth.h"

namespace zbs
{

class RpcFaults
{
      public:
	explicit RpcFaults(TruthLog *truth);
	~RpcFaults();

	void SetParts(const RpcParts &parts);
	static bool Knows(const std::string &name);
	// Returns once the first call is stuck. False with a reason in `error`.
	bool Inject(const std::string &name, const FaultParams &params, std::string *error);
	void Heal();
	uint64_t injected() const;

      private:
	void Watch();
	void WatchOnce();
	void Record(const rpc::CallInfo *call, const JsonObject &details);

	TruthLog *const truth_;
	RpcParts parts_;
	std::string name_;
	std::unique_ptr<RpcFault> fault_;
	uint64_t begun_ns_ = 0;
	std::set<uint64_t> recorded_; // calls; only the watching thread uses it
	std::mutex mutex_;
	std::condition_variable changed_;
	bool healing_ = false;
	std::atomic<uint64_t> injected_{0};
	std::thread watcher_;
};

} // namespace zbs
