/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rows of cpu/model.h: one Intel and one AMD processor of the x86-64-v3 level, both of a
 * generation that is immune to Meltdown, L1TF, MDS, Retbleed and their kin, and says so in the way
 * that stock kernels look for it, so that these drop their mitigations.
 */
#include <cpuid.h>

#include "cpu/model.h"
#include "cpu/pmu.h"

const struct cpuid_word_place cpuid_word_places[CPUID_WORDS] = {
	[CPUID_1_ECX] = { 0x1, 0, 2 },
	[CPUID_1_EDX] = { 0x1, 0, 3 },
	[CPUID_7_EBX] = { 0x7, 0, 1 },
	[CPUID_7_ECX] = { 0x7, 0, 2 },
	[CPUID_7_EDX] = { 0x7, 0, 3 },
	[CPUID_7_1_EAX] = { 0x7, 1, 0 },
	[CPUID_7_2_EDX] = { 0x7, 2, 3 },
	[CPUID_D_1_EAX] = { 0xd, 1, 0 },
	[CPUID_8000_0001_ECX] = { 0x80000001, 0, 2 },
	[CPUID_8000_0001_EDX] = { 0x80000001, 0, 3 },
	[CPUID_8000_0007_EDX] = { 0x80000007, 0, 3 },
	[CPUID_8000_0008_EBX] = { 0x80000008, 0, 1 },
	[CPUID_8000_0021_EAX] = { 0x80000021, 0, 0 },
};

/* clang-format off */
static const uint16_t common_features[] = {
	FEATURE_FPU, FEATURE_VME, FEATURE_DE, FEATURE_PSE, FEATURE_TSC, FEATURE_MSR, FEATURE_PAE,
	FEATURE_MCE, FEATURE_CX8, FEATURE_APIC, FEATURE_SEP, FEATURE_MTRR, FEATURE_PGE, FEATURE_MCA,
	FEATURE_CMOV, FEATURE_PAT, FEATURE_PSE36, FEATURE_CLFSH, FEATURE_MMX, FEATURE_FXSR,
	FEATURE_SSE, FEATURE_SSE2,

	FEATURE_SSE3, FEATURE_PCLMULQDQ, FEATURE_SSSE3, FEATURE_FMA, FEATURE_CX16, FEATURE_PCID,
	FEATURE_SSE41, FEATURE_SSE42, FEATURE_X2APIC, FEATURE_MOVBE, FEATURE_POPCNT,
	FEATURE_TSC_DEADLINE, FEATURE_AES, FEATURE_XSAVE, FEATURE_AVX, FEATURE_F16C, FEATURE_RDRAND,
	FEATURE_HYPERVISOR,

	FEATURE_FSGSBASE, FEATURE_TSC_ADJUST, FEATURE_BMI1, FEATURE_AVX2, FEATURE_SMEP, FEATURE_BMI2,
	FEATURE_ERMS, FEATURE_INVPCID, FEATURE_RDSEED, FEATURE_ADX, FEATURE_SMAP, FEATURE_CLFLUSHOPT,
	FEATURE_CLWB, FEATURE_SHA,

	FEATURE_UMIP, FEATURE_PKU, FEATURE_RDPID, FEATURE_FSRM,
	FEATURE_XSAVEOPT, FEATURE_XSAVEC, FEATURE_XGETBV1, FEATURE_XSAVES,
	FEATURE_LAHF64, FEATURE_LZCNT, FEATURE_PREFETCHW,
	FEATURE_SYSCALL, FEATURE_NX, FEATURE_PDPE1GB, FEATURE_RDTSCP, FEATURE_LM,
	FEATURE_INVARIANT_TSC, FEATURE_WBNOINVD,
};

/* What runs as the host's own instruction. */
static const uint16_t host_features[] = {
	FEATURE_SSE3, FEATURE_PCLMULQDQ, FEATURE_SSSE3, FEATURE_FMA, FEATURE_CX16, FEATURE_SSE41,
	FEATURE_SSE42, FEATURE_MOVBE, FEATURE_POPCNT, FEATURE_AES, FEATURE_AVX, FEATURE_F16C,
	FEATURE_RDRAND, FEATURE_BMI1, FEATURE_AVX2, FEATURE_BMI2, FEATURE_RDSEED, FEATURE_ADX,
	FEATURE_SHA, FEATURE_LZCNT,
};

