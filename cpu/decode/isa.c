/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One row an instruction-set extension, in Zydis's naming. What has no row is never offered:
 * AVX-512, CET, MPX, AMX, SGX and the like.
 */
#include "cpu/decode/isa.h"

#include "cpu/feature.h"

enum isa_need { NEVER, ALWAYS, IF_FEATURE };

struct isa_row {
	uint8_t need;  /* enum isa_need */
	uint8_t class; /* enum isa_class */
	uint16_t feature, feature2;
};

// clang-format off
#define BASE(name)                     [ZYDIS_ISA_SET_##name] = { ALWAYS, ISA_NOT_HOSTED, 0, 0 }
#define WITH(name, class, feature)     [ZYDIS_ISA_SET_##name] = { IF_FEATURE, class, feature, feature }
#define BOTH(name, class, one, other)  [ZYDIS_ISA_SET_##name] = { IF_FEATURE, class, one, other }

static const struct isa_row rows[ZYDIS_ISA_SET_MAX_VALUE + 1] = {
	BASE(I86), BASE(I186), BASE(I286PROTECTED), BASE(I286REAL), BASE(I386), BASE(I486),
	BASE(I486REAL), BASE(PENTIUMREAL), BASE(PPRO), BASE(LONGMODE), BASE(FAT_NOP), BASE(PAUSE),
	BASE(PREFETCH_NOP), BASE(LAHF), BASE(RDPMC),
	WITH(CLDEMOTE, ISA_NOT_HOSTED, FEATURE_CLDEMOTE),
	WITH(CLFLUSHOPT, ISA_NOT_HOSTED, FEATURE_CLFLUSHOPT),
	WITH(CLFSH, ISA_NOT_HOSTED, FEATURE_CLFSH),
	WITH(CLWB, ISA_NOT_HOSTED, FEATURE_CLWB),
	WITH(CLZERO, ISA_NOT_HOSTED, FEATURE_CLZERO),
	WITH(CMOV, ISA_NOT_HOSTED, FEATURE_CMOV),
	WITH(CMPXCHG16B, ISA_NOT_HOSTED, FEATURE_CX16),
	WITH(FXSAVE, ISA_NOT_HOSTED, FEATURE_FXSR),
	WITH(FXSAVE64, ISA_NOT_HOSTED, FEATURE_FXSR),
	WITH(INVPCID, ISA_NOT_HOSTED, FEATURE_INVPCID),
	WITH(MONITOR, ISA_NOT_HOSTED, FEATURE_MONITOR),
	WITH(MOVDIR, ISA_NOT_HOSTED, FEATURE_MOVDIRI),
	WITH(PKU, ISA_NOT_HOSTED, FEATURE_PKU),
	WITH(PREFETCHWT1, ISA_NOT_HOSTED, FEATURE_PREFETCHWT1),
	WITH(RDPID, ISA_NOT_HOSTED, FEATURE_RDPID),
	WITH(RDTSCP, ISA_NOT_HOSTED, FEATURE_RDTSCP),
	WITH(RDWRFSGS, ISA_NOT_HOSTED, FEATURE_FSGSBASE),
	WITH(RTM, ISA_NOT_HOSTED, FEATURE_RTM),
	WITH(SERIALIZE, ISA_NOT_HOSTED, FEATURE_SERIALIZE),
	WITH(SMAP, ISA_NOT_HOSTED, FEATURE_SMAP),
	WITH(SSE_PREFETCH, ISA_NOT_HOSTED, FEATURE_SSE),
	WITH(SVM, ISA_NOT_HOSTED, FEATURE_SVM),
	WITH(VMFUNC, ISA_NOT_HOSTED, FEATURE_VMX),
	WITH(VTX, ISA_NOT_HOSTED, FEATURE_VMX),
	WITH(WAITPKG, ISA_NOT_HOSTED, FEATURE_WAITPKG),
	WITH(XSAVE, ISA_NOT_HOSTED, FEATURE_XSAVE),
	WITH(XSAVEC, ISA_NOT_HOSTED, FEATURE_XSAVEC),
	WITH(XSAVEOPT, ISA_NOT_HOSTED, FEATURE_XSAVEOPT),
	WITH(XSAVES, ISA_NOT_HOSTED, FEATURE_XSAVES),

	WITH(ADOX_ADCX, ISA_GPR, FEATURE_ADX),
	WITH(BMI1, ISA_GPR, FEATURE_BMI1),
	WITH(BMI2, ISA_GPR, FEATURE_BMI2),
	WITH(LZCNT, ISA_GPR, FEATURE_LZCNT),
	WITH(MOVBE, ISA_GPR, FEATURE_MOVBE),
	WITH(POPCNT, ISA_GPR, FEATURE_POPCNT),
	WITH(RDRAND, ISA_GPR, FEATURE_RDRAND),
	WITH(RDSEED, ISA_GPR, FEATURE_RDSEED),

	WITH(FCMOV, ISA_X87, FEATURE_CMOV),
	WITH(SSE3X87, ISA_X87, FEATURE_SSE3),
	WITH(X87, ISA_X87, FEATURE_FPU),

	WITH(PENTIUMMMX, ISA_MMX, FEATURE_MMX),
	WITH(SSE2MMX, ISA_MMX, FEATURE_SSE2),
	WITH(SSSE3MMX, ISA_MMX, FEATURE_SSSE3),

	WITH(AES, ISA_SSE, FEATURE_AES),
	WITH(GFNI, ISA_SSE, FEATURE_GFNI),
	WITH(PCLMULQDQ, ISA_SSE, FEATURE_PCLMULQDQ),
	WITH(SHA, ISA_SSE, FEATURE_SHA),
	WITH(SSE, ISA_SSE, FEATURE_SSE),
	WITH(SSE2, ISA_SSE, FEATURE_SSE2),
	WITH(SSE3, ISA_SSE, FEATURE_SSE3),
	WITH(SSE4, ISA_SSE, FEATURE_SSE41),
	WITH(SSE42, ISA_SSE, FEATURE_SSE42),
	WITH(SSE4A, ISA_SSE, FEATURE_SSE4A),
	WITH(SSEMXCSR, ISA_SSE, FEATURE_SSE),
	WITH(SSSE3, ISA_SSE, FEATURE_SSSE3),

	WITH(AVX, ISA_AVX, FEATURE_AVX),
	WITH(AVX2, ISA_AVX, FEATURE_AVX2),
	WITH(AVX2GATHER, ISA_AVX, FEATURE_AVX2),
	WITH(AVX_VNNI, ISA_AVX, FEATURE_AVX_VNNI),
	BOTH(AVXAES, ISA_AVX, FEATURE_AVX, FEATURE_AES),
	BOTH(AVX_GFNI, ISA_AVX, FEATURE_AVX, FEATURE_GFNI),
	BOTH(F16C, ISA_AVX, FEATURE_AVX, FEATURE_F16C),
	BOTH(FMA, ISA_AVX, FEATURE_AVX, FEATURE_FMA),
	BOTH(VAES, ISA_AVX, FEATURE_AVX, FEATURE_VAES),
	BOTH(VPCLMULQDQ, ISA_AVX, FEATURE_AVX, FEATURE_VPCLMULQDQ),
};
// clang-format on

