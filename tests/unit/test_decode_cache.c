/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cache of decoded instructions gives what decoding gives: for real code, for bytes at random,
 * for variants of what it knows already, and where the bytes end too early, in all modes and for
 * both vendors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "cpu/decode/cache.h"
#include "cpu/decode/table.h"
#include "cpu/exec/exec.h"
#include "cpu/exec/host.h"
#include "cpu/soft.h"

#define POOL         1024 /* instructions whose variants are tried */
#define RANDOM_INSNS 400000
#define CODE_BYTES   200000 /* of this program */

extern const uint8_t etext[];

struct fixture {
	struct soft soft;
	struct decoder *decoder;
	struct decode_cache *cache;
	uint64_t seed;
};

static int setup_as(void **state, enum cpu_vendor vendor)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	memset(f->soft.features, 0xff, sizeof(f->soft.features));
	f->soft.config.vendor = vendor;
	f->soft.host_code = host_code_create();
	f->decoder = decoder_create(&f->soft);
	f->cache = decode_cache_create(f->decoder);
	f->seed = 0x9e3779b97f4a7c15;
	assert_non_null(f->cache);
	*state = f;
	return 0;
}

static int setup_intel(void **state)
{
	return setup_as(state, CPU_INTEL);
}

static int setup_amd(void **state)
{
	return setup_as(state, CPU_AMD);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	decode_cache_destroy(f->cache);
	decoder_destroy(f->decoder);
	host_code_destroy(f->soft.host_code);
	free(f);
	return 0;
}

static unsigned random_below(struct fixture *f, unsigned n)
{
	f->seed = f->seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(f->seed >> 33) % n;
}

static void print_bytes(const char *what, enum cpu_mode mode, const uint8_t *bytes, unsigned avail)
{
	print_message("%s differs in mode %u:", what, mode);
	for (unsigned i = 0; i < avail; i++)
		print_message(" %02x", bytes[i]);
	print_message("\n");
}

static void check_shape(struct fixture *f, enum cpu_mode mode, const uint8_t *bytes,
			unsigned length)
{
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct shape want = { .flags = 0 }, have;

	if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&f->decoder->zydis[mode], bytes, length, &zydis,
						operands)))
		shape_take(&zydis, operands, bytes, &want);
	decode_cache_shape(f->cache, mode, bytes, length, &have);
	if (memcmp(&want, &have, sizeof(want)) != 0) {
		print_bytes("shape", mode, bytes, length);
		fail();
	}
}

/* Returns the length. */
static unsigned check(struct fixture *f, enum cpu_mode mode, const uint8_t *bytes, unsigned avail,
		      unsigned start)
{
	struct insn want, have;
	unsigned length = decode_insn(f->decoder, mode, bytes, avail, start, &want);

	memset(&have, 0, sizeof(have));
	assert_int_equal(decode_cache_insn(f->cache, mode, bytes, avail, start, &have), length);
	if (!length)
		return 0;
	if (memcmp(&want, &have, sizeof(want)) != 0) {
		print_bytes("instruction", mode, bytes, avail);
		fail();
	}
	check_shape(f, mode, bytes, length);
	return length;
}

static void real_code(void **state)
{
	struct fixture *f = *state;
	size_t bytes = MIN((size_t)(etext - __executable_start), CODE_BYTES);
	const uint8_t *code = etext - bytes;

	for (unsigned mode = 0; mode < MODES; mode++)
		for (size_t at = 0; at + INSN_MAX_BYTES < bytes;) {
			unsigned length = check(f, mode, code + at, INSN_MAX_BYTES, at % 300);

			at += length ? length : 1;
		}
}

/* The other bytes of an instruction, or some of them, at random. */
static void vary(struct fixture *f, uint8_t *bytes)
{
	unsigned first = random_below(f, INSN_MAX_BYTES);

	for (unsigned i = first; i < INSN_MAX_BYTES; i++)
		bytes[i] = (uint8_t)random_below(f, 256);
}

/* Prefixes and escapes are rare among bytes at random. */
static void make_random(struct fixture *f, uint8_t *bytes)
{
	static const uint8_t often[] = { 0x0f, 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x48, 0x4c,
					 0x65, 0xc4, 0xc5, 0x2e, 0x81, 0x83, 0xf7, 0xe8 };
	unsigned n = random_below(f, 4);

	for (unsigned i = 0; i < INSN_MAX_BYTES; i++)
		bytes[i] = i < n ? often[random_below(f, ARRAY_SIZE(often))]
				 : (uint8_t)random_below(f, 256);
}

static void variants(void **state)
{
	struct fixture *f = *state;
	uint8_t(*pool)[INSN_MAX_BYTES] = calloc(POOL, sizeof(*pool));

	assert_non_null(pool);
	for (unsigned n = 0; n < RANDOM_INSNS; n++) {
		uint8_t *known = pool[random_below(f, POOL)], bytes[INSN_MAX_BYTES];
		unsigned avail =
			random_below(f, 4) ? INSN_MAX_BYTES : 1 + random_below(f, INSN_MAX_BYTES);

		if (!random_below(f, 8))
			make_random(f, known);
		memcpy(bytes, known, sizeof(bytes));
		vary(f, bytes);
		check(f, random_below(f, MODES), bytes, avail, random_below(f, 4096));
	}
	free(pool);
}

/* As code before the end of a page has it: what is missing is not made up. */
static void cut_off(void **state)
{
	static const uint8_t insn[] = {
		0x48, 0x81, 0x84, 0x24, 0, 1, 0, 0, 0x80, 0, 0, 0, 0, 0, 0
	};
	struct fixture *f = *state;
	struct insn out;

	for (unsigned round = 0; round < 2; round++)
		for (unsigned avail = INSN_MAX_BYTES; avail; avail--)
			assert_int_equal(check(f, MODE_64, insn, avail, 8), avail >= 12 ? 12 : 0);
	assert_int_equal(decode_cache_insn(f->cache, MODE_64, insn, 12, 8, &out), 12);
	assert_int_equal(out.disp, 256);
	assert_int_equal(out.imm, 128);
	assert_int_equal(out.next, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "real_code_intel", real_code, setup_intel, teardown, NULL },
		{ "real_code_amd", real_code, setup_amd, teardown, NULL },
		{ "variants_intel", variants, setup_intel, teardown, NULL },
		{ "variants_amd", variants, setup_amd, teardown, NULL },
		cmocka_unit_test_setup_teardown(cut_off, setup_intel, teardown),
	};

	return cmocka_run_group_tests_name("decode_cache", tests, NULL, NULL);
}
