/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers in and out, and reset.
 *
 * KVM gives a new vCPU the state that the manuals demand after power-on. That state, all of it, is
 * kept when the vCPU has been made, and reset puts it back: so nothing here has to know what a
 * register's value after power-on is, and none is forgotten that KVM lists.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "kvm/kvm.h"

#define MSR_TSC 0x10 /* runs on through a reset, on all vCPUs alike */

/* Fields of engine_segment's attributes. */
#define AR_S        4
#define AR_P        7
#define AR_AVL      12
#define AR_L        13
#define AR_DB       14
#define AR_G        15
#define AR_UNUSABLE 16

struct kvm_power_on {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_xcrs xcrs;
	struct kvm_xsave xsave;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	unsigned msrs;
	struct kvm_msr_entry msr[];
};

/* All but MSRs and nested state, in the order in which reset puts it back. */
static const struct part {
	const char *name;
	unsigned long get, set;
	size_t offset;
} parts[] = {
#define PART(NAME, FIELD)                                                                   \
	{                                                                                   \
#NAME, KVM_GET_##NAME, KVM_SET_##NAME, offsetof(struct kvm_power_on, FIELD) \
	}
	PART(SREGS, sregs),        PART(REGS, regs),           PART(XCRS, xcrs),
	PART(XSAVE, xsave),        PART(DEBUGREGS, debugregs), PART(LAPIC, lapic),
	PART(VCPU_EVENTS, events),
};

/* One MSR, in a struct kvm_msrs. Returns whether KVM took it. */
static bool one_msr(struct kvm_vcpu *vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} one = { .head.nmsrs = 1, .entry = *entry };
	int done = ioctl(vcpu->fd, request, &one);

	*entry = one.entry;
	return done == 1;
}

int kvm_state_set_msr(struct kvm_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct kvm_msr_entry entry = { .index = msr, .data = value };

	return one_msr(vcpu, KVM_SET_MSRS, &entry) ? 0 : -EINVAL;
}

static void keep_msrs(struct kvm_vcpu *vcpu, struct kvm_power_on *kept)
{
	const struct kvm_msr_list *list = vcpu->kvm->msrs;

	for (unsigned i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry entry = { .index = list->indices[i] };

		if (entry.index != MSR_TSC && one_msr(vcpu, KVM_GET_MSRS, &entry))
			kept->msr[kept->msrs++] = entry;
	}
}

int kvm_state_keep(struct kvm_vcpu *vcpu)
{
	size_t msrs_bytes = vcpu->kvm->msrs->nmsrs * sizeof(struct kvm_msr_entry);
	struct kvm_power_on *kept = calloc(1, sizeof(*kept) + msrs_bytes);
	int ret = 0;

	if (!kept)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(parts) && !ret; i++)
		if (ioctl(vcpu->fd, parts[i].get, (char *)kept + parts[i].offset))
			ret = -errno;
	if (!ret && ioctl(vcpu->fd, KVM_GET_MP_STATE, &kept->mp_state))
		ret = -errno;
	if (ret) {
		free(kept);
		return ret;
	}
	keep_msrs(vcpu, kept);
	vcpu->power_on = kept;
	return 0;
}

void kvm_state_forget(struct kvm_vcpu *vcpu)
{
	free(vcpu->power_on);
	vcpu->power_on = NULL;
}

/* KVM refuses what it should take: the next run ends this VM. */
static void must(struct kvm_vcpu *vcpu, int result, const char *what)
{
	if (!result)
		return;
	fprintf(stderr, "nidus: vCPU %u: KVM refuses %s: %s\n", vcpu->index, what, strerror(errno));
	vcpu->is_broken = true;
}

