/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions beyond what one native instruction in two pages shows: many pages, overlap,
 * limits and wrapping of 16-bit addresses, interruption, single-stepping. And the stack
 * instructions of 16-bit code.
 */
#include "tests/unit/step.h"

#define SOURCE 0x10f00ull
#define TARGET 0x23456ull
#define COUNT  20000ull

static int setup(void **state)
{
	return step_open(state, step_in_64_bit_mode);
}

static void fill(void **state, gpa_t gpa, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		*step_memory(*state, gpa + i) = (uint8_t)(i * 7 + (i >> 8));
}

static void set_operands(struct cpu *cpu, uint64_t rsi, uint64_t rdi, uint64_t rcx)
{
	cpu->gpr[RSI] = rsi;
	cpu->gpr[RDI] = rdi;
	cpu->gpr[RCX] = rcx;
}

static void assert_operands(const struct cpu *cpu, uint64_t rsi, uint64_t rdi, uint64_t rcx)
{
	assert_int_equal(cpu->gpr[RSI], rsi);
	assert_int_equal(cpu->gpr[RDI], rdi);
	assert_int_equal(cpu->gpr[RCX], rcx);
}

static void movs_crosses_pages(void **state)
{
	struct cpu *cpu = step_cpu(state);

	fill(state, SOURCE, COUNT * 8);
	set_operands(cpu, SOURCE, TARGET + 0x40000, COUNT);
	assert_int_equal(STEP(cpu, 0xf3, 0x48, 0xa5), STEP_DONE);
	assert_operands(cpu, SOURCE + COUNT * 8, TARGET + 0x40000 + COUNT * 8, 0);
	assert_memory_equal(step_memory(*state, SOURCE), step_memory(*state, TARGET + 0x40000),
			    COUNT * 8);
}

static void movs_goes_backward(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->rflags |= RFLAGS_DF;
	fill(state, SOURCE, COUNT);
	set_operands(cpu, SOURCE + COUNT - 1, TARGET + COUNT - 1, COUNT);
	assert_int_equal(STEP(cpu, 0xf3, 0xa4), STEP_DONE);
	assert_operands(cpu, SOURCE - 1, TARGET - 1, 0);
	assert_memory_equal(step_memory(*state, SOURCE), step_memory(*state, TARGET), COUNT);
}

/* A target just above its source repeats the first bytes, across pages too. */
static void movs_that_overlaps_repeats(void **state)
{
	struct cpu *cpu = step_cpu(state);

	fill(state, SOURCE, 3);
	set_operands(cpu, SOURCE, SOURCE + 3, COUNT);
	assert_int_equal(STEP(cpu, 0xf3, 0xa4), STEP_DONE);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(*step_memory(*state, SOURCE + 3 + i),
				 *step_memory(*state, SOURCE + i % 3));
}

static void stos_fills(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->gpr[RAX] = 0x1122334455667788;
	set_operands(cpu, 0, TARGET, COUNT);
	assert_int_equal(STEP(cpu, 0xf2, 0xab), STEP_DONE); /* F2 repeats it too */
	assert_operands(cpu, 0, TARGET + COUNT * 4, 0);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(load_le(step_memory(*state, TARGET + 4 * i), 4), 0x55667788);
	assert_int_equal(*step_memory(*state, TARGET + 4 * COUNT), 0);
}

static void scas_and_cmps_stop_where_they_find(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->gpr[RAX] = 0x5a;
	*step_memory(*state, TARGET + 9000) = 0x5a;
	set_operands(cpu, SOURCE, TARGET, COUNT);
	assert_int_equal(STEP(cpu, 0xf2, 0xae), STEP_DONE);
	assert_operands(cpu, SOURCE, TARGET + 9001, COUNT - 9001);
	assert_true(cpu->status & STATUS_ZF);
	set_operands(cpu, SOURCE, TARGET, COUNT);
	assert_int_equal(STEP(cpu, 0xf3, 0xa6), STEP_DONE);
	assert_operands(cpu, SOURCE + 9001, TARGET + 9001, COUNT - 9001);
	assert_false(cpu->status & STATUS_ZF);
	assert_true(cpu->status & STATUS_CF);
}

static void a_count_of_zero_does_nothing(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->status = STATUS_SF;
	set_operands(cpu, 0x8000000000000000, 0x8000000000000000, 0);
	assert_int_equal(STEP(cpu, 0xf3, 0xa4), STEP_DONE);
	assert_int_equal(STEP(cpu, 0xf3, 0xa6), STEP_DONE);
	assert_int_equal(STEP(cpu, 0xf2, 0xae), STEP_DONE);
	assert_int_equal(cpu->status, STATUS_SF);
}

