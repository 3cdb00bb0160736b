#include "faults/chunk_fields.h"

#include <cstdint>
#include <cstring>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "zbs.pb.h"

namespace zbs
{

namespace
{

using google::protobuf::FieldDescriptor;

// The only place in `chunk` that holds `value`; false when there is none, or more than one.
template <typename T> bool FindValue(const Chunk &chunk, T value, size_t *offset)
{
	const char *bytes = reinterpret_cast<const char *>(&chunk);
	int found = 0;

	for (size_t at = 0; at + sizeof(T) <= sizeof(Chunk); at += sizeof(T)) {
		if (memcmp(bytes + at, &value, sizeof(T)) != 0)
			continue;
		*offset = at;
		found++;
	}
	return found == 1;
}

} // namespace

bool FindChunkField(const std::string &name, ChunkField *field)
{
	const FieldDescriptor *descriptor = Chunk::descriptor()->FindFieldByName(name);
	const google::protobuf::Reflection *reflection = Chunk::GetReflection();
	Chunk chunk;

	if (!descriptor)
		return false;
	field->is_message = descriptor->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
	switch (descriptor->cpp_type()) {
	case FieldDescriptor::CPPTYPE_MESSAGE: {
		auto pointer = reinterpret_cast<uintptr_t>(reflection->MutableMessage(&chunk, descriptor));

		field->width = sizeof(pointer);
		return FindValue(chunk, pointer, &field->offset);
	}
	case FieldDescriptor::CPPTYPE_UINT32:
		reflection->SetUInt32(&chunk, descriptor, 0x5ac3e1d7);
		field->width = sizeof(uint32_t);
		return FindValue(chunk, uint32_t{0x5ac3e1d7}, &field->offset);
	case FieldDescriptor::CPPTYPE_UINT64:
		reflection->SetUInt64(&chunk, descriptor, 0x5ac3e1d7a1b2c3d4);
		field->width = sizeof(uint64_t);
		return FindValue(chunk, uint64_t{0x5ac3e1d7a1b2c3d4}, &field->offset);
	default:
		return false;
	}
}

} // namespace zbs
