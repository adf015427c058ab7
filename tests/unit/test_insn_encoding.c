/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random instances of every form of instruction, taken apart and put together with other registers
 * and another memory operand: Zydis must find the same instruction with just these differences.
 * The cases come from a seed that is printed; NIDUS_SEED=... repeats them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "cpu/cpu.h"
#include "cpu/decode/encoding.h"
#include "tests/insn/form.h"
#include "tests/insn/guest.h"

#define CASES 100000u

struct rewrite {
	const struct instance *from;
	uint8_t to[16]; /* the new register of each general register */
	struct host_mem mem;
	uint8_t bytes[ENCODING_MAX_BYTES];
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/* What is of the system is nothing that a translator moves. */
static bool accepts(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_INVPCID:
	case ZYDIS_MNEMONIC_RDPID:
		return false;
	default:
		break;
	}
	if (zydis->meta.category == ZYDIS_CATEGORY_SYSTEM ||
	    zydis->meta.category == ZYDIS_CATEGORY_SYSCALL ||
	    zydis->meta.category == ZYDIS_CATEGORY_SYSRET)
		return false;
	for (unsigned i = 0; i < zydis->operand_count; i++)
		switch (ZydisRegisterGetClass(operands[i].reg.value)) {
		case ZYDIS_REGCLASS_CONTROL:
		case ZYDIS_REGCLASS_DEBUG:
		case ZYDIS_REGCLASS_TEST:
			return false;
		default:
			break;
		}
	return true;
}

static uint64_t seed(void)
{
	const char *given = getenv("NIDUS_SEED");

	return given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 1000003;
}

/* RAX stays: XCHG with it has a form that names only the other one. */
static void shuffle(struct random *r, uint8_t to[16])
{
	for (unsigned i = 0; i < 16; i++)
		to[i] = (uint8_t)i;
	for (unsigned i = 15; i > 1; i--) {
		unsigned j = 1 + random_below(r, i);
		uint8_t swapped = to[i];

		to[i] = to[j];
		to[j] = swapped;
	}
}

static struct host_mem random_memory(struct random *r)
{
	static const int32_t disps[] = { 0, 8, -128, 0x12345678 };
	struct host_mem mem = { .base = (uint8_t)random_below(r, HOST_RIP + 1),
				.index = HOST_NONE,
				.is_gs = random_percent(r, 50),
				.disp = disps[random_below(r, ARRAY_SIZE(disps))] };

	if (mem.base != HOST_RIP && random_percent(r, 50)) {
		mem.index = (uint8_t)random_below(r, 16);
		mem.scale_log2 = (uint8_t)random_below(r, 4);
	}
	if (mem.index == RSP)
		mem.index = RBP;
	return mem;
}

static ZydisRegister address_register(unsigned n)
{
	return n == HOST_NONE  ? ZYDIS_REGISTER_NONE
	       : n == HOST_RIP ? ZYDIS_REGISTER_RIP
			       : ZYDIS_REGISTER_RAX + n;
}

static bool is_same_memory(const struct rewrite *w, const ZydisDecodedOperand *from,
			   const ZydisDecodedOperand *to)
{
	bool is_address = to->mem.type == ZYDIS_MEMOP_TYPE_AGEN; /* LEA */

	return to->mem.base == address_register(w->mem.base) &&
	       to->mem.index == address_register(w->mem.index) &&
	       (w->mem.index == HOST_NONE || to->mem.scale == 1u << w->mem.scale_log2) &&
	       to->mem.disp.value == w->mem.disp &&
	       (is_address ||
		((to->mem.segment == ZYDIS_REGISTER_GS) == w->mem.is_gs && to->size == from->size));
}

static bool is_high_byte(const ZydisDecodedOperand *operand)
{
	return operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       operand->reg.value >= ZYDIS_REGISTER_AH && operand->reg.value <= ZYDIS_REGISTER_BH;
}

