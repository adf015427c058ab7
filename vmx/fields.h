/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMCS's fields: one row each, from which the indices, the look-up by encoding, the names in
 * messages and IA32_VMX_VMCS_ENUM come. Width and type are in the encoding. SDM3: "Field Encoding
 * in VMCS".
 */
#ifndef VMX_FIELDS_H
#define VMX_FIELDS_H

#include "lib/base.h"

/* clang-format off */
#define VMCS_FIELD_TABLE(F) \
	/* 16 bits: control, guest, host */ \
	F(VPID, 0x0000) F(POSTED_INTERRUPT_VECTOR, 0x0002) F(EPTP_INDEX, 0x0004) \
	F(GUEST_ES_SELECTOR, 0x0800) F(GUEST_CS_SELECTOR, 0x0802) F(GUEST_SS_SELECTOR, 0x0804) \
	F(GUEST_DS_SELECTOR, 0x0806) F(GUEST_FS_SELECTOR, 0x0808) F(GUEST_GS_SELECTOR, 0x080a) \
	F(GUEST_LDTR_SELECTOR, 0x080c) F(GUEST_TR_SELECTOR, 0x080e) F(GUEST_INTERRUPT_STATUS, 0x0810) \
	F(PML_INDEX, 0x0812) \
	F(HOST_ES_SELECTOR, 0x0c00) F(HOST_CS_SELECTOR, 0x0c02) F(HOST_SS_SELECTOR, 0x0c04) \
	F(HOST_DS_SELECTOR, 0x0c06) F(HOST_FS_SELECTOR, 0x0c08) F(HOST_GS_SELECTOR, 0x0c0a) \
	F(HOST_TR_SELECTOR, 0x0c0c) \
	/* 64 bits: control */ \
	F(IO_BITMAP_A, 0x2000) F(IO_BITMAP_B, 0x2002) F(MSR_BITMAP, 0x2004) F(EXIT_MSR_STORE, 0x2006) \
	F(EXIT_MSR_LOAD, 0x2008) F(ENTRY_MSR_LOAD, 0x200a) F(EXECUTIVE_VMCS, 0x200c) F(PML_ADDRESS, 0x200e) \
	F(TSC_OFFSET, 0x2010) F(VIRTUAL_APIC_PAGE, 0x2012) F(APIC_ACCESS_PAGE, 0x2014) \
	F(POSTED_INTERRUPT_DESCRIPTOR, 0x2016) F(VM_FUNCTION_CONTROLS, 0x2018) F(EPT_POINTER, 0x201a) \
	F(EOI_EXIT_BITMAP0, 0x201c) F(EOI_EXIT_BITMAP1, 0x201e) F(EOI_EXIT_BITMAP2, 0x2020) \
	F(EOI_EXIT_BITMAP3, 0x2022) F(EPTP_LIST, 0x2024) F(VMREAD_BITMAP, 0x2026) F(VMWRITE_BITMAP, 0x2028) \
	F(VE_INFORMATION, 0x202a) F(XSS_EXIT_BITMAP, 0x202c) F(TSC_MULTIPLIER, 0x2032) \
	/* 64 bits: read-only, guest, host */ \
	F(GUEST_PHYSICAL_ADDRESS, 0x2400) \
	F(VMCS_LINK_POINTER, 0x2800) F(GUEST_DEBUGCTL, 0x2802) F(GUEST_PAT, 0x2804) F(GUEST_EFER, 0x2806) \
	F(GUEST_PERF_GLOBAL_CTRL, 0x2808) F(GUEST_PDPTE0, 0x280a) F(GUEST_PDPTE1, 0x280c) F(GUEST_PDPTE2, 0x280e) \
	F(GUEST_PDPTE3, 0x2810) \
	F(HOST_PAT, 0x2c00) F(HOST_EFER, 0x2c02) F(HOST_PERF_GLOBAL_CTRL, 0x2c04) \
	/* 32 bits: control */ \
	F(PIN_CONTROLS, 0x4000) F(PROC_CONTROLS, 0x4002) F(EXCEPTION_BITMAP, 0x4004) F(PF_ERROR_MASK, 0x4006) \
	F(PF_ERROR_MATCH, 0x4008) F(CR3_TARGET_COUNT, 0x400a) F(EXIT_CONTROLS, 0x400c) \
	F(EXIT_MSR_STORE_COUNT, 0x400e) F(EXIT_MSR_LOAD_COUNT, 0x4010) F(ENTRY_CONTROLS, 0x4012) \
	F(ENTRY_MSR_LOAD_COUNT, 0x4014) F(ENTRY_INTERRUPTION, 0x4016) F(ENTRY_ERROR_CODE, 0x4018) \
	F(ENTRY_INSTRUCTION_LENGTH, 0x401a) F(TPR_THRESHOLD, 0x401c) F(PROC_CONTROLS2, 0x401e) F(PLE_GAP, 0x4020) \
	F(PLE_WINDOW, 0x4022) \
	/* 32 bits: read-only */ \
	F(INSTRUCTION_ERROR, 0x4400) F(EXIT_REASON, 0x4402) F(EXIT_INTERRUPTION, 0x4404) \
	F(EXIT_INTERRUPTION_ERROR, 0x4406) F(IDT_VECTORING, 0x4408) F(IDT_VECTORING_ERROR, 0x440a) \
	F(EXIT_INSTRUCTION_LENGTH, 0x440c) F(EXIT_INSTRUCTION_INFORMATION, 0x440e) \
	/* 32 bits: guest, host */ \
	F(GUEST_ES_LIMIT, 0x4800) F(GUEST_CS_LIMIT, 0x4802) F(GUEST_SS_LIMIT, 0x4804) F(GUEST_DS_LIMIT, 0x4806) \
	F(GUEST_FS_LIMIT, 0x4808) F(GUEST_GS_LIMIT, 0x480a) F(GUEST_LDTR_LIMIT, 0x480c) F(GUEST_TR_LIMIT, 0x480e) \
	F(GUEST_GDTR_LIMIT, 0x4810) F(GUEST_IDTR_LIMIT, 0x4812) F(GUEST_ES_AR, 0x4814) F(GUEST_CS_AR, 0x4816) \
	F(GUEST_SS_AR, 0x4818) F(GUEST_DS_AR, 0x481a) F(GUEST_FS_AR, 0x481c) F(GUEST_GS_AR, 0x481e) \
	F(GUEST_LDTR_AR, 0x4820) F(GUEST_TR_AR, 0x4822) F(GUEST_INTERRUPTIBILITY, 0x4824) F(GUEST_ACTIVITY, 0x4826) \
	F(GUEST_SMBASE, 0x4828) F(GUEST_SYSENTER_CS, 0x482a) F(PREEMPTION_TIMER, 0x482e) \
	F(HOST_SYSENTER_CS, 0x4c00) \
	/* natural width: control, read-only */ \
	F(CR0_MASK, 0x6000) F(CR4_MASK, 0x6002) F(CR0_SHADOW, 0x6004) F(CR4_SHADOW, 0x6006) F(CR3_TARGET0, 0x6008) \
	F(CR3_TARGET1, 0x600a) F(CR3_TARGET2, 0x600c) F(CR3_TARGET3, 0x600e) \
	F(EXIT_QUALIFICATION, 0x6400) F(IO_RCX, 0x6402) F(IO_RSI, 0x6404) F(IO_RDI, 0x6406) F(IO_RIP, 0x6408) \
	F(GUEST_LINEAR_ADDRESS, 0x640a) \
	/* natural width: guest, host */ \
	F(GUEST_CR0, 0x6800) F(GUEST_CR3, 0x6802) F(GUEST_CR4, 0x6804) F(GUEST_ES_BASE, 0x6806) F(GUEST_CS_BASE, 0x6808) \
	F(GUEST_SS_BASE, 0x680a) F(GUEST_DS_BASE, 0x680c) F(GUEST_FS_BASE, 0x680e) F(GUEST_GS_BASE, 0x6810) \
	F(GUEST_LDTR_BASE, 0x6812) F(GUEST_TR_BASE, 0x6814) F(GUEST_GDTR_BASE, 0x6816) F(GUEST_IDTR_BASE, 0x6818) \
	F(GUEST_DR7, 0x681a) F(GUEST_RSP, 0x681c) F(GUEST_RIP, 0x681e) F(GUEST_RFLAGS, 0x6820) \
	F(GUEST_PENDING_DEBUG, 0x6822) F(GUEST_SYSENTER_ESP, 0x6824) F(GUEST_SYSENTER_EIP, 0x6826) \
	F(HOST_CR0, 0x6c00) F(HOST_CR3, 0x6c02) F(HOST_CR4, 0x6c04) F(HOST_FS_BASE, 0x6c06) F(HOST_GS_BASE, 0x6c08) \
	F(HOST_TR_BASE, 0x6c0a) F(HOST_GDTR_BASE, 0x6c0c) F(HOST_IDTR_BASE, 0x6c0e) F(HOST_SYSENTER_ESP, 0x6c10) \
	F(HOST_SYSENTER_EIP, 0x6c12) F(HOST_RSP, 0x6c14) F(HOST_RIP, 0x6c16)

