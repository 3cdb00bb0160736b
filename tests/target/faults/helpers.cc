#include "faults/helpers.h"

#include <unistd.h>

#include "thread.h"

namespace zbs
{

namespace
{
constexpr uint64_t kNapMs = 50;
} // namespace

MutexHolder::~MutexHolder()
{
	Stop();
}

void MutexHolder::Start(const std::string &thread, std::mutex *mutex)
{
	thread_ = StartThread(thread, [this, mutex] {
		std::lock_guard<std::mutex> lock(*mutex);

		tid_.store(gettid());
		while (!stopping_.load())
			SleepMs(kNapMs);
	});
	while (!tid_.load())
		SleepMs(1);
}

void MutexHolder::Stop()
{
	stopping_.store(true);
	if (thread_.joinable())
		thread_.join();
}

pid_t MutexHolder::tid() const
{
	return tid_.load();
}

Caller::Caller(rpc::CallTable *calls, const rpc::Endpoint &server, int timeout_ms) : channel_(calls, server)
{
	channel_.set_timeout_ms(timeout_ms);
}

Caller::~Caller()
{
	Stop();
}

void Caller::Start(const std::string &thread, Call call)
{
	thread_ = StartThread(thread, [this, call] {
		while (!stopping_.load()) {
			call(&channel_);
			SleepMs(kNapMs);
		}
	});
}

void Caller::Stop()
{
	stopping_.store(true);
	if (!thread_.joinable())
		return;
	channel_.Abort();
	thread_.join();
}

} // namespace zbs
