/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A record of what a vCPU writes to RAM, so that it can be taken back and done again: for
 * --engine check (cpu/jit/check.h), which runs a block twice.
 *
 * While cpu->journal is there, write tags are poisoned, so every write takes the slow path, and
 * that calls journal_write before it. In the second run, JOURNAL_VERIFY, the pages that the first
 * has written to are open to direct stores; a write elsewhere is a stray.
 */
#ifndef CPU_MMU_JOURNAL_H
#define CPU_MMU_JOURNAL_H

#include "cpu/cpu.h"

#define JOURNAL_WRITES_MAX 1024
#define JOURNAL_BYTES_MAX  (64 * KIB)

enum journal_phase { JOURNAL_OFF, JOURNAL_RECORD, JOURNAL_VERIFY };

/* One write, or several that adjoin. */
struct journal_write {
	uint8_t *host;
	gva_t addr;
	uint32_t len;
	uint32_t at; /* where its bytes are in before and after */
};

struct journal {
	enum journal_phase phase;
	unsigned count;
	uint32_t used_bytes;
	bool is_opening;      /* journal_open is at work */
	gva_t stack;          /* its page is open, too: code wants all of its stack or nothing */
	bool is_unrepeatable; /* a device was reached, or there is no room for what was written */
	bool is_stray;        /* JOURNAL_VERIFY: a write that was not recorded, */
	gva_t stray;          /* here, */
	unsigned stray_bytes; /* of so many bytes */
	struct journal_write write[JOURNAL_WRITES_MAX];
	uint8_t before[JOURNAL_BYTES_MAX], after[JOURNAL_BYTES_MAX];
};

/* Forgets everything and begins to record. */
void journal_begin(struct journal *journal);

/* `len` bytes at `host`, linear address addr, are about to be written. */
void journal_write(struct journal *journal, uint8_t *host, gva_t addr, unsigned len);

/* A device is about to be reached. */
void journal_device(struct journal *journal, gva_t addr, unsigned len);

/* Remembers what the recorded writes have left. */
void journal_finish(struct journal *journal);

/* Gives memory back what it had before them. */
void journal_undo(const struct journal *journal);

/* Gives memory what journal_finish found there. */
void journal_redo(const struct journal *journal);

/* Where memory is not as journal_finish found it. */
struct journal_mismatch {
	gva_t addr;
	uint8_t *host;
	uint8_t recorded, found;
};

bool journal_matches(const struct journal *journal, struct journal_mismatch *mismatch);

/* Opens the recorded pages to direct stores, for JOURNAL_VERIFY; ends that: cpu/mmu/fill.c. */
void journal_open(struct cpu *cpu);
void journal_close(struct cpu *cpu);

static inline bool journal_keeps_closed(const struct journal *journal)
{
	return unlikely(journal != NULL) && !journal->is_opening;
}

#endif
