#include "rpc/rpc_load.h"

#include "log.h"
#include "meta.pb.h"
#include "thread.h"

namespace zbs::rpc
{

namespace
{
constexpr uint32_t kThreads = 2;
constexpr uint32_t kPooled = 2;
constexpr uint64_t kRetryMs = 200;
} // namespace

RpcLoad::RpcLoad(CallTable *calls, const Endpoint &server, uint32_t rate,
		 std::function<uint64_t(uint64_t)> extent)
    : rate_(rate), extent_(std::move(extent))
{
	for (uint32_t i = 0; i < kThreads; i++)
		channels_.push_back(std::make_unique<Channel>(calls, server));
	for (uint32_t i = 0; i < kPooled; i++)
		pool_.push_back(std::make_unique<Channel>(calls, server));
}

Channel *RpcLoad::idle_channel()
{
	return pool_[0].get();
}

void RpcLoad::WarmPool()
{
	for (const auto &channel : pool_) {
		meta::MetaService_Stub stub(channel.get());
		meta::PingRequest request;
		meta::PingResponse response;

		// A connection that was cut shows it at the first call, and is replaced at the second.
		for (int attempt = 0; attempt < 2; attempt++) {
			Controller controller;

			stub.Ping(&controller, &request, &response, nullptr);
			if (!controller.Failed())
				break;
		}
	}
}

void RpcLoad::CallOnce(Channel *channel, uint64_t round)
{
	meta::MetaService_Stub stub(channel);
	Controller controller;

	if (round % 10 == 0) {
		meta::Void request;
		meta::ListChunkResponse response;

		stub.ListChunk(&controller, &request, &response, nullptr);
	} else if (round % 10 < 3) {
		meta::PingRequest request;
		meta::PingResponse response;

		request.set_cookie(round);
		stub.Ping(&controller, &request, &response, nullptr);
	} else {
		meta::GetVExtentLeaseRequest request;
		meta::GetVExtentLeaseResponse response;

		request.set_vextent_id(extent_(round * 7));
		stub.GetVExtentLease(&controller, &request, &response, nullptr);
	}
	if (controller.Failed() && !stopping_.load()) {
		LOG_WARNING("%s", controller.ErrorText().c_str());
		SleepMs(kRetryMs);
	}
}

void RpcLoad::Run(uint32_t index)
{
	uint64_t period_ms = 1000 * kThreads / rate_;

	for (uint64_t round = index; !stopping_.load(); round++) {
		CallOnce(channels_[index].get(), round);
		if (rate_ != kUnpaced)
			SleepMs(period_ms ? period_ms : 1);
	}
}

void RpcLoad::Start()
{
	WarmPool();
	if (rate_ == 0)
		return;
	for (uint32_t i = 0; i < kThreads; i++)
		threads_.push_back(StartThread("rpc-client-" + std::to_string(i), [this, i] { Run(i); }));
}

void RpcLoad::Stop()
{
	stopping_.store(true);
	for (const auto &channel : channels_)
		channel->Abort();
	for (std::thread &thread : threads_)
		thread.join();
	threads_.clear();
}

} // namespace zbs::rpc