/* Out of L2, and out of VMX or SVM operation. */
static void leave_nesting(struct kvm_vcpu *vcpu)
{
	struct kvm_nested_state state = { .size = sizeof(state.flags) + sizeof(state.format) +
						  sizeof(state.size) + sizeof(state.hdr) };

	if (vcpu->kvm->config.vendor == CPU_INTEL) {
		state.format = KVM_STATE_NESTED_FORMAT_VMX;
		state.hdr.vmx.vmxon_pa = state.hdr.vmx.vmcs12_pa = ~0ull;
	} else {
		state.format = KVM_STATE_NESTED_FORMAT_SVM;
		state.flags = KVM_STATE_NESTED_GIF_SET;
	}
	must(vcpu, ioctl(vcpu->fd, KVM_SET_NESTED_STATE, &state), "to leave nested operation");
}

void kvm_state_reset(struct kvm_vcpu *vcpu)
{
	struct kvm_power_on *kept = vcpu->power_on;

	if (vcpu->kvm->config.nested)
		leave_nesting(vcpu);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		must(vcpu, ioctl(vcpu->fd, parts[i].set, (char *)kept + parts[i].offset),
		     parts[i].name);
	for (unsigned i = 0; i < kept->msrs; i++) /* read-only ones among them are refused */
		one_msr(vcpu, KVM_SET_MSRS, &kept->msr[i]);
	must(vcpu, ioctl(vcpu->fd, KVM_SET_MP_STATE, &kept->mp_state), "MP_STATE");
	vcpu->run->ready_for_interrupt_injection = 0;
}

/* ---- what a boot protocol sets ---- */

struct kvm_segment kvm_segment_in(const struct engine_segment *in)
{
	uint32_t ar = in->attributes;

	return (struct kvm_segment){
		.base = in->base,
		.limit = in->limit,
		.selector = in->selector,
		.type = (uint8_t)bits(ar, 3, 0),
		.s = (uint8_t)bits(ar, AR_S, AR_S),
		.dpl = (uint8_t)bits(ar, 6, 5),
		.present = (uint8_t)bits(ar, AR_P, AR_P),
		.avl = (uint8_t)bits(ar, AR_AVL, AR_AVL),
		.l = (uint8_t)bits(ar, AR_L, AR_L),
		.db = (uint8_t)bits(ar, AR_DB, AR_DB),
		.g = (uint8_t)bits(ar, AR_G, AR_G),
		.unusable = (uint8_t)bits(ar, AR_UNUSABLE, AR_UNUSABLE),
	};
}

struct engine_segment kvm_segment_out(const struct kvm_segment *in)
{
	return (struct engine_segment){
		.selector = in->selector,
		.base = in->base,
		.limit = in->limit,
		.attributes = in->type | (uint32_t)in->s << AR_S | (uint32_t)in->dpl << 5 |
			      (uint32_t)in->present << AR_P | (uint32_t)in->avl << AR_AVL |
			      (uint32_t)in->l << AR_L | (uint32_t)in->db << AR_DB |
			      (uint32_t)in->g << AR_G | (uint32_t)in->unusable << AR_UNUSABLE,
	};
}

/* The encoding's order, as in engine_registers. */
static void gprs(struct kvm_regs *regs, __u64 *out[16])
{
	__u64 *const order[16] = {
		&regs->rax, &regs->rcx, &regs->rdx, &regs->rbx, &regs->rsp, &regs->rbp,
		&regs->rsi, &regs->rdi, &regs->r8,  &regs->r9,  &regs->r10, &regs->r11,
		&regs->r12, &regs->r13, &regs->r14, &regs->r15,
	};

	memcpy(out, order, sizeof(order));
}

