/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine for the fuzzing of VT-x: 2 MiB of RAM, one vCPU in root operation, a page for
 * everything that a VMCS can point to, and a VMCS that passes every check.
 *
 * L1 stops the run by a write to STOP_PORT, which is also what it does after an exit. L2 is stopped
 * after a number of boundaries between its blocks, whatever else goes on there after some
 * milliseconds, by a kick. A run that neither ends is a finding.
 */
#ifndef TESTS_FUZZ_VMX_MACHINE_H
#define TESTS_FUZZ_VMX_MACHINE_H

#include <stdio.h>
#include <stdlib.h>

#include "cpu/flags.h"
#include "cpu/mmu/mmu.h"
#include "tests/unit/vmcs.h"

#define RAM_BYTES    (2 * MIB)
#define DEVICE       0xd0000000ull
#define DEVICE_BYTES 0x10000
#define APIC_PAGE    0xfee00000ull
#define STOP_PORT    0x80

#define BOUNDARIES 64
#define LIMIT_NS   5000000ull

/* Pages, by their number. */
enum {
	PAGE_L1_PML4 = 2,
	PAGE_L1_PDPT,
	PAGE_L1_CODE,
	PAGE_L2_CODE,
	PAGE_VMXON,
	PAGE_VMCS,
	PAGE_SHADOW,
	PAGE_IO_A,
	PAGE_IO_B,
	PAGE_MSR_BITMAP,
	PAGE_ENTRY_LIST,                       /* two each: 512 entries */
	PAGE_STORE_LIST = PAGE_ENTRY_LIST + 2, /* exit, store */
	PAGE_LOAD_LIST = PAGE_STORE_LIST + 2,  /* exit, load */
	PAGE_EPT = PAGE_LOAD_LIST + 2,         /* four: PML4, PDPT, PD, PT */
	PAGE_APIC = PAGE_EPT + 4,
	PAGE_PML,
	PAGE_POSTED,
	PAGE_VMREAD,
	PAGE_VMWRITE,
	PAGE_EPTP_LIST,
	PAGE_VE,
	PAGE_TABLES32,
	PAGE_PDPT_PAE,
	PAGE_PD_PAE,
	PAGE_GDT, /* L2's, and L1's after an exit */
	PAGE_IDT,
	PAGE_STACK,
	PAGE_DATA,
	PAGES,
};

#define AT(page) ((uint64_t)(page) << PAGE_BITS)

/* Where a VMCS says what L1 does next. */
enum { L1_LAUNCH = 0, L1_RESUME = 8, L1_STOP = 16, L1_FREE = 32 };

struct machine {
	struct engine_config config;
	struct engine *engine;
	struct engine_vcpu *handle;
	struct cpu *cpu;
	struct virt_ops counting; /* virt_vmx, and it counts */
	struct timer limit;
	unsigned boundaries_left;
	unsigned code_bytes;      /* of L2's code page, as far as it is written */
	uint8_t image[AT(PAGES)]; /* memory as it is at first, once it has been made */
	bool has_image;
};

static inline void put(struct machine *m, gpa_t at, const void *bytes, uint64_t len)
{
	memory_write(m->config.memory, at, bytes, len);
}

static inline void put8(struct machine *m, gpa_t at, uint64_t value)
{
	put(m, at, &value, sizeof(value));
}

/* ---- what ends a run ---- */

static inline void stop(void *self)
{
	engine_soft.kick(((struct machine *)self)->handle);
}

static inline struct machine *machine_of(const struct cpu *cpu)
{
	return (struct machine *)((char *)cpu->virt - offsetof(struct machine, counting));
}

static inline void count_execute(struct cpu *cpu, const struct insn *insn)
{
	cpu_attention_set(cpu, ATTENTION_VIRT); /* for the first boundary, should this enter */
	virt_vmx.execute(cpu, insn);
}

static inline bool count_boundary(struct cpu *cpu, enum virt_boundary stage)
{
	struct machine *m = machine_of(cpu);
	bool is_one;

	if (stage == BOUNDARY_BEFORE_TRAPS && !m->boundaries_left--)
		stop(m);
	is_one = virt_vmx.boundary(cpu, stage);
	cpu_attention_set(cpu, ATTENTION_VIRT);
	return is_one;
}

/* ---- devices ---- */

static inline void access_ports(void *self, struct dev_access *access)
{
	if (access->offset + access->size > 0x10000)
		abort();
	if (access->offset == STOP_PORT && access->is_write)
		stop(self);
	access->value = 0x5a5a5a5a & size_mask(access->size);
}

