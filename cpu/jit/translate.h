/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For the emitters of instructions: the block being translated, and what they may ask for.
 *
 * Registers. Guest RAX RCX RDX RBX RBP RSI RDI R12-R15 are in the host registers of their names,
 * guest RSP is in R8, guest R8-R11 are in memory (gen_home). R9, R10, R11 are free in between
 * instructions and within them. RSP leads into struct cpu: mem_cpu. Code that is called says so in
 * emitter.pushed_bytes; calls may be CPU_CALLS deep. Nothing but calls and returns moves RSP. The
 * GS base leads into the current bank of the TLB: cpu/mmu/mmu.h.
 *
 * Flags. The six status flags are in the host's RFLAGS or in cpu->status or both; which, `where`
 * says. gen_flags_* move them; an emitter that destroys the host's flags calls gen_flags_spare
 * first, one whose instruction needs them calls gen_flags_load, one whose instruction has written
 * them calls gen_flags_written. What no later instruction reads is not saved.
 *
 * Faults and rare cases. An instruction commits nothing before its last check has passed. Where a
 * check fails it jumps to the slow way (gen_check does): there the instruction's handler does all
 * of it, faults included, and the code goes on behind the instruction.
 */
#ifndef CPU_JIT_TRANSLATE_H
#define CPU_JIT_TRANSLATE_H

#include <Zydis/Zydis.h>

#include "cpu/block.h"
#include "cpu/decode/shape.h"
#include "cpu/jit/base.h"
#include "cpu/jit/emit.h"
#include "cpu/jit/fault.h"
#include "cpu/jit/group.h"

#define HOST_RSP_HOME R8 /* where guest RSP is */

/* Status flags as struct insn has them: OF is bit 3. */
#define GEN_CF     0x01u
#define GEN_OF     0x08u
#define GEN_ZF     0x40u
#define GEN_SF     0x80u
#define STATUS_ALL 0xddu

enum flags_where { IN_HOST = BIT(0), IN_STATUS = BIT(1) };

/* Code away from the main path, emitted behind the block. */
enum cold_kind {
	COLD_SLOW,    /* the handler does the instruction; back behind it */
	COLD_LAST,    /* the same for one that ends its block */
	COLD_FAR,     /* a direct jump that leaves the page */
	COLD_LINK,    /* a direct jump in the page that is not linked yet */
	COLD_FIT,     /* a group of accesses did not fit: tries again, or goes another way */
	COLD_STRETCH, /* what is remembered does not help: asks the TLB, then as COLD_FIT */
	/* Of calls of shared code, which have no code here: */
	COLD_WAY,     /* as COLD_SLOW or COLD_LAST */
	COLD_WAY_FIT, /* as COLD_FIT */
};

struct cold {
	uint8_t kind;
	bool loads_flags; /* COLD_SLOW: the main path goes on with the flags in the host's */
	uint8_t where;    /* COLD_FAR: as at the jump */
	int32_t target;   /* COLD_FAR: from the page's start */
	struct emit_jump from;
	/* COLD_SLOW: what the main path goes on with in R11; a group whose value is in R11 alone at
	 * the jump, and is wanted behind it, or BASE_NONE. */
	uint8_t r11, spares;
	const uint8_t *code;  /* where it is, once emitted; COLD_WAY: where the call returns to */
	const uint8_t *back;  /* COLD_SLOW, COLD_FIT, COLD_STRETCH */
	const uint8_t *again; /* COLD_STRETCH: the check; also: what it is for, which stretch */
	uint8_t dst, stretch;
	uint8_t tlb_class;   /* COLD_SLOW: as at the jump */
	bool is_vector;      /* COLD_SLOW: the vector registers must be live when it comes back */
	int32_t ahead;       /* struct groups has, at the jump */
	int32_t ahead_after; /* COLD_SLOW: and where it comes back */
	bool is_last;        /* COLD_WAY */
	uint64_t range;      /* COLD_FIT, COLD_STRETCH: group_pack */
	const struct insn *insn;
	struct jit_link *link;
};

#define COLD_MAX (4 * BLOCK_MAX_INSNS)

