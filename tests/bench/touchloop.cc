// The test daemon's lease cache, driven by one thread on command, so that one operation's cost can be told from its CPU time.
// usage: touchloop LEASES; commands on stdin, one JSON line each on stdout:
//   touch MS   touch cached leases of four chunks for that long; none of them changes
//   life MS    build leases of four chunks, cache, revoke and destroy them
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <vector>

#include <unistd.h>

#include "libmeta/chunk_table.h"
#include "libmeta/meta.h"
#include "thread.h"

namespace
{

using zbs::libmeta::CachedLease;
using zbs::libmeta::LeasePtr;
using zbs::libmeta::Meta;

constexpr uint32_t kReplicas = 4;
constexpr uint32_t kPlacements = 64;
// Operations between two looks at the clock.
constexpr uint64_t kBatch = 64;

uint64_t CpuNs()
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

class Loop
{
      public:
	explicit Loop(uint64_t leases) : meta_(false), placements_(zbs::libmeta::BuildPlacements(kPlacements))
	{
		std::mt19937_64 random(1);

		for (uint64_t i = 0; i < leases; i++)
			Cache(i);
		// Pinned leases are touched, never changed.
		for (uint64_t i = 0; i < leases; i++)
			leases_.push_back(meta_.FindLease(i));
		for (const LeasePtr &lease : leases_)
			meta_.PinLease(&random, [&lease](CachedLease *some) { return some == lease.get(); });
	}

	void Touch(uint64_t nth)
	{
		meta_.RefreshChildExtentLocation(leases_[nth % leases_.size()].get(),
						 placements_[nth % kPlacements]);
	}

	void Live(uint64_t nth)
	{
		uint64_t extent = leases_.size() + nth;

		Cache(extent);
		meta_.RevokeLease(extent);
		// It looks at the whole cache, so not after each.
		if (nth % kBatch == kBatch - 1)
			meta_.ClearExpiredLease();
	}

      private:
	void Cache(uint64_t extent)
	{
		LeasePtr lease(new CachedLease);

		meta_.BuildLease(lease.get(), placements_[extent % kPlacements], kReplicas);
		meta_.CacheVExtentLease(extent, lease);
	}

	Meta meta_;
	const std::vector<zbs::Lease> placements_;
	std::vector<LeasePtr> leases_;
};

void Run(Loop *loop, void (Loop::*operation)(uint64_t), uint64_t milliseconds)
{
	uint64_t wall = zbs::MonotonicNs();
	uint64_t end = wall + milliseconds * 1000000;
	uint64_t cpu = CpuNs();
	uint64_t done = 0;

	while (zbs::MonotonicNs() < end) {
		for (uint64_t i = 0; i < kBatch; i++)
			(loop->*operation)(done++);
	}
	printf("{\"ops\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"wall_ns\":%" PRIu64 "}\n", done, CpuNs() - cpu,
	       zbs::MonotonicNs() - wall);
	fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
	char command[16];
	unsigned milliseconds;

	if (argc != 2 || atoi(argv[1]) < 1) {
		fprintf(stderr, "usage: touchloop LEASES\n");
		return 2;
	}
	Loop loop(static_cast<uint64_t>(atoi(argv[1])));
	printf("ready pid=%d\n", getpid());
	fflush(stdout);
	while (scanf("%15s %u", command, &milliseconds) == 2)
		Run(&loop, command[0] == 't' ? &Loop::Touch : &Loop::Live, milliseconds);
	return 0;
}
