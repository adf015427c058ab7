/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One case after the other: a random instance, a random state, both sides, the comparison, and the
 * report of a difference.
 */
#include "tests/insn/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cpu/exec/vector.h"
#include "tests/insn/guest.h"
#include "tests/insn/state.h"

#define MAX_REPORTS 10

/* Flags that are compared: the others are the kernel's, or RF, which a fault sets in the image. */
#define COMPARED_FLAGS (RFLAGS_STATUS | RFLAGS_DF)

struct check {
	const struct insn_class *class;
	struct native *native;
	struct guest *guest;
	struct form_table *forms;
	struct random random;
	unsigned faults, differences;
};

/* One case: the state before, and after on the host and in one executor of ours. */
struct outcome {
	const char *executor;
	struct registers before, native, guest;
	int native_fault, guest_fault;
};

static uint64_t seed(void)
{
	const char *given = getenv("NIDUS_SEED");

	return given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 1000003;
}

/* --- comparison ---------------------------------------------------------------------------------
 */

/* Flags that an instruction overwrites are dead before it: translated code drops them. */
static uint64_t flags_mask(const struct sequence *sequence, int fault)
{
	return COMPARED_FLAGS & ~sequence->undefined & ~(fault == NO_FAULT ? 0 : sequence->written);
}

static bool are_gprs_equal(const struct check *check, const struct outcome *o)
{
	if (check->class->mode_bits == 64)
		return memcmp(o->native.gpr, o->guest.gpr, sizeof(o->native.gpr)) == 0;
	for (unsigned i = 0; i < 8; i++)
		if ((uint32_t)o->native.gpr[i] != (uint32_t)o->guest.gpr[i])
			return false;
	return true;
}

/* FCW, FSW, FTW, MXCSR and the registers' ten bytes; pointers differ between host processors. */
static bool is_x87_equal(const struct outcome *o)
{
	const uint8_t *a = o->native.fx, *b = o->guest.fx;

	for (unsigned i = 0; i < 8; i++)
		if (memcmp(a + FX_ST + 16 * i, b + FX_ST + 16 * i, 10) != 0)
			return false;
	return memcmp(a, b, FX_FTW + 1) == 0 && memcmp(a + FX_MXCSR, b + FX_MXCSR, 4) == 0;
}

static bool is_equal(const struct check *check, const struct sequence *sequence,
		     const struct outcome *o)
{
	return o->native_fault == o->guest_fault &&
	       (o->native_fault != NO_FAULT || o->native.rip == o->guest.rip) &&
	       are_gprs_equal(check, o) &&
	       !((o->native.rflags ^ o->guest.rflags) & flags_mask(sequence, o->native_fault)) &&
	       memcmp(o->native.ymm, o->guest.ymm, sizeof(o->native.ymm)) == 0 && is_x87_equal(o) &&
	       memcmp(native_data(), guest_data(check->guest), NATIVE_DATA_BYTES) == 0;
}

/* --- report -------------------------------------------------------------------------------------
 */

static void print_bytes(const char *what, unsigned n, const uint8_t *before, const uint8_t *native,
			const uint8_t *guest, unsigned len)
{
	const uint8_t *const rows[] = { before, native, guest };
	static const char *const names[] = { "before", "native", "guest " };

	if (memcmp(native, guest, len) == 0)
		return;
	for (unsigned row = 0; row < 3; row++) {
		if (!rows[row])
			continue;
		printf("#   %s%u %s ", what, n, names[row]);
		for (unsigned i = len; i-- > 0;)
			printf("%02x", rows[row][i]);
		printf("\n");
	}
}

static void print_instruction(const struct instance *instance)
{
	ZydisFormatter formatter;
	char text[128] = "?";

	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&formatter, &instance->zydis, instance->operands,
					instance->zydis.operand_count_visible, text, sizeof(text),
					NATIVE_SLOT, NULL);
	printf("#  ");
	for (unsigned i = 0; i < instance->zydis.length; i++)
		printf(" %02x", instance->bytes[i]);
	printf("  %s\n", text);
}

static void print_memory(const struct check *check)
{
	const uint8_t *native = native_data(), *guest = guest_data(check->guest);

	for (unsigned i = 0; i < NATIVE_DATA_BYTES; i += 16)
		if (memcmp(native + i, guest + i, 16) != 0)
			print_bytes("memory at ", NATIVE_DATA + i, NULL, native + i, guest + i, 16);
}

