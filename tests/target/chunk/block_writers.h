// Small pieces of the chunk server that store into blocks they were given. Right as long as the pointer is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace zbs::chunk
{

class CopyBuffer
{
      public:
	// Stamps `words` 8-byte words from `start` on, each with another value.
	void Fill(uint64_t *start, size_t words, uint64_t stamp);
	uint64_t filled() const
	{
		return filled_;
	}

      private:
	uint64_t filled_ = 0;
};

class SlotTable
{
      public:
	// Marks a slot: one 4-byte store.
	void Mark(uint32_t *slot, uint32_t mark);
	uint64_t marked() const
	{
		return marked_;
	}

      private:
	uint64_t marked_ = 0;
};

class FlagMap
{
      public:
	// Flips one bit of a 32-bit word.
	void Toggle(uint32_t *word, uint32_t bit);
	uint64_t toggled() const
	{
		return toggled_;
	}

      private:
	uint64_t toggled_ = 0;
};

// Records of 8 bytes that come in through a pipe, so that the kernel does the store.
class JournalReader
{
      public:
	JournalReader();
	~JournalReader();
	JournalReader(const JournalReader &) = delete;
	JournalReader &operator=(const JournalReader &) = delete;

	bool AppendRecord(uint64_t record);
	// read() of one record into `block`.
	bool ReadRecord(void *block);
	uint64_t records() const
	{
		return records_;
	}

      private:
	int pipe_[2] = {-1, -1};
	uint64_t records_ = 0;
};

// Blocks of 512 bytes that come in by direct I/O, so that the disk does the store.
class BlockReader
{
      public:
	bool ReadBlock(int file, void *block);
	uint64_t blocks() const
	{
		return blocks_;
	}

      private:
	uint64_t blocks_ = 0;
};

} // namespace zbs::chunk
