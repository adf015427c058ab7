/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Code that all blocks share, at the start of the code's memory: ways to the thunks, flags that are
 * moved, checks of groups that fail, direct jumps out of the page. The checks that compact code
 * calls are in cpu/jit/compact.c.
 */
#include "cpu/jit/shared.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/compact.h"
#include "cpu/jit/dispatch.h"

static struct host_mem thunk_field(enum jit_thunk thunk)
{
	return mem_cpu(offsetof(struct cpu, jit.thunk) + thunk * sizeof(void *));
}

/* ... in R9, as its distance from the arena. */
static bool takes_insn(enum jit_thunk thunk)
{
	return thunk == THUNK_HANDLER || thunk == THUNK_HANDLER_LAST ||
	       thunk == THUNK_HANDLER_VECTOR;
}

#define RETURN_BYTES sizeof(void *)

/* ... whose addresses are on the stack: cpu/jit/enter.h. Others are jumped to from blocks. */
static unsigned calls_before(enum jit_thunk thunk)
{
	switch (thunk) {
	case THUNK_HANDLER:
	case THUNK_HANDLER_VECTOR:
	case THUNK_LINK:
	case THUNK_POLL:
	case THUNK_BAIL:
	case THUNK_SLOW:
	case THUNK_MISFIT:
		return 1;
	case THUNK_SAMPLE:
		return 2;
	default:
		return 0;
	}
}

static const uint8_t *emit_way_out(struct emitter *e, enum jit_thunk thunk, bool stores_status)
{
	const uint8_t *start = e->at;

	e->pushed_bytes = (unsigned)(calls_before(thunk) * RETURN_BYTES);
	if (stores_status)
		gen_status_store(e, R10);
	if (takes_insn(thunk))
		emit_alu_rm(e, ALU_ADD, 8, R9, mem_cpu(offsetof(struct cpu, jit.arena)));
	emit_jmp_m(e, thunk_field(thunk));
	return start;
}

/*
 * Jumped to. Whether the range crosses into another page, its address says: what a TLB's tag or the
 * stack's page has done to it leaves the offset in the page as it was.
 */
static void emit_shared_fit(struct jit *jit, struct emitter *e)
{
	struct emit_jump crossing;

	e->pushed_bytes = 0;
	jit->fit = e->at;
	emit_mov_ri(e, R11, (uint64_t)(uintptr_t)jit->fits);
	emit_alu_rr(e, ALU_ADD, 8, R10, R11);
	emit_movzx_rm(e, 2, R11,
		      mem_at(R10, offsetof(struct jit_fit, range) + GROUP_BYTES_SHIFT / 8));
	emit_alu_ri(e, ALU_AND, 4, R9, PAGE_BYTES - 1);
	emit_alu_rr(e, ALU_ADD, 4, R11, R9);
	emit_mov_rr(e, 8, R9, R10);
	emit_alu_ri(e, ALU_CMP, 4, R11, PAGE_BYTES);
	crossing = emit_jcc(e, COND_A, true);
	jit->misfit = e->at;
	emit_jmp_m(e, thunk_field(THUNK_FIT));
	emit_land(e, crossing);
	emit_mov_rm(e, 8, R11, mem_at(R10, offsetof(struct jit_fit, crossing)));
	emit_jmp_r(e, R11);
	jit->cross = e->at;
	emit_jmp_m(e, thunk_field(THUNK_CROSS));
	jit->learn = e->at;
	emit_mov_ri(e, R9, (uint64_t)(uintptr_t)jit->fits);
	emit_alu_rr(e, ALU_ADD, 8, R9, R10);
	emit_jmp_m(e, thunk_field(THUNK_LEARN));
}

static struct host_mem code_page(void)
{
	return mem_cpu(offsetof(struct cpu, jit.code_page));
}

/* Called. What the vCPU knows of the jump. */
static void emit_shared_far(struct jit *jit, struct emitter *e, unsigned class, bool polls)
{
	struct emit_jump is_unknown, is_wanted;

	e->pushed_bytes = RETURN_BYTES;
	jit->far[class][polls] = e->at;
	emit_alu_rm(e, ALU_ADD, 8, R10, mem_cpu(offsetof(struct cpu, jit.far)));
	emit_mov_rm(e, 8, R9, code_page());
	emit_alu_rm(e, ALU_XOR, 8, R9, shared_mark(class));
	emit_alu_rm(e, ALU_CMP, 8, R9, mem_at(R10, offsetof(struct far_target, tag)));
	is_unknown = emit_jcc(e, COND_NE, true);
	if (polls) {
		shared_poll(e);
		is_wanted = emit_jcc(e, COND_NE, true);
	}
	emit_mov_rm(e, 8, R9, mem_at(R10, offsetof(struct far_target, to)));
	emit_mov_mr(e, 8, code_page(), R9);
	emit_mov_rm(e, 8, R11, mem_at(R10, offsetof(struct far_target, code)));
	emit_ret(e);
	emit_land(e, is_unknown);
	if (polls)
		emit_land(e, is_wanted);
	emit_alu_ri(e, ALU_ADD, 8, RSP, RETURN_BYTES);
	e->pushed_bytes = 0;
	emit_jmp_m(e, thunk_field(THUNK_FAR));
}

void shared_emit(struct jit *jit, uint8_t *end)
{
	struct emitter e;

	emit_init(&e, jit->writable, end);
	for (unsigned thunk = 0; thunk < JIT_THUNKS; thunk++) {
		jit->thunk[thunk] = emit_way_out(&e, thunk, false);
		jit->storing_thunk[thunk] = emit_way_out(&e, thunk, true);
	}
	e.pushed_bytes = RETURN_BYTES;
	jit->load_status = e.at;
	gen_status_load(&e, R11);
	emit_ret(&e);
	jit->store_status = e.at;
	gen_status_store(&e, R9);
	emit_ret(&e);
	emit_shared_fit(jit, &e);
	for (unsigned class = 0; class < ARRAY_SIZE(jit->far); class ++)
		for (unsigned polls = 0; polls < 2; polls++)
			emit_shared_far(jit, &e, class, polls);
	compact_emit_shared(jit, &e);
	jit->shared_end = e.at;
}
