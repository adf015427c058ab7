/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * --engine check finds what differs. A program runs to its end, a triple fault; then an instruction
 * of a decoded block is changed, so that the interpreter does what its translation does not.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cpu/block.h"
#include "cpu/jit/check.h"
#include "tests/unit/vcpu.h"

#define TABLES 0x2000u
#define CODE   0x10000u
#define DATA   0x20000u
#define STACK  0x30000u

#define PRESENT 3u /* and writable */
#define LARGE   0x80u

/* mov $1,%eax; add %rcx,%rax; mov %rax,(%rdi); mov 8(%rdi),%rdx; push %rdx; ud2 */
static const uint8_t program[] = { 0xb8, 1,    0,    0,    0,    0x48, 0x01, 0xc8, 0x48,
				   0x89, 0x07, 0x48, 0x8b, 0x57, 0x08, 0x52, 0x0f, 0x0b };

enum { MOV_IMM, ADD, STORE, LOAD, PUSH }; /* instructions of its one block */

struct fixture {
	struct engine_config config;
	struct engine *engine;
	struct engine_vcpu *vcpu;
	struct cpu *cpu;
	char printed[8192];
};

static void write_word(struct memory *memory, gpa_t addr, uint64_t value)
{
	assert_int_equal(memory_write(memory, addr, &value, sizeof(value)), 0);
}

static void map_identity(struct memory *memory)
{
	write_word(memory, TABLES, (TABLES + 0x1000) | PRESENT);
	write_word(memory, TABLES + 0x1000, (TABLES + 0x2000) | PRESENT);
	write_word(memory, TABLES + 0x2000, LARGE | PRESENT);
}

static void start_over(struct fixture *f)
{
	struct engine_segment code = { .selector = 8, .limit = UINT32_MAX, .attributes = 0xa09b };
	struct engine_segment data = { .selector = 16, .limit = UINT32_MAX, .attributes = 0xc093 };
	struct engine_registers registers = {
		.rip = CODE,
		.rflags = 2,
		.gpr = { [RCX] = 41, [RDI] = DATA, [RSP] = STACK },
		.cs = code,
		.ds = data,
		.es = data,
		.ss = data,
		.fs = data,
		.gs = data,
		.cr0 = CR0_PE | CR0_PG | CR0_NE,
		.cr3 = TABLES,
		.cr4 = CR4_PAE,
		.efer = EFER_LME | EFER_LMA,
	};

	write_word(f->config.memory, DATA, 0);
	engine_check.reset(f->vcpu);
	engine_check.set_registers(f->vcpu, &registers);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	f->config = (struct engine_config){ .vendor = CPU_INTEL, .vcpus = 1 };
	assert_int_equal(memory_create(&f->config.memory, VCPU_MEMORY_BYTES, NULL), 0);
	assert_int_equal(bus_create(&f->config.bus), 0);
	assert_int_equal(clock_create(&f->config.clock), 0);
	assert_int_equal(irq_create(&f->config.irq, f->config.clock, 1), 0);
	assert_int_equal(engine_check.create(&f->engine, &f->config, NULL), 0);
	assert_int_equal(engine_check.vcpu_create(f->engine, 0, &f->vcpu, NULL), 0);
	f->cpu = (struct cpu *)f->vcpu;
	map_identity(f->config.memory);
	assert_int_equal(memory_write(f->config.memory, CODE, program, sizeof(program)), 0);
	start_over(f);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	engine_check.vcpu_destroy(f->vcpu);
	engine_check.destroy(f->engine);
	clock_destroy(f->config.clock);
	irq_destroy(f->config.irq);
	bus_destroy(f->config.bus);
	memory_destroy(f->config.memory);
	free(f);
	return 0;
}

/* Runs to the end, with what is said on stderr kept. */
static enum engine_exit run(struct fixture *f)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	enum engine_exit why;
	size_t len;

	assert_non_null(file);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	why = engine_check.run(f->vcpu);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	len = fread(f->printed, 1, sizeof(f->printed) - 1, file);
	f->printed[len] = 0;
	fclose(file);
	return why;
}

/* The block, which a first run has decoded and translated; about to be run again. */
static struct insn *insns_of_block(struct fixture *f)
{
	struct block *block;

