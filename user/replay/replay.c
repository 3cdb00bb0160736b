// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay/replay.h"
#include "report/read.h"
#include "util/grow.h"

uint64_t replay_wall(const struct replay *r, uint64_t mono_ns)
{
	return mono_ns ? r->clock.real_ns + mono_ns - r->clock.mono_ns : 0;
}

const char *replay_command(const struct replay *r)
{
	const char *v = session_value(r->s, "command");

	return v ? v : "?";
}

/* Names of counters are keys, and are printed. */
static bool keys_plain(const json_t *v)
{
	const char *key;
	json_t *part;
	size_t i;

	if (json_is_array(v)) {
		json_array_foreach(v, i, part) if (!keys_plain(part)) return false;
		return true;
	}
	json_object_foreach((json_t *)v, key, part)
	{
		for (const char *c = key; *c; c++)
			if (*c < 0x20 || *c == 0x7f)
				return false;
		if (!keys_plain(part))
			return false;
	}
	return true;
}

static struct replay_finding *finding_new(struct replay *r, enum replay_kind kind, uint64_t real_ns)
{
	struct replay_finding *f;

	if (GROW(&r->v, r->n))
		return NULL;
	f = &r->v[r->n++];
	*f = (struct replay_finding){.kind = kind, .found_ns = r->clock.mono_ns + real_ns - r->clock.real_ns};
	return f;
}

static int read_stall(struct replay *r, const struct session_line *l, struct err *err)
{
	struct replay_finding *f = finding_new(r, REPLAY_STALL, l->real_ns);

	if (!f)
		return -ENOMEM;
	f->stall = r->n_stalls++;
	r->found_ns[f->stall] = f->found_ns;
	return stall_from_json(l->json, &r->clock, &r->stall[f->stall], err);
}

static int read_write(struct replay *r, const struct session_line *l, struct err *err)
{
	struct replay_finding *f = finding_new(r, REPLAY_WRITE, l->real_ns);

	if (!f)
		return -ENOMEM;
	f->write = calloc(1, sizeof(*f->write));
	return f->write ? bad_write_from_json(l->json, &r->clock, f->write, err) : -ENOMEM;
}

static int read_crash(struct replay *r, const struct session_line *l, struct err *err)
{
	struct replay_finding *f = finding_new(r, REPLAY_CRASH, l->real_ns);

	if (!f)
		return -ENOMEM;
	f->write = calloc(1, sizeof(*f->write));
	f->crash = calloc(1, sizeof(*f->crash));
	return f->write && f->crash ? crash_from_json(l->json, &r->clock, f->crash, f->write, err) : -ENOMEM;
}

static int read_log(struct replay *r, const struct session_line *l, struct err *err)
{
	struct log_rec *rec = &r->log[r->n_logs++];
	struct timeline_row *row = &r->row[r->n_rows++];

	return log_from_json(l->json, r->n_stalls, rec, row, err);
}

static int read_line(struct replay *r, const struct session_line *l, struct err *err)
{
	const char *kind = json_string_value(json_object_get(l->json, "kind"));

	if (!strcmp(kind, "stall"))
		return read_stall(r, l, err);
	if (!strcmp(kind, "bad_write"))
		return read_write(r, l, err);
	if (!strcmp(kind, "crash"))
		return read_crash(r, l, err);
	if (!strcmp(kind, "log"))
		return read_log(r, l, err);
	if (!strcmp(kind, "summary")) {
		if (r->has_summary)
			return err_set(err, -EBADMSG, "a second summary");
		r->has_summary = true;
		return summary_from_json(l->json, &r->summary, err);
	}
	return err_set(err, -EBADMSG, "kind '%.40s' is not known", kind);
}

static int read_lines(struct replay *r, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < r->s->n_lines; i++) {
		json_t *v = r->s->line[i].json;

		if (!keys_plain(v))
			rc = err_set(err, -EBADMSG, "a key has control characters");
		report_clean(v);
		if (!rc)
			rc = read_line(r, &r->s->line[i], err);
		if (rc == -ENOMEM)
			return err_set(err, rc, "out of memory");
		if (rc) {
			err_prefix(err, "%s is damaged: line %zu", r->s->path, i + 1);
			return -EBADMSG;
		}
	}
	return rc;
}

static int read_end(struct replay *r, struct err *err)
{
	const json_t *summary = session_summary(r->s);
	int rc = stall_lives_from_json(summary, &r->clock, r->stall, r->found_ns, r->n_stalls, r->life, err);

	if (!rc)
		timeline_add_lives(r->row, &r->n_rows, r->life, r->n_stalls, &r->clock);
	if (!rc && summary)
		rc = rpc_ledger_from_json(summary, &r->ledger, err);
	if (!rc && summary)
		rc = write_costs_from_json(summary, &r->cost, &r->n_costs, err);
	if (rc && rc != -ENOMEM) {
		err_prefix(err, "%s is damaged: its summary", r->s->path);
		rc = -EBADMSG;
	}
	return rc;
}

static size_t count_kind(const struct session *s, const char *kind)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_lines; i++)
		n += !strcmp(json_string_value(json_object_get(s->line[i].json, "kind")), kind);
	return n;
}

int replay_open(struct replay **ret, struct session *s, struct err *err)
{
	struct replay *r = calloc(1, sizeof(*r));
	size_t n = s->n_lines + 1, n_stalls = count_kind(s, "stall") + 1, n_logs = count_kind(s, "log") + 1;
	int rc;

	if (!r) {
		session_free(s);
		return err_set(err, -ENOMEM, "out of memory");
	}
	r->s = s;
	r->clock = (struct report_clock){.mono_ns = session_number(s, "start_mono_ns"),
					 .real_ns = session_number(s, "start_real_ns")};
	r->stall = calloc(n_stalls, sizeof(*r->stall));
	r->found_ns = calloc(n_stalls, sizeof(*r->found_ns));
	r->life = calloc(n_stalls, sizeof(*r->life));
	r->log = calloc(n_logs, sizeof(*r->log));
	r->row = calloc(3 * n, sizeof(*r->row));
	if (!r->stall || !r->found_ns || !r->life || !r->log || !r->row)
		rc = err_set(err, -ENOMEM, "out of memory");
	else if (!r->clock.real_ns || !r->clock.mono_ns)
		rc = err_set(err, -EBADMSG, "%s is damaged: it does not say when it began", s->path);
	else
		rc = read_lines(r, err);
	if (!rc)
		rc = read_end(r, err);
	if (rc) {
		replay_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void replay_close(struct replay *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++) {
		if (r->v[i].crash)
			crash_deinit(r->v[i].crash);
		if (r->v[i].write)
			bad_write_deinit(r->v[i].write);
		free(r->v[i].crash);
		free(r->v[i].write);
	}
	for (size_t i = 0; r->stall && i < r->n_stalls; i++)
		stall_deinit(&r->stall[i]);
	summary_deinit(&r->summary);
	rpc_ledger_deinit(&r->ledger);
	free(r->v);
	free(r->stall);
	free(r->found_ns);
	free(r->life);
	free(r->log);
	free(r->row);
	free(r->cost);
	session_free(r->s);
	free(r);
}
