// The methods of zbs.meta.MetaService.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include <sys/types.h>

#include "libmeta/meta.h"
#include "meta.pb.h"

namespace zbs::rpc
{

constexpr char kListDb[] = "zbs.meta.MetaService.ListDb";
constexpr char kPing[] = "zbs.meta.MetaService.Ping";
constexpr char kPutSnapshot[] = "zbs.meta.MetaService.PutSnapshot";

class MetaServiceImpl : public meta::MetaService
{
      public:
	explicit MetaServiceImpl(libmeta::Meta *meta);

	void ListDb(google::protobuf::RpcController *controller, const meta::Void *request,
		    meta::ListDbResponse *response, google::protobuf::Closure *done) override;
	void GetVExtentLease(google::protobuf::RpcController *controller,
			     const meta::GetVExtentLeaseRequest *request,
			     meta::GetVExtentLeaseResponse *response,
			     google::protobuf::Closure *done) override;
	void ListChunk(google::protobuf::RpcController *controller, const meta::Void *request,
		       meta::ListChunkResponse *response, google::protobuf::Closure *done) override;
	void Ping(google::protobuf::RpcController *controller, const meta::PingRequest *request,
		  meta::PingResponse *response, google::protobuf::Closure *done) override;
	void PutSnapshot(google::protobuf::RpcController *controller, const meta::PutSnapshotRequest *request,
			 meta::PutSnapshotResponse *response, google::protobuf::Closure *done) override;

	// For faults: the lock of the database list, how long ListDb takes, and which thread is in it (0:
	// none).
	std::mutex &db_mutex();
	void set_list_delay_ms(uint64_t delay_ms);
	pid_t listing_tid() const;

      private:
	libmeta::Meta *const meta_;
	std::mutex db_mutex_;
	std::vector<std::string> db_names_;
	uint64_t db_sequence_ = 0;
	std::atomic<uint64_t> list_delay_ms_{0};
	std::atomic<pid_t> listing_tid_{0};
};

} // namespace zbs::rpc
