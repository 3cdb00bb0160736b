// The command line.
#pragma once

#include <cstdint>
#include <string>

#include "libmeta/lease_load.h"
#include "rpc/socket.h"

namespace zbs
{

struct Options {
	std::string control; // empty: /tmp/target.PID.ctl
	std::string truth;
	std::string log;
	uint16_t listen = 0; // 0: any free port
	rpc::Endpoint connect;
	bool has_connect = false;
	bool server_only = false;
	bool inline_setters = false;
	bool crash_handler = false;
	uint32_t rpc_rate = 50;
	libmeta::LoadOptions load;
};

enum class ParseResult { kRun, kHelp, kWrong };

// Prints what is wrong to stderr.
ParseResult ParseOptions(int argc, char **argv, Options *options);
void PrintUsage();

} // namespace zbs