static bool has(const struct soft *soft, unsigned feature)
{
	return soft->features[feature / 32] & FEATURE_MASK(feature);
}

/* What Zydis files under an extension that is not the one which decides. */
static bool is_exception_offered(const struct soft *soft, const ZydisDecodedInstruction *zydis)
{
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_LAHF:
	case ZYDIS_MNEMONIC_SAHF:
		return zydis->machine_mode != ZYDIS_MACHINE_MODE_LONG_64 ||
		       has(soft, FEATURE_LAHF64);
	case ZYDIS_MNEMONIC_VPCLMULQDQ:
		return has(soft, FEATURE_PCLMULQDQ);
	case ZYDIS_MNEMONIC_MOVDIR64B:
		return has(soft, FEATURE_MOVDIR64B);
	default:
		return true;
	}
}

/* Hypercalls need a hypervisor below, not VT-x or AMD-V in the guest. */
static bool is_hypercall(const ZydisDecodedInstruction *zydis)
{
	return zydis->mnemonic == ZYDIS_MNEMONIC_VMCALL ||
	       zydis->mnemonic == ZYDIS_MNEMONIC_VMMCALL;
}

/* Zydis has one extension for them in 64-bit mode and another one elsewhere. */
static bool is_fast_call(const ZydisDecodedInstruction *zydis)
{
	return zydis->mnemonic == ZYDIS_MNEMONIC_SYSCALL ||
	       zydis->mnemonic == ZYDIS_MNEMONIC_SYSRET;
}

bool isa_is_offered(const struct soft *soft, const ZydisDecodedInstruction *zydis)
{
	const struct isa_row *row = &rows[zydis->meta.isa_set];

	if (is_hypercall(zydis))
		return has(soft, FEATURE_HYPERVISOR);
	if (is_fast_call(zydis))
		return has(soft, FEATURE_SYSCALL);
	switch (row->need) {
	case ALWAYS:
		return is_exception_offered(soft, zydis);
	case IF_FEATURE:
		return has(soft, row->feature) && has(soft, row->feature2) &&
		       is_exception_offered(soft, zydis);
	default:
		return false;
	}
}

enum isa_class isa_class_of(const ZydisDecodedInstruction *zydis)
{
	enum isa_class class = rows[zydis->meta.isa_set].class;

	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_SFENCE:
		return ISA_GPR;
	case ZYDIS_MNEMONIC_FISTTP:
	case ZYDIS_MNEMONIC_FCOMI:
	case ZYDIS_MNEMONIC_FCOMIP:
	case ZYDIS_MNEMONIC_FUCOMI:
	case ZYDIS_MNEMONIC_FUCOMIP:
		return ISA_X87;
	case ZYDIS_MNEMONIC_CVTPD2PI:
	case ZYDIS_MNEMONIC_CVTPI2PD:
	case ZYDIS_MNEMONIC_CVTPI2PS:
	case ZYDIS_MNEMONIC_CVTPS2PI:
	case ZYDIS_MNEMONIC_CVTTPD2PI:
	case ZYDIS_MNEMONIC_CVTTPS2PI:
	case ZYDIS_MNEMONIC_MOVDQ2Q:
	case ZYDIS_MNEMONIC_MOVQ2DQ:
		return ISA_SSE_MMX;
	case ZYDIS_MNEMONIC_PMOVMSKB: /* from an MMX register it is filed under SSE */
		return zydis->meta.isa_set == ZYDIS_ISA_SET_SSE ? ISA_MMX : ISA_SSE;
	default:
		return class == ISA_GPR && zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX
			       ? ISA_GPR_VEX
			       : class;
	}
}
