/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What emitters share: flags, registers, memory operands, and emission of any instruction whose
 * operands are general registers and one ordinary memory operand.
 */
#include "cpu/jit/gen.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/translate.h"
#include "cpu/mmu/mmu.h"

/* --- flags -------------------------------------------------------------------------------------
 */

static struct host_mem status_word(void)
{
	return mem_gs(offsetof(struct cpu, status));
}

/* cpu->status is AX after LAHF and SETO: cpu/flags.h. */
void gen_status_store(struct emitter *e, unsigned scratch)
{
	emit_mov_rr(e, 8, scratch, RAX);
	emit_lahf(e);
	emit_set_r(e, COND_O, RAX);
	emit_mov_mr(e, 2, status_word(), RAX);
	emit_mov_rr(e, 8, RAX, scratch);
}

void gen_status_load(struct emitter *e, unsigned scratch)
{
	emit_mov_rr(e, 8, scratch, RAX);
	emit_movzx_rm(e, 2, RAX, status_word());
	emit_alu_ri(e, ALU_ADD, 1, RAX, 0x7f);
	emit_sahf(e);
	emit_mov_rr(e, 8, RAX, scratch);
}

void gen_flags_store(struct gen *g)
{
	if (!g->live_before || g->where != IN_HOST)
		return;
	gen_status_store(&g->e, R9);
	g->where |= IN_STATUS;
}

void gen_flags_spare(struct gen *g)
{
	gen_flags_store(g);
	g->where &= ~(unsigned)IN_HOST;
}

void gen_flags_load(struct gen *g)
{
	if (g->where & IN_HOST)
		return;
	gen_take_r11(g);
	gen_status_load(&g->e, R11);
	g->where |= IN_HOST;
}

void gen_flags_written(struct gen *g)
{
	g->where = IN_HOST;
}

unsigned gen_flags_set(const struct insn *insn, const struct gen_row *row)
{
	unsigned mask = insn->size == 8 ? 63 : 31;

	/* The count of a shift is an immediate or CL. */
	if (row->is_shift && (insn->src == REG_OFFSET(RCX) || !(insn->imm & mask)))
		return 0;
	return insn->status_written & row->sets;
}

/* --- registers and memory ------------------------------------------------------------------------
 */

void gen_read(struct gen *g, unsigned dst, unsigned n)
{
	if (gen_is_homed(n))
		emit_mov_rm(&g->e, 8, dst, gen_home(n));
	else
		emit_mov_rr(&g->e, 8, dst, gen_pinned(n));
}

void gen_write(struct gen *g, unsigned n, unsigned src)
{
	if (gen_is_homed(n))
		emit_mov_mr(&g->e, 8, gen_home(n), src);
	else
		emit_mov_rr(&g->e, 8, gen_pinned(n), src);
}

/* The host register that has an address register; one of R8 to R11 is brought to `scratch`. */
static unsigned address_register(struct gen *g, unsigned offset, unsigned scratch)
{
	unsigned n = offset / REG_OFFSET(1);

	if (offset == REG_NONE)
		return HOST_NONE;
	if (!gen_is_homed(n))
		return gen_pinned(n);
	emit_mov_rm(&g->e, 8, scratch, gen_home(n));
	return scratch;
}

bool gen_operand(struct gen *g, struct host_mem *mem)
{
	const struct insn *insn = g->insn;
	int64_t disp = insn->disp + (insn->base == REG_RIP ? (int64_t)g->page_offset : 0);

	if (insn->addr_size != 8 || disp != (int32_t)disp || !(insn->flags & INSN_MEM))
		return false;
	*mem = mem_index(HOST_NONE, HOST_NONE, insn->scale_log2, (int32_t)disp);
	mem->index = (uint8_t)address_register(g, insn->index, R10);
	if (insn->base == REG_RIP) {
		emit_mov_rm(&g->e, 8, R9, mem_gs(offsetof(struct cpu, jit.code_page)));
		mem->base = R9;
	} else {
		mem->base = (uint8_t)address_register(g, insn->base, R9);
	}
	return true;
}

