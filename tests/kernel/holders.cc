// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Messages held in all the ways a C++ program holds its objects: one cache per way, worked on by a thread each. Commands on stdin, answers
 * in JSON on stdout:
 *   wild WAY   stores 0xfffc0000 into the part_ of an item of that cache; tells which
 *   count      how many items there are, by way
 *   quit
 * With names of ways as arguments only those caches are worked on. --every US: pause between two steps of a thread.
 */
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <pthread.h>
#include <unistd.h>

#include "holders.pb.h"

#define NOINLINE __attribute__((noinline, noclone))

namespace held
{

static const size_t kKeep = 24;

static void Fill(Item *item, uint64_t id)
{
	item->set_id(id);
	item->mutable_part()->set_id(id * 2);
	item->mutable_part()->set_name("part of an item, longer than what is kept inside");
	for (unsigned i = 0; i < 2; i++)
		item->add_parts()->set_id(id + i);
	item->set_colour(static_cast<Colour>(1 + id % 3));
	item->set_on(id & 1);
	item->set_name("item");
}

// A pointer that counts inside of what it points to.
struct Counted {
	std::atomic<int> refs{0};
	virtual ~Counted() = default;
	Item item;
};

template <typename T> class Ref
{
      public:
	Ref() = default;
	explicit Ref(T *p) : p_(p)
	{
		if (p_)
			p_->refs++;
	}
	Ref(const Ref &o) : Ref(o.p_)
	{
	}
	Ref &operator=(const Ref &o)
	{
		Ref copy(o);
		std::swap(p_, copy.p_);
		return *this;
	}
	~Ref()
	{
		if (p_ && !--p_->refs)
			delete p_;
	}
	T *get() const
	{
		return p_;
	}

      private:
	T *p_ = nullptr;
};

class Cache
{
      public:
	virtual ~Cache() = default;
	virtual void Step(uint64_t n) = 0;	// one insertion, removal and use or so
	virtual Item *Any() = 0;		// an item that stays until the next step
	virtual size_t Size() const = 0;
	std::mutex lock;
};

class PointerCache : public Cache
{
      public:
	NOINLINE void Put(uint64_t key, Item *item);
	NOINLINE uint64_t Use(const Item *item);
	NOINLINE void Change(Item &item);
	NOINLINE void Drop(Item *item);
	void Step(uint64_t n) override;
	Item *Any() override
	{
		return map_.empty() ? nullptr : map_.begin()->second;
	}
	size_t Size() const override
	{
		return map_.size();
	}

      private:
	std::map<uint64_t, Item *> map_;
};

void PointerCache::Put(uint64_t key, Item *item)
{
	map_[key] = item;
}
uint64_t PointerCache::Use(const Item *item)
{
	return item->id() + item->part().id();
}
void PointerCache::Change(Item &item)
{
	item.set_uses(item.uses() + 1);
}
void PointerCache::Drop(Item *item)
{
	map_.erase(item->id());
	delete item;
}
void PointerCache::Step(uint64_t n)
{
	Item *item = new Item;

	Fill(item, n);
	Put(n, item);
	Use(map_.begin()->second);
	Change(*map_.begin()->second);
	if (map_.size() > kKeep)
		Drop(map_.begin()->second);
}

class UniqueCache : public Cache
{
      public:
	NOINLINE void Put(std::unique_ptr<Item> item);
	NOINLINE uint64_t Use(const std::unique_ptr<Item> &item);
	void Step(uint64_t n) override;
	Item *Any() override
	{
		return items_.empty() ? nullptr : items_.front().get();
	}
	size_t Size() const override
	{
		return items_.size();
	}

