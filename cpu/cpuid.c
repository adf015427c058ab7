/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID: the rows of the CPU model and those that depend on the VM go into one table at creation;
 * a query copies a row and corrects what is live on this vCPU.
 *
 * SDM2: "CPUID - CPU Identification"; APM3: "Obtaining Processor Information Via the CPUID
 * Instruction"; the hypervisor leaves are KVM's, with no more features than we have.
 */
#include <stdlib.h>

#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/soft.h"

#define MAX_ROWS 64

#define LEAF_CLASS          0xffff0000u
#define LEAF_HYPERVISOR     0x40000000u
#define LEAF_HYPERVISOR_MAX 0x40000001u
#define LEAF_EXTENDED       0x80000000u

/* KVM's feature leaf */
#define KVM_CLOCKSOURCE        BIT(0)
#define KVM_NOP_IO_DELAY       BIT(1)
#define KVM_CLOCKSOURCE2       BIT(3)
#define KVM_CLOCKSOURCE_STABLE BIT(24)

/* Leaf 1 EDX bits that AMD repeats in leaf 8000_0001h EDX */
#define AMD_REPEATED_EDX 0x0183f3ffu

#define CLFLUSH_BYTES 64
#define APIC_ENABLED  BIT(11) /* IA32_APIC_BASE */
#define TOPOLOGY_SMT  1
#define TOPOLOGY_CORE 2

struct cpuid_table {
	const struct cpu_model *model;
	uint32_t words[CPUID_WORDS];
	struct cpuid_row rows[MAX_ROWS];
	unsigned row_count;
};

static const struct cpuid_row *find_row(const struct cpuid_table *table, uint32_t leaf,
					uint32_t subleaf)
{
	for (unsigned i = 0; i < table->row_count; i++) {
		const struct cpuid_row *row = &table->rows[i];

		if (row->leaf == leaf && (row->subleaf == subleaf || row->subleaf == SUBLEAF_ANY))
			return row;
	}
	return NULL;
}

/* The row's value to fill in; a new zero row where there is none. */
static struct cpuid_result *row_at(struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
	for (unsigned i = 0; i < table->row_count; i++)
		if (table->rows[i].leaf == leaf && table->rows[i].subleaf == subleaf)
			return &table->rows[i].value;
	if (table->row_count == MAX_ROWS)
		abort(); /* our own tables are too long */
	table->rows[table->row_count] = (struct cpuid_row){ leaf, subleaf, { 0, 0, 0, 0 } };
	return &table->rows[table->row_count++].value;
}

static uint32_t *register_of(struct cpuid_result *result, unsigned reg)
{
	return (uint32_t *[]){ &result->eax, &result->ebx, &result->ecx, &result->edx }[reg];
}

static bool has(const struct cpuid_table *table, unsigned feature)
{
	return table->words[feature / 32] & FEATURE_MASK(feature);
}

/* Leaves with a feature word in them are found under SUBLEAF_ANY where they have no subleaves. */
static uint32_t word_subleaf(const struct cpuid_word_place *place)
{
	return place->leaf == 0x7 || place->leaf == 0xd ? place->subleaf : SUBLEAF_ANY;
}

static void fill_features(struct cpuid_table *table)
{
	for (unsigned i = 0; i < CPUID_WORDS; i++) {
		const struct cpuid_word_place *place = &cpuid_word_places[i];

		if (table->words[i])
			*register_of(row_at(table, place->leaf, word_subleaf(place)), place->reg) |=
				table->words[i];
	}
	if (table->words[CPUID_7_2_EDX])
		row_at(table, 0x7, 0)->eax = 2;
	else if (table->words[CPUID_7_1_EAX])
		row_at(table, 0x7, 0)->eax = 1;
}

static void fill_vendor(struct cpuid_table *table)
{
	const struct cpu_model *model = table->model;
	const char *name = model->vendor_string;
	struct cpuid_result who = {
		.ebx = (uint32_t)load_le(name, 4),
		.edx = (uint32_t)load_le(name + 4, 4),
		.ecx = (uint32_t)load_le(name + 8, 4),
	};

	who.eax = model->max_leaf;
	*row_at(table, 0, SUBLEAF_ANY) = who;
	if (model->vendor == CPU_INTEL)
		who = (struct cpuid_result){ 0, 0, 0, 0 };
	who.eax = model->max_extended_leaf;
	*row_at(table, LEAF_EXTENDED, SUBLEAF_ANY) = who;
	row_at(table, 0x1, SUBLEAF_ANY)->eax = model->signature;
	if (model->vendor == CPU_AMD)
		row_at(table, 0x80000001, SUBLEAF_ANY)->eax = model->signature;
}

