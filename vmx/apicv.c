/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual APIC: the TPR shadow, virtualized accesses to the APIC's page and to the x2APIC's
 * MSRs, virtual interrupts, posted interrupts.
 *
 * Its registers are those of the virtual-APIC page in L1's memory; RVI and SVI live in the VMCS.
 * A write to a register takes effect, or causes its exit, at the boundary behind the instruction.
 * SDM3: "APIC Virtualization and Virtual Interrupts".
 */
#include "cpu/msr.h"
#include "cpu/soft.h"
#include "vmx/vmx.h"

/* Offsets of registers. */
#define APIC_ID       0x020u
#define APIC_VERSION  0x030u
#define APIC_TPR      0x080u
#define APIC_PPR      0x0a0u
#define APIC_EOI      0x0b0u
#define APIC_LDR      0x0d0u
#define APIC_DFR      0x0e0u
#define APIC_SVR      0x0f0u
#define APIC_ISR      0x100u /* eight registers of 32 bits each, 16 bytes apart */
#define APIC_TMR      0x180u
#define APIC_IRR      0x200u
#define APIC_ESR      0x280u
#define APIC_ICR_LOW  0x300u
#define APIC_ICR_HIGH 0x310u
#define APIC_LVT      0x320u /* the first of six */
#define APIC_INITIAL  0x380u
#define APIC_DIVIDE   0x3e0u
#define APIC_SELF_IPI 0x3f0u

#define REGISTER_BYTES 16u
#define VECTORS        256u
#define MSR_X2APIC     0x800u
#define MSR_X2APIC_END 0x900u

/* Sets of registers: one bit each. */
#define ONE(offset)          BIT((offset) / REGISTER_BYTES)
#define SOME(offset, number) (((1ull << (number)) - 1) << ((offset) / REGISTER_BYTES))

#define WRITES_BY_REGISTERS                                                             \
	(ONE(APIC_ID) | ONE(APIC_TPR) | ONE(APIC_EOI) | ONE(APIC_LDR) | ONE(APIC_DFR) | \
	 ONE(APIC_SVR) | ONE(APIC_ESR) | ONE(APIC_ICR_LOW) | ONE(APIC_ICR_HIGH) |       \
	 SOME(APIC_LVT, 6) | ONE(APIC_INITIAL) | ONE(APIC_DIVIDE))
#define READS_BY_REGISTERS                                                                 \
	(WRITES_BY_REGISTERS | ONE(APIC_VERSION) | SOME(APIC_ISR, 8) | SOME(APIC_TMR, 8) | \
	 SOME(APIC_IRR, 8))
#define WRITES_BY_INTERRUPTS (ONE(APIC_TPR) | ONE(APIC_EOI) | ONE(APIC_ICR_LOW))

/* The interrupt command register, of an IPI that stays here. */
#define ICR_VECTOR_CLASS 0xf0u
#define ICR_SHORTHAND    0xc0000u
#define ICR_TO_SELF      0x40000u
#define ICR_MUST_BE_ZERO 0xfff3b700u /* no reserved bits; fixed, edge-triggered, idle */

/* The posted-interrupt descriptor: 256 requests, then flags. */
#define POSTED_WORDS 4
#define POSTED_FLAGS 4
#define POSTED_ON    BIT(0) /* outstanding notification */
#define POSTED_BYTES 64

/* Exit qualification of APIC accesses. */
#define QUAL_TYPE_SHIFT    12
#define QUAL_DELIVERY      3u /* a linear access during the delivery of an event */
#define QUAL_DELIVERY_WALK 10u

/* ---- the page ---- */

static uint32_t reg(const struct cpu *cpu, unsigned offset)
{
	return (uint32_t)load_le(cpu->virtual_apic + offset, 4);
}

/* Says that bytes of the page have been written. */
static void page_written(struct cpu *cpu, unsigned offset, unsigned size)
{
	if (cpu->virtual_apic != vmx_of(cpu)->no_apic)
		memory_written(cpu->soft->config.memory, vmcs_get(cpu, VIRTUAL_APIC_PAGE) + offset,
			       size);
}

static void set_reg(struct cpu *cpu, unsigned offset, uint32_t value)
{
	store_le(cpu->virtual_apic + offset, value, 4);
	page_written(cpu, offset, 4);
}

/* Register and bit of a vector in the ISR or IRR. */
static unsigned vector_reg(unsigned base, uint8_t vector)
{
	return base + vector / 32 * REGISTER_BYTES;
}

static void set_vector(struct cpu *cpu, unsigned base, uint8_t vector)
{
	unsigned offset = vector_reg(base, vector);

	set_reg(cpu, offset, reg(cpu, offset) | 1u << vector % 32);
}

