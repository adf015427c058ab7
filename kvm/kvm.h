/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The KVM engine: the host's processor by way of /dev/kvm.
 *
 * Local APICs are KVM's (KVM_CAP_SPLIT_IRQCHIP), because without them KVM gives L1's interrupts to
 * L2 and IPIs cost an exit; the PIC and the IOAPIC are those of dev/, behind vm/irq.h. A vCPU's
 * thread leaves KVM_RUN only for devices and when it is poked.
 *
 * KVM-API: "The KVM Application Programming Interface"; <linux/kvm.h>.
 */
#ifndef KVM_KVM_H
#define KVM_KVM_H

#include <linux/kvm.h>
#include <pthread.h>

#include "vm/engine.h"

#define KVM_IOAPIC_PINS IRQ_LINES

struct kvm_power_on; /* kvm/state.c */

/* What the IOAPIC's pins send, as KVM knows it: kvm/apic.c. */
struct kvm_pins {
	pthread_mutex_t lock;
	uint64_t address[KVM_IOAPIC_PINS];
	uint32_t data[KVM_IOAPIC_PINS]; /* 0: nothing that KVM has to know */
};

/* A VM. */
struct kvm {
	struct engine_config config;
	int fd;
	size_t run_bytes;
	struct kvm_cpuid2 *cpuid; /* what the host offers */
	struct kvm_msr_list *msrs;
	struct kvm_pins pins;
	unsigned slots; /* of memory */
};

/* Whether a hypervisor runs on a vCPU, as it was when last asked: kvm/nested.c. */
struct kvm_nested {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool is_asked;   /* written with the lock, read by the vCPU's thread without */
	bool is_running; /* in kvm_vcpu_run: there is someone to answer */
	bool is_active;
};

struct kvm_vcpu {
	struct kvm *kvm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool is_kicked; /* atomic; any thread */
	bool is_broken; /* KVM refused a state that it had given out; said so on stderr */
	struct kvm_power_on *power_on;
	struct kvm_nested nested;
};

/* kvm.c: what the probe shares with a VM that is to live. */

/* Opens /dev/kvm and checks its version. Returns the descriptor; -errno with a text. */
int kvm_open(struct error *err);
/* What the processor can offer to guests. NULL: out of memory or refused, errno says. */
struct kvm_cpuid2 *kvm_supported_cpuid(int device);
/* Makes a VM of kvm->config, without memory and interrupts. 0, or -errno and what there is of it.
 */
int kvm_vm_make(struct kvm *kvm, int device);
/* Makes the vCPU that vcpu->kvm and ->index say, for the calling thread. As above. */
int kvm_vcpu_make(struct kvm_vcpu *vcpu);

/* run.c */
enum engine_exit kvm_vcpu_run(struct kvm_vcpu *vcpu);
void kvm_vcpu_poke(struct kvm_vcpu *vcpu); /* any thread: leave KVM_RUN and look around */
int kvm_poke_prepare(void); /* on each vCPU's thread, before the first poke. 0 or -errno */

/* nested.c */
int kvm_nested_init(struct kvm_nested *nested); /* 0 or -errno: nothing to finish */
void kvm_nested_finish(struct kvm_nested *nested);
bool kvm_nested_active(struct kvm_vcpu *vcpu); /* any thread */
void kvm_nested_answer(struct kvm_vcpu *vcpu); /* out of KVM_RUN, to who has asked */
void kvm_nested_running(struct kvm_vcpu *vcpu, bool is_running); /* at both ends of a run */

/* state.c */

/* Remembers the state that the vCPU has now as that after power-on. -errno: nothing is kept. */
int kvm_state_keep(struct kvm_vcpu *vcpu);
void kvm_state_forget(struct kvm_vcpu *vcpu);
void kvm_state_reset(struct kvm_vcpu *vcpu);
void kvm_state_get(struct kvm_vcpu *vcpu, struct engine_registers *out);
void kvm_state_set(struct kvm_vcpu *vcpu, const struct engine_registers *in);
int kvm_state_set_msr(struct kvm_vcpu *vcpu, uint32_t msr, uint64_t value); /* 0 or -errno */
void kvm_state_print(struct kvm_vcpu *vcpu);

struct kvm_segment kvm_segment_in(const struct engine_segment *in);
struct engine_segment kvm_segment_out(const struct kvm_segment *in);

/* apic.c */
int kvm_apic_create(struct kvm *kvm, struct error *err);
void kvm_apic_destroy(struct kvm *kvm);
void kvm_apic_offer_pic(struct kvm_vcpu *vcpu); /* before KVM_RUN of vCPU 0 */

#endif
