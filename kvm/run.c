/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The exit loop: KVM_RUN, and device accesses on the bus as cpu/ makes them.
 *
 * A vCPU is poked by immediate_exit and a signal: the one ends the next KVM_RUN, the other the one
 * that runs now. KVM finishes a device access only when KVM_RUN is called again, so the loop always
 * goes back to it and takes a kick when it comes out with EINTR: the registers are whole then.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "kvm/kvm.h"

#define POKE_SIGNAL SIGUSR1

/* What comes of an exit. */
enum outcome { GO_ON, SHUT_DOWN, FAILED };

static void do_io(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *bus = vcpu->kvm->config.bus;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned size = run->io.size;

	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(bus, BUS_PIO, run->io.port, size, load_le(data, size));
		else
			store_le(data, bus_read(bus, BUS_PIO, run->io.port, size), size);
	}
}

/* KVM cuts accesses at page boundaries, so that any length up to 8 may come. */
static void do_mmio(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *bus = vcpu->kvm->config.bus;
	unsigned len = MIN(run->mmio.len, sizeof(run->mmio.data));
	unsigned step = len & (len - 1) ? 1 : len;

	for (unsigned at = 0; at < len; at += step) {
		uint64_t address = run->mmio.phys_addr + at;
		uint8_t *data = run->mmio.data + at;

		if (run->mmio.is_write)
			bus_write(bus, BUS_MMIO, address, step, load_le(data, step));
		else
			store_le(data, bus_read(bus, BUS_MMIO, address, step), step);
	}
}

static enum outcome fail(struct kvm_vcpu *vcpu, const char *what, uint64_t detail)
{
	fprintf(stderr, "nidus: vCPU %u: %s (%#llx)\n", vcpu->index, what,
		(unsigned long long)detail);
	kvm_state_print(vcpu);
	return FAILED;
}

static const char *internal_error_text(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "KVM cannot emulate an instruction of the guest's";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "KVM met two exceptions at a time";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "KVM met an exit while it delivered an event";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "KVM met an exit that it does not know";
	default:
		return "KVM reports an internal error";
	}
}

static enum outcome handle_exit(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		do_io(vcpu);
		return GO_ON;
	case KVM_EXIT_MMIO:
		do_mmio(vcpu);
		return GO_ON;
	case KVM_EXIT_IOAPIC_EOI:
		irq_end_of_interrupt(vcpu->kvm->config.irq, run->eoi.vector);
		return GO_ON;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return GO_ON;
	case KVM_EXIT_SHUTDOWN:
		return SHUT_DOWN;
	case KVM_EXIT_FAIL_ENTRY:
		return fail(vcpu, "the processor refuses the guest's state",
			    run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		return fail(vcpu, internal_error_text(run->internal.suberror),
			    run->internal.suberror);
	default:
		return fail(vcpu, "KVM left the guest for a reason that it was not asked for",
			    run->exit_reason);
	}
}

void kvm_vcpu_poke(struct kvm_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (!pthread_equal(pthread_self(), vcpu->thread))
		pthread_kill(vcpu->thread, POKE_SIGNAL);
}

static void ignore(int number)
{
	(void)number;
}

int kvm_poke_prepare(void)
{
	struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };
	sigset_t poke;

	sigemptyset(&poke);
	sigaddset(&poke, POKE_SIGNAL);
	if (sigaction(POKE_SIGNAL, &action, NULL))
		return -errno;
	return -pthread_sigmask(SIG_UNBLOCK, &poke, NULL);
}

/* A poke that comes in between is seen now or ends the next KVM_RUN. */
static bool take_kick(struct kvm_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	return __atomic_exchange_n(&vcpu->is_kicked, false, __ATOMIC_SEQ_CST);
}

static enum engine_exit run_until_exit(struct kvm_vcpu *vcpu)
{
	enum outcome outcome = vcpu->is_broken ? FAILED : GO_ON;

	while (outcome == GO_ON) {
		if (vcpu->index == 0)
			kvm_apic_offer_pic(vcpu);
		if (!ioctl(vcpu->fd, KVM_RUN, 0))
			outcome = handle_exit(vcpu);
		else if (errno != EINTR && errno != EAGAIN)
			outcome = fail(vcpu, strerror(errno), (uint64_t)errno);
		else if (take_kick(vcpu))
			return ENGINE_KICKED;
		else
			kvm_nested_answer(vcpu);
	}
	return outcome == SHUT_DOWN ? ENGINE_SHUTDOWN : ENGINE_ERROR;
}

enum engine_exit kvm_vcpu_run(struct kvm_vcpu *vcpu)
{
	enum engine_exit why;

	kvm_nested_running(vcpu, true);
	why = run_until_exit(vcpu);
	kvm_nested_running(vcpu, false);
	return why;
}