static inline void access_device(void *self, struct dev_access *access)
{
	(void)self;
	if (access->offset + access->size > DEVICE_BYTES)
		abort();
	access->value = 0xa5a5a5a5a5a5a5a5 & size_mask(access->size);
}

static inline void signal_vcpu(void *self, unsigned vcpu, enum vcpu_signal what, uint8_t vector)
{
	(void)vcpu;
	engine_soft.signal(((struct machine *)self)->handle, what, vector);
}

/* ---- creation ---- */

static inline void machine_create(struct machine *m)
{
	m->config = (struct engine_config){ .vendor = CPU_INTEL, .vcpus = 1, .nested = true };
	if (memory_create(&m->config.memory, RAM_BYTES, NULL) || bus_create(&m->config.bus) ||
	    clock_create(&m->config.clock) || irq_create(&m->config.irq, m->config.clock, 1) ||
	    engine_soft.create(&m->engine, &m->config, NULL) ||
	    engine_soft.vcpu_create(m->engine, 0, &m->handle, NULL) ||
	    bus_map(m->config.bus, BUS_PIO, 0, 0x10000, access_ports, m, "ports") ||
	    bus_map(m->config.bus, BUS_MMIO, DEVICE, DEVICE_BYTES, access_device, m, "device"))
		abort();
	irq_set_sink(m->config.irq, signal_vcpu, m);
	timer_init(&m->limit, m->config.clock, stop, m);
	m->cpu = (struct cpu *)m->handle;
	m->counting = virt_vmx;
	m->counting.execute = count_execute;
	m->counting.boundary = count_boundary;
	m->cpu->virt = &m->counting;
}

/* ---- memory ---- */

static inline void clear_memory(struct machine *m)
{
	struct memory *mem = m->config.memory;

	for (unsigned n = 0; n < mem->ranges; n++) {
		memset(mem->base + mem->range[n].base, 0, mem->range[n].size_bytes);
		memory_written(mem, mem->range[n].base, mem->range[n].size_bytes);
	}
}

/* One to one, in every paging mode. */
static inline void make_page_tables(struct machine *m)
{
	put8(m, AT(PAGE_L1_PML4), AT(PAGE_L1_PDPT) | 7);
	for (uint64_t n = 0; n < 4; n++) {
		put8(m, AT(PAGE_L1_PDPT) + 8 * n, n << 30 | 0x87);
		put8(m, AT(PAGE_PDPT_PAE) + 8 * n, AT(PAGE_PD_PAE) | 1);
	}
	for (uint64_t n = 0; n < 512; n++)
		put8(m, AT(PAGE_PD_PAE) + 8 * n, n << 21 | 0x87);
	for (uint32_t n = 0; n < 1024; n++) {
		uint32_t entry = n << 22 | 0x87;

		put(m, AT(PAGE_TABLES32) + 4 * n, &entry, sizeof(entry));
	}
}

/* The first 2 MiB in small pages, 1 GiB in large ones, and three huge ones. */
static inline void make_ept(struct machine *m)
{
	const uint64_t rights = 7, page = 7 | 6 << 3, large = page | 0x80;

	put8(m, AT(PAGE_EPT), AT(PAGE_EPT + 1) | rights);
	put8(m, AT(PAGE_EPT + 1), AT(PAGE_EPT + 2) | rights);
	put8(m, AT(PAGE_EPT + 2), AT(PAGE_EPT + 3) | rights);
	for (uint64_t n = 1; n < 4; n++)
		put8(m, AT(PAGE_EPT + 1) + 8 * n, n << 30 | large);
	for (uint64_t n = 1; n < 512; n++)
		put8(m, AT(PAGE_EPT + 2) + 8 * n, n << 21 | large);
	for (uint64_t n = 0; n < 512; n++)
		put8(m, AT(PAGE_EPT + 3) + 8 * n, n << 12 | page);
	for (uint64_t n = 0; n < 512; n++)
		put8(m, AT(PAGE_EPTP_LIST) + 8 * n, AT(PAGE_EPT) | 0x1e);
}

static inline void make_code(struct machine *m)
{
	static const uint8_t launch[] = { 0x0f, 0x01, 0xc2, 0xe6, STOP_PORT, 0xeb, 0xfc };
	static const uint8_t resume[] = { 0x0f, 0x01, 0xc3, 0xe6, STOP_PORT, 0xeb, 0xfc };
	static const uint8_t stops[] = { 0xe6, STOP_PORT, 0xeb, 0xfc };
	static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };

	put(m, AT(PAGE_L1_CODE) + L1_LAUNCH, launch, sizeof(launch));
	put(m, AT(PAGE_L1_CODE) + L1_RESUME, resume, sizeof(resume));
	put(m, AT(PAGE_L1_CODE) + L1_STOP, stops, sizeof(stops));
	for (unsigned n = 0; n + sizeof(vmcall) <= PAGE_BYTES; n += sizeof(vmcall))
		put(m, AT(PAGE_L2_CODE) + n, vmcall, sizeof(vmcall));
}