static bool is_same_register(const struct rewrite *w, const ZydisDecodedOperand *from,
			     const ZydisDecodedOperand *to)
{
	ZydisRegister reg =
		ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, from->reg.value);

	if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR64 || is_high_byte(from) ||
	    from->encoding == ZYDIS_OPERAND_ENCODING_NONE)
		return to->reg.value == from->reg.value;
	return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, to->reg.value) ==
		       address_register(w->to[ZydisRegisterGetId(reg)]) &&
	       to->size == from->size && !is_high_byte(to);
}

static bool is_same_operand(const struct rewrite *w, unsigned i)
{
	const ZydisDecodedOperand *from = &w->from->operands[i], *to = &w->operands[i];

	if (from->type != to->type)
		return false;
	switch (from->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return is_same_register(w, from, to);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return is_same_memory(w, from, to);
	default:
		return from->imm.value.u == to->imm.value.u;
	}
}

#define COMPARED_ATTRIBUTES                                                     \
	(ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | \
	 ZYDIS_ATTRIB_HAS_REPNE)

static bool is_same(const struct rewrite *w)
{
	const ZydisDecodedInstruction *from = &w->from->zydis;

	if (w->zydis.mnemonic != from->mnemonic ||
	    (from->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	     w->zydis.operand_width != from->operand_width) ||
	    ((w->zydis.attributes ^ from->attributes) & COMPARED_ATTRIBUTES) ||
	    w->zydis.operand_count_visible != from->operand_count_visible)
		return false;
	for (unsigned i = 0; i < from->operand_count_visible; i++)
		if (!is_same_operand(w, i))
			return false;
	return true;
}

static bool has_high_byte(const struct instance *instance)
{
	for (unsigned i = 0; i < instance->zydis.operand_count_visible; i++)
		if (is_high_byte(&instance->operands[i]))
			return true;
	return false;
}

static void print_bytes(const char *what, const uint8_t *bytes, unsigned len)
{
	printf("# %s", what);
	for (unsigned i = 0; i < len; i++)
		printf(" %02x", bytes[i]);
	printf("\n");
}

/* Returns whether the instruction could be moved at all. */
static bool check_case(const ZydisDecoder *decoder, struct random *r,
		       const struct instance *instance)
{
	struct rewrite w = { .from = instance, .mem = random_memory(r) };
	struct encoding encoding;
	unsigned len;

	if (!encoding_take_apart(&instance->zydis, instance->operands, instance->bytes, &encoding))
		return false;
	shuffle(r, w.to);
	encoding_map_gprs(&encoding, w.to);
	len = encoding_write(&encoding, w.mem, w.bytes);
	if (!len && has_high_byte(instance))
		return false;
	if (!len ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder, w.bytes, len, &w.zydis, w.operands)) ||
	    w.zydis.length != len || !is_same(&w)) {
		print_bytes("of", instance->bytes, instance->zydis.length);
		print_bytes("became", w.bytes, len);
		fail();
	}
	return true;
}

static void check_mode(unsigned mode_bits)
{
	struct guest *guest = guest_create();
	uint64_t first = seed();
	struct random r = { (first + 1) * 0x9e3779b97f4a7c15ull };
	struct form_table *forms;
	ZydisDecoder decoder;
	unsigned moved = 0;

	assert_non_null(guest);
	forms = form_table_create(guest_soft(guest), mode_bits, accepts);
	assert_non_null(forms);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	printf("# %u bits: %u instructions in %u forms (NIDUS_SEED=%llu)\n", mode_bits,
	       form_mnemonics(forms), form_count(forms), (unsigned long long)first);
	for (unsigned i = 0; i < CASES; i++) {
		struct instance instance;

		form_instantiate(forms, &r, &instance);
		moved += check_case(&decoder, &r, &instance);
	}
	printf("# %u of %u were moved\n", moved, CASES);
	assert_true(moved > CASES / 2);
	form_table_destroy(forms);
	guest_destroy(guest);
}

static void instructions_of_64_bit_code(void **state)
{
	(void)state;
	check_mode(64);
}

static void instructions_of_32_bit_code(void **state)
{
	(void)state;
	check_mode(32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instructions_of_64_bit_code),
		cmocka_unit_test(instructions_of_32_bit_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
