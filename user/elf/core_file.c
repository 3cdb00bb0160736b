// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/core_file.h"
#include "util/search.h"

#define MAX_PHDRS (1u << 20)
#define MAX_NOTES (64u << 20) /* bytes: a note per thread and one line per mapped file */
#define NOTE_HEAD 12	      /* namesz, descsz, type */

/* Offsets in the notes' structures of 64-bit machines (struct elf_prstatus and elf_prpsinfo of
 * linux/elfcore.h). */
enum {
	PRSTATUS_SIGNAL = 12,
	PRSTATUS_PID = 32,
	PRSTATUS_REG = 112,
	PSINFO_PID = 24,
	PSINFO_FNAME = 40,
	PSINFO_LEN = 136,
};

/* Registers in the thread's status, in words: struct user_regs_struct of x86-64, struct user_pt_regs of
 * aarch64. A whole word follows them. */
static const struct core_regs {
	uint16_t machine;
	unsigned n, ip, sp;
} core_regs[] = {{EM_X86_64, 27, 16, 19}, {EM_AARCH64, 34, 32, 31}};

static const struct core_regs *regs_of(uint16_t machine)
{
	for (size_t i = 0; i < sizeof(core_regs) / sizeof(core_regs[0]); i++)
		if (core_regs[i].machine == machine)
			return &core_regs[i];
	return NULL;
}

static int damaged(const struct core_file *c, uint64_t at, const char *what, struct err *err)
{
	return err_set(err, -EBADMSG, "core %s: %s (at offset 0x%" PRIx64 ")", c->path, what, at);
}

