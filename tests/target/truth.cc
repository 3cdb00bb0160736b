#include "truth.h"

namespace zbs
{

TruthLog::~TruthLog()
{
	if (file_)
		fclose(file_);
}

bool TruthLog::Open(const char *path)
{
	std::lock_guard<std::mutex> lock(mutex_);

	file_ = fopen(path, "ae");
	return file_ != nullptr;
}

void TruthLog::Write(const JsonObject &record)
{
	std::lock_guard<std::mutex> lock(mutex_);

	if (!file_)
		return;
	fprintf(file_, "%s\n", record.Line().c_str());
	fflush(file_);
}

} // namespace zbs
