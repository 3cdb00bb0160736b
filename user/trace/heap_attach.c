// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Finds the allocators of the target, and puts probes on their functions. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "heap.skel.h"
#include "trace/heap_priv.h"
#include "util/grow.h"

/* A link of a program for entry and return, which libbpf 1.4 does not know of. */
static int session_link(int prog, const char *path, unsigned long offset, pid_t pid)
{
	union bpf_attr attr;
	uint64_t at = offset;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.attach_type = HEAP_UPROBE_SESSION;
	attr.link_create.uprobe_multi.path = (uint64_t)(uintptr_t)path;
	attr.link_create.uprobe_multi.offsets = (uint64_t)(uintptr_t)&at;
	attr.link_create.uprobe_multi.cnt = 1;
	attr.link_create.uprobe_multi.pid = (uint32_t)pid;
	return (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
}

/* A program for it loads, and a link of it on a path that is no file is refused for the path's sake. */
bool heap_session_works(void)
{
	LIBBPF_OPTS(bpf_prog_load_opts, lo,
		    .expected_attach_type = (enum bpf_attach_type)HEAP_UPROBE_SESSION);
	const struct bpf_insn insn[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "GPL", insn, 2, &lo), link;
	bool works;

	if (prog < 0)
		return false;
	link = session_link(prog, "/", 0, getpid());
	works = link < 0 && errno == EBADF;
	if (link >= 0)
		close(link);
	close(prog);
	return works;
}

void heap_link_close(struct heap_link *l)
{
	bpf_link__destroy(l->link);
	if (l->fd >= 0)
		close(l->fd);
}

static bool is_exe(const struct heap_trace *h, const char *path)
{
	char link[64], exe[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)h->c.pid);
	n = readlink(link, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	return !strcmp(exe, path);
}

/* The functions of one module, whose first mapping is m. */
static int module_add(struct heap_trace *h, const struct proc_map *m, struct err *err)
{
	struct elf_file *f, *debug = NULL;
	struct heap_func *v = NULL;
	struct elf_debug d;
	char path[64];
	size_t n = 0;
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)h->c.pid, m->start,
		 m->end);
	if (elf_file_open(&f, path, NULL))
		return 0; /* not an ELF file, or gone: then nothing is known of it */
	ret = heap_functions(f, f, &v, &n);
	if (!ret && !n &&
	    is_exe(h, m->path)) { /* stripped: an allocator inside has names in the debuginfo only */
		elf_find_debug(f, h->c.debuginfo, &d);
		if (d.state == ELF_DEBUG_FOUND && !elf_file_open(&debug, d.path, NULL))
			ret = heap_functions(f, debug, &v, &n);
	}
	if (!ret && n && h->n_allocators < HEAP_ALLOCATORS) {
		struct heap_allocator *a = &h->allocator[h->n_allocators];

		a->name = heap_allocator_name(debug ? debug : f, m->path);
		a->path = strdup(m->path ? m->path : "?");
		for (size_t i = 0; a->path && i < n; i++) {
			struct heap_place *p;

			if (GROW(&h->site, h->n_sites)) {
				ret = -ENOMEM;
				break;
			}
			p = &h->site[h->n_sites++];
			*p = (struct heap_place){.f = v[i],
						 .addr = m->start - m->offset - elf_file_base(f) + v[i].vaddr,
						 .allocator = (uint8_t)h->n_allocators};
			memcpy(p->file, path, sizeof(path));
		}
		h->n_allocators++;
	}
	free(v);
	elf_file_close(debug);
	elf_file_close(f);
	return ret ? err_set(err, ret, "out of memory") : 0;
}

int heap_sites_find(struct heap_trace *h, const struct proc_maps *maps, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < maps->n; i++) {
		const struct proc_map *m = &maps->v[i];
		bool code = false;

		if (!m->inode || m->offset || !m->path || m->path[0] != '/')
			continue;
		for (size_t k = i; k < maps->n && maps->v[k].inode == m->inode && maps->v[k].dev == m->dev;
		     k++)
			code |= (maps->v[k].perms & PROC_X) != 0;
		if (code)
			ret = module_add(h, m, err);
	}
	if (ret)
		return ret;
	h->glibc_only = true;
	for (size_t i = 0; i < h->n_allocators; i++)
		h->glibc_only &= !strcmp(h->allocator[i].name, "glibc");
	if (h->n_sites)
		return 0;
	err_set(err, -ENOENT, "--heap: no module of process %d has an allocator whose functions are named",
		(int)h->c.pid);
	err_hint(err, "an allocator linked into a stripped executable needs the debuginfo: --debuginfo DIR");
	return -ENOENT;
}

static int keep(struct heap_trace *h, struct bpf_link *link, int fd)
{
	if (GROW(&h->link, h->n_links)) {
		bpf_link__destroy(link);
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	h->link[h->n_links++] = (struct heap_link){.link = link, .fd = fd};
	return 0;
}

static int attach_one(struct heap_trace *h, const struct heap_place *p, const struct bpf_program *prog,
		      bool retprobe)
{
	unsigned long offset = p->f.offset;
	struct bpf_link *link;

	if (h->c.multi) {
		LIBBPF_OPTS(bpf_uprobe_multi_opts, opts, .offsets = &offset, .cnt = 1, .retprobe = retprobe);

		link = bpf_program__attach_uprobe_multi(prog, h->c.pid, p->file, NULL, &opts);
	} else {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = retprobe);

		link = bpf_program__attach_uprobe_opts(prog, h->c.pid, p->file, offset, &opts);
	}
	return link ? keep(h, link, -1) : -errno;
}

static int attach_place(struct heap_trace *h, struct heap_place *p)
{
	bool release = p->f.kind == HEAP_RELEASE || p->f.kind == HEAP_RELEASE_N;
	int ret;

	if (release)
		return attach_one(h, p, h->skel->progs.heap_free, false);
	if (h->session) {
		int fd = session_link(bpf_program__fd(h->skel->progs.heap_session), p->file, p->f.offset,
				      h->c.pid);

		return fd < 0 ? -errno : keep(h, NULL, fd);
	}
	if (p->f.throws) {
		h->n_no_return++;
		return 1;
	}
	ret = attach_one(h, p, h->skel->progs.heap_return, true);
	return ret ? ret : attach_one(h, p, h->skel->progs.heap_enter, false);
}

int heap_sites_attach(struct heap_trace *h, struct err *err)
{
	unsigned attached = 0;

	for (size_t i = 0; i < h->n_sites; i++) {
		struct heap_place *p = &h->site[i];
		struct heap_site s = {.kind = (uint8_t)p->f.kind,
				      .allocator = p->allocator,
				      .tags = !strcmp(h->allocator[p->allocator].name, "glibc"),
				      .pushed = p->f.pushed};
		int ret = bpf_map__update_elem(h->skel->maps.heap_sites, &p->addr, sizeof(p->addr), &s,
					       sizeof(s), 0);

		if (!ret)
			ret = attach_place(h, p);
		if (ret == -ENOMEM)
			return err_set(err, ret, "out of memory");
		p->used = !ret;
		attached += !ret;
		if (ret >= 0)
			continue;
		h->failed++;
		if (!h->failure[0])
			snprintf(h->failure, sizeof(h->failure), "%s in %s: %s", p->f.name,
				 h->allocator[p->allocator].path, strerror(-ret));
	}
	return attached ? 0 : err_set(err, -EOPNOTSUPP, "--heap: no probe could be attached: %s", h->failure);
}
