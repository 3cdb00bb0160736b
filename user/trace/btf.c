// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "trace/btf.h"
#include "trace/force.h"

/* Written by tools/embed-btf; ends with a NULL release. */
struct builtin_btf {
	const char *release;
	const char *start, *end;
};
extern const struct builtin_btf builtin_btfs[];

static int check_file(const char *file, struct err *err)
{
	struct btf *btf = btf__parse(file, NULL);

	if (!btf) {
		err_set(err, -EINVAL, "%s holds no kernel types (BTF): %s", file, strerror(errno));
		err_hint(err, "a copy of /sys/kernel/btf/vmlinux of the same kernel, or what tools/add-btf "
			      "makes of its vmlinux");
		return -EINVAL;
	}
	btf__free(btf);
	return 0;
}

/* libbpf looks below /boot, /lib/modules and /usr/lib/debug too. */
static bool kernel_has(void)
{
	libbpf_print_fn_t print;
	struct btf *btf;

	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		return true;
	print = libbpf_set_print(NULL); /* to ask is no failure */
	btf = btf__load_vmlinux_btf();
	libbpf_set_print(print);
	btf__free(btf);
	return btf != NULL;
}

/* libbpf takes a path only: a file in memory has one. It stays until the process ends. */
static const char *in_memory(char path[64], const void *data, size_t len)
{
	int fd = memfd_create("btf", MFD_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (write(fd, data, len) != (ssize_t)len) {
		close(fd);
		return NULL;
	}
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return path;
}

/* Is the helper to be missing? last: the newest that the oldest kernels served have, which is of 5.3. */
static bool hidden(const char *name, __u32 number)
{
	const __u32 last = 109;

	return (forced(FORCE_NOHELPERS) && number > last) ||
	       (forced(FORCE_NORINGBUF) && !strncmp(name, "BPF_FUNC_ringbuf", 16)) ||
	       (forced(FORCE_NOREADUSER) && !strncmp(name, "BPF_FUNC_probe_read_", 20)) ||
	       (forced(FORCE_NOCOOKIE) && !strcmp(name, "BPF_FUNC_get_attach_cookie"));
}

/* The types that programs see decide what they use, so a forced older kernel is one whose types do not name
 * the newer helpers. */
static int cut(const char **path, struct err *err)
{
	static char file[64];
	struct btf *btf;
	int id;

	if (file[0]) {
		*path = file;
		return 0;
	}
	btf = *path ? btf__parse(*path, NULL) : btf__load_vmlinux_btf();
	if (!btf)
		return err_set(err, -errno, "cannot read the kernel's types: %s", strerror(errno));
	id = btf__find_by_name_kind(btf, "bpf_func_id", BTF_KIND_ENUM);
	if (id > 0) {
		const struct btf_type *t = btf__type_by_id(btf, (__u32)id);
		struct btf_enum *e = btf_enum(t);
		const void *data;
		__u32 len;

		for (__u16 i = 0; i < btf_vlen(t); i++) {
			const char *name = btf__name_by_offset(btf, e[i].name_off);

			if (name && hidden(name, (__u32)e[i].val))
				e[i].name_off = 0;
		}
		data = btf__raw_data(btf, &len);
		*path = data ? in_memory(file, data, len) : NULL;
	}
	btf__free(btf);
	return *path || id <= 0
		       ? 0
		       : err_set(err, -errno, "cannot set up the kernel's types: %s", strerror(errno));
}

static int choose(const char *file, const char **path, enum btf_source *source, struct err *err)
{
	static char memory[64];
	struct utsname u;
	int rc;

	*path = file;
	*source = BTF_NONE;
	if (file) {
		rc = check_file(file, err);
		*source = rc ? BTF_NONE : BTF_FILE;
		return rc;
	}
	if (kernel_has()) {
		*source = BTF_KERNEL;
		return 0;
	}
	uname(&u);
	for (const struct builtin_btf *b = builtin_btfs; b->release; b++) {
		if (strcmp(b->release, u.release) != 0)
			continue;
		*path = in_memory(memory, b->start, (size_t)(b->end - b->start));
		if (!*path)
			return err_set(err, -errno, "cannot unpack the built-in kernel types: %s",
				       strerror(errno));
		*source = BTF_BUILTIN;
		return 0;
	}
	err_set(err, -ENOENT,
		"kernel %s does not tell its types (no /sys/kernel/btf/vmlinux), and none are built in for "
		"it",
		u.release);
	err_hint(err,
		 "where its vmlinux with debuginfo is: tools/add-btf --release %s VMLINUX; then use the file "
		 "it makes: --btf FILE, or build anew: make static",
		 u.release);
	return -ENOENT;
}

int btf_choose(const char *file, const char **path, enum btf_source *source, struct err *err)
{
	int rc = force_check(err);

	*source = BTF_NONE;
	if (!rc)
		rc = choose(file, path, source, err);
	if (!rc && (forced(FORCE_NOHELPERS) || forced(FORCE_NORINGBUF) || forced(FORCE_NOREADUSER) ||
		    forced(FORCE_NOCOOKIE)))
		rc = cut(path, err);
	return rc;
}
