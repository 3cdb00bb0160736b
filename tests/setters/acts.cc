// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Every way in which protobuf writes a message itself, done all the time to guarded objects by several threads, each object by one
 * at a time: health. "fault ACT KIND" on stdin does the act once more to an object, then a stray store beside it, and prints
 * "fault ADDRESS OBJECT PATH NEW": after that the object is only looked at. "acts" lists the acts, "counts" how often each was done.
 */
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <google/protobuf/arena.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include "rec.pb.h"

using google::protobuf::Arena;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using st::Inner;
using st::Rec;

#define NOINLINE __attribute__((noinline))

// The cache's functions, for a session's --insert, --check and --remove.
extern "C++" NOINLINE void put(Rec *r)
{
	asm volatile("" : : "r"(r) : "memory");
}
extern "C++" NOINLINE void use(Rec *r)
{
	asm volatile("" : : "r"(r) : "memory");
}
extern "C++" NOINLINE void drop(Rec *r)
{
	asm volatile("" : : "r"(r) : "memory");
}

namespace
{
// What some of the acts work with; one per thread.
struct Hands {
	unsigned seed;
	Rec other; // never guarded
	unsigned next()
	{
		seed = seed * 1103515245 + 12345;
		return seed >> 16;
	}
};

NOINLINE void fill(Rec *r, unsigned v)
{
	r->set_i32(static_cast<int>(v));
	r->set_u64(v);
	r->set_f64(v);
	r->set_flag(v & 1);
	r->set_mode(v & 1 ? st::ON : st::AUTO);
	r->set_name(v & 2 ? "short" : "a string that does not fit into the string object");
	r->mutable_inner()->set_a(v);
	r->mutable_inner()->set_s("inner");
	r->mutable_other()->set_b(v);
	r->add_items()->set_a(v);
	r->add_nums(v);
	r->add_tags("tag");
	(*r->mutable_attrs())["k"] = v;
}

// Setters, inlined as they are.
void act_set(Rec *r, Hands *h)
{
	fill(r, h->next());
	if (r->nums_size() > 40)
		r->clear_nums();
	if (r->items_size() > 12)
		r->clear_items();
	if (r->tags_size() > 12)
		r->clear_tags();
}
void act_clear_fields(Rec *r, Hands *)
{
	r->clear_i32();
	r->clear_flag();
	r->clear_name();
	r->clear_inner();
	r->clear_mode();
}
void act_clear(Rec *r, Hands *h)
{
	r->Clear();
	fill(r, h->next());
}
void act_copy_from(Rec *r, Hands *h)
{
	fill(&h->other, 5);
	r->CopyFrom(h->other);
	h->other.Clear();
}
void act_copy_from_message(Rec *r, Hands *h)
{
	const Message &m = h->other;

	static_cast<Message *>(r)->CopyFrom(m);
}
void act_merge_from(Rec *r, Hands *h)
{
	h->other.Clear();
	fill(&h->other, h->next());
	r->MergeFrom(h->other);
	if (r->items_size() > 12)
		r->Clear();
}
void act_merge_from_message(Rec *r, Hands *h)
{
	const Message &m = h->other;

	h->other.Clear();
	h->other.set_w1(1);
	static_cast<Message *>(r)->MergeFrom(m);
}
void act_assign(Rec *r, Hands *h)
{
	h->other.Clear();
	fill(&h->other, h->next());
	*r = h->other;
}
void act_move_assign(Rec *r, Hands *h)
{
	Rec from;

	fill(&from, h->next());
	*r = std::move(from);
}
void act_move_out(Rec *r, Hands *h)
{
	Rec to(std::move(*r));

	h->other.set_u32(to.u32());
}
void act_swap(Rec *r, Hands *h)
{
	r->Swap(&h->other);
	if (h->other.items_size() > 12)
		h->other.Clear();
}
void act_swap_friend(Rec *r, Hands *h)
{
	using std::swap;

	swap(*r, h->other);
}
void act_parse(Rec *r, Hands *h)
{
	std::string bytes;

	h->other.Clear();
	fill(&h->other, h->next());
	h->other.SerializeToString(&bytes);
	if (!r->ParseFromString(bytes))
		abort();
}
void act_merge_from_stream(Rec *r, Hands *h)
{
	std::string bytes;

	h->other.Clear();
	h->other.set_u64(h->next());
	h->other.set_name("n");
	h->other.SerializeToString(&bytes);
	google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t *>(bytes.data()), static_cast<int>(bytes.size()));
	if (!r->MergePartialFromCodedStream(&in))
		abort();
}
void act_parse_half(Rec *r, Hands *h) // fails in the middle
{
	std::string bytes;

	fill(&h->other, h->next());
	h->other.SerializeToString(&bytes);
	bytes.resize(bytes.size() - 3);
	r->ParsePartialFromString(bytes);
}
void act_text(Rec *r, Hands *)
{
	if (!google::protobuf::TextFormat::MergeFromString("w2: 7 inner { b: 8 } nums: 3 mode: AUTO", r))
		abort();
	if (r->nums_size() > 40)
		r->clear_nums();
}
void act_allocated(Rec *r, Hands *h)
{
	Inner *in = new Inner;

	in->set_a(h->next());
	r->set_allocated_inner(in);
	delete r->release_other();
	r->set_allocated_name(new std::string("name"));
	delete r->release_name();
}
void act_unsafe_arena(Rec *r, Hands *h)
{
	Inner *in = Arena::CreateMessage<Inner>(r->GetArena()), *out = r->unsafe_arena_release_other();

	in->set_a(h->next());
	if (!r->GetArena())
		delete out;
	r->unsafe_arena_set_allocated_other(in);
}
void act_strings(Rec *r, Hands *h)
{
	r->mutable_name()->append("x");
	if (r->name().size() > 100)
		r->mutable_name()->clear();
	r->set_blob("bytes", 3);
	r->mutable_inner()->mutable_s()->assign(h->next() % 40, 's');
	r->clear_blob();
}
void act_repeated(Rec *r, Hands *h)
{
	while (r->items_size() < 9)
		r->add_items()->set_b(h->next());
	r->mutable_items()->SwapElements(0, 3);
	r->mutable_items()->RemoveLast();
	r->mutable_items()->DeleteSubrange(1, 4);
	delete r->mutable_items()->ReleaseLast();
	r->mutable_items()->AddAllocated(new Inner);
	r->mutable_items()->Reserve(r->items_size() + 5);
	for (unsigned i = 0; i < 30; i++)
		r->add_nums(i);
	r->mutable_nums()->Truncate(4);
	r->mutable_nums()->Resize(7, 1);
	r->mutable_nums()->Swap(h->other.mutable_nums());
	r->mutable_tags()->Swap(h->other.mutable_tags());
	r->mutable_items()->Swap(h->other.mutable_items());
	if (r->tags_size() > 12)
		r->clear_tags();
	if (h->other.items_size() > 12)
		h->other.Clear();
}
void act_oneof(Rec *r, Hands *h)
{
	if (h->next() & 1)
		r->set_slot(h->next());
	else
		r->set_path("path");
	if (h->next() & 1)
		r->clear_place();
}
void act_map(Rec *r, Hands *h)
{
	for (unsigned i = 0; i < 9; i++)
		(*r->mutable_attrs())[std::to_string(h->next() % 50)] = i;
	if (r->attrs_size() > 30)
		r->mutable_attrs()->clear();
}

