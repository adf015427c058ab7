/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x behind the seam cpu/virt.h: creation, reset, the MSRs of the extension, and the table of
 * operations.
 */
#include "vmx/vmx.h"

#include <errno.h>
#include <stdlib.h>

#include "cpu/soft.h"

#define MSR_FEATURE_CONTROL 0x3a

static void reset(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);

	vmx->is_on = false;
	vmx->current = NO_VMCS;
	vmx_forget_places(cpu);
	if (vmx->timer.fn)
		timer_cancel(&vmx->timer);
	__atomic_store_n(&vmx->timer_armed, 0, __ATOMIC_SEQ_CST);
	vmcs_subject_changed(cpu);
	vmx->feature_control = 0; /* not locked: as a machine without firmware has it */
	vmx_apic_left(cpu);
}

static int create(struct cpu *cpu)
{
	struct vmx *vmx = calloc(1, sizeof(*vmx));

	if (!vmx)
		return -ENOMEM;
	cpu->virt_state = vmx;
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		vmx->has_field[i] = vmx_caps_has_field(cpu, i);
	vmcs_list_fields(vmx);
	reset(cpu);
	return 0;
}

static void destroy(struct cpu *cpu)
{
	free(cpu->virt_state);
	cpu->virt_state = NULL;
}

static bool write_feature_control(struct vmx *vmx, uint64_t value)
{
	if ((vmx->feature_control & FEATURE_CONTROL_LOCKED) ||
	    (value & ~(FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON)))
		return false;
	vmx->feature_control = value;
	return true;
}

static bool msr(struct cpu *cpu, uint32_t number, bool is_write, uint64_t *value, bool *is_valid)
{
	struct vmx *vmx = vmx_of(cpu);

	if (number == MSR_FEATURE_CONTROL) {
		*is_valid = !is_write || write_feature_control(vmx, *value);
		if (!is_write)
			*value = vmx->feature_control;
		return true;
	}
	if (number < MSR_VMX_BASIC || number > MSR_VMX_VMFUNC)
		return false;
	*is_valid = !is_write;
	if (!is_write)
		*value = vmx_caps_msr(cpu, number);
	return true;
}

static bool cr_allowed(const struct cpu *cpu, unsigned n, uint64_t value)
{
	const struct vmx *vmx = vmx_of(cpu);
	bool is_unrestricted = cpu->in_guest && (vmx->proc2 & PROC2_UNRESTRICTED_GUEST);

	if (!vmx->is_on)
		return true;
	return n == 0 ? vmx_caps_cr0_valid(value, is_unrestricted) : vmx_caps_cr4_valid(cpu, value);
}

static bool is_active(const struct cpu *cpu)
{
	return __atomic_load_n(&vmx_of(cpu)->is_on, __ATOMIC_RELAXED);
}

static const char *exit_name(unsigned reason)
{
	static const char *const names[] = {
#define EXIT_NAME(name, number) [number] = #name,
		EACH_EXIT_REASON(EXIT_NAME)
#undef EXIT_NAME
	};

	return reason < ARRAY_SIZE(names) && names[reason] ? names[reason] : "?";
}

const struct virt_ops virt_vmx = {
	.name = "VT-x",
	.create = create,
	.destroy = destroy,
	.reset = reset,
	.msr = msr,
	.execute = vmx_execute,
	.exit_name = exit_name,
	.is_active = is_active,
	.cr_allowed = cr_allowed,
	.intercept = vmx_intercept,
	.cr_write = vmx_cr_write,
	.cr_read = vmx_cr_read,
	.event = vmx_event,
	.boundary = vmx_boundary,
	.translate = vmx_translate,
	.peek = vmx_peek,
	.apic_access = vmx_apic_access,
	.apic_written = vmx_apic_written,
	.apic_msr = vmx_apic_msr,
};