	assert_int_equal(run(f), ENGINE_SHUTDOWN);
	start_over(f);
	block = block_lookup(f->cpu);
	assert_int_equal(block->count, 6);
	assert_non_null(block->code);
	return block->insn;
}

static void assert_finds(struct fixture *f, const char *what, const char *insn)
{
	assert_int_equal(run(f), ENGINE_ERROR);
	if (!strstr(f->printed, what) || !strstr(f->printed, insn))
		fail_msg("no '%s' or no '%s' in: %s", what, insn, f->printed);
}

static void what_is_the_same_runs_on(void **state)
{
	struct fixture *f = *state;
	uint64_t word = 0;

	for (unsigned i = 0; i < 3; i++) {
		start_over(f);
		assert_int_equal(run(f), ENGINE_SHUTDOWN);
		assert_string_equal(f->printed, "");
		assert_int_equal(memory_read(f->config.memory, DATA, &word, sizeof(word)), 0);
		assert_int_equal(word, 42);
		assert_int_equal(f->cpu->gpr[RSP], STACK - 8);
	}
}

static void a_register(void **state)
{
	struct fixture *f = *state;

	/* A later instruction has it from there: that is the one to blame for RDX. */
	insns_of_block(f)[LOAD].disp = 0;
	assert_finds(f, "RDX is 2a, and 0 translated", "> ");
	assert_non_null(strstr(f->printed, "mov rdx, [rdi+0x08]"));
}

static void memory(void **state)
{
	struct fixture *f = *state;

	insns_of_block(f)[STORE].src = REG_OFFSET(RCX);
	assert_finds(f, "the byte at 20000 is 29, and 2a translated", "mov [rdi], rax");
}

static void a_write_elsewhere(void **state)
{
	struct fixture *f = *state;

	struct insn *insn = insns_of_block(f);

	insn[ADD].dst = REG_OFFSET(RDI);
	insn[ADD].src = REG_OFFSET(RSP);
	assert_finds(f, "a write to 20000 that is only in the translation", "mov [rdi], rax");
}

static void flags(void **state)
{
	struct fixture *f = *state;
	struct insn *insn = insns_of_block(f);

	insn[ADD].exec = insn[LOAD].exec; /* MOV RAX, [RCX]: no flags, and another RAX */
	insn[ADD].size = 8;
	assert_finds(f, "differs in the block at RIP 10000", "add rax, rcx");
}

static void raise_gp(struct cpu *cpu, const struct insn *insn)
{
	(void)insn;
	cpu_raise_code(cpu, EXC_GP, 0);
}

static void a_fault(void **state)
{
	struct fixture *f = *state;

	/* Before the check of the stack, whose page is not known: from there on it is interpreted.
	 */
	insns_of_block(f)[MOV_IMM].exec = insn_exec_of(raise_gp);
	assert_finds(f, "it ends otherwise", "unwound (1): vector 13");
}

static void raise_gp_when_due(struct cpu *cpu, const struct insn *insn)
{
	cpu_attention_set(cpu, ATTENTION_KICK);
	raise_gp(cpu, insn);
}

/* What is due has translated code leave behind a handler, where the interpreter faults. */
static void a_fault_where_the_translation_leaves(void **state)
{
	static const uint8_t xlat[] = { 0x2e, 0x2e, 0xd7 }; /* has a handler only */
	struct fixture *f = *state;

	assert_int_equal(memory_write(f->config.memory, CODE + 5, xlat, sizeof(xlat)), 0);
	insns_of_block(f)[STORE].exec = insn_exec_of(raise_gp_when_due);
	assert_int_not_equal(run(f), ENGINE_ERROR);
	assert_string_equal(f->printed, "");
}

static void two_vcpus_are_refused(void **state)
{
	struct fixture *f = *state;
	struct engine_config config = f->config;
	struct engine *engine;
	struct error err = { "" };

	config.vcpus = 2;
	assert_int_equal(engine_check.create(&engine, &config, &err), -EINVAL);
	assert_string_equal(err.text, "engine 'check' runs 1 vCPU, not 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_the_same_runs_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_register, setup, teardown),
		cmocka_unit_test_setup_teardown(memory, setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(flags, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fault, setup, teardown),
		cmocka_unit_test_setup_teardown(a_fault_where_the_translation_leaves, setup,
						teardown),
		cmocka_unit_test_setup_teardown(two_vcpus_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
