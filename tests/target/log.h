// Log lines in glog's format: severity, month and day, time, thread id, file and line.
#pragma once

#include <cstdint>

namespace zbs
{

// Opens the log file; without one, lines go to stderr. Returns false when the file cannot be opened.
bool OpenLog(const char *path);
void Log(char severity, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define LOG_INFO(...)	 ::zbs::Log('I', __FILE__, __LINE__, __VA_ARGS__)
#define LOG_WARNING(...) ::zbs::Log('W', __FILE__, __LINE__, __VA_ARGS__)
#define LOG_ERROR(...)	 ::zbs::Log('E', __FILE__, __LINE__, __VA_ARGS__)

} // namespace zbs
