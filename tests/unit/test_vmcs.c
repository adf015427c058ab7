/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMX instructions but entry: VMX operation, the current VMCS and its image, every field by
 * VMREAD and VMWRITE, VMCS shadowing, invalidation; and each error number.
 */
#include "tests/unit/vmx_root.h"

#include "cpu/feature.h"

#define UNMAPPED     0x80000000ull /* no translation */
#define TOO_WIDE     BIT(PHYSICAL_BITS)
#define NO_FIELD     0x6828 /* the index behind the last guest field of natural width */
#define BITMAP_READ  0x13000
#define BITMAP_WRITE 0x14000
#define PATTERN      0x123456789abcdef0ull

static uint64_t read_field(struct vcpu *v, uint64_t encoding)
{
	uint64_t value = 0;

	assert_int_equal(vmread(v, encoding, &value), SUCCEED);
	return value;
}

/* ---- fields ---- */

static void encodings_lead_to_their_field(void **state)
{
	unsigned found = 0;

	(void)state;
	for (uint32_t encoding = 0; encoding < 0x20000; encoding++) {
		int field = vmcs_field_find(encoding);

		if (field < 0)
			continue;
		assert_int_equal(vmcs_fields[field].encoding, encoding & ~VMCS_HIGH);
		assert_true(!(encoding & VMCS_HIGH) || vmcs_field_width(encoding) == VMCS_64);
		found += !(encoding & VMCS_HIGH);
	}
	assert_int_equal(found, VMCS_FIELDS);
	assert_int_equal(vmcs_field_find(0x10000 | 0x6800), -1);
	assert_int_equal(vmcs_field_find(0xffffffff), -1);
}

static void every_field_keeps_its_width(void **state)
{
	struct vcpu *v = *state;

	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		uint32_t encoding = vmcs_fields[i].encoding;

		if (!vmx_caps_has_field(v->cpu, i)) {
			assert_int_equal(vmwrite(v, encoding, 1), FAIL + VMXERR_UNSUPPORTED_FIELD);
			continue;
		}
		assert_int_equal(vmwrite(v, encoding, ~PATTERN), SUCCEED);
		assert_int_equal(read_field(v, encoding), ~PATTERN & vmcs_field_mask(encoding));
		assert_int_equal(vmwrite(v, encoding, PATTERN + i), SUCCEED);
	}
	for (unsigned i = 0; i < VMCS_FIELDS; i++) { /* none lies on another */
		uint32_t encoding = vmcs_fields[i].encoding;

		if (vmx_caps_has_field(v->cpu, i) && i != INSTRUCTION_ERROR)
			assert_int_equal(read_field(v, encoding),
					 (PATTERN + i) & vmcs_field_mask(encoding));
	}
}

static void halves_of_64_bit_fields(void **state)
{
	struct vcpu *v = *state;

	assert_int_equal(vmwrite(v, 0x2800, PATTERN), SUCCEED);
	assert_int_equal(read_field(v, 0x2801), PATTERN >> 32);
	assert_int_equal(vmwrite(v, 0x2801, 0xffffffff00000001), SUCCEED);
	assert_int_equal(read_field(v, 0x2800), BIT(32) | (uint32_t)PATTERN);
	assert_int_equal(vmwrite(v, 0x6801, 1), FAIL + VMXERR_UNSUPPORTED_FIELD);
	assert_int_equal(vmwrite(v, 0x4001, 1), FAIL + VMXERR_UNSUPPORTED_FIELD);
	assert_int_equal(vmwrite(v, 0x0801, 1), FAIL + VMXERR_UNSUPPORTED_FIELD);
}

