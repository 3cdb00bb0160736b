#include "chunk/zone_tracker.h"

namespace zbs::chunk
{

__attribute__((noinline)) void ZoneTracker::Touch(ZoneEntry *zone, uint64_t offset)
{
	zone->start = offset & ~(kSeqIOZoneSize - 1);
	touched_++;
}

__attribute__((noinline)) ZoneContext *ZoneTracker::Find(uint64_t offset)
{
	auto *context = new ZoneContext();

	context->offset = offset & ~(kSeqIOZoneSize - 1);
	touched_++;
	return context;
}

__attribute__((noinline)) void ZoneTracker::Drop(ZoneContext *context)
{
	delete context;
	touched_++;
}

} // namespace zbs::chunk
