#include "chunk/io_queue.h"

namespace zbs::chunk
{

__attribute__((noinline)) bool IOQueue::Submit(const IORequest &request)
{
	bool ok = true;

	switch (request.kind) {
	case IOKind::kTouchZone:
		tracker_.Touch(static_cast<ZoneEntry *>(request.target), request.value);
		break;
	case IOKind::kFillBuffer:
		buffer_.Fill(static_cast<uint64_t *>(request.target), request.words, request.value);
		break;
	case IOKind::kMarkSlot:
		slots_.Mark(static_cast<uint32_t *>(request.target), static_cast<uint32_t>(request.value));
		break;
	case IOKind::kToggleFlag:
		flags_.Toggle(static_cast<uint32_t *>(request.target), static_cast<uint32_t>(request.value));
		break;
	case IOKind::kReadRecord:
		ok = journal_.AppendRecord(request.value) && journal_.ReadRecord(request.target);
		break;
	case IOKind::kRecycleZone: {
		ZoneContext *context = tracker_.Find(request.value);

		tracker_.Drop(context);
		ok = request.reuse(context);
		break;
	}
	case IOKind::kReadBlock:
		ok = blocks_.ReadBlock(request.file, request.target);
		break;
	}
	submitted_++;
	return ok;
}

} // namespace zbs::chunk
