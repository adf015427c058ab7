/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Port I/O: IN, OUT, INS, OUTS, with the permission checks of IOPL and the I/O permission bitmap,
 * and I/O breakpoints. SDM1: "Input/Output"; SDM2: "IN", "OUT", "INS", "OUTS".
 *
 * Each ends its block, so that an interrupt that the device raises by it is seen soon.
 */
#include "cpu/exec/exec.h"
#include "cpu/exec/privileged.h"
#include "cpu/segment.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define TSS_MAP_BASE  102 /* where the TSS says at which offset the bitmap begins */
#define TSS_MIN_LIMIT 103
#define DR7_RW_IO     2 /* with CR4.DE: break on port I/O */

/* ---- permission ---- */

static bool has_io_bitmap(const struct cpu *cpu)
{
	uint32_t type = cpu->tr.ar & (SEG_TYPE | SEG_S);

	return (cpu->tr.ar & SEG_P) && !(cpu->tr.ar & SEG_UNUSABLE) &&
	       (type == SYS_TSS_AVAIL || type == SYS_TSS_BUSY) && cpu->tr.limit >= TSS_MIN_LIMIT;
}

/* The processor reads the two bytes that hold the port's bits, whatever the size. */
static bool bitmap_allows(struct cpu *cpu, uint16_t port, unsigned size)
{
	uint64_t at;

	if (!has_io_bitmap(cpu))
		return false;
	at = mmu_load_system(cpu, cpu->tr.base + TSS_MAP_BASE, 2) + port / 8;
	if (at + 1 > cpu->tr.limit)
		return false;
	return !(mmu_load_system(cpu, cpu->tr.base + at, 2) >> port % 8 & (BIT(size) - 1));
}

static void check_port(struct cpu *cpu, uint16_t port, unsigned size)
{
	if (cpu_in_real_mode(cpu))
		return;
	if (cpu->cpl <= cpu_iopl(cpu) && !cpu_in_v86_mode(cpu))
		return;
	if (!bitmap_allows(cpu, port, size))
		cpu_raise_code(cpu, EXC_GP, 0);
}

/* ---- access ---- */

static bool breakpoint_hit(const struct cpu *cpu, unsigned n, uint16_t port, unsigned size)
{
	unsigned control = (unsigned)(cpu->dr7 >> (16 + 4 * n)) & 0xf;
	uint64_t len = (control >> 2) + 1;
	uint64_t first = cpu->dr[n] & ~(len - 1);

	return (cpu->dr7 >> (2 * n) & 3) && (control & 3) == DR7_RW_IO &&
	       (uint64_t)port + size > first && port < first + len;
}

static void note_breakpoints(struct cpu *cpu, uint16_t port, unsigned size)
{
	uint64_t hits = 0;

	if (likely(!(cpu->dr7 & DR7_ENABLES) || !(cpu->cr4 & CR4_DE)))
		return;
	for (unsigned n = 0; n < 4; n++)
		if (breakpoint_hit(cpu, n, port, size))
			hits |= DR6_B(n);
	if (!hits)
		return;
	cpu->pending_db |= hits;
	cpu_attention_set(cpu, ATTENTION_TRAP);
}

static uint64_t port_read(struct cpu *cpu, uint16_t port, unsigned size)
{
	uint64_t value = bus_read(cpu->soft->config.bus, BUS_PIO, port, size);

	note_breakpoints(cpu, port, size);
	return value;
}

static void port_write(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value)
{
	bus_write(cpu->soft->config.bus, BUS_PIO, port, size, value);
	note_breakpoints(cpu, port, size);
}

/* ---- IN, OUT ---- */

static void intercept(struct cpu *cpu, const struct insn *insn, uint16_t port, bool is_in,
		      bool is_immediate)
{
	const struct virt_io io = {
		.port = port, .size = insn->size, .is_in = is_in, .is_immediate = is_immediate
	};

	virt_intercept(cpu, INTERCEPT_IO, (uintptr_t)&io);
}

static void in(struct cpu *cpu, const struct insn *insn, uint16_t port, bool is_immediate)
{
	check_port(cpu, port, insn->size);
	intercept(cpu, insn, port, true, is_immediate);
	reg_write(cpu, REG_OFFSET(RAX), insn->size, port_read(cpu, port, insn->size));
	insn_advance(cpu, insn);
}

static void in_immediate(struct cpu *cpu, const struct insn *insn)
{
	in(cpu, insn, (uint8_t)insn->imm, true);
}

static void in_dx(struct cpu *cpu, const struct insn *insn)
{
	in(cpu, insn, (uint16_t)cpu->gpr[RDX], false);
}

