/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A form is what lies before the ModRM byte's free fields: prefixes, map, opcode, and the ModRM
 * byte itself where it extends the opcode.
 */
#include "tests/insn/form.h"

#include <stdlib.h>

#include "cpu/decode/isa.h"

#define MAX_TRIES 40

struct form {
	uint16_t mnemonic;
	uint8_t bytes[8];
	uint8_t modrm_at; /* index of the ModRM byte, or 0 */
	uint8_t length;   /* to the ModRM byte inclusive */
	uint8_t rex_at;   /* index of REX, or 0 */
	uint8_t vex_at;   /* index of the three bytes of VEX + 1, or 0 */
};

struct form_table {
	ZydisDecoder decoder;
	const struct soft *soft;
	form_accepts_fn *accepts;
	unsigned mode_bits;
	struct form *forms; /* by mnemonic */
	unsigned count, capacity;
	unsigned *first; /* index of each mnemonic's first form; mnemonics + 1 of them */
	unsigned mnemonics;
};

static bool decode(const struct form_table *table, const uint8_t *bytes, struct instance *out)
{
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&table->decoder, bytes, 15, &out->zydis,
						   out->operands)) &&
	       isa_is_offered(table->soft, &out->zydis) &&
	       table->accepts(&out->zydis, out->operands);
}

static void add(struct form_table *table, const struct form *form)
{
	if (table->count == table->capacity) {
		table->capacity = table->capacity ? 2 * table->capacity : 1024;
		table->forms = realloc(table->forms, table->capacity * sizeof(*table->forms));
		if (!table->forms)
			abort();
	}
	table->forms[table->count++] = *form;
}

/* Adds `form` if it is one; its ModRM byte, if any, is the last byte. Returns whether it has one.
 */
static bool try_form(struct form_table *table, const struct form *form)
{
	struct instance instance;
	struct form found = *form;
	uint8_t bytes[15] = { 0 };

	memcpy(bytes, form->bytes, form->length);
	if (!decode(table, bytes, &instance))
		return true; /* another ModRM byte may do */
	found.mnemonic = (uint16_t)instance.zydis.mnemonic;
	found.modrm_at = instance.zydis.raw.modrm.offset;
	if (!found.modrm_at)
		found.length--;
	add(table, &found);
	return found.modrm_at;
}

/* All ModRM bytes that may make a difference: memory with each /digit, registers with all. */
static void try_modrms(struct form_table *table, struct form *form, bool all_registers)
{
	unsigned last = form->length++;

	for (unsigned reg = 0; reg < 8; reg++) {
		form->bytes[last] = (uint8_t)(reg << 3);
		if (!try_form(table, form))
			return;
		for (unsigned rm = 0; rm < (all_registers ? 8u : 1u); rm++) {
			form->bytes[last] = (uint8_t)(0xc0 | reg << 3 | rm);
			try_form(table, form);
		}
	}
}

static void put(struct form *form, uint8_t byte)
{
	form->bytes[form->length++] = byte;
}

/* Prefixes, and escapes to other maps. */
static bool is_prefix(const struct form_table *table, unsigned map, unsigned opcode)
{
	if (map)
		return map == 1 && (opcode == 0x38 || opcode == 0x3a);
	switch (opcode) {
	case 0x0f:
	case 0x62:
	case 0xc4:
	case 0xc5:
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64 ... 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return table->mode_bits == 64 && (opcode & 0xf0) == 0x40;
	}
}

static void try_legacy(struct form_table *table, unsigned prefix, bool wide, unsigned map)
{
	static const uint8_t prefixes[][2] = { { 0 },    { 0x66 },       { 0xf2 },      { 0xf3 },
					       { 0xf0 }, { 0x66, 0xf2 }, { 0x66, 0xf0 } };

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		struct form form = { 0 };

		if (is_prefix(table, map, opcode))
			continue;
		for (unsigned i = 0; i < 2 && prefixes[prefix][i]; i++)
			put(&form, prefixes[prefix][i]);
		if (table->mode_bits == 64) {
			form.rex_at = form.length + 1;
			put(&form, wide ? 0x48 : 0x40);
		}
		if (map)
			put(&form, 0x0f);
		if (map > 1)
			put(&form, map == 2 ? 0x38 : 0x3a);
		put(&form, (uint8_t)opcode);
		try_modrms(table, &form, map == 0 && opcode >= 0xd8 && opcode <= 0xdf);
	}
}

