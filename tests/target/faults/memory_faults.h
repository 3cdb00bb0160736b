// Bad writes into chunks of cached leases, done by the thread zone-io through a pointer it should not hold
// any more.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "chunk/worker.h"
#include "faults/params.h"
#include "libmeta/meta.h"
#include "truth.h"

namespace zbs
{

struct MemoryFault;

class MemoryFaults
{
      public:
	MemoryFaults(libmeta::Meta *meta, chunk::Worker *worker, TruthLog *truth, uint64_t seed);
	~MemoryFaults();

	static bool Knows(const std::string &name);
	// Returns once the first store is done; further ones follow from a thread. False with a reason in
	// `error`.
	bool Inject(const std::string &name, const FaultParams &params, std::string *error);
	// Puts the old bytes back and lets the leases go.
	void Heal();
	uint64_t injected() const;

      private:
	static constexpr size_t kMostBytes = 24;

	struct Target {
		libmeta::LeasePtr lease;
		std::string path;
		uint8_t *chunk = nullptr;
		uint8_t *field = nullptr; // the whole field
		size_t field_width = 0;
		uint8_t *address = nullptr; // the bytes that are stored to
		size_t width = 0;
		uint8_t old[kMostBytes] = {};
		void *block = nullptr; // that the chunk was to get
		uint64_t recycled_ns = 0;
		pid_t recycler = 0;
	};

	bool PickTarget(const MemoryFault &fault, const FaultParams &params, Target *target,
			std::string *error);
	bool PickRecycled(const MemoryFault &fault, const FaultParams &params, Target *target,
			  std::string *error);
	bool Store(const MemoryFault &fault, Target *target, std::string *error);
	void Repeat(const MemoryFault &fault, const FaultParams &params);

	libmeta::Meta *const meta_;
	chunk::Worker *const worker_;
	TruthLog *const truth_;
	std::mt19937_64 random_;
	std::mutex mutex_;
	std::condition_variable healed_;
	bool healing_ = false;
	std::vector<Target> targets_;
	std::string directory_;
	std::vector<int> files_; // of direct reads
	std::atomic<uint64_t> injected_{0};
	std::thread repeater_;
};

} // namespace zbs
