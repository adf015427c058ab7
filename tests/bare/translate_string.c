/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions with REP, random ones against a model that goes element by element: both
 * directions, overlapping, over pages, to a page with code, and into missing pages at either end.
 *
 * Words on the command line: `again N` (default 20): how often, by threes.
 */
#include "bare.h"

#define PAGES      3 /* present; a missing one lies before and behind them */
#define CODE_PAGE  1 /* of them, the one that holds code that runs */
#define PAGE       4096
#define AREA_BYTES (PAGES * PAGE)
#define DF         0x400u
#define ZF         0x40u
#define CF         1u
#define INSN_AT    1 /* where the instruction is in its code, behind CLD or STD */

enum op { MOVS, CMPS, STOS, LODS, SCAS, OPS };

struct string {
	enum op op;
	unsigned size;
	bool is_backward, is_repne;
};

struct state {
	uint64_t rsi, rdi, rcx, rax, cr2, flags;
	bool has_faulted;
	uint64_t error;
};

static uint8_t *code, *area;
static uint8_t model[AREA_BYTES] __attribute__((aligned(8)));
static uint64_t random_state = 1;
static unsigned rounds;

static unsigned below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 20) % n;
}

/* ---- the model ---- */

/* Whether the element at `address` is there; if not, *state says what is raised. */
static bool is_present(struct state *state, uint64_t address, unsigned size, bool is_write)
{
	uint64_t start = (uintptr_t)area, end = start + AREA_BYTES;

	if (address >= start && address + size <= end)
		return true;
	state->has_faulted = true;
	state->cr2 = address < end && address + size > end ? end : address;
	state->error = is_write ? 2 : 0;
	return false;
}

static uint64_t load(uint64_t address, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)model[address - (uintptr_t)area + i] << 8 * i;
	return value;
}

static void store(uint64_t address, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size; i++)
		model[address - (uintptr_t)area + i] = (uint8_t)(value >> 8 * i);
}

static bool goes_on(const struct string *string, struct state *state, uint64_t a, uint64_t b)
{
	state->flags = (a == b ? ZF : 0) | (a < b ? CF : 0);
	return (a == b) != string->is_repne;
}

static bool do_element(const struct string *string, struct state *state)
{
	unsigned size = string->size;
	uint64_t mask = size == 8 ? ~0ull : (1ull << 8 * size) - 1;
	uint64_t step = string->is_backward ? -(uint64_t)size : size;
	bool has_source = string->op == MOVS || string->op == CMPS || string->op == LODS;
	bool has_target = string->op != LODS, is_write = string->op == MOVS || string->op == STOS;
	bool more = true;

	if ((has_source && !is_present(state, state->rsi, size, false)) ||
	    (has_target && !is_present(state, state->rdi, size, is_write)))
		return false;
	if (string->op == MOVS)
		store(state->rdi, size, load(state->rsi, size));
	if (string->op == STOS)
		store(state->rdi, size, state->rax);
	if (string->op == LODS)
		state->rax = (size < 4 ? state->rax & ~mask : 0) | load(state->rsi, size);
	if (string->op == CMPS)
		more = goes_on(string, state, load(state->rsi, size), load(state->rdi, size));
	if (string->op == SCAS)
		more = goes_on(string, state, state->rax & mask, load(state->rdi, size));
	state->rsi += has_source ? step : 0;
	state->rdi += has_target ? step : 0;
	state->rcx--;
	return more;
}

/* ---- the real ones ---- */

/* CLD or STD; the instruction; CLD; UD2. */
static void place_string(const struct string *string)
{
	static const uint8_t opcodes[OPS] = { 0xa4, 0xa6, 0xaa, 0xac, 0xae };
	uint8_t *at = code;

	*at++ = string->is_backward ? 0xfd : 0xfc;
	if (string->size == 2)
		*at++ = 0x66;
	*at++ = string->is_repne ? 0xf2 : 0xf3;
	if (string->size == 8)
		*at++ = 0x48;
	*at++ = (uint8_t)(opcodes[string->op] | (string->size != 1));
	*at++ = 0xfc;
	*at++ = 0x0f;
	*at++ = 0x0b;
}

