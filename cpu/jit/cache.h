/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory of translated code, one for a VM. Private to cpu/jit.
 */
#ifndef CPU_JIT_CACHE_H
#define CPU_JIT_CACHE_H

#include "cpu/decode/cache.h"
#include "cpu/jit/compact.h"
#include "cpu/jit/dispatch.h"
#include "cpu/jit/fault.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/region.h"
#include "cpu/jit/translate.h"

/*
 * What a call of shared code belongs to, for where that fails (cpu/jit/compact.h), in the order of
 * the calls.
 */
struct jit_way {
	union {
		const struct insn *insn; /* whose handler is run */
		struct jit_fit *fit;     /* the check of a group */
	};
	const uint8_t *from; /* where the call returns to */
	const uint8_t *on;   /* where the code goes on behind the instruction */
	/* Guest RSP is so far from HOST_RSP_HOME at the call, and there: gen_move_stack. */
	int32_t ahead;
	int64_t ahead_after;
	uint16_t r11;    /* the field of struct cpu that R11 has there */
	uint16_t spares; /* the field that R11 is to be kept in until then, or 0 */
	uint8_t flags;   /* WAY_ */
};

#define WAY_CHUNK_BYTES 64

static inline size_t way_chunk(size_t offset)
{
	return offset / WAY_CHUNK_BYTES;
}

#define WAY_LAST   1 /* the instruction ends its block: `on` has no meaning */
#define WAY_FLAGS  2 /* status flags are to be in the host's then */
#define WAY_VECTOR 4 /* and the vector registers live */

struct jit {
	/* The same memory, writable and executable. */
	uint8_t *writable, *executable;
	size_t code_bytes, hot_bytes; /* of all that, for main paths and what all blocks share */
	struct region_size size;
	struct jit_region region[BLOCK_REGIONS];
	bool has_bmi2;
	bool counts;          /* translations count what they execute */
	bool has_exact_flags; /* no flag is ever dead */
	bool is_amd;          /* the vendor whose ways the model has */
	enum engine_tier tier;
	const uint8_t *arena; /* of the block that is being translated */
	struct jit_stats stats;
	/* What all blocks share, at the start of the memory: shared_emit. */
	/* Jumps to the thunks, where what R9 points to is given as R9 = its distance from the
	 * arena; the second ones store the flags, with R10, before. */
	const uint8_t *thunk[JIT_THUNKS], *storing_thunk[JIT_THUNKS];
	const uint8_t *load_status;  /* a function: gen_status_load with R11 */
	const uint8_t *store_status; /* a function: gen_status_store with R9 */
	/* For where the check of a group fails: R9 has the address in its lowest 12 bits, R10 = the
	 * distance of its struct jit_fit from jit->fits. */
	const uint8_t *fit;
	const uint8_t *learn; /* the same for stretch_learn, but for R9 */
	/* jit_fit.crossing at first, where another block can be found, and where not. */
	const uint8_t *cross, *misfit;
	/* A function: R11 = where the code is that a direct jump out of the page leads to, if it
	 * returns. Flags are in cpu->status, R10 = distance of its struct far_target from
	 * cpu->jit.far. */
	const uint8_t *far[3][2]; /* [enum tlb_class][looks for attention] */
	struct compact_code compact;
	uint8_t *shared_end;
	/* Tables, each with a part for each region. */
	struct fault_site *sites; /* copied instructions that may fault: cpu/jit/fault.h */
	struct jit_fit *fits;
	struct jit_far *fars;
	struct jit_start *starts;
	struct jit_code *codes; /* of blocks; no more than starts */
	struct jit_way *ways;
	/* By START_CHUNK_BYTES of code: which of its region's starts is of what begins the chunk.
	 */
	uint32_t *start_at;
	uint32_t *first_way; /* by WAY_CHUNK_BYTES of code: the first call that returns there */
	uint32_t next_fit, next_far; /* where the block that is being translated puts its own */
	uint32_t next_way;
	struct decode_cache *decodes;
	ZydisDecoder zydis;    /* of 64-bit code, for gen_count_insns */
	unsigned stretches[2]; /* [is_write]: checks that use them */
	const struct gen_row *row[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	/* For the one translation that there is at a time. */
	struct gen gen;
	struct shape shapes[BLOCK_MAX_INSNS + 1]; /* of the block's instructions */
};

#define START_CHUNK_BYTES 64

/* The block whose code has called something that returns to `back`. */
const struct block *jit_caller(const struct jit *jit, const uint8_t *back);

/* The block that is entered at this address, or was by code that it had before; NULL: there is
 * none. */
const struct block *jit_entered(const struct jit *jit, const uint8_t *code);

static inline const uint8_t *jit_executable(const struct jit *jit, const uint8_t *writable)
{
	return jit->executable + (writable - jit->writable);
}

/* cpu/jit/table.c */
void gen_rows_index(struct jit *jit); /* fills jit->row */
/* Whether gen_general does the memory operand, if there is one. */
bool gen_row_is_general(const struct gen_row *row);

const struct gen_row *gen_row_of(const struct jit *jit, const struct insn *insn); /* or NULL */

#endif
