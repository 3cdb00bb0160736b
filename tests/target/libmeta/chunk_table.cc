#include "libmeta/chunk_table.h"

namespace zbs::libmeta
{

namespace
{

constexpr uint32_t kBaseIp = 40133732; // 100.100.100.2 in the byte order that the incident shows
constexpr uint32_t kDataPort = 10201;
constexpr uint32_t kRpcPort = 10200;

void FillPerf(PerfInfo *perf, uint32_t scale)
{
	perf->set_iops(1000u * scale);
	perf->set_bandwidth(4096000u * scale);
	perf->set_latency_ns(250000u / scale);
}

// Sub-messages and strings that only a chunk with statistics has.
void FillStatistics(Chunk *chunk, uint32_t id)
{
	chunk->set_status(CHUNK_STATUS_CONNECTED_HEALTHY);
	chunk->set_use_state(CHUNK_STATE_IN_USE);
	chunk->set_host_name("node130-" + std::to_string(70 + id));
	chunk->mutable_space_info()->set_total_data_capacity(uint64_t{4} << 40);
	chunk->mutable_space_info()->set_used_data_space(uint64_t{1} << 40);
	FillPerf(chunk->mutable_write_perf(), id);
	FillPerf(chunk->mutable_total_perf(), id + 1);
	chunk->mutable_lsm_version()->set_major(2);
	chunk->set_has_config_push_ability(true);
	if (id % 2 == 0)
		FillPerf(chunk->mutable_read_perf(), id);
}

} // namespace

ChunkMap BuildChunkTable()
{
	ChunkMap chunks;

	for (uint32_t id = 1; id <= kChunkCount; id++) {
		Chunk &chunk = chunks[id];

		chunk.set_id(id);
		chunk.set_data_ip(kBaseIp + (id << 24));
		chunk.set_data_port(kDataPort);
		chunk.set_rpc_ip(kBaseIp + (id << 24));
		chunk.set_rpc_port(kRpcPort);
		chunk.set_zone_id("default");
		if (id > kBareChunks)
			FillStatistics(&chunk, id);
	}
	return chunks;
}

void HeartbeatChunk(Chunk *chunk, uint64_t now_ms)
{
	if (!chunk->has_status())
		return;
	chunk->set_last_succeed_heartbeat(now_ms / 1000);
	chunk->set_status(now_ms / 1000 % 8 ? CHUNK_STATUS_CONNECTED_HEALTHY
					    : CHUNK_STATUS_CONNECTED_WARNING);
	chunk->mutable_write_perf()->set_iops(now_ms % 5000);
}

std::vector<Lease> BuildPlacements(uint32_t count, uint32_t owner_bytes)
{
	std::vector<Lease> placements(count);

	for (uint32_t i = 0; i < count; i++) {
		Lease &lease = placements[i];
		uint64_t location = 0;

		// Six different chunks, half of them bare, so that every lease holds both kinds.
		for (uint32_t replica = 0; replica < kLocated; replica++)
			location |= uint64_t{1 + (i * 5 + replica * 9) % kChunkCount} << (8 * replica);
		lease.mutable_owner()->set_uuid("d6a5a5c0-54f4-11ee-8c99-0242ac1200" +
						std::to_string(10 + i % 90) + std::string(owner_bytes, 'x'));
		lease.mutable_owner()->set_ip(kBaseIp);
		lease.mutable_owner()->set_port(kDataPort);
		lease.set_pid(247910 + i);
		lease.set_location(location);
		lease.set_origin_pid(0);
		lease.set_epoch(251051 + i);
		lease.set_origin_epoch(0);
		lease.set_ever_exist(true);
		lease.set_meta_generation(8);
		lease.set_expected_replica_num(3);
	}
	return placements;
}

uint32_t ReplicaChunk(uint64_t location, uint32_t nth)
{
	return static_cast<uint32_t>(location >> (8 * (nth % kLocated)) & 0xff);
}

void StampCachedLease(Lease *lease, const Lease &newer)
{
	lease->set_location(newer.location());
	lease->set_meta_generation(lease->meta_generation() + 1);
	if (lease->chunks_size() == 0)
		return;

	Chunk *chunk = lease->mutable_chunks(0);
	chunk->set_status(chunk->status() == CHUNK_STATUS_CONNECTED_HEALTHY ? CHUNK_STATUS_CONNECTED_WARNING
									    : CHUNK_STATUS_CONNECTED_HEALTHY);
	chunk->set_registered_date(lease->meta_generation());
}

} // namespace zbs::libmeta
