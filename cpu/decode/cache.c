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

#include "cpu/decode/table.h"
#include "lib/huge.h"

#define SETS 2048u
#define WAYS 4u

#define HEAD_MAX_BYTES 7u  /* longer ones are not kept */
#define TAIL_BYTES     8u  /* what can be behind a head: displacement and immediate */
#define CODE_BYTES     16u /* of an instruction, and one more */
#define KEY_MODE_SHIFT (8 * HEAD_MAX_BYTES)

#define SIB_RM  4u /* ModRM.rm that SIB follows, in addresses of 4 and 8 bytes */
#define REX_MIN 0x40u
#define REX_MAX 0x4fu

/* A field of the tail, of 2^(log2 - 1) bytes; log2 is 0 where it is none or compared like all else.
 */
struct field {
	uint8_t at : 4; /* from the instruction's first byte */
	uint8_t log2 : 3;
	uint8_t is_signed : 1;
};

static unsigned field_bytes(const struct field *field)
{
	return 1u << field->log2 >> 1;
}

/* One line of the host's caches, which have lost it more often than not. */
struct entry {
	uint64_t key;
	uint64_t tail; /* what is compared of the bytes behind the head */
	struct insn insn;
	struct field disp, imm;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct entry) == 64, "one line");

/*
 * A key is the head's bytes, and above them mode + 1. Entries are found by a byte that is made of
 * theirs, since those bytes together stay in the host's caches.
 */
struct decode_cache {
	const struct decoder *decoder;
	uint8_t tag[SETS * WAYS];
	uint8_t recent[SETS]; /* ways, a bit each, that are not to be replaced next */
	struct entry entry[SETS * WAYS];
	struct shape shape[SETS * WAYS]; /* of the entries */
};

struct decode_cache *decode_cache_create(const struct decoder *decoder)
{
	struct decode_cache *cache = huge_map(sizeof(*cache));

	if (cache)
		cache->decoder = decoder;
	return cache;
}

void decode_cache_destroy(struct decode_cache *cache)
{
	huge_unmap(cache, sizeof(*cache));
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
	uint8_t bytes[CODE_BYTES + TAIL_BYTES]; /* so that a tail can be read anywhere */
	unsigned avail;
	unsigned head_bytes;
	uint64_t key; /* 0: it is not kept */
	unsigned set;
	uint8_t tag;
};

static void read_code(struct code *code, enum cpu_mode mode, const uint8_t *bytes, unsigned avail)
{
	uint64_t hash;

	code->avail = MIN(avail, INSN_MAX_BYTES);
	if (avail >= CODE_BYTES) {
		memcpy(code->bytes, bytes, CODE_BYTES);
	} else {
		memset(code->bytes, 0, CODE_BYTES);
		memcpy(code->bytes, bytes, avail);
	}
	code->head_bytes = head_bytes(mode, code->bytes);
	code->key = 0;
	if (code->head_bytes > HEAD_MAX_BYTES)
		return;
	code->key = (load_le(code->bytes, 8) & size_mask(code->head_bytes)) |
		    (mode + 1ull) << KEY_MODE_SHIFT;
	hash = code->key * 0x9e3779b97f4a7c15ull;
	code->set = (unsigned)(hash >> 40) % SETS;
	code->tag = (uint8_t)(hash >> 56);
}

static uint64_t field_mask(const struct field *field, unsigned head_bytes)
{
	return field->log2 ? size_mask(field_bytes(field)) << 8 * (field->at - head_bytes) : 0;
}

/* What is compared of the bytes behind the head. */
static uint64_t tail_of(const struct code *code, const struct entry *entry)
{
	unsigned bytes = entry->insn.length - code->head_bytes;
	uint64_t mask = bytes ? size_mask(bytes) : 0;

	mask &= ~(field_mask(&entry->disp, code->head_bytes) |
		  field_mask(&entry->imm, code->head_bytes));
	return load_le(code->bytes + code->head_bytes, TAIL_BYTES) & mask;
}