/* Reads exactly len bytes. false: not there. */
static bool read_at(int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static uint64_t word(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t half(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int note_thread(struct core_file *c, const uint8_t *d, size_t len, uint64_t at, struct err *err)
{
	const struct core_regs *regs = regs_of(c->machine);
	struct core_thread *v;

	if (len < PRSTATUS_REG + 8 * regs->n + 8)
		return damaged(c, at, "thread status is too short", err);
	v = reallocarray(c->thread, c->n_threads + 1, sizeof(*v));
	if (!v)
		return err_set(err, -ENOMEM, "out of memory");
	c->thread = v;
	if (!c->n_threads)
		c->signal = (int)(half(d + PRSTATUS_SIGNAL) & 0xffff);
	v[c->n_threads++] = (struct core_thread){.tid = (pid_t)half(d + PRSTATUS_PID),
						 .sp = word(d + PRSTATUS_REG + 8 * regs->sp),
						 .pc = word(d + PRSTATUS_REG + 8 * regs->ip)};
	return 0;
}

static void note_process(struct core_file *c, const uint8_t *d, size_t len)
{
	if (len < PSINFO_LEN)
		return;
	c->pid = (pid_t)half(d + PSINFO_PID);
	memcpy(c->comm, d + PSINFO_FNAME, sizeof(c->comm) - 1);
}

static void note_auxv(struct core_file *c, const uint8_t *d, size_t len)
{
	for (size_t i = 0; i + 16 <= len; i += 16) {
		if (word(d + i) == AT_ENTRY)
			c->entry = word(d + i + 8);
		else if (word(d + i) == AT_SYSINFO_EHDR)
			c->vdso = word(d + i + 8);
	}
}

/* count, page size, count times {start, end, offset in pages}, then as many zero-terminated paths. */
static int note_files(struct core_file *c, const uint8_t *d, size_t len, uint64_t at, struct err *err)
{
	uint64_t count, page;
	const char *text, *end = (const char *)d + len;

	if (len < 16 || c->mapped)
		return len < 16 ? damaged(c, at, "list of mapped files is too short", err) : 0;
	count = word(d);
	page = word(d + 8);
	if (count > (len - 16) / 24 || page > (1u << 30))
		return damaged(c, at, "list of mapped files is longer than its note", err);
	c->mapped = calloc(count + 1, sizeof(*c->mapped));
	c->strings = calloc(1, sizeof(*c->strings));
	if (!c->mapped || !c->strings)
		return err_set(err, -ENOMEM, "out of memory");
	text = (const char *)d + 16 + count * 24;
	c->strings[0] = malloc((size_t)(end - text) + 1);
	if (!c->strings[0])
		return err_set(err, -ENOMEM, "out of memory");
	c->n_strings = 1;
	memcpy(c->strings[0], text, (size_t)(end - text));
	c->strings[0][end - text] = '\0';
	for (size_t i = 0, pos = 0; i < count; i++) {
		const uint8_t *e = d + 16 + i * 24;
		struct core_mapped m = {.start = word(e),
					.end = word(e + 8),
					.offset = word(e + 16) * page,
					.path = c->strings[0] + pos};

		if (pos >= (size_t)(end - text) || m.end <= m.start || (i && m.start < c->mapped[i - 1].end))
			return damaged(c, at, "list of mapped files is not in order", err);
		c->mapped[c->n_mapped++] = m;
		pos += strlen(m.path) + 1;
	}
	return 0;
}

static int note(struct core_file *c, uint32_t type, const char *name, const uint8_t *d, size_t len,
		uint64_t at, struct err *err)
{
	if (strcmp(name, "CORE") != 0)
		return 0;
	switch (type) {
	case NT_PRSTATUS:
		return note_thread(c, d, len, at, err);
	case NT_FILE:
		return note_files(c, d, len, at, err);
	case NT_PRPSINFO:
		note_process(c, d, len);
		break;
	case NT_AUXV:
		note_auxv(c, d, len);
		break;
	}
	return 0;
}

static int read_notes(struct core_file *c, const Elf64_Phdr *ph, struct err *err)
{
	uint8_t *buf;
	int rc = 0;

	if (ph->p_filesz > MAX_NOTES)
		return damaged(c, ph->p_offset, "notes are larger than any core's", err);
	buf = malloc(ph->p_filesz + 1);
	if (!buf)
		return err_set(err, -ENOMEM, "out of memory");
	if (!read_at(c->fd, buf, ph->p_filesz, ph->p_offset))
		rc = damaged(c, ph->p_offset, "the file ends within its notes", err);
	for (size_t at = 0; !rc && at + NOTE_HEAD <= ph->p_filesz;) {
		uint64_t name_len = half(buf + at), len = half(buf + at + 4);
		uint64_t name = at + NOTE_HEAD, desc = name + ((name_len + 3) & ~3ull),
			 next = desc + ((len + 3) & ~3ull);
		char text[8] = "";

		if (desc + len > ph->p_filesz) {
			rc = damaged(c, ph->p_offset + at, "a note is longer than the segment it is in", err);
			break;
		}
		if (name_len && name_len <= sizeof(text))
			memcpy(text, buf + name, name_len - 1);
		rc = note(c, half(buf + at + 8), text, buf + desc, len, ph->p_offset + desc, err);
		at = next;
	}
	free(buf);
	return rc;
}

static int add_segment(struct core_file *c, const Elf64_Phdr *ph, uint64_t size, uint64_t at, struct err *err)
{
	struct core_segment s = {.start = ph->p_vaddr,
				 .end = ph->p_vaddr + ph->p_memsz,
				 .file_off = ph->p_offset,
				 .dumped = ph->p_filesz < ph->p_memsz ? ph->p_filesz : ph->p_memsz,
				 .flags = ph->p_flags};

	if (!ph->p_memsz)
		return 0;
	if (s.end <= s.start)
		return damaged(c, at, "a segment goes past the end of the address space", err);
	if (c->n_seg && s.start < c->seg[c->n_seg - 1].end)
		return damaged(c, at, "segments overlap or are not in order", err);
	if (s.dumped && (s.file_off > size || size - s.file_off < s.dumped)) {
		c->cut++;
		s.dumped = s.file_off < size ? size - s.file_off : 0;
	}
	c->seg[c->n_seg++] = s;
	return 0;
}

/* More than 65534 segments: the number stands in section header 0 (elf(5), PN_XNUM). */
static int count_phdrs(struct core_file *c, const Elf64_Ehdr *eh, uint64_t *n, struct err *err)
{
	Elf64_Shdr sh;

	*n = eh->e_phnum;
	if (eh->e_phnum != PN_XNUM)
		return 0;
	if (!eh->e_shoff || !read_at(c->fd, &sh, sizeof(sh), eh->e_shoff))
		return damaged(c, eh->e_shoff, "the number of its segments is not there", err);
	*n = sh.sh_info;
	return 0;
}

static int read_phdrs(struct core_file *c, const Elf64_Ehdr *eh, uint64_t size, struct err *err)
{
	Elf64_Phdr *ph = NULL;
	uint64_t n;
	int rc = count_phdrs(c, eh, &n, err);

	if (rc)
		return rc;
	if (eh->e_phentsize != sizeof(*ph) || !n || n > MAX_PHDRS || eh->e_phoff > size ||
	    (size - eh->e_phoff) / sizeof(*ph) < n)
		return damaged(c, eh->e_phoff, "its program headers are not where they should be", err);
	ph = calloc(n, sizeof(*ph));
	c->seg = calloc(n, sizeof(*c->seg));
	if (!ph || !c->seg)
		rc = err_set(err, -ENOMEM, "out of memory");
	else if (!read_at(c->fd, ph, n * sizeof(*ph), eh->e_phoff))
		rc = damaged(c, eh->e_phoff, "the file ends within its program headers", err);
	for (uint64_t i = 0; !rc && i < n; i++) {
		if (ph[i].p_type == PT_NOTE)
			rc = read_notes(c, &ph[i], err);
		else if (ph[i].p_type == PT_LOAD)
			rc = add_segment(c, &ph[i], size, eh->e_phoff + i * sizeof(*ph), err);
	}
	free(ph);
	return rc;
}

static int parse(struct core_file *c, struct err *err)
{
	struct stat st;
	Elf64_Ehdr eh;

	if (fstat(c->fd, &st))
		return err_set(err, -errno, "core %s: %s", c->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -ENOEXEC, "%s is not a file", c->path);
	if (!read_at(c->fd, &eh, sizeof(eh), 0) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0) {
		err_set(err, -ENOEXEC, "%s is no ELF file", c->path);
		err_hint(err, "a compressed core (.zst, .lz4, .gz) must be unpacked first; `coredumpctl dump "
			      "-o FILE` does that");
		return -ENOEXEC;
	}
	if (eh.e_type != ET_CORE)
		return err_set(err, -ENOEXEC, "%s is an ELF file, but no core", c->path);
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
	    !regs_of(eh.e_machine))
		return err_set(err, -ENOTSUP, "core %s is not of an x86-64 or aarch64 process", c->path);
	c->machine = eh.e_machine;
	return read_phdrs(c, &eh, (uint64_t)st.st_size, err);
}

int core_file_parse(struct core_file **ret, int fd, const char *name, struct err *err)
{
	struct core_file *c = calloc(1, sizeof(*c));
	int rc;

	*ret = NULL;
	if (c)
		c->path = strdup(name);
	if (!c || !c->path) {
		free(c);
		close(fd);
		return err_set(err, -ENOMEM, "out of memory");
	}
	c->fd = fd;
	rc = parse(c, err);
	if (rc) {
		core_file_close(c);
		return rc;
	}
	*ret = c;
	return 0;
}

int core_file_open(struct core_file **ret, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*ret = NULL;
	if (fd < 0)
		return err_set(err, -errno, "cannot open the core %s: %s", path, strerror(errno));
	return core_file_parse(ret, fd, path, err);
}

void core_file_close(struct core_file *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_strings; i++)
		free(c->strings[i]);
	free(c->strings);
	free(c->seg);
	free(c->mapped);
	free(c->thread);
	free(c->path);
	close(c->fd);
	free(c);
}

const struct core_segment *core_segment_at(const struct core_file *c, uint64_t addr)
{
	return RANGE_WITH(c->seg, c->n_seg, start, end, addr);
}

const struct core_mapped *core_mapped_at(const struct core_file *c, uint64_t addr)
{
	size_t lo = 0, hi = c->n_mapped;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (addr < c->mapped[mid].start)
			hi = mid;
		else if (addr >= c->mapped[mid].end)
			lo = mid + 1;
		else
			return &c->mapped[mid];
	}
	return NULL;
}
