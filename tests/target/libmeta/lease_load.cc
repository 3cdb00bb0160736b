#include "libmeta/lease_load.h"

#include <string>

#include "libmeta/chunk_table.h"
#include "thread.h"

namespace zbs::libmeta
{

namespace
{

constexpr uint32_t kPlacements = 64;
constexpr uint64_t kTickMs = 5;
// One operation in so many replaces a lease; the others touch one.
constexpr uint64_t kOperationsPerCreate = 20;
// While leases are pinned, one touch in so many goes to one of them.
constexpr uint64_t kTouchesPerPinned = 16;

// Mostly four replicas, at times 1 to 6.
uint32_t PickReplicas(uint64_t pick)
{
	return pick % 10 < 7 ? 4 : static_cast<uint32_t>(1 + pick / 10 % 6);
}

} // namespace

LeaseLoad::LeaseLoad(Meta *meta, const LoadOptions &options)
    : meta_(meta), options_(options), placements_(BuildPlacements(kPlacements, options.owner_bytes))
{
}

void LeaseLoad::CreateLease(uint64_t pick)
{
	uint64_t extent = next_extent_.fetch_add(1);
	LeasePtr lease(new CachedLease);

	meta_->BuildLease(lease.get(), placements_[pick % kPlacements],
			  options_.replicas ? options_.replicas : PickReplicas(pick / kPlacements));
	meta_->CacheVExtentLease(extent, lease);
	if (extent > options_.leases)
		meta_->RevokeLease(extent - options_.leases);
}

uint64_t LeaseLoad::SomeExtent(uint64_t pick) const
{
	uint64_t next = next_extent_.load();
	uint64_t alive = next - 1 < options_.leases ? next - 1 : options_.leases;

	return alive ? next - 1 - pick % alive : 0;
}

void LeaseLoad::TouchLease(uint64_t pick)
{
	LeasePtr lease;

	if (pick % kTouchesPerPinned == 0)
		lease = meta_->FindPinnedLease(pick / kTouchesPerPinned);
	if (!lease)
		lease = meta_->FindLease(SomeExtent(pick));
	if (lease)
		meta_->RefreshChildExtentLocation(lease.get(), placements_[pick % kPlacements]);
}

void LeaseLoad::RunOperation(uint64_t nth, uint64_t pick)
{
	if (nth % kOperationsPerCreate == 0)
		CreateLease(pick);
	else
		TouchLease(pick);
	done_.fetch_add(1, std::memory_order_relaxed);
}

void LeaseLoad::RunLoad(uint32_t index)
{
	std::mt19937_64 random(options_.seed * 1000003 + index);
	uint64_t started = MonotonicNs();
	uint64_t mine = 0;

	if (options_.rate == kUnpaced) {
		for (; !stopping_.load(); mine++) {
			while (off_.load() && !stopping_.load())
				SleepMs(kTickMs);
			RunOperation(mine, random() >> 8);
		}
		return;
	}

	while (!stopping_.load()) {
		// By elapsed time, so that a late tick is made up for; but a long stop is not replayed at
		// full speed.
		uint64_t due = (MonotonicNs() - started) / 1000 * options_.rate / options_.threads / 1000000;
		uint64_t limit = mine + 10 * kTickMs * options_.rate / 1000 + 10;

		for (; mine < due && mine < limit && !off_.load(); mine++)
			RunOperation(mine, random() >> 8);
		SleepMs(kTickMs);
	}
}

void LeaseLoad::RunExpire()
{
	while (!stopping_.load()) {
		meta_->ClearExpiredLease();
		SleepMs(100);
	}
}

void LeaseLoad::RunHeartbeat()
{
	for (uint64_t beat = 0; !stopping_.load(); beat++) {
		meta_->RefreshChunk(beat);
		SleepMs(500);
	}
}

void LeaseLoad::Start()
{
	std::mt19937_64 random(options_.seed);

	for (uint32_t i = 0; i < options_.leases; i++)
		CreateLease(random() >> 8);
	for (uint32_t i = 0; i < options_.threads; i++)
		threads_.push_back(StartThread("lease-" + std::to_string(i), [this, i] { RunLoad(i); }));
	threads_.push_back(StartThread("lease-expire", [this] { RunExpire(); }));
	threads_.push_back(StartThread("chunk-beat", [this] { RunHeartbeat(); }));
}

void LeaseLoad::Stop()
{
	stopping_.store(true);
	for (std::thread &thread : threads_)
		thread.join();
	threads_.clear();
}

void LeaseLoad::Switch(bool on)
{
	off_.store(!on);
}

uint64_t LeaseLoad::OperationsDone() const
{
	return done_.load(std::memory_order_relaxed);
}

} // namespace zbs::libmeta
