// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* This process looks at its own code and stacks: what unwinding finds is compared with backtrace() and with
 * who called whom. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include "arch/syscalls.h"
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmocka.h>

#include "context.h"
#include "proc/mem.h"
#include "proc/task.h"
#include "symbol/image.h"

#define NOFP __attribute__((noinline, noclone, optimize("omit-frame-pointer")))

static struct image *image;
static struct abi_stack stack;
static void *trace[300];
static int n_trace;

/* As the kernel side would: registers, and what is readable above the stack pointer. */
static void copy_stack(const ucontext_t *u)
{
	ssize_t n;

	context_regs(u, stack.reg);
	n = proc_mem_read(getpid(), stack.reg[ABI_REG_SP], stack.data, sizeof(stack.data));
	stack.len = n > 0 ? (uint32_t)n : 0;
	stack.flags = n == ABI_STACK_BYTES ? ABI_STACK_TRUNCATED : 0;
}

/* In the frame of the caller, so that both begin with the same one. */
#define CAPTURE()                                                                                            \
	do {                                                                                                 \
		ucontext_t u_;                                                                               \
		n_trace = backtrace(trace, 300);                                                             \
		getcontext(&u_);                                                                             \
		copy_stack(&u_);                                                                             \
	} while (0)

static NOFP int inner(int a)
{
	CAPTURE();
	return a + 1;
}

static inline __attribute__((always_inline)) int inlined(int a)
{
	return inner(a * 2) * 3;
}

static NOFP int middle(int a)
{
	volatile char pad[200];

	pad[a] = (char)a;
	return inlined(a) + pad[a];
}

static NOFP int outer(int a)
{
	char *p = __builtin_alloca((size_t)a * 100 + 16);

	p[0] = (char)a;
	__asm__ volatile("" ::"r"(p) : "memory");
	return middle(a) + p[0];
}

static size_t physical(const struct frames *f, uint64_t *pc)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (!f->v[i].inlined)
			pc[n++] = f->v[i].addr;
	}
	return n;
}

static void like_backtrace(const struct frames *f, size_t at_least)
{
	uint64_t pc[300];
	size_t n = physical(f, pc);

	int off = 0;

	assert_true(n >= at_least);
	/* the innermost is in the same function, a few instructions on; the sanitizer's wrapper may stand
	 * before it */
	while (off < 3 && (uint64_t)(uintptr_t)trace[1 + off] != pc[1])
		off++;
	for (size_t i = 1; i < n && i + (size_t)off < (size_t)n_trace; i++)
		assert_true(pc[i] == (uint64_t)(uintptr_t)trace[i + (size_t)off]);
}

static void called(const struct frames *f, const char *const *names)
{
	for (size_t i = 0; names[i]; i++) {
		assert_true(i < f->n);
		assert_non_null(f->v[i].symbol);
		assert_string_equal(f->v[i].symbol, names[i]);
		assert_non_null(strstr(f->v[i].file, "test_image.c"));
		assert_true(f->v[i].line > 0);
		assert_non_null(strstr(f->v[i].module, "/test_image"));
	}
}

static void unwinds_itself(void **state)
{
	static const char *const names[] = {"inner", "inlined", "middle", "outer", "unwinds_itself", NULL};
	struct frames f = {0};

	(void)state;
	outer(3);
	assert_int_equal(image_unwind(image, &stack, false, &f), 0);
	called(&f, names);
	assert_true(f.v[1].inlined);
	assert_false(f.v[0].inlined || f.v[2].inlined);
	assert_false(f.truncated);
	assert_int_equal(f.v[0].addr, stack.reg[ABI_REG_IP]);
	assert_true(strlen(f.v[0].build_id) >= 16);
	assert_string_equal(f.v[f.n - 1].symbol, "_start");
	like_backtrace(&f, 6);
	frames_deinit(&f);
}

static NOFP int deep(int n)
{
	volatile char pad[1000];

	pad[0] = (char)n;
	if (!n)
		return inner(1);
	return deep(n - 1) + pad[0];
}

static void says_where_the_copy_ends(void **state)
{
	struct frames f = {0};

	(void)state;
	deep(40);
	assert_int_equal(stack.len, ABI_STACK_BYTES);
	assert_int_equal(image_unwind(image, &stack, false, &f), 0);
	assert_true(f.truncated);
	assert_true(f.n > 10 && f.n < 40);
	like_backtrace(&f, 10);
	frames_deinit(&f);

	/* not one byte */
	stack.len = 0;
	assert_int_equal(image_unwind(image, &stack, false, &f), 0);
	assert_true(f.truncated);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.v[0].symbol, "inner");
	frames_deinit(&f);
}

static NOFP void handler(int sig)
{
	CAPTURE();
	__asm__ volatile("" ::"r"(sig) : "memory");
}