static void sixteen_bit_addresses_wrap(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_in_real_mode(cpu);
	fill(state, 0, 0x10000);
	*step_memory(*state, 0xffff) = 0xee;
	set_operands(cpu, 0xabcdfff0, 0x12344000, 0x77770020);
	assert_int_equal(STEP(cpu, 0xf3, 0xa4), STEP_DONE);
	assert_operands(cpu, 0xabcd0010, 0x12344020, 0x77770000);
	assert_memory_equal(step_memory(*state, 0x4000), step_memory(*state, 0xfff0), 16);
	assert_memory_equal(step_memory(*state, 0x4010), step_memory(*state, 0), 16);
}

/* What fits in the segment is done before the fault. */
static void limits_fault_at_their_element(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_in_real_mode(cpu);
	cpu->seg[DS].limit = 0x2003;
	fill(state, 0x1f00, 0x200);
	set_operands(cpu, 0x1ff2, 0x5000, 100);
	assert_int_equal(STEP(cpu, 0xf3, 0xa5), EXC_GP);
	assert_operands(cpu, 0x2004, 0x5012, 91);
	assert_memory_equal(step_memory(*state, 0x1ff2), step_memory(*state, 0x5000), 18);
	assert_int_equal(*step_memory(*state, 0x5012), 0);
	assert_int_equal(cpu->rip, 0x1000);
}

static void attention_interrupts_between_pages(void **state)
{
	struct cpu *cpu = step_cpu(state);

	set_operands(cpu, 0, 0x20800, 0x3000);
	cpu->attention = ATTENTION_KICK;
	assert_int_equal(STEP(cpu, 0xf3, 0xaa), STEP_RESUMED);
	assert_operands(cpu, 0, 0x21000, 0x2800);
	assert_int_equal(cpu->rip, 0x1000);
	cpu->attention = ATTENTION_INTERRUPT; /* masked */
	cpu->rflags &= ~(uint32_t)RFLAGS_IF;
	assert_int_equal(STEP(cpu, 0xf3, 0xaa), STEP_DONE);
	assert_operands(cpu, 0, 0x23800, 0);
}

static void stepping_sees_each_element(void **state)
{
	struct cpu *cpu = step_cpu(state);

	set_operands(cpu, SOURCE, TARGET, 2);
	cpu->attention = ATTENTION_STEP;
	assert_int_equal(STEP(cpu, 0xf3, 0xa4), STEP_RESUMED);
	assert_operands(cpu, SOURCE + 1, TARGET + 1, 1);
	assert_int_equal(STEP(cpu, 0xf3, 0xa4), STEP_DONE);
}

/* ---- random ones, against a model that goes element by element ---- */

#define AREA_BYTES   (64 * KIB)
#define RANDOM_RUNS  6000
#define WATCHED_PAGE 5

enum op { OP_MOVS, OP_CMPS, OP_STOS, OP_LODS, OP_SCAS, OPS };

struct string {
	enum op op;
	unsigned size, addr_size;
	bool is_backward, is_repne;
	uint64_t rsi, rdi, rcx, rax;
	bool faults, is_equal, is_below;
	uint8_t memory[AREA_BYTES + 8];
};

static uint8_t reported[AREA_BYTES];

/* In the place of the block cache. */
static bool note_written(void *self, gpa_t gpa, uint64_t len)
{
	(void)self;
	memset(reported + gpa, 1, len);
	return false;
}

static bool fits(const struct string *s, uint64_t offset)
{
	return s->addr_size != 2 || offset + s->size <= AREA_BYTES;
}

static void model_compare(struct string *s, uint64_t a, uint64_t b)
{
	s->is_equal = a == b;
	s->is_below = a < b;
}

/* Returns whether there is another element to do. */
static bool model_element(struct string *s)
{
	bool has_source = s->op == OP_MOVS || s->op == OP_CMPS || s->op == OP_LODS;
	uint64_t step = s->is_backward ? -(uint64_t)s->size : s->size, mask = size_mask(s->size);
	uint64_t si = s->rsi & size_mask(s->addr_size), di = s->rdi & size_mask(s->addr_size);

	s->faults = (has_source && !fits(s, si)) || (s->op != OP_LODS && !fits(s, di));
	if (s->faults)
		return false;
	if (s->op == OP_MOVS)
		memmove(s->memory + di, s->memory + si, s->size);
	if (s->op == OP_STOS)
		store_le(s->memory + di, s->rax, s->size);
	if (s->op == OP_LODS)
		s->rax = (s->rax & ~mask & (s->size == 4 ? 0 : ~0ull)) |
			 load_le(s->memory + si, s->size);
	if (s->op == OP_CMPS)
		model_compare(s, load_le(s->memory + si, s->size),
			      load_le(s->memory + di, s->size));
	if (s->op == OP_SCAS)
		model_compare(s, s->rax & mask, load_le(s->memory + di, s->size));
	if (has_source)
		s->rsi = (s->rsi & ~size_mask(s->addr_size)) |
			 ((si + step) & size_mask(s->addr_size));
	if (s->op != OP_LODS)
		s->rdi = (s->rdi & ~size_mask(s->addr_size)) |
			 ((di + step) & size_mask(s->addr_size));
	s->rcx--;
	return (s->op != OP_CMPS && s->op != OP_SCAS) || s->is_equal != s->is_repne;
}

