// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Stores to known words on command, each kind from a function and a thread of its own. Commands on stdin:
// KIND WORD VALUE [COUNT]; the answer on stdout is the id of the thread (or process) that stored.
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP extern "C" __attribute__((noinline, used))

static volatile uint64_t *words;

static int tid()
{
	return static_cast<int>(syscall(SYS_gettid));
}

KEEP void store_main(int w, uint64_t v)
{
	words[w] = v;
}

KEEP void store_old_thread(int w, uint64_t v)
{
	words[w] = v;
}

KEEP void store_new_thread(int w, uint64_t v)
{
	words[w] = v;
}

KEEP void store_child(int w, uint64_t v)
{
	words[w] = v;
}

KEEP void store_vfork(int w, uint64_t v)
{
	words[w] = v;
}

KEEP void store_half(int w, uint64_t v)
{
	reinterpret_cast<volatile uint32_t *>(words)[2 * w + 1] = static_cast<uint32_t>(v);
}

KEEP void store_memset(int w, uint64_t v)
{
	memset(const_cast<uint64_t *>(words + w), static_cast<int>(v), 8);
}

KEEP void store_read(int w, uint64_t v)
{
	int p[2];

	if (pipe(p) || write(p[1], &v, sizeof(v)) != sizeof(v) ||
	    read(p[0], const_cast<uint64_t *>(words + w), sizeof(v)) != sizeof(v))
		_exit(3);
	close(p[0]);
	close(p[1]);
}

// A thread from before anybody watched.
struct old_thread {
	std::mutex m;
	std::condition_variable cv;
	bool work = false;
	int w = 0, id = 0;
	uint64_t v = 0;

	void run()
	{
		std::unique_lock<std::mutex> l(m);

		for (;;) {
			cv.wait(l, [this] { return work; });
			store_old_thread(w, v);
			id = tid();
			work = false;
			cv.notify_all();
		}
	}

	int store(int word, uint64_t value)
	{
		std::unique_lock<std::mutex> l(m);

		w = word;
		v = value;
		work = true;
		cv.notify_all();
		cv.wait(l, [this] { return !work; });
		return id;
	}
};

static int in_child(bool shared, int w, uint64_t v)
{
	pid_t pid = shared ? vfork() : fork();

	if (!pid) {
		if (shared)
			store_vfork(w, v);
		else
			store_child(w, v);
		_exit(0);
	}
	waitpid(pid, nullptr, 0);
	return pid;
}

static int run(old_thread &old, const std::string &kind, int w, uint64_t v)
{
	int id = tid();

	if (kind == "main")
		store_main(w, v);
	else if (kind == "old")
		id = old.store(w, v);
	else if (kind == "new")
		std::thread([&] {
			id = tid();
			store_new_thread(w, v);
		}).join();
	else if (kind == "fork" || kind == "vfork")
		id = in_child(kind == "vfork", w, v);
	else if (kind == "half")
		store_half(w, v);
	else if (kind == "memset")
		store_memset(w, v);
	else if (kind == "read")
		store_read(w, v);
	else
		return -1;
	return id;
}

int main()
{
	auto *old = new old_thread;
	char kind[32];
	unsigned long long v;
	int w;
	unsigned n;

	words = static_cast<volatile uint64_t *>(
		mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	if (words == MAP_FAILED)
		return 2;
	std::thread(&old_thread::run, old).detach();
	printf("%d %p\n", getpid(), const_cast<uint64_t *>(words));
	fflush(stdout);
	while (scanf("%31s %d %llx %u", kind, &w, &v, &n) == 4) {
		int id = 0;

		for (unsigned i = 0; i < n; i++)
			id = run(*old, kind, w, v + i);
		printf("%d\n", id);
		fflush(stdout);
	}
	_exit(0);
}
