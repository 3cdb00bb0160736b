// One fault at a time, of either kind.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "faults/params.h"
#include "faults/rpc_faults.h"
#include "faults/memory_faults.h"
#include "truth.h"

namespace zbs
{

class Faults
{
      public:
	Faults(MemoryFaults *memory, RpcFaults *rpc, TruthLog *truth);

	// False with a reason in `error`.
	bool Inject(const std::string &name, const FaultParams &params, std::string *error);
	// Ends the fault, if there is one.
	void Heal();
	// The fault that is on, or "".
	std::string active();
	uint64_t injected() const;

      private:
	MemoryFaults *const memory_;
	RpcFaults *const rpc_;
	TruthLog *const truth_;
	std::mutex command_mutex_; // one command at a time
	std::mutex mutex_;	   // guards active_
	std::string active_;
	std::atomic<bool> rpc_fault_{false}; // the kind of the last fault
};

} // namespace zbs