/* Outside 64-bit mode operands have 32 bits. */
static void narrow_operands(void **state)
{
	struct vcpu *v = *state;
	uint64_t value = 0;

	assert_int_equal(vmwrite(v, 0x2800, PATTERN), SUCCEED);
	assert_int_equal(vmwrite(v, 0x681e, PATTERN), SUCCEED);
	v->cpu->efer = 0;
	v->cpu->seg[CS].ar &= ~(uint32_t)SEG_L;
	v->cpu->cr0 &= ~CR0_PG;
	mmu_mode_changed(v->cpu);
	v->cpu->mode = MODE_32;
	assert_int_equal(vmread(v, 0x2800, &value), SUCCEED);
	assert_int_equal(value, (uint32_t)PATTERN);
	assert_int_equal(vmread(v, 0x2801, &value), SUCCEED);
	assert_int_equal(value, PATTERN >> 32);
	assert_int_equal(vmwrite(v, 0x2800, 5), SUCCEED);
	assert_int_equal(vmwrite(v, 0x681e, 6), SUCCEED);
	assert_int_equal(vmcs_get(v->cpu, VMCS_LINK_POINTER), 5);
	assert_int_equal(vmcs_get(v->cpu, GUEST_RIP), 6);
}

static void read_only_fields_can_be_written(void **state)
{
	struct vcpu *v = *state;
	uint64_t misc;

	assert_true(msr_read(v->cpu, MSR_VMX_MISC, &misc));
	assert_true(misc & BIT(29));
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		if ((vmcs_fields[i].encoding >> 10 & 3) == 1) /* VM-exit information */
			assert_int_equal(vmwrite(v, vmcs_fields[i].encoding, 1), SUCCEED);
}

static void fields_that_are_none(void **state)
{
	struct vcpu *v = *state;
	uint64_t value = PATTERN;

	assert_int_equal(vmread(v, NO_FIELD, &value), FAIL + VMXERR_UNSUPPORTED_FIELD);
	assert_int_equal(value, PATTERN);
	assert_int_equal(vmread(v, BIT(32) | 0x6800, &value), FAIL + VMXERR_UNSUPPORTED_FIELD);
	assert_int_equal(vmread(v, 0x16800, &value), FAIL + VMXERR_UNSUPPORTED_FIELD);
	assert_int_equal(vmread(v, ~0ull, &value), FAIL + VMXERR_UNSUPPORTED_FIELD);
}

/* VMREAD [RSI], RCX; VMWRITE RCX, [RSI] */
static void memory_operands(void **state)
{
	struct vcpu *v = *state;

	set_operand(v, PATTERN);
	v->cpu->gpr[RCX] = 0x681e;
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x79, 0x0e), SUCCEED);
	assert_int_equal(vmcs_get(v->cpu, GUEST_RIP), PATTERN);
	set_operand(v, 0);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x78, 0x0e), SUCCEED);
	assert_int_equal(load_le(step_memory(v, OPERAND), 8), PATTERN);
	v->cpu->gpr[RSI] = UNMAPPED;
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x78, 0x0e), EXC_PF);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x79, 0x0e), EXC_PF);
}

/* ---- the current VMCS ---- */

static void pointers(void **state)
{
	struct vcpu *v = *state;

	assert_int_equal(vmptrst(v), VMCS_A);
	assert_int_equal(vmptrld(v, VMCS_A + 8), FAIL + VMXERR_VMPTRLD_ADDRESS);
	assert_int_equal(vmptrld(v, TOO_WIDE), FAIL + VMXERR_VMPTRLD_ADDRESS);
	assert_int_equal(vmptrld(v, VMXON_REGION), FAIL + VMXERR_VMPTRLD_VMXON_POINTER);
	assert_int_equal(vmptrld(v, 0x20000), FAIL + VMXERR_VMPTRLD_REVISION);
	assert_int_equal(vmptrld(v, NOT_RAM), FAIL + VMXERR_VMPTRLD_REVISION);
	assert_int_equal(vmclear(v, VMCS_A + 8), FAIL + VMXERR_VMCLEAR_ADDRESS);
	assert_int_equal(vmclear(v, TOO_WIDE), FAIL + VMXERR_VMCLEAR_ADDRESS);
	assert_int_equal(vmclear(v, VMXON_REGION), FAIL + VMXERR_VMCLEAR_VMXON_POINTER);
	assert_int_equal(vmclear(v, NOT_RAM), SUCCEED);
	assert_int_equal(vmptrst(v), VMCS_A);
	assert_int_equal(vmclear(v, VMCS_A), SUCCEED);
	assert_int_equal(vmptrst(v), NO_VMCS);
	assert_int_equal(vmptrld(v, VMCS_A + 8), INVALID);
}

