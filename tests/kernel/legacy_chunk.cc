// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The chunk of the incident, laid out as protobuf 2.5 does (by hand: names, order and types of the data members as its generator has
 * them), with the values of the incident's core. Prints the addresses, then waits.
 */
#include <cstddef>
#include <stdint.h>
#include <cstdio>
#include <string>
#include <vector>

#include <unistd.h>

namespace google
{
namespace protobuf
{
class MessageLite
{
      public:
	virtual ~MessageLite();
};
class Message : public MessageLite
{
      public:
	virtual void Clear() = 0;
};
MessageLite::~MessageLite()
{
}
class UnknownFieldSet
{
      public:
	std::vector<int> *fields_;
};
namespace internal
{
class RepeatedPtrFieldBase
{
      public:
	static const int kInitialSize = 0;
	void **elements_;
	int current_size_;
	int allocated_size_;
	int total_size_;
};
const std::string kEmptyString;
} // namespace internal
template <typename Element> class RepeatedPtrField : public internal::RepeatedPtrFieldBase
{
};
} // namespace protobuf
} // namespace google

using google::protobuf::internal::kEmptyString;

namespace zbs
{
enum ChunkStatus { CHUNK_STATUS_INITIALIZING = 1, CHUNK_STATUS_CONNECTED_HEALTHY = 2, CHUNK_STATUS_SESSION_EXPIRED = 5 };
enum ChunkUseState { CHUNK_STATE_UNKNOWN = 0, CHUNK_STATE_IN_USE = 1, CHUNK_STATE_REMOVING = 3 };

class PerfInfo : public ::google::protobuf::Message
{
      public:
	PerfInfo() : iops_(7), _cached_size_(0)
	{
		_unknown_fields_.fields_ = NULL;
		_has_bits_[0] = 1;
	}
	~PerfInfo();
	void Clear();
	static const int kIopsFieldNumber = 1;
	::google::protobuf::UnknownFieldSet _unknown_fields_;
	uint64_t iops_;
	mutable int _cached_size_;
	uint32_t _has_bits_[1];
	static PerfInfo *default_instance_;
};

class Chunk : public ::google::protobuf::Message
{
      public:
	Chunk(uint32_t ip, std::string *zone);
	~Chunk();
	void Clear();
	ChunkStatus status() const
	{
		return static_cast<ChunkStatus>(status_);
	}
	ChunkUseState use_state() const
	{
		return static_cast<ChunkUseState>(use_state_);
	}
	// in the order of declaration, which gives the has-bits
	static const int kIdFieldNumber = 1;
	static const int kV1ParentIdFieldNumber = 2;
	static const int kDataIpFieldNumber = 12;
	static const int kDataPortFieldNumber = 13;
	static const int kRpcIpFieldNumber = 14;
	static const int kRpcPortFieldNumber = 15;
	static const int kHeartbeatIpFieldNumber = 16;
	static const int kHeartbeatPortFieldNumber = 17;
	static const int kRegisteredDateFieldNumber = 18;
	static const int kStatusFieldNumber = 21;
	static const int kSpaceInfoFieldNumber = 22;
	static const int kReadPerfFieldNumber = 23;
	static const int kWritePerfFieldNumber = 24;
	static const int kUseStateFieldNumber = 25;
	static const int kTotalPerfFieldNumber = 26;
	static const int kCrossZoneReadPerfFieldNumber = 27;
	static const int kCrossZoneWritePerfFieldNumber = 28;
	static const int kIpmiIpFieldNumber = 31;
	static const int kTopoIdFieldNumber = 41;
	static const int kZoneIdFieldNumber = 42;
	static const int kHostNameFieldNumber = 54;
	static const int kMaintenanceModeFieldNumber = 56;
	::google::protobuf::UnknownFieldSet _unknown_fields_;
	uint32_t id_;
	uint32_t v1_parent_id_;
	uint32_t data_ip_;
	uint32_t data_port_;
	uint32_t rpc_ip_;
	uint32_t rpc_port_;
	uint32_t heartbeat_ip_;
	uint32_t heartbeat_port_;
	uint64_t registered_date_;
	PerfInfo *space_info_;
	int status_;
	int use_state_;
	PerfInfo *read_perf_;
	PerfInfo *write_perf_;
	PerfInfo *total_perf_;
	PerfInfo *cross_zone_read_perf_;
	PerfInfo *cross_zone_write_perf_;
	std::string *ipmi_ip_;
	std::string *topo_id_;
	std::string *zone_id_;
	std::string *host_name_;
	bool maintenance_mode_;
	mutable int _cached_size_;
	uint32_t _has_bits_[1];
	static Chunk *default_instance_;
};

class Lease : public ::google::protobuf::Message
{
      public:
	Lease();
	~Lease();
	void Clear();
	static const int kPidFieldNumber = 10;
	static const int kChunksFieldNumber = 30;
	::google::protobuf::UnknownFieldSet _unknown_fields_;
	::google::protobuf::RepeatedPtrField<zbs::Chunk> chunks_;
	uint32_t pid_;
	mutable int _cached_size_;
	uint32_t _has_bits_[1];
	static Lease *default_instance_;
};

PerfInfo *PerfInfo::default_instance_;
Chunk *Chunk::default_instance_;
Lease *Lease::default_instance_;
PerfInfo::~PerfInfo()
{
}
void PerfInfo::Clear()
{
	iops_ = 0;
}
Chunk::Chunk(uint32_t ip, std::string *zone)
    : id_(1), v1_parent_id_(0), data_ip_(ip), data_port_(10201), rpc_ip_(ip), rpc_port_(10200), heartbeat_ip_(0), heartbeat_port_(0),
      registered_date_(0), space_info_(NULL), status_(1), use_state_(0), read_perf_(NULL), write_perf_(NULL), total_perf_(NULL),
      cross_zone_read_perf_(NULL), cross_zone_write_perf_(NULL), ipmi_ip_(const_cast<std::string *>(&kEmptyString)),
      topo_id_(const_cast<std::string *>(&kEmptyString)), zone_id_(zone), host_name_(const_cast<std::string *>(&kEmptyString)),
      maintenance_mode_(false), _cached_size_(0)
{
	_unknown_fields_.fields_ = NULL;
	_has_bits_[0] = 524349;
}
Chunk::~Chunk()
{
	delete read_perf_;
}
void Chunk::Clear()
{
	id_ = 0;
}
Lease::Lease() : pid_(247910), _cached_size_(0)
{
	_unknown_fields_.fields_ = NULL;
	chunks_.elements_ = new void *[4];
	chunks_.current_size_ = chunks_.allocated_size_ = chunks_.total_size_ = 4;
	_has_bits_[0] = 1;
}
Lease::~Lease()
{
	delete[] chunks_.elements_;
}
void Lease::Clear()
{
	pid_ = 0;
}
} // namespace zbs

int main()
{
	std::string *zone = new std::string("zone \"a\"\n\x01");
	zbs::Lease *lease = new zbs::Lease;
	zbs::Chunk *chunk[4];

	for (int i = 0; i < 4; i++)
		lease->chunks_.elements_[i] = chunk[i] = new zbs::Chunk(40133732, zone);
	chunk[0]->write_perf_ = new zbs::PerfInfo;
	chunk[1]->read_perf_ = reinterpret_cast<zbs::PerfInfo *>(0xfffc0000);
	printf("{\"lease\": %lu, \"clean\": %lu, \"damaged\": %lu}\n", (unsigned long)lease, (unsigned long)chunk[0],
	       (unsigned long)chunk[1]);
	fflush(stdout);
	for (;;)
		pause();
}
