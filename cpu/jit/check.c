/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running blocks twice and comparing: see cpu/jit/check.h. */
#include "cpu/jit/check.h"

#include <errno.h>
#include <stdlib.h>

#include <Zydis/Zydis.h>

#include "cpu/exec/vector.h"
#include "cpu/flags.h"
#include "cpu/jit/jit.h"
#include "cpu/mmu/journal.h"
#include "cpu/run.h"
#include "cpu/soft.h"

#define ATTEMPTS 4 /* a difference is there in all of them, or it is no difference */

struct check {
	struct journal journal;
	struct check_state start;
	struct check_outcome reference, translation, step;
	ZydisDecoder zydis, zydis_32;
	bool has_vectors; /* the block touches vector or x87 state: it is part of every state */
	bool has_failed;
};

int check_create(struct cpu *cpu)
{
	struct check *check = aligned_alloc(64, align_up(sizeof(*check), 64));

	if (!check)
		return -ENOMEM;
	memset(check, 0, sizeof(*check));
	ZydisDecoderInit(&check->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(&check->zydis_32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	cpu->check = check;
	cpu->journal = &check->journal;
	return 0;
}

void check_destroy(struct cpu *cpu)
{
	free(cpu->check);
	cpu->check = NULL;
	cpu->journal = NULL;
}

bool check_has_failed(const struct cpu *cpu)
{
	return cpu->check && cpu->check->has_failed;
}

/* --- state ---------------------------------------------------------------------------------------
 */

static void take_state(struct cpu *cpu, struct check_state *state)
{
	memcpy(state->regs, cpu->regs, sizeof(state->regs));
	state->status = cpu->status;
	state->rflags = cpu->rflags;
	state->shadow = cpu->shadow;
	memcpy(state->seg, cpu->seg, sizeof(state->seg));
	state->kernel_gs_base = cpu->msr.kernel_gs_base;
	if (!cpu->check->has_vectors)
		return;
	vector_copy_x87(cpu);
	state->mxcsr = vector_mxcsr(cpu);
	state->vector = cpu->vector;
}

static void give_rflags(struct cpu *cpu, const struct check_state *state)
{
	if (cpu->shadow != state->shadow) {
		cpu->shadow = state->shadow;
		cpu_attention_clear(cpu, ATTENTION_SHADOW);
		if (cpu->shadow)
			cpu_attention_set(cpu, ATTENTION_SHADOW);
	}
	if (cpu->rflags != state->rflags) {
		cpu->rflags = state->rflags;
		cpu_update_derived(cpu);
	}
}

static void give_state(struct cpu *cpu, const struct check_state *state)
{
	bool is_entered = cpu->vector.is_entered;

	memcpy(cpu->regs, state->regs, sizeof(state->regs));
	cpu->status = state->status;
	give_rflags(cpu, state);
	memcpy(cpu->seg, state->seg, sizeof(state->seg));
	cpu_update_mode(cpu);
	cpu->msr.kernel_gs_base = state->kernel_gs_base;
	if (!cpu->check->has_vectors)
		return;
	vector_drop_x87(cpu);
	cpu->vector = state->vector;
	cpu->vector.is_entered = is_entered;
	cpu->vector.x87_is_live = false;
	vector_set_mxcsr(cpu, state->mxcsr);
}

static bool same_x87(const struct vector_state *a, const struct vector_state *b)
{
	return !memcmp(a->fx + FX_FCW, b->fx + FX_FCW, FX_FOP - FX_FCW) &&
	       !memcmp(a->fx + FX_ST, b->fx + FX_ST, FX_XMM - FX_ST) && a->fip == b->fip &&
	       a->fdp == b->fdp && a->fop == b->fop;
}

static struct check_difference compare_vectors(const struct check_state *a,
					       const struct check_state *b)
{
	if (a->mxcsr != b->mxcsr)
		return (struct check_difference){ .item = CHECK_MXCSR };
	for (unsigned i = 0; i < ARRAY_SIZE(a->vector.ymm); i++)
		if (memcmp(a->vector.ymm[i], b->vector.ymm[i], sizeof(a->vector.ymm[i])))
			return (struct check_difference){ .item = CHECK_VECTOR, .index = i };
	if (!same_x87(&a->vector, &b->vector))
		return (struct check_difference){ .item = CHECK_X87 };
	return (struct check_difference){ .item = CHECK_SAME };
}

/* Field by field: what lies between them is nothing. */
static bool are_segments_equal(const struct check_state *a, const struct check_state *b)
{
	for (unsigned i = 0; i < SEGMENTS; i++)
		if (a->seg[i].base != b->seg[i].base || a->seg[i].limit != b->seg[i].limit ||
		    a->seg[i].ar != b->seg[i].ar || a->seg[i].selector != b->seg[i].selector)
			return false;
	return true;
}

static struct check_difference compare_states(const struct check_state *a,
					      const struct check_state *b)
{
	for (unsigned i = 0; i < ARRAY_SIZE(a->regs); i++)
		if (a->regs[i] != b->regs[i])
			return (struct check_difference){ .item = CHECK_REGISTER, .index = i };
	if (a->rflags != b->rflags || a->shadow != b->shadow)
		return (struct check_difference){ .item = CHECK_RFLAGS };
	if (!are_segments_equal(a, b) || a->kernel_gs_base != b->kernel_gs_base)
		return (struct check_difference){ .item = CHECK_SEGMENT };
	return (struct check_difference){ .item = CHECK_SAME };
}

static bool same_fault(const struct check_outcome *a, const struct check_outcome *b)
{
	if (a->how != b->how)
		return false;
	return a->how != UNWIND_FAULT ||
	       (a->fault.vector == b->fault.vector && a->fault.type == b->fault.type &&
		a->fault.has_error == b->fault.has_error && a->fault.error == b->fault.error &&
		a->fault.payload == b->fault.payload);
}

/* --- runs ----------------------------------------------------------------------------------------
 */

/* Returns whether the block came to its end, as far as that is known. */
typedef bool run_fn(struct cpu *cpu, struct block *block, unsigned limit);

static bool interpret(struct cpu *cpu, struct block *block, unsigned limit)
{
	return run_interpret(cpu, block, limit);
}

static bool translate(struct cpu *cpu, struct block *block, unsigned limit)
{
	(void)limit;
	cpu->jit.is_single = true;
	jit_stop_at(cpu, cpu->check->reference.state.regs[CHECK_RIP]);
	jit_run(cpu, block, 0);
	return true;
}

/* Runs the block to its end, or until it unwinds, and takes the state there, with its exact RIP. */
static void run_to_outcome(struct cpu *cpu, struct block *block, run_fn *run, unsigned limit,
			   struct check_outcome *out)
{
	jmp_buf outer;

	memcpy(&outer, &cpu->unwind, sizeof(outer));
	out->is_whole = false;
	out->how = setjmp(cpu->unwind);
	if (!out->how)
		out->is_whole = run(cpu, block, limit);
	memcpy(&cpu->unwind, &outer, sizeof(outer));
	out->insn = cpu->insn;
	if (cpu->insn)
		cpu->rip = insn_rip(cpu, cpu->insn);
	cpu->insn = NULL;
	out->fault = cpu->fault;
	take_state(cpu, &out->state);
}

/* --- what may run twice --------------------------------------------------------------------------
 */

static bool is_among(const struct insn *insn, const uint16_t *mnemonics, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (insn->mnemonic == mnemonics[i])
			return true;
	return false;
}

/* Of those that end a block, the ones that change nothing but what is compared. */
static bool ends_repeatably(const struct insn *insn)
{
	static const uint16_t known[] = {
		ZYDIS_MNEMONIC_JMP,  ZYDIS_MNEMONIC_CALL,  ZYDIS_MNEMONIC_RET,
		ZYDIS_MNEMONIC_UD2,  ZYDIS_MNEMONIC_INT3,  ZYDIS_MNEMONIC_INT,
		ZYDIS_MNEMONIC_POPF, ZYDIS_MNEMONIC_POPFD, ZYDIS_MNEMONIC_POPFQ,
	};

	return (insn->flags & INSN_DIRECT_BRANCH) || is_among(insn, known, ARRAY_SIZE(known));
}

/* What is different each time, or is to happen once; and STI, of which translated code makes no
 * shadow where nobody would see it. */
static bool is_once(const struct insn *insn)
{
	static const uint16_t once[] = {
		ZYDIS_MNEMONIC_RDTSC,     ZYDIS_MNEMONIC_RDTSCP,   ZYDIS_MNEMONIC_RDPMC,
		ZYDIS_MNEMONIC_RDRAND,    ZYDIS_MNEMONIC_RDSEED,   ZYDIS_MNEMONIC_CPUID,
		ZYDIS_MNEMONIC_RDMSR,     ZYDIS_MNEMONIC_IN,       ZYDIS_MNEMONIC_INSB,
		ZYDIS_MNEMONIC_INSW,      ZYDIS_MNEMONIC_INSD,     ZYDIS_MNEMONIC_OUT,
		ZYDIS_MNEMONIC_OUTSB,     ZYDIS_MNEMONIC_OUTSW,    ZYDIS_MNEMONIC_OUTSD,
		ZYDIS_MNEMONIC_PAUSE,     ZYDIS_MNEMONIC_VMREAD,   ZYDIS_MNEMONIC_VMWRITE,
		ZYDIS_MNEMONIC_STI,       ZYDIS_MNEMONIC_CLTS,     ZYDIS_MNEMONIC_WRPKRU,
		ZYDIS_MNEMONIC_XRSTOR,    ZYDIS_MNEMONIC_XRSTOR64, ZYDIS_MNEMONIC_XRSTORS,
		ZYDIS_MNEMONIC_XRSTORS64, ZYDIS_MNEMONIC_MONITOR,
	};

	return is_among(insn, once, ARRAY_SIZE(once)) ||
	       ((insn->flags & INSN_ENDS_BLOCK) && insn->length && !ends_repeatably(insn));
}

/* struct block's `check` */
enum kind {
	KIND_UNKNOWN,
	KIND_ONCE,    /* it is interpreted only */
	KIND_GENERAL, /* it leaves vectors and x87 alone */
	KIND_VECTOR,
};

static bool is_vector_register(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_X87:
	case ZYDIS_REGCLASS_MMX:
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
		return true;
	default:
		return reg == ZYDIS_REGISTER_MXCSR || reg == ZYDIS_REGISTER_X87CONTROL ||
		       reg == ZYDIS_REGISTER_X87STATUS || reg == ZYDIS_REGISTER_X87TAG;
	}
}

static const ZydisDecoder *decoder_for(const struct check *check, const struct block *block)
{
	return (block->flavor & BLOCK_MODE) == MODE_64 ? &check->zydis : &check->zydis_32;
}

static bool touches_vectors(const ZydisDecoder *decoder, const struct insn *insn)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction zydis;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, block_insn_bytes(insn), insn->length,
						 &zydis, operands)))
		return true;
	if (zydis.meta.category == ZYDIS_CATEGORY_X87_ALU ||
	    zydis.meta.category == ZYDIS_CATEGORY_XSAVE ||
	    zydis.meta.category == ZYDIS_CATEGORY_XSAVEOPT)
		return true;
	for (unsigned i = 0; i < zydis.operand_count; i++)
		if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    is_vector_register(operands[i].reg.value))
			return true;
	return false;
}