static void clear_vector(struct cpu *cpu, unsigned base, uint8_t vector)
{
	unsigned offset = vector_reg(base, vector);

	set_reg(cpu, offset, reg(cpu, offset) & ~(1u << vector % 32));
}

/* 0 where there is none. */
static uint8_t highest_vector(const struct cpu *cpu, unsigned base)
{
	for (unsigned n = VECTORS / 32; n--;) {
		uint32_t bits32 = reg(cpu, base + n * REGISTER_BYTES);

		if (bits32)
			return (uint8_t)(n * 32 + 31 - (unsigned)__builtin_clz(bits32));
	}
	return 0;
}

/* ---- requesting and servicing: guest interrupt status ---- */

static uint8_t rvi(const struct cpu *cpu)
{
	return (uint8_t)vmcs_get(cpu, GUEST_INTERRUPT_STATUS);
}

static uint8_t svi(const struct cpu *cpu)
{
	return (uint8_t)(vmcs_get(cpu, GUEST_INTERRUPT_STATUS) >> 8);
}

static void set_status(struct cpu *cpu, uint8_t requesting, uint8_t servicing)
{
	vmcs_set(cpu, GUEST_INTERRUPT_STATUS, requesting | servicing << 8);
}

static bool has_virtual_interrupts(const struct cpu *cpu)
{
	return vmx_of(cpu)->proc2 & PROC2_VIRTUAL_INTERRUPTS;
}

/* SDM3: "Evaluation of Pending Virtual Interrupts" */
static void evaluate(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);

	vmx->has_virtual_interrupt = !(vmx->proc & PROC_INTERRUPT_WINDOW) &&
				     rvi(cpu) >> 4 > (reg(cpu, APIC_PPR) & 0xff) >> 4;
	if (vmx->has_virtual_interrupt)
		cpu_attention_set(cpu, ATTENTION_VIRT);
}

/* SDM3: "PPR Virtualization" */
static void virtualize_ppr(struct cpu *cpu)
{
	uint32_t tpr = reg(cpu, APIC_TPR) & 0xff;

	set_reg(cpu, APIC_PPR, tpr >> 4 >= svi(cpu) >> 4 ? tpr : svi(cpu) & 0xf0u);
}

/* SDM3: "TPR Virtualization" */
static void virtualize_tpr(struct cpu *cpu)
{
	if (has_virtual_interrupts(cpu)) {
		virtualize_ppr(cpu);
		evaluate(cpu);
	} else if ((reg(cpu, APIC_TPR) & 0xff) >> 4 < (vmcs_get(cpu, TPR_THRESHOLD) & 0xf)) {
		vmx_exit(cpu, EXIT_TPR_BELOW_THRESHOLD, 0);
	}
}

/* SDM3: "EOI Virtualization" */
static void virtualize_eoi(struct cpu *cpu)
{
	uint8_t vector = svi(cpu);

	clear_vector(cpu, APIC_ISR, vector);
	set_status(cpu, rvi(cpu), highest_vector(cpu, APIC_ISR));
	virtualize_ppr(cpu);
	if (vmcs_get(cpu, EOI_EXIT_BITMAP0 + vector / 64) & BIT(vector % 64))
		vmx_exit(cpu, EXIT_VIRTUALIZED_EOI, vector);
	evaluate(cpu);
}

/* SDM3: "Self-IPI Virtualization" */
static void virtualize_self_ipi(struct cpu *cpu, uint8_t vector)
{
	set_vector(cpu, APIC_IRR, vector);
	set_status(cpu, MAX(rvi(cpu), vector), svi(cpu));
	evaluate(cpu);
}

/* SDM3: "Virtual-Interrupt Delivery" */
static _Noreturn void deliver(struct cpu *cpu)
{
	struct event event = { .vector = rvi(cpu), .type = EVENT_EXTERNAL };

	set_vector(cpu, APIC_ISR, event.vector);
	set_reg(cpu, APIC_PPR, event.vector & 0xf0u);
	clear_vector(cpu, APIC_IRR, event.vector);
	set_status(cpu, highest_vector(cpu, APIC_IRR), event.vector);
	vmx_of(cpu)->has_virtual_interrupt = false;
	cpu_inject(cpu, &event);
}

/* ---- after a write. SDM3: "APIC-Write Emulation" ---- */

static bool stays_here(uint32_t icr)
{
	return !(icr & ICR_MUST_BE_ZERO) && (icr & ICR_SHORTHAND) == ICR_TO_SELF &&
	       (icr & ICR_VECTOR_CLASS);
}

