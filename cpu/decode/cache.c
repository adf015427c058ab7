/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that have been decoded before: see cpu/decode/cache.h.
 *
 * An instruction begins with its head: prefixes, opcode, ModRM, SIB. How long that is depends on
 * its own bytes alone, as each is read, so no head is the beginning of another one. Entries are
 * found by mode and head. Behind it are the displacement and the immediate, which are put into a
 * copy of what is known, if what they are has no other effect; all else is compared. So it does not
 * matter what this file takes for a head, as long as the bytes before the first one that is not
 * compared are among it.
 */
#include "cpu/decode/cache.h"

#include <stdlib.h>

#include "cpu/decode/table.h"

#define SETS 2048u
#define WAYS 4u

#define HEAD_MAX_BYTES 7u /* longer ones are not kept */
#define TAIL_BYTES     8u /* what can be behind a head: displacement and immediate */
#define KEY_MODE_SHIFT (8 * HEAD_MAX_BYTES)

#define SIB_RM  4u /* ModRM.rm that SIB follows, in addresses of 4 and 8 bytes */
#define REX_MIN 0x40u
#define REX_MAX 0x4fu

/* A field of the tail: `bytes` is 0 where it is none, or compared like all else. */
struct field {
	uint8_t at, bytes; /* at: from the instruction's first byte */
	bool is_signed;
};

struct entry {
	uint64_t tail, tail_mask; /* what is compared of the bytes behind the head */
	struct field disp, imm;
	struct insn insn;
	struct shape shape;
};

/* A key is the head's bytes, and above them mode + 1; so 0 is none. */
struct decode_cache {
	const struct decoder *decoder;
	uint64_t key[SETS][WAYS];
	struct entry entry[SETS][WAYS];
	uint8_t recent[SETS]; /* ways, a bit each, that are not to be replaced next */
};

struct decode_cache *decode_cache_create(const struct decoder *decoder)
{
	struct decode_cache *cache = calloc(1, sizeof(*cache));

	if (cache)
		cache->decoder = decoder;
	return cache;
}

void decode_cache_destroy(struct decode_cache *cache)
{
	free(cache);
}

/* --- heads --------------------------------------------------------------------------------------
 */

/* Opcodes with ModRM, a bit each: of one byte, and behind 0Fh. */
static const uint16_t modrm_of_one[16] = {
	0x0f0f, 0x0f0f, 0x0f0f, 0x0f0f, 0, 0, 0x0a0c, 0, 0xffff, 0, 0, 0, 0x00f3, 0xff0f, 0, 0xc0c0,
};
static const uint16_t modrm_of_0f[16] = {
	0xa00f, 0xffff, 0xffff, 0,      0xffff, 0xffff, 0xffff, 0xff7f,
	0,      0xffff, 0xf8f8, 0xffff, 0x00ff, 0xffff, 0xffff, 0xffff,
};

static bool has_bit(const uint16_t set[16], unsigned opcode)
{
	return set[opcode >> 4] >> (opcode & 15) & 1;
}

static bool is_prefix(enum cpu_mode mode, unsigned byte)
{
	switch (byte) {
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
		return mode == MODE_64 && byte >= REX_MIN && byte <= REX_MAX;
	}
}

/* Behind C4h or C5h at `at`: where ModRM is expected; 0: LES or LDS, whose ModRM is at + 1. */
static unsigned vex_modrm(enum cpu_mode mode, const uint8_t *bytes, unsigned at)
{
	if (mode != MODE_64 && bytes[at + 1] < 0xc0)
		return 0;
	return at + (bytes[at] == 0xc4 ? 4 : 3);
}

/* Where ModRM is, or the end of the head, which has none. */
static unsigned find_modrm(enum cpu_mode mode, const uint8_t *bytes, unsigned at, bool *has_modrm)
{
	unsigned opcode = bytes[at];

	*has_modrm = true;
	if (opcode == 0xc4 || opcode == 0xc5) {
		unsigned modrm = vex_modrm(mode, bytes, at);

		return modrm ? modrm : at + 1;
	}
	if (opcode != 0x0f) {
		*has_modrm = has_bit(modrm_of_one, opcode);
		return at + 1;
	}
	opcode = bytes[at + 1];
	if (opcode == 0x38 || opcode == 0x3a)
		return at + 3;
	*has_modrm = has_bit(modrm_of_0f, opcode);
	return at + 2;
}