const FieldDescriptor *field(const Message *m, const char *name)
{
	return m->GetDescriptor()->FindFieldByName(name);
}
void act_reflection_set(Rec *r, Hands *h)
{
	const Reflection *f = r->GetReflection();

	f->SetInt32(r, field(r, "i32"), static_cast<int>(h->next()));
	f->SetInt64(r, field(r, "i64"), h->next());
	f->SetUInt32(r, field(r, "u32"), h->next());
	f->SetUInt64(r, field(r, "u64"), h->next());
	f->SetFloat(r, field(r, "f32"), 1.0f);
	f->SetDouble(r, field(r, "f64"), h->next());
	f->SetBool(r, field(r, "flag"), h->next() & 1);
	f->SetEnum(r, field(r, "mode"), st::Mode_descriptor()->FindValueByNumber(h->next() & 1 ? st::ON : st::OFF));
	f->SetEnumValue(r, field(r, "mode"), st::AUTO);
	f->SetString(r, field(r, "name"), "by reflection");
	Message *in = f->MutableMessage(r, field(r, "inner"));
	in->GetReflection()->SetUInt64(in, field(in, "a"), h->next());
	f->AddUInt32(r, field(r, "nums"), 1);
	f->SetRepeatedUInt32(r, field(r, "nums"), 0, h->next());
	f->AddString(r, field(r, "tags"), "t");
	f->AddMessage(r, field(r, "items"));
	if (r->items_size() > 12)
		f->ClearField(r, field(r, "items"));
	if (r->nums_size() > 40)
		f->ClearField(r, field(r, "nums"));
	if (r->tags_size() > 12)
		f->ClearField(r, field(r, "tags"));
}
void act_reflection_more(Rec *r, Hands *h)
{
	const Reflection *f = r->GetReflection();
	Message *in;

	f->ClearField(r, field(r, "u64"));
	f->Swap(r, &h->other);
	f->SwapFields(r, &h->other, {field(r, "i32"), field(r, "w1"), field(r, "inner")});
	in = f->ReleaseMessage(r, field(r, "inner"));
	f->SetAllocatedMessage(r, in ? in : new Inner, field(r, "inner"));
	f->AddMessage(r, field(r, "items"));
	f->AddMessage(r, field(r, "items"));
	f->SwapElements(r, field(r, "items"), 0, 1);
	f->RemoveLast(r, field(r, "items"));
	delete f->ReleaseLast(r, field(r, "items"));
	f->AddAllocatedMessage(r, field(r, "items"), new Inner);
	f->SetUInt32(r, field(r, "slot"), 3);
	f->ClearOneof(r, r->GetDescriptor()->FindOneofByName("place"));
	if (r->items_size() > 12)
		r->Clear();
	if (h->other.items_size() > 12)
		h->other.Clear();
}
void act_unknown(Rec *r, Hands *h)
{
	std::string bytes("\xc0\x3e\x07", 3); // field 1000, varint

	h->other.Clear();
	r->DiscardUnknownFields();
	if (!r->MergeFromString(bytes))
		abort();
}
void act_const(Rec *r, Hands *h) // writes nothing but sizes
{
	h->next();
	if (r->ByteSizeLong() > (1u << 20) || !r->IsInitialized() || r->ShortDebugString().size() > (1u << 20))
		abort();
}