static void without_a_current_vmcs(void **state)
{
	struct vcpu *v = *state;
	uint64_t value = 0;

	assert_int_equal(vmclear(v, VMCS_A), SUCCEED);
	assert_int_equal(vmread(v, 0x6800, &value), INVALID);
	assert_int_equal(vmwrite(v, 0x6800, 1), INVALID);
	assert_int_equal(vmwrite(v, NO_FIELD, 1), INVALID);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc2), INVALID); /* VMLAUNCH */
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), INVALID); /* VMRESUME */
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc1), INVALID); /* VMCALL */
}

static void each_vmcs_has_its_own_data(void **state)
{
	struct vcpu *v = *state;

	assert_int_equal(vmwrite(v, 0x681e, 1), SUCCEED);
	assert_int_equal(vmptrld(v, VMCS_B), SUCCEED);
	assert_int_equal(vmwrite(v, 0x681e, 2), SUCCEED);
	assert_int_equal(vmptrld(v, VMCS_A), SUCCEED);
	assert_int_equal(read_field(v, 0x681e), 1);
	assert_int_equal(vmptrld(v, VMCS_A), SUCCEED);
	assert_int_equal(read_field(v, 0x681e), 1);
	assert_int_equal(vmclear(v, VMCS_B), SUCCEED);
	assert_int_equal(vmptrld(v, VMCS_B), SUCCEED);
	assert_int_equal(read_field(v, 0x681e), 2);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc4), SUCCEED); /* VMXOFF */
	assert_int_equal(vmxon(v, VMXON_REGION), SUCCEED);
	assert_int_equal(vmptrst(v), NO_VMCS);
	assert_int_equal(vmptrld(v, VMCS_B), SUCCEED);
	assert_int_equal(read_field(v, 0x681e), 2);
}

/* Whatever lies in an image, fields have no more bits than their width. */
static void wild_images(void **state)
{
	struct vcpu *v = *state;

	memset(step_memory(v, VMCS_B), 0xff, VMCS_BYTES);
	put_revision(v, VMCS_B, VMX_REVISION);
	assert_int_equal(vmclear(v, VMCS_B), SUCCEED);
	assert_int_equal(vmptrld(v, VMCS_B), SUCCEED);
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		assert_int_equal(vmcs_get(v->cpu, i), vmcs_field_mask(vmcs_fields[i].encoding));
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), FAIL + VMXERR_VMRESUME_NOT_LAUNCHED);
}

/* ---- entry's first checks ---- */

static void launch_states(void **state)
{
	struct vcpu *v = *state;

	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), FAIL + VMXERR_VMRESUME_NOT_LAUNCHED);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc2), FAIL + VMXERR_ENTRY_CONTROLS);
	vmx_of(v->cpu)->vmcs.is_launched = true;
	vmx_of(v->cpu)->vmcs.launched_in = vmx_of(v->cpu)->operations;
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc2), FAIL + VMXERR_VMLAUNCH_NOT_CLEAR);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), FAIL + VMXERR_ENTRY_CONTROLS);
	v->cpu->shadow = SHADOW_MOV_SS | SHADOW_OLD;
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), FAIL + VMXERR_ENTRY_MOV_SS);
	v->cpu->shadow = SHADOW_STI | SHADOW_OLD;
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), FAIL + VMXERR_ENTRY_CONTROLS);
	assert_int_equal(vmclear(v, VMCS_A), SUCCEED);
	assert_int_equal(vmptrld(v, VMCS_A), SUCCEED);
	v->cpu->shadow = SHADOW_NONE;
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), FAIL + VMXERR_VMRESUME_NOT_LAUNCHED);
}

/* A VMCS that was launched before VMXOFF, and not cleared since. */
static void launched_before_vmxoff(void **state)
{
	struct vcpu *v = *state;

	vmx_of(v->cpu)->vmcs.is_launched = true;
	vmx_of(v->cpu)->vmcs.launched_in = vmx_of(v->cpu)->operations;
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc4), SUCCEED);
	assert_int_equal(vmxon(v, VMXON_REGION), SUCCEED);
	assert_int_equal(vmptrld(v, VMCS_A), SUCCEED);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), FAIL + VMXERR_VMRESUME_AFTER_VMXOFF);
	assert_int_equal(vmclear(v, VMCS_A), SUCCEED);
	assert_int_equal(vmptrld(v, VMCS_A), SUCCEED);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), FAIL + VMXERR_VMRESUME_NOT_LAUNCHED);
}

