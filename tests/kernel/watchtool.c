// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * user/trace/watch.c on words given by address instead of a table of objects:
 *   watchtool PID TURN_MS BUDGET ADDR:WIDTH...
 * Prints "ready SLOTS" once words are armed, one JSON line per store, and when stdin ends the account.
 * Commands on stdin: "dead N": word N has died.
 * SLOTS in the environment: how many watchpoints at most.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/finding.h"
#include "trace/session.h"
#include "trace/watch.h"

#define MAX_WORDS 64

static struct {
	struct slots_node node;
	unsigned width;
	bool dead;
} words[MAX_WORDS];
static size_t n_words;
static struct watch *watch;

/* Each word is a node of one word, each width a type. */
static int walk(void *ctx, struct slots_node *out, size_t max, bool *end)
{
	size_t n = 0;

	(void)ctx;
	for (size_t i = 0; i < n_words && n < max; i++) {
		if (!words[i].dead)
			out[n++] = words[i].node;
	}
	*end = true;
	return (int)n;
}

static bool alive(void *ctx, const struct slots_node *n)
{
	(void)ctx;
	return !words[n->object_id - 1].dead;
}

static bool vptr_ok(void *ctx, const struct slots_node *n, uint64_t vptr, bool *has)
{
	(void)ctx;
	(void)n;
	(void)vptr;
	*has = false;
	return true;
}

static void on_record(void *ctx, const struct abi_hdr *rec)
{
	struct watch_store s;

	(void)ctx;
	if (!watch_record(watch, rec, &s))
		return;
	printf("{\"word\":%" PRIu64 ",\"tid\":%u,\"tgid\":%u,\"comm\":\"%s\",\"old\":\"%" PRIx64
	       "\",\"new\":\"%" PRIx64 "\",\"ip\":\"%" PRIx64 "\",\"user_ip\":\"%" PRIx64
	       "\",\"sp\":\"%" PRIx64 "\",\"stack\":%u,\"kernel\":%d,"
	       "\"shared\":%d,\"syscall\":%d,\"hits\":%" PRIu64 "}\n",
	       s.word.node.object_id - 1, rec->tid, rec->tgid, rec->comm, s.old_value, (uint64_t)s.hit->value,
	       (uint64_t)s.hit->ip, (uint64_t)s.hit->stack.reg[ABI_REG_IP],
	       (uint64_t)s.hit->stack.reg[ABI_REG_SP], s.hit->stack.len, !!(s.hit->flags & WATCH_HIT_KERNEL),
	       !!(s.hit->flags & WATCH_HIT_SHARED), s.hit->syscall, (uint64_t)s.hit->hits);
}

static const char *name_of(void *ctx, const struct slots_place *p)
{
	static char buf[32];

	(void)ctx;
	snprintf(buf, sizeof(buf), "width %u", p->width);
	return buf;
}

static void account(void)
{
	struct summary sum = {.complete = true};

	watch_account(watch, mono_now_ns(), name_of, NULL, &sum);
	printf("{\"complete\":%d", sum.complete);
	for (size_t i = 0; i < sum.n_counters; i++)
		printf(",\"%s\":%" PRIu64, sum.counter[i].name, sum.counter[i].value);
	printf(",\"notes\":[");
	for (size_t i = 0; i < sum.n_notes; i++)
		printf("%s\"%s\"", i ? "," : "", sum.note[i]);
	printf("]}\n");
	summary_deinit(&sum);
}

static struct slots *schedule(uint64_t turn_ns)
{
	struct slots_cfg cfg = {.n_slots = WATCH_SLOTS, .turn_ns = turn_ns, .seed = 1};
	struct slots *s;

	if (slots_create(&s, &cfg, NULL))
		exit(2);
	for (unsigned type = 0; type < 4; type++) {
		struct slots_place p = {.type = (uint16_t)type, .width = 1u << type, .weight = 1};

		slots_add_place(s, &p);
	}
	return s;
}

/* False: stdin has ended. */
static bool command(void)
{
	struct pollfd p = {.fd = 0, .events = POLLIN};
	char buf[64] = "";

	if (poll(&p, 1, 0) != 1)
		return true;
	if (read(0, buf, sizeof(buf) - 1) <= 0)
		return false;
	if (!strncmp(buf, "dead ", 5))
		words[strtoul(buf + 5, NULL, 10) % MAX_WORDS].dead = true;
	return true;
}

int main(int argc, char **argv)
{
	struct watch_cfg cfg = {.slots_fd = -1,
				.allow_vm = true,
				.source = {.walk = walk, .alive = alive, .vptr_ok = vptr_ok}};
	struct err err = {0};
	struct transport *t;
	struct slots *s;

	if (argc < 5)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	cfg.max_slots = getenv("SLOTS") ? (unsigned)atoi(getenv("SLOTS")) : 0;
	cfg.pid = atoi(argv[1]);
	cfg.tgid = (uint32_t)cfg.pid;
	cfg.budget = (uint32_t)atoi(argv[3]);
	for (int i = 4; i < argc && n_words < MAX_WORDS; i++, n_words++) {
		unsigned type = 0;

		sscanf(argv[i], "%" SCNx64 ":%u", &words[n_words].node.node, &words[n_words].width);
		while (1u << type < words[n_words].width)
			type++;
		words[n_words].node.object = words[n_words].node.node;
		words[n_words].node.object_id = n_words + 1;
		words[n_words].node.type = (uint16_t)type;
	}
	s = schedule(strtoull(argv[2], NULL, 10) * 1000000);
	if (transport_create(&t, on_record, NULL, &err) || watch_open(&watch, &cfg, s, t, &err)) {
		fprintf(stderr, "watchtool: %s\n%s\n", err.msg, err.hint);
		return 3;
	}
	for (unsigned n = 0; command(); n++) {
		if (watch_tick(watch, mono_now_ns(), &err) || transport_drain(t, &err)) {
			fprintf(stderr, "watchtool: %s\n", err.msg);
			return 3;
		}
		if (n == 1)
			printf("ready\n");
		struct pollfd p[2] = {{.fd = transport_fd(t), .events = POLLIN}, {.fd = 0, .events = POLLIN}};

		poll(p, 2, 5);
	}
	watch_stop(watch, mono_now_ns());
	transport_drain(t, &err);
	account();
	watch_close(watch);
	transport_destroy(t);
	slots_destroy(s);
	return 0;
}
