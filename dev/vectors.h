/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of the 256 interrupt vectors, as the local APIC's IRR, ISR and TMR are. Any thread: each
 * word is atomic, and a vector that is added before something else is stored is seen before it.
 */
#ifndef DEV_VECTORS_H
#define DEV_VECTORS_H

#include <stdatomic.h>

#include "lib/base.h"

struct vectors {
	atomic_uint_least64_t word[4];
};

/* -1: the set is empty. */
static inline int vectors_highest(struct vectors *v)
{
	for (int i = 3; i >= 0; i--) {
		uint64_t word = atomic_load(&v->word[i]);

		if (word)
			return 64 * i + 63 - __builtin_clzll(word);
	}
	return -1;
}

/* These two return whether the vector was there. */
static inline bool vectors_add(struct vectors *v, uint8_t vector)
{
	uint64_t bit = BIT(vector % 64);

	return atomic_fetch_or(&v->word[vector / 64], bit) & bit;
}

static inline bool vectors_remove(struct vectors *v, uint8_t vector)
{
	uint64_t bit = BIT(vector % 64);

	return atomic_fetch_and(&v->word[vector / 64], ~bit) & bit;
}

static inline void vectors_clear(struct vectors *v)
{
	for (int i = 0; i < 4; i++)
		atomic_store(&v->word[i], 0);
}

/* As eight registers of 32 bits. */
static inline uint32_t vectors_register(struct vectors *v, unsigned index)
{
	return (uint32_t)(atomic_load(&v->word[index / 2]) >> 32 * (index % 2));
}

#endif