/* The part of them that needs the host's YMM state. */
static const uint16_t avx_features[] = {
	FEATURE_AVX, FEATURE_AVX2, FEATURE_FMA, FEATURE_F16C,
};

static const uint16_t intel_features[] = {
	FEATURE_MONITOR, FEATURE_SS, FEATURE_SPEC_CTRL, FEATURE_STIBP, FEATURE_ARCH_CAPABILITIES,
	FEATURE_BHI_CTRL, /* without it kernels clear the branch history at each system call */
};

static const uint16_t intel_nested_features[] = {
	FEATURE_VMX,
};

static const uint16_t amd_features[] = {
	FEATURE_MMXEXT, FEATURE_OSVW, FEATURE_TOPOEXT,
	FEATURE_AMD_IBPB, FEATURE_AMD_IBRS, FEATURE_AMD_STIBP, FEATURE_AMD_SSB_NO, FEATURE_AMD_BTC_NO,
	FEATURE_AMD_IBPB_RET, FEATURE_XSAVEERPTR,
	FEATURE_NO_NESTED_DATA_BP, FEATURE_LFENCE_SERIALIZING, FEATURE_NULL_SEL_CLEARS_BASE,
	FEATURE_AUTO_IBRS, FEATURE_SRSO_NO,
};
/* clang-format on */

/* IA32_ARCH_CAPABILITIES. SDM4: "IA32_ARCH_CAPABILITIES" */
#define ARCH_CAP_RDCL_NO      BIT(0)
#define ARCH_CAP_IBRS_ALL     BIT(1)
#define ARCH_CAP_SKIP_L1DFL   BIT(3)
#define ARCH_CAP_SSB_NO       BIT(4)
#define ARCH_CAP_MDS_NO       BIT(5)
#define ARCH_CAP_PSCHANGE_NO  BIT(6)
#define ARCH_CAP_TAA_NO       BIT(8)
#define ARCH_CAP_SBDR_SSDP_NO BIT(13)
#define ARCH_CAP_FBSDP_NO     BIT(14)
#define ARCH_CAP_PSDP_NO      BIT(15)
#define ARCH_CAP_BHI_NO       BIT(20)
#define ARCH_CAP_PBRSB_NO     BIT(24)
#define ARCH_CAP_GDS_NO       BIT(26)
#define ARCH_CAP_RFDS_NO      BIT(27)
#define ARCH_CAP_ITS_NO       BIT(62)

/* Fields of a cache leaf (4 of Intel, 8000_001Dh of AMD). */
#define CACHE_DATA               1
#define CACHE_CODE               2
#define CACHE_UNIFIED            3
#define CACHE_LEVEL(type, level) ((type) | (level) << 5 | 1 << 8 /* self-initializing */)
#define CACHE_WAYS(ways)         (((ways)-1u) << 22 | (64 - 1))
#define CACHE(type, level, w, set)                                  \
	{                                                           \
		CACHE_LEVEL(type, level), CACHE_WAYS(w), (set)-1, 0 \
	}

static const struct cpuid_row intel_rows[] = {
	{ 0x2,
	  SUBLEAF_ANY,
	  { 0x0000ff01, 0xf0, 0, 0 } }, /* caches: see leaf 4; prefetch 64 bytes */
	{ 0x4, 0, CACHE(CACHE_DATA, 1, 8, 64) },
	{ 0x4, 1, CACHE(CACHE_CODE, 1, 8, 64) },
	{ 0x4, 2, CACHE(CACHE_UNIFIED, 2, 16, 2048) },
	{ 0x4, 3, CACHE(CACHE_UNIFIED, 3, 16, 16384) },
	/* MWAIT: lines of 64 bytes, interrupts may break it though masked, C1 */
	{ 0x5, SUBLEAF_ANY, { 64, 64, BIT(0) | BIT(1), 1 << 4 } },
	{ 0x6, SUBLEAF_ANY, { BIT(2), 0, 0, 0 } }, /* the APIC timer never stops */
	{ 0xa, SUBLEAF_ANY, { PMU_CPUID_EAX, PMU_CPUID_EBX, 0, PMU_CPUID_EDX } },
	{ 0x80000006, SUBLEAF_ANY, { 0, 0, 0x08008040, 0 } },
};

