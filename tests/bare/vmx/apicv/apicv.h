/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual APIC of the guests in this folder: its page, the page whose accesses are virtualized,
 * and what the tests do to both.
 */
#ifndef BARE_APICV_H
#define BARE_APICV_H

#include "tests/bare/vmx/ept.h"

#define REG_ID      0x020
#define REG_VERSION 0x030
#define REG_TPR     0x080
#define REG_PPR     0x0a0
#define REG_EOI     0x0b0
#define REG_LDR     0x0d0
#define REG_DFR     0x0e0
#define REG_SVR     0x0f0
#define REG_ISR     0x100
#define REG_IRR     0x200
#define REG_ESR     0x280
#define REG_ICR     0x300
#define REG_ICR2    0x310
#define REG_LVT     0x320
#define REG_SELF    0x3f0
#define REG_END     0x400

#define MSR_X2APIC(reg) (0x800 + (reg) / 16)

static uint8_t vapic[4096] __attribute__((aligned(4096)));
static uint8_t apic_page[4096] __attribute__((aligned(4096)));

static inline uint32_t *vreg(unsigned offset)
{
	return (uint32_t *)(void *)(vapic + offset);
}

/* The bit of a vector in the virtual ISR or IRR. */
static inline bool has_vector(unsigned base, unsigned vector)
{
	return *vreg(base + vector / 32 * 16) >> vector % 32 & 1;
}

static inline void set_vector(unsigned base, unsigned vector)
{
	*vreg(base + vector / 32 * 16) |= 1u << vector % 32;
}

/* No MSR exits; all of the virtual APIC zero. */
static inline void apicv_fresh(uint32_t proc2)
{
	static uint8_t no_exits[4096] __attribute__((aligned(4096)));

	vmx_fresh();
	vmx_set_proc(PROC_TPR_SHADOW | PROC_MSR_BITMAPS, proc2);
	if (proc2 & PROC2_INTERRUPTS) {
		vmx_set_pin(PIN_INTERRUPT);
		vmx_set_exit(EXITC_ACK);
	}
	vmwrite(MSR_BITMAP, ADDRESS(no_exits));
	vmwrite(VIRTUAL_APIC, ADDRESS(vapic));
	vmwrite(APIC_ACCESS_PAGE, ADDRESS(apic_page));
	for (unsigned i = 0; i < 4; i++)
		vmwrite(EOI_BITMAP + 2 * i, 0);
	for (unsigned i = 0; i < sizeof(vapic); i++)
		vapic[i] = 0;
}

#endif
