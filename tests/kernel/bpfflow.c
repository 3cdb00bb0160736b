// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bpfflow.h"

#define REGS 11

/* What is known of the registers before an instruction. */
struct known {
	bool seen;
	bool is_const[REGS];
	uint64_t value[REGS];
};

struct flow {
	struct bpfflow *use;
	const struct bpf_insn *insn;
	size_t n;
	struct known *at;
	size_t *todo;
	bool *waits; /* in todo */
	size_t n_todo;
};

/* k holds too when control comes to instruction i. */
static int join(struct flow *f, size_t i, const struct known *k)
{
	struct known *at;
	bool changed;

	if (i >= f->n)
		return -EINVAL;
	at = &f->at[i];
	changed = !at->seen;
	if (!at->seen) {
		*at = *k;
		at->seen = true;
	}
	for (int r = 0; r < REGS; r++) {
		if (at->is_const[r] && (!k->is_const[r] || k->value[r] != at->value[r])) {
			at->is_const[r] = false;
			changed = true;
		}
	}
	if (changed && !f->waits[i]) {
		f->waits[i] = true;
		f->todo[f->n_todo++] = i;
	}
	return 0;
}

static void set(struct known *k, unsigned reg, bool is_const, uint64_t value)
{
	if (reg < REGS) {
		k->is_const[reg] = is_const;
		k->value[reg] = is_const ? value : 0;
	}
}

static void alu(struct known *k, const struct bpf_insn *in)
{
	bool wide = BPF_CLASS(in->code) == BPF_ALU64, by_reg = BPF_SRC(in->code) == BPF_X;
	uint64_t a = in->dst_reg < REGS ? k->value[in->dst_reg] : 0, b, v = 0;
	bool known = true;

	b = by_reg ? (in->src_reg < REGS ? k->value[in->src_reg] : 0) : (uint64_t)(int64_t)in->imm;
	if (by_reg && (in->src_reg >= REGS || !k->is_const[in->src_reg]))
		known = false;
	if (BPF_OP(in->code) != BPF_MOV && (in->dst_reg >= REGS || !k->is_const[in->dst_reg]))
		known = false;
	switch (BPF_OP(in->code)) {
	case BPF_MOV:
		v = b;
		break;
	case BPF_ADD:
		v = a + b;
		break;
	case BPF_AND:
		v = a & b;
		break;
	case BPF_OR:
		v = a | b;
		break;
	case BPF_XOR:
		v = a ^ b;
		break;
	case BPF_LSH:
		v = a << (b & (wide ? 63 : 31));
		break;
	case BPF_RSH:
		v = (wide ? a : (uint32_t)a) >> (b & (wide ? 63 : 31));
		break;
	default:
		known = false;
	}
	set(k, in->dst_reg, known, wide ? v : (uint32_t)v);
}

/* 1: taken, 0: not, -1: not known */
static int taken(const struct known *k, const struct bpf_insn *in)
{
	bool by_reg = BPF_SRC(in->code) == BPF_X;
	uint64_t a, b;

	if (in->dst_reg >= REGS || !k->is_const[in->dst_reg] ||
	    (by_reg && (in->src_reg >= REGS || !k->is_const[in->src_reg])))
		return -1;
	a = k->value[in->dst_reg];
	b = by_reg ? k->value[in->src_reg] : (uint64_t)(int64_t)in->imm;
	switch (BPF_OP(in->code)) {
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JLE:
		return a <= b;
	case BPF_JSGT:
		return (int64_t)a > (int64_t)b;
	case BPF_JSGE:
		return (int64_t)a >= (int64_t)b;
	case BPF_JSLT:
		return (int64_t)a < (int64_t)b;
	case BPF_JSLE:
		return (int64_t)a <= (int64_t)b;
	case BPF_JSET:
		return (a & b) != 0;
	}
	return -1;
}

static int call(struct flow *f, size_t i, struct known *k)
{
	const struct bpf_insn *in = &f->insn[i];
	int err = 0;

	if (in->src_reg == BPF_PSEUDO_CALL) {
		struct known anything = {.seen = true};

		err = join(f, i + 1 + (size_t)(int64_t)in->imm, &anything);
	} else if (in->src_reg) {
		f->use->kfuncs = true;
	} else if (in->imm >= 0 && in->imm < BPFFLOW_HELPERS) {
		f->use->helper[in->imm] = true;
	}
	for (unsigned r = 0; r <= 5; r++)
		set(k, r, false, 0);
	return err;
}

static int jump(struct flow *f, size_t i, struct known *k)
{
	const struct bpf_insn *in = &f->insn[i];
	size_t to = i + 1 + (size_t)(int64_t)in->off;
	int err, way;

	switch (BPF_OP(in->code)) {
	case BPF_EXIT:
		return 0;
	case BPF_CALL:
		err = call(f, i, k);
		return err ? err : join(f, i + 1, k);
	case BPF_JA:
		return join(f, to, k);
	}
	way = taken(k, in);
	err = way != 0 ? join(f, to, k) : 0;
	return err || way == 1 ? err : join(f, i + 1, k);
}

static int step(struct flow *f, size_t i)
{
	const struct bpf_insn *in = &f->insn[i];
	struct known k = f->at[i];
	size_t next = i + 1;

	switch (BPF_CLASS(in->code)) {
	case BPF_JMP:
		return jump(f, i, &k);
	case BPF_JMP32:
		f->use->wide_jumps = true;
		return -EOPNOTSUPP;
	case BPF_ALU:
	case BPF_ALU64:
		alu(&k, in);
		break;
	case BPF_LD:
		if (in->code == (BPF_LD | BPF_IMM | BPF_DW) && next < f->n) {
			set(&k, in->dst_reg, !in->src_reg,
			    (uint32_t)in->imm | (uint64_t)(uint32_t)in[1].imm << 32);
			f->use->kfuncs |= in->src_reg > BPF_PSEUDO_MAP_VALUE;
			next++;
		} else {
			set(&k, 0, false, 0);
		}
		break;
	case BPF_LDX:
		set(&k, in->dst_reg, false, 0);
		break;
	case BPF_STX:
		if (BPF_MODE(in->code) == BPF_ATOMIC && in->imm != BPF_ADD)
			f->use->atomics = true;
		break;
	}
	return join(f, next, &k);
}

int bpfflow(struct bpfflow *ret, const struct bpf_insn *insn, size_t n)
{
	struct flow f = {.use = ret,
			 .insn = insn,
			 .n = n,
			 .at = calloc(n, sizeof(*f.at)),
			 .todo = calloc(n, sizeof(*f.todo)),
			 .waits = calloc(n, sizeof(*f.waits))};
	struct known nothing = {.seen = true};
	int err = -ENOMEM;

	memset(ret, 0, sizeof(*ret));
	if (f.at && f.todo && f.waits && n)
		err = join(&f, 0, &nothing);
	while (!err && f.n_todo) {
		size_t i = f.todo[--f.n_todo];

		f.waits[i] = false;
		err = step(&f, i);
	}
	for (size_t i = 0; f.at && i < n; i++) {
		ret->reached += f.at[i].seen;
		ret->calls |= insn[i].code == (BPF_JMP | BPF_CALL) && insn[i].src_reg == BPF_PSEUDO_CALL;
	}
	free(f.at);
	free(f.todo);
	free(f.waits);
	return err;
}
