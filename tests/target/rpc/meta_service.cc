#include "rpc/meta_service.h"

#include <unistd.h>

#include "thread.h"

namespace zbs::rpc
{

namespace
{
constexpr uint64_t kNapMs = 50;
} // namespace

MetaServiceImpl::MetaServiceImpl(libmeta::Meta *meta)
    : meta_(meta), db_names_({"meta", "meta.sync", "task", "session"})
{
}

void MetaServiceImpl::ListDb(google::protobuf::RpcController *, const meta::Void *,
			     meta::ListDbResponse *response, google::protobuf::Closure *)
{
	listing_tid_.store(gettid());
	// In naps, so that a reply does not stay slow for long when the delay is taken back.
	for (uint64_t slept = 0; slept < list_delay_ms_.load(); slept += kNapMs)
		SleepMs(kNapMs);
	{
		std::lock_guard<std::mutex> lock(db_mutex_);
		for (const std::string &name : db_names_) {
			meta::DbEntry *db = response->add_dbs();

			db->set_name(name);
			db->set_sequence(db_sequence_);
		}
		db_sequence_++;
	}
	listing_tid_.store(0);
}

void MetaServiceImpl::GetVExtentLease(google::protobuf::RpcController *,
				      const meta::GetVExtentLeaseRequest *request,
				      meta::GetVExtentLeaseResponse *response, google::protobuf::Closure *)
{
	response->set_found(meta_->CopyLease(request->vextent_id(), response->mutable_lease()));
}

void MetaServiceImpl::ListChunk(google::protobuf::RpcController *, const meta::Void *,
				meta::ListChunkResponse *response, google::protobuf::Closure *)
{
	for (const Chunk &chunk : meta_->CopyChunks())
		response->add_chunks()->CopyFrom(chunk);
}

void MetaServiceImpl::Ping(google::protobuf::RpcController *, const meta::PingRequest *request,
			   meta::PingResponse *response, google::protobuf::Closure *)
{
	response->set_cookie(request->cookie());
}

void MetaServiceImpl::PutSnapshot(google::protobuf::RpcController *, const meta::PutSnapshotRequest *request,
				  meta::PutSnapshotResponse *response, google::protobuf::Closure *)
{
	response->set_stored(request->data().size());
}

std::mutex &MetaServiceImpl::db_mutex()
{
	return db_mutex_;
}

void MetaServiceImpl::set_list_delay_ms(uint64_t delay_ms)
{
	list_delay_ms_.store(delay_ms);
}

pid_t MetaServiceImpl::listing_tid() const
{
	return listing_tid_.load();
}

} // namespace zbs::rpc
