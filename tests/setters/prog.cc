// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Setter call sites of every kind, in phases of a few each. It prints the addresses of the messages that are guarded, "node INDEX
 * ADDR", hands the objects to adopt(), and runs one phase for each line on stdin. Compiled twice: as a daemon is, to be probed; and, with
 * ST_TRUTH, not optimised and with setters that log who called them for which message (truth.py makes them do so).
 */
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#ifdef ST_TRUTH
void st_truth(const void *message, const char *setter, void *caller);
#endif
#include "rec.pb.h"

using st::Inner;
using st::Rec;

namespace
{
const int N = 6;
Rec *obj[N];
volatile unsigned seed = 3;

struct Phase {
	const char *name;
	void (*run)();
};
std::vector<Phase> &phases()
{
	static std::vector<Phase> v;
	return v;
}
struct Add {
	Add(const char *name, void (*run)())
	{
		phases().push_back({name, run});
	}
};
#define PHASE(name)                                                                                                                         \
	__attribute__((noinline)) void name();                                                                                              \
	Add add_##name(#name, name);                                                                                                        \
	__attribute__((noinline)) void name()

#define NOINLINE __attribute__((noinline))

// One setter in a function of its own: for each kind of field, set and cleared.
#define SINGLE(field, type, value)                                                                                                          \
	NOINLINE void set_one_##field(Rec *r, type v)                                                                                       \
	{                                                                                                                                   \
		r->set_##field(v);                                                                                                          \
	}                                                                                                                                   \
	PHASE(single_##field)                                                                                                               \
	{                                                                                                                                   \
		set_one_##field(obj[seed % N], value);                                                                                      \
		set_one_##field(obj[(seed + 2) % N], value);                                                                                \
	}                                                                                                                                   \
	PHASE(clear_##field)                                                                                                                \
	{                                                                                                                                   \
		obj[seed % N]->clear_##field();                                                                                             \
	}
SINGLE(i32, int, -5)
SINGLE(i64, int64_t, -5)
SINGLE(u32, unsigned, seed)
SINGLE(u64, uint64_t, seed)
SINGLE(s32, int, 8)
SINGLE(x64, uint64_t, 9)
SINGLE(f32, float, 1.5f)
SINGLE(f64, double, 2.5)
SINGLE(flag, bool, true)
SINGLE(ready, bool, true)
SINGLE(mode, st::Mode, st::AUTO)
SINGLE(name, const std::string &, "n")
SINGLE(blob, const char *, "some bytes that do not fit into the string itself")
SINGLE(w4, unsigned, seed)

// Constants: whatever the compiler does with them.
PHASE(constants)
{
	obj[0]->set_i32(7);
	obj[1]->set_u64(77);
	obj[2]->set_flag(true);
	obj[3]->set_f64(0.5);
	obj[4]->set_mode(st::ON);
	obj[5]->set_i64(-1);
}

// Several stores in one, and several has-bits in one or.
PHASE(merged_zero)
{
	Rec *r = obj[seed % N];

	r->set_w1(0);
	r->set_w2(0);
	r->set_w3(0);
	r->set_w4(0);
}
PHASE(merged_pairs)
{
	Rec *r = obj[1];

	r->set_flag(true);
	r->set_ready(false);
	r->set_w1(seed);
	r->set_w2(seed + 1);
}
PHASE(merged_constants)
{
	Rec *r = obj[2];

	r->set_w1(1);
	r->set_w2(2);
	r->set_i64(3);
	r->set_u64(4);
	r->set_f64(6.0);
}

NOINLINE void copy_some(Rec *to, const Rec *from)
{
	to->set_w1(from->w1());
	to->set_w2(from->w2());
	to->set_w3(from->w3());
	to->set_i64(from->i64());
	to->set_x64(from->x64());
}
PHASE(copied)
{
	copy_some(obj[4], obj[2]);
}

// In loops, through an array's elements, and through pointers held elsewhere.
PHASE(loop_array)
{
	for (int i = 0; i < N; i++)
		obj[i]->set_u32(seed + i);
}
PHASE(loop_two)
{
	for (int i = 0; i + 1 < N; i += 2) {
		obj[i]->set_x64(seed);
		obj[i + 1]->set_s32(i);
	}
}
PHASE(loop_same)
{
	Rec *r = obj[seed % N];

	for (unsigned i = 0; i < seed; i++)
		r->set_u64(r->u64() + i);
}

class Owner
{
      public:
	Owner(Rec *r) : used_(0), rec_(r)
	{
	}
	NOINLINE void Touch(unsigned v)
	{
		used_++;
		rec_->set_u32(v);
		if (v > 1)
			rec_->set_ready(true);
	}
	NOINLINE void All(std::vector<Rec *> *v)
	{
		for (Rec *r : *v) {
			r->set_i64(used_);
			rec_->set_i32(static_cast<int>(v->size()));
		}
	}
	virtual ~Owner()
	{
	}
	virtual void Virtual(uint64_t v)
	{
		rec_->set_u64(v);
		rec_->clear_f32();
	}

      protected:
	int used_;
	Rec *rec_;
};
Owner *owner;

PHASE(pointer_member)
{
	owner->Touch(seed);
}
PHASE(pointer_member_virtual)
{
	owner->Virtual(seed);
}
PHASE(vector_and_member)
{
	std::vector<Rec *> v(obj + 2, obj + 4);

	owner->All(&v);
}
PHASE(in_a_map)
{
	std::map<int, std::shared_ptr<Rec>> m;

	for (int i = 0; i < 3; i++)
		m[i] = std::shared_ptr<Rec>(obj[i], [](Rec *) {});
	for (auto &e : m)
		e.second->set_f64(e.first);
	m.find(1)->second->set_f32(3.0f);
}
PHASE(by_lambda)
{
	auto set = [](Rec *r, int v) { r->set_i32(v); };

	set(obj[1], static_cast<int>(seed));
	set(obj[3], 4);
}
template <typename T> NOINLINE void set_template(T *r, uint64_t v)
{
	r->set_u64(v);
	r->set_flag(v & 1);
}
PHASE(by_template)
{
	set_template(obj[5], seed);
}

// Several objects and conditions in one function.
PHASE(two_objects)
{
	Rec *a = obj[0], *b = obj[5];
	uint32_t x = a->w1();

	a->set_w1(b->w1());
	b->set_w1(x);
	a->set_mode(st::ON);
	b->set_mode(st::AUTO);
}
NOINLINE void choose(Rec *r, unsigned v)
{
	switch (v % 4) {
	case 0:
		r->set_w1(v);
		break;
	case 1:
		r->set_w2(v);
		r->set_flag(false);
		break;
	case 2:
		r->set_flag(true);
		break;
	default:
		r->clear_flag();
		r->set_w3(v);
	}
}
PHASE(switch_0)
{
	choose(obj[0], 0);
	choose(obj[1], 1);
}
PHASE(switch_2)
{
	choose(obj[2], 2);
	choose(obj[3], 3);
}
NOINLINE void branch(Rec *a, Rec *b, unsigned v)
{
	if (v & 1) {
		a->set_u32(v);
		b->set_x64(v);
	} else {
		b->set_u32(v);
		a->set_x64(v);
	}
	if (v > 2)
		a->set_s32(1);
	else
		a->set_s32(2);
}
PHASE(branch_odd)
{
	branch(obj[0], obj[1], 3);
}
PHASE(branch_even)
{
	branch(obj[2], obj[3], 2);
}
// The same setters on an object nobody guards, in between.
PHASE(beside_a_local)
{
	Rec local;

	local.set_u32(seed);
	local.set_i64(seed);
	obj[4]->set_u32(local.u32() + 1);
	local.set_flag(true);
	obj[4]->set_flag(local.flag());
}
struct Other {
	void *vtable;
	uint64_t words[24];
};
Other other;
PHASE(beside_another_type)
{
	Other *volatile p = &other;
	Other *o = p;

	for (unsigned i = 0; i < 24; i++)
		o->words[i] = seed + i;
	obj[1]->set_u64(o->words[3]);
	o->words[5] = seed;
}

// Sub-messages, strings, repeated fields.
PHASE(sub_message)
{
	Rec *r = obj[seed % N];

	r->mutable_inner()->set_a(5);
	r->mutable_inner()->set_b(seed);
}
PHASE(sub_message_kept)
{
	Inner *in = obj[1]->mutable_other();

	in->set_b(seed);
	in->set_c(true);
	in->clear_a();
}
PHASE(sub_message_string)
{
	obj[2]->mutable_inner()->set_s("x");
}
PHASE(element)
{
	Inner *in = obj[3]->mutable_items(1);

	in->set_a(seed);
	in->set_b(6);
}
PHASE(elements)
{
	for (int i = 0; i < obj[2]->items_size(); i++)
		obj[2]->mutable_items(i)->set_a(i);
}
PHASE(sub_message_taken)
{
	Inner *in = obj[5]->release_other();

	obj[5]->set_allocated_other(in);
}
PHASE(sub_message_cleared)
{
	obj[4]->clear_inner();
}
NOINLINE void put_name(Rec *r, std::string v)
{
	r->set_name(std::move(v));
	r->set_i32(1);
}
PHASE(string_moved)
{
	put_name(obj[1], "a string that is long enough to be on the heap");
}
PHASE(string_mutable)
{
	obj[2]->mutable_name()->assign("y");
}
PHASE(string_bytes)
{
	char buf[4] = {1, 2, 3, static_cast<char>(seed)};

	obj[3]->set_blob(buf, sizeof(buf));
}
PHASE(string_allocated)
{
	obj[4]->set_allocated_name(new std::string("z"));
	delete obj[4]->release_name();
}
PHASE(add_scalar)
{
	for (unsigned i = 0; i < seed; i++)
		obj[0]->add_nums(i);
}
PHASE(set_element)
{
	obj[1]->add_nums(4);
	obj[1]->set_nums(0, 7);
}
PHASE(add_string)
{
	obj[2]->add_tags("t");
	obj[2]->add_tags()->assign("u");
}
PHASE(add_message)
{
	obj[4]->add_items()->set_a(seed);
}
PHASE(clear_repeated)
{
	obj[0]->clear_nums();
	obj[2]->clear_tags();
}
PHASE(choice)
{
	obj[0]->set_slot(seed);
	obj[1]->set_path("p");
	obj[0]->clear_slot();
}

// A request handler, as a daemon has them.
NOINLINE void handle(Rec *r, const std::map<std::string, std::string> &in)
{
	for (const auto &e : in) {
		if (e.first == "u32")
			r->set_u32(static_cast<uint32_t>(atoi(e.second.c_str())));
		else if (e.first == "i64")
			r->set_i64(atoll(e.second.c_str()));
		else if (e.first == "f64")
			r->set_f64(atof(e.second.c_str()));
		else if (e.first == "flag")
			r->set_flag(e.second == "1");
		else if (e.first == "name")
			r->set_name(e.second);
		else
			r->clear_mode();
	}
	r->set_w4(static_cast<uint32_t>(in.size()));
}
PHASE(handler)
{
	handle(obj[3], {{"u32", "1"}, {"i64", "2"}, {"f64", "3"}, {"flag", "1"}, {"name", "n"}, {"x", ""}});
}

// adopt() is what the cache's insert function is to a session; check() its check function.
} // namespace

extern "C++" NOINLINE void adopt(Rec *r)
{
	asm volatile("" : : "r"(r) : "memory");
}

namespace
{
std::map<const void *, int> nodes;

void tell(int index, const void *p)
{
	nodes[p] = index;
	printf("node %d %p\n", index, p);
}

void set_up()
{
	for (int i = 0; i < N; i++) {
		Rec *r = obj[i] = new Rec;

		r->mutable_inner()->set_b(static_cast<unsigned>(i));
		r->mutable_other()->set_a(1);
		r->add_items()->set_a(2);
		r->add_items()->set_s("s");
		r->set_name("name");
		for (int k = 0; k < 3; k++)
			r->add_nums(1);
	}
	owner = new Owner(obj[4]);
}
} // namespace

#ifdef ST_TRUTH
static const char *phase = NULL;
extern char __executable_start;

void st_truth(const void *message, const char *setter, void *caller)
{
	auto n = nodes.find(message);

	if (phase)
		printf("call %s %lx %d %s\n", phase, static_cast<unsigned long>(static_cast<char *>(caller) - &__executable_start - 1),
		       n == nodes.end() ? -1 : n->second, setter);
}
#endif

int main()
{
	char line[64];

	set_up();
	for (int i = 0; i < N; i++) {
		tell(i * 8, obj[i]);
		tell(i * 8 + 1, &obj[i]->inner());
		tell(i * 8 + 2, &obj[i]->other());
		tell(i * 8 + 3, &obj[i]->items(0));
		tell(i * 8 + 4, &obj[i]->items(1));
	}
	printf("ready\n");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	for (int i = 0; i < N; i++)
		adopt(obj[i]);
	for (const Phase &p : phases()) {
		printf("next %s\n", p.name);
		fflush(stdout);
		if (!fgets(line, sizeof(line), stdin))
			return 1;
#ifdef ST_TRUTH
		phase = p.name;
#endif
		p.run();
#ifdef ST_TRUTH
		phase = NULL;
#endif
	}
	printf("end\n");
	return 0;
}
