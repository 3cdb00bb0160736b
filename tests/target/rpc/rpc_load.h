// Everyday RPC traffic: threads that call at a steady rate, and pooled connections that stay idle.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "rpc/channel.h"

namespace zbs::rpc
{

class RpcLoad
{
      public:
	// `rate` calls a second, all threads together; or kUnpaced. `extent` names an extent worth asking for.
	RpcLoad(CallTable *calls, const Endpoint &server, uint32_t rate,
		std::function<uint64_t(uint64_t)> extent);

	// Opens the idle connections and starts the threads rpc-client-N.
	void Start();
	void Stop();
	// A pooled connection that nobody uses.
	Channel *idle_channel();
	// Makes one call on each pooled connection, which connects it (again).
	void WarmPool();

      private:
	void Run(uint32_t index);
	void CallOnce(Channel *channel, uint64_t round);

	const uint32_t rate_;
	const std::function<uint64_t(uint64_t)> extent_;
	std::vector<std::unique_ptr<Channel>> channels_;
	std::vector<std::unique_ptr<Channel>> pool_;
	std::atomic<bool> stopping_{false};
	std::vector<std::thread> threads_;
};

} // namespace zbs::rpc