static enum kind find_kind(const struct check *check, const struct block *block)
{
	const ZydisDecoder *decoder = decoder_for(check, block);
	enum kind kind = KIND_GENERAL;

	for (unsigned i = 0; i < block->count; i++) {
		if (is_once(&block->insn[i]))
			return KIND_ONCE;
		if (block->insn[i].length && touches_vectors(decoder, &block->insn[i]))
			kind = KIND_VECTOR;
	}
	return kind;
}

static bool is_repeatable(const struct cpu *cpu, struct block *block)
{
	if (!jit_can_run(cpu) || (cpu->dr7 & DR7_ENABLES) || cpu->shadow || cpu_attention_due(cpu))
		return false;
	if (block->check == KIND_UNKNOWN)
		block->check = (uint8_t)find_kind(cpu->check, block);
	cpu->check->has_vectors = block->check == KIND_VECTOR;
	return block->check != KIND_ONCE;
}

/* --- flags that are anything ---------------------------------------------------------------------
 */

#define ALL_FLAGS                                                                    \
	(ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_AF | ZYDIS_CPUFLAG_ZF | \
	 ZYDIS_CPUFLAG_SF | ZYDIS_CPUFLAG_OF)

/*
 * Which status flags are undefined behind the block, as bits of RFLAGS; *is_used: one is read while
 * it is, so that anything may follow.
 */