static void model_run(struct string *s)
{
	while (s->rcx && model_element(s))
		;
}

static unsigned below(unsigned n)
{
	return (unsigned)rand() % n;
}

/* Ends near to each other now and then, so that they overlap; memory of few values, so that
 * compares go on. */
static void make_string(struct string *s, struct cpu *cpu, uint8_t *memory)
{
	bool is_64 = cpu->mode == MODE_64;
	unsigned middle = is_64 ? AREA_BYTES / 4 : 0, span = is_64 ? AREA_BYTES / 2 : AREA_BYTES;

	s->op = below(OPS);
	s->size = 1u << below(is_64 ? 4 : 3);
	s->addr_size = is_64 ? 8 - 4 * below(2) : 2;
	s->is_backward = below(2);
	s->is_repne = s->op == OP_CMPS || s->op == OP_SCAS ? below(2) : 0;
	s->rcx = below(below(4) ? 60 : AREA_BYTES / 4 / s->size);
	s->rsi = middle + below(span);
	s->rdi = below(3) ? middle + below(span) : (s->rsi + below(100) - 50) & 0xffff;
	s->rax = below(8) ? 0 : 0x0101010101010101;
	for (unsigned i = 0; i < AREA_BYTES; i++)
		memory[i] = below(3000) ? 0 : (uint8_t)below(256);
	memcpy(s->memory, memory, AREA_BYTES);
	memset(reported, 0, sizeof(reported));
}

static int run_string(struct cpu *cpu, const struct string *s)
{
	static const uint8_t opcodes[OPS] = { 0xa4, 0xa6, 0xaa, 0xac, 0xae };
	bool is_32 = cpu->mode != MODE_64;
	uint8_t bytes[5];
	unsigned n = 0;

	if (s->addr_size == 4)
		bytes[n++] = 0x67;
	if (s->size == (is_32 ? 4 : 2))
		bytes[n++] = 0x66;
	bytes[n++] = s->is_repne ? 0xf2 : 0xf3;
	if (s->size == 8)
		bytes[n++] = 0x48;
	bytes[n++] = (uint8_t)(opcodes[s->op] | (s->size != 1));
	cpu->rflags = BIT(1) | (s->is_backward ? RFLAGS_DF : 0);
	cpu->gpr[RAX] = s->rax;
	set_operands(cpu, s->rsi, s->rdi, s->rcx);
	return step_bytes(cpu, bytes, n);
}

static void assert_reported(const uint8_t *before, const uint8_t *after)
{
	for (unsigned i = WATCHED_PAGE * PAGE_BYTES; i < (WATCHED_PAGE + 1) * PAGE_BYTES; i++)
		assert_true(before[i] == after[i] || reported[i]);
}

static void random_strings(void **state)
{
	static struct string s, before;
	struct vcpu *v = *state;
	struct cpu *cpu = step_cpu(state);
	uint8_t *memory = step_memory(v, 0);

	v->config.memory->on_written = note_written;
	v->config.memory->watched[WATCHED_PAGE] = 1;
	srand(1);
	for (unsigned i = 0; i < RANDOM_RUNS; i++) {
		int expected;

		if (below(3))
			step_in_64_bit_mode(cpu);
		else
			step_in_real_mode(cpu);
		make_string(&s, cpu, memory);
		before = s;
		model_run(&s);
		expected = s.faults ? EXC_GP : STEP_DONE;
		assert_int_equal(run_string(cpu, &before), expected);
		assert_operands(cpu, s.rsi, s.rdi, s.rcx);
		assert_int_equal(cpu->gpr[RAX], s.rax);
		assert_memory_equal(memory, s.memory, AREA_BYTES);
		assert_reported(before.memory, memory);
		if ((s.op == OP_CMPS || s.op == OP_SCAS) && before.rcx != s.rcx && !s.faults) {
			assert_int_equal(!!(cpu->status & STATUS_ZF), s.is_equal);
			assert_int_equal(!!(cpu->status & STATUS_CF), s.is_below);
		}
	}
	v->config.memory->watched[WATCHED_PAGE] = 0;
}

/* ---- stacks of 16 bits ---- */