struct gen {
	struct emitter e;
	struct jit *jit;
	struct block *block;
	unsigned page_offset; /* of the block's start */
	unsigned word;        /* bytes of an address and of what is pushed: 8, or 4 in MODE_FLAT */
	unsigned tlb_class;   /* of the instruction */
	unsigned links;
	uint8_t ready; /* of enum vector_ready, what the block has looked at */
	struct groups groups;
	struct bases bases;
	/* The instruction. */
	unsigned n; /* its index */
	const struct insn *insn;
	const struct gen_row *row;       /* or NULL */
	const struct shape *shape;       /* all zeros without a row */
	uint8_t live_before, live_after; /* status flags that somebody will read */
	uint8_t where;                   /* enum flags_where */
	bool is_last;                    /* the block ends with it */
	unsigned colds;
	unsigned first_cold; /* of the instruction */
	unsigned sites;
	unsigned fits;           /* of struct jit_fit */
	unsigned fars;           /* of struct jit_far */
	unsigned ways;           /* of struct jit_way */
	bool is_compact;         /* calls what blocks share: cpu/jit/compact.h */
	bool has_shared;         /* has done so where samples are taken */
	unsigned counting_bytes; /* of code that is there for --stats alone */
	unsigned shared_insns;   /* on the main path, of code that all blocks share */
	unsigned apart_insns;    /* of the block's, counted where they are run */
	/* What is written before it is read: gen_block clears all that is above. */
	struct cold cold[COLD_MAX];
	struct fault_site site[BLOCK_MAX_INSNS]; /* offsets from the start of the block's code */
};

/*
 * Emits g->insn. false: it cannot; what it has emitted is taken back, and the handler is called.
 */
typedef bool gen_fn(struct gen *g);

struct gen_row {
	uint16_t mnemonic; /* ZydisMnemonic */
	/* The status flags that it always writes, if it is said to write them at all. Flags that
	 * the manual calls undefined count where no processor leaves them alone. */
	uint8_t sets;
	bool is_shift;  /* ... unless its count is zero */
	bool may_fault; /* in the host: cpu/jit/fault.h */
	gen_fn *gen;
};

static inline unsigned gen_mode(const struct block *block)
{
	return block->flavor & BLOCK_MODE;
}

/* Memory for code: `at` moves behind what is written. */
struct code_room {
	uint8_t *at, *end;
};

/*
 * Translates the block: its main path goes to `hot`, what is rarely run to `cold`, so that what
 * runs lies together. false, and nothing is written that counts: it cannot.
 */
bool gen_block(struct jit *jit, struct block *block, struct code_room *hot, struct code_room *cold);

/* Instructions from `code` to `end`. */
unsigned gen_count_insns(const struct jit *jit, const uint8_t *code, const uint8_t *end);

/* --- flags -------------------------------------------------------------------------------------
 */

/* Between the host's flags and cpu->status; `scratch` keeps RAX meanwhile. */
void gen_status_store(struct emitter *e, unsigned scratch);
void gen_status_load(struct emitter *e, unsigned scratch);
/* cpu->status of the flags in R9, which it destroys as it does R10 and the host's flags. */
void gen_status_set(struct gen *g);
/* The host's flags are about to be destroyed. Uses R9. */
void gen_flags_spare(struct gen *g);
/* The instruction needs the host's flags as the guest left them. Uses R11. */
void gen_flags_load(struct gen *g);
/* The instruction has written the host's flags: those that live on are all there. */
void gen_flags_written(struct gen *g);
/* Before what may read cpu->status. Uses R9. */
void gen_flags_store(struct gen *g);
/* The status flags that the instruction writes whatever its operands are. */
unsigned gen_flags_set(const struct insn *insn, const struct gen_row *row);

/* --- registers and memory ------------------------------------------------------------------------
 */

/* Where guest register n is if it is one of R8 to R11. */
static inline bool gen_is_homed(unsigned n)
{
	return n >= R8 && n <= R11;
}

static inline struct host_mem gen_home(unsigned n)
{
	return mem_cpu(offsetof(struct cpu, gpr) + n * sizeof(uint64_t));
}

/* The host register of guest register n, none of R8 to R11. */
static inline unsigned gen_pinned(unsigned n)
{
	return n == RSP ? HOST_RSP_HOME : n;
}

/* dst = guest register n, 8 bytes. */
void gen_read(struct gen *g, unsigned dst, unsigned n);
void gen_write(struct gen *g, unsigned n, unsigned src);
/* dst = guest register n + disp, as an address. Leaves the flags alone. */
void gen_sum(struct gen *g, unsigned dst, unsigned n, int32_t disp);

/*
 * The memory operand without its segment: as an operand of the host, with R9 and R10 as far as they
 * are needed. false: it has none that this can do.
 */
bool gen_operand(struct gen *g, struct host_mem *mem);
/*
 * R9 = linear address of the memory operand. Spares no flags where FS or GS is its segment, and in
 * MODE_FLAT may go the slow way then.
 */
bool gen_address(struct gen *g);
/* Whether the linear address is the effective one: no segment has a say. */
bool gen_is_flat(const struct gen *g, const struct insn *insn);
/*
 * R9 is a linear address: sees whether `bytes` there can be read (written) directly and goes the
 * slow way if not. After it the operand is gen_checked(). Destroys the flags (gen_flags_spare).
 */
void gen_check(struct gen *g, unsigned bytes, bool is_write);

/* dst = src shifted right; what is in the upper `count` bits has no meaning. */
void gen_shift_right(struct gen *g, unsigned dst, unsigned src, unsigned count);

