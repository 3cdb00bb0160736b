#include "rpc/dump_meta.h"

#include "log.h"
#include "meta.pb.h"
#include "thread.h"

namespace zbs::rpc
{

namespace
{
constexpr uint64_t kPeriodMs = 200;
// A line now and then is enough while all goes well.
constexpr uint64_t kRoundsPerLine = 50;
} // namespace

DumpMeta::DumpMeta(CallTable *calls, const Endpoint &server) : channel_(calls, server)
{
}

Channel *DumpMeta::channel()
{
	return &channel_;
}

void DumpMeta::DumpOnce(uint64_t round)
{
	meta::MetaService_Stub stub(&channel_);
	meta::Void request;
	meta::ListDbResponse response;
	Controller controller;

	if (round % kRoundsPerLine == 0)
		LOG_INFO("Dump meta from %s", channel_.server().Text().c_str());
	stub.ListDb(&controller, &request, &response, nullptr);
	if (controller.Failed() && !stopping_.load())
		LOG_WARNING("Fail to dump meta from %s st:\nTraceback:\n%s", channel_.server().Text().c_str(),
			    controller.ErrorText().c_str());
}

void DumpMeta::Run()
{
	for (uint64_t round = 0; !stopping_.load(); round++) {
		DumpOnce(round);
		SleepMs(kPeriodMs);
	}
}

void DumpMeta::Start()
{
	thread_ = StartThread("meta-dump", [this] { Run(); });
}

void DumpMeta::Stop()
{
	stopping_.store(true);
	if (!thread_.joinable())
		return;
	channel_.Abort();
	thread_.join();
}

} // namespace zbs::rpc
