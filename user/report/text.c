// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "report/report.h"

const char *text_count(uint64_t n, char buf[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n), out = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf[out++] = ',';
		buf[out++] = digits[i];
	}
	buf[out] = '\0';
	return buf;
}

const char *text_duration(uint64_t ns, char buf[16])
{
	if (ns < 1000000)
		snprintf(buf, 16, "%" PRIu64 " us", ns / 1000);
	else if (ns < 1000000000)
		snprintf(buf, 16, "%" PRIu64 " ms", ns / 1000000);
	else if (ns < 100 * 1000000000ULL)
		snprintf(buf, 16, "%.1f s", (double)ns / 1e9);
	else if (ns < 7200 * 1000000000ULL)
		snprintf(buf, 16, "%.0f s", (double)ns / 1e9);
	else
		snprintf(buf, 16, "%.1f h", (double)ns / 3.6e12);
	return buf;
}

const char *text_time(const struct report_clock *c, uint64_t mono_ns, char buf[16])
{
	uint64_t real = c->real_ns + mono_ns - c->mono_ns;
	time_t sec = (time_t)(real / 1000000000);
	struct tm tm;
	size_t n;

	if (!mono_ns)
		return strcpy(buf, "never");
	localtime_r(&sec, &tm);
	n = strftime(buf, 16, "%H:%M:%S", &tm);
	snprintf(buf + n, 16 - n, ".%03u", (unsigned)(real / 1000000 % 1000));
	return buf;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool frame_is_std(const struct frame *f)
{
	return f->symbol && (!strncmp(f->symbol, "std::", 5) || !strncmp(f->symbol, "__gthread_", 10));
}

static void text_frame(FILE *f, const struct frame *fr, int indent, size_t number)
{
	fprintf(f, "%*s#%-2zu ", indent, "", number);
	if (fr->symbol)
		fprintf(f, "%s%s", fr->symbol, fr->inlined ? " (inlined)" : "");
	else if (fr->module)
		fprintf(f, "%s+0x%" PRIx64, base_name(fr->module), fr->offset);
	else
		fprintf(f, "0x%" PRIx64, fr->addr);
	if (fr->file)
		fprintf(f, "  %s:%d", base_name(fr->file), fr->line);
	else if (fr->symbol && fr->module)
		fprintf(f, "  (%s)", base_name(fr->module));
	fputc('\n', f);
}

void text_frames(FILE *f, const struct frames *st, int indent, size_t max)
{
	size_t shown = 0, i = 0;

	for (; i < st->n && (!max || shown < max); i++) {
		if (i && frame_is_std(&st->v[i])) /* the innermost frame is where it is: always shown */
			continue;
		text_frame(f, &st->v[i], indent, i);
		shown++;
	}
	if (i < st->n)
		fprintf(f, "%*s... %zu more\n", indent, "", st->n - i);
	else if (st->truncated)
		fprintf(f, "%*s... the stack goes on, it could not be followed further\n", indent, "");
}

void text_kernel_stack(FILE *f, char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%s", i ? " <- " : "", v[i]);
	fputc('\n', f);
}

void text_summary(FILE *f, const struct summary *s)
{
	char n[32], m[32];

	for (size_t i = 0; i < s->n_notes; i++)
		fprintf(f, "note: %s\n", s->note[i]);
	fprintf(f, "%s: %u/%u probes", s->complete ? "complete" : "INCOMPLETE", s->probes_attached,
		s->probes_planned);
	if (s->probes_failed)
		fprintf(f, " (%u failed)", s->probes_failed);
	fprintf(f, ", %u threads, %s events, %s lost", s->threads, text_count(s->events_seen, n),
		text_count(s->events_lost, m));
	for (size_t i = 0; i < s->n_counters; i++)
		fprintf(f, ", %s %s", text_count(s->counter[i].value, n), s->counter[i].name);
	fprintf(f, "\n%.1f s (%s); own cost %.1f%% of one CPU", s->duration_s, s->ended ? s->ended : "ended",
		s->own_cpu_pct);
	if (s->bpf_cpu_pct >= 0)
		fprintf(f, ", BPF %.1f%%", s->bpf_cpu_pct);
	fprintf(f, ", %.1f MiB\n", (double)s->rss_kib / 1024);
}
