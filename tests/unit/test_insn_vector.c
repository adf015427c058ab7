/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the comparison with the host leaves out of x87, SSE and AVX: images with the guest's own
 * pointers, the XSAVE family, what must be enabled, exceptions that are pending, the slot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cpu/decode/decode.h"
#include "cpu/block.h"
#include "cpu/exec/host.h"
#include "cpu/exec/vector.h"
#include "cpu/feature.h"
#include "tests/insn/guest.h"
#include "tests/insn/random.h"

#define AREA (NATIVE_DATA + 0x100) /* RBX: where images go, aligned to 64 bytes */

#define STEP(guest, ...) \
	step(guest, 64, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define STEP_32(guest, ...) \
	step(guest, 32, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

#define FNINIT    0xdb, 0xe3
#define FLD1      0xd9, 0xe8
#define FDIVR_ST0 0xd8, 0xf9 /* st0 = st1 / st0 */
#define FLDZ      0xd9, 0xee
#define FLDCW_RBX 0xd9, 0x2b
#define FLD_RBX   0xd9, 0x03
#define ADDPS     0x0f, 0x58, 0xc1
#define VADDPS    0xc5, 0xf0, 0x58, 0xc2
#define FWAIT     0x9b
#define EMMS      0x0f, 0x77

static struct guest *guest;
static guest_step_fn *step; /* of both, one after the other */

static uint8_t *area(void)
{
	return guest_data(guest) + (AREA - NATIVE_DATA);
}

static void set_up(void)
{
	guest = guest_create();
	assert_non_null(guest);
	guest_cpu(guest)->gpr[RBX] = AREA;
	memset(guest_data(guest), 0, NATIVE_DATA_BYTES);
}

/* A test's body, with a vCPU: made inside of the test, since cmocka takes SIGFPE and SIGSEGV for
 * itself before each. */
static void run(void **state)
{
	void (*body)(void) = *(void (**)(void)) * state;

	for (unsigned i = 0; i < 2; i++) {
		step = i ? guest_step_translated : guest_step;
		print_message("%s\n", i ? "translated" : "interpreted");
		set_up();
		body();
		guest_destroy(guest);
	}
}

/* --- pointers -----------------------------------------------------------------------------------
 */

static void fnstenv_shows_the_guests_pointers(void)
{
	assert_int_equal(STEP(guest, FNINIT), NO_FAULT);
	assert_int_equal(STEP(guest, FLD_RBX), NO_FAULT);
	assert_int_equal(STEP(guest, 0xd9, 0x33), NO_FAULT); /* fnstenv [rbx] */
	assert_int_equal(load_le(area(), 2), FCW_INIT);
	assert_int_equal(load_le(area() + 12, 4), NATIVE_SLOT);
	assert_int_equal(load_le(area() + 16, 4) >> 16, 0x103); /* d9 03 */
	assert_int_equal(load_le(area() + 20, 4), AREA);
}

static void fnstenv_has_a_16_bit_form(void)
{
	assert_int_equal(STEP(guest, FNINIT), NO_FAULT);
	assert_int_equal(STEP(guest, FLD_RBX), NO_FAULT);
	memset(area(), 0xcc, 32);
	assert_int_equal(STEP(guest, 0x66, 0xd9, 0x33), NO_FAULT);
	assert_int_equal(load_le(area(), 2), FCW_INIT);
	assert_int_equal(load_le(area() + 6, 2), NATIVE_SLOT & 0xffff);
	assert_int_equal(load_le(area() + 10, 2), AREA & 0xffff);
	assert_int_equal(area()[14], 0xcc);
}

static void real_mode_images_have_linear_addresses(void)
{
	struct cpu *cpu = guest_cpu(guest);
	uint64_t cr0 = cpu->cr0;

	assert_int_equal(STEP(guest, FNINIT), NO_FAULT);
	cpu->vector.fcs = 0x1234;
	cpu->vector.fip = 0x5678;
	cpu->vector.fop = 0x103;
	cpu->cr0 &= ~(uint64_t)CR0_PE;
	assert_int_equal(STEP(guest, 0x66, 0xd9, 0x33), NO_FAULT);
	cpu->cr0 = cr0;
	assert_int_equal(load_le(area() + 6, 2), (0x12340 + 0x5678) & 0xffff);
	assert_int_equal(load_le(area() + 8, 2), 0x1103);
}

static void control_instructions_leave_the_pointers(void)
{
	struct cpu *cpu = guest_cpu(guest);

	cpu->vector.fip = 0x1234;
	store_le(area(), FCW_INIT, 2);
	assert_int_equal(STEP(guest, FLDCW_RBX), NO_FAULT);
	assert_int_equal(cpu->vector.fip, 0x1234);
	assert_int_equal(STEP(guest, FLD1), NO_FAULT);
	assert_int_equal(cpu->vector.fip, NATIVE_SLOT);
	assert_int_equal(STEP(guest, FNINIT), NO_FAULT);
	assert_int_equal(cpu->vector.fip, 0);
}

static void frstor_undoes_fnsave(void)
{
	struct cpu *cpu = guest_cpu(guest);
	uint8_t before[FX_XMM];

	assert_int_equal(STEP(guest, FNINIT), NO_FAULT);
	assert_int_equal(STEP(guest, FLD1), NO_FAULT);
	assert_int_equal(STEP(guest, 0xd9, 0xeb), NO_FAULT); /* fldpi */
	memcpy(before, cpu->vector.fx, sizeof(before));
	assert_int_equal(STEP(guest, 0xdd, 0x33), NO_FAULT); /* fnsave [rbx] */
	assert_int_equal(cpu->vector.fx[FX_FTW], 0);
	assert_int_equal(cpu->vector.fip, 0);
	assert_int_equal(STEP(guest, 0xdd, 0x23), NO_FAULT); /* frstor [rbx] */
	assert_memory_equal(cpu->vector.fx, before, FX_FTW + 1);
	assert_memory_equal(cpu->vector.fx + FX_ST, before + FX_ST, FX_XMM - FX_ST);
	assert_int_equal(cpu->vector.fip, NATIVE_SLOT);
}

/* --- exceptions ---------------------------------------------------------------------------------
 */

/* Leaves a division by zero pending. */
static void divide_by_zero(void)
{
	assert_int_equal(STEP(guest, FNINIT), NO_FAULT);
	assert_int_equal(STEP(guest, FLD1), NO_FAULT);
	assert_int_equal(STEP(guest, FLDZ), NO_FAULT);
	store_le(area(), FCW_INIT & ~BIT(2), 2);
	assert_int_equal(STEP(guest, FLDCW_RBX), NO_FAULT);
	assert_int_equal(STEP(guest, FDIVR_ST0), NO_FAULT);
}

static void x87_exceptions_come_with_the_next_waiting_instruction(void)
{
	divide_by_zero();
	assert_int_equal(STEP(guest, 0xdf, 0xe0), NO_FAULT); /* fnstsw ax */
	assert_true(guest_cpu(guest)->gpr[RAX] & FSW_ES);
	assert_int_equal(STEP(guest, FWAIT), EXC_MF);
	assert_int_equal(STEP(guest, FLD1), EXC_MF);
	assert_int_equal(STEP(guest, EMMS), EXC_MF);
	assert_int_equal(STEP(guest, 0xdb, 0xe2), NO_FAULT); /* fnclex */
	assert_int_equal(STEP(guest, FWAIT), NO_FAULT);
}

static void without_ne_x87_exceptions_are_irq_13(void)
{
	struct cpu *cpu = guest_cpu(guest);

	divide_by_zero();
	cpu->cr0 &= ~(uint64_t)CR0_NE;
	assert_int_equal(STEP(guest, FWAIT), RESUMED);
	assert_true(cpu->vector.ferr);
	assert_int_equal(STEP(guest, 0xdb, 0xe2), NO_FAULT); /* fnclex */
	assert_false(cpu->vector.ferr);
	assert_int_equal(STEP(guest, FWAIT), NO_FAULT);
}

static void simd_exceptions_are_xm_or_ud(void)
{
	struct cpu *cpu = guest_cpu(guest);

	memset(cpu->vector.ymm, 0xff, sizeof(cpu->vector.ymm));
	store_le(cpu->vector.ymm[0], 0x7f800001, 4); /* a signalling NaN */
	cpu->vector.mxcsr = MXCSR_INIT & ~BIT(7);
	assert_int_equal(STEP(guest, ADDPS), EXC_XM);
	assert_int_equal(cpu->vector.mxcsr, (MXCSR_INIT & ~BIT(7)) | BIT(0));
	assert_int_equal(load_le(cpu->vector.ymm[0], 4), 0x7f800001);
	cpu->cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
	assert_int_equal(STEP(guest, ADDPS), EXC_UD);
	cpu->vector.mxcsr = MXCSR_INIT;
	assert_int_equal(STEP(guest, ADDPS), NO_FAULT);
}

static void what_is_not_enabled_faults(void)
{
	struct cpu *cpu = guest_cpu(guest);
	uint64_t cr0 = cpu->cr0, cr4 = cpu->cr4, xcr0 = cpu->xcr0;

	cpu->cr0 = cr0 | CR0_TS;
	assert_int_equal(STEP(guest, FLD1), EXC_NM);
	assert_int_equal(STEP(guest, FWAIT), EXC_NM);
	assert_int_equal(STEP(guest, EMMS), EXC_NM);
	assert_int_equal(STEP(guest, ADDPS), EXC_NM);
	assert_int_equal(STEP(guest, 0x0f, 0xae, 0x03), EXC_NM); /* fxsave [rbx] */
	cpu->cr0 = (cr0 | CR0_TS) & ~(uint64_t)CR0_MP;
	assert_int_equal(STEP(guest, FWAIT), NO_FAULT);
	cpu->cr0 = cr0 | CR0_EM;
	assert_int_equal(STEP(guest, FLD1), EXC_NM);
	assert_int_equal(STEP(guest, FWAIT), NO_FAULT);
	assert_int_equal(STEP(guest, EMMS), EXC_UD);
	assert_int_equal(STEP(guest, ADDPS), EXC_UD);
	cpu->cr0 = cr0;
	cpu->cr4 = cr4 & ~(uint64_t)CR4_OSFXSR;
	assert_int_equal(STEP(guest, ADDPS), EXC_UD);
	assert_int_equal(STEP(guest, FLD1), NO_FAULT);
	cpu->cr4 = cr4;
	assert_int_equal(STEP(guest, ADDPS), NO_FAULT);
	if (!cpu_has(cpu, FEATURE_AVX))
		return;
	cpu->xcr0 = XCR0_X87 | XCR0_SSE;
	assert_int_equal(STEP(guest, VADDPS), EXC_UD);
	cpu->xcr0 = xcr0;
	cpu->cr4 = cr4 & ~(uint64_t)CR4_OSXSAVE;
	assert_int_equal(STEP(guest, VADDPS), EXC_UD);
	cpu->cr4 = cr4;
	assert_int_equal(STEP(guest, VADDPS), NO_FAULT);
}

static void lock_and_evex_are_undefined(void)
{
	assert_int_equal(STEP(guest, 0xf0, 0x0f, 0x58, 0x03), EXC_UD);             /* lock addps */
	assert_int_equal(STEP(guest, 0x62, 0xf1, 0x74, 0x48, 0x58, 0xc2), EXC_UD); /* zmm */
}

/* --- FXSAVE, XSAVE ------------------------------------------------------------------------------
 */

static void randomize(struct cpu *cpu, struct random *r)
{
	vector_drop_x87(cpu);
	memset(cpu->vector.fx, 0, sizeof(cpu->vector.fx));
	store_le(cpu->vector.fx + FX_FCW, FCW_INIT, 2);
	cpu->vector.fx[FX_FTW] = (uint8_t)random_bits(r);
	for (unsigned i = 0; i < 8; i++)
		random_extended(r, cpu->vector.fx + FX_ST + i * FX_ST_STRIDE);
	for (unsigned i = 0; i < 16; i++)
		random_lanes(r, cpu->vector.ymm[i], 32);
	cpu->vector.fip = random_bits(r);
	cpu->vector.fdp = random_bits(r);
	cpu->vector.fop = random_bits(r) & 0x7ff;
	cpu->vector.mxcsr = MXCSR_INIT | (random_bits(r) & 0x3f);
}

/* Whether the state components of `which` are the same. */
static bool is_same(const struct vector_state *a, const struct vector_state *b, uint64_t which)
{
	for (unsigned i = 0; i < 16; i++)
		if (((which & XCR0_SSE) && memcmp(a->ymm[i], b->ymm[i], 16) != 0) ||
		    ((which & XCR0_AVX) && memcmp(a->ymm[i] + 16, b->ymm[i] + 16, 16) != 0))
			return false;
	if ((which & XCR0_SSE) && a->mxcsr != b->mxcsr)
		return false;
	return !(which & XCR0_X87) || (memcmp(a->fx, b->fx, FX_FTW + 1) == 0 &&
				       memcmp(a->fx + FX_ST, b->fx + FX_ST, FX_XMM - FX_ST) == 0 &&
				       a->fip == b->fip && a->fdp == b->fdp && a->fop == b->fop);
}

static void fxrstor_undoes_fxsave(void)
{
	struct cpu *cpu = guest_cpu(guest);
	struct random r = { 1 };
	struct vector_state before;

	randomize(cpu, &r);
	before = cpu->vector;
	assert_int_equal(STEP(guest, 0x48, 0x0f, 0xae, 0x03), NO_FAULT); /* fxsave64 [rbx] */
	assert_int_equal(load_le(area() + FX_FIP, 8), before.fip);
	assert_memory_equal(area() + FX_XMM + 15 * 16, before.ymm[15], 16);
	randomize(cpu, &r);
	assert_int_equal(STEP(guest, 0x48, 0x0f, 0xae, 0x0b), NO_FAULT); /* fxrstor64 [rbx] */
	assert_true(is_same(&cpu->vector, &before, XCR0_X87 | XCR0_SSE));
	store_le(area() + FX_MXCSR, BIT(16), 4);
	assert_int_equal(STEP(guest, 0x48, 0x0f, 0xae, 0x0b), EXC_GP);
	cpu->gpr[RBX] += 8;
	assert_int_equal(STEP(guest, 0x0f, 0xae, 0x03), EXC_GP);
}

static void fxsave_in_32_bit_mode_leaves_high_registers(void)
{
	memset(area(), 0xcc, FX_BYTES);
	assert_int_equal(STEP_32(guest, 0x0f, 0xae, 0x03), NO_FAULT);
	assert_int_equal(area()[FX_XMM + 7 * 16], 0);
	assert_int_equal(area()[FX_XMM + 8 * 16], 0xcc);
}

struct xsave_pair {
	uint8_t save[4], restore[4];
	uint8_t cpl;
};

/* Saves `rfbm`, scrambles, restores `rfbm`: those components are back, the others are not. */
static void check_round_trip(const struct xsave_pair *pair, uint64_t rfbm, struct random *r)
{
	struct cpu *cpu = guest_cpu(guest);
	struct vector_state before, scrambled;

	memset(area(), 0, 1024);
	randomize(cpu, r);
	if (random_percent(r, 30)) /* something for the init optimisation */
		for (unsigned i = 0; i < 16; i++)
			memset(cpu->vector.ymm[i] + 16, 0, 16);
	before = cpu->vector;
	cpu->gpr[RAX] = rfbm;
	cpu->gpr[RDX] = 0;
	assert_int_equal(step(guest, 64, pair->save, 4), NO_FAULT);
	randomize(cpu, r);
	scrambled = cpu->vector;
	assert_int_equal(step(guest, 64, pair->restore, 4), NO_FAULT);
	assert_true(is_same(&cpu->vector, &before, rfbm));
	assert_true(is_same(&cpu->vector, &scrambled,
			    ~rfbm & (XCR0_X87 | XCR0_AVX | (rfbm & XCR0_AVX ? 0 : XCR0_SSE))));
}

static void xrstor_undoes_xsave(void)
{
	static const struct xsave_pair pairs[] = {
		{ { 0x48, 0x0f, 0xae, 0x23 },
		  { 0x48, 0x0f, 0xae, 0x2b },
		  3 }, /* xsave64, xrstor64 */
		{ { 0x48, 0x0f, 0xae, 0x33 }, { 0x48, 0x0f, 0xae, 0x2b }, 3 }, /* xsaveopt64 */
		{ { 0x48, 0x0f, 0xc7, 0x23 }, { 0x48, 0x0f, 0xae, 0x2b }, 3 }, /* xsavec64 */
		{ { 0x48, 0x0f, 0xc7, 0x2b }, { 0x48, 0x0f, 0xc7, 0x1b }, 0 }, /* xsaves, xrstors */
	};
	struct cpu *cpu = guest_cpu(guest);
	struct random r = { 2 };

	if (!cpu_has(cpu, FEATURE_XSAVES) || !cpu_has(cpu, FEATURE_AVX)) {
		print_message("skip: the host has no XSAVES\n");
		skip();
	}
	for (unsigned i = 0; i < 400; i++) {
		cpu->cpl = pairs[i % 4].cpl;
		check_round_trip(&pairs[i % 4], i / 4 % 8, &r);
	}
}

static void pkru_is_a_component(void)
{
	struct cpu *cpu = guest_cpu(guest);

	if (!cpu_has(cpu, FEATURE_PKU) || !cpu_has(cpu, FEATURE_XSAVEC)) {
		print_message("skip: the host has no PKU\n");
		skip();
	}
	cpu->xcr0 |= XCR0_PKRU;
	cpu->pkru = 0x12345670;
	cpu->gpr[RAX] = XCR0_PKRU;
	cpu->gpr[RDX] = 0;
	assert_int_equal(STEP(guest, 0x0f, 0xae, 0x23), NO_FAULT); /* xsave [rbx] */
	assert_int_equal(load_le(area() + XSAVE_PKRU_OFFSET, 4), 0x12345670);
	cpu->pkru = 0;
	assert_int_equal(STEP(guest, 0x0f, 0xae, 0x2b), NO_FAULT); /* xrstor [rbx] */
	assert_int_equal(cpu->pkru, 0x12345670);
	assert_int_equal(STEP(guest, 0x0f, 0xc7, 0x23), NO_FAULT); /* xsavec [rbx] */
	assert_int_equal(load_le(area() + 576, 4), 0x12345670);
}

static void xrstor_checks_the_header(void)
{
	static const struct {
		unsigned offset;
		uint64_t value;
	} bad[] = {
		{ 512, BIT(3) }, /* a component that XCR0 has not */
		{ 520, 1 },      /* standard form with XCOMP_BV */
		{ 528, 1 },      { 520, BIT(63) | BIT(3) },
		{ 536, 0 }, /* nothing wrong: the last 40 bytes do not count in standard form */
	};
	struct cpu *cpu = guest_cpu(guest);

	if (!cpu_has(cpu, FEATURE_XSAVEC)) {
		print_message("skip: the host has no XSAVEC\n");
		skip();
	}
	cpu->gpr[RAX] = 7;
	cpu->gpr[RDX] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(area(), 0, 1024);
		store_le(area() + FX_MXCSR, MXCSR_INIT, 4);
		store_le(area() + bad[i].offset, bad[i].value, 8);
		assert_int_equal(STEP(guest, 0x0f, 0xae, 0x2b), bad[i].value ? EXC_GP : NO_FAULT);
	}
	cpu->gpr[RBX] += 16;
	assert_int_equal(STEP(guest, 0x0f, 0xae, 0x2b), EXC_GP);
	cpu->cr4 &= ~(uint64_t)CR4_OSXSAVE;
	assert_int_equal(STEP(guest, 0x0f, 0xae, 0x2b), EXC_UD);
}

/* --- the slot -----------------------------------------------------------------------------------
 */

/* An instruction in a block of its own, which keeps its encoding. */
struct lone {
	struct block block;
	struct insn insn;
	uint8_t text[INSN_MAX_BYTES];
};

static const struct insn *make_without_stub(struct lone *lone, const uint8_t text[INSN_MAX_BYTES])
{
	*lone = (struct lone){ .block.count = 1 };
	memcpy(lone->text, text, sizeof(lone->text));
	decode_insn(guest_cpu(guest)->soft->decoder, MODE_64, text, INSN_MAX_BYTES, 0, &lone->insn);
	lone->insn.host = 0;
	return &lone->insn;
}

static void without_room_for_stubs_the_slot_serves(void)
{
	static const uint8_t paddd[INSN_MAX_BYTES] = { 0x66, 0x0f, 0xfe, 0xc1 };
	static const uint8_t pxor[INSN_MAX_BYTES] = { 0x66, 0x0f, 0xef, 0xc1 };
	struct cpu *cpu = guest_cpu(guest);
	const struct insn *add, *exor;
	struct lone lone[2];

	assert_int_equal(STEP(guest, ADDPS), NO_FAULT); /* selects the mode */
	add = make_without_stub(&lone[0], paddd);
	exor = make_without_stub(&lone[1], pxor);
	memset(cpu->vector.ymm, 0, sizeof(cpu->vector.ymm));
	store_le(cpu->vector.ymm[0], 5, 4);
	store_le(cpu->vector.ymm[1], 2, 4);
	for (unsigned i = 0; i < 100; i++) {
		insn_handler(add)(cpu, add);
		assert_int_equal(load_le(cpu->vector.ymm[0], 4), 7);
		insn_handler(exor)(cpu, exor);
		assert_int_equal(load_le(cpu->vector.ymm[0], 4), 5);
	}
}

int main(void)
{
	static const struct {
		const char *name;
		void (*body)(void);
	} bodies[] = {
		{ "fnstenv_shows_the_guests_pointers", fnstenv_shows_the_guests_pointers },
		{ "fnstenv_has_a_16_bit_form", fnstenv_has_a_16_bit_form },
		{ "real_mode_images_have_linear_addresses",
		  real_mode_images_have_linear_addresses },
		{ "control_instructions_leave_the_pointers",
		  control_instructions_leave_the_pointers },
		{ "frstor_undoes_fnsave", frstor_undoes_fnsave },
		{ "x87_exceptions_come_with_the_next_waiting_instruction",
		  x87_exceptions_come_with_the_next_waiting_instruction },
		{ "without_ne_x87_exceptions_are_irq_13", without_ne_x87_exceptions_are_irq_13 },
		{ "simd_exceptions_are_xm_or_ud", simd_exceptions_are_xm_or_ud },
		{ "what_is_not_enabled_faults", what_is_not_enabled_faults },
		{ "lock_and_evex_are_undefined", lock_and_evex_are_undefined },
		{ "fxrstor_undoes_fxsave", fxrstor_undoes_fxsave },
		{ "fxsave_in_32_bit_mode_leaves_high_registers",
		  fxsave_in_32_bit_mode_leaves_high_registers },
		{ "xrstor_undoes_xsave", xrstor_undoes_xsave },
		{ "pkru_is_a_component", pkru_is_a_component },
		{ "xrstor_checks_the_header", xrstor_checks_the_header },
		{ "without_room_for_stubs_the_slot_serves",
		  without_room_for_stubs_the_slot_serves },
	};
	struct CMUnitTest tests[ARRAY_SIZE(bodies)];

	for (unsigned i = 0; i < ARRAY_SIZE(bodies); i++)
		tests[i] = (struct CMUnitTest){ .name = bodies[i].name,
						.test_func = run,
						.initial_state = (void *)&bodies[i].body };
	return _cmocka_run_group_tests("insn_vector", tests, ARRAY_SIZE(tests), NULL, NULL);
}
