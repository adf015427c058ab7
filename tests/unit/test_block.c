/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The block cache: code that another thread writes, or looks up, while it is decoded.
 */
#include <Zydis/Mnemonic.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "cpu/block_decode.h"
#include "cpu/world.h"
#include "tests/unit/vcpu.h"

#define CODE   0x10000u
#define ROUNDS 2000
#define NOPS   40 /* behind the instruction that changes: decoding them takes a while */

struct writer {
	struct memory *mem;
	unsigned arrivals; /* atomic */
};

/* Both threads arrive before either goes on: they start together to the nanosecond. */
static void meet(struct writer *w, unsigned times)
{
	__atomic_add_fetch(&w->arrivals, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&w->arrivals, __ATOMIC_SEQ_CST) < 2 * times)
		sched_yield();
}

/* The vCPU in a flat 16-bit segment, about to run the code at `addr`. */
static struct block *look_up(struct cpu *cpu, gpa_t addr)
{
	cpu->seg[CS].base = 0;
	cpu->seg[CS].limit = UINT32_MAX;
	cpu->rip = addr;
	return block_lookup(cpu);
}

static void *write_code(void *opaque)
{
	struct writer *w = opaque;

	for (unsigned round = 0; round < ROUNDS; round++) {
		uint8_t value = (uint8_t)round;

		meet(w, 2 * round + 1);
		for (unsigned n = 0; n < round * 7 % 40000; n++)
			__asm__ volatile("");
		assert_int_equal(memory_write(w->mem, CODE + 1, &value, 1), 0);
		meet(w, 2 * round + 2);
	}
	return NULL;
}

/* Whenever the write comes, a look-up after it finds what was written. */
static void no_write_is_lost_while_decoding(void **state)
{
	uint8_t code[2 + NOPS + 1];
	struct writer w = { 0 };
	pthread_t thread;
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	memset(code, 0x90, sizeof(code));
	code[0] = 0xb0;                /* mov al, imm8 */
	code[sizeof(code) - 1] = 0xc3; /* ret */
	assert_int_equal(memory_write(v.config.memory, CODE, code, sizeof(code)), 0);
	w.mem = v.config.memory;
	assert_int_equal(pthread_create(&thread, NULL, write_code, &w), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		memory_written(w.mem, CODE, 1); /* drops the block of the round before */
		meet(&w, 2 * round + 1);
		look_up(v.cpu, CODE);
		meet(&w, 2 * round + 2);
		assert_int_equal((uint8_t)look_up(v.cpu, CODE)->insn[0].imm, (uint8_t)round);
	}
	pthread_join(thread, NULL);
	vcpu_teardown(&v);
}

struct changing {
	uint8_t *byte;
	bool is_over; /* atomic */
};

static void *keep_changing(void *opaque)
{
	struct changing *c = opaque;
	unsigned n = 0;

	while (!__atomic_load_n(&c->is_over, __ATOMIC_RELAXED))
		__atomic_store_n(c->byte, n++ & 1 ? 0x10 : 0x58, __ATOMIC_RELAXED);
	return NULL;
}

