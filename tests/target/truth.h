// The ground truth: what a fault really did, one JSON object a line, for tests to compare findings with.
#pragma once

#include <cstdio>
#include <mutex>
#include <string>

#include "json.h"

namespace zbs
{

class TruthLog
{
      public:
	TruthLog() = default;
	~TruthLog();
	TruthLog(const TruthLog &) = delete;
	TruthLog &operator=(const TruthLog &) = delete;

	bool Open(const char *path);
	// Written and flushed before it returns. Without an open file the record is dropped.
	void Write(const JsonObject &record);

      private:
	std::mutex mutex_;
	FILE *file_ = nullptr;
};

} // namespace zbs
