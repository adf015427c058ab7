/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The record of writes: see cpu/mmu/journal.h. */
#include "cpu/mmu/journal.h"

void journal_begin(struct journal *journal)
{
	journal->count = 0;
	journal->used_bytes = 0;
	journal->is_unrepeatable = journal->is_stray = false;
	journal->phase = JOURNAL_RECORD;
}

static void record(struct journal *journal, uint8_t *host, gva_t addr, unsigned len)
{
	struct journal_write *last = journal->count ? &journal->write[journal->count - 1] : NULL;

	if (journal->used_bytes + len > JOURNAL_BYTES_MAX) {
		journal->is_unrepeatable = true;
		return;
	}
	memcpy(journal->before + journal->used_bytes, host, len);
	if (last && last->host + last->len == host && last->addr + last->len == addr) {
		last->len += len;
	} else if (journal->count == JOURNAL_WRITES_MAX) {
		journal->is_unrepeatable = true;
		return;
	} else {
		journal->write[journal->count++] = (struct journal_write){
			.host = host, .addr = addr, .len = len, .at = journal->used_bytes
		};
	}
	journal->used_bytes += len;
}

/* Whether recorded writes cover [host, host + len). */
static bool is_recorded(const struct journal *journal, const uint8_t *host, unsigned len)
{
	for (unsigned i = 0; len && i < journal->count; i++) {
		const struct journal_write *w = &journal->write[i];
		size_t covered;

		if (host < w->host || host >= w->host + w->len)
			continue;
		covered = MIN(len, (size_t)(w->host + w->len - host));
		host += covered;
		len -= (unsigned)covered;
		i = -1u; /* the rest may be in any of them */
	}
	return !len;
}

static void set_stray(struct journal *journal, gva_t addr, unsigned len)
{
	if (journal->is_stray)
		return;
	journal->is_stray = true;
	journal->stray = addr;
	journal->stray_bytes = len;
}

void journal_write(struct journal *journal, uint8_t *host, gva_t addr, unsigned len)
{
	if (journal->phase == JOURNAL_RECORD)
		record(journal, host, addr, len);
	if (journal->phase == JOURNAL_VERIFY && !is_recorded(journal, host, len))
		set_stray(journal, addr, len);
}

void journal_device(struct journal *journal, gva_t addr, unsigned len)
{
	journal->is_unrepeatable = true;
	if (journal->phase == JOURNAL_VERIFY)
		set_stray(journal, addr, len);
}

void journal_finish(struct journal *journal)
{
	for (unsigned i = 0; i < journal->count; i++) {
		const struct journal_write *w = &journal->write[i];

		memcpy(journal->after + w->at, w->host, w->len);
	}
	journal->phase = JOURNAL_OFF;
}

/* Backwards: what was written twice has its first contents in the first record. */
void journal_undo(const struct journal *journal)
{
	for (unsigned i = journal->count; i-- > 0;) {
		const struct journal_write *w = &journal->write[i];

		memcpy(w->host, journal->before + w->at, w->len);
	}
}

void journal_redo(const struct journal *journal)
{
	for (unsigned i = 0; i < journal->count; i++) {
		const struct journal_write *w = &journal->write[i];

		memcpy(w->host, journal->after + w->at, w->len);
	}
}

bool journal_matches(const struct journal *journal, struct journal_mismatch *mismatch)
{
	for (unsigned i = 0; i < journal->count; i++) {
		const struct journal_write *w = &journal->write[i];
		const uint8_t *after = journal->after + w->at;

		for (unsigned k = 0; k < w->len; k++) {
			if (w->host[k] == after[k])
				continue;
			*mismatch = (struct journal_mismatch){ w->addr + k, w->host + k, after[k],
							       w->host[k] };
			return false;
		}
	}
	return true;
}
