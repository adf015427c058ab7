/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts: the one way up from devices to vCPUs.
 *
 * Lines and messages go in at the top of this header; the router hands them to the PIC, the IOAPIC
 * and the local APICs that the board plugs into it, and tells the engine which vCPU to disturb. The
 * second half is what an engine asks on behalf of a vCPU.
 */
#ifndef VM_IRQ_H
#define VM_IRQ_H

#include "dev/dev.h"
#include "vm/clock.h"

#define IRQ_LINES 24 /* global system interrupts: the IOAPIC's pins; 0 to 15 are ISA lines too */

struct irq;

/* What an engine does to a vCPU from outside. */
enum vcpu_signal {
	VCPU_INTERRUPT, /* irq_pending may have become true: look again */
	VCPU_NMI,
	VCPU_INIT,
	VCPU_SIPI, /* vector = start-up page */
};

typedef void irq_signal_fn(void *self, unsigned vcpu, enum vcpu_signal what, uint8_t vector);

#define IRQ_MAX_VCPUS 255 /* a vCPU's index is its APIC ID; ffh is the broadcast */

/*
 * Creates the PIC, the IOAPIC and one local APIC a vCPU, and the routes between them. -EINVAL for
 * no or too many vCPUs, -ENOMEM. The clock is destroyed before the irq.
 */
int irq_create(struct irq **out, struct clock *clock, unsigned vcpus);
void irq_destroy(struct irq *irq); /* accepts NULL */
void irq_reset(struct irq *irq);
/* Where signals go. Set once, before the first vCPU runs. Called with no lock of ours held. */
void irq_set_sink(struct irq *irq, irq_signal_fn *fn, void *self);

/*
 * For an engine with local APICs of its own. Those of vm/irq.c then lie idle: messages go to `send`
 * in the form of an MSI, and irq_pending and irq_accept speak for the PIC alone, to vCPU 0.
 */
struct irq_apics {
	void (*send)(void *self, uint64_t address, uint32_t data); /* any thread */
	/* irq_pin_message may have a new answer; comes before messages of its making. Any thread */
	void (*pins_changed)(void *self);
};
/* Before the first vCPU runs, and with NULL after the last. */
void irq_set_apics(struct irq *irq, const struct irq_apics *apics, void *self);
/* What a pin of the IOAPIC sends. false: nothing, it is masked. */
bool irq_pin_message(struct irq *irq, unsigned pin, uint64_t *address, uint32_t *data);
/* Such an APIC saw the end of a level-triggered interrupt. Any thread. */
void irq_end_of_interrupt(struct irq *irq, uint8_t vector);

/*
 * Devices. Any thread. A line is level: call on change only or on each evaluation, as is easier.
 * One driver a line: who shares one ORs. Line 0 arrives at the IOAPIC's pin 2, line 2 is not
 * connected.
 */
void irq_set_line(struct irq *irq, unsigned gsi, bool level);
void irq_send_msi(struct irq *irq, uint64_t address, uint32_t data);

#define IOAPIC_BASE 0xfec00000ull
#define IOAPIC_SIZE 0x1000

/* The chips' ranges, for the board to map. */
dev_access_fn irq_pic_master_access; /* self = irq; ports 20h and 21h */
dev_access_fn irq_pic_slave_access;  /* self = irq; ports a0h and a1h */
dev_access_fn irq_elcr_access;       /* self = irq; ports 4d0h and 4d1h */
dev_access_fn irq_ioapic_access;     /* self = irq; IOAPIC_SIZE bytes at IOAPIC_BASE */

/*
 * A vCPU's side. Whatever makes irq_pending true, be it another thread or an access of the vCPU's
 * own (an EOI, a lower TPR), is followed by VCPU_INTERRUPT. Called on that vCPU's thread, except
 * irq_pending (any thread).
 *
 * irq_pending: an interrupt could be delivered now as far as the APIC (TPR, PIC) is concerned.
 * irq_accept: the INTA cycle: the vector, or -1 where the request has gone away.
 */
bool irq_pending(struct irq *irq, unsigned vcpu);
int irq_accept(struct irq *irq, unsigned vcpu);
uint8_t irq_tpr(struct irq *irq, unsigned vcpu); /* the whole register; CR8 is bits 7:4 */
void irq_set_tpr(struct irq *irq, unsigned vcpu, uint8_t tpr);
uint64_t irq_apic_base(struct irq *irq, unsigned vcpu); /* IA32_APIC_BASE */
/* false: #GP(0). Bits from MAXPHYADDR to 51 are the CPU model's to refuse. */
bool irq_set_apic_base(struct irq *irq, unsigned vcpu, uint64_t value);
/* An access to the APIC's page in xAPIC mode; offset is from IA32_APIC_BASE. */
void irq_apic_mmio(struct irq *irq, unsigned vcpu, struct dev_access *access);
/* MSRs 800h-8ffh and 6e0h. false: #GP(0). */
bool irq_apic_rdmsr(struct irq *irq, unsigned vcpu, uint32_t msr, uint64_t *value);
bool irq_apic_wrmsr(struct irq *irq, unsigned vcpu, uint32_t msr, uint64_t value);
/* How far this vCPU's TSC is ahead of clock_tsc, for TSC deadlines. */
void irq_set_tsc_offset(struct irq *irq, unsigned vcpu, uint64_t offset);
/* A performance counter of this vCPU, on its thread, has overflowed: what the LVT says, masked
 * then.
 */
void irq_counter_overflow(struct irq *irq, unsigned vcpu);
/* INIT reset of the local APIC (keeps its ID and base). */
void irq_apic_init(struct irq *irq, unsigned vcpu);

#endif