static const struct cpuid_row amd_rows[] = {
	{ 0x6, SUBLEAF_ANY, { BIT(2), 0, 0, 0 } },
	{ 0x80000005, SUBLEAF_ANY, { 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140 } },
	{ 0x80000006, SUBLEAF_ANY, { 0x5c002200, 0x6c004200, 0x04006140, 0x00809140 } },
	{ 0x8000001a, SUBLEAF_ANY, { BIT(1) | BIT(2), 0, 0, 0 } },
	{ 0x8000001d, 0, CACHE(CACHE_DATA, 1, 8, 64) },
	{ 0x8000001d, 1, CACHE(CACHE_CODE, 1, 8, 64) },
	{ 0x8000001d, 2, CACHE(CACHE_UNIFIED, 2, 8, 2048) },
	{ 0x8000001d, 3, CACHE(CACHE_UNIFIED, 3, 16, 16384) },
};

static const struct cpu_model models[] = {
	[CPU_INTEL] = {
		.vendor = CPU_INTEL,
		.vendor_string = "GenuineIntel",
		.brand = "Intel(R) Xeon(R) Processor (Nidus)",
		.signature = 0x000806f8, /* family 6, model 143, stepping 8 */
		.max_leaf = 0x16,
		.max_extended_leaf = 0x80000008,
		.microcode = BIT(32),
		.arch_capabilities = ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_SKIP_L1DFL |
				     ARCH_CAP_SSB_NO | ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_NO |
				     ARCH_CAP_TAA_NO | ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO |
				     ARCH_CAP_PSDP_NO | ARCH_CAP_BHI_NO | ARCH_CAP_PBRSB_NO |
				     ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO | ARCH_CAP_ITS_NO,
		.features = intel_features,
		.feature_count = ARRAY_SIZE(intel_features),
		.nested_features = intel_nested_features,
		.nested_count = ARRAY_SIZE(intel_nested_features),
		.rows = intel_rows,
		.row_count = ARRAY_SIZE(intel_rows),
	},
	[CPU_AMD] = {
		.vendor = CPU_AMD,
		.vendor_string = "AuthenticAMD",
		.brand = "AMD EPYC Processor (Nidus)",
		.signature = 0x00b00f21, /* family 1Ah, model 2, stepping 1 */
		.max_leaf = 0xd,
		.max_extended_leaf = 0x80000021,
		.microcode = 0x01000065,
		.features = amd_features,
		.feature_count = ARRAY_SIZE(amd_features),
		.rows = amd_rows,
		.row_count = ARRAY_SIZE(amd_rows),
	},
};

const struct cpu_model *model_find(enum cpu_vendor vendor)
{
	return &models[vendor];
}

static void add_features(uint32_t words[CPUID_WORDS], const uint16_t *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		words[list[i] / 32] |= FEATURE_MASK(list[i]);
}

static bool host_has(unsigned feature)
{
	const struct cpuid_word_place *place = &cpuid_word_places[feature / 32];
	uint32_t regs[4] = { 0, 0, 0, 0 };

	__get_cpuid_count(place->leaf, place->subleaf, &regs[0], &regs[1], &regs[2], &regs[3]);
	return regs[place->reg] & FEATURE_MASK(feature);
}

static bool host_keeps_ymm(void)
{
	const uint32_t ymm = XCR0_SSE | XCR0_AVX;
	uint32_t low, high;

	if (!host_has(FEATURE_OSXSAVE))
		return false;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & ymm) == ymm;
}

void model_features(const struct cpu_model *model, bool is_nested, uint32_t words[CPUID_WORDS])
{
	memset(words, 0, CPUID_WORDS * sizeof(words[0]));
	add_features(words, common_features, ARRAY_SIZE(common_features));
	add_features(words, model->features, model->feature_count);
	if (is_nested)
		add_features(words, model->nested_features, model->nested_count);
	for (unsigned i = 0; i < ARRAY_SIZE(host_features); i++)
		if (!host_has(host_features[i]))
			words[host_features[i] / 32] &= ~FEATURE_MASK(host_features[i]);
	if (host_keeps_ymm())
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(avx_features); i++)
		words[avx_features[i] / 32] &= ~FEATURE_MASK(avx_features[i]);
}
