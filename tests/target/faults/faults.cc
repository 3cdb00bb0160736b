#include "faults/faults.h"

#include <unistd.h>

#include "thread.h"

namespace zbs
{

Faults::Faults(MemoryFaults *memory, RpcFaults *rpc, TruthLog *truth)
    : memory_(memory), rpc_(rpc), truth_(truth)
{
}

std::string Faults::active()
{
	std::lock_guard<std::mutex> lock(mutex_);

	return active_;
}

uint64_t Faults::injected() const
{
	return rpc_fault_.load() ? rpc_->injected() : memory_->injected();
}

bool Faults::Inject(const std::string &name, const FaultParams &params, std::string *error)
{
	std::lock_guard<std::mutex> command(command_mutex_);

	if (std::string now = active(); !now.empty()) {
		*error = "fault " + now + " is on; heal first";
		return false;
	}
	if (MemoryFaults::Knows(name)) {
		rpc_fault_.store(false);
		if (!memory_->Inject(name, params, error))
			return false;
	} else if (RpcFaults::Knows(name)) {
		rpc_fault_.store(true);
		if (!rpc_->Inject(name, params, error))
			return false;
	} else {
		*error = "no fault " + name;
		return false;
	}

	std::lock_guard<std::mutex> lock(mutex_);
	active_ = name;
	return true;
}

void Faults::Heal()
{
	std::lock_guard<std::mutex> command(command_mutex_);
	std::string name = active();

	if (name.empty())
		return;
	memory_->Heal();
	rpc_->Heal();
	{
		std::lock_guard<std::mutex> lock(mutex_);
		active_.clear();
	}
	JsonObject record;
	record.Text("event", "healed")
		.Text("name", name)
		.Number("time_ns", static_cast<int64_t>(MonotonicNs()));
	record.Number("tid", gettid()).Text("thread", ThreadName());
	truth_->Write(record);
}

} // namespace zbs