static void act_on_write(struct cpu *cpu, unsigned offset)
{
	bool is_served = has_virtual_interrupts(cpu);

	switch (offset) {
	case APIC_TPR:
		set_reg(cpu, APIC_TPR, reg(cpu, APIC_TPR) & 0xff);
		virtualize_tpr(cpu);
		return;
	case APIC_ICR_HIGH:
		set_reg(cpu, APIC_ICR_HIGH, reg(cpu, APIC_ICR_HIGH) & 0xff000000u);
		return;
	case APIC_EOI:
		if (!is_served)
			break;
		set_reg(cpu, APIC_EOI, 0);
		virtualize_eoi(cpu);
		return;
	case APIC_ICR_LOW:
		if (!is_served || !stays_here(reg(cpu, APIC_ICR_LOW)))
			break;
		virtualize_self_ipi(cpu, (uint8_t)reg(cpu, APIC_ICR_LOW));
		return;
	case APIC_SELF_IPI:
		if (!(reg(cpu, APIC_SELF_IPI) & ICR_VECTOR_CLASS))
			break;
		virtualize_self_ipi(cpu, (uint8_t)reg(cpu, APIC_SELF_IPI));
		return;
	}
	vmx_exit(cpu, EXIT_APIC_WRITE, offset);
}

static bool can_deliver(const struct cpu *cpu)
{
	return (cpu->rflags & RFLAGS_IF) && cpu->shadow == SHADOW_NONE &&
	       cpu->activity != CPU_SHUTDOWN && cpu->activity != CPU_WAIT_FOR_SIPI;
}

bool vmx_apic_boundary(struct cpu *cpu, enum virt_boundary stage)
{
	struct vmx *vmx = vmx_of(cpu);
	unsigned offset = vmx->apic_write;
	bool is_tpr_changed = vmx->is_tpr_changed;

	if (!cpu->virtual_apic)
		return false;
	if (stage == BOUNDARY_BEFORE_TRAPS) {
		vmx->apic_write = 0;
		vmx->is_tpr_changed = false;
		if (offset)
			act_on_write(cpu, offset);
		if (is_tpr_changed)
			virtualize_tpr(cpu);
	}
	if (stage == BOUNDARY_BEFORE_INTERRUPT && vmx->has_virtual_interrupt && can_deliver(cpu))
		deliver(cpu);
	return vmx->has_virtual_interrupt;
}

/* ---- accesses ---- */

uint64_t vmx_apic_cr8(const struct cpu *cpu)
{
	return (reg(cpu, APIC_TPR) & 0xff) >> 4;
}

static void tpr_changed(struct cpu *cpu)
{
	vmx_of(cpu)->is_tpr_changed = true;
	cpu_attention_set(cpu, ATTENTION_VIRT);
}

void vmx_apic_set_cr8(struct cpu *cpu, uint64_t value)
{
	set_reg(cpu, APIC_TPR, (uint32_t)(value & 0xf) << 4);
	tpr_changed(cpu);
}

void vmx_apic_written(struct cpu *cpu, unsigned offset, unsigned size)
{
	page_written(cpu, offset, size);
	vmx_of(cpu)->apic_write = (uint16_t)(offset & ~(REGISTER_BYTES - 1));
	cpu_attention_set(cpu, ATTENTION_VIRT);
}

/* The registers for which such an access needs no exit. */
static uint64_t served_registers(const struct cpu *cpu, bool is_write)
{
	uint32_t proc2 = vmx_of(cpu)->proc2;
	uint64_t served = ONE(APIC_TPR);

	if (proc2 & PROC2_APIC_REGISTERS)
		served |= is_write ? WRITES_BY_REGISTERS : READS_BY_REGISTERS;
	if ((proc2 & PROC2_VIRTUAL_INTERRUPTS) && is_write)
		served |= WRITES_BY_INTERRUPTS;
	return served;
}

/* SDM3: "Virtualizing Memory-Mapped APIC Accesses" */
static bool is_served(const struct cpu *cpu, enum virt_apic_access kind, unsigned offset,
		      unsigned size)
{
	if (!cpu->virtual_apic || (kind != APIC_ACCESS_READ && kind != APIC_ACCESS_WRITE))
		return false;
	if (offset % REGISTER_BYTES + size > 4 || offset / REGISTER_BYTES >= 64)
		return false;
	return served_registers(cpu, kind == APIC_ACCESS_WRITE) & ONE(offset);
}

void vmx_apic_access(struct cpu *cpu, enum virt_apic_access kind, unsigned offset, unsigned size)
{
	uint64_t type = kind;

	if (is_served(cpu, kind, offset, size))
		return;
	if (cpu->in_delivery)
		type = kind == APIC_ACCESS_WALK ? QUAL_DELIVERY_WALK : QUAL_DELIVERY;
	vmx_exit(cpu, EXIT_APIC_ACCESS,
		 type << QUAL_TYPE_SHIFT | (kind == APIC_ACCESS_WALK ? 0 : offset));
}