static uint64_t undefined_flags(const struct check *check, const struct block *block, bool *is_used)
{
	const ZydisDecoder *decoder = decoder_for(check, block);
	uint64_t undefined = 0;

	*is_used = false;
	for (unsigned i = 0; i < block->count; i++) {
		const struct insn *insn = &block->insn[i];
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction zydis;
		const ZydisAccessedFlags *flags;

		if (!insn->length ||
		    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, block_insn_bytes(insn),
							 insn->length, &zydis, operands)))
			continue;
		flags = zydis.cpu_flags;
		*is_used |= flags->tested & undefined;
		undefined &= ~(uint64_t)(flags->modified | flags->set_0 | flags->set_1);
		undefined |= flags->undefined & ALL_FLAGS;
	}
	return undefined;
}

/* Whether all that differs is what the architecture leaves open. */
static bool is_open(const struct check *check, const struct block *block,
		    const struct check_difference *difference)
{
	uint64_t differing = flags_from_status(check->reference.state.status) ^
			     flags_from_status(check->translation.state.status);
	bool is_used;
	uint64_t undefined = undefined_flags(check, block, &is_used);

	return is_used || (difference->item == CHECK_STATUS && !(differing & ~undefined));
}

/* --- comparing -----------------------------------------------------------------------------------
 */

