#include "faults/direct_block.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace zbs
{

Chunk *PlantAlignedChunk(libmeta::CachedLease *lease, int index)
{
	static_assert(sizeof(Chunk) <= kDirectBlock, "a chunk fits into one block");
	void *block = aligned_alloc(kDirectBlock, kDirectBlock);

	if (!block)
		return nullptr;
	memset(block, 0, kDirectBlock);
	// Freed by the message's destructor: delete is free() here.
	auto *chunk = new (block) Chunk(lease->chunks(index));

	lease->clear_chunks();
	lease->mutable_chunks()->AddAllocated(chunk);
	return chunk;
}

Chunk *PlantChunkAt(libmeta::CachedLease *lease, int index, const void *at)
{
	std::vector<void *> others;
	Chunk *chunk = nullptr;

	for (int i = 0; i < 64 && !chunk; i++) {
		void *block = operator new(sizeof(Chunk));

		if (block == at)
			chunk = new (block) Chunk(lease->chunks(index));
		else
			others.push_back(block);
	}
	for (void *block : others)
		operator delete(block, sizeof(Chunk));
	if (!chunk)
		return nullptr;
	lease->clear_chunks();
	lease->mutable_chunks()->AddAllocated(chunk);
	return chunk;
}

int OpenDirectFile(const std::string &directory, const void *block, const uint8_t *address, const void *value,
		   size_t width, std::string *error)
{
	size_t offset = static_cast<size_t>(address - static_cast<const uint8_t *>(block));
	std::string path = directory + "/direct.XXXXXX";
	uint8_t bytes[kDirectBlock];
	int file = mkstemp(path.data());

	memcpy(bytes, block, sizeof(bytes));
	memcpy(bytes + offset, value, width);
	bool written = file >= 0 &&
		       write(file, bytes, sizeof(bytes)) == static_cast<ssize_t>(sizeof(bytes)) &&
		       fsync(file) == 0;
	if (file >= 0)
		close(file);
	file = written ? open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC) : -1;
	if (file < 0)
		*error = path + ": " + strerror(errno);
	unlink(path.c_str());
	return file;
}

} // namespace zbs
