/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of VM entry on the host-state area, in the manual's order.
 *
 * SDM3: "Checks on Host Control Registers, MSRs, and SSP", "Checks on Host Segment and
 * Descriptor-Table Registers", "Checks Related to Address-Space Size"
 */
#include "cpu/control.h"
#include "cpu/mtrr.h"
#include "vmx/check.h"

static bool is_efer_valid(const struct vmx_check *c)
{
	uint64_t efer = field(c, HOST_EFER), both = EFER_LMA | EFER_LME;

	return !(efer & ~control_efer_offered(c->cpu)) &&
	       (efer & both) == (c->exit_ctls & EXITC_HOST_64 ? both : 0);
}

static bool check_registers(struct vmx_check *c)
{
	c->heading = "Checks on Host Control Registers, MSRs, and SSP";
	return must(c, vmx_caps_cr0_valid(field(c, HOST_CR0), false), HOST_CR0,
		    "bits fixed in VMX operation must have their values") &&
	       must(c, vmx_caps_cr4_valid(c->cpu, field(c, HOST_CR4)), HOST_CR4,
		    "bits fixed in VMX operation must have their values") &&
	       must(c, is_physical(c, HOST_CR3, 0), HOST_CR3,
		    "no bit beyond the physical-address width may be set") &&
	       must_be_canonical(c, HOST_SYSENTER_ESP) && must_be_canonical(c, HOST_SYSENTER_EIP) &&
	       must(c,
		    !(c->exit_ctls & EXITC_LOAD_PERF_GLOBAL_CTRL) ||
			    !(field(c, HOST_PERF_GLOBAL_CTRL) & ~PMU_GLOBAL_ENABLE),
		    HOST_PERF_GLOBAL_CTRL, "reserved bits must be 0") &&
	       must(c, !(c->exit_ctls & EXITC_LOAD_PAT) || mtrr_pat_valid(field(c, HOST_PAT)),
		    HOST_PAT, "each entry must be a memory type") &&
	       must(c, !(c->exit_ctls & EXITC_LOAD_EFER) || is_efer_valid(c), HOST_EFER,
		    "reserved bits must be 0, LMA and LME must equal host address-space size");
}

static bool check_segments(struct vmx_check *c)
{
	static const uint16_t selectors[] = {
		HOST_CS_SELECTOR, HOST_SS_SELECTOR, HOST_DS_SELECTOR, HOST_ES_SELECTOR,
		HOST_FS_SELECTOR, HOST_GS_SELECTOR, HOST_TR_SELECTOR,
	};

	c->heading = "Checks on Host Segment and Descriptor-Table Registers";
	for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++)
		if (!must(c, !(field(c, selectors[i]) & (SELECTOR_RPL | SELECTOR_TI)), selectors[i],
			  "RPL and TI must be 0"))
			return false;
	return must(c, field(c, HOST_CS_SELECTOR), HOST_CS_SELECTOR, "must not be null") &&
	       must(c, field(c, HOST_TR_SELECTOR), HOST_TR_SELECTOR, "must not be null") &&
	       must(c, (c->exit_ctls & EXITC_HOST_64) || field(c, HOST_SS_SELECTOR),
		    HOST_SS_SELECTOR, "must not be null for a host outside 64-bit mode") &&
	       must_be_canonical(c, HOST_FS_BASE) && must_be_canonical(c, HOST_GS_BASE) &&
	       must_be_canonical(c, HOST_GDTR_BASE) && must_be_canonical(c, HOST_IDTR_BASE) &&
	       must_be_canonical(c, HOST_TR_BASE);
}

static bool check_address_space_32(struct vmx_check *c)
{
	return must(c, !(c->entry_ctls & ENTRYC_IA32E), ENTRY_CONTROLS,
		    "an IA-32e mode guest needs a 64-bit host") &&
	       must(c, !(field(c, HOST_CR4) & CR4_PCIDE), HOST_CR4,
		    "PCIDE must be 0 for a host outside 64-bit mode") &&
	       must(c, !(field(c, HOST_RIP) >> 32), HOST_RIP,
		    "bits 63:32 must be 0 for a host outside 64-bit mode");
}

static bool check_address_space(struct vmx_check *c)
{
	bool is_64 = c->exit_ctls & EXITC_HOST_64;

	c->heading = "Checks Related to Address-Space Size";
	if (!must(c, cpu_in_long_mode(c->cpu) || !(c->entry_ctls & ENTRYC_IA32E), ENTRY_CONTROLS,
		  "an IA-32e mode guest needs entry from IA-32e mode") ||
	    !must(c, is_64 == cpu_in_long_mode(c->cpu), EXIT_CONTROLS,
		  "host address-space size must equal EFER.LMA at entry"))
		return false;
	if (!is_64)
		return check_address_space_32(c);
	return must(c, field(c, HOST_CR4) & CR4_PAE, HOST_CR4, "PAE must be 1 for a 64-bit host") &&
	       must_be_canonical(c, HOST_RIP);
}

enum vmx_error vmx_check_host_state(struct cpu *cpu, struct vmx_failure *failure)
{
	struct vmx_check c = vmx_check_begin(cpu, failure);

	if (c.is_known)
		return 0;
	if (check_registers(&c) && check_segments(&c) && check_address_space(&c))
		return 0;
	return VMXERR_ENTRY_HOST_STATE;
}
