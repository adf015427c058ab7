/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that have been decoded before. Code repeats itself: while a kernel boots, 19 of 20
 * instructions that are decoded differ from an earlier one in their displacement or immediate at
 * most, so they are made of that one, in a fifth of the time.
 *
 * What comes of it is what decode_insn gives, always. One cache is used by one thread at a time:
 * that of cpu/block.c by who holds its lock.
 */
#ifndef CPU_DECODE_CACHE_H
#define CPU_DECODE_CACHE_H

#include "cpu/decode/decode.h"
#include "cpu/decode/shape.h"

struct decode_cache;

/* `decoder` must outlive it. NULL: out of memory. */
struct decode_cache *decode_cache_create(const struct decoder *decoder);
void decode_cache_destroy(struct decode_cache *cache); /* accepts NULL */

/* decode_insn, by way of the cache. */
unsigned decode_cache_insn(struct decode_cache *cache, enum cpu_mode mode, const uint8_t *bytes,
			   unsigned avail, unsigned start, struct insn *out);

/* The shape of the instruction that these bytes are; all zeros if they are none. */
void decode_cache_shape(struct decode_cache *cache, enum cpu_mode mode, const uint8_t *bytes,
			unsigned length, struct shape *out);

#endif