static void out(struct cpu *cpu, const struct insn *insn, uint16_t port, bool is_immediate)
{
	check_port(cpu, port, insn->size);
	intercept(cpu, insn, port, false, is_immediate);
	port_write(cpu, port, insn->size, reg_read(cpu, REG_OFFSET(RAX), insn->size));
	insn_advance(cpu, insn);
}

static void out_immediate(struct cpu *cpu, const struct insn *insn)
{
	out(cpu, insn, (uint8_t)insn->imm, true);
}

static void out_dx(struct cpu *cpu, const struct insn *insn)
{
	out(cpu, insn, (uint16_t)cpu->gpr[RDX], false);
}

insn_fn *io_select_in(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		      struct insn *insn)
{
	(void)zydis;
	insn->size = (uint8_t)(operands[0].size / 8);
	return operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? in_immediate : in_dx;
}

insn_fn *io_select_out(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		       struct insn *insn)
{
	(void)zydis;
	insn->size = (uint8_t)(operands[1].size / 8);
	return operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? out_immediate : out_dx;
}

/* ---- INS, OUTS ---- */

static uint64_t counter(struct cpu *cpu, const struct insn *insn, unsigned reg)
{
	return reg_read(cpu, REG_OFFSET(reg), insn->addr_size);
}

static void add_to(struct cpu *cpu, const struct insn *insn, unsigned reg, int64_t value)
{
	reg_write(cpu, REG_OFFSET(reg), insn->addr_size, counter(cpu, insn, reg) + (uint64_t)value);
}

static int64_t step(const struct cpu *cpu, const struct insn *insn)
{
	return cpu->rflags & RFLAGS_DF ? -(int64_t)insn->size : insn->size;
}

/* The port is not read before the store is known to succeed. */
static void ins_once(struct cpu *cpu, const struct insn *insn, uint16_t port)
{
	gva_t addr = segment_linear(cpu, ES, counter(cpu, insn, RDI), insn->size, true);

	mmu_check(cpu, addr, insn->size, true, ES);
	mmu_store(cpu, addr, insn->size, port_read(cpu, port, insn->size), ES);
	add_to(cpu, insn, RDI, step(cpu, insn));
}

static void outs_once(struct cpu *cpu, const struct insn *insn, uint16_t port)
{
	gva_t addr = segment_linear(cpu, insn->seg, counter(cpu, insn, RSI), insn->size, false);

	port_write(cpu, port, insn->size, mmu_load(cpu, addr, insn->size, insn->seg));
	add_to(cpu, insn, RSI, step(cpu, insn));
}

typedef void once_fn(struct cpu *cpu, const struct insn *insn, uint16_t port);

/* Before the memory operand is looked at: its address is told unchecked. */
static void intercept_string(struct cpu *cpu, const struct insn *insn, bool is_in, bool is_rep)
{
	unsigned seg = is_in ? ES : insn->seg;
	uint64_t offset = counter(cpu, insn, is_in ? RDI : RSI);
	bool is_long = cpu_in_64bit_mode(cpu);
	uint64_t base = is_long && seg < FS ? 0 : cpu->seg[seg].base;
	const struct virt_io io = {
		.port = (uint16_t)cpu->gpr[RDX],
		.size = insn->size,
		.is_in = is_in,
		.is_string = true,
		.is_rep = is_rep,
		.linear = is_long ? base + offset : (uint32_t)(base + offset),
	};

	virt_intercept(cpu, INTERCEPT_IO, (uintptr_t)&io);
}

/* Registers are up to date after each element, for faults and interrupts in between. */
static void string_io(struct cpu *cpu, const struct insn *insn, once_fn *once)
{
	bool is_repeated = insn->flags & (INSN_REP | INSN_REPNE);
	uint16_t port = (uint16_t)cpu->gpr[RDX];

	if (is_repeated && !counter(cpu, insn, RCX)) {
		insn_advance(cpu, insn);
		return;
	}
	check_port(cpu, port, insn->size);
	if (unlikely(cpu->in_guest))
		intercept_string(cpu, insn, once == ins_once, is_repeated);
	for (;;) {
		once(cpu, insn, port);
		if (!is_repeated)
			break;
		add_to(cpu, insn, RCX, -1);
		if (!counter(cpu, insn, RCX))
			break;
		if (cpu_must_pause(cpu))
			cpu_resume(cpu);
	}
	insn_advance(cpu, insn);
}

static void ins(struct cpu *cpu, const struct insn *insn)
{
	string_io(cpu, insn, ins_once);
}

static void outs(struct cpu *cpu, const struct insn *insn)
{
	string_io(cpu, insn, outs_once);
}

insn_fn *io_select_string(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
			  struct insn *insn)
{
	(void)operands;
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_OUTSB:
		insn->size = 1;
		break;
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_OUTSW:
		insn->size = 2;
		break;
	default:
		insn->size = 4;
	}
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_INSD:
		return ins;
	default:
		return outs;
	}
}
