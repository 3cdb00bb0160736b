#include "chunk/worker.h"

#include <chrono>
#include <utility>

#include "thread.h"

namespace zbs::chunk
{

namespace
{
constexpr std::chrono::milliseconds kHousekeepingPeriod(50);
} // namespace

void Worker::Start()
{
	thread_ = StartThread("zone-io", [this] { Run(); });
}

void Worker::Stop()
{
	{
		std::lock_guard<std::mutex> lock(mutex_);
		stopping_ = true;
	}
	posted_.notify_one();
	if (thread_.joinable())
		thread_.join();
}

void Worker::Post(IORequest request)
{
	{
		std::lock_guard<std::mutex> lock(mutex_);
		requests_.push_back(std::move(request));
	}
	posted_.notify_one();
}

// The same functions as in a fault, with pointers that are good.
IORequest Worker::Housekeeping()
{
	static const IOKind kinds[] = {IOKind::kTouchZone, IOKind::kFillBuffer, IOKind::kMarkSlot,
				       IOKind::kToggleFlag, IOKind::kReadRecord};
	IORequest request;

	request.kind = kinds[round_ % 5];
	request.target = request.kind == IOKind::kTouchZone ? static_cast<void *>(&zone_) : words_;
	request.value = request.kind == IOKind::kTouchZone ? round_ * 4096 : round_ % 32;
	request.words = 4;
	round_++;
	return request;
}

IORequest Worker::Next()
{
	std::unique_lock<std::mutex> lock(mutex_);

	posted_.wait_for(lock, kHousekeepingPeriod, [this] { return stopping_ || !requests_.empty(); });
	if (requests_.empty())
		return Housekeeping();
	IORequest request = std::move(requests_.front());
	requests_.pop_front();
	return request;
}

__attribute__((noinline)) void Worker::Run()
{
	for (;;) {
		IORequest request = Next();
		bool ok = queue_.Submit(request);
		if (request.done)
			request.done(ok);

		std::lock_guard<std::mutex> lock(mutex_);
		if (stopping_ && requests_.empty())
			return;
	}
}

} // namespace zbs::chunk