static struct check_difference compare(const struct check *check)
{
	const struct check_outcome *a = &check->reference, *b = &check->translation;
	struct check_difference difference = { .item = CHECK_SAME };

	if (!same_fault(a, b))
		return (struct check_difference){ .item = CHECK_UNWIND };
	if (check->journal.is_stray)
		return (struct check_difference){ .item = CHECK_STRAY,
						  .index = check->journal.stray };
	difference = compare_states(&a->state, &b->state);
	if (difference.item == CHECK_SAME && check->has_vectors)
		difference = compare_vectors(&a->state, &b->state);
	if (difference.item != CHECK_SAME)
		return difference;
	if (!journal_matches(&check->journal, &difference.memory)) {
		difference.item = CHECK_MEMORY;
		return difference;
	}
	/* In the middle of a block, flags that nobody reads any more are not kept. */
	if (a->is_whole && flags_from_status(a->state.status) != flags_from_status(b->state.status))
		return (struct check_difference){ .item = CHECK_STATUS };
	return difference;
}

/*
 * The translation looked for attention, found some, and has done part of the block or nothing: it
 * may be where the reference faults.
 */
static bool has_left_early(const struct cpu *cpu, const struct check *check)
{
	const uint64_t *regs = check->translation.state.regs;

	return cpu_attention_due(cpu) && !check->translation.how &&
	       (check->reference.how || regs[CHECK_RIP] != check->reference.state.regs[CHECK_RIP] ||
		!memcmp(regs, check->start.regs, sizeof(check->start.regs)));
}

static void run_reference(struct cpu *cpu, struct block *block)
{
	struct check *check = cpu->check;

	take_state(cpu, &check->start);
	journal_begin(&check->journal);
	run_to_outcome(cpu, block, interpret, BLOCK_MAX_INSNS + 1, &check->reference);
	journal_finish(&check->journal);
}

static void run_translation(struct cpu *cpu, struct block *block)
{
	struct check *check = cpu->check;

	journal_undo(&check->journal);
	give_state(cpu, &check->start);
	journal_open(cpu);
	run_to_outcome(cpu, block, translate, 0, &check->translation);
	jit_stop_nowhere(cpu);
	journal_close(cpu);
}

/* Whether what the reference did cannot be done again. */
static bool is_final(const struct check *check, const struct block *block)
{
	return check->journal.is_unrepeatable || check->reference.how >= UNWIND_RESUME ||
	       !block->is_valid;
}