static void fill_brand(struct cpuid_table *table)
{
	char brand[48] = { 0 };

	memcpy(brand, table->model->brand, strlen(table->model->brand));
	for (unsigned i = 0; i < 3; i++)
		memcpy(row_at(table, 0x80000002 + i, SUBLEAF_ANY), brand + 16 * i, 16);
}

/* One package with `vcpus` cores of one thread each. */
static void fill_topology(struct cpuid_table *table, unsigned vcpus)
{
	unsigned core_bits = log2_ceil(vcpus);
	unsigned ids = 1u << core_bits;
	struct cpuid_result *leaf1 = row_at(table, 0x1, SUBLEAF_ANY);

	leaf1->ebx = (CLFLUSH_BYTES / 8) << 8 | ids << 16;
	if (vcpus > 1)
		leaf1->edx |= FEATURE_MASK(FEATURE_HTT);
	*row_at(table, 0xb, 0) = (struct cpuid_result){ 0, 1, TOPOLOGY_SMT << 8, 0 };
	*row_at(table, 0xb, 1) =
		(struct cpuid_result){ core_bits, vcpus, TOPOLOGY_CORE << 8 | 1, 0 };
	if (table->model->vendor == CPU_AMD) {
		if (vcpus > 1)
			row_at(table, 0x80000001, SUBLEAF_ANY)->ecx |=
				FEATURE_MASK(FEATURE_CMP_LEGACY);
		row_at(table, 0x80000008, SUBLEAF_ANY)->ecx = core_bits << 12 | (vcpus - 1);
		row_at(table, 0x8000001d, 3)->eax |= (vcpus - 1) << 14;
		row_at(table, 0x8000001e, SUBLEAF_ANY);
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		row_at(table, 0x4, i)->eax |= (ids - 1) << 26;
	row_at(table, 0x4, 3)->eax |= (ids - 1) << 14;
}

/* The TSC's rate in leaf 15h, as a multiple of the clock at which local APIC timers count. */
static void fill_clock(struct cpuid_table *table, uint64_t tsc_khz)
{
	uint32_t mhz = (uint32_t)(tsc_khz / 1000);
	uint32_t ratio = clock_bus_ratio(tsc_khz);

	if (table->model->vendor != CPU_INTEL)
		return;
	*row_at(table, 0x15, SUBLEAF_ANY) =
		(struct cpuid_result){ 1, ratio, (uint32_t)(tsc_khz * 1000 / ratio), 0 };
	*row_at(table, 0x16, SUBLEAF_ANY) = (struct cpuid_result){ mhz, mhz, 100, 0 };
}

static uint64_t xcr0_offered(const struct cpuid_table *table)
{
	return XCR0_X87 | XCR0_SSE | (has(table, FEATURE_AVX) ? XCR0_AVX : 0) |
	       (has(table, FEATURE_PKU) ? XCR0_PKRU : 0);
}

static uint32_t xsave_bytes(uint64_t components)
{
	if (components & XCR0_PKRU)
		return XSAVE_PKRU_OFFSET + XSAVE_PKRU_BYTES;
	if (components & XCR0_AVX)
		return XSAVE_AVX_OFFSET + XSAVE_AVX_BYTES;
	return XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES;
}

static uint32_t xsave_compact_bytes(uint64_t components)
{
	return XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES +
	       (components & XCR0_AVX ? XSAVE_AVX_BYTES : 0) +
	       (components & XCR0_PKRU ? XSAVE_PKRU_BYTES : 0);
}

static void fill_xsave(struct cpuid_table *table)
{
	uint64_t offered = xcr0_offered(table);

	*row_at(table, 0xd, 0) =
		(struct cpuid_result){ (uint32_t)offered, 0, xsave_bytes(offered), 0 };
	if (offered & XCR0_AVX)
		*row_at(table, 0xd, 2) =
			(struct cpuid_result){ XSAVE_AVX_BYTES, XSAVE_AVX_OFFSET, 0, 0 };
	if (offered & XCR0_PKRU)
		*row_at(table, 0xd, 9) =
			(struct cpuid_result){ XSAVE_PKRU_BYTES, XSAVE_PKRU_OFFSET, 0, 0 };
}

static void fill_hypervisor(struct cpuid_table *table)
{
	*row_at(table, LEAF_HYPERVISOR, SUBLEAF_ANY) = (struct cpuid_result){
		LEAF_HYPERVISOR_MAX,
		(uint32_t)load_le("KVMK", 4),
		(uint32_t)load_le("VMKV", 4),
		(uint32_t)load_le("M\0\0\0", 4),
	};
	row_at(table, LEAF_HYPERVISOR_MAX, SUBLEAF_ANY)->eax =
		KVM_CLOCKSOURCE | KVM_NOP_IO_DELAY | KVM_CLOCKSOURCE2 | KVM_CLOCKSOURCE_STABLE;
}

struct cpuid_table *cpuid_table_create(enum cpu_vendor vendor, unsigned vcpus, uint64_t tsc_khz,
				       bool is_nested)
{
	struct cpuid_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->model = model_find(vendor);
	model_features(table->model, is_nested, table->words);
	for (unsigned i = 0; i < table->model->row_count; i++) {
		const struct cpuid_row *row = &table->model->rows[i];

		*row_at(table, row->leaf, row->subleaf) = row->value;
	}
	fill_features(table);
	fill_vendor(table);
	fill_brand(table);
	fill_topology(table, vcpus);
	fill_clock(table, tsc_khz);
	fill_xsave(table);
	fill_hypervisor(table);
	row_at(table, 0x80000008, SUBLEAF_ANY)->eax = LINEAR_BITS << 8 | PHYSICAL_BITS;
	if (vendor == CPU_AMD)
		row_at(table, 0x80000001, SUBLEAF_ANY)->edx |=
			row_at(table, 0x1, SUBLEAF_ANY)->edx & AMD_REPEATED_EDX;
	return table;
}

void cpuid_table_destroy(struct cpuid_table *table)
{
	free(table);
}

void cpuid_table_features(const struct cpuid_table *table, uint32_t features[CPUID_WORDS])
{
	memcpy(features, table->words, sizeof(table->words));
}

/* Bits of a leaf that follow the vCPU's state. */
static void live_leaf_1(struct cpu *cpu, struct cpuid_result *r)
{
	r->ebx |= cpu->index << 24;
	if (cpu->cr4 & CR4_OSXSAVE)
		r->ecx |= FEATURE_MASK(FEATURE_OSXSAVE);
	if (!(irq_apic_base(cpu->soft->config.irq, cpu->index) & APIC_ENABLED))
		r->edx &= ~FEATURE_MASK(FEATURE_APIC);
	if (!(cpu->msr.misc_enable & MISC_ENABLE_MONITOR))
		r->ecx &= ~FEATURE_MASK(FEATURE_MONITOR);
}

static void live_leaf_7(struct cpu *cpu, struct cpuid_result *r)
{
	if (cpu->cr4 & CR4_PKE)
		r->ecx |= FEATURE_MASK(FEATURE_OSPKE);
}

static void live_leaf_d(struct cpu *cpu, uint32_t subleaf, struct cpuid_result *r)
{
	if (subleaf == 0)
		r->ebx = xsave_bytes(cpu->xcr0);
	else if (subleaf == 1)
		r->ebx = xsave_compact_bytes(cpu->xcr0 | cpu->msr.xss);
}

static void live_extended_1(struct cpu *cpu, struct cpuid_result *r)
{
	if (cpu->soft->config.vendor == CPU_AMD &&
	    !(irq_apic_base(cpu->soft->config.irq, cpu->index) & APIC_ENABLED))
		r->edx &= ~FEATURE_MASK(FEATURE_APIC);
}

static void make_live(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, struct cpuid_result *r)
{
	switch (leaf) {
	case 0x1:
		live_leaf_1(cpu, r);
		break;
	case 0x7:
		if (subleaf == 0)
			live_leaf_7(cpu, r);
		break;
	case 0xb:
		r->ecx = (r->ecx & ~0xffu) | (subleaf & 0xff);
		r->edx = cpu->index;
		break;
	case 0xd:
		live_leaf_d(cpu, subleaf, r);
		break;
	case 0x80000001:
		live_extended_1(cpu, r);
		break;
	case 0x8000001e:
		if (cpu->soft->config.vendor == CPU_AMD)
			*r = (struct cpuid_result){ cpu->index, cpu->index & 0xff, 0, 0 };
		break;
	}
}

static bool leaf_in_range(const struct cpu_model *model, uint32_t leaf)
{
	switch (leaf & LEAF_CLASS) {
	case 0:
		return leaf <= model->max_leaf;
	case LEAF_HYPERVISOR:
		return true;
	case LEAF_EXTENDED:
		return leaf <= model->max_extended_leaf;
	default:
		return false;
	}
}

struct cpuid_result cpuid_query(struct cpu *cpu, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_table *table = cpu->soft->cpuid;
	struct cpuid_result result = { 0, 0, 0, 0 };
	const struct cpuid_row *row;

	if (!leaf_in_range(table->model, leaf)) {
		if (table->model->vendor == CPU_AMD)
			return result;
		leaf = table->model->max_leaf; /* Intel: the data of the last basic leaf */
	}
	row = find_row(table, leaf, subleaf);
	if (row)
		result = row->value;
	make_live(cpu, leaf, subleaf, &result);
	return result;
}
