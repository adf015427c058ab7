/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an entry has checked before: hypervisors enter again and again with a VMCS of which a few
 * fields are other than they were. Where none of the fields below is, and the mode is the same,
 * their checks would pass again. The others are checked each time, as is what lies in memory:
 * vmx/check*.c ask vmx_check.is_known.
 *
 * Fields are compared, whoever has written them: VMWRITE, an exit, or another VMCS with the same.
 */
#include "vmx/state.h"

/*
 * Left out are those that no check looks at (the read-only ones, masks, shadows, status of the
 * virtual APIC), and these, which are checked each time: the link pointer, the event to inject, the
 * TPR threshold, interruptibility, activity, CR3, RIP, RFLAGS, pending debug exceptions.
 */
static const struct {
	uint8_t first, last;
} compared[] = {
	{ VPID, GUEST_TR_SELECTOR },
	{ HOST_ES_SELECTOR, PML_ADDRESS },
	{ VIRTUAL_APIC_PAGE, EPT_POINTER },
	{ EPTP_LIST, TSC_MULTIPLIER },
	{ GUEST_DEBUGCTL, ENTRY_MSR_LOAD_COUNT },
	{ PROC_CONTROLS2, PROC_CONTROLS2 },
	{ GUEST_ES_LIMIT, GUEST_TR_AR },
	{ HOST_SYSENTER_CS, HOST_SYSENTER_CS },
	{ GUEST_CR0, GUEST_CR0 },
	{ GUEST_CR4, GUEST_DR7 },
	{ GUEST_SYSENTER_ESP, HOST_RIP },
};

static bool is_same(const struct vmx *vmx, unsigned first, unsigned last)
{
	return !memcmp(&vmx->vmcs.field[first], &vmx->passed.field[first],
		       (last - first + 1) * sizeof(*vmx->vmcs.field));
}

bool vmx_has_passed(const struct cpu *cpu)
{
	const struct vmx *vmx = vmx_of(cpu);
	uint64_t flags = vmx->vmcs.field[GUEST_RFLAGS] ^ vmx->passed.field[GUEST_RFLAGS];

	if (!vmx->passed.is_valid || vmx->passed.is_long != cpu_in_long_mode(cpu) ||
	    (flags & RFLAGS_VM))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(compared); i++)
		if (!is_same(vmx, compared[i].first, compared[i].last))
			return false;
	return true;
}

void vmx_passes(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);

	vmx->passed.is_valid = true;
	vmx->passed.is_long = cpu_in_long_mode(cpu);
	memcpy(vmx->passed.field, vmx->vmcs.field, sizeof(vmx->passed.field));
}