/* Code is guest memory: what is decided by the bytes and what is kept of them must agree. */
static void bytes_that_change_are_read_once(void **state)
{
	const uint8_t code[] = { 0x0f, 0x10, 0x00,
				 0xc3 }; /* MOVUPS or ADDPS XMM0, [BX + SI]; RET */
	struct changing c = { 0 };
	pthread_t thread;
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_int_equal(memory_write(v.config.memory, CODE, code, sizeof(code)), 0);
	c.byte = memory_at(v.config.memory, CODE + 1, 1);
	assert_int_equal(pthread_create(&thread, NULL, keep_changing, &c), 0);
	for (unsigned n = 0; n < 50 * ROUNDS; n++) {
		const struct block *block = look_up(v.cpu, CODE);

		assert_int_equal(block->insn[0].mnemonic, block_text(block)[1] == 0x10
								  ? ZYDIS_MNEMONIC_MOVUPS
								  : ZYDIS_MNEMONIC_ADDPS);
		memory_written(v.config.memory, CODE, 1);
	}
	__atomic_store_n(&c.is_over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	vcpu_teardown(&v);
}

/* The encodings of a block's instructions, with a jump in it that goes on in the block. */
static void encodings_are_found_by_instruction(void **state)
{
	const uint8_t code[] = { 0x48, 0x01, 0xd8, 0xeb, 0x02, 0x90, 0x90, 0xb0, 0x05, 0xc3 };
	const uint8_t *const encodings[] = { code, code + 3, code + 7, code + 9 };
	const struct block *block;
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	assert_int_equal(memory_write(v.config.memory, CODE, code, sizeof(code)), 0);
	v.cpu->mode = MODE_64;
	block = look_up(v.cpu, CODE);
	assert_int_equal(block->count, ARRAY_SIZE(encodings));
	for (unsigned n = 0; n < block->count; n++)
		assert_memory_equal(block_insn_bytes(&block->insn[n]), encodings[n],
				    block->insn[n].length);
	vcpu_teardown(&v);
}

/* What no instruction begins with may be one with other bytes behind it. */
static void what_is_no_instruction_may_become_one(void **state)
{
	const uint8_t none[] = { 0x0f, 0x04, 0xc0, 0x00 }, nop[] = { 0x0f, 0x1f, 0xc0, 0xf4 };
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	for (gpa_t addr = CODE + PAGE_BYTES - sizeof(none) - 1; addr < CODE + PAGE_BYTES; addr++) {
		assert_int_equal(memory_write(v.config.memory, addr, none, sizeof(none)), 0);
		assert_int_equal(look_up(v.cpu, addr)->insn[0].mnemonic, ZYDIS_MNEMONIC_INVALID);
		assert_int_equal(memory_write(v.config.memory, addr + 1, nop + 1, 3), 0);
		assert_int_equal(look_up(v.cpu, addr)->insn[0].mnemonic, ZYDIS_MNEMONIC_NOP);
	}
	vcpu_teardown(&v);
}

/* One that has become shorter since it was found to need a second page. */
static void code_that_crosses_no_more_is_not_decoded(void **state)
{
	const uint8_t code[] = { 0xb8, 0x00, 0x00, 0xc3 }; /* mov ax, imm16 */
	const gpa_t addr = CODE + PAGE_BYTES - 2;
	struct block *block;
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	block = malloc(sizeof(*block) + 2 * sizeof(struct insn) + INSN_MAX_BYTES);
	assert_int_equal(memory_write(v.config.memory, addr, code, sizeof(code)), 0);
	assert_null(block_decode(v.cpu, block, addr, NO_PAGE));
	assert_ptr_equal(block_decode(v.cpu, block, addr, CODE + PAGE_BYTES), block);
	assert_int_equal(memory_write(v.config.memory, addr, "\xb0", 1), 0); /* mov al, imm8 */
	assert_null(block_decode(v.cpu, block, addr, CODE + PAGE_BYTES));
	free(block);
	vcpu_teardown(&v);
}

/* Other blocks may be there by then: nothing of it may be looked at. */
static void jumps_of_evicted_blocks_are_left_alone(void **state)
{
	struct block *evicted = malloc(sizeof(*evicted));
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	memset(evicted, 0xff, sizeof(*evicted));
	block_patch_link(v.cpu, block_epoch(v.cpu) - 1, evicted, NULL, evicted);
	block_redirect(v.cpu, block_epoch(v.cpu) - 1, evicted, evicted);
	block_publish_code(v.cpu, block_epoch(v.cpu) - 1, evicted, NULL);
	free(evicted);
	vcpu_teardown(&v);
}

struct second {
	struct writer meeting;
	struct cpu *cpu;
	struct block *found;
};

static void *look_up_too(void *opaque)
{
	struct second *s = opaque;

	for (unsigned round = 0; round < ROUNDS; round++) {
		meet(&s->meeting, 2 * round + 1);
		s->found = look_up(s->cpu, CODE);
		meet(&s->meeting, 2 * round + 2);
	}
	return NULL;
}

/* Two vCPUs that look up new code at once find one block. */
static void no_block_is_built_twice(void **state)
{
	struct engine_vcpu *handle;
	struct second s = { 0 };
	uint8_t code[NOPS + 1];
	pthread_t thread;
	struct vcpu v;

	(void)state;
	vcpu_setup_as(&v, &(struct engine_config){ .vendor = CPU_INTEL, .vcpus = 2 });
	assert_int_equal(engine_soft.vcpu_create(v.engine, 1, &handle, NULL), 0);
	s.cpu = (struct cpu *)handle;
	world_leave(s.cpu); /* whoever watches the page stops the other, which does not run */
	memset(code, 0x90, sizeof(code));
	code[sizeof(code) - 1] = 0xc3; /* ret */
	assert_int_equal(memory_write(v.config.memory, CODE, code, sizeof(code)), 0);
	look_up(v.cpu,
		CODE + NOPS); /* so that the page stays watched, and nobody stops the other */
	assert_int_equal(pthread_create(&thread, NULL, look_up_too, &s), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		const struct block *found;

		memory_written(v.config.memory, CODE, 1); /* drops the block of the round before */
		meet(&s.meeting, 2 * round + 1);
		found = look_up(v.cpu, CODE);
		meet(&s.meeting, 2 * round + 2);
		assert_ptr_equal(found, s.found);
	}
	pthread_join(thread, NULL);
	engine_soft.vcpu_destroy(handle);
	vcpu_teardown(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_write_is_lost_while_decoding),
		cmocka_unit_test(no_block_is_built_twice),
		cmocka_unit_test(bytes_that_change_are_read_once),
		cmocka_unit_test(encodings_are_found_by_instruction),
		cmocka_unit_test(what_is_no_instruction_may_become_one),
		cmocka_unit_test(code_that_crosses_no_more_is_not_decoded),
		cmocka_unit_test(jumps_of_evicted_blocks_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
