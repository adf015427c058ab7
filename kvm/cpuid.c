/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's CPUID: see kvm/cpuid.h. KVM corrects by itself what follows a vCPU's state (OSXSAVE,
 * the size of the XSAVE area, …).
 *
 * SDM2: "CPUID - CPU Identification"; APM3: "Obtaining Processor Information Via the CPUID
 * Instruction".
 */
#include "kvm/cpuid.h"

#include <cpuid.h>

#define VENDOR_EBX_INTEL 0x756e6547 /* Genu */
#define VENDOR_EBX_AMD   0x68747541 /* Auth */

/* Leaf 1 */
#define ECX1_VMX          BIT(5)
#define ECX1_X2APIC       BIT(21)
#define ECX1_TSC_DEADLINE BIT(24)
#define ECX1_HYPERVISOR   BIT(31)
#define EDX1_HTT          BIT(28)
#define CLFLUSH_BYTES     64
/* Leaf 7: needs memory of its own from whoever runs the VM */
#define EBX7_SGX    BIT(2)
#define ECX7_SGX_LC BIT(30)
/* Leaf 8000_0001h */
#define ECX_CMP_LEGACY BIT(1)
#define ECX_SVM        BIT(2)

#define LEAF_SGX        0x12
#define LEAF_TOPOLOGY2  0x1f
#define LEAF_SVM        0x8000000a
#define LEAF_BRAND      0x80000002
#define LEAF_BRAND_LAST 0x80000004

#define TOPOLOGY_SMT  1
#define TOPOLOGY_CORE 2

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == function && e->index == index)
			return e;
	}
	return NULL;
}

/* The entry's registers, or zeros. */
static struct kvm_cpuid_entry2 look(const struct kvm_cpuid2 *cpuid, uint32_t function)
{
	for (unsigned i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function)
			return cpuid->entries[i];
	return (struct kvm_cpuid_entry2){ 0 };
}

static void drop(struct kvm_cpuid2 *cpuid, uint32_t function)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function != function)
			cpuid->entries[kept++] = cpuid->entries[i];
	cpuid->nent = kept;
}

/* An entry to fill in; a new one where there is none and there is room. */
static void put(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_entry2 *value)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, value->function, value->index);

	if (!e && cpuid->nent < KVM_CPUID_ENTRIES)
		e = &cpuid->entries[cpuid->nent++];
	if (e)
		*e = *value;
}

int kvm_cpuid_vendor(const struct kvm_cpuid2 *cpuid)
{
	switch (look(cpuid, 0).ebx) {
	case VENDOR_EBX_INTEL:
		return CPU_INTEL;
	case VENDOR_EBX_AMD:
		return CPU_AMD;
	default:
		return -1;
	}
}

bool kvm_cpuid_has_nesting(const struct kvm_cpuid2 *cpuid)
{
	if (kvm_cpuid_vendor(cpuid) == CPU_INTEL)
		return look(cpuid, 1).ecx & ECX1_VMX;
	return look(cpuid, 0x80000001).ecx & ECX_SVM;
}

unsigned kvm_cpuid_physical_bits(const struct kvm_cpuid2 *cpuid)
{
	return look(cpuid, 0x80000008).eax & 0xff;
}

/* Bit of a register on or off. */
static void turn(uint32_t *reg, uint64_t bit, bool on)
{
	*reg = on ? *reg | (uint32_t)bit : *reg & ~(uint32_t)bit;
}

static void shape_features(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_shape *shape)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, 1, 0);

	if (e) {
		turn(&e->ecx, ECX1_VMX, shape->nested && (e->ecx & ECX1_VMX));
		turn(&e->ecx, ECX1_X2APIC | ECX1_HYPERVISOR, true);
		turn(&e->ecx, ECX1_TSC_DEADLINE, shape->has_deadline);
	}
	e = find(cpuid, 7, 0);
	if (e) {
		turn(&e->ebx, EBX7_SGX, false);
		turn(&e->ecx, ECX7_SGX_LC, false);
	}
	drop(cpuid, LEAF_SGX);
	e = find(cpuid, 0x80000001, 0);
	if (e)
		turn(&e->ecx, ECX_SVM, shape->nested && (e->ecx & ECX_SVM));
	if (!shape->nested)
		drop(cpuid, LEAF_SVM);
}

static void shape_topology_amd(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_shape *shape,
			       unsigned core_bits)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, 0x80000001, 0);

	if (e)
		turn(&e->ecx, ECX_CMP_LEGACY, shape->vcpus > 1);
	e = find(cpuid, 0x80000008, 0);
	if (e)
		e->ecx = core_bits << 12 | (shape->vcpus - 1);
	e = find(cpuid, 0x8000001d, 3);
	if (e)
		e->eax = (e->eax & ~(0xfffu << 14)) | (shape->vcpus - 1) << 14;
	e = find(cpuid, 0x8000001e, 0);
	if (e) {
		e->eax = shape->index;
		e->ebx = shape->index & 0xff;
		e->ecx = 0;
	}
}

/* Each core has its first and second level of cache, all share the third. */
static void shape_caches_intel(struct kvm_cpuid2 *cpuid, unsigned ids)
{
	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		unsigned level = (unsigned)bits(e->eax, 7, 5);

		if (e->function != 4 || !bits(e->eax, 4, 0))
			continue;
		e->eax &= (1u << 14) - 1;
		e->eax |= (ids - 1) << 26 | (level >= 3 ? ids - 1 : 0) << 14;
	}
}

/* One package with `vcpus` cores of one thread each. */
static void shape_topology(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_shape *shape)
{
	unsigned core_bits = log2_ceil(shape->vcpus), ids = 1u << core_bits;
	struct kvm_cpuid_entry2 *e = find(cpuid, 1, 0);
	const struct kvm_cpuid_entry2 levels[] = {
		{ .function = 0xb,
		  .index = 0,
		  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .ebx = 1,
		  .ecx = TOPOLOGY_SMT << 8,
		  .edx = shape->index },
		{ .function = 0xb,
		  .index = 1,
		  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = core_bits,
		  .ebx = shape->vcpus,
		  .ecx = TOPOLOGY_CORE << 8 | 1,
		  .edx = shape->index },
	};

	if (e) {
		e->ebx = (CLFLUSH_BYTES / 8) << 8 | ids << 16 | shape->index << 24;
		turn(&e->edx, EDX1_HTT, shape->vcpus > 1);
	}
	drop(cpuid, 0xb);
	drop(cpuid, LEAF_TOPOLOGY2);
	put(cpuid, &levels[0]);
	put(cpuid, &levels[1]);
	if (kvm_cpuid_vendor(cpuid) == CPU_AMD)
		shape_topology_amd(cpuid, shape, core_bits);
	else
		shape_caches_intel(cpuid, ids);
}

/* The processor's name, which KVM leaves out. */
static void shape_brand(struct kvm_cpuid2 *cpuid)
{
	for (uint32_t leaf = LEAF_BRAND; leaf <= LEAF_BRAND_LAST; leaf++) {
		struct kvm_cpuid_entry2 e = { .function = leaf };

		if (__get_cpuid(leaf, &e.eax, &e.ebx, &e.ecx, &e.edx))
			put(cpuid, &e);
	}
}

void kvm_cpuid_shape(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_shape *shape)
{
	shape_features(cpuid, shape);
	shape_topology(cpuid, shape);
	shape_brand(cpuid);
}
