/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the address of a fault to the guest's instruction: see cpu/jit/fault.h. Sites are in the
 * order of their addresses in each region (cpu/jit/region.h). They are appended before the code
 * that they belong to can run, so signal handlers look without a lock.
 */
#include "cpu/jit/fault.h"

#include "cpu/flags.h"
#include "cpu/jit/cache.h"
#include "cpu/soft.h"

static const struct fault_site *find_site(const struct jit *jit, const uint8_t *code)
{
	uint32_t offset = (uint32_t)(code - jit->executable);
	unsigned region = region_of(jit, code);
	const struct fault_site *sites = &jit->sites[region * jit->size.sites];
	uint32_t low = 0, high;

	if (region == BLOCK_REGIONS)
		return NULL;
	high = __atomic_load_n(&jit->region[region].sites, __ATOMIC_ACQUIRE);
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (sites[middle].offset == offset)
			return &sites[middle];
		if (sites[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

bool jit_fault_redirect(struct cpu *cpu, struct fault_context *context)
{
	const struct jit *jit = cpu->soft->jit;
	const struct fault_site *site;

	if (!jit)
		return false;
	site = find_site(jit, (const uint8_t *)(uintptr_t)context->rip);
	if (!site)
		return false;
	if (site->has_host_flags)
		cpu->status = flags_to_status(context->rflags);
	context->r9 = (uint64_t)(uintptr_t)site->insn;
	context->rip = (uint64_t)(uintptr_t)cpu->jit.thunk[THUNK_FAULT];
	return true;
}
