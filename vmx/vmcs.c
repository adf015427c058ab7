/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The current VMCS and its image in guest memory: VMCLEAR, VMPTRLD, VMPTRST; VMREAD and VMWRITE, in
 * non-root operation on the shadow VMCS.
 *
 * What a guest leaves in an image is its own affair: fields are cut to their width when an image
 * becomes current, so that the rest of vmx/ can rely on it. A region outside RAM reads as all ones
 * and takes no writes.
 *
 * SDM2: "VMCLEAR", "VMPTRLD", "VMPTRST", "VMREAD", "VMWRITE"; SDM3: "VMCS Types: Ordinary and
 * Shadow", "Software Use of Virtual-Machine Control Structures"
 */
#include "cpu/exec/privileged.h"
#include "cpu/segment.h"
#include "cpu/soft.h"
#include "vmx/vmx.h"

#define IMAGE_DATA    offsetof(struct vmcs, is_launched) /* what is the processor's own */
#define HIGH_SHIFT    32
#define BITMAP_FIELDS 0x8000u /* encodings that the bitmaps of VMCS shadowing speak of */
#define BITS_PER_BYTE 8u

static struct memory *memory_of(const struct cpu *cpu)
{
	return cpu->soft->config.memory;
}

/* ---- images ---- */

void vmcs_write_back(struct cpu *cpu)
{
	struct vmx *vmx = vmx_of(cpu);

	if (vmx->current == NO_VMCS)
		return;
	memory_write(memory_of(cpu), vmx->current + IMAGE_DATA, (uint8_t *)&vmx->vmcs + IMAGE_DATA,
		     sizeof(vmx->vmcs) - IMAGE_DATA);
}

static void load_image(struct cpu *cpu, gpa_t addr)
{
	struct vmx *vmx = vmx_of(cpu);

	if (memory_read(memory_of(cpu), addr, &vmx->vmcs, sizeof(vmx->vmcs)))
		return; /* its revision was read: it is RAM */
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		vmx->vmcs.field[i] &= vmcs_field_mask(vmcs_fields[i].encoding);
	vmx->current = addr;
	vmcs_subject_changed(cpu);
}

static uint64_t pointer_operand(struct cpu *cpu, const struct insn *insn)
{
	gva_t linear = insn_linear(cpu, insn, sizeof(uint64_t), false);

	return mmu_load(cpu, linear, sizeof(uint64_t), insn->seg);
}

void vmcs_clear(struct cpu *cpu, const struct insn *insn)
{
	struct vmx *vmx = vmx_of(cpu);
	gpa_t addr = pointer_operand(cpu, insn);
	const uint32_t is_launched = 0;

	if (!vmx_region_valid(addr)) {
		vmx_fail(cpu, insn, VMXERR_VMCLEAR_ADDRESS);
		return;
	}
	if (addr == vmx->vmxon_region) {
		vmx_fail(cpu, insn, VMXERR_VMCLEAR_VMXON_POINTER);
		return;
	}
	if (addr == vmx->current) {
		vmcs_write_back(cpu);
		vmx->current = NO_VMCS;
		vmcs_subject_changed(cpu);
	}
	memory_write(memory_of(cpu), addr + offsetof(struct vmcs, is_launched), &is_launched,
		     sizeof(is_launched));
	vmx_succeed(cpu, insn);
}

void vmcs_load(struct cpu *cpu, const struct insn *insn)
{
	struct vmx *vmx = vmx_of(cpu);
	gpa_t addr = pointer_operand(cpu, insn);

	if (!vmx_region_valid(addr)) {
		vmx_fail(cpu, insn, VMXERR_VMPTRLD_ADDRESS);
		return;
	}
	if (addr == vmx->vmxon_region) {
		vmx_fail(cpu, insn, VMXERR_VMPTRLD_VMXON_POINTER);
		return;
	}
	if ((vmx_region_revision(cpu, addr) & ~VMCS_SHADOW) != VMX_REVISION) {
		vmx_fail(cpu, insn, VMXERR_VMPTRLD_REVISION);
		return;
	}
	if (addr != vmx->current) {
		vmcs_write_back(cpu);
		load_image(cpu, addr);
	}
	vmx_succeed(cpu, insn);
}

void vmcs_store(struct cpu *cpu, const struct insn *insn)
{
	gva_t linear = insn_linear(cpu, insn, sizeof(uint64_t), true);

	mmu_store(cpu, linear, sizeof(uint64_t), vmx_of(cpu)->current, insn->seg);
	vmx_succeed(cpu, insn);
}

/* ---- fields ---- */