static NOFP void raises(int sig)
{
	/* not raise(), so that the handler's caller is this function itself */
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig);
	__asm__ volatile("" ::: "memory");
}

static const struct frame *find(const struct frames *f, const char *symbol)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->v[i].symbol && !strcmp(f->v[i].symbol, symbol))
			return &f->v[i];
	}
	return NULL;
}

static void through_a_signal_handler(void **state)
{
	struct frames f = {0};

	(void)state;
	signal(SIGUSR1, handler);
	raises(SIGUSR1);
	assert_int_equal(image_unwind(image, &stack, false, &f), 0);
	assert_string_equal(f.v[0].symbol, "handler");
	assert_non_null(find(&f, "raises"));
	assert_non_null(find(&f, "through_a_signal_handler"));
	assert_string_equal(f.v[f.n - 1].symbol, "_start");
	assert_false(f.truncated);
	like_backtrace(&f, 6);
	frames_deinit(&f);
}

/* The copy holds the other stack only: what is on the first one has changed meanwhile and must not be read.
 */
static void from_a_signal_stack(void **state)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
	static char alt[65536];
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)}, old;
	struct frames f = {0};

	(void)state;
	assert_int_equal(sigaltstack(&ss, &old), 0);
	sigaction(SIGUSR2, &sa, NULL);
	raises(SIGUSR2);
	sigaltstack(&old, NULL);
	/* the handler is near the end of alt, so the copy goes on behind it: cut it there, as the kernel
	 * would at an unmapped page */
	stack.len = (uint32_t)((uintptr_t)alt + sizeof(alt) - stack.reg[ABI_REG_SP]);
	assert_int_equal(image_unwind(image, &stack, false, &f), 0);
	assert_string_equal(f.v[0].symbol, "handler");
	assert_true(f.truncated);
	assert_null(find(&f, "from_a_signal_stack"));
	frames_deinit(&f);
}

struct sleeper {
	int fd;
	pid_t tid;
};

static NOFP int waits_for(struct sleeper *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};
	int n;

	__atomic_store_n(&s->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	n = poll(&p, 1, -1);
	__asm__ volatile("" ::: "rbx", "rbp", "r12", "r13", "r14", "r15", "memory");
	return n;
}

static NOFP int rpc(struct sleeper *who, long request)
{
	int n = waits_for(who);

	__asm__ volatile("" ::"r"(who), "r"(request) : "memory");
	return n;
}

static void *sleeper_main(void *arg)
{
	return rpc(arg, 0x1234567890abcdef) ? arg : NULL;
}

static size_t index_of(const struct frames *f, const char *symbol)
{
	const struct frame *x = find(f, symbol);

	assert_non_null(x);
	return (size_t)(x - f->v);
}

static void blocked_thread_and_its_parameters(void **state)
{
	struct image_regs regs = {.known = IMAGE_REGS_SP_IP};
	struct proc_syscall sc = {0};
	struct sleeper s = {0};
	struct frames f = {0};
	pthread_t thread;
	uint64_t v = 0;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	s.fd = pair[0];
	assert_int_equal(pthread_create(&thread, NULL, sleeper_main, &s), 0);
	for (int i = 0; i < 2000 && sc.nr != SYS_poll; i++) {
		usleep(1000);
		if (__atomic_load_n(&s.tid, __ATOMIC_ACQUIRE))
			assert_int_equal(proc_task_syscall(getpid(), s.tid, &sc), 0);
	}
	assert_int_equal(sc.nr, SYS_poll);
	regs.reg[ABI_REG_SP] = sc.sp;
	regs.reg[ABI_REG_IP] = sc.pc;
	assert_int_equal(image_unwind_live(image, &regs, &f), 0);
	assert_true(index_of(&f, "waits_for") < index_of(&f, "rpc"));
	assert_true(index_of(&f, "rpc") < index_of(&f, "sleeper_main"));
	assert_int_equal(image_frame_param(image, index_of(&f, "rpc"), "who", &v), 0);
	assert_true(v == (uint64_t)(uintptr_t)&s);
	assert_int_equal(image_frame_param(image, index_of(&f, "rpc"), "request", &v), 0);
	assert_true(v == 0x1234567890abcdef);
	assert_int_equal(image_frame_param(image, index_of(&f, "rpc"), "nobody", &v), -ENODATA);
	assert_int_equal(image_frame_param(image, f.n, "who", &v), -ESTALE);
	frames_deinit(&f);

	regs.known = 1u << ABI_REG_SP;
	assert_int_equal(image_unwind_live(image, &regs, &f), -EINVAL);
	assert_int_equal(write(pair[1], "x", 1), 1);
	pthread_join(thread, NULL);
	close(pair[0]);
	close(pair[1]);
}

