/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the checks of VM entry are written with: private to vmx/check*.c.
 *
 * Each check is one must(), in the manual's order, and names its field and rule; the function that
 * it stands in has named the heading. The first that fails ends the chain.
 */
#ifndef VMX_CHECK_H
#define VMX_CHECK_H

#include "cpu/soft.h"
#include "vmx/vmx.h"

#define MSR_LIST_ALIGN_BITS 4

#define RULE_RESERVED  "reserved bits must be as the capability MSRs say"
#define RULE_PAGE      "must be page-aligned and within the physical-address width"
#define RULE_CANONICAL "must be canonical"

struct vmx_check {
	struct cpu *cpu;
	struct vmx_failure *failure;
	const char *heading;
	uint64_t qualification; /* of the exit, should a check of guest state fail now */
	uint32_t pin, proc, proc2, exit_ctls, entry_ctls;
	uint32_t info; /* the event to inject: entry interruption information */
	bool is_known; /* what vmx/passed.c compares has passed before */
};

static inline struct vmx_check vmx_check_begin(struct cpu *cpu, struct vmx_failure *failure)
{
	uint32_t proc = (uint32_t)vmcs_get(cpu, PROC_CONTROLS);

	return (struct vmx_check){
		.cpu = cpu,
		.failure = failure,
		.pin = (uint32_t)vmcs_get(cpu, PIN_CONTROLS),
		.proc = proc,
		.proc2 = proc & PROC_SECONDARY ? (uint32_t)vmcs_get(cpu, PROC_CONTROLS2) : 0,
		.exit_ctls = (uint32_t)vmcs_get(cpu, EXIT_CONTROLS),
		.entry_ctls = (uint32_t)vmcs_get(cpu, ENTRY_CONTROLS),
		.info = (uint32_t)vmcs_get(cpu, ENTRY_INTERRUPTION),
		.is_known = vmx_of(cpu)->is_known,
	};
}

/* Returns `holds`; where it is false, the failure is recorded. */
static inline bool must(struct vmx_check *check, bool holds, unsigned field, const char *rule)
{
	if (likely(holds))
		return true;
	*check->failure = (struct vmx_failure){
		.field = vmcs_fields[field].name,
		.heading = check->heading,
		.rule = rule,
		.value = vmcs_get(check->cpu, field),
	};
	return false;
}

static inline uint64_t field(const struct vmx_check *check, unsigned index)
{
	return vmcs_get(check->cpu, index);
}

/* A field that holds a physical address, aligned to 1 << align_bits bytes. */
static inline bool is_physical(const struct vmx_check *check, unsigned index, unsigned align_bits)
{
	uint64_t addr = field(check, index);

	return !(addr & (BIT(align_bits) - 1)) && !(addr >> PHYSICAL_BITS);
}

static inline bool must_be_page(struct vmx_check *check, bool is_used, unsigned index)
{
	return must(check, !is_used || is_physical(check, index, PAGE_BITS), index, RULE_PAGE);
}

static inline bool must_be_canonical(struct vmx_check *check, unsigned index)
{
	return must(check, is_canonical(field(check, index)), index, RULE_CANONICAL);
}

/* The type of the event to inject, or ENTRY_NONE. */
enum { ENTRY_OTHER = 7, ENTRY_NONE = 8 };

static inline unsigned entry_type(const struct vmx_check *check)
{
	return check->info & INTERRUPTION_VALID ? (check->info >> INTERRUPTION_TYPE_SHIFT & 7)
						: ENTRY_NONE;
}

static inline uint8_t entry_vector(const struct vmx_check *check)
{
	return (uint8_t)check->info;
}

/* vmx/check_segments.c: "Checks on Guest Segment Registers" and those on GDTR and IDTR. */
bool vmx_check_guest_segments(struct vmx_check *check);

#endif