/*
 * The look-up of gen_check alone, where `from` is the same address, be it in R9: where it fails the
 * condition is A, else R10 is the slot of the TLB, scaled, from which either of the others takes
 * what it has: R10 = the page's host address, to which R9 is the offset; or dst = what to add to an
 * address.
 */
void gen_probe(struct gen *g, unsigned from, unsigned bytes, bool is_write);
void gen_host_page(struct gen *g);
void gen_addend(struct gen *g, unsigned dst, bool is_write);

/*
 * gen_flags_spare, gen_address and gen_check in one, for what is accessed at once: *mem is the
 * operand then, by way of R9 and R10. Where gen_is_near, a register of its own makes the address:
 * then R9 is free.
 */
bool gen_check_operand(struct gen *g, unsigned bytes, bool is_write, struct host_mem *mem);
bool gen_is_near(const struct gen *g);

static inline struct host_mem gen_checked(int32_t disp)
{
	return mem_index(R9, R10, 0, disp);
}

/*
 * Whether the instruction's stack accesses belong to a group (cpu/jit/group.h). Then
 * gen_reach_stack stands for their checks, and the byte at RSP + offset is gen_on_stack(offset).
 * It destroys R9 and the flags (gen_flags_spare) at times; R11 must live until the access. It comes
 * before anything of the instruction that may go the slow way.
 */
bool gen_is_grouped(const struct gen *g);
void gen_reach_stack(struct gen *g);
/* Before the instruction: checks the group that is best checked there, if there is one. */
void gen_check_early(struct gen *g);

static inline struct host_mem gen_on_stack(const struct gen *g, int32_t offset)
{
	return mem_index(HOST_RSP_HOME, R11, 0, g->groups.ahead + offset);
}

/*
 * RSP moves by a constant: guest RSP is HOST_RSP_HOME + groups.ahead then, until gen_settle_stack
 * has brought it there. That is before each instruction but those that can do without
 * (gen_stack_may_wait); flags are left alone.
 */
void gen_move_stack(struct gen *g, int32_t bytes);
void gen_settle_stack(struct gen *g);
bool gen_stack_may_wait(const struct gen *g);
/* HOST_RSP_HOME += bytes. */
void gen_shift_stack(struct gen *g, int32_t bytes);
/* Whether the instruction moves RSP by a constant and nothing else, flags that matter included. */
bool gen_is_stack_move(const struct gen *g);

/*
 * Whether the memory operand is checked with others (cpu/jit/base.h). Then gen_reach_base stands
 * for gen_address and gen_check, with the rules of gen_reach_stack, and returns it.
 */
bool gen_is_based(const struct gen *g);
struct host_mem gen_reach_base(struct gen *g);
/*
 * It is the only one of its group, and checked by what is remembered of pages (cpu/jit/stretch.h).
 * Then it is by way of R10, until the access, and none of the rules counts.
 */
bool gen_is_alone(const struct gen *g);

/* Another register = what gen_reach_stack has in R11. */
void gen_load_delta_to(struct gen *g, unsigned reg);

/* R11 is about to be used for something else. Called by whoever does so. Spares the flags. */
void gen_take_r11(struct gen *g);

/* From there on other tags count: another page may be that of the stack. */
static inline bool gen_selects_class(const struct insn *insn)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_STAC || insn->mnemonic == ZYDIS_MNEMONIC_CLAC;
}

/* --- ways out -----------------------------------------------------------------------------------
 */

/* A check has failed: to the slow way (`cc` jumps there). For a last instruction, too. */
void gen_slow_if(struct gen *g, enum emit_condition cc);
/* The same, and after it the vector registers are live: for instructions that need them. */
void gen_slow_vector_if(struct gen *g, enum emit_condition cc);
/* The handler does the instruction here. */
void gen_handler(struct gen *g);
/* The jump goes to `target` bytes from the page's start. Flags are where they are. */
void gen_jump(struct gen *g, int64_t target);
void gen_jump_if(struct gen *g, enum emit_condition cc, int64_t target);
/* gen_jump, where the block may have gone on elsewhere: --stats counts it only where it is run. */
void gen_jump_else(struct gen *g, int64_t target);
/* Whether such a jump is linked: a block there lies in this page, for sure. */
bool gen_is_linked(int64_t target);
/* dst = linear address of `target` bytes from the page's start. */
void gen_linear(struct gen *g, unsigned dst, int64_t target);
/*
 * R9 is where to go on: finds its code, or goes the slow way. gen_lookup leaves R9 alone and the
 * code in R11, so that the instruction can still fail; gen_go goes there. Flags are in cpu->status.
 */
void gen_lookup(struct gen *g);
/* The same for code of another class of TLB tags. */
void gen_lookup_as(struct gen *g, unsigned class);
void gen_go(struct gen *g);
/* The first half of gen_go: R9 is in the page whose code runs from now on. Uses R9. */
void gen_enter_page(struct gen *g);

#endif