/* SDM3: "Virtualizing MSR-Based APIC Accesses": what may be written to it. */
static bool is_written_here(const struct cpu *cpu, unsigned offset)
{
	return offset == APIC_TPR ||
	       (has_virtual_interrupts(cpu) && (offset == APIC_EOI || offset == APIC_SELF_IPI));
}

bool vmx_apic_msr(struct cpu *cpu, uint32_t msr, bool is_write, uint64_t *value, bool *is_valid)
{
	const struct vmx *vmx = vmx_of(cpu);
	unsigned offset = (msr & 0xff) * REGISTER_BYTES;

	if (!(vmx->proc2 & PROC2_X2APIC) || msr < MSR_X2APIC || msr >= MSR_X2APIC_END ||
	    !cpu->virtual_apic)
		return false;
	if (!is_write) {
		if (offset != APIC_TPR && !(vmx->proc2 & PROC2_APIC_REGISTERS))
			return false;
		*value = load_le(cpu->virtual_apic + offset, 8);
		return true;
	}
	if (!is_written_here(cpu, offset))
		return false;
	*is_valid = offset == APIC_EOI ? !*value : !(*value >> 8);
	if (*is_valid) {
		store_le(cpu->virtual_apic + offset, *value, 8);
		vmx_apic_written(cpu, offset, 8);
	}
	return true;
}

/* ---- posted interrupts. SDM3: "Posted-Interrupt Processing" ---- */

static void end_of_interrupt(struct cpu *cpu)
{
	struct irq *irq = cpu->soft->config.irq;
	struct dev_access access = { .offset = APIC_EOI, .size = 4, .is_write = true };

	if (irq_apic_base(irq, cpu->index) & APIC_BASE_X2APIC)
		irq_apic_wrmsr(irq, cpu->index, MSR_X2APIC + APIC_EOI / REGISTER_BYTES, 0);
	else
		irq_apic_mmio(irq, cpu->index, &access);
}

static void take_requests(struct cpu *cpu, uint64_t *descriptor)
{
	__atomic_and_fetch(&descriptor[POSTED_FLAGS], ~POSTED_ON, __ATOMIC_SEQ_CST);
	for (unsigned n = 0; n < POSTED_WORDS; n++) {
		uint64_t requests = __atomic_exchange_n(&descriptor[n], 0, __ATOMIC_SEQ_CST);
		unsigned low = vector_reg(APIC_IRR, (uint8_t)(n * 64)), high = low + REGISTER_BYTES;

		if (!requests)
			continue;
		set_reg(cpu, low, reg(cpu, low) | (uint32_t)requests);
		set_reg(cpu, high, reg(cpu, high) | (uint32_t)(requests >> 32));
		set_status(cpu, MAX(rvi(cpu), n * 64 + 63 - (unsigned)__builtin_clzll(requests)),
			   svi(cpu));
	}
}

bool vmx_apic_take_posted(struct cpu *cpu, uint8_t vector)
{
	struct memory *mem = cpu->soft->config.memory;
	gpa_t addr = vmcs_get(cpu, POSTED_INTERRUPT_DESCRIPTOR);
	uint64_t *descriptor = memory_at(mem, addr, POSTED_BYTES);

	if (!(vmx_of(cpu)->pin & PIN_POSTED_INTERRUPTS) || !cpu->virtual_apic ||
	    vector != vmcs_get(cpu, POSTED_INTERRUPT_VECTOR))
		return false;
	end_of_interrupt(cpu);
	if (descriptor) {
		take_requests(cpu, descriptor);
		memory_written(mem, addr, POSTED_BYTES);
	}
	evaluate(cpu);
	return true;
}

/* ---- entry and exit ---- */

/* SDM3: "VM Exits Induced by the TPR Threshold"; virtual interrupts are evaluated on entry. */
void vmx_apic_entered(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);

	vmx->apic_write = 0;
	vmx->is_tpr_changed = vmx->has_virtual_interrupt = false;
	cpu->apic_access_page =
		vmx->proc2 & PROC2_APIC_ACCESS ? vmcs_get(cpu, APIC_ACCESS_PAGE) : NO_APIC_PAGE;
	cpu->virtual_apic = NULL;
	if (!(vmx->proc & PROC_TPR_SHADOW))
		return;
	cpu->virtual_apic =
		memory_at(cpu->soft->config.memory, vmcs_get(cpu, VIRTUAL_APIC_PAGE), PAGE_BYTES);
	if (!cpu->virtual_apic)
		cpu->virtual_apic = vmx->no_apic;
	if (vmx->proc2 & (PROC2_APIC_ACCESS | PROC2_VIRTUAL_INTERRUPTS))
		tpr_changed(cpu);
}

void vmx_apic_left(struct cpu *cpu)
{
	cpu->apic_access_page = NO_APIC_PAGE;
	cpu->virtual_apic = NULL;
}
