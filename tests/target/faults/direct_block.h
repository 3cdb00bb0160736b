// A chunk in a block of its own that direct I/O can read into, and the file that is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "libmeta/meta.h"

namespace zbs
{

constexpr size_t kDirectBlock = 512; // alignment and size of direct I/O

// Makes an aligned copy of the lease's chunk `index` its only one, and returns it. The caller holds Meta's
// lock.
Chunk *PlantAlignedChunk(libmeta::CachedLease *lease, int index);

// Makes a copy of the lease's chunk `index`, in the block `at` that has just been freed by this thread, its
// only one. nullptr: the allocator did not give that block out again. The caller holds Meta's lock.
Chunk *PlantChunkAt(libmeta::CachedLease *lease, int index, const void *at);

// A file that holds what stands in `block` now, but for `width` bytes at `address`, which are `value`. Opened
// with O_DIRECT; -1 with a reason in `error`.
int OpenDirectFile(const std::string &directory, const void *block, const uint8_t *address, const void *value,
		   size_t width, std::string *error);

} // namespace zbs