#define VMCS_FIELD_INDEX(name, encoding) name,
enum vmcs_field { VMCS_FIELD_TABLE(VMCS_FIELD_INDEX) VMCS_FIELDS };
#undef VMCS_FIELD_INDEX
/* clang-format on */

/* Pin-based controls. SDM3: "Pin-Based VM-Execution Controls" */
#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI                BIT(3)
#define PIN_VIRTUAL_NMIS       BIT(5)
#define PIN_PREEMPTION_TIMER   BIT(6)
#define PIN_POSTED_INTERRUPTS  BIT(7)

/* Primary processor-based controls */
#define PROC_INTERRUPT_WINDOW BIT(2)
#define PROC_TSC_OFFSET       BIT(3)
#define PROC_HLT              BIT(7)
#define PROC_INVLPG           BIT(9)
#define PROC_MWAIT            BIT(10)
#define PROC_RDPMC            BIT(11)
#define PROC_RDTSC            BIT(12)
#define PROC_CR3_LOAD         BIT(15)
#define PROC_CR3_STORE        BIT(16)
#define PROC_CR8_LOAD         BIT(19)
#define PROC_CR8_STORE        BIT(20)
#define PROC_TPR_SHADOW       BIT(21)
#define PROC_NMI_WINDOW       BIT(22)
#define PROC_MOV_DR           BIT(23)
#define PROC_UNCONDITIONAL_IO BIT(24)
#define PROC_IO_BITMAPS       BIT(25)
#define PROC_MONITOR_TRAP     BIT(27)
#define PROC_MSR_BITMAPS      BIT(28)
#define PROC_MONITOR          BIT(29)
#define PROC_PAUSE            BIT(30)
#define PROC_SECONDARY        BIT(31)