/* Every gate of 64-bit mode leads to L2's code. */
static inline void make_descriptors(struct machine *m)
{
	const uint64_t gate = AT(PAGE_L2_CODE) | 8 << 16 | 0x8e00ull << 32;

	put8(m, AT(PAGE_GDT) + 8, 0x00af9b000000ffff);
	put8(m, AT(PAGE_GDT) + 16, 0x00cf93000000ffff);
	for (unsigned n = 0; n < 256; n++)
		put8(m, AT(PAGE_IDT) + 16 * n, gate);
}

static inline void make_regions(struct machine *m)
{
	const uint32_t revision = VMX_REVISION, shadow = VMX_REVISION | VMCS_SHADOW;

	put(m, AT(PAGE_VMXON), &revision, sizeof(revision));
	put(m, AT(PAGE_VMCS), &revision, sizeof(revision));
	put(m, AT(PAGE_SHADOW), &shadow, sizeof(shadow));
}

static inline void make_memory(struct machine *m)
{
	clear_memory(m);
	m->code_bytes = 0;
	if (m->has_image) {
		put(m, 0, m->image, sizeof(m->image));
		return;
	}
	make_page_tables(m);
	make_ept(m);
	make_code(m);
	make_descriptors(m);
	make_regions(m);
	m->has_image = !memory_read(m->config.memory, 0, m->image, sizeof(m->image));
}

/* ---- the VMCS ---- */

/* Every pointer where it belongs, no list, no control that need not be. */
static inline void make_vmcs(struct machine *m)
{
	static const struct {
		uint16_t field, page;
	} pointers[] = {
		{ IO_BITMAP_A, PAGE_IO_A },
		{ IO_BITMAP_B, PAGE_IO_B },
		{ MSR_BITMAP, PAGE_MSR_BITMAP },
		{ EXIT_MSR_STORE, PAGE_STORE_LIST },
		{ EXIT_MSR_LOAD, PAGE_LOAD_LIST },
		{ ENTRY_MSR_LOAD, PAGE_ENTRY_LIST },
		{ PML_ADDRESS, PAGE_PML },
		{ VIRTUAL_APIC_PAGE, PAGE_APIC },
		{ POSTED_INTERRUPT_DESCRIPTOR, PAGE_POSTED },
		{ EPTP_LIST, PAGE_EPTP_LIST },
		{ VMREAD_BITMAP, PAGE_VMREAD },
		{ VMWRITE_BITMAP, PAGE_VMWRITE },
		{ VE_INFORMATION, PAGE_VE },
		{ GUEST_CR3, PAGE_L1_PML4 },
		{ HOST_CR3, PAGE_L1_PML4 },
		{ GUEST_RIP, PAGE_L2_CODE },
		{ GUEST_RSP, PAGE_DATA },
		{ HOST_RSP, PAGE_STACK },
		{ GUEST_GDTR_BASE, PAGE_GDT },
		{ GUEST_IDTR_BASE, PAGE_IDT },
		{ HOST_GDTR_BASE, PAGE_GDT },
	};
	struct cpu *cpu = m->cpu;

	vmcs_set_good(cpu, AT(PAGE_VMCS));
	vmx_of(cpu)->vmcs.revision = VMX_REVISION;
	for (unsigned n = 0; n < ARRAY_SIZE(pointers); n++)
		vmcs_set(cpu, pointers[n].field, AT(pointers[n].page));
	vmcs_set(cpu, APIC_ACCESS_PAGE, APIC_PAGE);
	vmcs_set(cpu, EPT_POINTER, AT(PAGE_EPT) | 0x1e);
	vmcs_set(cpu, VPID, 1);
	vmcs_set(cpu, TSC_MULTIPLIER, BIT(48));
	vmcs_set(cpu, PREEMPTION_TIMER, 1000);
	vmcs_set(cpu, PML_INDEX, 1);
	vmcs_set(cpu, VM_FUNCTION_CONTROLS, 1); /* EPTP switching */
	vmcs_set(cpu, GUEST_EFER, EFER_LMA | EFER_LME);
	vmcs_set(cpu, HOST_EFER, EFER_LMA | EFER_LME);
	vmcs_set(cpu, HOST_RIP, AT(PAGE_L1_CODE) + L1_STOP);
	vmcs_set(cpu, GUEST_GDTR_LIMIT, 0xff);
	vmcs_set(cpu, GUEST_IDTR_LIMIT, 0xfff);
	for (unsigned n = 0; n < 4; n++)
		vmcs_set(cpu, GUEST_PDPTE0 + n, AT(PAGE_PD_PAE) | 1);
}

