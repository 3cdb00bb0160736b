// The client side cache of extent leases. A lease holds copies of the chunks that store its replicas.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <unordered_map>
#include <vector>

#include "libmeta/ref_counted.h"
#include "zbs.pb.h"

namespace zbs::libmeta
{

struct StagingBlockInfo {
	uint64_t block_id = 0;
	uint64_t offset = 0;
};

class CachedLease : public Lease, public RefCounted<CachedLease>
{
      public:
	CachedLease() = default;

	~CachedLease() override
	{
	}

      private:
	friend class Meta;

	bool expired_ = false;
	bool cow_ = false;
	bool io_hard_ = false;
	uint64_t gen_ = 0;
	// Milliseconds on the monotonic clock.
	uint64_t last_access_ = 0;
	std::unique_ptr<StagingBlockInfo> staging_block_info_;
};

using LeasePtr = RefPtr<CachedLease>;
using ChunkMap = std::map<uint32_t, Chunk>;

struct MetaCounters {
	uint64_t cached = 0;
	uint64_t refreshed = 0;
	uint64_t mutated = 0;
	uint64_t cleared = 0;
	uint64_t alive = 0;
	uint64_t pinned = 0;
};

class Meta
{
      public:
	// With inline_setters, refreshing also stores single fields of cached objects by inlined setters.
	explicit Meta(bool inline_setters);

	// Puts a lease into the cache; an older lease of the same extent is dropped.
	void CacheVExtentLease(uint64_t vextent, const LeasePtr &lease);
	// Marks a lease as touched and, every few touches, takes over a newer location and newer chunks.
	// Returns false when the lease is no longer valid.
	bool RefreshChildExtentLocation(CachedLease *lease, const Lease &newer);
	// Drops the leases that were given back. Returns how many.
	size_t ClearExpiredLease();

	// Fills a lease that is not cached yet: its own fields from `placement`, its chunks as copies of
	// chunks_.
	void BuildLease(CachedLease *lease, const Lease &placement, uint32_t replicas);
	LeasePtr FindLease(uint64_t vextent);
	// The nth pinned lease (modulo their number), or an empty pointer.
	LeasePtr FindPinnedLease(uint64_t nth);
	void RevokeLease(uint64_t vextent);
	// What a heartbeat does to the table of chunks.
	void RefreshChunk(uint64_t nth);
	// Copies a cached lease, or leaves `out` as it is and returns false.
	bool CopyLease(uint64_t vextent, Lease *out);
	std::vector<Chunk> CopyChunks();
	MetaCounters Counters();

	// For faults. A pinned lease is neither changed nor expired, only touched, so that a damaged one can
	// stay in the cache without killing the daemon. Pins a random lease that `accept` (called under the
	// lock) takes.
	LeasePtr PinLease(std::mt19937_64 *random, const std::function<bool(CachedLease *)> &accept);
	// Lets one lease go its usual way, damaged or not.
	void UnpinLease(CachedLease *lease);
	// Calls `restore` under the lock, then unpins all leases and gives them back.
	void ReleasePins(const std::function<void()> &restore);

      private:
	bool IsPinned(CachedLease *lease) const;
	void MutateLease(CachedLease *lease, const Lease &newer);

	const bool inline_setters_;
	std::mutex mutex_;
	std::unordered_map<uint64_t, LeasePtr> vextent_leases_;
	ChunkMap chunks_;
	std::vector<LeasePtr> pinned_;
	MetaCounters counters_;
};

} // namespace zbs::libmeta
