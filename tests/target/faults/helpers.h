// Threads that faults are made of.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include <sys/types.h>

#include "rpc/channel.h"

namespace zbs
{

// A thread that takes a mutex and sleeps on it.
class MutexHolder
{
      public:
	~MutexHolder();

	// Returns when the mutex is held.
	void Start(const std::string &thread, std::mutex *mutex);
	void Stop();
	pid_t tid() const;

      private:
	std::atomic<bool> stopping_{false};
	std::atomic<pid_t> tid_{0};
	std::thread thread_;
};

// A thread with a connection of its own that makes one kind of call over and over.
class Caller
{
      public:
	using Call = std::function<void(rpc::Channel *channel)>;

	Caller(rpc::CallTable *calls, const rpc::Endpoint &server, int timeout_ms);
	~Caller();

	void Start(const std::string &thread, Call call);
	// Cuts the connection, so that a blocked call ends as well.
	void Stop();

      private:
	rpc::Channel channel_;
	std::atomic<bool> stopping_{false};
	std::thread thread_;
};

} // namespace zbs
