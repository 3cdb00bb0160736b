// An epoll loop over an event descriptor, as every daemon has one: it waits most of the time, and rightly so.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

namespace zbs::rpc
{

class EventLoop
{
      public:
	// False and errno when the descriptors cannot be had.
	bool Start();
	void Stop();
	void Notify();
	uint64_t events() const;

      private:
	void Run();

	int epoll_fd_ = -1;
	int event_fd_ = -1;
	std::atomic<bool> stopping_{false};
	std::atomic<uint64_t> events_{0};
	std::thread thread_;
};

} // namespace zbs::rpc