static void before_and_after_an_address(void **state)
{
	uint64_t pc = (uint64_t)(uintptr_t)rpc;
	struct frames f = {0};

	(void)state;
	assert_int_equal(image_symbolize(image, pc, false, &f), 0);
	assert_int_equal(f.n, 1);
	assert_string_equal(f.v[0].symbol, "rpc");
	assert_int_equal(f.v[0].addr, pc);
	/* appended, and of the function before it, or of the gap */
	assert_int_equal(image_symbolize(image, pc, true, &f), 0);
	assert_true(f.n >= 2);
	assert_true(!f.v[1].symbol || strcmp(f.v[1].symbol, "rpc") != 0);
	assert_int_equal(f.v[1].addr, pc);
	assert_int_equal(f.v[1].offset, f.v[0].offset - 1);
	frames_deinit(&f);

	/* from the cache */
	assert_int_equal(image_symbolize(image, pc, false, &f), 0);
	assert_string_equal(f.v[0].symbol, "rpc");
	frames_deinit(&f);

	assert_int_equal(image_symbolize(image, 8, false, &f), 0);
	assert_int_equal(f.n, 1);
	assert_null(f.v[0].module);
	assert_null(f.v[0].symbol);
	frames_deinit(&f);
}

static void library_loaded_later(void **state)
{
	struct frames f = {0};
	struct err err;
	void *lib, *sym;

	(void)state;
	lib = dlopen("libBrokenLocale.so.1", RTLD_NOW | RTLD_LOCAL);
	assert_non_null(lib);
	sym = dlsym(lib, "__ctype_get_mb_cur_max");
	assert_non_null(sym);
	assert_int_equal(image_symbolize(image, (uintptr_t)sym, false, &f), 0);
	assert_null(f.v[0].module);
	frames_deinit(&f);
	assert_int_equal(image_refresh(image, &err), 0);
	assert_int_equal(image_symbolize(image, (uintptr_t)sym, false, &f), 0);
	assert_non_null(strstr(f.v[0].module, "libBrokenLocale"));
	assert_string_equal(f.v[0].symbol, "__ctype_get_mb_cur_max");
	frames_deinit(&f);
	/* the rest stays as it was */
	assert_int_equal(image_symbolize(image, (uintptr_t)rpc, false, &f), 0);
	assert_string_equal(f.v[0].symbol, "rpc");
	frames_deinit(&f);
	dlclose(lib);
	assert_int_equal(image_refresh(image, &err), 0);
	assert_int_equal(image_symbolize(image, (uintptr_t)sym, false, &f), 0);
	assert_null(f.v[0].module);
	frames_deinit(&f);
}

static void vdso(void **state)
{
	uint64_t base = getauxval(AT_SYSINFO_EHDR);
	struct frames f = {0};
	bool named = false;

	(void)state;
	if (!base)
		skip();
	for (uint64_t at = base; at < base + 0x2000 && !named; at += 16) {
		assert_int_equal(image_symbolize(image, at, false, &f), 0);
		if (f.v[0].module)
			assert_string_equal(f.v[0].module, "[vdso]");
		named = f.v[0].symbol && strstr(f.v[0].symbol, "gettimeofday");
		frames_deinit(&f);
	}
	assert_true(named);
}

/* What was opened serves when the target is gone: the fork has this process's code and stack. */
static void after_the_exit(void **state)
{
	static const char *const names[] = {"inner", "inlined", "middle", "outer", "after_the_exit", NULL};
	struct frames f = {0};
	struct image *im;
	struct err err;
	pid_t child;

	(void)state;
	outer(3);
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	assert_int_equal(image_open(&im, child, NULL, &err), 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(image_unwind(im, &stack, false, &f), 0);
	called(&f, names);
	assert_string_equal(f.v[f.n - 1].symbol, "_start");
	assert_false(f.truncated);
	frames_deinit(&f);
	assert_int_equal(image_refresh(im, &err), -ESRCH);
	image_close(im);
}

static void no_such_process(void **state)
{
	struct image *im;
	struct err err;

	(void)state;
	assert_int_equal(image_open(&im, 0x7ffffff0, NULL, &err), -ESRCH);
	assert_null(im);
	image_close(NULL);
}

static int open_self(void **state)
{
	struct err err;

	(void)state;
	backtrace(trace, 1); /* loads libgcc_s */
	return image_open(&image, getpid(), NULL, &err);
}

static int close_self(void **state)
{
	(void)state;
	image_close(image);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unwinds_itself),
		cmocka_unit_test(says_where_the_copy_ends),
		cmocka_unit_test(through_a_signal_handler),
		cmocka_unit_test(from_a_signal_stack),
		cmocka_unit_test(blocked_thread_and_its_parameters),
		cmocka_unit_test(before_and_after_an_address),
		cmocka_unit_test(library_loaded_later),
		cmocka_unit_test(vdso),
		cmocka_unit_test(after_the_exit),
		cmocka_unit_test(no_such_process),
	};

	return cmocka_run_group_tests(tests, open_self, close_self);
}
