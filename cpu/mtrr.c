/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of MTRR and PAT writes. Base and mask of a variable range have neighbouring numbers:
 * even ones are bases.
 */
#include "cpu/mtrr.h"

#define TYPES_MTRR    (BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6)) /* UC WC WT WP WB */
#define TYPES_PAT     (TYPES_MTRR | BIT(7))                        /* and UC- */
#define TYPE          0xffull
#define ADDRESS       ((BIT(PHYSICAL_BITS) - 1) & PAGE_MASK)
#define MASK_VALID    BIT(11)
#define DEF_WRITABLE  (TYPE | MTRR_DEF_FIXED | MTRR_DEF_ENABLE)
#define TYPES_IN_WORD 8

static bool is_type(uint64_t type, uint64_t types)
{
	return type < 8 && (types & BIT(type));
}

static bool are_types(uint64_t value, uint64_t types)
{
	for (unsigned i = 0; i < TYPES_IN_WORD; i++, value >>= 8)
		if (!is_type(value & TYPE, types))
			return false;
	return true;
}

static uint64_t *variable_at(struct cpu *cpu, const struct msr_row *row, uint32_t msr)
{
	uint32_t n = msr - row->first;

	return n & 1 ? &cpu->msr.mtrr_mask[n / 2] : &cpu->msr.mtrr_base[n / 2];
}

bool mtrr_read_variable(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t *value)
{
	*value = *variable_at(cpu, row, msr);
	return true;
}

bool mtrr_write_variable(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	bool is_mask = (msr - row->first) & 1;

	if (value & ~(ADDRESS | (is_mask ? MASK_VALID : TYPE)))
		return false;
	if (!is_mask && !is_type(value & TYPE, TYPES_MTRR))
		return false;
	*variable_at(cpu, row, msr) = value;
	return true;
}

bool mtrr_write_fixed(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	return are_types(value, TYPES_MTRR) && msr_write_storage(cpu, row, msr, value);
}

bool mtrr_write_default(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	if ((value & ~DEF_WRITABLE) || !is_type(value & TYPE, TYPES_MTRR))
		return false;
	return msr_write_storage(cpu, row, msr, value);
}

bool mtrr_pat_valid(uint64_t value)
{
	return are_types(value, TYPES_PAT);
}

bool mtrr_write_pat(struct cpu *cpu, const struct msr_row *row, uint32_t msr, uint64_t value)
{
	return mtrr_pat_valid(value) && msr_write_storage(cpu, row, msr, value);
}
