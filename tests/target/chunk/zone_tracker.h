// Sequential I/O zones: remembers at which offset each zone starts.
#pragma once

#include <cstdint>

#include "zbs.pb.h"

namespace zbs::chunk
{

constexpr uint64_t kSeqIOZoneSize = 256 * 1024;

struct ZoneEntry {
	uint64_t start;
};

// What is known of one zone. As large as a chunk, so that the allocator gives the block of one to the other.
struct ZoneContext {
	uint64_t offset;
	uint8_t state[sizeof(Chunk) - sizeof(uint64_t)];
};

class ZoneTracker
{
      public:
	// Notes the zone that `offset` falls into: one 8-byte store into the entry.
	void Touch(ZoneEntry *zone, uint64_t offset);
	ZoneContext *Find(uint64_t offset);
	void Drop(ZoneContext *context);
	uint64_t touched() const
	{
		return touched_;
	}

      private:
	uint64_t touched_ = 0;
};

} // namespace zbs::chunk