      private:
	std::deque<std::unique_ptr<Item>> items_;
};

void UniqueCache::Put(std::unique_ptr<Item> item)
{
	items_.push_back(std::move(item));
}
uint64_t UniqueCache::Use(const std::unique_ptr<Item> &item)
{
	return item->id() + item->part().id();
}
void UniqueCache::Step(uint64_t n)
{
	auto item = std::make_unique<Item>();

	Fill(item.get(), n);
	Put(std::move(item));
	Use(items_.front());
	if (items_.size() > kKeep)
		items_.pop_front();
}

class SharedCache : public Cache
{
      public:
	NOINLINE void Put(std::shared_ptr<Item> item);
	NOINLINE uint64_t Use(const std::shared_ptr<Item> &item);
	void Step(uint64_t n) override;
	Item *Any() override
	{
		return items_.empty() ? nullptr : items_.front().get();
	}
	size_t Size() const override
	{
		return items_.size();
	}

      private:
	std::list<std::shared_ptr<Item>> items_;
};

void SharedCache::Put(std::shared_ptr<Item> item)
{
	items_.push_back(std::move(item));
}
uint64_t SharedCache::Use(const std::shared_ptr<Item> &item)
{
	return item->id() + item->part().id();
}
void SharedCache::Step(uint64_t n)
{
	auto item = std::make_shared<Item>();

	Fill(item.get(), n);
	Put(item);
	Use(items_.front());
	if (items_.size() > kKeep)
		items_.pop_front();
}

class RefCache : public Cache
{
      public:
	NOINLINE void Put(Ref<Counted> item);
	NOINLINE uint64_t Use(const Ref<Counted> &item);
	void Step(uint64_t n) override;
	Item *Any() override
	{
		return items_.empty() ? nullptr : &items_.front().get()->item;
	}
	size_t Size() const override
	{
		return items_.size();
	}

      private:
	std::deque<Ref<Counted>> items_;
};

void RefCache::Put(Ref<Counted> item)
{
	items_.push_back(item);
}
uint64_t RefCache::Use(const Ref<Counted> &item)
{
	return item.get()->item.id();
}
void RefCache::Step(uint64_t n)
{
	Ref<Counted> item(new Counted);

	Fill(&item.get()->item, n);
	Put(item);
	Use(items_.front());
	if (items_.size() > kKeep)
		items_.pop_front();
}

// Values: elements of containers. A vector moves them when it grows.
class VectorCache : public Cache
{
      public:
	NOINLINE void Append(uint64_t n);
	NOINLINE uint64_t Use(const Item &item);
	void Step(uint64_t n) override;
	Item *Any() override
	{
		return items_.empty() ? nullptr : &items_[items_.size() / 2];
	}
	size_t Size() const override
	{
		return items_.size();
	}

      private:
	std::vector<Item> items_;
};

void VectorCache::Append(uint64_t n)
{
	items_.emplace_back();
	Fill(&items_.back(), n);
}
uint64_t VectorCache::Use(const Item &item)
{
	return item.id() + item.part().id();
}
void VectorCache::Step(uint64_t n)
{
	Append(n);
	Use(items_[items_.size() / 2]);
	if (items_.size() > 4 * kKeep) {
		items_.erase(items_.begin() + 8, items_.begin() + 3 * kKeep); // moves those behind
		items_.shrink_to_fit();					      // moves all
	}
}

template <typename Map> class MapCache : public Cache
{
      public:
	NOINLINE void Append(uint64_t n)
	{
		Fill(&items_[n], n);
	}
	NOINLINE uint64_t Use(const Item &item)
	{
		return item.id() + item.part().id();
	}
	void Step(uint64_t n) override
	{
		Append(n);
		Use(items_.find(oldest_)->second);
		if (items_.size() > kKeep)
			items_.erase(oldest_++);
	}
	Item *Any() override
	{
		return items_.empty() ? nullptr : &items_.find(oldest_)->second;
	}
	size_t Size() const override
	{
		return items_.size();
	}

      private:
	Map items_;
	uint64_t oldest_ = 1;
};

template <typename List> class ListCache : public Cache
{
      public:
	NOINLINE void Append(uint64_t n)
	{
		items_.emplace_back();
		Fill(&items_.back(), n);
	}
	NOINLINE uint64_t Use(const Item &item)
	{
		return item.id() + item.part().id();
	}
	void Step(uint64_t n) override
	{
		Append(n);
		Use(items_.front());
		if (items_.size() > kKeep)
			items_.pop_front();
	}
	Item *Any() override
	{
		return items_.empty() ? nullptr : &items_.front();
	}
	size_t Size() const override
	{
		return items_.size();
	}

      private:
	List items_;
};

} // namespace held

