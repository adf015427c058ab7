/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The KVM engine behind vm/engine.h: the life of a VM and its vCPUs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/cpuid.h"
#include "kvm/kvm.h"
#include "kvm/probe.h"

#define DEVICE "/dev/kvm"
/* Four pages that KVM takes for itself on processors that cannot run real mode unaided: above all
 * devices, below where firmware is. */
#define IDENTITY_MAP 0xfeffc000ull
#define TASK_STATE   (IDENTITY_MAP + PAGE_BYTES)

/* SDM4: "Architectural MSRs" */
#define MSR_FEATURE_CONTROL    0x3a
#define FEATURE_CONTROL_LOCKED BIT(0)
#define FEATURE_CONTROL_VMX    BIT(2)
#define MSR_MISC_ENABLE        0x1a0
#define MISC_ENABLE_FAST       BIT(0) /* strings */
#define MISC_ENABLE_NO_BTS     BIT(11)
#define MISC_ENABLE_NO_PEBS    BIT(12)
#define MSR_MTRR_DEF_TYPE      0x2ff
#define MTRR_ENABLE            BIT(11)
#define MTRR_WRITE_BACK        6

static struct kvm *kvm_of(struct engine *engine)
{
	return (struct kvm *)engine;
}

static struct kvm_vcpu *vcpu_of(struct engine_vcpu *vcpu)
{
	return (struct kvm_vcpu *)vcpu;
}

int kvm_open(struct error *err)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC), version;

	if (fd < 0 && errno == ENOENT)
		return error_set(err, -ENOENT,
				 "no " DEVICE ": the host's kernel has no KVM, or kvm_intel or "
				 "kvm_amd is not loaded");
	if (fd < 0 && errno == EACCES)
		return error_set(err, -EACCES, DEVICE ": permission denied; join the group kvm");
	if (fd < 0)
		return error_set(err, -errno, DEVICE ": %s", strerror(errno));
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return fd;
	close(fd);
	return error_set(err, -ENOTSUP, DEVICE ": version %d of the interface, needed is %d",
			 version, KVM_API_VERSION);
}

struct kvm_cpuid2 *kvm_supported_cpuid(int device)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + KVM_CPUID_ENTRIES * sizeof(cpuid->entries[0]));

	if (!cpuid)
		return NULL;
	cpuid->nent = KVM_CPUID_ENTRIES;
	if (!ioctl(device, KVM_GET_SUPPORTED_CPUID, cpuid))
		return cpuid;
	free(cpuid);
	return NULL;
}

/* Two calls: the first fails with E2BIG and says how many there are. */
static struct kvm_msr_list *msr_list(int device)
{
	struct kvm_msr_list probe = { 0 }, *list;

	ioctl(device, KVM_GET_MSR_INDEX_LIST, &probe);
	list = calloc(1, sizeof(*list) + probe.nmsrs * sizeof(list->indices[0]));
	if (!list)
		return NULL;
	list->nmsrs = probe.nmsrs;
	if (!ioctl(device, KVM_GET_MSR_INDEX_LIST, list))
		return list;
	free(list);
	return NULL;
}

/* Each piece of RAM is a slot of its own; see MEMORY_GROW_STEPS for how many there can be. */
static int add_memory(void *self, gpa_t gpa, uint64_t len)
{
	struct kvm *kvm = self;
	struct kvm_userspace_memory_region region = {
		.slot = kvm->slots,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)(kvm->config.memory->base + gpa),
	};

	if (ioctl(kvm->fd, KVM_SET_USER_MEMORY_REGION, &region))
		return -errno;
	kvm->slots++;
	return 0;
}

static int map_memory(struct kvm *kvm)
{
	struct memory *memory = kvm->config.memory;
	int ret = 0;

	for (unsigned i = 0; i < memory->ranges && !ret; i++) {
		if (memory->range[i].size_bytes)
			ret = add_memory(kvm, memory->range[i].base, memory->range[i].size_bytes);
	}
	memory->on_grown = add_memory;
	memory->on_grown_self = kvm;
	return ret;
}