/* ---- L1 ---- */

static inline struct engine_registers l1_registers(void)
{
	struct engine_segment data = { 0x10, 0, 0xffffffff, AR_DATA };

	return (struct engine_registers){
		.rip = AT(PAGE_L1_CODE) + L1_STOP,
		.rflags = RFLAGS_ONE,
		.gpr[RSP] = AT(PAGE_STACK),
		.es = data,
		.cs = { 8, 0, 0xffffffff, AR_CODE64 },
		.ss = data,
		.ds = data,
		.fs = data,
		.gs = data,
		.ldtr = { 0, 0, 0, SEG_UNUSABLE },
		.tr = { 0x18, 0, 0x67, AR_TSS },
		.cr0 = CR0_PE | CR0_NE | CR0_PG | CR0_ET,
		.cr3 = AT(PAGE_L1_PML4),
		.cr4 = CR4_PAE | CR4_VMXE,
		.efer = EFER_LMA | EFER_LME,
	};
}

/* Where an exit has left L1 in a state of its own, back to that of the beginning. */
static inline void repair_l1(struct machine *m)
{
	struct engine_registers good = l1_registers(), now;

	engine_soft.get_registers(m->handle, &now);
	if (now.cr0 == good.cr0 && now.cr3 == good.cr3 && now.cr4 == good.cr4 &&
	    now.efer == good.efer && !memcmp(&now.cs, &good.cs, sizeof(now.cs)))
		return;
	memcpy(good.gpr, now.gpr, sizeof(good.gpr));
	engine_soft.set_registers(m->handle, &good);
}

/* So that it takes interrupts. */
static inline void enable_apic(struct machine *m)
{
	struct dev_access svr = { .offset = 0xf0, .value = 0x1ff, .size = 4, .is_write = true };

	irq_reset(m->config.irq);
	irq_apic_mmio(m->config.irq, 0, &svr);
}

static inline void machine_reset(struct machine *m)
{
	struct engine_registers registers = l1_registers();
	struct vmx *vmx = vmx_of(m->cpu);

	make_memory(m);
	enable_apic(m);
	engine_soft.reset(m->handle);
	cpu_attention_clear(m->cpu, ~0u);
	engine_soft.set_registers(m->handle, &registers);
	vmx->is_on = m->cpu->is_init_blocked = true;
	vmx->vmxon_region = AT(PAGE_VMXON);
	vmx->feature_control = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON;
	make_vmcs(m);
}

/* ---- running ---- */

#define must_hold(holds) check_holds(holds, #holds)

static inline void check_holds(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

/* What no guest can change. */
static inline void check_machine(const struct machine *m)
{
	const struct cpu *cpu = m->cpu;
	const struct vmx *vmx = vmx_of(cpu);

	must_hold(cpu->cpl <= 3 && cpu->activity <= CPU_MONITORING);
	must_hold((cpu->cr0 & CR0_PE) || !(cpu->cr0 & CR0_PG));
	must_hold(!cpu_in_long_mode(cpu) || ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE)));
	must_hold(!cpu->in_guest || (vmx->is_on && vmx->current != NO_VMCS));
	if (vmx->is_on) {
		bool is_free = cpu->in_guest && (vmx->proc2 & PROC2_UNRESTRICTED_GUEST);

		must_hold(vmx_caps_cr0_valid(cpu->cr0, is_free));
		must_hold(vmx_caps_cr4_valid(cpu, cpu->cr4));
	}
	if (!cpu->in_guest)
		must_hold(!cpu->has_second_stage && !cpu->stage_key && !cpu->virtual_apic &&
			  !cpu->interrupts_exit && !cpu->nmi_is_virtual && !cpu->iret_keeps_nmi);
	for (unsigned n = 0; n < VMCS_FIELDS && vmx->current != NO_VMCS; n++)
		must_hold(!(vmx->vmcs.field[n] & ~vmcs_field_mask(vmcs_fields[n].encoding)));
}

/* false: the machine has shut down. */
static inline bool machine_run(struct machine *m)
{
	enum engine_exit how;

	m->boundaries_left = BOUNDARIES;
	timer_set(&m->limit, clock_now_ns(m->config.clock) + LIMIT_NS);
	how = engine_soft.run(m->handle);
	timer_cancel(&m->limit);
	cpu_attention_clear(m->cpu, ATTENTION_KICK);
	must_hold(how != ENGINE_ERROR);
	check_machine(m);
	return how == ENGINE_KICKED;
}

#endif
