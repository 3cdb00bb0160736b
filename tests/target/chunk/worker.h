// The thread zone-io: requests from others, and its own housekeeping in between.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

#include "chunk/io_queue.h"

namespace zbs::chunk
{

class Worker
{
      public:
	void Start();
	void Stop();
	// Hands a request to the thread. request.done is called there.
	void Post(IORequest request);

      private:
	void Run();
	// The next request, or a housekeeping one when nobody posted any for a while.
	IORequest Next();
	IORequest Housekeeping();

	IOQueue queue_;
	std::mutex mutex_;
	std::condition_variable posted_;
	std::deque<IORequest> requests_;
	bool stopping_ = false;
	// The blocks that the housekeeping rightly stores into.
	ZoneEntry zone_{0};
	uint64_t words_[4] = {};
	uint64_t round_ = 0;
	std::thread thread_;
};

} // namespace zbs::chunk