int kvm_vm_make(struct kvm *kvm, int device)
{
	int bytes = ioctl(device, KVM_GET_VCPU_MMAP_SIZE, 0);
	uint64_t identity_map = IDENTITY_MAP;
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { KVM_IOAPIC_PINS } };

	do {
		kvm->fd = ioctl(device, KVM_CREATE_VM, 0);
	} while (kvm->fd < 0 && errno == EINTR);
	if (kvm->fd < 0 || ioctl(kvm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) ||
	    ioctl(kvm->fd, KVM_SET_TSS_ADDR, TASK_STATE) || ioctl(kvm->fd, KVM_ENABLE_CAP, &split))
		return -errno;
	if (bytes < (int)sizeof(struct kvm_run))
		return bytes < 0 ? -errno : -ENOTSUP;
	kvm->run_bytes = (size_t)bytes;
	kvm->cpuid = kvm_supported_cpuid(device);
	kvm->msrs = msr_list(device);
	return kvm->cpuid && kvm->msrs ? 0 : -errno;
}

static void vm_unmake(struct kvm *kvm)
{
	if (kvm->fd >= 0)
		close(kvm->fd);
	free(kvm->cpuid);
	free(kvm->msrs);
}

static void kvm_destroy(struct engine *engine)
{
	struct kvm *kvm = kvm_of(engine);

	if (!kvm)
		return;
	kvm_apic_destroy(kvm);
	vm_unmake(kvm);
	pthread_mutex_destroy(&kvm->pins.lock);
	free(kvm);
}

static int create_parts(struct kvm *kvm, struct error *err)
{
	int device = kvm_open(err), ret;

	if (device < 0)
		return device;
	ret = kvm_vm_make(kvm, device);
	close(device);
	if (!ret)
		ret = map_memory(kvm);
	if (ret)
		return error_set(err, ret, "engine 'kvm': cannot make a VM: %s", strerror(-ret));
	return kvm_apic_create(kvm, err);
}

static int kvm_create(struct engine **out, const struct engine_config *config, struct error *err)
{
	struct kvm *kvm = calloc(1, sizeof(*kvm));
	int ret;

	if (!kvm)
		return error_set(err, -ENOMEM, "engine 'kvm': out of memory");
	kvm->config = *config;
	kvm->fd = -1;
	pthread_mutex_init(&kvm->pins.lock, NULL);
	ret = create_parts(kvm, err);
	if (ret)
		kvm_destroy((struct engine *)kvm);
	else
		*out = (struct engine *)kvm;
	return ret;
}

/* ---- vCPUs ---- */

static int set_cpuid(struct kvm_vcpu *vcpu)
{
	const struct kvm *kvm = vcpu->kvm;
	size_t bytes = sizeof(*kvm->cpuid) + KVM_CPUID_ENTRIES * sizeof(kvm->cpuid->entries[0]);
	const struct kvm_cpuid_shape shape = {
		.index = vcpu->index,
		.vcpus = kvm->config.vcpus,
		.nested = kvm->config.nested,
		.has_deadline = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
	};
	struct kvm_cpuid2 *cpuid = malloc(bytes);
	int ret = 0;

	if (!cpuid)
		return -ENOMEM;
	memcpy(cpuid, kvm->cpuid, bytes);
	kvm_cpuid_shape(cpuid, &shape);
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		ret = -errno;
	free(cpuid);
	return ret;
}

/* What firmware would have left, since there may be none. */
static int set_msrs(struct kvm_vcpu *vcpu)
{
	const struct engine_config *config = &vcpu->kvm->config;
	int ret = kvm_state_set_msr(vcpu, MSR_MTRR_DEF_TYPE, MTRR_ENABLE | MTRR_WRITE_BACK);

	/* Linux 6.1 breaks where CPUID shows short fast strings and this MSR has them off. */
	if (!ret && config->vendor == CPU_INTEL)
		ret = kvm_state_set_msr(vcpu, MSR_MISC_ENABLE,
					MISC_ENABLE_FAST | MISC_ENABLE_NO_BTS |
						MISC_ENABLE_NO_PEBS);
	if (!ret && config->vendor == CPU_INTEL && config->nested)
		ret = kvm_state_set_msr(vcpu, MSR_FEATURE_CONTROL,
					FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX);
	return ret;
}