struct Act {
	const char *name;
	void (*run)(Rec *, Hands *);
};
const Act acts[] = {
#define ACT(x) {#x, act_##x}
	ACT(set),	  ACT(clear_fields),	   ACT(clear),		 ACT(copy_from),	  ACT(copy_from_message), ACT(merge_from),
	ACT(merge_from_message), ACT(assign),	   ACT(move_assign),	 ACT(move_out),		  ACT(swap),		  ACT(swap_friend),
	ACT(parse),	  ACT(merge_from_stream), ACT(parse_half),	 ACT(text),		  ACT(allocated),	  ACT(unsafe_arena),
	ACT(strings),	  ACT(repeated),	   ACT(oneof),		 ACT(map),		  ACT(reflection_set),	  ACT(reflection_more),
	ACT(unknown),	  ACT(const),
};
const size_t N_ACTS = sizeof(acts) / sizeof(acts[0]);
std::atomic<unsigned long> count[N_ACTS];

// The cache. Some of its objects are on arenas.
const int N = 64;
struct Entry {
	std::mutex mutex;
	Rec *rec = nullptr;
	Arena *arena = nullptr;
	bool damaged = false;
};
Entry cache[N];

void create(Entry *e, unsigned v)
{
	if (v % 4 == 0)
		e->arena = new Arena;
	e->rec = v % 4 == 0   ? Arena::CreateMessage<Rec>(e->arena)
		 : v % 4 == 1 ? new Rec
			      : new Rec(*cache[0].rec);
	fill(e->rec, v);
	put(e->rec);
}
void destroy(Entry *e)
{
	drop(e->rec);
	if (e->arena)
		delete e->arena;
	else
		delete e->rec;
	e->arena = nullptr;
	e->rec = nullptr;
}

std::atomic<bool> stop;

