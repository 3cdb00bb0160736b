// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc/process.h"
#include "symbol/image_priv.h"

static int report_modules(struct image *im, struct err *err)
{
	char name[64];
	void **userdata;

	dwfl_report_begin(im->dwfl);
	for (size_t i = 0; i < im->n_modules; i++) {
		struct image_module *m = im->module[i];

		/* the name makes a file that took another's place a new module */
		snprintf(name, sizeof(name), "%jx:%" PRIx64, (uintmax_t)m->dev, m->inode);
		m->dwfl = m->low < m->end ? dwfl_report_module(im->dwfl, name, m->low, m->end) : NULL;
		if (m->dwfl) {
			dwfl_module_info(m->dwfl, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
			*userdata = m;
		}
	}
	if (dwfl_report_end(im->dwfl, NULL, NULL))
		return err_set(err, -EIO, "modules of process %d: %s", (int)im->pid, dwfl_errmsg(-1));
	return 0;
}

static bool modules_equal(struct image_module **a, size_t na, struct image_module **b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++) {
		if (!module_same(a[i], b[i]))
			return false;
	}
	return true;
}

/* Keeps what is open of the modules that are still there; frees the old list. */
static void take_over(struct image *im, struct image_module **v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t old = 0;

		while (old < im->n_modules && !(im->module[old] && module_same(im->module[old], v[i])))
			old++;
		if (old < im->n_modules) {
			module_free(v[i]);
			v[i] = im->module[old];
			im->module[old] = NULL;
		} else {
			module_open(v[i], im);
		}
	}
}

static int alive(const struct image *im, struct err *err)
{
	uint64_t ticks;
	int e = proc_start_ticks(im->pid, &ticks);

	if (!e && im->start_ticks && ticks != im->start_ticks)
		e = -ESRCH;
	return e ? err_set(err, e, "process %d: %s", (int)im->pid, e == -ESRCH ? "has exited" : strerror(-e))
		 : 0;
}

int image_refresh(struct image *im, struct err *err)
{
	struct image_module **v, **old = im->module;
	size_t n, n_old = im->n_modules;
	struct proc_maps maps;
	int e;

	e = alive(im, err);
	if (!e)
		e = proc_maps_read(&maps, im->pid, err);
	if (e)
		return e;
	/* a process that is just exiting has no mappings left: what is known of it stays */
	if (!maps.n)
		return err_set(err, -ESRCH, "process %d: has exited", (int)im->pid);
	e = modules_scan(&maps, &v, &n);
	if (e) {
		proc_maps_deinit(&maps);
		return err_set(err, e, "out of memory");
	}
	proc_maps_deinit(&im->maps);
	im->maps = maps;
	if (modules_equal(v, n, old, n_old)) {
		modules_free(v, n);
		return 0;
	}
	take_over(im, v, n);
	im->module = v;
	im->n_modules = n;
	im->n_frames = 0;
	image_cache_drop(im);
	e = report_modules(im, err); /* lets go of the removed modules, which may then be freed */
	modules_free(old, n_old);
	return e;
}

int image_open(struct image **ret, pid_t pid, const char *debuginfo_dir, struct err *err)
{
	struct image *im = calloc(1, sizeof(*im));
	int e = -ENOMEM;

	*ret = NULL;
	if (!im)
		return err_set(err, -ENOMEM, "out of memory");
	im->pid = pid;
	im->debuginfo_dir = debuginfo_dir ? strdup(debuginfo_dir) : NULL;
	im->dwfl = dwfl_begin(&module_callbacks);
	if (!im->dwfl || (debuginfo_dir && !im->debuginfo_dir)) {
		err_set(err, e, "out of memory");
		goto fail;
	}
	e = proc_start_ticks(pid, &im->start_ticks);
	if (e) {
		err_set(err, e, "process %d: %s", (int)pid, strerror(-e));
		goto fail;
	}
	e = image_refresh(im, err);
	if (e)
		goto fail;
	*ret = im;
	return 0;
fail:
	image_close(im);
	return e;
}

void image_close(struct image *im)
{
	if (!im)
		return;
	if (im->dwfl)
		dwfl_end(im->dwfl);
	image_cache_drop(im);
	modules_free(im->module, im->n_modules);
	proc_maps_deinit(&im->maps);
	free(im->debuginfo_dir);
	free(im);
}

struct image_module *image_module_at(const struct image *im, uint64_t addr)
{
	size_t lo = 0, hi = im->n_modules;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct image_module *m = im->module[mid];

		if (addr < m->start)
			hi = mid;
		else if (addr >= m->end)
			lo = mid + 1;
		else
			return m;
	}
	return NULL;
}
