#include "options.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <getopt.h>

#include "thread.h"

namespace zbs
{

namespace
{

enum {
	kControl = 1,
	kTruth,
	kLog,
	kListen,
	kConnect,
	kLeases,
	kThreads,
	kRate,
	kRpcRate,
	kInline,
	kCrashHandler,
	kSeed,
	kReplicas,
	kOwnerBytes,
	kServerOnly,
	kHelp
};

const struct option long_options[] = {
	{"control", required_argument, nullptr, kControl},
	{"truth", required_argument, nullptr, kTruth},
	{"log", required_argument, nullptr, kLog},
	{"listen", required_argument, nullptr, kListen},
	{"connect", required_argument, nullptr, kConnect},
	{"leases", required_argument, nullptr, kLeases},
	{"lease-threads", required_argument, nullptr, kThreads},
	{"rate", required_argument, nullptr, kRate},
	{"rpc-rate", required_argument, nullptr, kRpcRate},
	{"inline-setters", no_argument, nullptr, kInline},
	{"crash-handler", no_argument, nullptr, kCrashHandler},
	{"seed", required_argument, nullptr, kSeed},
	{"replicas", required_argument, nullptr, kReplicas},
	{"owner-bytes", required_argument, nullptr, kOwnerBytes},
	{"server-only", no_argument, nullptr, kServerOnly},
	{"help", no_argument, nullptr, kHelp},
	{},
};

bool ParseNumber(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
	char *end;

	*value = strtoull(text, &end, 0);
	if (*text >= '0' && *text <= '9' && *end == '\0' && *value >= least && *value <= most)
		return true;
	fprintf(stderr, "target: --%s %s: a number from %llu to %llu is needed\n", name, text,
		static_cast<unsigned long long>(least), static_cast<unsigned long long>(most));
	return false;
}

bool ParseRate(const char *name, const char *text, uint64_t most, uint32_t *rate)
{
	uint64_t number = 0;

	if (strcmp(text, "max") == 0) {
		*rate = kUnpaced;
		return true;
	}
	if (!ParseNumber(name, text, 0, most, &number))
		return false;
	*rate = static_cast<uint32_t>(number);
	return true;
}

bool ParseOne(int option, const char *name, const char *text, Options *options)
{
	uint64_t number = 0;

	switch (option) {
	case kControl:
		options->control = text;
		return true;
	case kTruth:
		options->truth = text;
		return true;
	case kLog:
		options->log = text;
		return true;
	case kListen:
		if (!ParseNumber(name, text, 0, 65535, &number))
			return false;
		options->listen = static_cast<uint16_t>(number);
		return true;
	case kConnect:
		options->has_connect = rpc::ParseEndpoint(text, &options->connect);
		if (!options->has_connect)
			fprintf(stderr, "target: --connect %s: a numeric IPv4 HOST:PORT is needed\n", text);
		return options->has_connect;
	case kLeases:
		if (!ParseNumber(name, text, 1, 1000000, &number))
			return false;
		options->load.leases = static_cast<uint32_t>(number);
		return true;
	case kThreads:
		if (!ParseNumber(name, text, 1, 256, &number))
			return false;
		options->load.threads = static_cast<uint32_t>(number);
		return true;
	case kRate:
		return ParseRate(name, text, 1000000, &options->load.rate);
	case kRpcRate:
		return ParseRate(name, text, 2000, &options->rpc_rate);
	case kSeed:
		return ParseNumber(name, text, 0, UINT64_MAX, &options->load.seed);
	case kReplicas:
		if (!ParseNumber(name, text, 1, 200, &number))
			return false;
		options->load.replicas = static_cast<uint32_t>(number);
		return true;
	case kOwnerBytes:
		if (!ParseNumber(name, text, 0, 10000000, &number))
			return false;
		options->load.owner_bytes = static_cast<uint32_t>(number);
		return true;
	case kInline:
		options->inline_setters = true;
		return true;
	case kCrashHandler:
		options->crash_handler = true;
		return true;
	case kServerOnly:
		options->server_only = true;
		return true;
	default:
		return false;
	}
}

} // namespace

void PrintUsage()
{
	printf("usage: target [OPTION]...\n"
	       "       target ctl PATH COMMAND...\n"
	       "The test daemon: a cache of extent leases under load, RPC, and faults on command.\n\n"
	       "  --control PATH       control socket (/tmp/target.PID.ctl)\n"
	       "  --truth FILE         what each fault really did, JSON Lines\n"
	       "  --log FILE           log lines in glog's format (stderr)\n"
	       "  --listen PORT        port of the RPC server on 127.0.0.1 (any free one)\n"
	       "  --server-only        no load and no client, only the server\n"
	       "  --connect HOST:PORT  no server, be a client of that one\n"
	       "  --leases N           leases alive (1000)\n"
	       "  --lease-threads N    threads of the lease load (4)\n"
	       "  --rate N|max         lease operations a second, all threads together (2000)\n"
	       "  --rpc-rate N|max     RPCs a second (50)\n"
	       "  --inline-setters     also store into cached leases by inlined setters\n"
	       "  --crash-handler      take a fatal signal, log it and raise it again, as glog does\n"
	       "  --seed N             of all random choices (1)\n"
	       "  --replicas N         chunks of each lease (mostly 4)\n"
	       "  --owner-bytes N      more bytes in the name of each lease's owner (0)\n\n"
	       "Commands: status | fault NAME [KEY=VALUE]... | heal | load off|on | quit\n"
	       "Memory faults (times=N every_ms=M object=same|random among=N field=NAME settle_ms=N "
	       "crash=1):\n"
	       "  wild-store    8-byte store of 0xfffc0000 into read_perf_ through a stale pointer\n"
	       "  stale-pointer the same through a pointer whose block was freed and is a chunk by now\n"
	       "  overrun       a neighbouring block's fill runs over a chunk's first 24 bytes\n"
	       "  torn-store    4-byte store into the upper half of a pointer\n"
	       "  bit-flip      one bit of data_port_\n"
	       "  read-reused   read() into a block that is a chunk by now\n"
	       "  direct-read   the same with O_DIRECT, of a file in dir=/var/tmp: the disk does the store\n"
	       "RPC faults (timeout_ms=N of the calls that get stuck, -1 for ever):\n"
	       "  silent-server       the request stays in the server's receive queue "
	       "(mode=unread|unaccepted)\n"
	       "  slow-server         the reply takes ms=N\n"
	       "  server-mutex        the worker has read the request and waits for a lock\n"
	       "  dead-fd             the polled descriptor is closed and reused by another thread "
	       "(via=close|dup2)\n"
	       "  reply-unread        the reply waits in the client's receive queue "
	       "(variant=mutex|wrong-fd)\n"
	       "  peer-window-closed  send() blocks: the peer does not read\n"
	       "  connect-blackhole   connect() gets no answer\n");
}

ParseResult ParseOptions(int argc, char **argv, Options *options)
{
	int index = 0;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, &index)) != -1) {
		if (option == kHelp || option == 'h')
			return ParseResult::kHelp;
		if (option == '?' || !ParseOne(option, long_options[index].name, optarg, options))
			return ParseResult::kWrong;
	}
	if (optind < argc) {
		fprintf(stderr, "target: unexpected argument %s\n", argv[optind]);
		return ParseResult::kWrong;
	}
	if (options->server_only && options->has_connect) {
		fprintf(stderr, "target: --server-only and --connect exclude each other\n");
		return ParseResult::kWrong;
	}
	return ParseResult::kRun;
}

} // namespace zbs
