// Where a field stands in a zbs::Chunk. The members are private, so the place is found by setting the field
// through reflection and searching the object's bytes.
#pragma once

#include <cstddef>
#include <string>

namespace zbs
{

struct ChunkField {
	size_t offset = 0;
	size_t width = 0;
	bool is_message = false;
};

// False when there is no such field, or it is of another kind than message, uint32 or uint64.
bool FindChunkField(const std::string &name, ChunkField *field);

} // namespace zbs