static void vcpu_unmake(struct kvm_vcpu *vcpu)
{
	kvm_state_forget(vcpu);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->kvm->run_bytes);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
}

static void vcpu_destroy(struct engine_vcpu *vcpu)
{
	if (!vcpu)
		return;
	vcpu_unmake(vcpu_of(vcpu));
	kvm_nested_finish(&vcpu_of(vcpu)->nested);
	free(vcpu);
}

int kvm_vcpu_make(struct kvm_vcpu *vcpu)
{
	void *run;
	int ret;

	vcpu->fd = ioctl(vcpu->kvm->fd, KVM_CREATE_VCPU, vcpu->index);
	if (vcpu->fd < 0)
		return -errno;
	run = mmap(NULL, vcpu->kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vcpu->run = run;
	ret = kvm_poke_prepare();
	if (!ret)
		ret = set_cpuid(vcpu);
	if (!ret)
		ret = set_msrs(vcpu);
	return ret ? ret : kvm_state_keep(vcpu);
}

static int vcpu_create(struct engine *engine, unsigned index, struct engine_vcpu **out,
		       struct error *err)
{
	struct kvm_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int ret;

	if (!vcpu)
		return error_set(err, -ENOMEM, "vCPU %u: out of memory", index);
	*vcpu = (struct kvm_vcpu){
		.kvm = kvm_of(engine), .index = index, .fd = -1, .thread = pthread_self()
	};
	ret = kvm_nested_init(&vcpu->nested);
	if (ret) {
		free(vcpu);
		return error_set(err, ret, "vCPU %u: %s", index, strerror(-ret));
	}
	ret = kvm_vcpu_make(vcpu);
	if (ret) {
		vcpu_destroy((struct engine_vcpu *)vcpu);
		return error_set(err, ret, "vCPU %u: KVM cannot make it: %s", index,
				 strerror(-ret));
	}
	*out = (struct engine_vcpu *)vcpu;
	return 0;
}

static enum engine_exit run(struct engine_vcpu *vcpu)
{
	return kvm_vcpu_run(vcpu_of(vcpu));
}

static void kick(struct engine_vcpu *vcpu)
{
	__atomic_store_n(&vcpu_of(vcpu)->is_kicked, true, __ATOMIC_SEQ_CST);
	kvm_vcpu_poke(vcpu_of(vcpu));
}

/* Only the PIC's interrupts come this way: everything else is a message to KVM's local APICs. */
static void signal_vcpu(struct engine_vcpu *vcpu, enum vcpu_signal what, uint8_t vector)
{
	(void)what;
	(void)vector;
	kvm_vcpu_poke(vcpu_of(vcpu));
}

static void get_registers(struct engine_vcpu *vcpu, struct engine_registers *out)
{
	kvm_state_get(vcpu_of(vcpu), out);
}

static void set_registers(struct engine_vcpu *vcpu, const struct engine_registers *in)
{
	kvm_state_set(vcpu_of(vcpu), in);
}

static bool nested_active(struct engine_vcpu *vcpu)
{
	return kvm_nested_active(vcpu_of(vcpu));
}

static void reset(struct engine_vcpu *vcpu)
{
	kvm_state_reset(vcpu_of(vcpu));
}

const struct engine_ops engine_kvm = {
	.name = "kvm",
	.probe = kvm_probe,
	.create = kvm_create,
	.destroy = kvm_destroy,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.run = run,
	.kick = kick,
	.signal = signal_vcpu,
	.get_registers = get_registers,
	.set_registers = set_registers,
	.reset = reset,
	.nested_active = nested_active,
};
