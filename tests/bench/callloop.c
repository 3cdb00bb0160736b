// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The calls of an RPC without the waiting: one thread sends on a loopback TCP connection, polls the other end
 * and receives there, so that what hooks on these calls add can be told from its CPU time. Commands on stdin,
 * one JSON line each on stdout: call MS   for that long
 */
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64 /* calls between two looks at the clock */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int connect_pair(int end[2])
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(addr);

	end[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || end[0] < 0 || bind(listener, (struct sockaddr *)&addr, len) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&addr, &len) ||
	    connect(end[0], (struct sockaddr *)&addr, len))
		return -1;
	end[1] = accept(listener, NULL, NULL);
	close(listener);
	return end[1] < 0 ? -1 : 0;
}

static int call_once(const int end[2])
{
	struct pollfd p = {.fd = end[1], .events = POLLIN};
	char data[64] = "";

	return send(end[0], data, sizeof(data), 0) == sizeof(data) && poll(&p, 1, 1000) == 1 &&
			       recv(end[1], data, sizeof(data), MSG_WAITALL) == sizeof(data)
		       ? 0
		       : -1;
}

int main(void)
{
	unsigned ms;
	int end[2];

	if (connect_pair(end)) {
		perror("callloop");
		return 1;
	}
	printf("ready pid=%d\n", (int)getpid());
	fflush(stdout);
	while (scanf(" call %u", &ms) == 1) {
		uint64_t wall = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_THREAD_CPUTIME_ID), done = 0;

		while (now_ns(CLOCK_MONOTONIC) < wall + ms * 1000000ull) {
			for (int i = 0; i < BATCH; i++, done++) {
				if (call_once(end)) {
					perror("callloop");
					return 1;
				}
			}
		}
		printf("{\"ops\":%llu,\"cpu_ns\":%llu}\n", (unsigned long long)done,
		       (unsigned long long)(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu));
		fflush(stdout);
	}
	return 0;
}