using namespace held;

static std::atomic<bool> quit;
static unsigned every_us = 500;

static void Work(Cache *cache, std::string name)
{
	pthread_setname_np(pthread_self(), name.c_str());
	for (uint64_t n = 1; !quit; n++) {
		{
			std::lock_guard<std::mutex> held(cache->lock);
			cache->Step(n);
		}
		usleep(every_us);
	}
}

// Not through Item: who writes there has no business with it.
static NOINLINE void WildStore(volatile uint64_t *where)
{
	*where = 0xfffc0000;
}

// part_ is private: it is the word that holds the part's address.
static volatile uint64_t *PartOf(Item *item)
{
	uint64_t part = reinterpret_cast<uint64_t>(item->mutable_part());

	for (size_t i = 0; i + 8 <= sizeof(*item); i += 8) {
		auto *word = reinterpret_cast<volatile uint64_t *>(reinterpret_cast<char *>(item) + i);

		if (*word == part)
			return word;
	}
	abort();
}

// The store, and its undoing before the item is used: the cache stays locked meanwhile, for as long as the sweep may need.
static void Wild(Cache *cache, const std::string &way, unsigned hold_ms)
{
	std::lock_guard<std::mutex> held(cache->lock);
	Item *item = cache->Any();
	volatile uint64_t *word = PartOf(item);
	uint64_t old = *word;

	WildStore(word);
	printf("{\"way\": \"%s\", \"pid\": %d, \"object\": \"0x%lx\", \"addr\": \"0x%lx\", \"old\": \"0x%lx\", \"new\": \"0xfffc0000\"}\n",
	       way.c_str(), getpid(), reinterpret_cast<unsigned long>(item), reinterpret_cast<unsigned long>(word), old);
	fflush(stdout);
	usleep(hold_ms * 1000);
	*word = old;
}

int main(int argc, char **argv)
{
	std::map<std::string, std::unique_ptr<Cache>> caches;
	std::vector<std::string> wanted;
	std::vector<std::thread> threads;
	std::string line;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--every") && i + 1 < argc)
			every_us = static_cast<unsigned>(atoi(argv[++i]));
		else
			wanted.push_back(argv[i]);
	}
	caches["pointer"] = std::make_unique<PointerCache>();
	caches["unique"] = std::make_unique<UniqueCache>();
	caches["shared"] = std::make_unique<SharedCache>();
	caches["ref"] = std::make_unique<RefCache>();
	caches["vector"] = std::make_unique<VectorCache>();
	caches["map"] = std::make_unique<MapCache<std::map<uint64_t, Item>>>();
	caches["unordered"] = std::make_unique<MapCache<std::unordered_map<uint64_t, Item>>>();
	caches["deque"] = std::make_unique<ListCache<std::deque<Item>>>();
	caches["list"] = std::make_unique<ListCache<std::list<Item>>>();
	for (auto &[name, cache] : caches) {
		bool on = wanted.empty();

		for (const auto &w : wanted)
			on |= w == name;
		if (on)
			threads.emplace_back(Work, cache.get(), name);
	}
	usleep(50000);
	printf("ready pid=%d\n", getpid());
	fflush(stdout);
	while (std::getline(std::cin, line)) {
		std::istringstream words(line);
		std::string verb, way;
		unsigned hold_ms = 1500;

		words >> verb >> way >> hold_ms;
		if (verb == "wild" && caches.count(way)) {
			Wild(caches[way].get(), way, hold_ms);
		} else if (verb == "count") {
			printf("{");
			for (auto &[name, cache] : caches)
				printf("%s\"%s\": %zu", name == caches.begin()->first ? "" : ", ", name.c_str(), cache->Size());
			printf("}\n");
			fflush(stdout);
		} else {
			break;
		}
	}
	quit = true;
	for (auto &t : threads)
		t.join();
	return 0;
}
