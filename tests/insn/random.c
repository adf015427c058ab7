/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values where instructions have their corners.
 */
#include "tests/insn/random.h"

uint64_t random_integer(struct random *r)
{
	uint64_t v = random_bits(r);

	switch (random_below(r, 8)) {
	case 0:
		return v & 0xff;
	case 1:
		return v % 3 - 1; /* -1, 0, 1 */
	case 2:
		return 1ull << (v % 64);
	case 3:
		return (1ull << (v % 64)) - 1;
	case 4: /* about the sign bits of each size */
		return (1ull << ((8u << v % 4) - 1)) + v / 4 % 3 - 1;
	case 5:
		return (uint64_t)((int64_t)v >> (v % 64));
	default:
		return v;
	}
}

static uint32_t random_float(struct random *r)
{
	static const uint32_t special[] = {
		0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
		0x7fc00000, 0xffc00000, 0x7f800001, 0x7fbfffff, 0x00000001, 0x807fffff,
		0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x3f000000,
	};
	uint32_t v = (uint32_t)random_bits(r);

	switch (random_below(r, 4)) {
	case 0:
		return special[random_below(r, ARRAY_SIZE(special))];
	case 1: /* near 1 */
		return (v & 0x807fffff) | (0x3f800000 + ((v >> 23 & 15) - 8) * 0x800000);
	default:
		return v;
	}
}

uint64_t random_float_pair(struct random *r)
{
	uint64_t high = random_float(r);

	return high << 32 | random_float(r);
}

uint64_t random_double(struct random *r)
{
	static const uint64_t special[] = {
		0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
		0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xfff8000000000000,
		0x7ff0000000000001, 0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000,
		0x7fefffffffffffff, 0x41e0000000000000, 0xc3e0000000000000, 0x3fe0000000000000,
		0x36a0000000000000, 0x47efffffe0000000,
	};
	uint64_t v = random_bits(r);

	switch (random_below(r, 4)) {
	case 0:
		return special[random_below(r, ARRAY_SIZE(special))];
	case 1: /* near 1 */
		return (v & 0x800fffffffffffff) |
		       (0x3ff0000000000000 + ((v >> 52 & 31) - 16) * 0x10000000000000);
	default:
		return v;
	}
}

void random_extended(struct random *r, uint8_t out[10])
{
	uint64_t significand = random_bits(r);
	uint16_t exponent = (uint16_t)random_bits(r);

	switch (random_below(r, 8)) {
	case 0: /* zero */
		significand = 0;
		exponent &= 0x8000;
		break;
	case 1: /* infinity, NaN */
		significand = random_percent(r, 50) ? BIT(63) : significand | BIT(63);
		exponent |= 0x7fff;
		break;
	case 2: /* denormal */
		significand &= ~BIT(63);
		exponent &= 0x8000;
		break;
	case 3: /* anything, also what is no number */
		break;
	case 4: /* a whole number */
		significand = BIT(63) | (random_bits(r) << 48 & ~BIT(63));
		exponent = (uint16_t)((exponent & 0x8000) | (0x3fff + exponent % 16));
		break;
	default:
		significand |= BIT(63);
		exponent = (uint16_t)((exponent & 0x8000) | (0x3fff - 32 + exponent % 64));
	}
	store_le(out, significand, 8);
	store_le(out + 8, exponent, 2);
}

void random_lanes(struct random *r, void *out, unsigned bytes)
{
	unsigned kind = random_below(r, 3);

	for (unsigned i = 0; i < bytes; i += 8) {
		uint64_t v = kind == 0   ? random_integer(r)
			     : kind == 1 ? random_float_pair(r)
					 : random_double(r);

		store_le((uint8_t *)out + i, v, 8);
	}
}
