/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Architectural constants: bits of control registers, flags, descriptors, exceptions, MSR numbers.
 * Facts only; no state. Sources: SDM3, SDM4, APM2.
 */
#ifndef CPU_X86_H
#define CPU_X86_H

#include "lib/base.h"

/*
 * How CS makes code be decoded. MODE_FLAT is MODE_32 in protected mode where segments but FS and GS
 * neither move nor bound anything: CS, DS, ES and SS have a base of 0 and a limit of 4 GiB, DS, ES
 * and SS are writable, and the stack is one of 32 bits.
 */
enum cpu_mode { MODE_16, MODE_32, MODE_64, MODE_FLAT, MODES };

enum exception {
	EXC_DE = 0,
	EXC_DB = 1,
	EXC_NMI = 2,
	EXC_BP = 3,
	EXC_OF = 4,
	EXC_BR = 5,
	EXC_UD = 6,
	EXC_NM = 7,
	EXC_DF = 8,
	EXC_TS = 10,
	EXC_NP = 11,
	EXC_SS = 12,
	EXC_GP = 13,
	EXC_PF = 14,
	EXC_MF = 16,
	EXC_AC = 17,
	EXC_MC = 18,
	EXC_XM = 19,
	EXC_VE = 20,
	EXC_CP = 21,
};

/* Page-fault error code */
#define PF_P  BIT(0)
#define PF_W  BIT(1)
#define PF_U  BIT(2)
#define PF_R  BIT(3) /* a reserved bit is set in a paging structure */
#define PF_I  BIT(4)
#define PF_PK BIT(5)

#define RFLAGS_CF         BIT(0)
#define RFLAGS_ONE        BIT(1)
#define RFLAGS_PF         BIT(2)
#define RFLAGS_AF         BIT(4)
#define RFLAGS_ZF         BIT(6)
#define RFLAGS_SF         BIT(7)
#define RFLAGS_TF         BIT(8)
#define RFLAGS_IF         BIT(9)
#define RFLAGS_DF         BIT(10)
#define RFLAGS_OF         BIT(11)
#define RFLAGS_IOPL_SHIFT 12
#define RFLAGS_IOPL       (3ull << RFLAGS_IOPL_SHIFT)
#define RFLAGS_NT         BIT(14)
#define RFLAGS_RF         BIT(16)
#define RFLAGS_VM         BIT(17)
#define RFLAGS_AC         BIT(18)
#define RFLAGS_VIF        BIT(19)
#define RFLAGS_VIP        BIT(20)
#define RFLAGS_ID         BIT(21)
#define RFLAGS_STATUS     (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR3_PCID    0xfffull
#define CR3_NOFLUSH BIT(63)

#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_VMXE       BIT(13)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)

#define EFER_SCE    BIT(0)
#define EFER_LME    BIT(8)
#define EFER_LMA    BIT(10)
#define EFER_NXE    BIT(11)
#define EFER_SVME   BIT(12)
#define EFER_LMSLE  BIT(13)
#define EFER_FFXSR  BIT(14)
#define EFER_AIBRSE BIT(21) /* automatic IBRS */

#define DR6_B(n)    BIT(n)
#define DR6_BD      BIT(13)
#define DR6_BS      BIT(14)
#define DR6_BT      BIT(15)
#define DR6_INIT    0xffff0ff0ull
#define DR7_GD      BIT(13)
#define DR7_INIT    0x400ull
#define DR7_ENABLES 0xffull /* L and G of all four */

#define DEBUGCTL_LBR     BIT(0) /* records branches; this processor has room for none */
#define DEBUGCTL_BTF     BIT(1) /* TF traps after branches only */
#define DEBUGCTL_OFFERED (DEBUGCTL_LBR | DEBUGCTL_BTF)

#define XCR0_X87  BIT(0)
#define XCR0_SSE  BIT(1)
#define XCR0_AVX  BIT(2)
#define XCR0_PKRU BIT(9)

/* The XSAVE area in standard form: what CPUID leaf 0Dh says of the components above. */
#define XSAVE_LEGACY_BYTES 512
#define XSAVE_HEADER_BYTES 64
#define XSAVE_AVX_OFFSET   576
#define XSAVE_AVX_BYTES    256
#define XSAVE_PKRU_OFFSET  832
#define XSAVE_PKRU_BYTES   8

/* Address widths of every CPU model. */
#define PHYSICAL_BITS 46
#define LINEAR_BITS   48

/* Access rights of a segment, in VT-x form. SDM3: "Guest Register State" */
#define SEG_TYPE      0xfu
#define SEG_ACCESSED  BIT(0) /* code, data */
#define SEG_WRITABLE  BIT(1) /* data; readable for code */
#define SEG_EXPAND    BIT(2) /* data: expand-down; conforming for code */
#define SEG_CODE      BIT(3)
#define SEG_S         BIT(4) /* code or data; clear: system */
#define SEG_DPL_SHIFT 5
#define SEG_DPL       (3u << SEG_DPL_SHIFT)
#define SEG_P         BIT(7)
#define SEG_AVL       BIT(12)
#define SEG_L         BIT(13)
#define SEG_DB        BIT(14)
#define SEG_G         BIT(15)
#define SEG_UNUSABLE  BIT(16)

/* System segment and gate types */
#define SYS_TSS16_AVAIL 1
#define SYS_LDT         2
#define SYS_TSS16_BUSY  3
#define SYS_CALL16      4
#define SYS_TASK_GATE   5
#define SYS_INT16       6
#define SYS_TRAP16      7
#define SYS_TSS_AVAIL   9
#define SYS_TSS_BUSY    11
#define SYS_CALL        12
#define SYS_INT         14
#define SYS_TRAP        15

static inline unsigned seg_dpl(uint32_t ar)
{
	return (ar >> SEG_DPL_SHIFT) & 3;
}

#define SELECTOR_RPL 3
#define SELECTOR_TI  4 /* LDT */

static inline bool is_canonical(uint64_t addr)
{
	return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

#endif
