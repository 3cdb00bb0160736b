// The load on the lease cache: threads that create, touch and give back leases at a steady rate.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "libmeta/meta.h"

namespace zbs::libmeta
{

struct LoadOptions {
	uint32_t threads = 4;
	uint32_t leases = 1000;
	uint32_t rate = 2000; // operations a second, all threads together; or kUnpaced
	uint64_t seed = 1;
	uint32_t replicas = 0; // chunks of each lease; 0: mostly four
	uint32_t owner_bytes = 0;
};

class LeaseLoad
{
      public:
	LeaseLoad(Meta *meta, const LoadOptions &options);

	// Fills the cache, then starts the threads lease-N, lease-expire and chunk-beat.
	void Start();
	void Stop();
	// While it is off, no lease is created, touched or given back.
	void Switch(bool on);
	uint64_t OperationsDone() const;
	// An extent that is cached now, most likely.
	uint64_t SomeExtent(uint64_t pick) const;

      private:
	void RunLoad(uint32_t index);
	void RunOperation(uint64_t nth, uint64_t pick);
	void RunExpire();
	void RunHeartbeat();
	void CreateLease(uint64_t pick);
	void TouchLease(uint64_t pick);

	Meta *const meta_;
	const LoadOptions options_;
	const std::vector<Lease> placements_;
	std::atomic<uint64_t> next_extent_{1};
	std::atomic<uint64_t> done_{0};
	std::atomic<bool> stopping_{false};
	std::atomic<bool> off_{false};
	std::vector<std::thread> threads_;
};

} // namespace zbs::libmeta