/* Secondary processor-based controls */
#define PROC2_APIC_ACCESS        BIT(0)
#define PROC2_EPT                BIT(1)
#define PROC2_DESCRIPTOR_TABLE   BIT(2)
#define PROC2_RDTSCP             BIT(3)
#define PROC2_X2APIC             BIT(4)
#define PROC2_VPID               BIT(5)
#define PROC2_WBINVD             BIT(6)
#define PROC2_UNRESTRICTED_GUEST BIT(7)
#define PROC2_APIC_REGISTERS     BIT(8)
#define PROC2_VIRTUAL_INTERRUPTS BIT(9)
#define PROC2_PAUSE_LOOP         BIT(10)
#define PROC2_RDRAND             BIT(11)
#define PROC2_INVPCID            BIT(12)
#define PROC2_VMFUNC             BIT(13)
#define PROC2_VMCS_SHADOWING     BIT(14)
#define PROC2_RDSEED             BIT(16)
#define PROC2_PML                BIT(17)
#define PROC2_EPT_VE             BIT(18)
#define PROC2_XSAVES             BIT(20)
#define PROC2_MODE_BASED_EXECUTE BIT(22)
#define PROC2_TSC_SCALING        BIT(25)

/* VM-function controls */
#define VMFUNC_EPTP_SWITCHING BIT(0)

/* VM-exit controls */
#define EXITC_SAVE_DEBUG            BIT(2)
#define EXITC_HOST_64               BIT(9)
#define EXITC_LOAD_PERF_GLOBAL_CTRL BIT(12)
#define EXITC_ACK_INTERRUPT         BIT(15)
#define EXITC_SAVE_PAT              BIT(18)
#define EXITC_LOAD_PAT              BIT(19)
#define EXITC_SAVE_EFER             BIT(20)
#define EXITC_LOAD_EFER             BIT(21)
#define EXITC_SAVE_TIMER            BIT(22)
#define EXITC_SAVE_PERF_GLOBAL_CTRL BIT(30)

/* VM-entry controls */
#define ENTRYC_LOAD_DEBUG            BIT(2)
#define ENTRYC_IA32E                 BIT(9)
#define ENTRYC_SMM                   BIT(10)
#define ENTRYC_DEACTIVATE_DUAL       BIT(11)
#define ENTRYC_LOAD_PERF_GLOBAL_CTRL BIT(13)
#define ENTRYC_LOAD_PAT              BIT(14)
#define ENTRYC_LOAD_EFER             BIT(15)

/* Interruption information and interruptibility */
#define INTERRUPTION_VALID       BIT(31)
#define INTERRUPTION_ERROR       BIT(11)
#define INTERRUPTION_NMI_UNBLOCK BIT(12)
#define INTERRUPTION_TYPE_SHIFT  8
#define INTERRUPTIBILITY_STI     BIT(0)
#define INTERRUPTIBILITY_MOV_SS  BIT(1)
#define INTERRUPTIBILITY_SMI     BIT(2)
#define INTERRUPTIBILITY_NMI     BIT(3)
#define PENDING_ENABLED          BIT(12) /* debug exceptions: an enabled breakpoint was met */

/* Parts of an encoding */
#define VMCS_HIGH  1u     /* access to the upper half of a 64-bit field */
#define VMCS_INDEX 0x3feu /* bits 9:1 */

enum vmcs_width { VMCS_16, VMCS_64, VMCS_32, VMCS_NATURAL }; /* bits 14:13 of the encoding */

struct vmcs_field_info {
	const char *name;
	uint32_t encoding;
};

extern const struct vmcs_field_info vmcs_fields[VMCS_FIELDS];

/* The index of the field with this encoding; -1: there is none. Bit 0, access to the upper half, is
 * looked through for 64-bit fields and matches no other. Constant time. */
int vmcs_field_find(uint32_t encoding);

static inline enum vmcs_width vmcs_field_width(uint32_t encoding)
{
	return encoding >> 13 & 3;
}

/* The bits that a field of this encoding holds (natural width: 64). */
static inline uint64_t vmcs_field_mask(uint32_t encoding)
{
	switch (vmcs_field_width(encoding)) {
	case VMCS_16:
		return 0xffff;
	case VMCS_32:
		return 0xffffffff;
	default:
		return ~0ull;
	}
}

#endif
