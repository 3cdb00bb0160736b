// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The acts and stray stores of acts.cc on messages of protobuf 2.5's layout, with strings that share their text (the old ABI of
// libstdc++).
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdint.h>
#include <string>
#include <vector>

#include <pthread.h>
#include <unistd.h>

#include "legacy.h"

using old::Chunk;
using old::Perf;

extern "C++" NOINLINE void put(Chunk *c)
{
	asm volatile("" : : "r"(c) : "memory");
}
extern "C++" NOINLINE void use(Chunk *c)
{
	asm volatile("" : : "r"(c) : "memory");
}

namespace
{
struct Hands {
	unsigned seed;
	Chunk other; // never guarded
	unsigned next()
	{
		seed = seed * 1103515245 + 12345;
		return seed >> 16;
	}
};

void act_set(Chunk *c, Hands *h)
{
	c->set_id(h->next());
	c->set_port(h->next());
	c->set_ready(h->next() & 1);
	c->set_date(h->next());
	c->set_status(h->next() & 1 ? old::GOOD : old::GONE);
	c->set_name(h->next() & 1 ? "name" : "a longer name");
	c->mutable_read_perf()->set_iops(h->next());
	c->add_samples()->set_iops(1);
}
void act_clear_fields(Chunk *c, Hands *)
{
	c->clear_id();
	c->clear_ready();
	if (c->read_perf_)
		c->read_perf_->clear_iops();
}
void act_clear(Chunk *c, Hands *)
{
	c->Clear();
}
void act_copy(Chunk *c, Hands *h)
{
	act_set(&h->other, h);
	*c = h->other;
	h->other.Clear();
}
void act_merge(Chunk *c, Hands *h)
{
	c->MergeFrom(h->other);
}
void act_swap(Chunk *c, Hands *h)
{
	act_set(&h->other, h);
	c->Swap(&h->other);
}
void act_parse(Chunk *c, Hands *)
{
	if (c->samples_.current_size_ > 8)
		c->samples_.Clear();
	c->MergePartialFromCodedStream("abc", 3);
}
void act_allocated(Chunk *c, Hands *)
{
	delete c->release_read_perf();
	c->set_allocated_read_perf(new Perf);
	delete c->release_name();
}
void act_repeated(Chunk *c, Hands *h)
{
	for (int i = 0; i < 5; i++)
		c->add_samples()->set_iops(h->next());
	c->samples_.RemoveLast();
	if (c->samples_.current_size_ > 8)
		c->samples_.Clear();
}
void act_shared_string(Chunk *c, Hands *h) // two strings, one text
{
	h->other.set_name("shared text");
	c->set_name("");
	*c->name_ = *h->other.name_;
}

struct Act {
	const char *name;
	void (*run)(Chunk *, Hands *);
};
const Act acts[] = {
#define ACT(x) {#x, act_##x}
	ACT(set),  ACT(clear_fields), ACT(clear),     ACT(copy),     ACT(merge),
	ACT(swap), ACT(parse),	      ACT(allocated), ACT(repeated), ACT(shared_string),
};
const size_t N_ACTS = sizeof(acts) / sizeof(acts[0]);
unsigned long count[N_ACTS];

const int N = 48;
struct Entry {
	pthread_mutex_t mutex;
	Chunk *chunk;
	bool damaged;
};
Entry cache[N];
volatile bool stop;

void *work(void *arg)
{
	Hands h;

	h.seed = static_cast<unsigned>(reinterpret_cast<uintptr_t>(arg));
	while (!stop) {
		unsigned a = h.next() % N_ACTS;
		Entry *e = &cache[h.next() % N];

		pthread_mutex_lock(&e->mutex);
		use(e->chunk);
		if (!e->damaged && h.next() % 40 == 0) {
			delete e->chunk;
			e->chunk = h.next() & 1 ? new Chunk : new Chunk(h.other);
			put(e->chunk);
		} else if (!e->damaged) {
			acts[a].run(e->chunk, &h);
			if (e->chunk->samples_.current_size_ > 8)
				e->chunk->samples_.Clear();
			if (h.other.samples_.current_size_ > 3)
				h.other.samples_.Clear();
			__sync_fetch_and_add(&count[a], 1);
			if (h.next() & 1)
				use(e->chunk);
		}
		pthread_mutex_unlock(&e->mutex);
		usleep(h.next() % 400);
	}
	return NULL;
}

struct Stray {
	NOINLINE static void store(void *where, const void *what, size_t width)
	{
		memcpy(where, what, width);
	}
};
template <typename T> void damage(Chunk *c, void *where, T value, const char *path)
{
	printf("fault %p %p %s 0x%llx\n", where, static_cast<void *>(c), path, static_cast<unsigned long long>(value));
	Stray::store(where, &value, sizeof(value));
}

void fault(const char *act, const char *kind)
{
	Entry *e = NULL;
	Hands h;

	h.seed = 7;
	for (int i = 0; i < N && !e; i++)
		if (!cache[i].damaged)
			e = &cache[i];
	if (!e)
		abort();
	pthread_mutex_lock(&e->mutex);
	if (!strcmp(kind, "scalar"))
		usleep(1300000); // whatever was done to the object before is no excuse any more
	Chunk *c = e->chunk;
	use(c);
	for (size_t i = 0; i < N_ACTS; i++)
		if (!strcmp(acts[i].name, act))
			acts[i].run(c, &h);
	if (!strcmp(kind, "pointer"))
		damage(c, &c->read_perf_, uint64_t(0xfffc0000), "read_perf_");
	else if (!strcmp(kind, "bool"))
		damage(c, &c->ready_, uint8_t(7), "ready_");
	else if (!strcmp(kind, "enum"))
		damage(c, &c->status_, 77u, "status_");
	else if (!strcmp(kind, "has-bits"))
		damage(c, &c->_has_bits_, 0x40000001u, "_has_bits_");
	else if (!strcmp(kind, "repeated"))
		damage(c, &c->samples_.allocated_size_, 0x7ffffffu, "samples_");
	else if (!strcmp(kind, "string"))
		damage(c, &c->name_, uint64_t(0x41414140), "name_");
	else if (!strcmp(kind, "scalar"))
		damage(c, &c->port_, 0x41414141u, "port_");
	else
		abort();
	e->damaged = true;
	pthread_mutex_unlock(&e->mutex);
}
} // namespace

int main()
{
	char line[128], act[64], kind[64];
	pthread_t threads[3];

	for (int i = 0; i < N; i++) {
		pthread_mutex_init(&cache[i].mutex, NULL);
		cache[i].chunk = new Chunk;
		put(cache[i].chunk);
	}
	for (uintptr_t i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, work, reinterpret_cast<void *>(i + 1)))
			abort();
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "fault %63s %63s", act, kind) == 2) {
			fault(act, kind);
		} else if (!strncmp(line, "acts", 4)) {
			for (size_t i = 0; i < N_ACTS; i++)
				printf("%s ", acts[i].name);
			printf("\n");
		} else if (!strncmp(line, "counts", 6)) {
			for (size_t i = 0; i < N_ACTS; i++)
				printf("%lu ", count[i]);
			printf("\n");
		}
		fflush(stdout);
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < N; i++)
		if (!cache[i].damaged)
			delete cache[i].chunk;
	_exit(0);
}
