/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From bytes to the instructions of a block: up to a branch, the end of the page or
 * BLOCK_MAX_INSNS.
 */
#include "cpu/block_decode.h"

#include <Zydis/Mnemonic.h>

#include "cpu/block_cache.h"
#include "cpu/decode/cache.h"
#include "cpu/segment.h"
#include "cpu/soft.h"

static void exec_block_end(struct cpu *cpu, const struct insn *insn)
{
	cpu->rip = insn_next_rip(cpu, insn);
}

/* The terminator: no instruction, but what moves RIP behind the last one. */
static void end_block(struct block *block)
{
	block->insn[block->count++] = (struct insn){
		.exec = insn_exec_of(exec_block_end),
		.start = block->length,
		.next = block->length,
		.page_offset = (uint16_t)(block->gpa % PAGE_BYTES),
	};
}

static void exec_folded(struct cpu *cpu, const struct insn *insn)
{
	(void)cpu;
	(void)insn;
}

/*
 * Makes a short jump forward within the page part of its block, so that loops and the alternatives
 * of kernels are not cut up by them. Returns how far it jumps; 0: it ends its block. In modes with
 * segments a jump looks at CS's limit.
 */
static unsigned fold_jump(const struct cpu *cpu, struct insn *insn, unsigned avail)
{
	unsigned size = cpu->mode == MODE_64 ? 8 : cpu->mode == MODE_FLAT ? 4 : 0;

	if (!size || insn->mnemonic != ZYDIS_MNEMONIC_JMP || !(insn->flags & INSN_DIRECT_BRANCH) ||
	    insn->size != size || insn->imm < 0 || insn->imm > BLOCK_FOLD_BYTES ||
	    insn->imm >= (int64_t)avail - insn->next)
		return 0;
	insn->flags &= (uint16_t) ~(INSN_ENDS_BLOCK | INSN_DIRECT_BRANCH);
	insn->flags |= INSN_FOLDED;
	insn->exec = insn_exec_of(exec_folded);
	insn->next += (uint16_t)insn->imm;
	return (unsigned)insn->imm;
}

/* At most this is read for an instruction: more than it may have, which is copied as one. */
#define READ_BYTES 16u

/* Encodings that are read once: another vCPU may be writing them. */
struct text {
	uint8_t bytes[BLOCK_MAX_BYTES + READ_BYTES];
	unsigned used;
};

/* Copies the next instruction and decodes that. Returns its length, or 0. */
static unsigned decode_next(struct cpu *cpu, struct block *block, struct text *text,
			    const uint8_t *bytes, unsigned avail, unsigned start)
{
	struct insn *insn = &block->insn[block->count];
	uint8_t *copy = text->bytes + text->used;
	unsigned length;

	if (avail >= READ_BYTES)
		memcpy(copy, bytes, avail = READ_BYTES);
	else
		memcpy(copy, bytes, avail);
	length = decode_cache_insn(cpu->soft->decodes, cpu->mode, copy, avail, start, insn);
	insn->page_offset = (uint16_t)(block->gpa % PAGE_BYTES);
	block->count += length != 0;
	text->used += length;
	return length;
}

/* The end of what an instruction was decoded from: what is none may become one by any of that. */
static uint16_t end_of(const struct insn *insn, unsigned avail)
{
	bool is_none = insn->mnemonic == ZYDIS_MNEMONIC_INVALID;

	return (uint16_t)(is_none ? MIN(insn->start + INSN_MAX_BYTES, avail) : insn->next);
}

/* Decodes instructions from `bytes` until one ends the block or the page ends. */
static void decode_run(struct cpu *cpu, struct block *block, struct text *text,
		       const uint8_t *bytes, unsigned avail)
{
	unsigned done = 0;

	while (block->count < BLOCK_MAX_INSNS) {
		struct insn *insn = &block->insn[block->count];
		unsigned length = decode_next(cpu, block, text, bytes + done, avail - done, done);

		if (!length)
			break;
		done += length;
		done += fold_jump(cpu, insn, avail);
		if (insn->flags & INSN_ENDS_BLOCK) {
			block->length = end_of(insn, avail);
			block->is_chained = !!(insn->flags & INSN_DIRECT_BRANCH);
			return;
		}
	}
	block->length = (uint16_t)done;
	block->is_chained = true;
	if (!done)
		return; /* the first instruction crosses into the next page */
	end_block(block);
}

static void keep_text(struct block *block, const struct text *text)
{
	size_t bytes = block_bytes(block->count, text->used);

	memcpy(&block->insn[block->count], text->bytes, text->used);
	block->units = (uint8_t)(align_up(bytes, BLOCK_ALIGN) / BLOCK_ALIGN);
}

struct block *block_decode(struct cpu *cpu, struct block *block, gpa_t gpa, gpa_t second_page)
{
	const uint8_t *base = cpu->soft->config.memory->base;
	unsigned avail = PAGE_BYTES - gpa % PAGE_BYTES;
	uint8_t bytes[INSN_MAX_BYTES];
	struct text text;

	text.used = 0;
	*block = (struct block){ .gpa = gpa,
				 .second_page = second_page,
				 .flavor = (uint8_t)block_flavor(cpu) };
	if (second_page == NO_PAGE) {
		decode_run(cpu, block, &text, base + gpa, avail);
		if (!block->count)
			return NULL;
		keep_text(block, &text);
		return block;
	}
	memcpy(bytes, base + gpa, avail);
	memcpy(bytes + avail, base + second_page, sizeof(bytes) - avail);
	decode_next(cpu, block, &text, bytes, sizeof(bytes), 0);
	block->length = end_of(&block->insn[0], sizeof(bytes));
	if (block->length <= avail)
		return NULL;
	if (!(block->insn[0].flags & INSN_ENDS_BLOCK))
		end_block(block);
	keep_text(block, &text);
	return block;
}

const uint8_t *block_insn_bytes(const struct insn *insn)
{
	const struct block *block = block_of_insn(insn);
	const uint8_t *at = block_text(block);

	for (const struct insn *before = block->insn; before < insn; before++)
		at += before->length;
	return at;
}
