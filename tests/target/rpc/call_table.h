// The calls that are under way in this process: what the truth log and `status` know about them.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include <sys/types.h>

namespace zbs::rpc
{

struct CallInfo {
	uint64_t id = 0;
	std::string method;
	std::string thread;
	pid_t tid = 0;
	uint64_t started_ns = 0;
	int timeout_ms = 0;
	int fd = -1;
	uint64_t inode = 0;
	std::string remote; // where it goes, even while the connection does not stand yet
};

class CallTable
{
      public:
	// Registers a call of the current thread and returns its id.
	uint64_t Begin(const std::string &method, int timeout_ms);
	// The socket that the call uses.
	void SetSocket(uint64_t id, int fd, const std::string &remote);
	void End(uint64_t id, bool ok);

	std::vector<CallInfo> UnderWay() const;
	uint64_t done() const;
	uint64_t failed() const;

      private:
	mutable std::mutex mutex_;
	std::list<CallInfo> calls_;
	uint64_t next_id_ = 1;
	uint64_t done_ = 0;
	uint64_t failed_ = 0;
};

} // namespace zbs::rpc
