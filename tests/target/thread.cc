#include "thread.h"

#include <ctime>
#include <fstream>
#include <future>
#include <memory>
#include <utility>

#include <pthread.h>

namespace zbs
{

std::thread StartThread(const std::string &name, std::function<void()> body)
{
	auto named = std::make_shared<std::promise<void>>();
	std::future<void> started = named->get_future();
	std::thread thread([name, named, body = std::move(body)] {
		pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
		named->set_value();
		body();
	});

	started.wait();
	return thread;
}

std::string ThreadName()
{
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	return name;
}

std::string ThreadName(pid_t tid)
{
	std::ifstream comm("/proc/self/task/" + std::to_string(tid) + "/comm");
	std::string name;

	std::getline(comm, name);
	return name;
}

uint64_t MonotonicNs()
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

void SleepMs(uint64_t milliseconds)
{
	struct timespec wait = {static_cast<time_t>(milliseconds / 1000),
				static_cast<long>(milliseconds % 1000) * 1000000};

	nanosleep(&wait, nullptr);
}

} // namespace zbs
