// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "report/finding.h"

#define NAME(table, i) ((size_t)(i) < sizeof(table) / sizeof((table)[0]) ? (table)[i] : "?")

const char *confidence_name(enum confidence c)
{
	static const char *const names[] = {"possible", "likely", "certain"};

	return NAME(names, c);
}

const char *write_reason_name(enum write_reason r)
{
	static const char *const names[] = {
		[WRITE_WILD_POINTER] = "wild-pointer",	    [WRITE_BAD_VTABLE] = "bad-vtable",
		[WRITE_BAD_REPEATED] = "bad-repeated",	    [WRITE_BAD_VALUE] = "bad-value",
		[WRITE_UNEXPLAINED] = "unexplained-change", [WRITE_NON_WRITER] = "non-writer-store",
	};

	return NAME(names, r);
}

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = {
		[VERDICT_NONE] = "none",
		[VERDICT_REQUEST_UNSENT] = "request-unsent",
		[VERDICT_REQUEST_UNACKED] = "request-unacked",
		[VERDICT_PEER_SILENT] = "peer-silent",
		[VERDICT_PEER_WINDOW_CLOSED] = "peer-window-closed",
		[VERDICT_REPLY_UNREAD] = "reply-unread",
		[VERDICT_POLLING_DEAD_FD] = "polling-dead-fd",
		[VERDICT_CONNECT_PENDING] = "connect-pending",
		[VERDICT_HALF_OPEN] = "half-open",
		[VERDICT_LOCAL_WRITER_BLOCKED] = "local-writer-blocked",
		[VERDICT_SERVER_THREAD_BLOCKED] = "server-thread-blocked",
	};

	return NAME(names, v);
}

bool sock_peer_closed(const struct sock_facts *s)
{
	static const char *const states[] = {"CLOSE-WAIT", "LAST-ACK", "CLOSING", "TIME-WAIT"};

	for (size_t i = 0; s->family != AF_UNIX && i < sizeof(states) / sizeof(states[0]); i++)
		if (!strcmp(s->state, states[i]))
			return true;
	return false;
}

uint32_t sock_unread(const struct sock_facts *s)
{
	return s->recv_queue - (s->recv_queue && sock_peer_closed(s));
}

void frames_deinit(struct frames *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].module);
		free(f->v[i].build_id);
		free(f->v[i].symbol);
		free(f->v[i].file);
	}
	free(f->v);
	*f = (struct frames){0};
}

static void strings_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

static void block_owner_deinit(struct block_owner *o)
{
	free(o->out.at.function);
	frames_deinit(&o->out.stack);
	free(o->freed.at.function);
	frames_deinit(&o->freed.stack);
	*o = (struct block_owner){0};
}

void block_history_deinit(struct block_history *h)
{
	block_owner_deinit(&h->now);
	block_owner_deinit(&h->before);
	h->dangling = false;
}

void bad_write_deinit(struct bad_write *w)
{
	free(w->object_type);
	free(w->cache);
	free(w->node_type);
	free(w->field);
	free(w->path);
	free(w->last_good.function);
	free(w->found.function);
	for (size_t i = 0; i < w->n_touched; i++)
		free(w->touched_by[i].function);
	free(w->touched_by);
	free(w->writer.syscall);
	frames_deinit(&w->writer.stack);
	free(w->explanation);
	free(w->next);
	story_deinit(&w->story);
	block_history_deinit(&w->heap);
	*w = (struct bad_write){0};
}

void stall_deinit(struct stall *s)
{
	for (size_t i = 0; i < s->n_chain; i++)
		free(s->chain[i].doing);
	free(s->chain);
	free(s->chain_end);
	free(s->file);
	free(s->rpc_method);
	frames_deinit(&s->user_stack);
	strings_free(s->kernel_stack, s->n_kernel);
	free(s->other.doing);
	frames_deinit(&s->other.stack);
	strings_free(s->other.kernel_stack, s->other.n_kernel);
	free(s->request);
	free(s->explanation);
	free(s->next);
	*s = (struct stall){0};
}

void summary_count(struct summary *s, const char *name, uint64_t value)
{
	for (size_t i = 0; i < s->n_counters; i++) {
		if (!strcmp(s->counter[i].name, name)) {
			s->counter[i].value += value;
			return;
		}
	}
	if (s->n_counters == SUMMARY_MAX_NOTES)
		return;
	s->counter[s->n_counters].name = name;
	s->counter[s->n_counters].value = value;
	s->n_counters++;
}

void summary_note(struct summary *s, bool incomplete, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	if (incomplete)
		s->complete = false;
	if (s->n_notes == SUMMARY_MAX_NOTES)
		return;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n >= 0 && s->of_pid) {
		char *whole = NULL;

		n = asprintf(&whole, "process %d: %s", (int)s->of_pid, text);
		free(text);
		text = whole;
	}
	for (size_t i = 0; n >= 0 && i < s->n_notes; i++) {
		if (!strcmp(s->note[i], text)) {
			free(text);
			return;
		}
	}
	if (n >= 0)
		s->note[s->n_notes++] = text;
}

void summary_deinit(struct summary *s)
{
	for (size_t i = 0; i < s->n_notes; i++)
		free(s->note[i]);
	*s = (struct summary){0};
}
