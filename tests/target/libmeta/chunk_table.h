// The writers that use generated setters, which the compiler inlines. They run rarely: at start and on a
// heartbeat.
#pragma once

#include <cstdint>
#include <vector>

#include "libmeta/meta.h"

namespace zbs::libmeta
{

constexpr uint32_t kChunkCount = 16;

// Chunk ids count from 1. Those above kBareChunks carry perf and space messages and host names as well.
constexpr uint32_t kBareChunks = kChunkCount / 2;

// Different chunks that a location names.
constexpr uint32_t kLocated = 6;

ChunkMap BuildChunkTable();
void HeartbeatChunk(Chunk *chunk, uint64_t now_ms);

// Leases without chunks, one for each of `count` placements, as a metadata server would hand them out.
std::vector<Lease> BuildPlacements(uint32_t count, uint32_t owner_bytes = 0);
// The chunk id of the nth replica at a location; those beyond kLocated are the same again.
uint32_t ReplicaChunk(uint64_t location, uint32_t nth);

// Inlined stores into an object that is already cached (--inline-setters).
void StampCachedLease(Lease *lease, const Lease &newer);

} // namespace zbs::libmeta
