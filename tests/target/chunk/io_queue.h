// Carries out one request after the other on the worker's thread.
#pragma once

#include <cstdint>

#include "chunk/block_writers.h"
#include "chunk/io_request.h"
#include "chunk/zone_tracker.h"

namespace zbs::chunk
{

class IOQueue
{
      public:
	// Returns false when the request could not be carried out.
	bool Submit(const IORequest &request);
	uint64_t submitted() const
	{
		return submitted_;
	}

      private:
	ZoneTracker tracker_;
	CopyBuffer buffer_;
	SlotTable slots_;
	FlagMap flags_;
	JournalReader journal_;
	BlockReader blocks_;
	uint64_t submitted_ = 0;
};

} // namespace zbs::chunk
