/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What --engine check prints of a difference. */
#include <stdio.h>

#include <Zydis/Zydis.h>

#include "cpu/flags.h"
#include "cpu/jit/check.h"

static const char *const register_names[] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP",
					      "RSI", "RDI", "R8",  "R9",  "R10", "R11",
					      "R12", "R13", "R14", "R15", "-",   "RIP" };

static void print_difference(const struct check_report *report)
{
	const struct check_difference *d = &report->difference;
	const struct check_state *a = &report->reference->state, *b = &report->translation->state;

	switch (d->item) {
	case CHECK_SAME:
		break;
	case CHECK_REGISTER:
		fprintf(stderr, "%s is %llx, and %llx translated\n", register_names[d->index],
			(unsigned long long)a->regs[d->index],
			(unsigned long long)b->regs[d->index]);
		break;
	case CHECK_STATUS:
		fprintf(stderr, "the status flags are %llx, and %llx translated\n",
			(unsigned long long)flags_from_status(a->status),
			(unsigned long long)flags_from_status(b->status));
		break;
	case CHECK_RFLAGS:
		fprintf(stderr, "RFLAGS is %x, and %x translated\n", a->rflags, b->rflags);
		break;
	case CHECK_SEGMENT:
		fprintf(stderr, "a segment register differs\n");
		break;
	case CHECK_MXCSR:
		fprintf(stderr, "MXCSR is %x, and %x translated\n", a->mxcsr, b->mxcsr);
		break;
	case CHECK_VECTOR:
		fprintf(stderr, "vector register %u differs\n", (unsigned)d->index);
		break;
	case CHECK_X87:
		fprintf(stderr, "the x87 state differs\n");
		break;
	case CHECK_UNWIND:
		fprintf(stderr, "it ends otherwise\n");
		break;
	case CHECK_MEMORY:
		fprintf(stderr, "the byte at %llx is %x, and %x translated\n",
			(unsigned long long)d->memory.addr, d->memory.recorded, d->memory.found);
		break;
	case CHECK_STRAY:
		fprintf(stderr, "a write to %llx that is only in the translation\n",
			(unsigned long long)d->index);
		break;
	}
}

static void print_insns(const struct check_report *report)
{
	const struct block *block = report->block;
	ZydisMachineMode mode = (block->flavor & BLOCK_MODE) == MODE_64
					? ZYDIS_MACHINE_MODE_LONG_64
					: ZYDIS_MACHINE_MODE_LEGACY_32;
	ZydisDisassembledInstruction text;

	for (int i = 0; i < block->count; i++) {
		const struct insn *insn = &block->insn[i];
		uint64_t rip = report->start->regs[CHECK_RIP] + insn->start;
		const uint8_t *bytes = block_insn_bytes(insn);

		if (!insn->length)
			continue;
		fprintf(stderr, "  %c %16llx  ", i == report->blamed ? '>' : ' ',
			(unsigned long long)rip);
		for (unsigned k = 0; k < insn->length; k++)
			fprintf(stderr, "%02x", bytes[k]);
		if (ZYAN_SUCCESS(ZydisDisassembleIntel(mode, rip, bytes, insn->length, &text)))
			fprintf(stderr, "  %s", text.text);
		fputc('\n', stderr);
	}
}

static void print_state(const char *name, const struct check_state *state)
{
	fprintf(stderr, "%s: RIP %llx, flags %llx, MXCSR %x\n", name,
		(unsigned long long)state->regs[CHECK_RIP],
		(unsigned long long)(state->rflags | flags_from_status(state->status)),
		state->mxcsr);
	for (unsigned i = 0; i < 16; i++)
		fprintf(stderr, "  %3s %016llx%s", register_names[i],
			(unsigned long long)state->regs[i], i % 4 == 3 ? "\n" : "");
}

static void print_vectors(const struct check_state *a, const struct check_state *b)
{
	for (unsigned n = 0; n < ARRAY_SIZE(a->vector.ymm); n++) {
		if (!memcmp(a->vector.ymm[n], b->vector.ymm[n], sizeof(a->vector.ymm[n])))
			continue;
		fprintf(stderr, "  YMM%-2u", n);
		for (unsigned i = sizeof(a->vector.ymm[n]); i-- > 0;)
			fprintf(stderr, "%02x", a->vector.ymm[n][i]);
		fprintf(stderr, "\n      ");
		for (unsigned i = sizeof(b->vector.ymm[n]); i-- > 0;)
			fprintf(stderr, "%02x", b->vector.ymm[n][i]);
		fputc('\n', stderr);
	}
}

static void print_outcome(const char *name, const struct check_outcome *outcome)
{
	print_state(name, &outcome->state);
	if (outcome->how)
		fprintf(stderr, "  unwound (%d): vector %u, error %x, address %llx\n",
			(int)outcome->how, outcome->fault.vector, outcome->fault.error,
			(unsigned long long)outcome->fault.payload);
}

void check_print(const struct check_report *report)
{
	fprintf(stderr, "nidus: the translation differs in the block at RIP %llx: ",
		(unsigned long long)report->start->regs[CHECK_RIP]);
	print_difference(report);
	print_insns(report);
	print_state("before", report->start);
	print_outcome("interpreted", report->reference);
	print_outcome("translated", report->translation);
	print_vectors(&report->reference->state, &report->translation->state);
}