/* ---- VMX operation ---- */

static void vmxon_wants_the_right_mode(void **state)
{
	struct vcpu *v = *state;
	struct cpu *cpu = v->cpu;

	assert_int_equal(vmxon(v, VMXON_REGION), FAIL + VMXERR_VMXON_IN_ROOT);
	assert_int_equal(ROOT(cpu, 0x0f, 0x01, 0xc4), SUCCEED);
	cpu->cr4 &= ~CR4_VMXE;
	assert_int_equal(vmxon(v, VMXON_REGION), EXC_UD);
	cpu->cr4 |= CR4_VMXE;
	cpu->cr0 &= ~CR0_NE;
	assert_int_equal(vmxon(v, VMXON_REGION), EXC_GP);
	cpu->cr0 |= CR0_NE;
	assert_int_equal(vmxon(v, VMXON_REGION + 8), INVALID);
	assert_int_equal(vmxon(v, TOO_WIDE), INVALID);
	assert_int_equal(vmxon(v, NOT_RAM), INVALID);
	put_revision(v, VMXON_REGION, VMX_REVISION | VMCS_SHADOW);
	assert_int_equal(vmxon(v, VMXON_REGION), INVALID);
	put_revision(v, VMXON_REGION, VMX_REVISION);
	step_at_cpl3(cpu, 0);
	assert_int_equal(vmxon(v, VMXON_REGION), EXC_GP);
	root_mode(v);
	assert_int_equal(vmxon(v, VMXON_REGION), SUCCEED);
}

static void feature_control_gates_vmxon(void **state)
{
	static const struct {
		uint64_t value;
		unsigned how;
	} rows[] = { { 0, EXC_GP },
		     { FEATURE_CONTROL_VMXON, EXC_GP },
		     { FEATURE_CONTROL_LOCKED, EXC_GP },
		     { FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMXON, SUCCEED } };
	struct vcpu *v = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		engine_soft.reset(v->handle);
		root_mode(v);
		assert_true(msr_write(v->cpu, MSR_FEATURE_CONTROL, rows[i].value));
		assert_int_equal(vmxon(v, VMXON_REGION), rows[i].how);
	}
}

/* One of each: VMXOFF, VMLAUNCH, VMRESUME, VMPTRLD, VMPTRST, VMCLEAR, VMREAD, VMWRITE, INVEPT,
 * INVVPID. */
static void assert_all_end(struct vcpu *v, unsigned how)
{
	uint64_t value = 0;

	set_operand(v, 0);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc2), how);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc3), how);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc4), how);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0xc7, 0x36), how);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0xc7, 0x3e), how);
	assert_int_equal(ROOT(v->cpu, 0x66, 0x0f, 0xc7, 0x36), how);
	assert_int_equal(vmread(v, 0x6800, &value), how);
	assert_int_equal(vmwrite(v, 0x6800, 0), how);
	assert_int_equal(ROOT(v->cpu, 0x66, 0x0f, 0x38, 0x80, 0x06), how);
	assert_int_equal(ROOT(v->cpu, 0x66, 0x0f, 0x38, 0x81, 0x06), how);
}

static void where_the_instructions_do_not_exist(void **state)
{
	struct vcpu *v = *state;

	step_at_cpl3(v->cpu, 0);
	assert_all_end(v, EXC_GP);
	root_mode(v);
	v->cpu->seg[CS].ar &= ~(uint32_t)SEG_L; /* compatibility mode */
	v->cpu->mode = MODE_32;
	assert_all_end(v, EXC_UD);
	root_mode(v);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xd4), EXC_UD); /* VMFUNC */
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc4), SUCCEED);
	assert_all_end(v, EXC_UD);
}

