/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host's KVM says of itself, against what a VM needs. The trial is in kvm/trial.c. */
#include "kvm/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm/cpuid.h"
#include "kvm/kvm.h"

#define PHYSICAL_BITS_NEEDED 40 /* the board's 64-bit PCI window ends there */

static const struct {
	int number;
	bool nested; /* only where the guest is to have virtualization extensions */
	const char *name;
} capabilities[] = {
	{ KVM_CAP_USER_MEMORY, false, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_SET_TSS_ADDR, false, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, false, "KVM_CAP_SET_IDENTITY_MAP_ADDR" },
	{ KVM_CAP_EXT_CPUID, false, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_MP_STATE, false, "KVM_CAP_MP_STATE" },
	{ KVM_CAP_VCPU_EVENTS, false, "KVM_CAP_VCPU_EVENTS" },
	{ KVM_CAP_DEBUGREGS, false, "KVM_CAP_DEBUGREGS" },
	{ KVM_CAP_XSAVE, false, "KVM_CAP_XSAVE" },
	{ KVM_CAP_XCRS, false, "KVM_CAP_XCRS" },
	{ KVM_CAP_IRQ_ROUTING, false, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_SIGNAL_MSI, false, "KVM_CAP_SIGNAL_MSI" },
	{ KVM_CAP_SPLIT_IRQCHIP, false, "KVM_CAP_SPLIT_IRQCHIP" },
	{ KVM_CAP_IMMEDIATE_EXIT, false, "KVM_CAP_IMMEDIATE_EXIT" },
	{ KVM_CAP_NESTED_STATE, true, "KVM_CAP_NESTED_STATE" },
};

static int check_capabilities(int device, bool nested, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		if (capabilities[i].nested && !nested)
			continue;
		if (ioctl(device, KVM_CHECK_EXTENSION, capabilities[i].number) <= 0)
			return error_set(err, -ENOTSUP, "the host's KVM has no %s",
					 capabilities[i].name);
	}
	return 0;
}

static int check_processor(const struct kvm_cpuid2 *cpuid, const struct engine_wish *wish,
			   enum cpu_vendor *vendor, struct error *err)
{
	static const char *const names[] = { [CPU_INTEL] = "Intel", [CPU_AMD] = "AMD" };
	static const char *const no_nesting[] = {
		[CPU_INTEL] = "nested VMX is off in kvm_intel (parameter nested)",
		[CPU_AMD] = "nested SVM is off in kvm_amd (parameter nested)",
	};
	int host = kvm_cpuid_vendor(cpuid);
	unsigned physical_bits = kvm_cpuid_physical_bits(cpuid);

	if (host < 0)
		return error_set(err, -ENOTSUP,
				 "the host's processor is neither Intel's nor AMD's");
	if (!wish->any_vendor && (enum cpu_vendor)host != wish->vendor)
		return error_set(err, -ENOTSUP, "--cpu %s: the host's processor is %s's",
				 wish->vendor == CPU_INTEL ? "intel" : "amd", names[host]);
	if (physical_bits < PHYSICAL_BITS_NEEDED)
		return error_set(err, -ENOTSUP,
				 "the host's processor has %u bits of physical address, needed are "
				 "%u",
				 physical_bits, PHYSICAL_BITS_NEEDED);
	if (wish->nested && !kvm_cpuid_has_nesting(cpuid))
		return error_set(err, -ENOTSUP, "--nested on: %s", no_nesting[host]);
	*vendor = (enum cpu_vendor)host;
	return 0;
}

static int probe_device(int device, const struct engine_wish *wish, enum cpu_vendor *vendor,
			struct error *err)
{
	int ret = check_capabilities(device, wish->nested, err);
	struct kvm_cpuid2 *cpuid;

	if (ret)
		return ret;
	cpuid = kvm_supported_cpuid(device);
	if (!cpuid)
		return error_set(err, -errno, "KVM does not say what processor it has: %s",
				 strerror(errno));
	ret = check_processor(cpuid, wish, vendor, err);
	free(cpuid);
	return ret ? ret : kvm_trial(device, *vendor, wish->nested, err);
}

int kvm_probe(const struct engine_wish *wish, enum cpu_vendor *vendor, struct error *err)
{
	int device = kvm_open(err), ret;

	if (device < 0)
		return device;
	ret = probe_device(device, wish, vendor, err);
	close(device);
	return ret;
}