/* The VMCS that VMREAD and VMWRITE speak of: the current one, in non-root operation its shadow. */
static gpa_t subject(const struct cpu *cpu)
{
	return cpu->in_guest ? vmcs_get(cpu, VMCS_LINK_POINTER) : vmx_of(cpu)->current;
}

static gpa_t shadow_field(const struct cpu *cpu, unsigned field)
{
	return subject(cpu) + offsetof(struct vmcs, field) + field * sizeof(uint64_t);
}

static uint64_t field_read(struct cpu *cpu, unsigned field)
{
	uint64_t value = ~0ull;

	if (!cpu->in_guest)
		return vmcs_get(cpu, field);
	memory_read(memory_of(cpu), shadow_field(cpu, field), &value, sizeof(value));
	return value & vmcs_field_mask(vmcs_fields[field].encoding);
}

static void field_write(struct cpu *cpu, unsigned field, uint64_t value)
{
	value &= vmcs_field_mask(vmcs_fields[field].encoding);
	if (cpu->in_guest)
		memory_write(memory_of(cpu), shadow_field(cpu, field), &value, sizeof(value));
	else
		vmcs_set(cpu, field, value);
}

/* The index of the field, or -1: this processor has none. */
static int find_field(const struct cpu *cpu, uint64_t encoding)
{
	int field = encoding >> HIGH_SHIFT ? -1 : vmcs_field_find((uint32_t)encoding);

	return field >= 0 && vmx_of(cpu)->has_field[field] ? field : -1;
}

/* Fails the instruction where it has no subject or no field. */
static bool check_field(struct cpu *cpu, const struct insn *insn, int field)
{
	if (subject(cpu) == NO_VMCS)
		vmx_fail_invalid(cpu, insn);
	else if (field < 0)
		vmx_fail(cpu, insn, VMXERR_UNSUPPORTED_FIELD);
	return subject(cpu) != NO_VMCS && field >= 0;
}

void vmcs_read(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = native_size(cpu);
	uint64_t encoding = reg_read(cpu, insn->src, size), value;
	int field = find_field(cpu, encoding);

	if (!check_field(cpu, insn, field))
		return;
	value = field_read(cpu, (unsigned)field);
	if (encoding & VMCS_HIGH)
		value >>= HIGH_SHIFT;
	if (insn->flags & INSN_MEM)
		mmu_store(cpu, insn_linear(cpu, insn, size, true), size, value, insn->seg);
	else
		reg_write(cpu, insn->dst, size, value);
	vmx_succeed(cpu, insn);
}

void vmcs_write(struct cpu *cpu, const struct insn *insn)
{
	unsigned size = native_size(cpu);
	uint64_t encoding = reg_read(cpu, insn->dst, size), value;
	int field = find_field(cpu, encoding);

	if (insn->flags & INSN_MEM)
		value = mmu_load(cpu, insn_linear(cpu, insn, size, false), size, insn->seg);
	else
		value = reg_read(cpu, insn->src, size);
	if (!check_field(cpu, insn, field))
		return;
	if (encoding & VMCS_HIGH)
		value = value << HIGH_SHIFT | (uint32_t)field_read(cpu, (unsigned)field);
	field_write(cpu, (unsigned)field, value);
	vmx_succeed(cpu, insn);
}

/* ---- for translated code ---- */

void vmcs_list_fields(struct vmx *vmx)
{
	vmx->fields.value = vmx->vmcs.field;
	vmx->fields.mask = vmx->mask;
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		uint32_t encoding = vmcs_fields[i].encoding;

		vmx->mask[i] = vmcs_field_mask(encoding);
		vmx->fields.index[encoding / 2] = vmx->has_field[i] ? (uint8_t)(i + 1) : 0;
	}
}

void vmcs_subject_changed(struct cpu *cpu)
{
	const struct vmx *vmx = vmx_of(cpu);

	cpu->virt_fields = cpu->in_guest || vmx->current == NO_VMCS ? NULL : &vmx->fields;
}

/* ---- VMCS shadowing ---- */

bool vmcs_is_shadowed(struct cpu *cpu, const struct insn *insn, bool is_write)
{
	uint64_t encoding = reg_read(cpu, is_write ? insn->dst : insn->src, native_size(cpu));
	gpa_t bitmap = vmcs_get(cpu, is_write ? VMWRITE_BITMAP : VMREAD_BITMAP);
	uint8_t byte;

	if (!(vmx_of(cpu)->proc2 & PROC2_VMCS_SHADOWING) || encoding >= BITMAP_FIELDS)
		return false;
	if (memory_read(memory_of(cpu), bitmap + encoding / BITS_PER_BYTE, &byte, 1))
		return false; /* no RAM: all ones */
	return !(byte >> encoding % BITS_PER_BYTE & 1);
}