bool gen_address(struct gen *g)
{
	struct host_mem mem;

	if (!gen_operand(g, &mem))
		return false;
	emit_lea(&g->e, 8, R9, mem);
	if (g->insn->seg == FS || g->insn->seg == GS)
		emit_alu_rm(&g->e, ALU_ADD, 8, R9,
			    mem_gs((int32_t)(offsetof(struct cpu, seg[0].base) +
					     g->insn->seg * sizeof(struct segment))));
	return true;
}

void gen_shift_right(struct gen *g, unsigned dst, unsigned src, unsigned count)
{
	if (g->jit->has_bmi2) {
		emit_rorx(&g->e, 8, dst, src, count);
	} else {
		emit_mov_rr(&g->e, 8, dst, src);
		emit_shift_ri(&g->e, SHIFT_SHR, 8, dst, count);
	}
}

void gen_probe(struct gen *g, unsigned bytes, bool is_write)
{
	struct emitter *e = &g->e;
	int32_t tag = (int32_t)offsetof(struct tlb_entry, tag) +
		      (int32_t)(sizeof(uint64_t) * (g->tlb_class * 2 + is_write));

	gen_shift_right(g, R10, R9, PAGE_BITS - TLB_ENTRY_BITS);
	emit_alu_ri(e, ALU_AND, 4, R10, (TLB_ENTRIES - 1) << TLB_ENTRY_BITS);
	emit_alu_rm(e, ALU_ADD, 8, R10, mem_gs(offsetof(struct cpu, tlb)));
	emit_alu_rm(e, ALU_XOR, 8, R9, mem_at(R10, tag));
	emit_alu_ri(e, ALU_CMP, 8, R9, (int32_t)(PAGE_BYTES - bytes));
}

void gen_check(struct gen *g, unsigned bytes, bool is_write)
{
	gen_probe(g, bytes, is_write);
	gen_slow_if(g, COND_A);
	emit_mov_rm(&g->e, 8, R10, mem_at(R10, offsetof(struct tlb_entry, host)));
}

/* --- instructions as they are ------------------------------------------------------------------
 */

/* Fields of an encoding that name registers among R8 to R11, and who stands in for them. */
struct stand_ins {
	uint8_t to[16];
	unsigned used; /* set of guest registers */
	unsigned next;
};

/* Which registers are free for them: without a memory operand, with one at R9 and R10 (which
 * one register can hold), and with one on the stack at R11. */
static const uint8_t free_registers[][3] = {
	{ R9, R10, R11 }, { R11, R10 }, { R9, R10 }, { R9, R10 }
};

enum operand_place { NO_MEMORY, CHECKED_MEMORY, STACK_MEMORY, BASE_MEMORY };

static void add_stand_in(struct stand_ins *s, unsigned n, enum operand_place place)
{
	if (HOST_IS_HIGH(n) || !gen_is_homed(n) || (s->used & (1u << n)))
		return;
	s->used |= 1u << n;
	s->to[n] = free_registers[place][s->next++];
}

static void find_stand_ins(const struct encoding *enc, enum operand_place place,
			   struct stand_ins *s)
{
	*s = (struct stand_ins){ .next = 0 };
	for (unsigned n = 0; n < ARRAY_SIZE(s->to); n++)
		s->to[n] = (uint8_t)gen_pinned(n);
	if (enc->flags & ENCODING_GPR_REG)
		add_stand_in(s, enc->reg, place);
	if (enc->flags & ENCODING_GPR_RM)
		add_stand_in(s, enc->rm, place);
	if (enc->flags & ENCODING_GPR_VVVV)
		add_stand_in(s, enc->vvvv, place);
}

static void load_stand_ins(struct gen *g, const struct stand_ins *s)
{
	for (unsigned n = R8; n <= R11; n++)
		if (s->used & (1u << n))
			emit_mov_rm(&g->e, 8, s->to[n], gen_home(n));
}

/* Writes back those of R8 to R11 that the instruction may have written. */
static void store_stand_ins(struct gen *g, const struct stand_ins *s)
{
	unsigned written = 0;

	for (unsigned i = 0; i < g->zydis.operand_count; i++) {
		const ZydisDecodedOperand *operand = &g->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			written |= 1u << gen_register_number(operand->reg.value) % 32;
	}
	for (unsigned n = R8; n <= R11; n++)
		if (s->used & written & (1u << n))
			emit_mov_mr(&g->e, 8, gen_home(n), s->to[n]);
}