void kvm_state_get(struct kvm_vcpu *vcpu, struct engine_registers *out)
{
	struct kvm_sregs s = { 0 };
	struct kvm_regs regs = { 0 };
	__u64 *gpr[16];

	must(vcpu, ioctl(vcpu->fd, KVM_GET_REGS, &regs), "to tell its registers");
	must(vcpu, ioctl(vcpu->fd, KVM_GET_SREGS, &s), "to tell its segments");
	gprs(&regs, gpr);
	*out = (struct engine_registers){
		.rip = regs.rip,
		.rflags = regs.rflags,
		.es = kvm_segment_out(&s.es),
		.cs = kvm_segment_out(&s.cs),
		.ss = kvm_segment_out(&s.ss),
		.ds = kvm_segment_out(&s.ds),
		.fs = kvm_segment_out(&s.fs),
		.gs = kvm_segment_out(&s.gs),
		.ldtr = kvm_segment_out(&s.ldt),
		.tr = kvm_segment_out(&s.tr),
		.gdtr = { s.gdt.base, s.gdt.limit },
		.idtr = { s.idt.base, s.idt.limit },
		.cr0 = s.cr0,
		.cr2 = s.cr2,
		.cr3 = s.cr3,
		.cr4 = s.cr4,
		.efer = s.efer,
	};
	for (unsigned i = 0; i < ARRAY_SIZE(gpr); i++)
		out->gpr[i] = *gpr[i];
}

void kvm_state_set(struct kvm_vcpu *vcpu, const struct engine_registers *in)
{
	struct kvm_regs regs = { .rip = in->rip, .rflags = in->rflags };
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs s = { 0 };
	__u64 *gpr[16];

	gprs(&regs, gpr);
	for (unsigned i = 0; i < ARRAY_SIZE(gpr); i++)
		*gpr[i] = in->gpr[i];
	must(vcpu, ioctl(vcpu->fd, KVM_GET_SREGS, &s), "to tell its segments");
	s.es = kvm_segment_in(&in->es);
	s.cs = kvm_segment_in(&in->cs);
	s.ss = kvm_segment_in(&in->ss);
	s.ds = kvm_segment_in(&in->ds);
	s.fs = kvm_segment_in(&in->fs);
	s.gs = kvm_segment_in(&in->gs);
	s.ldt = kvm_segment_in(&in->ldtr);
	s.tr = kvm_segment_in(&in->tr);
	s.gdt = (struct kvm_dtable){ .base = in->gdtr.base, .limit = in->gdtr.limit };
	s.idt = (struct kvm_dtable){ .base = in->idtr.base, .limit = in->idtr.limit };
	s.cr0 = in->cr0;
	s.cr2 = in->cr2;
	s.cr3 = in->cr3;
	s.cr4 = in->cr4;
	s.efer = in->efer;
	must(vcpu, ioctl(vcpu->fd, KVM_SET_SREGS, &s), "segments and control registers");
	must(vcpu, ioctl(vcpu->fd, KVM_SET_REGS, &regs), "registers");
	must(vcpu, ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable), "MP_STATE");
}

/* ---- for the operator ---- */

static void print_segment(const char *name, const struct engine_segment *s)
{
	fprintf(stderr, "  %s %04x base %016llx limit %08x attributes %05x\n", name, s->selector,
		(unsigned long long)s->base, s->limit, s->attributes);
}

void kvm_state_print(struct kvm_vcpu *vcpu)
{
	struct engine_registers r;

	kvm_state_get(vcpu, &r);
	for (unsigned i = 0; i < ARRAY_SIZE(r.gpr); i++)
		fprintf(stderr, "%sgpr%-2u %016llx%s", i % 4 ? " " : "  ", i,
			(unsigned long long)r.gpr[i], i % 4 == 3 ? "\n" : "");
	fprintf(stderr,
		"  rip %016llx rflags %08llx\n  cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx\n",
		(unsigned long long)r.rip, (unsigned long long)r.rflags, (unsigned long long)r.cr0,
		(unsigned long long)r.cr2, (unsigned long long)r.cr3, (unsigned long long)r.cr4,
		(unsigned long long)r.efer);
	print_segment("cs", &r.cs);
	print_segment("ss", &r.ss);
	print_segment("ds", &r.ds);
	print_segment("tr", &r.tr);
}
