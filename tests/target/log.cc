#include "log.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <mutex>

#include <unistd.h>

namespace zbs
{

namespace
{
std::mutex log_mutex;
FILE *log_file;
} // namespace

bool OpenLog(const char *path)
{
	FILE *file = fopen(path, "ae");

	if (!file)
		return false;
	std::lock_guard<std::mutex> lock(log_mutex);
	log_file = file;
	return true;
}

void Log(char severity, const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	struct timespec now;
	struct tm local;
	char text[1024];
	va_list args;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	std::lock_guard<std::mutex> lock(log_mutex);
	FILE *out = log_file ? log_file : stderr;
	fprintf(out, "%c%02d%02d %02d:%02d:%02d.%06ld %5d %s:%d] %s\n", severity, local.tm_mon + 1,
		local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec, now.tv_nsec / 1000, gettid(),
		base ? base + 1 : file, line, text);
	fflush(out);
}

} // namespace zbs
