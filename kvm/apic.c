/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts on their way to KVM's local APICs: messages as they come, the PIC's by the window in
 * which vCPU 0 takes them.
 *
 * KVM reports the end of an interrupt (KVM_EXIT_IOAPIC_EOI) only for vectors that the first
 * KVM_IOAPIC_PINS entries of its routing table name as level-triggered. So these entries follow the
 * IOAPIC's table; nothing is ever delivered by them.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "kvm/kvm.h"

/* Of an MSI's data. */
#define MSI_DATA_LEVEL BIT(15)

static void send(void *self, uint64_t address, uint32_t data)
{
	struct kvm *kvm = self;
	struct kvm_msi msi = { .address_lo = (uint32_t)address, .data = data };

	/* Fails where no APIC takes it, which is the guest's affair. */
	ioctl(kvm->fd, KVM_SIGNAL_MSI, &msi);
}

/* Brings our copy in line with the IOAPIC. Returns whether anything is new. */
static bool read_pins(struct kvm *kvm)
{
	bool is_new = false;

	for (unsigned pin = 0; pin < KVM_IOAPIC_PINS; pin++) {
		uint64_t address;
		uint32_t data;

		if (!irq_pin_message(kvm->config.irq, pin, &address, &data) ||
		    !(data & MSI_DATA_LEVEL))
			address = data = 0;
		is_new |= address != kvm->pins.address[pin] || data != kvm->pins.data[pin];
		kvm->pins.address[pin] = address;
		kvm->pins.data[pin] = data;
	}
	return is_new;
}

static int publish_pins(struct kvm *kvm)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[KVM_IOAPIC_PINS];
	} table = { 0 };

	for (unsigned pin = 0; pin < KVM_IOAPIC_PINS; pin++) {
		if (!kvm->pins.data[pin])
			continue;
		table.entry[table.head.nr++] = (struct kvm_irq_routing_entry){
			.gsi = pin,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = (uint32_t)kvm->pins.address[pin],
				   .data = kvm->pins.data[pin] },
		};
	}
	return ioctl(kvm->fd, KVM_SET_GSI_ROUTING, &table) ? -errno : 0;
}

static void pins_changed(void *self)
{
	struct kvm *kvm = self;

	pthread_mutex_lock(&kvm->pins.lock);
	if (read_pins(kvm))
		publish_pins(kvm);
	pthread_mutex_unlock(&kvm->pins.lock);
}

int kvm_apic_create(struct kvm *kvm, struct error *err)
{
	static const struct irq_apics apics = { send, pins_changed };
	int ret = publish_pins(kvm);

	if (ret)
		return error_set(err, ret, "KVM takes no interrupt routes: %s", strerror(-ret));
	irq_set_apics(kvm->config.irq, &apics, kvm);
	return 0;
}

void kvm_apic_destroy(struct kvm *kvm)
{
	irq_set_apics(kvm->config.irq, NULL, NULL);
}

void kvm_apic_offer_pic(struct kvm_vcpu *vcpu)
{
	struct irq *irq = vcpu->kvm->config.irq;
	struct kvm_interrupt interrupt;
	int vector;

	if (irq_pending(irq, vcpu->index) && vcpu->run->ready_for_interrupt_injection) {
		vector = irq_accept(irq, vcpu->index);
		interrupt.irq = (uint32_t)vector;
		if (vector >= 0)
			ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt);
		vcpu->run->ready_for_interrupt_injection = 0;
	}
	vcpu->run->request_interrupt_window = irq_pending(irq, vcpu->index);
}
