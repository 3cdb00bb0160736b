// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A cache in a plugin: the program that loads it does not know the messages it holds. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>

#include <unistd.h>

#include "holders.pb.h"

#define NOINLINE __attribute__((noinline, noclone))

namespace plugin
{

class Store
{
      public:
	NOINLINE void Put(std::shared_ptr<held::Item> item)
	{
		items_.push_back(std::move(item));
	}
	NOINLINE void Use(const held::Item &item)
	{
		used_ += item.id() + item.part().id();
	}
	void Step(uint64_t n)
	{
		auto item = std::make_shared<held::Item>();

		item->set_id(n);
		item->mutable_part()->set_id(n);
		Put(item);
		Use(*items_.front());
		if (items_.size() > 24)
			items_.pop_front();
	}
	held::Item *Oldest()
	{
		return items_.empty() ? nullptr : items_.front().get();
	}

      private:
	std::deque<std::shared_ptr<held::Item>> items_;
	volatile uint64_t used_ = 0;
};

static Store store;

} // namespace plugin

extern "C" void plugin_step(uint64_t n)
{
	plugin::store.Step(n);
}

// As in holders.cc.
extern "C" NOINLINE void plugin_wild(unsigned hold_ms)
{
	held::Item *item = plugin::store.Oldest();
	uint64_t part = reinterpret_cast<uint64_t>(item->mutable_part());
	auto *word = reinterpret_cast<volatile uint64_t *>(item);

	while (*word != part)
		word++;
	*word = 0xfffc0000;
	printf("{\"pid\": %d, \"object\": \"0x%lx\", \"addr\": \"0x%lx\", \"old\": \"0x%lx\", \"new\": \"0xfffc0000\"}\n", getpid(),
	       reinterpret_cast<unsigned long>(item), reinterpret_cast<unsigned long>(word), part);
	fflush(stdout);
	usleep(hold_ms * 1000);
	*word = part;
}