static bool has_sib(enum cpu_mode mode, bool is_other_size, unsigned modrm)
{
	bool is_16 = mode != MODE_64 && (mode == MODE_16) != is_other_size;

	return !is_16 && modrm < 0xc0 && (modrm & 7) == SIB_RM;
}

/* The length of the head; more than HEAD_MAX_BYTES: no matter how long. */
static unsigned head_bytes(enum cpu_mode mode, const uint8_t bytes[16])
{
	bool is_other_size = false, has_modrm;
	unsigned at = 0;

	while (is_prefix(mode, bytes[at])) {
		is_other_size |= bytes[at] == 0x67;
		if (++at == HEAD_MAX_BYTES)
			return HEAD_MAX_BYTES + 1;
	}
	at = find_modrm(mode, bytes, at, &has_modrm);
	if (!has_modrm)
		return at;
	return at + 1 + has_sib(mode, is_other_size, bytes[at]);
}

/* --- finding ------------------------------------------------------------------------------------
 */

/* The bytes of one instruction, read once, and zeros or what comes next behind them. */
struct code {
	uint8_t bytes[2 * TAIL_BYTES];
	unsigned avail;
	unsigned head_bytes;
	uint64_t key; /* 0: it is not kept */
	unsigned set;
};

static void read_code(struct code *code, enum cpu_mode mode, const uint8_t *bytes, unsigned avail)
{
	code->avail = MIN(avail, INSN_MAX_BYTES);
	if (avail >= sizeof(code->bytes)) {
		memcpy(code->bytes, bytes, sizeof(code->bytes));
	} else {
		memset(code->bytes, 0, sizeof(code->bytes));
		memcpy(code->bytes, bytes, avail);
	}
	code->head_bytes = head_bytes(mode, code->bytes);
	code->key = 0;
	if (code->head_bytes > HEAD_MAX_BYTES)
		return;
	code->key = (load_le(code->bytes, 8) & size_mask(code->head_bytes)) |
		    (mode + 1ull) << KEY_MODE_SHIFT;
	code->set = (unsigned)(code->key * 0x9e3779b97f4a7c15ull >> 40) % SETS;
}

static uint64_t tail_of(const struct code *code)
{
	return load_le(code->bytes + code->head_bytes, TAIL_BYTES);
}

static void note_use(struct decode_cache *cache, unsigned set, unsigned way)
{
	cache->recent[set] |= (uint8_t)(1u << way);
	if (cache->recent[set] == (1u << WAYS) - 1)
		cache->recent[set] = (uint8_t)(1u << way);
}

static const struct entry *find(struct decode_cache *cache, const struct code *code)
{
	if (!code->key)
		return NULL;
	for (unsigned way = 0; way < WAYS; way++) {
		const struct entry *entry = &cache->entry[code->set][way];

		if (cache->key[code->set][way] == code->key &&
		    (tail_of(code) & entry->tail_mask) == entry->tail &&
		    entry->insn.length <= code->avail) {
			note_use(cache, code->set, way);
			return entry;
		}
	}
	return NULL;
}

/* --- keeping ------------------------------------------------------------------------------------
 */

static uint64_t field_mask(const struct code *code, const struct field *field)
{
	return field->bytes ? size_mask(field->bytes) << 8 * (field->at - code->head_bytes) : 0;
}

static struct field disp_field(const ZydisDecodedInstruction *zydis, const struct insn *insn)
{
	if (!zydis->raw.disp.size || !(insn->flags & INSN_MEM))
		return (struct field){ 0 };
	return (struct field){ zydis->raw.disp.offset, zydis->raw.disp.size / 8, true };
}

