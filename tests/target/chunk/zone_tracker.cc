#include "chunk/zone_tracker.h"

namespace zbs::chunk
{

__attribute__((noinline)) void ZoneTracker::Touch(ZoneEntry *zone, uint64_t offset)
{
	zone->start = offset & ~(kSeqIOZoneSize - 1);
	touched_++;
}

} // namespace zbs::chunk
