// The thread meta-dump: lists a peer's databases again and again, as the leader in the incident did.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "rpc/channel.h"

namespace zbs::rpc
{

class DumpMeta
{
      public:
	DumpMeta(CallTable *calls, const Endpoint &server);

	void Start();
	void Stop();
	Channel *channel();

      private:
	void Run();
	void DumpOnce(uint64_t round);

	Channel channel_;
	std::atomic<bool> stopping_{false};
	std::thread thread_;
};

} // namespace zbs::rpc