/* What has a stub has the immediate in it. */
static struct field imm_field(const ZydisDecodedInstruction *zydis,
			      const ZydisDecodedOperand *operands, const struct insn *insn)
{
	bool is_operand = false;

	for (unsigned n = 0; n < zydis->operand_count_visible; n++)
		is_operand |= operands[n].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	if (!is_operand || (insn->flags & INSN_STUB) || zydis->raw.imm[0].size > 32 ||
	    !zydis->raw.imm[0].size || zydis->raw.imm[1].size ||
	    zydis->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return (struct field){ 0 };
	return (struct field){ zydis->raw.imm[0].offset, zydis->raw.imm[0].size / 8,
			       zydis->raw.imm[0].is_signed };
}

static int64_t field_value(const struct code *code, const struct field *field)
{
	unsigned shift = 64 - 8 * field->bytes;
	uint64_t value = load_le(code->bytes + field->at, field->bytes);

	return field->is_signed ? (int64_t)(value << shift) >> shift : (int64_t)value;
}

/* What is not compared, and where the instruction lies. */
static void set_fields(const struct code *code, const struct entry *entry, unsigned start,
		       struct insn *insn)
{
	insn->start = (uint16_t)start;
	insn->next = (uint16_t)(start + insn->length);
	if (entry->disp.bytes)
		insn->disp =
			field_value(code, &entry->disp) + (insn->base == REG_RIP ? insn->next : 0);
	if (entry->imm.bytes)
		insn->imm = (int32_t)field_value(code, &entry->imm);
}

/* Whether what the bytes say becomes what it became by decoding. */
static bool is_restored(const struct code *code, const struct entry *entry)
{
	struct insn insn = entry->insn;

	set_fields(code, entry, insn.start, &insn);
	return insn.disp == entry->insn.disp && insn.imm == entry->insn.imm &&
	       (insn.base != REG_RIP || entry->disp.bytes);
}

static bool is_in_tail(const struct code *code, const struct field *field)
{
	return !field->bytes || field->at >= code->head_bytes;
}

/* Whether the bytes behind the head say all that there is to say of the instruction. */
static bool may_be_kept(const struct code *code, const ZydisDecodedInstruction *zydis,
			const struct entry *entry)
{
	return (zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
		zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) &&
	       zydis->length >= code->head_bytes &&
	       zydis->length <= code->head_bytes + TAIL_BYTES && is_in_tail(code, &entry->disp) &&
	       is_in_tail(code, &entry->imm) && is_restored(code, entry);
}

static void keep(struct decode_cache *cache, const struct code *code,
		 const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		 const struct insn *insn)
{
	struct entry entry = { .disp = disp_field(zydis, insn),
			       .imm = imm_field(zydis, operands, insn),
			       .insn = *insn };
	unsigned tail_bytes = zydis->length - code->head_bytes, way;

	if (!may_be_kept(code, zydis, &entry))
		return;
	entry.tail_mask = (tail_bytes ? size_mask(tail_bytes) : 0) &
			  ~(field_mask(code, &entry.disp) | field_mask(code, &entry.imm));
	entry.tail = tail_of(code) & entry.tail_mask;
	shape_take(zydis, operands, code->bytes, &entry.shape);
	way = (unsigned)__builtin_ctz(~(unsigned)cache->recent[code->set]);
	note_use(cache, code->set, way);
	cache->key[code->set][way] = code->key;
	cache->entry[code->set][way] = entry;
}

/* --- decoding -----------------------------------------------------------------------------------
 */

/* By Zydis, and keeps what comes of it. *shape, if it is wanted, is left alone where it is no
 * instruction. */
static unsigned decode_anew(struct decode_cache *cache, enum cpu_mode mode, const struct code *code,
			    unsigned start, struct insn *insn, struct shape *shape)
{
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	bool is_valid;
	unsigned length = decode_with_zydis(cache->decoder, mode, code->bytes, code->avail, start,
					    insn, &zydis, operands, &is_valid);

	if (is_valid && code->key)
		keep(cache, code, &zydis, operands, insn);
	if (is_valid && shape)
		shape_take(&zydis, operands, code->bytes, shape);
	return length;
}

unsigned decode_cache_insn(struct decode_cache *cache, enum cpu_mode mode, const uint8_t *bytes,
			   unsigned avail, unsigned start, struct insn *out)
{
	const struct entry *entry;
	struct code code;

	read_code(&code, mode, bytes, avail);
	entry = find(cache, &code);
	if (!entry)
		return decode_anew(cache, mode, &code, start, out, NULL);
	*out = entry->insn;
	set_fields(&code, entry, start, out);
	return out->length;
}

void decode_cache_shape(struct decode_cache *cache, enum cpu_mode mode, const uint8_t *bytes,
			unsigned length, struct shape *out)
{
	const struct entry *entry;
	struct code code;
	struct insn insn;

	read_code(&code, mode, bytes, length);
	entry = find(cache, &code);
	if (!entry) {
		memset(out, 0, sizeof(*out));
		decode_anew(cache, mode, &code, 0, &insn, out);
		return;
	}
	*out = entry->shape;
	if (out->encoding.imm_bytes && entry->imm.bytes)
		memcpy(out->encoding.imm, code.bytes + entry->imm.at, entry->imm.bytes);
}
