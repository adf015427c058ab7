/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a hypervisor runs on a vCPU. KVM says so to the vCPU's own thread only, and not while it
 * is in KVM_RUN: who wants to know asks the thread, which looks when the poke has brought it out.
 *
 * KVM-API: "KVM_GET_NESTED_STATE". Intel's is in VMX operation; AMD's has EFER.SVME set.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <time.h>

#include "kvm/kvm.h"

#define EFER_SVME  BIT(12)
#define NO_ADDRESS UINT64_MAX

/* A thread is out of KVM_RUN at once; in a device's code it may wait for the one that asks. */
#define PATIENCE_NS 100000000ll

struct nested_state {
	struct kvm_nested_state state;
	uint8_t room[KVM_STATE_NESTED_VMX_VMCS_SIZE * 2];
};

static bool is_in_vmx_operation(const struct kvm_vcpu *vcpu)
{
	struct nested_state nested = { .state.size = sizeof(nested) };

	return !ioctl(vcpu->fd, KVM_GET_NESTED_STATE, &nested) &&
	       nested.state.format == KVM_STATE_NESTED_FORMAT_VMX &&
	       nested.state.hdr.vmx.vmxon_pa != NO_ADDRESS;
}

static bool has_svm_enabled(const struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;

	return !ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) && (sregs.efer & EFER_SVME);
}

int kvm_nested_init(struct kvm_nested *nested)
{
	pthread_condattr_t attributes;
	int ret = pthread_condattr_init(&attributes);

	if (ret)
		return -ret;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&nested->lock, NULL);
	pthread_cond_init(&nested->answered, &attributes);
	pthread_condattr_destroy(&attributes);
	return 0;
}

void kvm_nested_finish(struct kvm_nested *nested)
{
	pthread_cond_destroy(&nested->answered);
	pthread_mutex_destroy(&nested->lock);
}

void kvm_nested_answer(struct kvm_vcpu *vcpu)
{
	const struct engine_config *config = &vcpu->kvm->config;
	struct kvm_nested *nested = &vcpu->nested;

	if (!__atomic_load_n(&nested->is_asked, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&nested->lock);
	nested->is_active =
		config->vendor == CPU_INTEL ? is_in_vmx_operation(vcpu) : has_svm_enabled(vcpu);
	__atomic_store_n(&nested->is_asked, false, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&nested->answered);
	pthread_mutex_unlock(&nested->lock);
}

void kvm_nested_running(struct kvm_vcpu *vcpu, bool is_running)
{
	pthread_mutex_lock(&vcpu->nested.lock);
	vcpu->nested.is_running = is_running;
	pthread_mutex_unlock(&vcpu->nested.lock);
	if (!is_running)
		kvm_nested_answer(vcpu);
}

static struct timespec patience(void)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += PATIENCE_NS;
	end.tv_sec += end.tv_nsec / 1000000000;
	end.tv_nsec %= 1000000000;
	return end;
}

bool kvm_nested_active(struct kvm_vcpu *vcpu)
{
	struct kvm_nested *nested = &vcpu->nested;
	struct timespec end = patience();
	bool is_active;

	if (!vcpu->kvm->config.nested)
		return false;
	pthread_mutex_lock(&nested->lock);
	if (nested->is_running) {
		__atomic_store_n(&nested->is_asked, true, __ATOMIC_SEQ_CST);
		kvm_vcpu_poke(vcpu);
	}
	while (nested->is_running && __atomic_load_n(&nested->is_asked, __ATOMIC_SEQ_CST))
		if (pthread_cond_timedwait(&nested->answered, &nested->lock, &end))
			break;
	is_active = nested->is_active;
	pthread_mutex_unlock(&nested->lock);
	return is_active;
}
