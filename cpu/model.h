/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU models as data: what CPUID and the identifying MSRs of a model say. One model a vendor; what
 * depends on the number of vCPUs, the clock or live state is filled in by cpu/cpuid.c.
 */
#ifndef CPU_MODEL_H
#define CPU_MODEL_H

#include "cpu/cpuid.h"
#include "cpu/feature.h"

#define SUBLEAF_ANY (~0u)

struct cpuid_row {
	uint32_t leaf, subleaf;
	struct cpuid_result value;
};

struct cpu_model {
	enum cpu_vendor vendor;
	const char *vendor_string; /* 12 characters */
	const char *brand;         /* at most 47 characters */
	uint32_t signature;        /* family, model, stepping: leaf 1 EAX */
	uint32_t max_leaf, max_extended_leaf;
	uint64_t microcode; /* IA32_BIOS_SIGN_ID */
	uint64_t arch_capabilities;
	const uint16_t *features; /* enum feature, beyond those that all models have */
	unsigned feature_count;
	const uint16_t *nested_features; /* those of the virtualization extension */
	unsigned nested_count;           /* 0: this version has none for the model */
	const struct cpuid_row *rows;    /* constant leaves */
	unsigned row_count;
};

const struct cpu_model *model_find(enum cpu_vendor vendor);

/* Where CPUID shows a feature word. */
struct cpuid_word_place {
	uint32_t leaf, subleaf;
	uint8_t reg; /* 0 to 3: EAX, EBX, ECX, EDX */
};

extern const struct cpuid_word_place cpuid_word_places[CPUID_WORDS];

/*
 * The feature words of a model on this host: instructions that run on host registers are left out
 * where the host lacks them. is_nested: with the virtualization extension.
 */
void model_features(const struct cpu_model *model, bool is_nested, uint32_t words[CPUID_WORDS]);

#endif
