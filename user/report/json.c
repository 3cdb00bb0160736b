// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report/report.h"

/* Length of the UTF-8 sequence at s (of n bytes), 0 if it is none (RFC 3629). */
static size_t utf8_len(const unsigned char *s, size_t n)
{
	size_t len = s[0] < 0x80		   ? 1
		     : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		     : (s[0] & 0xf0) == 0xe0	   ? 3
		     : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						   : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

json_t *json_str(const char *s)
{
	size_t n, out = 0;
	json_t *v;
	char *buf;

	if (!s)
		return json_null();
	v = json_string(s);
	if (v)
		return v;
	/* thread names and paths are bytes, not text: what is no UTF-8 becomes '?' */
	n = strlen(s);
	buf = malloc(n + 1);
	if (!buf)
		return json_null();
	for (size_t i = 0; i < n;) {
		size_t len = utf8_len((const unsigned char *)s + i, n - i);

		if (len)
			memcpy(buf + out, s + i, len);
		else
			buf[out] = '?';
		out += len ? len : 1;
		i += len ? len : 1;
	}
	buf[out] = '\0';
	v = json_string(buf);
	free(buf);
	return v ? v : json_null(); /* e.g. surrogates, which jansson refuses */
}

json_t *json_strs(char *const *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_str(v[i]));
	return a;
}

json_t *json_hex(uint64_t v)
{
	return json_sprintf("0x%" PRIx64, v);
}

json_t *json_time(const struct report_clock *c, uint64_t mono_ns)
{
	uint64_t real = c->real_ns + mono_ns - c->mono_ns;
	time_t sec = (time_t)(real / 1000000000);
	char buf[32];
	struct tm tm;

	if (!mono_ns)
		return json_null();
	gmtime_r(&sec, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%S", &tm);
	return json_sprintf("%s.%06uZ", buf, (unsigned)(real % 1000000000 / 1000));
}

json_t *json_touch(const struct report_clock *c, const struct touch *t)
{
	if (!t->ts_ns)
		return json_null();
	return json_pack("{s:i, s:o, s:o, s:o}", "tid", (int)t->tid, "comm", json_str(t->comm), "function",
			 json_str(t->function), "time", json_time(c, t->ts_ns));
}

json_t *json_frames(const struct frames *st)
{
	json_t *a = json_array();

	for (size_t i = 0; i < st->n; i++) {
		const struct frame *f = &st->v[i];

		json_array_append_new(a, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "module",
						   json_str(f->module), "build_id", json_str(f->build_id),
						   "offset", json_hex(f->offset), "addr", json_hex(f->addr),
						   "symbol", json_str(f->symbol), "file", json_str(f->file),
						   "line", f->line ? json_integer(f->line) : json_null(),
						   "inlined", f->inlined));
	}
	return a;
}

void json_set_frames(json_t *o, const char *key, const struct frames *st)
{
	char truncated[64];

	snprintf(truncated, sizeof(truncated), "%s_truncated", key);
	json_object_set_new(o, key, json_frames(st));
	json_object_set_new(o, truncated, json_boolean(st->truncated));
}

json_t *json_summary(const struct summary *s)
{
	json_t *v, *counters = json_object(), *cost;

	for (size_t i = 0; i < s->n_counters; i++)
		json_object_set_new(counters, s->counter[i].name,
				    json_integer((json_int_t)s->counter[i].value));
	cost = json_pack("{s:f, s:o, s:I}", "own_cpu_pct", s->own_cpu_pct, "bpf_cpu_pct",
			 s->bpf_cpu_pct < 0 ? json_null() : json_real(s->bpf_cpu_pct), "rss_kib",
			 (json_int_t)s->rss_kib);
	v = json_pack("{s:s, s:s, s:b, s:f, s:o, s:I, s:{s:i, s:i, s:i}, s:{s:I, s:I}, s:i, s:o, s:o, s:o}",
		      "kind", "summary", "command", s->command, "complete", s->complete, "duration_s",
		      s->duration_s, "ended", json_str(s->ended), "findings", (json_int_t)s->findings,
		      "probes", "planned", (int)s->probes_planned, "attached", (int)s->probes_attached,
		      "failed", (int)s->probes_failed, "events", "seen", (json_int_t)s->events_seen, "lost",
		      (json_int_t)s->events_lost, "threads", (int)s->threads, "overhead", cost, "counters",
		      counters, "notes", json_strs(s->note, s->n_notes));
	return v;
}

int json_line(FILE *f, json_t *v)
{
	int err = -ENOMEM;

	if (!v)
		return err;
	if (json_dumpf(v, f, JSON_COMPACT | JSON_ENSURE_ASCII) || fputc('\n', f) == EOF || fflush(f)) {
		err = errno ? -errno : -EIO;
		goto out;
	}
	err = 0;
out:
	json_decref(v);
	return err;
}