/* Few values, so that compares go on; a RET in the page with code, which runs. */
static void fill_area(void)
{
	for (unsigned i = 0; i < AREA_BYTES / 8; i++)
		((uint64_t *)area)[i] = below(200) ? 0 : below(256);
	area[CODE_PAGE * PAGE + 100] = 0xc3;
	((void (*)(void))(uintptr_t)(area + CODE_PAGE * PAGE + 100))();
	for (unsigned i = 0; i < AREA_BYTES / 8; i++)
		((uint64_t *)model)[i] = ((uint64_t *)area)[i];
}

static struct state random_state_for(const struct string *string)
{
	struct state state = {
		.rsi = (uintptr_t)area + below(AREA_BYTES),
		.rdi = (uintptr_t)area + below(AREA_BYTES),
		.rcx = below(below(3) ? 40 : AREA_BYTES / string->size),
		.rax = below(8) ? 0 : 0x123456789abcdef0,
	};

	if (!below(3))
		state.rdi = state.rsi + below(64) - 32;
	return state;
}

static bool is_same(const struct state *state, const struct frame *frame, bool has_flags)
{
	if (frame->rsi != state->rsi || frame->rdi != state->rdi || frame->rcx != state->rcx ||
	    frame->rax != state->rax)
		return false;
	if (has_flags && (frame->rflags & (ZF | CF)) != state->flags)
		return false;
	if (!state->has_faulted)
		return frame->vector == UD;
	return frame->vector == PF && frame->error == state->error && trap.cr2 == state->cr2 &&
	       frame->rip == (uintptr_t)code + INSN_AT;
}

static bool run_round(const struct string *string)
{
	struct state state = random_state_for(string);
	struct frame frame = frame_at(code);
	bool has_compared = state.rcx && (string->op == CMPS || string->op == SCAS);

	fill_area();
	frame.rsi = state.rsi;
	frame.rdi = state.rdi;
	frame.rcx = state.rcx;
	frame.rax = state.rax;
	while (state.rcx && do_element(string, &state))
		;
	run_frame(&frame);
	if (!is_same(&state, &frame, has_compared && !state.has_faulted))
		return false;
	for (unsigned i = 0; i < AREA_BYTES / 8; i++)
		if (((uint64_t *)model)[i] != ((uint64_t *)area)[i])
			return false;
	return true;
}

static void test_string(const struct string *string)
{
	static const char *const names[OPS] = { "movs", "cmps", "stos", "lods", "scas" };
	unsigned good = 0;

	place_string(string);
	for (unsigned i = 0; i < rounds; i++)
		good += run_round(string);
	check(good == rounds, "%s %s, %u bytes, %s: %u of %u", string->is_repne ? "repne" : "rep",
	      names[string->op], string->size, string->is_backward ? "backward" : "forward", good,
	      rounds);
}

void test_main(void)
{
	uint8_t *before, *behind;

	rounds = (unsigned)boot_number("again", 20) * 3;
	code = page_alloc();
	before = page_alloc();
	area = page_alloc();
	for (unsigned i = 1; i < PAGES; i++)
		page_alloc();
	behind = page_alloc();
	set_pte(before, 0, PTE_P);
	set_pte(behind, 0, PTE_P);
	for (struct string s = { .op = MOVS }; s.op < OPS; s.op++)
		for (s.size = 1; s.size <= 8; s.size *= 2)
			for (unsigned i = 0; i < 4; i++) {
				s.is_backward = i & 1;
				s.is_repne = i & 2;
				if (!s.is_repne || s.op == CMPS || s.op == SCAS)
					test_string(&s);
			}
}
