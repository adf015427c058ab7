/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers of the instruction tests (xorshift64*), and values that are likely to be special:
 * small numbers, sign boundaries, floating-point zeros, infinities, denormals and NaNs.
 */
#ifndef TESTS_INSN_RANDOM_H
#define TESTS_INSN_RANDOM_H

#include "lib/base.h"

struct random {
	uint64_t state; /* not zero */
};

static inline uint64_t random_bits(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dull;
}

/* 0 to n - 1 */
static inline uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)((random_bits(r) >> 32) * n >> 32);
}

static inline bool random_percent(struct random *r, unsigned percent)
{
	return random_below(r, 100) < percent;
}

uint64_t random_integer(struct random *r);
uint64_t random_float_pair(struct random *r); /* two floats */
uint64_t random_double(struct random *r);
void random_extended(struct random *r, uint8_t out[10]); /* an x87 register */

/* `bytes` (a multiple of 8) of any of these, lane by lane. */
void random_lanes(struct random *r, void *out, unsigned bytes);

#endif