static void note_use(struct decode_cache *cache, unsigned set, unsigned way)
{
	cache->recent[set] |= (uint8_t)(1u << way);
	if (cache->recent[set] == (1u << WAYS) - 1)
		cache->recent[set] = (uint8_t)(1u << way);
}

static bool is_same(const struct code *code, const struct entry *entry)
{
	return entry->key == code->key && entry->insn.length <= code->avail &&
	       entry->tail == tail_of(code, entry);
}

static const struct entry *find(struct decode_cache *cache, const struct code *code)
{
	if (!code->key)
		return NULL;
	for (unsigned way = 0; way < WAYS; way++) {
		unsigned i = code->set * WAYS + way;

		if (cache->tag[i] == code->tag && is_same(code, &cache->entry[i])) {
			note_use(cache, code->set, way);
			return &cache->entry[i];
		}
	}
	return NULL;
}

/* --- keeping ------------------------------------------------------------------------------------
 */

static struct field make_field(unsigned at, unsigned size_bits, bool is_signed)
{
	return (struct field){ at & 0xf, ((unsigned)__builtin_ctz(size_bits) - 2) & 7, is_signed };
}

static struct field disp_field(const ZydisDecodedInstruction *zydis, const struct insn *insn)
{
	if (!zydis->raw.disp.size || !(insn->flags & INSN_MEM))
		return (struct field){ 0 };
	return make_field(zydis->raw.disp.offset, zydis->raw.disp.size, true);
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
	return make_field(zydis->raw.imm[0].offset, zydis->raw.imm[0].size,
			  zydis->raw.imm[0].is_signed);
}

static int64_t field_value(const struct code *code, const struct field *field)
{
	unsigned shift = 64 - 8 * field_bytes(field);
	uint64_t value = load_le(code->bytes + field->at, TAIL_BYTES) << shift;

	return field->is_signed ? (int64_t)value >> shift : (int64_t)(value >> shift);
}

/* What is not compared, and where the instruction lies. */
static void set_fields(const struct code *code, const struct entry *entry, unsigned start,
		       struct insn *insn)
{
	insn->start = (uint16_t)start;
	insn->next = (uint16_t)(start + insn->length);
	if (entry->disp.log2)
		insn->disp =
			field_value(code, &entry->disp) + (insn->base == REG_RIP ? insn->next : 0);
	if (entry->imm.log2)
		insn->imm = (int32_t)field_value(code, &entry->imm);
}

/* Whether what the bytes say becomes what it became by decoding. */
static bool is_restored(const struct code *code, const struct entry *entry)
{
	struct insn insn = entry->insn;

	set_fields(code, entry, insn.start, &insn);
	return insn.disp == entry->insn.disp && insn.imm == entry->insn.imm &&
	       (insn.base != REG_RIP || entry->disp.log2);
}

static bool is_in_tail(const struct code *code, const struct field *field)
{
	return !field->log2 || field->at >= code->head_bytes;
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
	struct entry entry = { .key = code->key,
			       .insn = *insn,
			       .disp = disp_field(zydis, insn),
			       .imm = imm_field(zydis, operands, insn) };
	unsigned way = (unsigned)__builtin_ctz(~(unsigned)cache->recent[code->set]);
	unsigned i = code->set * WAYS + way;

	if (!may_be_kept(code, zydis, &entry))
		return;
	entry.tail = tail_of(code, &entry);
	note_use(cache, code->set, way);
	cache->tag[i] = code->tag;
	cache->entry[i] = entry;
	shape_take(zydis, operands, code->bytes, &cache->shape[i]);
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
	*out = cache->shape[entry - cache->entry];
	if (out->encoding.imm_bytes && entry->imm.log2)
		memcpy(out->encoding.imm, code.bytes + entry->imm.at, out->encoding.imm_bytes);
}
