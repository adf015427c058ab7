/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of VM entry on the guest-state area, in the manual's order; those on segments are in
 * check_segments.c. What fails here ends in a VM exit, not in VMfail.
 *
 * SDM3: "Checks on the Guest State Area"
 */
#include "vmx/check.h"

#include "cpu/control.h"
#include "cpu/mtrr.h"

#define QUALIFICATION_LINK 4

#define FLAGS_ZERO 0xffffffffffc08028ull

#define INTERRUPTIBILITY_RESERVED 0xfffffff0u
#define INTERRUPTIBILITY_SHADOWS  (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)
#define PENDING_RESERVED          0xffffffffffffaff0ull

static bool is_ia32e(const struct vmx_check *c)
{
	return c->entry_ctls & ENTRYC_IA32E;
}

/* ---- "Checks on Guest Control Registers, Debug Registers, and MSRs" ---- */

static bool check_control_registers(struct vmx_check *c)
{
	uint64_t cr0 = field(c, GUEST_CR0), cr4 = field(c, GUEST_CR4);
	bool loads_debug = c->entry_ctls & ENTRYC_LOAD_DEBUG;

	return must(c, vmx_caps_cr0_valid(cr0, c->proc2 & PROC2_UNRESTRICTED_GUEST), GUEST_CR0,
		    "bits fixed in VMX operation must have their values") &&
	       must(c, !(cr0 & CR0_PG) || (cr0 & CR0_PE), GUEST_CR0, "PG needs PE") &&
	       must(c, vmx_caps_cr4_valid(c->cpu, cr4), GUEST_CR4,
		    "bits fixed in VMX operation must have their values") &&
	       must(c, !loads_debug || !(field(c, GUEST_DEBUGCTL) & ~DEBUGCTL_OFFERED),
		    GUEST_DEBUGCTL, "reserved bits must be 0") &&
	       must(c, !is_ia32e(c) || (cr0 & CR0_PG), GUEST_CR0, "IA-32e mode needs PG") &&
	       must(c, !is_ia32e(c) || (cr4 & CR4_PAE), GUEST_CR4, "IA-32e mode needs PAE") &&
	       must(c, is_ia32e(c) || !(cr4 & CR4_PCIDE), GUEST_CR4, "PCIDE needs IA-32e mode") &&
	       must(c, is_physical(c, GUEST_CR3, 0), GUEST_CR3,
		    "no bit beyond the physical-address width may be set") &&
	       must(c, !loads_debug || !(field(c, GUEST_DR7) >> 32), GUEST_DR7,
		    "bits 63:32 must be 0");
}

static bool check_msrs(struct vmx_check *c)
{
	uint64_t efer = field(c, GUEST_EFER);
	bool is_lma = efer & EFER_LMA, is_lme = efer & EFER_LME;
	bool loads_efer = c->entry_ctls & ENTRYC_LOAD_EFER;

	return must_be_canonical(c, GUEST_SYSENTER_ESP) &&
	       must_be_canonical(c, GUEST_SYSENTER_EIP) &&
	       must(c,
		    !(c->entry_ctls & ENTRYC_LOAD_PERF_GLOBAL_CTRL) ||
			    !(field(c, GUEST_PERF_GLOBAL_CTRL) & ~PMU_GLOBAL_ENABLE),
		    GUEST_PERF_GLOBAL_CTRL, "reserved bits must be 0") &&
	       must(c, !(c->entry_ctls & ENTRYC_LOAD_PAT) || mtrr_pat_valid(field(c, GUEST_PAT)),
		    GUEST_PAT, "each entry must be a memory type") &&
	       must(c, !loads_efer || !(efer & ~control_efer_offered(c->cpu)), GUEST_EFER,
		    "reserved bits must be 0") &&
	       must(c, !loads_efer || is_lma == is_ia32e(c), GUEST_EFER,
		    "LMA must equal the control IA-32e mode guest") &&
	       must(c, !loads_efer || !(field(c, GUEST_CR0) & CR0_PG) || is_lma == is_lme,
		    GUEST_EFER, "LME must equal LMA while paging is on");
}

static bool check_registers(struct vmx_check *c)
{
	c->heading = "Checks on Guest Control Registers, Debug Registers, and MSRs";
	return check_control_registers(c) && check_msrs(c);
}

/* ---- "Checks on Guest RIP, RFLAGS, and SSP" ---- */