void work(unsigned seed)
{
	Hands h;

	h.seed = seed;
	while (!stop) {
		unsigned a = h.next() % N_ACTS, i = 1 + h.next() % (N - 1);
		Entry *e = &cache[i];
		std::lock_guard<std::mutex> hold(e->mutex);

		use(e->rec);
		if (e->damaged)
			continue;
		if (h.next() % 50 == 0) {
			destroy(e);
			create(e, h.next());
			continue;
		}
		acts[a].run(e->rec, &h);
		count[a]++;
		if (h.next() & 1)
			use(e->rec);
		usleep(h.next() % 400);
	}
}

// What has no business here.
struct Stray {
	NOINLINE static void store(void *where, const void *what, size_t width)
	{
		memcpy(where, what, width);
	}
};

template <typename T> void damage(Rec *r, T *where, T value, const char *path)
{
	printf("fault %p %p %s 0x%llx\n", static_cast<void *>(where), static_cast<void *>(r), path,
	       static_cast<unsigned long long>(value));
	Stray::store(where, &value, sizeof(value));
}

// Compiled without access control: protobuf's members are private.
void fault(const char *act, const char *kind)
{
	Entry *e = nullptr;
	Hands h;

	h.seed = 7;
	for (int i = 1; i < N && !e; i++)
		if (!cache[i].damaged)
			e = &cache[i];
	if (!e)
		abort();
	std::lock_guard<std::mutex> hold(e->mutex);
	Rec *r = e->rec;

	if (!strcmp(kind, "scalar"))
		usleep(1300000); // whatever was done to the object before is no excuse any more
	use(r);
	for (const Act &a : acts)
		if (!strcmp(a.name, act))
			a.run(r, &h);
	if (!strcmp(kind, "pointer"))
		damage(r, reinterpret_cast<uint64_t *>(&r->_impl_.inner_), uint64_t(0xfffc0000), "inner_");
	else if (!strcmp(kind, "bool"))
		damage(r, reinterpret_cast<uint8_t *>(&r->_impl_.ready_), uint8_t(7), "ready_");
	else if (!strcmp(kind, "enum"))
		damage(r, reinterpret_cast<uint32_t *>(&r->_impl_.mode_), 77u, "mode_");
	else if (!strcmp(kind, "has-bits"))
		damage(r, reinterpret_cast<uint32_t *>(&r->_impl_._has_bits_), 0x40000001u, "_has_bits_");
	else if (!strcmp(kind, "repeated"))
		damage(r, reinterpret_cast<uint32_t *>(&r->_impl_.nums_), 0x7ffffffu, "nums_");
	else if (!strcmp(kind, "case"))
		damage(r, reinterpret_cast<uint32_t *>(&r->_impl_._oneof_case_[0]), 99u, "_oneof_case_[0]");
	else if (!strcmp(kind, "string"))
		damage(r, reinterpret_cast<uint64_t *>(&r->_impl_.name_), uint64_t(0x41414140), "name_");
	else if (!strcmp(kind, "scalar"))
		damage(r, reinterpret_cast<uint32_t *>(&r->_impl_.w3_), 0x41414141u, "w3_");
	else
		abort();
	e->damaged = true;
	fflush(stdout);
}
} // namespace

int main()
{
	std::vector<std::thread> threads;
	char line[128], act[64], kind[64];

	cache[0].rec = new Rec;
	fill(cache[0].rec, 1);
	for (int i = 1; i < N; i++)
		create(&cache[i], static_cast<unsigned>(i));
	for (unsigned i = 0; i < 3; i++)
		threads.emplace_back(work, i + 1);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "fault %63s %63s", act, kind) == 2) {
			fault(act, kind);
		} else if (!strncmp(line, "acts", 4)) {
			for (const Act &a : acts)
				printf("%s ", a.name);
			printf("\n");
		} else if (!strncmp(line, "counts", 6)) {
			for (size_t i = 0; i < N_ACTS; i++)
				printf("%lu ", count[i].load());
			printf("\n");
		}
		fflush(stdout);
	}
	stop = true;
	for (std::thread &t : threads)
		t.join();
	for (int i = 1; i < N; i++)
		if (!cache[i].damaged)
			destroy(&cache[i]);
	_exit(0);
}