static void report(const struct check *check, const struct sequence *sequence,
		   const struct outcome *o)
{
	printf("# DIFFERENT %s, %s:\n", check->class->name, o->executor);
	for (unsigned i = 0; i < sequence->count; i++)
		print_instruction(&sequence->insn[i]);
	printf("#   fault native %d guest %d; flags before %llx native %llx guest %llx mask %llx\n",
	       o->native_fault, o->guest_fault, (unsigned long long)o->before.rflags,
	       (unsigned long long)o->native.rflags, (unsigned long long)o->guest.rflags,
	       (unsigned long long)flags_mask(sequence, o->native_fault));
	if (o->native.rip != o->guest.rip)
		printf("#   next RIP native %llx guest %llx\n", (unsigned long long)o->native.rip,
		       (unsigned long long)o->guest.rip);
	for (unsigned i = 0; i < 16; i++)
		print_bytes("gpr", i, (const uint8_t *)&o->before.gpr[i],
			    (const uint8_t *)&o->native.gpr[i], (const uint8_t *)&o->guest.gpr[i],
			    8);
	for (unsigned i = 0; i < 16; i++)
		print_bytes("ymm", i, o->before.ymm[i], o->native.ymm[i], o->guest.ymm[i], 32);
	if (!is_x87_equal(o)) {
		print_bytes("fcw-fsw-ftw", 0, o->before.fx, o->native.fx, o->guest.fx, 5);
		print_bytes("mxcsr", 0, o->before.fx + FX_MXCSR, o->native.fx + FX_MXCSR,
			    o->guest.fx + FX_MXCSR, 4);
		for (unsigned i = 0; i < 8; i++)
			print_bytes("st", i, o->before.fx + FX_ST + 16 * i,
				    o->native.fx + FX_ST + 16 * i, o->guest.fx + FX_ST + 16 * i,
				    10);
	}
	print_memory(check);
	printf("#   all registers before:");
	for (unsigned i = 0; i < 16; i++)
		printf(" %llx", (unsigned long long)o->before.gpr[i]);
	printf("\n");
}

/* --- running ------------------------------------------------------------------------------------
 */

static const struct {
	const char *name;
	guest_step_fn *step;
} executors[] = { { "interpreted", guest_step }, { "translated", guest_step_translated } };

static void run_case(struct check *check)
{
	struct instance instance;
	struct sequence sequence;
	struct outcome o;
	uint8_t data[NATIVE_DATA_BYTES];
	unsigned mode_bits = check->class->mode_bits;

	form_instantiate(check->forms, &check->random, &instance);
	state_randomize(&check->random, &instance, mode_bits, &o.before, native_data());
	form_decode(check->forms, &instance);
	sequence_make(check->forms, &check->random, &instance, check->class->before, &sequence);
	memcpy(data, native_data(), sizeof(data));
	o.native = o.before;
	o.native_fault =
		native_run(check->native, mode_bits, sequence.bytes, sequence.length, &o.native);
	check->faults += o.native_fault != NO_FAULT;
	for (unsigned i = 0; i < ARRAY_SIZE(executors); i++) {
		o.executor = executors[i].name;
		o.guest = o.before;
		memcpy(guest_data(check->guest), data, sizeof(data));
		o.guest_fault = guest_run(check->guest, executors[i].step, mode_bits,
					  sequence.bytes, sequence.length, &o.guest);
		if (!is_equal(check, &sequence, &o) && check->differences++ < MAX_REPORTS)
			report(check, &sequence, &o);
	}
}

static enum insn_result run_cases(struct check *check, uint64_t first_seed)
{
	const struct insn_class *class = check->class;

	check->random.state = (first_seed + 1) * 0x9e3779b97f4a7c15ull;
	for (unsigned i = 0; i < class->cases; i++)
		run_case(check);
	printf("# %s: %u cases of %u instructions in %u forms, %u faults, %u differences "
	       "(NIDUS_SEED=%llu)\n",
	       class->name, class->cases, form_mnemonics(check->forms), form_count(check->forms),
	       check->faults, check->differences, (unsigned long long)first_seed);
	return check->differences ? INSN_DIFFERENT : INSN_EQUAL;
}

enum insn_result insn_check(const struct insn_class *class)
{
	struct check check = { .class = class, .guest = guest_create() };
	enum insn_result result = INSN_CANNOT_RUN;

	if (!check.guest)
		return INSN_CANNOT_RUN;
	check.native = native_create();
	if (check.native && (class->mode_bits == 64 || native_can_run_32(check.native))) {
		check.forms = form_table_create(guest_soft(check.guest), class->mode_bits,
						class->accepts);
		state_fill(&(struct random){ 1 }, native_data());
		result = run_cases(&check, seed());
		form_table_destroy(check.forms);
	}
	if (check.native)
		native_destroy(check.native);
	guest_destroy(check.guest);
	return result;
}
