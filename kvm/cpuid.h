/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What CPUID shows to a guest: all that KVM offers, with this machine's topology, and
 * virtualization extensions only where they are wanted. Pure functions on tables.
 */
#ifndef KVM_CPUID_H
#define KVM_CPUID_H

#include <linux/kvm.h>

#include "vm/engine.h"

#define KVM_CPUID_ENTRIES 256

struct kvm_cpuid_shape {
	unsigned index; /* of the vCPU: its APIC ID */
	unsigned vcpus;
	bool nested;
	bool has_deadline; /* KVM's local APIC has the TSC-deadline timer */
};

/*
 * Changes what KVM_GET_SUPPORTED_CPUID gave into what one vCPU is to show. Room for
 * KVM_CPUID_ENTRIES in all.
 */
void kvm_cpuid_shape(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_shape *shape);

/* Of a table from KVM: whose processor it is (-1: neither), whether it has VT-x or AMD-V for
 * guests, and the width of physical addresses (0: not told). */
int kvm_cpuid_vendor(const struct kvm_cpuid2 *cpuid);
bool kvm_cpuid_has_nesting(const struct kvm_cpuid2 *cpuid);
unsigned kvm_cpuid_physical_bits(const struct kvm_cpuid2 *cpuid);

#endif