static void try_vex(struct form_table *table, unsigned map, unsigned wlp, unsigned vvvv)
{
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		struct form form = { .vex_at = 1 };

		put(&form, 0xc4);
		put(&form, (uint8_t)(0xe0 | map));
		put(&form, (uint8_t)((wlp & 8) << 4 | vvvv << 3 | (wlp & 7)));
		put(&form, (uint8_t)opcode);
		try_modrms(table, &form, false);
	}
}

static int compare(const void *a, const void *b)
{
	const struct form *x = a, *y = b;

	return (int)x->mnemonic - (int)y->mnemonic;
}

static void index_mnemonics(struct form_table *table)
{
	qsort(table->forms, table->count, sizeof(*table->forms), compare);
	table->first = calloc(table->count + 1, sizeof(*table->first));
	if (!table->first)
		abort();
	for (unsigned i = 0; i < table->count; i++)
		if (!i || table->forms[i].mnemonic != table->forms[i - 1].mnemonic)
			table->first[table->mnemonics++] = i;
	table->first[table->mnemonics] = table->count;
}

struct form_table *form_table_create(const struct soft *soft, unsigned mode_bits,
				     form_accepts_fn *accepts)
{
	struct form_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->soft = soft;
	table->accepts = accepts;
	table->mode_bits = mode_bits;
	if (mode_bits == 64)
		ZydisDecoderInit(&table->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	else
		ZydisDecoderInit(&table->decoder, ZYDIS_MACHINE_MODE_LEGACY_32,
				 ZYDIS_STACK_WIDTH_32);
	for (unsigned prefix = 0; prefix < 7; prefix++)
		for (unsigned wide = 0; wide < (mode_bits == 64 ? 2u : 1u); wide++)
			for (unsigned map = 0; map < 4; map++)
				try_legacy(table, prefix, wide, map);
	for (unsigned map = 1; map < 4; map++)
		for (unsigned wlp = 0; wlp < 16; wlp++) {
			try_vex(table, map, wlp, 15);
			try_vex(table, map, wlp, 12);
		}
	index_mnemonics(table);
	return table;
}

void form_table_destroy(struct form_table *table)
{
	free(table->forms);
	free(table->first);
	free(table);
}

unsigned form_count(const struct form_table *table)
{
	return table->count;
}

unsigned form_mnemonics(const struct form_table *table)
{
	return table->mnemonics;
}

/* Register numbers, addressing forms, immediates: everything but what it is. */
static void vary(const struct form_table *table, const struct form *form, struct random *r,
		 uint8_t *bytes)
{
	uint64_t bits_left = random_bits(r);

	for (unsigned i = 0; i < 15; i++)
		bytes[i] = (uint8_t)random_bits(r);
	memcpy(bytes, form->bytes, form->length);
	if (form->rex_at)
		bytes[form->rex_at - 1] |= bits_left & 7;
	if (form->vex_at) {
		uint8_t *vex = bytes + form->vex_at;

		if (table->mode_bits == 64)
			vex[0] ^= bits_left & 0xe0;
		if ((vex[1] & 0x78) != 0x78)
			vex[1] ^= bits_left & (table->mode_bits == 64 ? 0x78 : 0x38);
	}
	if (form->modrm_at) {
		uint8_t *modrm = bytes + form->modrm_at;

		if (*modrm >= 0xc0)
			*modrm ^= bits_left >> 8 & 0x3f;
		else
			*modrm = (uint8_t)((bits_left >> 16) % 3 << 6 | (bits_left >> 8 & 0x3f));
	}
}

static bool is_same_form(const struct form *form, const struct instance *instance)
{
	return instance->zydis.mnemonic == form->mnemonic &&
	       (!form->modrm_at ||
		(form->bytes[form->modrm_at] >= 0xc0) == (instance->zydis.raw.modrm.mod == 3));
}

void form_instantiate(const struct form_table *table, struct random *r, struct instance *out)
{
	unsigned mnemonic = random_below(r, table->mnemonics);
	unsigned first = table->first[mnemonic];
	const struct form *form =
		&table->forms[first + random_below(r, table->first[mnemonic + 1] - first)];

	for (unsigned i = 0; i < MAX_TRIES; i++) {
		vary(table, form, r, out->bytes);
		if (decode(table, out->bytes, out) && is_same_form(form, out))
			return;
	}
	memset(out->bytes, 0, sizeof(out->bytes));
	memcpy(out->bytes, form->bytes, form->length);
	decode(table, out->bytes, out);
}

void form_decode(const struct form_table *table, struct instance *instance)
{
	decode(table, instance->bytes, instance);
}
