/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What emitters share: flags, registers, memory operands.
 */
#include "cpu/jit/gen.h"

#include "cpu/jit/cache.h"
#include "cpu/jit/compact.h"
#include "cpu/jit/translate.h"
#include "cpu/mmu/mmu.h"

/* --- flags -------------------------------------------------------------------------------------
 */

static struct host_mem status_word(void)
{
	return mem_cpu(offsetof(struct cpu, status));
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
	if (!compact_store_status(g))
		gen_status_store(&g->e, R9);
	g->where |= IN_STATUS;
}

void gen_flags_spare(struct gen *g)
{
	gen_flags_store(g);
	g->where &= ~(unsigned)IN_HOST;
}

void gen_take_r11(struct gen *g)
{
	base_spare(g);
	g->groups.r11 = R11_FREE;
}

void gen_flags_load(struct gen *g)
{
	if (g->where & IN_HOST)
		return;
	gen_take_r11(g);
	if (!compact_load_status(g))
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

void gen_sum(struct gen *g, unsigned dst, unsigned n, int32_t disp)
{
	unsigned from = gen_is_homed(n) ? dst : gen_pinned(n);

	if (gen_is_homed(n))
		gen_read(g, dst, n);
	else if (!disp)
		emit_mov_rr(&g->e, g->word, dst, from);
	if (disp)
		emit_lea(&g->e, g->word, dst, mem_at(from, disp));
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

	if (g->word == 4)
		disp = (int32_t)disp;
	if (insn->addr_size != g->word || disp != (int32_t)disp || !(insn->flags & INSN_MEM))
		return false;
	*mem = mem_index(HOST_NONE, HOST_NONE, insn->scale_log2, (int32_t)disp);
	mem->index = (uint8_t)address_register(g, insn->index, R10);
	if (insn->base == REG_RIP) {
		emit_mov_rm(&g->e, 8, R9, mem_cpu(offsetof(struct cpu, jit.code_page)));
		mem->base = R9;
	} else {
		mem->base = (uint8_t)address_register(g, insn->base, R9);
	}
	return true;
}

bool gen_is_flat(const struct gen *g, const struct insn *insn)
{
	if (g->word == 8)
		return insn->flags & INSN_FLAT;
	return (insn->flags & INSN_MEM) && insn->addr_size == 4 &&
	       (insn->seg == DS || insn->seg == ES || insn->seg == SS);
}

/* FS and GS of 32-bit code may be bounded, or read-only: see to that. */
static void require_wide(struct gen *g)
{
	size_t field = offsetof(struct cpu, is_wide) + (g->insn->seg == GS);

	emit_alu_mi(&g->e, ALU_CMP, 1, mem_cpu(field), 0);
	gen_slow_if(g, COND_E);
}

bool gen_address(struct gen *g)
{
	bool has_base = g->insn->seg == FS || g->insn->seg == GS;
	struct host_mem mem;

	if (g->word == 4 && g->insn->seg == CS)
		return false;
	if (g->word == 4 && has_base)
		require_wide(g);
	if (!gen_operand(g, &mem))
		return false;
	emit_lea(&g->e, g->word, R9, mem);
	if (has_base)
		emit_alu_rm(&g->e, ALU_ADD, g->word, R9,
			    mem_cpu(offsetof(struct cpu, seg[0].base) +
				    g->insn->seg * sizeof(struct segment)));
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

void gen_probe(struct gen *g, unsigned from, unsigned bytes, bool is_write)
{
	struct emitter *e = &g->e;
	int32_t way = tlb_gs_way(g->tlb_class, is_write);

	gen_shift_right(g, R10, from, PAGE_BITS - TLB_WAY_BITS);
	emit_alu_ri(e, ALU_AND, 4, R10, (TLB_ENTRIES - 1) << TLB_WAY_BITS);
	emit_alu_rm(e, ALU_XOR, 8, R9, mem_gs(R10, way + (int32_t)offsetof(struct tlb_way, tag)));
	emit_alu_ri(e, ALU_CMP, 8, R9, (int32_t)(PAGE_BYTES - bytes));
}

void gen_check(struct gen *g, unsigned bytes, bool is_write)
{
	if (compact_check(g, bytes, is_write))
		return;
	gen_probe(g, R9, bytes, is_write);
	gen_slow_if(g, COND_A);
	gen_host_page(g);
}

void gen_host_page(struct gen *g)
{
	emit_mov_rm(&g->e, 8, R10, mem_gs(R10, TLB_GS_HOST));
}

void gen_addend(struct gen *g, unsigned dst, bool is_write)
{
	int32_t way = tlb_gs_way(g->tlb_class, is_write);

	emit_mov_rm(&g->e, 8, dst, mem_gs(R10, way + (int32_t)offsetof(struct tlb_way, addend)));
}

bool gen_is_near(const struct gen *g)
{
	const struct insn *insn = g->insn;

	return !g->is_compact && (insn->flags & INSN_MEM) && (insn->flags & INSN_FLAT) &&
	       insn->addr_size == 8 && insn->base < REG_OFFSET(16) &&
	       !gen_is_homed(insn->base / REG_OFFSET(1)) && insn->index == REG_NONE &&
	       insn->disp == (int32_t)insn->disp;
}

static struct host_mem check_near(struct gen *g, unsigned bytes, bool is_write)
{
	unsigned base = gen_pinned(g->insn->base / REG_OFFSET(1));
	int32_t disp = (int32_t)g->insn->disp;

	gen_sum(g, R9, g->insn->base / REG_OFFSET(1), disp);
	gen_probe(g, disp ? R9 : base, bytes, is_write);
	gen_slow_if(g, COND_A);
	gen_addend(g, R10, is_write);
	return mem_index(base, R10, 0, disp);
}

bool gen_check_operand(struct gen *g, unsigned bytes, bool is_write, struct host_mem *mem)
{
	gen_flags_spare(g);
	if (gen_is_near(g)) {
		*mem = check_near(g, bytes, is_write);
		return true;
	}
	if (!gen_address(g))
		return false;
	gen_check(g, bytes, is_write);
	*mem = gen_checked(0);
	return true;
}
