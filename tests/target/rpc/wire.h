// The frame around every message: 32 bytes, then the serialised message.
#pragma once

#include <cstdint>
#include <string>

namespace zbs::rpc
{

constexpr uint32_t kMagic = 0x5253425a; // "ZBSR" on the wire
constexpr uint16_t kVersion = 1;
constexpr uint32_t kMaxPayload = 64u << 20;

enum class FrameKind : uint16_t { kRequest = 1, kResponse = 2 };
enum class Status : int32_t { kOk = 0, kNoSuchMethod = 1, kBadRequest = 2 };

// Little endian, as in memory.
struct FrameHeader {
	uint32_t magic; // offset 0
	uint16_t version;
	FrameKind kind;
	uint32_t length; // offset 8: bytes of payload that follow
	Status status;
	uint64_t id;	 // offset 16: the response repeats the request's
	uint64_t method; // offset 24: MethodHash of the method's full name
};
static_assert(sizeof(FrameHeader) == 32, "the header is 32 bytes on the wire");

// FNV-1a of a full method name such as zbs.meta.MetaService.ListDb.
uint64_t MethodHash(const std::string &full_name);

} // namespace zbs::rpc