/* Bits 63:48 alike; bit 47 may differ from them. */
static bool is_rip_valid(const struct vmx_check *c)
{
	uint64_t rip = field(c, GUEST_RIP), top = rip >> LINEAR_BITS;

	if (!is_ia32e(c) || !(field(c, GUEST_CS_AR) & SEG_L))
		return !(rip >> 32);
	return top == 0 || top == UINT64_MAX >> LINEAR_BITS;
}

static bool check_rip_and_flags(struct vmx_check *c)
{
	uint64_t flags = field(c, GUEST_RFLAGS);
	bool may_be_v86 = !is_ia32e(c) && (field(c, GUEST_CR0) & CR0_PE);

	c->heading = "Checks on Guest RIP, RFLAGS, and SSP";
	return must(c, is_rip_valid(c), GUEST_RIP,
		    "bits 63:48 must be equal, and bits 63:32 0 outside 64-bit mode") &&
	       must(c, !(flags & FLAGS_ZERO) && (flags & RFLAGS_ONE), GUEST_RFLAGS,
		    "reserved bits must be 0, and bit 1 must be 1") &&
	       must(c, may_be_v86 || !(flags & RFLAGS_VM), GUEST_RFLAGS,
		    "VM must be 0 in IA-32e mode and in real mode") &&
	       must(c, entry_type(c) != EVENT_EXTERNAL || (flags & RFLAGS_IF), GUEST_RFLAGS,
		    "IF must be 1 where an external interrupt is injected");
}

/* ---- "Checks on Guest Non-Register State" ---- */

static bool is_exception(const struct vmx_check *c, unsigned vector)
{
	return entry_type(c) == EVENT_FAULT && entry_vector(c) == vector;
}

/* Whether the event to inject fits the activity state. */
static bool may_inject(const struct vmx_check *c)
{
	unsigned type = entry_type(c);

	if (type == ENTRY_NONE)
		return true;
	switch (field(c, GUEST_ACTIVITY)) {
	case CPU_ACTIVE:
		return true;
	case CPU_HALTED:
		return type == EVENT_EXTERNAL || type == EVENT_NMI || type == ENTRY_OTHER ||
		       is_exception(c, EXC_DB) || is_exception(c, EXC_MC);
	case CPU_SHUTDOWN:
		return type == EVENT_NMI || is_exception(c, EXC_MC);
	default:
		return false;
	}
}