static void small_stacks_wrap_and_keep_esp(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_in_real_mode(cpu);
	cpu->gpr[RSP] = 0x55550000;
	cpu->gpr[RAX] = 0x1234;
	assert_int_equal(STEP(cpu, 0x50), STEP_DONE); /* push ax */
	assert_int_equal(cpu->gpr[RSP], 0x5555fffe);
	assert_int_equal(load_le(step_memory(*state, 0xfffe), 2), 0x1234);
	assert_int_equal(STEP(cpu, 0x54), STEP_DONE); /* push sp: as it was */
	assert_int_equal(load_le(step_memory(*state, 0xfffc), 2), 0xfffe);
	assert_int_equal(STEP(cpu, 0x5b), STEP_DONE);
	assert_int_equal(cpu->gpr[RBX] & 0xffff, 0xfffe);
	assert_int_equal(STEP(cpu, 0x5c), STEP_DONE); /* pop sp */
	assert_int_equal(cpu->gpr[RSP], 0x55551234);
}

static void pusha_and_popa_are_inverse(void **state)
{
	struct cpu *cpu = step_cpu(state);
	uint64_t before[8];

	step_in_real_mode(cpu);
	for (unsigned n = 0; n < 8; n++)
		cpu->gpr[n] = 0x11110000 + 0x1001 * n;
	cpu->gpr[RSP] = 0x8000;
	memcpy(before, cpu->gpr, sizeof(before));
	assert_int_equal(STEP(cpu, 0x60), STEP_DONE);
	assert_int_equal(cpu->gpr[RSP], 0x7ff0);
	assert_int_equal(load_le(step_memory(*state, 0x7ff6), 2), 0x8000);
	for (unsigned n = 0; n < 8; n++)
		if (n != RSP)
			cpu->gpr[n] = 0x11110000;
	assert_int_equal(STEP(cpu, 0x61), STEP_DONE);
	assert_memory_equal(cpu->gpr, before, sizeof(before));
}

/* PUSHA that runs into the limit has moved nothing. */
static void pusha_faults_whole(void **state)
{
	struct cpu *cpu = step_cpu(state);

	cpu->cr0 |= CR0_PE;
	step_flatten(cpu, MODE_16, 0xffff);
	cpu->seg[SS].ar = SEG_P | SEG_S | SEG_WRITABLE | SEG_EXPAND;
	cpu->seg[SS].limit = 0x7ff7;
	assert_int_equal(STEP(cpu, 0x60), EXC_SS);
	assert_int_equal(cpu->gpr[RSP], 0x8000);
}

static void enter_links_frames(void **state)
{
	struct cpu *cpu = step_cpu(state);

	step_in_real_mode(cpu);
	cpu->gpr[RBP] = 0x9000;
	store_le(step_memory(*state, 0x8ffe), 0xaaaa, 2);
	assert_int_equal(STEP(cpu, 0xc8, 0x10, 0, 2), STEP_DONE);
	assert_int_equal(cpu->gpr[RBP], 0x7ffe);
	assert_int_equal(cpu->gpr[RSP], 0x7fea);
	assert_int_equal(load_le(step_memory(*state, 0x7ffe), 2), 0x9000);
	assert_int_equal(load_le(step_memory(*state, 0x7ffc), 2), 0xaaaa);
	assert_int_equal(load_le(step_memory(*state, 0x7ffa), 2), 0x7ffe);
	assert_int_equal(STEP(cpu, 0xc9), STEP_DONE);
	assert_int_equal(cpu->gpr[RSP], 0x8000);
	assert_int_equal(cpu->gpr[RBP], 0x9000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(movs_crosses_pages, setup, step_close),
		cmocka_unit_test_setup_teardown(movs_goes_backward, setup, step_close),
		cmocka_unit_test_setup_teardown(movs_that_overlaps_repeats, setup, step_close),
		cmocka_unit_test_setup_teardown(stos_fills, setup, step_close),
		cmocka_unit_test_setup_teardown(scas_and_cmps_stop_where_they_find, setup,
						step_close),
		cmocka_unit_test_setup_teardown(a_count_of_zero_does_nothing, setup, step_close),
		cmocka_unit_test_setup_teardown(sixteen_bit_addresses_wrap, setup, step_close),
		cmocka_unit_test_setup_teardown(limits_fault_at_their_element, setup, step_close),
		cmocka_unit_test_setup_teardown(attention_interrupts_between_pages, setup,
						step_close),
		cmocka_unit_test_setup_teardown(stepping_sees_each_element, setup, step_close),
		cmocka_unit_test_setup_teardown(random_strings, setup, step_close),
		cmocka_unit_test_setup_teardown(small_stacks_wrap_and_keep_esp, setup, step_close),
		cmocka_unit_test_setup_teardown(pusha_and_popa_are_inverse, setup, step_close),
		cmocka_unit_test_setup_teardown(pusha_faults_whole, setup, step_close),
		cmocka_unit_test_setup_teardown(enter_links_frames, setup, step_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
