/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From bytes to the instructions of a block: up to a branch, the end of the page or
 * BLOCK_MAX_INSNS.
 */
#include "cpu/block_decode.h"

#include <Zydis/Mnemonic.h>

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
		.exec = exec_block_end,
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
	insn->exec = exec_folded;
	insn->next += (uint16_t)insn->imm;
	return (unsigned)insn->imm;
}

/* Decodes instructions from `bytes` until one ends the block or the page ends. */
static void decode_run(struct cpu *cpu, struct block *block, const uint8_t *bytes, unsigned avail)
{
	unsigned done = 0;

	block->count = 0;
	while (block->count < BLOCK_MAX_INSNS) {
		struct insn *insn = &block->insn[block->count];
		unsigned length = decode_cache_insn(cpu->soft->decodes, cpu->mode, bytes + done,
						    avail - done, done, insn);

		if (!length)
			break;
		insn->page_offset = (uint16_t)(block->gpa % PAGE_BYTES);
		block->count++;
		done += length;
		done += fold_jump(cpu, insn, avail);
		if (insn->flags & INSN_ENDS_BLOCK) {
			block->length = done;
			block->is_chained = insn->flags & INSN_DIRECT_BRANCH;
			return;
		}
	}
	block->length = done;
	block->is_chained = true;
	if (!done)
		return; /* the first instruction crosses into the next page */
	end_block(block);
}

struct block *block_decode(struct cpu *cpu, struct block *block, gpa_t gpa, gpa_t second_page)
{
	const uint8_t *base = cpu->soft->config.memory->base;
	unsigned avail = PAGE_BYTES - gpa % PAGE_BYTES;
	uint8_t bytes[INSN_MAX_BYTES];

	*block = (struct block){ .gpa = gpa,
				 .second_page = second_page,
				 .flavor = (uint8_t)block_flavor(cpu) };
	if (second_page == NO_PAGE) {
		decode_run(cpu, block, base + gpa, avail);
		return block->count ? block : NULL;
	}
	memcpy(bytes, base + gpa, avail);
	memcpy(bytes + avail, base + second_page, sizeof(bytes) - avail);
	decode_insn(cpu->soft->decoder, cpu->mode, bytes, sizeof(bytes), 0, &block->insn[0]);
	block->insn[0].page_offset = (uint16_t)(gpa % PAGE_BYTES);
	block->count = 1;
	block->length = block->insn[0].length;
	if (!(block->insn[0].flags & INSN_ENDS_BLOCK))
		end_block(block);
	return block;
}