static bool check_activity(struct vmx_check *c)
{
	uint64_t activity = field(c, GUEST_ACTIVITY);
	bool has_shadow = field(c, GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_SHADOWS;

	return must(c, activity <= CPU_WAIT_FOR_SIPI, GUEST_ACTIVITY, "must be from 0 to 3") &&
	       must(c, activity != CPU_HALTED || !seg_dpl((uint32_t)field(c, GUEST_SS_AR)),
		    GUEST_ACTIVITY, "HLT needs a DPL of 0 in SS") &&
	       must(c, activity == CPU_ACTIVE || !has_shadow, GUEST_ACTIVITY,
		    "must be active with blocking by STI or MOV SS") &&
	       must(c, may_inject(c), GUEST_ACTIVITY, "must allow the event to inject");
}

static bool check_interruptibility(struct vmx_check *c)
{
	uint64_t blocking = field(c, GUEST_INTERRUPTIBILITY);
	bool has_shadow = blocking & INTERRUPTIBILITY_SHADOWS;
	bool has_if = field(c, GUEST_RFLAGS) & RFLAGS_IF;
	unsigned type = entry_type(c);

	return must(c, !(blocking & INTERRUPTIBILITY_RESERVED), GUEST_INTERRUPTIBILITY,
		    "bits 31:4 must be 0") &&
	       must(c, (blocking & INTERRUPTIBILITY_SHADOWS) != INTERRUPTIBILITY_SHADOWS,
		    GUEST_INTERRUPTIBILITY, "STI and MOV SS must not both block") &&
	       must(c, has_if || !(blocking & INTERRUPTIBILITY_STI), GUEST_INTERRUPTIBILITY,
		    "blocking by STI needs RFLAGS.IF") &&
	       must(c, type != EVENT_EXTERNAL || !has_shadow, GUEST_INTERRUPTIBILITY,
		    "STI and MOV SS must not block the interrupt to inject") &&
	       must(c, type != EVENT_NMI || !(blocking & INTERRUPTIBILITY_MOV_SS),
		    GUEST_INTERRUPTIBILITY, "MOV SS must not block the NMI to inject") &&
	       must(c, !(blocking & INTERRUPTIBILITY_SMI), GUEST_INTERRUPTIBILITY,
		    "blocking by SMI must be 0 outside SMM") &&
	       must(c,
		    type != EVENT_NMI || !(c->pin & PIN_VIRTUAL_NMIS) ||
			    !(blocking & INTERRUPTIBILITY_NMI),
		    GUEST_INTERRUPTIBILITY, "the virtual NMI to inject must not be blocked");
}

static bool check_pending_debug(struct vmx_check *c)
{
	uint64_t pending = field(c, GUEST_PENDING_DEBUG);
	uint64_t debugctl =
		c->entry_ctls & ENTRYC_LOAD_DEBUG ? field(c, GUEST_DEBUGCTL) : c->cpu->msr.debugctl;
	bool is_step = (field(c, GUEST_RFLAGS) & RFLAGS_TF) && !(debugctl & DEBUGCTL_BTF);
	bool is_fixed = (field(c, GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_SHADOWS) ||
			field(c, GUEST_ACTIVITY) == CPU_HALTED;

	return must(c, !(pending & PENDING_RESERVED), GUEST_PENDING_DEBUG,
		    "reserved bits must be 0") &&
	       must(c, !is_fixed || is_step == !!(pending & DR6_BS), GUEST_PENDING_DEBUG,
		    "BS must be as TF and BTF say, with blocking by STI or MOV SS or in HLT");
}

/* The VMCS that the link pointer names: of this revision, shadow or not as the control says. */
static bool is_link_valid(const struct vmx_check *c)
{
	uint32_t shadow = c->proc2 & PROC2_VMCS_SHADOWING ? VMCS_SHADOW : 0;

	return vmx_region_revision(c->cpu, field(c, VMCS_LINK_POINTER)) == (VMX_REVISION | shadow);
}

static bool check_link(struct vmx_check *c)
{
	if (field(c, VMCS_LINK_POINTER) == NO_VMCS)
		return true;
	c->qualification = QUALIFICATION_LINK;
	return must_be_page(c, true, VMCS_LINK_POINTER) &&
	       must(c, is_link_valid(c), VMCS_LINK_POINTER,
		    "the VMCS there must have the revision, and be a shadow as the control says") &&
	       must(c, field(c, VMCS_LINK_POINTER) != vmx_of(c->cpu)->current, VMCS_LINK_POINTER,
		    "must not be the current VMCS");
}

static bool check_non_register_state(struct vmx_check *c)
{
	c->heading = "Checks on Guest Non-Register State";
	return check_activity(c) && check_interruptibility(c) && check_pending_debug(c) &&
	       check_link(c);
}

/* ---- "Checks on Guest Page-Directory-Pointer-Table Entries" ---- */

/* Without EPT they are in memory, and checked when they are loaded. */
static bool check_pdptes(struct vmx_check *c)
{
	bool has_pae =
		(field(c, GUEST_CR0) & CR0_PG) && (field(c, GUEST_CR4) & CR4_PAE) && !is_ia32e(c);

	c->heading = "Checks on Guest Page-Directory-Pointer-Table Entries";
	c->qualification = QUALIFICATION_PDPTE;
	for (unsigned n = 0; n < 4 && has_pae && (c->proc2 & PROC2_EPT); n++)
		if (!must(c, control_pdpte_valid(field(c, GUEST_PDPTE0 + n)), GUEST_PDPTE0 + n,
			  "reserved bits must be 0"))
			return false;
	return true;
}

static bool check_known(struct vmx_check *c)
{
	return is_physical(c, GUEST_CR3, 0) && check_rip_and_flags(c) &&
	       check_non_register_state(c);
}

bool vmx_check_guest_state(struct cpu *cpu, struct vmx_failure *failure, uint64_t *qualification)
{
	struct vmx_check c = vmx_check_begin(cpu, failure);
	bool is_valid;

	if (c.is_known && check_known(&c))
		return true;
	c = vmx_check_begin(cpu, failure);
	is_valid = check_registers(&c) && vmx_check_guest_segments(&c) && check_rip_and_flags(&c) &&
		   check_non_register_state(&c) && check_pdptes(&c);
	*qualification = c.qualification;
	return is_valid;
}
