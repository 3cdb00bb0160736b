// What the zone-io thread is asked to do. `target` is the pointer that its user believes to be its own block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace zbs::chunk
{

enum class IOKind { kTouchZone, kFillBuffer, kMarkSlot, kToggleFlag, kReadRecord, kReadBlock, kRecycleZone };

struct IORequest {
	IOKind kind = IOKind::kTouchZone;
	void *target = nullptr;
	uint64_t value = 0; // offset, stamp, mark, bit number or record, by kind
	size_t words = 0;   // kFillBuffer: 8-byte words to fill
	int file = -1;	    // kReadBlock: open for direct I/O
	// kRecycleZone: called with the block of a context that has just been dropped.
	std::function<bool(void *block)> reuse;
	// Called on the thread that did it, when it is done or has failed.
	std::function<void(bool ok)> done;
};

} // namespace zbs::chunk
