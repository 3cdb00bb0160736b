#include "chunk/block_writers.h"

#include <fcntl.h>
#include <unistd.h>

namespace zbs::chunk
{

// All of them count after the store, so that the caller's frame is not lost to a tail call and the store is
// theirs.

__attribute__((noinline)) void CopyBuffer::Fill(uint64_t *start, size_t words, uint64_t stamp)
{
	for (size_t i = 0; i < words; i++)
		start[i] = stamp + i;
	filled_ += words;
}

__attribute__((noinline)) void SlotTable::Mark(uint32_t *slot, uint32_t mark)
{
	*slot = mark;
	marked_++;
}

__attribute__((noinline)) void FlagMap::Toggle(uint32_t *word, uint32_t bit)
{
	*word ^= 1u << bit;
	toggled_++;
}

JournalReader::JournalReader()
{
	if (pipe2(pipe_, O_CLOEXEC) < 0)
		pipe_[0] = pipe_[1] = -1;
}

JournalReader::~JournalReader()
{
	if (pipe_[0] >= 0) {
		close(pipe_[0]);
		close(pipe_[1]);
	}
}

bool JournalReader::AppendRecord(uint64_t record)
{
	return write(pipe_[1], &record, sizeof(record)) == static_cast<ssize_t>(sizeof(record));
}

__attribute__((noinline)) bool JournalReader::ReadRecord(void *block)
{
	ssize_t got = read(pipe_[0], block, sizeof(uint64_t));

	if (got != static_cast<ssize_t>(sizeof(uint64_t)))
		return false;
	records_++;
	return true;
}

__attribute__((noinline)) bool BlockReader::ReadBlock(int file, void *block)
{
	constexpr size_t kSize = 512;
	ssize_t got = pread(file, block, kSize, 0);

	if (got != static_cast<ssize_t>(kSize))
		return false;
	blocks_++;
	return true;
}

} // namespace zbs::chunk