static void vmcall_calls_the_hypervisor_below(void **state)
{
	struct vcpu *v = *state;
	const uint64_t no_such_call = (uint64_t)-1000;

	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc1), FAIL + VMXERR_VMCALL_IN_ROOT);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc4), SUCCEED);
	assert_int_equal(STEP(v->cpu, 0x0f, 0x01, 0xc1), STEP_DONE);
	assert_int_equal(v->cpu->gpr[RAX], no_such_call);
}

static void vmx_operation_fixes_control_registers(void **state)
{
	struct vcpu *v = *state;
	struct cpu *cpu = v->cpu;

	assert_raises(cpu, EXC_GP, control_write_cr0(cpu, cpu->cr0 & ~CR0_NE));
	assert_raises(cpu, EXC_GP, control_write_cr4(cpu, cpu->cr4 & ~CR4_VMXE));
	assert_passes(cpu, control_write_cr0(cpu, cpu->cr0 | CR0_TS));
	assert_true(cpu->is_init_blocked);
	assert_int_equal(ROOT(cpu, 0x0f, 0x01, 0xc4), SUCCEED);
	assert_false(cpu->is_init_blocked);
	assert_passes(cpu, control_write_cr0(cpu, cpu->cr0 & ~CR0_NE));
	assert_passes(cpu, control_write_cr4(cpu, cpu->cr4 & ~CR4_VMXE));
}

static void reset_leaves_vmx_operation(void **state)
{
	struct vcpu *v = *state;
	uint64_t control;

	v->cpu->in_guest = true;
	engine_soft.reset(v->handle);
	assert_false(v->cpu->in_guest);
	assert_false(v->cpu->is_init_blocked);
	assert_true(msr_read(v->cpu, MSR_FEATURE_CONTROL, &control));
	assert_int_equal(control, 0);
	root_mode(v);
	assert_all_end(v, EXC_UD);
}

/* ---- INVEPT, INVVPID ---- */

/* RAX: the type; [RSI]: two words. */
static unsigned invalidate(struct vcpu *v, uint8_t opcode, uint64_t type, uint64_t key,
			   uint64_t addr)
{
	set_operand(v, key);
	store_le(step_memory(v, OPERAND + 8), addr, 8);
	v->cpu->gpr[RAX] = type;
	return ROOT(v->cpu, 0x66, 0x0f, 0x38, opcode, 0x06);
}

static void invalidation_types(void **state)
{
	static const struct {
		uint8_t opcode;
		uint64_t type, key, addr;
		bool is_good;
	} rows[] = {
		{ 0x80, 0, 0, 0, false },
		{ 0x80, 1, 0x1000 | 3 << 3 | 6, 0, true },
		{ 0x80, 1, 0x1000 | 2 << 3 | 6, 0, false },
		{ 0x80, 2, 0, 0, true },
		{ 0x80, 3, 0, 0, false },
		{ 0x80, BIT(32) | 2, 0, 0, false },
		{ 0x81, 0, 1, 0x1000, true },
		{ 0x81, 0, 0, 0x1000, false },
		{ 0x81, 0, 1, BIT(47), false },
		{ 0x81, 1, 1, BIT(47), true },
		{ 0x81, 1, 0, 0, false },
		{ 0x81, 2, 0, 0, true },
		{ 0x81, 2, BIT(16), 0, false },
		{ 0x81, 3, 1, 0, true },
		{ 0x81, 3, 0, 0, false },
		{ 0x81, 4, 1, 0, false },
	};
	struct vcpu *v = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(
			invalidate(v, rows[i].opcode, rows[i].type, rows[i].key, rows[i].addr),
			rows[i].is_good ? SUCCEED : FAIL + VMXERR_INVEPT_INVVPID_OPERAND);
}

/* ---- VMCS shadowing ---- */

/* As entry leaves it, VMCS_B being the shadow. */
static void enter_guest(struct vcpu *v, gpa_t link)
{
	root_mode(v);
	v->cpu->in_guest = true;
	vmx_of(v->cpu)->proc2 = PROC2_VMCS_SHADOWING;
	vmcs_set(v->cpu, VMCS_LINK_POINTER, link);
	vmcs_set(v->cpu, VMREAD_BITMAP, BITMAP_READ);
	vmcs_set(v->cpu, VMWRITE_BITMAP, BITMAP_WRITE);
}

