/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few macros and inline functions that every folder uses. Knows nothing of VMs.
 */
#ifndef LIB_BASE_H
#define LIB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define BIT(n)                          (1ull << (n))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define PRINTF_LIKE(fmt, args)          __attribute__((format(printf, fmt, args)))

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

/* Bits hi..lo of v, shifted down. Both ends inclusive, as the manuals write them. */
static inline uint64_t bits(uint64_t v, unsigned hi, unsigned lo)
{
	return (v >> lo) & (~0ull >> (63 - (hi - lo)));
}

/* All ones in the low `bytes` bytes (1 to 8). */
static inline uint64_t size_mask(unsigned bytes)
{
	return ~0ull >> (64 - 8 * bytes);
}

static inline uint64_t align_down(uint64_t v, uint64_t power_of_two)
{
	return v & ~(power_of_two - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t power_of_two)
{
	return align_down(v + power_of_two - 1, power_of_two);
}

/* The least n with 2^n >= v. */
static inline unsigned log2_ceil(unsigned v)
{
	return v <= 1 ? 0 : 32 - (unsigned)__builtin_clz(v - 1);
}

/* Unaligned little-endian loads and stores: x86 is little-endian, host and guest. */
static inline uint64_t load_le(const void *p, unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, p, bytes);
	return v;
}

static inline void store_le(void *p, uint64_t v, unsigned bytes)
{
	memcpy(p, &v, bytes);
}

#endif
