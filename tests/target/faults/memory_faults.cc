#include "faults/memory_faults.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <future>
#include <memory>

#include <unistd.h>

#include "faults/chunk_fields.h"
#include "faults/direct_block.h"
#include "thread.h"

namespace zbs
{

enum class Want { kAny, kNull, kSet };

struct MemoryFault {
	const char *name;
	const char *function;
	const char *field; // nullptr: the chunk from its first byte on
	chunk::IOKind kind;
	size_t skip; // bytes of the field that are left alone
	size_t width;
	uint64_t value;
	Want want; // what the field must hold before
	// A change within a second after a rightful one cannot be told from it: time to let the last one age.
	int64_t settle_ms;
	bool recycled = false; // the chunk gets the block of a zone's context that has just been freed
};

namespace
{

constexpr uint64_t kNeverDone = 5000; // ms

const MemoryFault faults[] = {
	// The offset that is rounded down to 0xfffc0000, and a field that was never set, as in the incident.
	{"wild-store", "zbs::chunk::ZoneTracker::Touch", "read_perf", chunk::IOKind::kTouchZone, 0, 8,
	 0xfffd1200, Want::kNull, 0},
	// The same through the pointer to a context that was freed and whose block is a chunk by now.
	{"stale-pointer", "zbs::chunk::ZoneTracker::Touch", "read_perf", chunk::IOKind::kTouchZone, 0, 8,
	 0xfffd1200, Want::kNull, 1500, true},
	// vptr, metadata, has-bits. Starts behind the allocator's own header, which would take the whole
	// daemon along.
	{"overrun", "zbs::chunk::CopyBuffer::Fill", nullptr, chunk::IOKind::kFillBuffer, 0, 24,
	 0x5a42535f424c4f00, Want::kAny, 0},
	{"torn-store", "zbs::chunk::SlotTable::Mark", "write_perf", chunk::IOKind::kMarkSlot, 4, 4, 0x42,
	 Want::kSet, 0},
	{"bit-flip", "zbs::chunk::FlagMap::Toggle", "data_port", chunk::IOKind::kToggleFlag, 0, 4, 9,
	 Want::kAny, 1500},
	// "JRNL0001"
	{"read-reused", "zbs::chunk::JournalReader::ReadRecord", "total_perf", chunk::IOKind::kReadRecord, 0,
	 8, 0x313030304c4e524a, Want::kAny, 0},
	// "DBLK0001", by DMA. Time to look at the new chunk before.
	{"direct-read", "zbs::chunk::BlockReader::ReadBlock", "read_perf", chunk::IOKind::kReadBlock, 0, 8,
	 0x313030304b4c4244, Want::kNull, 1500},
};

const MemoryFault *FindFault(const std::string &name)
{
	for (const MemoryFault &fault : faults) {
		if (name == fault.name)
			return &fault;
	}
	return nullptr;
}

uint64_t Word(const uint8_t *bytes, size_t width)
{
	uint64_t word = 0;

	memcpy(&word, bytes, std::min(width, sizeof(word)));
	return word;
}

} // namespace

MemoryFaults::MemoryFaults(libmeta::Meta *meta, chunk::Worker *worker, TruthLog *truth, uint64_t seed)
    : meta_(meta), worker_(worker), truth_(truth), random_(seed)
{
}

MemoryFaults::~MemoryFaults()
{
	if (repeater_.joinable())
		repeater_.join();
}

bool MemoryFaults::Knows(const std::string &name)
{
	return FindFault(name) != nullptr;
}

uint64_t MemoryFaults::injected() const
{
	return injected_.load();
}

// Pins a lease with a chunk that suits the fault. The caller holds mutex_.
bool MemoryFaults::PickTarget(const MemoryFault &fault, const FaultParams &params, Target *target,
			      std::string *error)
{
	std::string name = params.Text("field", fault.field ? fault.field : "");
	ChunkField field;

	size_t among = static_cast<size_t>(
		params.Text("object", "random") == "same" ? 1 : params.Number("among", 0));

	if (among && targets_.size() >= among) {
		*target = targets_[random_() % among];
		return true;
	}
	if (!name.empty() && !FindChunkField(name, &field)) {
		*error = "no message or integer field " + name;
		return false;
	}
	target->field_width = name.empty() ? fault.width : field.width;
	if (fault.skip + fault.width > target->field_width) {
		*error = "the store is wider than field " + name;
		return false;
	}
	target->lease = meta_->PinLease(&random_, [&](libmeta::CachedLease *lease) {
		int count = lease->chunks_size();

		for (int i = 0, start = static_cast<int>(random_() % 8); i < count; i++) {
			int index = (start + i) % count;
			auto *chunk = reinterpret_cast<uint8_t *>(lease->mutable_chunks(index));
			uint64_t now = Word(chunk + field.offset, field.width);

			if ((fault.want == Want::kNull && now) || (fault.want == Want::kSet && !now))
				continue;
			if (fault.kind == chunk::IOKind::kReadBlock) {
				chunk = reinterpret_cast<uint8_t *>(PlantAlignedChunk(lease, index));
				index = 0;
				if (!chunk)
					return false;
			}
			if (target->block) {
				chunk = reinterpret_cast<uint8_t *>(
					PlantChunkAt(lease, index, target->block));
				index = 0;
				if (!chunk)
					return false;
			}
			target->chunk = chunk;
			target->field = chunk + field.offset;
			target->path = "chunks_[" + std::to_string(index) + "]" +
				       (name.empty() ? "" : "." + name + "_");
			return true;
		}
		return false;
	});
	if (!target->lease) {
		*error = "no cached lease has a suitable chunk";
		return false;
	}
	target->address = target->field + fault.skip;
	target->width = fault.width;
	return true;
}

// As PickTarget, on the thread zone-io: only there does the allocator give the block out again at once.
bool MemoryFaults::PickRecycled(const MemoryFault &fault, const FaultParams &params, Target *target,
				std::string *error)
{
	auto outcome = std::make_shared<std::promise<bool>>();
	chunk::IORequest request;

	request.kind = chunk::IOKind::kRecycleZone;
	request.value = fault.value;
	request.reuse = [&](void *block) {
		target->block = block;
		target->recycled_ns = MonotonicNs();
		target->recycler = gettid();
		return PickTarget(fault, params, target, error);
	};
	request.done = [outcome](bool ok) { outcome->set_value(ok); };
	worker_->Post(request);
	return outcome->get_future().get();
}

// Has the thread zone-io do the store, and writes down what it was.
bool MemoryFaults::Store(const MemoryFault &fault, Target *target, std::string *error)
{
	struct Outcome {
		bool ok;
		pid_t tid;
		std::string thread;
		uint64_t end_ns;
	};
	auto outcome = std::make_shared<std::promise<Outcome>>();
	chunk::IORequest request;
	uint64_t field_old = Word(target->field, target->field_width);

	memcpy(target->old, target->address, target->width);
	request.kind = fault.kind;
	request.target = target->address;
	request.value = fault.value;
	request.words = target->width / sizeof(uint64_t);
	if (fault.kind == chunk::IOKind::kReadBlock) {
		request.target = target->chunk;
		request.file = OpenDirectFile(directory_, target->chunk, target->address, &fault.value,
					      target->width, error);
		if (request.file < 0)
			return false;
		files_.push_back(request.file);
	}
	request.done = [outcome](bool ok) {
		outcome->set_value({ok, gettid(), ThreadName(), MonotonicNs()});
	};

	auto finished = outcome->get_future();
	uint64_t start_ns = MonotonicNs();
	worker_->Post(request);
	if (finished.wait_for(std::chrono::milliseconds(kNeverDone)) != std::future_status::ready) {
		*error = "the thread zone-io does not answer";
		return false;
	}
	Outcome did = finished.get();
	if (!did.ok) {
		*error = "the store failed";
		return false;
	}

	JsonObject record;
	record.Text("event", "fault").Text("name", fault.name);
	record.Number("seq", static_cast<int64_t>(injected_.fetch_add(1) + 1));
	record.Number("time_ns", static_cast<int64_t>(start_ns))
		.Number("end_ns", static_cast<int64_t>(did.end_ns));
	record.Number("tid", did.tid).Text("thread", did.thread).Text("function", fault.function);
	record.Hex("object", reinterpret_cast<uintptr_t>(target->lease.get()))
		.Hex("node", reinterpret_cast<uintptr_t>(target->chunk));
	record.Text("path", target->path).Hex("addr", reinterpret_cast<uintptr_t>(target->address));
	record.Number("width", static_cast<int64_t>(target->width));
	record.Hex("old", Word(target->old, target->width)).Hex("new", Word(target->address, target->width));
	record.Hex("field_addr", reinterpret_cast<uintptr_t>(target->field)).Hex("field_old", field_old);
	record.Hex("field_new", Word(target->field, target->field_width));
	if (target->block) {
		record.Hex("block", reinterpret_cast<uintptr_t>(target->block))
			.Number("block_size", static_cast<int64_t>(sizeof(chunk::ZoneContext)));
		record.Number("freed_ns", static_cast<int64_t>(target->recycled_ns))
			.Number("freed_tid", target->recycler);
		record.Text("freed_by", "zbs::chunk::ZoneTracker::Drop")
			.Text("allocated_by", "zbs::chunk::ZoneTracker::Find");
	}
	truth_->Write(record);
	return true;
}

void MemoryFaults::Repeat(const MemoryFault &fault, const FaultParams &params)
{
	int64_t times = params.Number("times", 1);
	std::chrono::milliseconds period(params.Number("every_ms", 1000));
	std::unique_lock<std::mutex> lock(mutex_);

	for (int64_t i = 1; i < times; i++) {
		Target target;
		std::string error;

		if (healed_.wait_for(lock, period, [this] { return healing_; }))
			return;
		if (!PickTarget(fault, params, &target, &error) || !Store(fault, &target, &error))
			return;
		targets_.push_back(target);
	}
}

bool MemoryFaults::Inject(const std::string &name, const FaultParams &params, std::string *error)
{
	const MemoryFault *fault = FindFault(name);
	std::unique_lock<std::mutex> lock(mutex_);
	Target target;

	healing_ = false;
	injected_.store(0);
	// What is done for the first time (descriptors) may take the block first.
	for (int tries = fault->recycled ? 3 : 1, ok = false; !ok; tries--) {
		if (tries == 0)
			return false;
		ok = fault->recycled ? PickRecycled(*fault, params, &target, error)
				     : PickTarget(*fault, params, &target, error);
	}
	directory_ = params.Text("dir", "/var/tmp");
	JsonObject plan; // for a tool that is to look at the object before it is damaged
	plan.Text("event", "planned").Text("name", name);
	plan.Hex("object", reinterpret_cast<uintptr_t>(target.lease.get()));
	plan.Hex("field_addr", reinterpret_cast<uintptr_t>(target.field));
	truth_->Write(plan);
	SleepMs(static_cast<uint64_t>(params.Number("settle_ms", fault->settle_ms)));
	if (!Store(*fault, &target, error)) {
		meta_->UnpinLease(target.lease.get());
		return false;
	}
	if (params.Number("crash", 0)) {
		// As in the incident: nobody looks at the field until the lease expires.
		meta_->UnpinLease(target.lease.get());
		return true;
	}
	targets_.push_back(target);
	lock.unlock();
	if (params.Number("times", 1) > 1)
		repeater_ = StartThread("fault-timer", [this, fault, params] { Repeat(*fault, params); });
	return true;
}

void MemoryFaults::Heal()
{
	{
		std::lock_guard<std::mutex> lock(mutex_);
		healing_ = true;
	}
	healed_.notify_all();
	if (repeater_.joinable())
		repeater_.join();

	std::lock_guard<std::mutex> lock(mutex_);
	meta_->ReleasePins([this] {
		// The last damage first: a word that was hit more than once gets its first value back.
		for (auto target = targets_.rbegin(); target != targets_.rend(); ++target)
			memcpy(target->address, target->old, target->width);
	});
	targets_.clear();
	for (int file : files_)
		close(file);
	files_.clear();
}

} // namespace zbs