static void the_shadow_is_read_and_written(void **state)
{
	struct vcpu *v = *state;

	put_revision(v, VMCS_B, VMX_REVISION | VMCS_SHADOW);
	assert_int_equal(vmptrld(v, VMCS_B), SUCCEED);
	assert_int_equal(vmwrite(v, 0x681e, PATTERN), SUCCEED);
	assert_int_equal(ROOT(v->cpu, 0x0f, 0x01, 0xc2), INVALID); /* no entry with a shadow */
	assert_int_equal(vmptrld(v, VMCS_A), SUCCEED);
	assert_int_equal(vmwrite(v, 0x681e, 7), SUCCEED);

	enter_guest(v, VMCS_B);
	assert_int_equal(read_field(v, 0x681e), PATTERN);
	assert_int_equal(vmwrite(v, 0x681e, 8), SUCCEED);
	assert_int_equal(vmwrite(v, 0x2801, 9), SUCCEED);
	assert_int_equal(read_field(v, 0x2800) >> 32, 9);
	assert_int_equal(vmwrite(v, NO_FIELD, 1), FAIL + VMXERR_UNSUPPORTED_FIELD);
	enter_guest(v, NO_VMCS);
	assert_int_equal(vmwrite(v, 0x681e, 8), INVALID);
	v->cpu->in_guest = false;
	assert_int_equal(read_field(v, 0x681e), 7);
	assert_int_equal(vmptrld(v, VMCS_B), SUCCEED);
	assert_int_equal(read_field(v, 0x681e), 8);
}

static bool is_let_through(struct vcpu *v, uint64_t encoding, bool is_write)
{
	const uint8_t bytes[INSN_MAX_BYTES] = { 0x0f, is_write ? 0x79 : 0x78, 0xc8 };
	struct insn insn;

	assert_int_equal(
		decode_insn(v->cpu->soft->decoder, MODE_64, bytes, sizeof(bytes), 0, &insn), 3);
	v->cpu->gpr[RCX] = encoding;
	return vmcs_is_shadowed(v->cpu, &insn, is_write);
}

static void bitmaps_decide(void **state)
{
	struct vcpu *v = *state;

	enter_guest(v, VMCS_B);
	*step_memory(v, BITMAP_READ + 0x681e / 8) = BIT(0x681e % 8);
	*step_memory(v, BITMAP_WRITE + 0x6820 / 8) = BIT(0x6820 % 8);
	assert_false(is_let_through(v, 0x681e, false));
	assert_true(is_let_through(v, 0x681e, true));
	assert_true(is_let_through(v, 0x6820, false));
	assert_false(is_let_through(v, 0x6820, true));
	assert_true(is_let_through(v, 0x7fff, false));
	assert_false(is_let_through(v, 0x8000, false));
	assert_false(is_let_through(v, ~0ull, true));
	vmcs_set(v->cpu, VMREAD_BITMAP, NOT_RAM);
	assert_false(is_let_through(v, 0x6820, false));
	vmx_of(v->cpu)->proc2 = 0;
	assert_false(is_let_through(v, 0x681e, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodings_lead_to_their_field),
		TEST(every_field_keeps_its_width),
		TEST(halves_of_64_bit_fields),
		TEST(narrow_operands),
		TEST(read_only_fields_can_be_written),
		TEST(fields_that_are_none),
		TEST(memory_operands),
		TEST(pointers),
		TEST(without_a_current_vmcs),
		TEST(each_vmcs_has_its_own_data),
		TEST(wild_images),
		TEST(launch_states),
		TEST(launched_before_vmxoff),
		TEST(vmxon_wants_the_right_mode),
		TEST(feature_control_gates_vmxon),
		TEST(where_the_instructions_do_not_exist),
		TEST(vmcall_calls_the_hypervisor_below),
		TEST(vmx_operation_fixes_control_registers),
		TEST(reset_leaves_vmx_operation),
		TEST(invalidation_types),
		TEST(the_shadow_is_read_and_written),
		TEST(bitmaps_decide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