/* --- a difference --------------------------------------------------------------------------------
 */

/* The value of what differs after a run, to see when it changes. */
static uint64_t value_of(const struct check_difference *difference, const struct check_state *state)
{
	const uint8_t *ymm;

	switch (difference->item) {
	case CHECK_REGISTER:
		return state->regs[difference->index];
	case CHECK_STATUS:
		return flags_from_status(state->status);
	case CHECK_MXCSR:
		return state->mxcsr;
	case CHECK_VECTOR:
		ymm = state->vector.ymm[difference->index];
		return load_le(ymm, 8) ^ load_le(ymm + 8, 8) << 1;
	case CHECK_MEMORY:
		return *difference->memory.host;
	default:
		return 0;
	}
}

/* The last instruction that changes what differs, found by running ever more of the block. */
static int find_blamed(struct cpu *cpu, struct block *block,
		       const struct check_difference *difference)
{
	struct check *check = cpu->check;
	uint64_t last = value_of(difference, &check->start);
	int blamed = -1;

	for (unsigned n = 1; n <= block->count; n++) {
		uint64_t value;

		journal_begin(&check->journal);
		run_to_outcome(cpu, block, interpret, n, &check->step);
		journal_finish(&check->journal);
		value = value_of(difference, &check->step.state);
		if (value != last)
			blamed = (int)n - 1;
		last = value;
		journal_undo(&check->journal);
		give_state(cpu, &check->start);
		if (check->step.how)
			break;
	}
	return blamed;
}

static void fail(struct cpu *cpu, struct block *block, const struct check_difference *difference)
{
	struct check *check = cpu->check;
	struct check_report report = { .block = block,
				       .difference = *difference,
				       .start = &check->start,
				       .reference = &check->reference,
				       .translation = &check->translation,
				       .blamed = find_blamed(cpu, block, difference) };

	check_print(&report);
	check->has_failed = true;
	cpu_attention_set(cpu, ATTENTION_KICK);
}

/* --- a block -------------------------------------------------------------------------------------
 */

/* What was done stands; where it ended in an unwinding, that goes on. */
static void accept(struct cpu *cpu, const struct check_outcome *outcome)
{
	if (!outcome->how)
		return;
	cpu->insn = outcome->insn;
	if (cpu->insn)
		cpu->rip -= cpu->insn->start;
	longjmp(cpu->unwind, (int)outcome->how);
}

/* Both runs, as often as it takes; true where something has been accepted. */
static bool try_twice(struct cpu *cpu, struct block *block, struct check_difference *difference)
{
	struct check *check = cpu->check;

	run_reference(cpu, block);
	if (is_final(check, block)) {
		accept(cpu, &check->reference);
		return true;
	}
	run_translation(cpu, block);
	*difference = compare(check);
	if (difference->item == CHECK_SAME)
		cpu->status = check->reference.state.status;
	/* The reference leaves a block behind a write beside code, the translation need not: an
	 * exit further on cannot be taken back. */
	if (difference->item == CHECK_SAME || check->translation.how >= UNWIND_RESUME) {
		accept(cpu, &check->translation);
		return true;
	}
	if (has_left_early(cpu, check) || is_open(check, block, difference)) {
		journal_redo(&check->journal);
		give_state(cpu, &check->reference.state);
		accept(cpu, &check->reference);
		return true;
	}
	return false;
}

void check_block(struct cpu *cpu, struct block *block)
{
	struct check_difference difference = { .item = CHECK_SAME };

	if (!is_repeatable(cpu, block)) {
		run_interpret(cpu, block, BLOCK_MAX_INSNS + 1);
		return;
	}
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		/* An attempt may have dropped the code: its stack accesses are no group any more.
		 */
		if (!block->code && block_translate(cpu, block) == BLOCK_GONE)
			return;
		if (!block->code) {
			run_interpret(cpu, block, BLOCK_MAX_INSNS + 1);
			return;
		}
		if (try_twice(cpu, block, &difference))
			return;
		journal_undo(&cpu->check->journal);
		give_state(cpu, &cpu->check->start);
	}
	fail(cpu, block, &difference);
}
