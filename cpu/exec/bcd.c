/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Decimal arithmetic. 64-bit mode has none of it, so neither has the host: here the manual's
 * pseudo-code is followed. Flags that it leaves undefined keep their values or are zero.
 * SDM2: "AAA", "AAS", "DAA", "DAS".
 */
#include "cpu/exec/template.h"

static void set_al(struct cpu *cpu, uint8_t al)
{
	reg_write(cpu, REG_OFFSET(RAX), 1, al);
}

static void set_adjust_flags(struct cpu *cpu, bool adjust, bool carry)
{
	set_status_of_al(cpu);
	cpu->status &= (uint16_t) ~(STATUS_AF | STATUS_CF);
	cpu->status |= (uint16_t)((adjust ? STATUS_AF : 0) | (carry ? STATUS_CF : 0));
}

static bool low_digit_overflows(const struct cpu *cpu)
{
	return (cpu->gpr[RAX] & 15) > 9 || (cpu->status & STATUS_AF);
}

/* DAA and DAS: `sign` is what the corrections are multiplied with. */
static void adjust_packed(struct cpu *cpu, int sign)
{
	uint8_t old = (uint8_t)cpu->gpr[RAX], al = old;
	bool old_carry = cpu->status & STATUS_CF, carry = false;
	bool adjust = low_digit_overflows(cpu);

	if (adjust) {
		carry = old_carry || (sign > 0 ? old + 6 > 0xff : old < 6);
		al = (uint8_t)(al + sign * 6);
	}
	if (old > 0x99 || old_carry) {
		al = (uint8_t)(al + sign * 0x60);
		carry = true;
	} else if (sign > 0) {
		carry = false;
	}
	set_al(cpu, al);
	set_adjust_flags(cpu, adjust, carry);
}

void bcd_daa(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	adjust_packed(cpu, 1);
}

void bcd_das(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	adjust_packed(cpu, -1);
}

/* AAA and AAS: AX changes by `step` where the digit overflows. */
static void adjust_unpacked(struct cpu *cpu, uint16_t step)
{
	bool adjust = low_digit_overflows(cpu);

	if (adjust)
		reg_write(cpu, REG_OFFSET(RAX), 2, (uint16_t)(cpu->gpr[RAX] + step));
	set_al(cpu, cpu->gpr[RAX] & 15);
	set_adjust_flags(cpu, adjust, adjust);
}

void bcd_aaa(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	adjust_unpacked(cpu, 0x106);
}

void bcd_aas(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	adjust_unpacked(cpu, (uint16_t)-0x106);
}
