// The test daemon: shaped like the software of the incidents, with both kinds of incident on command.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include <unistd.h>

#include "control.h"
#include "daemon.h"
#include "log.h"
#include "options.h"

namespace
{

std::atomic<bool> interrupted{false};

void OnSignal(int)
{
	interrupted.store(true);
}

// As glog's: writes what it can, and dies of the same signal, sent by itself.
void OnCrash(int number)
{
	static const char text[] = "*** fatal signal ***\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
	signal(number, SIG_DFL);
	kill(getpid(), number);
}

int RunClient(int argc, char **argv)
{
	std::string line;

	if (argc < 4) {
		fprintf(stderr, "usage: target ctl PATH COMMAND...\n");
		return 2;
	}
	for (int i = 3; i < argc; i++)
		line += std::string(i > 3 ? " " : "") + argv[i];
	return zbs::RunControlClient(argv[2], line);
}

} // namespace

int main(int argc, char **argv)
{
	zbs::Options options;
	std::string error;

	if (argc > 1 && strcmp(argv[1], "ctl") == 0)
		return RunClient(argc, argv);
	switch (zbs::ParseOptions(argc, argv, &options)) {
	case zbs::ParseResult::kHelp:
		zbs::PrintUsage();
		return 0;
	case zbs::ParseResult::kWrong:
		return 2;
	case zbs::ParseResult::kRun:
		break;
	}
	if (!options.log.empty() && !zbs::OpenLog(options.log.c_str())) {
		perror(options.log.c_str());
		return 2;
	}
	signal(SIGINT, OnSignal);
	signal(SIGTERM, OnSignal);
	signal(SIGPIPE, SIG_IGN);
	if (options.crash_handler)
		signal(SIGSEGV, OnCrash);

	zbs::Daemon daemon(options);
	if (!daemon.Start(&error)) {
		fprintf(stderr, "target: %s\n", error.c_str());
		daemon.Stop();
		return 2;
	}
	printf("%s\n", daemon.ReadyLine().c_str());
	fflush(stdout);
	daemon.Run(interrupted);
	daemon.Stop();
	return 0;
}
