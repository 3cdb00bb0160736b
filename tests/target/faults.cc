#include "faults.h"

#include <unistd.h>

#include "thread.h"

namespace zbs
{

Faults::Faults(MemoryFaults *memory, TruthLog *truth) : memory_(memory), truth_(truth)
{
}

std::string Faults::active()
{
	std::lock_guard<std::mutex> lock(mutex_);

	return active_;
}

uint64_t Faults::injected() const
{
	return memory_->injected();
}

bool Faults::Inject(const std::string &name, const FaultParams &params, std::string *error)
{
	std::lock_guard<std::mutex> command(command_mutex_);

	if (std::string now = active(); !now.empty()) {
		*error = "fault " + now + " is on; heal first";
		return false;
	}
	if (!MemoryFaults::Knows(name)) {
		*error = "no fault " + name;
		return false;
	}
	if (!memory_->Inject(name, params, error))
		return false;

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
