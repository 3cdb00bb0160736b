// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Threads that are blocked in many ways, for test_stacks.py. Prints "ready" when all of them are; ends when stdin is closed.
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
static inline void keep() { __asm__ volatile("" ::: "memory"); }

namespace stk {

int idle[2];

struct Method {
	const char *name;
};
Method list_db = {"ListDb"};

class Channel {
 public:
	virtual ~Channel() = default;
	virtual NOINLINE int CallMethod(const Method *method, int timeout) {
		int n = ReadHeader(timeout);
		keep();
		return n + (method->name[0] == 'L');
	}

 private:
	inline __attribute__((always_inline)) int ReadHeader(int timeout) {
		int n = Wait(timeout);
		keep();
		return n * 2;
	}
	NOINLINE int Wait(int timeout) {
		struct pollfd p = {idle[0], POLLIN, 0};
		int n = poll(&p, 1, timeout);
		__asm__ volatile("" ::: "rbx", "memory");  // so that it is saved here
		return n + p.revents;
	}
};

template <typename T> NOINLINE int Template(T v) {
	std::vector<T> much(1000, v);
	struct pollfd p = {idle[0], POLLIN, 0};
	int n = ppoll(&p, 1, nullptr, nullptr);
	keep();
	return n + static_cast<int>(much[7]);
}

NOINLINE int Compare(const void *a, const void *b) {
	char c;
	ssize_t n = read(idle[0], &c, 1);
	keep();
	return static_cast<int>(n) + *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

NOINLINE void Sort() {
	int v[] = {3, 1, 2, 7};
	qsort(v, 4, sizeof(v[0]), Compare);
	keep();
}

NOINLINE void OnSignal(int) {
	char c;
	if (read(idle[0], &c, 1) < 0)
		abort();
	keep();
}

NOINLINE void Raise() {
	raise(SIGUSR1);
	keep();
}

NOINLINE int Recurse(int depth) {
	volatile char pad[300];
	pad[depth] = 1;
	if (depth == 0) {
		char c;
		return static_cast<int>(recv(idle[0], &c, 1, 0));
	}
	int r = Recurse(depth - 1) + pad[depth];
	keep();
	return r;
}

NOINLINE void BigFrame(size_t n) {
	// alloca: the frame is addressed by rbp even without frame pointers
	char *p = static_cast<char *>(__builtin_alloca(n));
	p[0] = 1;
	struct epoll_event ev;
	int ep = epoll_create1(0);
	epoll_wait(ep, &ev, 1, -1);
	keep();
	p[n - 1] = 2;
}

std::mutex mutex;
std::condition_variable cond;

NOINLINE void WaitCond() {
	std::unique_lock<std::mutex> lock(mutex);
	cond.wait(lock, [] { return false; });
}

NOINLINE void Locked() {
	std::mutex *m = new std::mutex;
	m->lock();
	m->lock();
	keep();
}

}  // namespace stk

extern "C" NOINLINE void c_function(void) {
	std::function<void(const std::string &)> f = [](const std::string &s) {
		struct pollfd p = {stk::idle[0], POLLIN, 0};
		poll(&p, 1, s.size() > 3 ? -1 : 0);
		keep();
	};
	f("forever");
	keep();
}

int main() {
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, stk::idle))
		return 1;
	signal(SIGUSR1, stk::OnSignal);
	stk::Channel channel;
	std::vector<std::thread> all;
	auto start = [&all](const char *name, std::function<void()> f) {
		all.emplace_back([name, f] {
			pthread_setname_np(pthread_self(), name);
			f();
		});
	};
	start("call", [&channel] { channel.CallMethod(&stk::list_db, -1); });
	start("template", [] { stk::Template<long>(5); });
	start("sort", [] { stk::Sort(); });
	start("signal", [] { stk::Raise(); });
	start("recurse", [] { stk::Recurse(40); });
	start("bigframe", [] { stk::BigFrame(50000); });
	start("cond", [] { stk::WaitCond(); });
	start("locked", [] { stk::Locked(); });
	start("lambda", [] { c_function(); });
	usleep(300000);
	printf("ready %p\n", static_cast<void *>(&stk::list_db));
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0)
		;
	_exit(0);
}
