// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Whole stacks: of a copy that a probe took, or of a thread that is blocked now. */
#include <errno.h>
#include <string.h>

#include "proc/mem.h"
#include "symbol/image_priv.h"

static bool read_live(void *ctx, uint64_t addr, uint64_t *word)
{
	struct image *im = ctx;

	return proc_mem_read(im->pid, addr, word, sizeof(*word)) == sizeof(*word);
}

/*
 * From the copy, or from memory that cannot have changed since. The rest of the stack, which was not copied,
 * has: it is not read.
 */
static bool read_copy(void *ctx, uint64_t addr, uint64_t *word)
{
	struct image *im = ctx;
	uint64_t at = addr - im->copy.reg[ABI_REG_SP];
	const struct proc_map *map;

	if (at < im->copy.len && im->copy.len - at >= sizeof(*word)) {
		memcpy(word, im->copy.data + at, sizeof(*word));
		return true;
	}
	map = proc_maps_find(&im->maps, addr);
	return map && !(map->perms & (PROC_W | PROC_SHARED)) && read_live(ctx, addr, word);
}

struct unwind_mem image_memory(struct image *im)
{
	return (struct unwind_mem){.read = im->live ? read_live : read_copy, .ctx = im};
}

/* Frame information of the file itself first, then that of its debuginfo (.debug_frame). */
static enum unwind_result step(struct image *im, struct unwind_frame *f, struct unwind_frame *caller)
{
	struct image_module *m = image_module_at(im, unwind_lookup_pc(f));
	Dwfl_Module *mod = m ? module_dwfl(m) : NULL;
	struct unwind_mem mem = image_memory(im);
	enum unwind_result r = UNWIND_STOPPED;
	Dwarf_Addr bias = 0;
	Dwarf_CFI *cfi;

	if (!mod)
		return UNWIND_STOPPED;
	cfi = dwfl_module_eh_cfi(mod, &bias);
	if (cfi)
		r = unwind_step(f, cfi, bias, &mem, caller);
	if (r == UNWIND_STOPPED && !f->has_cfa) {
		cfi = dwfl_module_dwarf_cfi(mod, &bias);
		if (cfi)
			r = unwind_step(f, cfi, bias, &mem, caller);
	}
	return r;
}

static int unwind(struct image *im, const struct image_regs *regs, bool pc_is_return, struct frames *out)
{
	struct unwind_frame next = {.regs = *regs, .exact = true};
	enum unwind_result r = UNWIND_CALLER;
	bool refreshed = false;
	int err = 0;

	im->n_frames = 0;
	while (r == UNWIND_CALLER && !err && im->n_frames < IMAGE_MAX_FRAMES) {
		struct image_frame *f = &im->frame[im->n_frames];
		uint64_t pc = next.regs.reg[ABI_REG_IP];
		bool first = im->n_frames == 0;

		*f = (struct image_frame){.u = next, .first = out->n};
		if (!refreshed && !image_module_at(im, unwind_lookup_pc(&f->u))) {
			size_t kept = im->n_frames;

			/* a library that was loaded since; if the target is gone, what is known of it must do
			 */
			image_refresh(im, NULL);
			im->n_frames = kept;
			refreshed = true;
		}
		r = step(im, &f->u, &next);
		err = image_symbolize(im, pc, first ? pc_is_return : unwind_lookup_pc(&f->u) != pc, out);
		f->n = out->n - f->first;
		im->n_frames++;
	}
	out->truncated = r != UNWIND_OUTERMOST;
	return err;
}

int image_unwind(struct image *im, const struct abi_stack *st, bool pc_is_return, struct frames *out)
{
	struct image_regs regs = {.known = IMAGE_REGS_ALL};

	if (st->len > ABI_STACK_BYTES)
		return -EINVAL;
	memcpy(regs.reg, st->reg, sizeof(regs.reg));
	im->live = false;
	memcpy(&im->copy, st, ABI_STACK_HEAD + st->len);
	return unwind(im, &regs, pc_is_return, out);
}

int image_unwind_live(struct image *im, const struct image_regs *regs, struct frames *out)
{
	if ((regs->known & IMAGE_REGS_SP_IP) != IMAGE_REGS_SP_IP)
		return -EINVAL;
	im->live = true;
	return unwind(im, regs, false, out);
}
