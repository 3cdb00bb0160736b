// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Objects made and freed in random order, by the main thread and by another one (whose heap is an arena of its own). Their destructor
 * leaves the vtable pointer as it is, so that what was freed still looks like an object. Prints which are alive, then waits.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include <unistd.h>

namespace fx
{
class Item
{
      public:
	virtual int Kind() const;
	bool flag_ = true;
	uint64_t number_ = 7;
	uint64_t more_[20] = {};
};
int Item::Kind() const
{
	return flag_;
}
} // namespace fx

using fx::Item;

static void Work(std::vector<Item *> *alive, unsigned seed)
{
	std::mt19937 random(seed);
	std::vector<void *> other;

	for (int i = 0; i < 20000; i++) {
		if (alive->size() < 300 || random() % 2) {
			alive->push_back(new Item);
		} else {
			size_t n = random() % alive->size();

			// not destroyed: only the memory is given back, and stays as it is where malloc does not need it
			operator delete(static_cast<void *>((*alive)[n]));
			(*alive)[n] = alive->back();
			alive->pop_back();
		}
		if (random() % 8 == 0)
			other.push_back(malloc(16 + random() % 3000));
		if (random() % 9 == 0 && !other.empty()) {
			free(other.back());
			other.pop_back();
		}
	}
	// big blocks that are freed merge with what is free beside them
	while (alive->size() > 1500) {
		operator delete(static_cast<void *>(alive->back()));
		alive->pop_back();
	}
}

int main()
{
	std::vector<Item *> alive[2];

	Work(&alive[0], 1);
	std::thread second([&] {
		Work(&alive[1], 2);
		alive[1][7]->flag_ = false;
		*reinterpret_cast<uint8_t *>(&alive[1][8]->flag_) = 77;
		printf("{\"damaged\": %lu, \"alive\": [", (unsigned long)alive[1][8]);
		for (const auto &part : alive)
			for (Item *item : part)
				printf("%lu, ", (unsigned long)item);
		printf("0]}\n");
		fflush(stdout);
		for (;;)
			pause();
	});

	second.join();
}
