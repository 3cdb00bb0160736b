// Named threads and the clock that truth records use.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include <sys/types.h>

namespace zbs
{

// A rate of a load that means: without pauses, as fast as it goes.
constexpr uint32_t kUnpaced = UINT32_MAX;

// Starts a thread. When this returns, its name (at most 15 characters) shows in /proc/PID/task/TID/comm.
std::thread StartThread(const std::string &name, std::function<void()> body);
// The calling thread's name, or that of another thread of this process.
std::string ThreadName();
std::string ThreadName(pid_t tid);
// CLOCK_MONOTONIC in nanoseconds, the clock of bpf_ktime_get_ns().
uint64_t MonotonicNs();
void SleepMs(uint64_t milliseconds);

} // namespace zbs