/* Whether the instruction needs the flags of before: to read, or to keep some. */
static bool needs_flags(const struct gen *g, unsigned set)
{
	return g->insn->status_read || (g->insn->status_written && (g->live_after & ~set));
}

static bool writes_memory(const struct gen *g)
{
	for (unsigned i = 0; i < g->zydis.operand_count; i++)
		if (g->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return g->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	return false;
}

/* The copy, which comes next, may fault. */
static void note_site(struct gen *g)
{
	g->site[g->sites++] = (struct fault_site){ .offset = (uint32_t)(g->e.at - g->e.start),
						   .has_host_flags = g->where == IN_HOST,
						   .insn = g->insn };
}

/* Where the memory operand is found. */
static enum operand_place operand_place(const struct gen *g, const struct encoding *enc)
{
	if (!(enc->flags & ENCODING_MEM))
		return NO_MEMORY;
	if (gen_is_grouped(g))
		return STACK_MEMORY;
	return gen_is_based(g) ? BASE_MEMORY : CHECKED_MEMORY;
}

/* Checks the memory operand; *mem is it. */
static bool reach_operand(struct gen *g, enum operand_place place, struct host_mem *mem)
{
	if (place == STACK_MEMORY) {
		gen_reach_stack(g);
		*mem = gen_on_stack((int32_t)g->insn->disp);
	} else if (place == BASE_MEMORY) {
		*mem = gen_reach_base(g);
	} else if (place == CHECKED_MEMORY) {
		gen_flags_spare(g);
		if (!gen_address(g))
			return false;
		gen_check(g, g->insn->mem_bytes, writes_memory(g));
		*mem = gen_checked(0);
	}
	return true;
}

bool gen_general(struct gen *g)
{
	unsigned set = gen_flags_set(g->insn, g->row);
	struct host_mem mem = mem_at(R9, 0);
	enum operand_place place;
	struct stand_ins stand_ins;
	struct encoding enc;

	if (!encoding_take_apart(&g->zydis, g->operands, g->insn->bytes, &enc))
		return false;
	place = operand_place(g, &enc);
	find_stand_ins(&enc, place, &stand_ins);
	if (!reach_operand(g, place, &mem))
		return false;
	if (place == CHECKED_MEMORY && stand_ins.next > 1) {
		emit_lea(&g->e, 8, R9, mem);
		mem = mem_at(R9, 0);
	}
	if (needs_flags(g, set))
		gen_flags_load(g);
	if (place == STACK_MEMORY)
		gen_reach_stack(g);
	else if (place == BASE_MEMORY)
		gen_reach_base(g);
	else if (stand_ins.next)
		gen_take_r11(g);
	load_stand_ins(g, &stand_ins);
	encoding_map_gprs(&enc, stand_ins.to);
	if (g->row->may_fault)
		note_site(g);
	if (!emit_encoding(&g->e, &enc, mem))
		return false;
	store_stand_ins(g, &stand_ins);
	if (g->insn->status_written)
		gen_flags_written(g);
	return true;
}

/* BT and its kin with a register reach beyond a memory operand. */
bool gen_bit(struct gen *g)
{
	bool is_string =
		(g->insn->flags & INSN_MEM) && g->operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;

	return !is_string && gen_general(g);
}

/* Between general registers and memory only. */
bool gen_mov(struct gen *g)
{
	for (unsigned i = 0; i < 2; i++) {
		ZydisRegisterClass class = ZydisRegisterGetClass(g->operands[i].reg.value);

		if (g->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (class < ZYDIS_REGCLASS_GPR8 || class > ZYDIS_REGCLASS_GPR64))
			return false;
	}
	return gen_general(g);
}

bool gen_nop(struct gen *g)
{
	(void)g;
	return true;
}

/* The address itself; nothing is accessed. */
bool gen_lea(struct gen *g)
{
	unsigned n = g->insn->dst / REG_OFFSET(1), size = g->insn->size;
	unsigned dst = gen_is_homed(n) ? R9 : gen_pinned(n);
	struct host_mem mem;

	if (size < 4 || !gen_operand(g, &mem))
		return false;
	emit_lea(&g->e, size, dst, mem);
	if (gen_is_homed(n))
		gen_write(g, n, dst);
	return true;
}
