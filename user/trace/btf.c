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

/* libbpf takes a path only: a file in memory has one. */
static const char *in_memory(const struct builtin_btf *b)
{
	static char path[64];
	size_t len = (size_t)(b->end - b->start);
	int fd = memfd_create("btf", MFD_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (write(fd, b->start, len) != (ssize_t)len) {
		close(fd);
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

int btf_choose(const char *file, const char **path, enum btf_source *source, struct err *err)
{
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
		*path = in_memory(b);
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
	err_hint(err, "where its vmlinux with debuginfo is: tools/add-btf VMLINUX; then use the file it "
		      "makes: --btf FILE");
	return -ENOENT;
}
