// Sequential I/O zones: remembers at which offset each zone starts.
#pragma once

#include <cstdint>

namespace zbs::chunk
{

constexpr uint64_t kSeqIOZoneSize = 256 * 1024;

struct ZoneEntry {
	uint64_t start;
};

class ZoneTracker
{
      public:
	// Notes the zone that `offset` falls into: one 8-byte store into the entry.
	void Touch(ZoneEntry *zone, uint64_t offset);
	uint64_t touched() const
	{
		return touched_;
	}

      private:
	uint64_t touched_ = 0;
};

} // namespace zbs::chunk
