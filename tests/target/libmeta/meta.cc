#include "libmeta/meta.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "libmeta/chunk_table.h"
#include "thread.h"

namespace zbs::libmeta
{

namespace
{

// One touch in so many brings news; the others only look.
constexpr uint64_t kTouchesPerMutation = 8;

uint64_t NowMs()
{
	return MonotonicNs() / 1000000;
}

} // namespace

Meta::Meta(bool inline_setters) : inline_setters_(inline_setters), chunks_(BuildChunkTable())
{
}

bool Meta::IsPinned(CachedLease *lease) const
{
	return std::any_of(pinned_.begin(), pinned_.end(),
			   [lease](const LeasePtr &pinned) { return pinned.get() == lease; });
}

void Meta::BuildLease(CachedLease *lease, const Lease &placement, uint32_t replicas)
{
	std::lock_guard<std::mutex> lock(mutex_);

	lease->MergeFrom(placement);
	for (uint32_t i = 0; i < replicas; i++)
		lease->add_chunks()->CopyFrom(chunks_.at(ReplicaChunk(placement.location(), i)));
	lease->gen_ = placement.meta_generation();
	lease->last_access_ = NowMs();
	// The staging block exists for some leases only, as for thin clones in the original.
	if (placement.pid() % 4 == 0)
		lease->staging_block_info_ = std::make_unique<StagingBlockInfo>();
}

void Meta::CacheVExtentLease(uint64_t vextent, const LeasePtr &lease)
{
	std::lock_guard<std::mutex> lock(mutex_);

	lease->last_access_ = NowMs();
	vextent_leases_[vextent] = lease;
	counters_.cached++;
}

// The caller holds the lock. Only out-of-line members of the messages store into the lease, unless
// inline_setters_ is on.
void Meta::MutateLease(CachedLease *lease, const Lease &newer)
{
	lease->MergeFrom(newer);
	if (inline_setters_)
		StampCachedLease(lease, newer);
	for (int i = 0; i < lease->chunks_size(); i++) {
		Chunk *chunk = lease->mutable_chunks(i);

		if (chunk->id() % 2 == counters_.mutated % 2)
			chunk->CopyFrom(chunks_.at(chunk->id()));
	}
	lease->gen_++;
	lease->cow_ = !lease->cow_;
	counters_.mutated++;
}

bool Meta::RefreshChildExtentLocation(CachedLease *lease, const Lease &newer)
{
	std::lock_guard<std::mutex> lock(mutex_);

	counters_.refreshed++;
	lease->last_access_ = NowMs();
	if (lease->expired_)
		return false;
	if (counters_.refreshed % kTouchesPerMutation == 0 && !IsPinned(lease))
		MutateLease(lease, newer);
	return true;
}

size_t Meta::ClearExpiredLease()
{
	std::lock_guard<std::mutex> lock(mutex_);
	size_t cleared = 0;

	for (auto entry = vextent_leases_.begin(); entry != vextent_leases_.end();) {
		if (!entry->second->expired_) {
			++entry;
			continue;
		}
		entry = vextent_leases_.erase(entry);
		cleared++;
	}
	counters_.cleared += cleared;
	return cleared;
}

LeasePtr Meta::FindLease(uint64_t vextent)
{
	std::lock_guard<std::mutex> lock(mutex_);
	auto entry = vextent_leases_.find(vextent);

	return entry == vextent_leases_.end() ? LeasePtr() : entry->second;
}

LeasePtr Meta::FindPinnedLease(uint64_t nth)
{
	std::lock_guard<std::mutex> lock(mutex_);

	return pinned_.empty() ? LeasePtr() : pinned_[nth % pinned_.size()];
}

void Meta::RevokeLease(uint64_t vextent)
{
	std::lock_guard<std::mutex> lock(mutex_);
	auto entry = vextent_leases_.find(vextent);

	if (entry != vextent_leases_.end() && !IsPinned(entry->second.get()))
		entry->second->expired_ = true;
}

void Meta::RefreshChunk(uint64_t nth)
{
	std::lock_guard<std::mutex> lock(mutex_);

	HeartbeatChunk(&chunks_.at(static_cast<uint32_t>(1 + nth % chunks_.size())), NowMs());
}

bool Meta::CopyLease(uint64_t vextent, Lease *out)
{
	std::lock_guard<std::mutex> lock(mutex_);
	auto entry = vextent_leases_.find(vextent);

	if (entry == vextent_leases_.end() || IsPinned(entry->second.get()))
		return false;
	out->CopyFrom(*entry->second.get());
	return true;
}

std::vector<Chunk> Meta::CopyChunks()
{
	std::lock_guard<std::mutex> lock(mutex_);
	std::vector<Chunk> copies;

	copies.reserve(chunks_.size());
	for (const auto &entry : chunks_)
		copies.push_back(entry.second);
	return copies;
}

MetaCounters Meta::Counters()
{
	std::lock_guard<std::mutex> lock(mutex_);
	MetaCounters now = counters_;

	now.alive = vextent_leases_.size();
	now.pinned = pinned_.size();
	return now;
}

LeasePtr Meta::PinLease(std::mt19937_64 *random, const std::function<bool(CachedLease *)> &accept)
{
	std::lock_guard<std::mutex> lock(mutex_);
	size_t count = vextent_leases_.size();
	size_t skip = count ? (*random)() % count : 0;

	// Start anywhere, go round once.
	auto entry = std::next(vextent_leases_.begin(), static_cast<std::ptrdiff_t>(skip));
	for (size_t i = 0; i < count; i++) {
		CachedLease *lease = entry->second.get();

		if (!lease->expired_ && !IsPinned(lease) && accept(lease)) {
			pinned_.push_back(entry->second);
			return entry->second;
		}
		if (++entry == vextent_leases_.end())
			entry = vextent_leases_.begin();
	}
	return LeasePtr();
}

void Meta::UnpinLease(CachedLease *lease)
{
	std::lock_guard<std::mutex> lock(mutex_);

	pinned_.erase(std::remove_if(pinned_.begin(), pinned_.end(),
				     [lease](const LeasePtr &pinned) { return pinned.get() == lease; }),
		      pinned_.end());
}

void Meta::ReleasePins(const std::function<void()> &restore)
{
	std::lock_guard<std::mutex> lock(mutex_);

	restore();
	for (const LeasePtr &lease : pinned_)
		lease->expired_ = true;
	pinned_.clear();
}

} // namespace zbs::libmeta
