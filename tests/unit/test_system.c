/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System instructions, each decoded and executed alone: privilege, what the vendors do differently,
 * port I/O with its permission bitmap, breakpoints and interruptible repetition.
 */
#include "tests/unit/vcpu.h"

#include "cpu/control.h"
#include "cpu/decode/decode.h"
#include "cpu/flags.h"
#include "cpu/insn.h"
#include "cpu/msr.h"

#define CODE       0x1000
#define KERNEL_CS  0x08
#define USER_STAR  0x20
#define TSS        0x3000
#define TSS_MAP    0x68 /* offset of the I/O bitmap */
#define PORT       0x60
#define UNWIND_END -2 /* cpu_resume: the instruction goes on later */

/* A device that remembers what was written, and reads as a counter. */
struct port {
	uint8_t written[64];
	unsigned writes, reads;
};

static void port_access(void *self, struct dev_access *access)
{
	struct port *port = self;

	if (access->is_write)
		port->written[port->writes++ % sizeof(port->written)] = (uint8_t)access->value;
	else
		access->value = ++port->reads;
}

/* The vector that the instruction raises, -1 for none, UNWIND_END where it pauses. */
static int run(struct cpu *cpu, const uint8_t *code, unsigned length)
{
	static struct insn insn;
	volatile int vector = -1;
	int how;

	assert_int_equal(decode_insn(cpu->soft->decoder, cpu->mode, code, length, 0, &insn),
			 length);
	cpu->rip = CODE;
	cpu->insn = &insn;
	cpu->block_end = &insn + 1;
	how = setjmp(cpu->unwind);
	if (how == 0)
		insn_handler (&insn)(cpu, &insn);
	else
		vector = how == 1 ? cpu->fault.vector : UNWIND_END;
	cpu->insn = NULL;
	return vector;
}

#define RUN(cpu, ...) run(cpu, (const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static void set_cpl(struct cpu *cpu, unsigned cpl)
{
	cpu->cpl = (uint8_t)cpl;
	cpu_update_derived(cpu);
}

static void flat_segments(struct cpu *cpu, uint32_t code_bits)
{
	for (unsigned i = 0; i < SEGMENTS; i++)
		cpu->seg[i] = (struct segment){
			.limit = ~0u,
			.ar = SEG_P | SEG_S | SEG_DB | SEG_G | SEG_WRITABLE | SEG_ACCESSED,
			.selector = 0x10,
		};
	cpu->seg[CS].ar = (uint32_t)(SEG_P | SEG_S | SEG_G | SEG_CODE | SEG_WRITABLE | code_bits);
	cpu->seg[CS].selector = KERNEL_CS;
	cpu_update_derived(cpu);
}

/* 32-bit protected mode at CPL 0 without paging. */
static void protected_mode(struct vcpu *v)
{
	assert_passes(v->cpu, control_write_cr0(v->cpu, CR0_PE));
	flat_segments(v->cpu, SEG_DB);
	assert_int_equal(v->cpu->mode, MODE_FLAT);
}

/* Firmware goes to and fro between the modes with each call: nothing of the TLB is lost by that. */
static void protection_alone_empties_no_tlb(void **state)
{
	struct vcpu v;
	uint64_t *flushes, before;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	flushes = &v.cpu->stats.count[STAT_TLB_FLUSHES];
	before = *flushes;
	assert_passes(v.cpu, control_write_cr0(v.cpu, CR0_PE));
	assert_passes(v.cpu, control_write_cr0(v.cpu, 0));
	assert_int_equal(*flushes, before);
	assert_passes(v.cpu, control_write_cr0(v.cpu, CR0_PE | CR0_WP));
	assert_true(*flushes > before);
	vcpu_teardown(&v);
}

/* 64-bit mode at CPL 0; nothing may touch memory, there are no page tables. */
static void long_mode(struct vcpu *v)
{
	protected_mode(v);
	assert_passes(v->cpu, control_write_cr4(v->cpu, CR4_PAE));
	assert_true(control_write_efer(v->cpu, EFER_LME | EFER_SCE));
	assert_passes(v->cpu, control_write_cr0(v->cpu, CR0_PE | CR0_PG));
	flat_segments(v->cpu, SEG_L);
	assert_int_equal(v->cpu->mode, MODE_64);
}

static void privileged_instructions_need_cpl_0(void **state)
{
	static const uint8_t code[][3] = {
		{ 0x0f, 0x06, 0x90 }, /* CLTS */
		{ 0x0f, 0x08, 0x90 }, /* INVD */
		{ 0x0f, 0x09, 0x90 }, /* WBINVD */
		{ 0xf4, 0x90, 0x90 }, /* HLT */
		{ 0x0f, 0x30, 0x90 }, /* WRMSR */
		{ 0x0f, 0x32, 0x90 }, /* RDMSR */
		{ 0x0f, 0x20, 0xc0 }, /* MOV from CR0 */
		{ 0x0f, 0x22, 0xd8 }, /* MOV to CR3 */
		{ 0x0f, 0x21, 0xc0 }, /* MOV from DR0 */
		{ 0x0f, 0x23, 0xf8 }, /* MOV to DR7 */
		{ 0x0f, 0x01, 0xf0 }, /* LMSW */
		{ 0x0f, 0x01, 0x10 }, /* LGDT */
		{ 0x0f, 0x01, 0x38 }, /* INVLPG */
	};
	static const uint8_t length[] = { 2, 2, 2, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3 };
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	protected_mode(&v);
	set_cpl(v.cpu, 3);
	for (unsigned i = 0; i < ARRAY_SIZE(code); i++)
		assert_int_equal(run(v.cpu, code[i], length[i]), EXC_GP);
	assert_int_equal(v.cpu->activity, CPU_ACTIVE);
	vcpu_teardown(&v);
}

static void switched_off_instructions_are_undefined(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	long_mode(&v);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xd0), EXC_UD);             /* XGETBV */
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xee), EXC_UD);             /* RDPKRU */
	assert_int_equal(RUN(v.cpu, 0xf3, 0x48, 0x0f, 0xae, 0xc0), EXC_UD); /* RDFSBASE */
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xc8), EXC_UD);             /* MONITOR */
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xc4), EXC_UD);             /* VMXOFF */
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xdd), EXC_UD);             /* CLGI */
	assert_int_equal(RUN(v.cpu, 0x0f, 0x37), EXC_UD);                   /* GETSEC */
	assert_int_equal(RUN(v.cpu, 0x0f, 0xaa), EXC_UD);                   /* RSM */
	set_cpl(v.cpu, 3);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xcb), EXC_UD); /* STAC */
	vcpu_teardown(&v);
}

static void umip_and_tsd_are_for_user_mode(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	protected_mode(&v);
	assert_passes(v.cpu, control_write_cr4(v.cpu, CR4_UMIP | CR4_TSD));
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xe0), -1); /* SMSW EAX */
	assert_int_equal(RUN(v.cpu, 0x0f, 0x31), -1);       /* RDTSC */
	set_cpl(v.cpu, 3);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xe0), EXC_GP);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x31), EXC_GP);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xf9), EXC_GP); /* RDTSCP */
	assert_int_equal(RUN(v.cpu, 0x0f, 0x33), EXC_GP);       /* RDPMC */
	vcpu_teardown(&v);
}

static void lmsw_cannot_leave_protected_mode(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	protected_mode(&v);
	v.cpu->gpr[RAX] = CR0_TS | CR0_MP | 0xfff0;
	assert_int_equal(RUN(v.cpu, 0x0f, 0x01, 0xf0), -1);
	assert_int_equal(v.cpu->cr0, CR0_PE | CR0_TS | CR0_MP | CR0_ET);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x06), -1);
	assert_int_equal(v.cpu->cr0, CR0_PE | CR0_MP | CR0_ET);
	vcpu_teardown(&v);
}

/* ---- fast system calls ---- */

static void call_msrs(struct cpu *cpu)
{
	cpu->msr.star = (uint64_t)USER_STAR << 48 | (uint64_t)KERNEL_CS << 32 | 0x5000;
	cpu->msr.lstar = 0xffffffff80001000ull;
	cpu->msr.fmask = RFLAGS_IF | RFLAGS_DF;
	cpu->msr.sysenter_cs = KERNEL_CS;
	cpu->msr.sysenter_eip = 0x6000;
	cpu->msr.sysenter_esp = 0x7000;
}

static void syscall_and_sysret_in_64_bit_mode(void **state)
{
	(void)state;
	for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
		struct vcpu v;

		vcpu_setup(&v, vendor);
		long_mode(&v);
		call_msrs(v.cpu);
		flags_set(v.cpu, RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF);
		set_cpl(v.cpu, 3);
		assert_int_equal(RUN(v.cpu, 0x0f, 0x05), -1);
		assert_int_equal(v.cpu->rip, v.cpu->msr.lstar);
		assert_int_equal(v.cpu->gpr[RCX], CODE + 2);
		assert_int_equal(v.cpu->gpr[R11], RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF);
		assert_int_equal(flags_get(v.cpu), RFLAGS_ONE | RFLAGS_CF);
		assert_int_equal(v.cpu->cpl, 0);
		assert_int_equal(v.cpu->seg[SS].selector, KERNEL_CS + 8);

		assert_int_equal(RUN(v.cpu, 0x48, 0x0f, 0x07), -1);
		assert_int_equal(v.cpu->rip, CODE + 2);
		assert_int_equal(v.cpu->cpl, 3);
		assert_int_equal(v.cpu->mode, MODE_64);
		assert_int_equal(v.cpu->seg[CS].selector, (USER_STAR + 16) | 3);
		assert_int_equal(v.cpu->seg[SS].selector, (USER_STAR + 8) | 3);
		assert_int_equal(seg_dpl(v.cpu->seg[SS].ar), vendor == CPU_INTEL ? 3 : 0);
		assert_int_equal(flags_get(v.cpu), RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF);
		assert_int_equal(RUN(v.cpu, 0x48, 0x0f, 0x07), EXC_GP); /* SYSRET at CPL 3 */

		set_cpl(v.cpu, 0);
		v.cpu->gpr[RCX] = 0x0000800000000000ull;
		assert_int_equal(RUN(v.cpu, 0x48, 0x0f, 0x07), vendor == CPU_INTEL ? EXC_GP : -1);
		vcpu_teardown(&v);
	}
}

static void syscall_needs_to_be_enabled(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	long_mode(&v);
	v.cpu->efer &= ~EFER_SCE;
	assert_int_equal(RUN(v.cpu, 0x0f, 0x05), EXC_UD);
	vcpu_teardown(&v);
}

static void vendors_differ_outside_64_bit_mode(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	protected_mode(&v);
	call_msrs(v.cpu);
	assert_true(control_write_efer(v.cpu, EFER_SCE));
	assert_int_equal(RUN(v.cpu, 0x0f, 0x05), EXC_UD);
	vcpu_teardown(&v);

	vcpu_setup(&v, CPU_AMD);
	protected_mode(&v);
	call_msrs(v.cpu);
	assert_true(control_write_efer(v.cpu, EFER_SCE));
	flags_set(v.cpu, RFLAGS_ONE | RFLAGS_IF);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x05), -1);
	assert_int_equal(v.cpu->rip, 0x5000);
	assert_int_equal(v.cpu->gpr[RCX], CODE + 2);
	assert_int_equal(flags_get(v.cpu), RFLAGS_ONE);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x07), -1);
	assert_int_equal(v.cpu->rip, CODE + 2);
	assert_int_equal(flags_get(v.cpu), RFLAGS_ONE | RFLAGS_IF);
	assert_int_equal(v.cpu->seg[CS].selector, USER_STAR | 3);
	vcpu_teardown(&v);
}

static void sysenter_and_sysexit(void **state)
{
	struct vcpu v;

	(void)state;
	vcpu_setup(&v, CPU_INTEL);
	protected_mode(&v);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x34), EXC_GP); /* no selector */
	call_msrs(v.cpu);
	set_cpl(v.cpu, 3);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x34), -1);
	assert_int_equal(v.cpu->rip, 0x6000);
	assert_int_equal(v.cpu->gpr[RSP], 0x7000);
	assert_int_equal(v.cpu->cpl, 0);
	v.cpu->gpr[RDX] = 0x1234;
	v.cpu->gpr[RCX] = 0x5678;
	assert_int_equal(RUN(v.cpu, 0x0f, 0x35), -1);
	assert_int_equal(v.cpu->rip, 0x1234);
	assert_int_equal(v.cpu->gpr[RSP], 0x5678);
	assert_int_equal(v.cpu->seg[CS].selector, (KERNEL_CS + 16) | 3);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x35), EXC_GP); /* at CPL 3 */
	vcpu_teardown(&v);

	vcpu_setup(&v, CPU_AMD);
	long_mode(&v);
	call_msrs(v.cpu);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x34), EXC_UD);
	assert_int_equal(RUN(v.cpu, 0x0f, 0x35), EXC_UD);
	vcpu_teardown(&v);
}

/* ---- port I/O ---- */

static void io_machine(struct vcpu *v, struct port *port)
{
	vcpu_setup(v, CPU_INTEL);
	memset(port, 0, sizeof(*port));
	assert_int_equal(bus_map(v->config.bus, BUS_PIO, PORT, 8, port_access, port, "test"), 0);
	protected_mode(v);
	v->cpu->tr = (struct segment){ .base = TSS, .limit = 0x88, .ar = SEG_P | SYS_TSS_BUSY };
	store_le(memory_at(v->config.memory, TSS + 102, 2), TSS_MAP, 2);
}

static void the_bitmap_decides_above_iopl(void **state)
{
	struct port port;
	struct vcpu v;
	uint8_t *map;

	(void)state;
	io_machine(&v, &port);
	map = memory_at(v.config.memory, TSS + TSS_MAP, 32);
	set_cpl(v.cpu, 3);
	assert_int_equal(RUN(v.cpu, 0xe6, PORT), -1); /* OUT imm8, AL */
	map[PORT / 8] = BIT(2);
	assert_int_equal(RUN(v.cpu, 0xe6, PORT + 1), -1);
	assert_int_equal(RUN(v.cpu, 0x66, 0xe7, PORT + 1), EXC_GP); /* a word reaches bit 2 */
	assert_int_equal(RUN(v.cpu, 0xe4, PORT + 2), EXC_GP);
	v.cpu->rflags |= RFLAGS_IOPL;
	assert_int_equal(RUN(v.cpu, 0xe4, PORT + 2), -1);
	assert_int_equal(v.cpu->gpr[RAX], 1);
	v.cpu->rflags &= ~(uint32_t)RFLAGS_IOPL;

	v.cpu->tr.limit = TSS_MAP + PORT / 8; /* the second byte lies beyond */
	assert_int_equal(RUN(v.cpu, 0xe6, PORT), EXC_GP);
	v.cpu->tr.limit = 0x88;
	v.cpu->tr.ar = SEG_P | SYS_TSS16_BUSY;
	assert_int_equal(RUN(v.cpu, 0xe6, PORT), EXC_GP);
	assert_int_equal(port.writes, 2);
	vcpu_teardown(&v);
}

static void string_io_moves_its_registers(void **state)
{
	struct port port;
	struct vcpu v;

	(void)state;
	io_machine(&v, &port);
	memcpy(memory_at(v.config.memory, 0x4000, 8), "abcdefgh", 8);
	v.cpu->gpr[RSI] = 0x4000;
	v.cpu->gpr[RDI] = 0x4102;
	v.cpu->gpr[RDX] = PORT;
	v.cpu->gpr[RCX] = 3;
	assert_int_equal(RUN(v.cpu, 0xf3, 0x6e), -1); /* REP OUTSB */
	assert_memory_equal(port.written, "abc", 3);
	assert_int_equal(v.cpu->gpr[RSI], 0x4003);
	assert_int_equal(v.cpu->gpr[RCX], 0);
	assert_int_equal(RUN(v.cpu, 0xf3, 0x6e), -1); /* none */
	assert_int_equal(port.writes, 3);

	v.cpu->rflags |= RFLAGS_DF;
	v.cpu->gpr[RCX] = 3;
	assert_int_equal(RUN(v.cpu, 0xf3, 0x6c), -1); /* REP INSB, downwards */
	assert_memory_equal(memory_at(v.config.memory, 0x4100, 3), "\3\2\1", 3);
	assert_int_equal(v.cpu->gpr[RDI], 0x40ff);
	vcpu_teardown(&v);
}

static void a_store_that_faults_reads_no_port(void **state)
{
	struct port port;
	struct vcpu v;

	(void)state;
	io_machine(&v, &port);
	v.cpu->seg[ES].limit = 0xfff;
	v.cpu->gpr[RDI] = 0x2000;
	v.cpu->gpr[RDX] = PORT;
	assert_int_equal(RUN(v.cpu, 0x6c), EXC_GP);
	assert_int_equal(port.reads, 0);
	assert_int_equal(v.cpu->gpr[RDI], 0x2000);
	vcpu_teardown(&v);
}

static void repetition_lets_interrupts_in(void **state)
{
	struct port port;
	struct vcpu v;

	(void)state;
	io_machine(&v, &port);
	v.cpu->gpr[RSI] = 0x4000;
	v.cpu->gpr[RDX] = PORT;
	v.cpu->gpr[RCX] = 3;
	cpu_attention_set(v.cpu, ATTENTION_INTERRUPT);
	v.cpu->rflags |= RFLAGS_IF;
	assert_int_equal(RUN(v.cpu, 0xf3, 0x6e), UNWIND_END);
	assert_int_equal(v.cpu->gpr[RCX], 2);
	v.cpu->rflags &= ~(uint32_t)RFLAGS_IF;
	assert_int_equal(RUN(v.cpu, 0xf3, 0x6e), -1);
	assert_int_equal(v.cpu->gpr[RCX], 0);
	vcpu_teardown(&v);
}

static void io_breakpoints_trap(void **state)
{
	struct port port;
	struct vcpu v;

	(void)state;
	io_machine(&v, &port);
	v.cpu->dr[1] = PORT;
	v.cpu->dr7 = BIT(2) | 0x6ull << 20; /* DR1: I/O, two bytes */
	assert_int_equal(RUN(v.cpu, 0xe6, PORT), -1);
	assert_int_equal(v.cpu->pending_db, 0); /* CR4.DE is clear */
	assert_passes(v.cpu, control_write_cr4(v.cpu, CR4_DE));
	assert_int_equal(RUN(v.cpu, 0xe6, PORT + 2), -1);
	assert_int_equal(v.cpu->pending_db, 0);
	assert_int_equal(RUN(v.cpu, 0xe6, PORT + 1), -1);
	assert_int_equal(v.cpu->pending_db, DR6_B(1));
	vcpu_teardown(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protection_alone_empties_no_tlb),
		cmocka_unit_test(privileged_instructions_need_cpl_0),
		cmocka_unit_test(switched_off_instructions_are_undefined),
		cmocka_unit_test(umip_and_tsd_are_for_user_mode),
		cmocka_unit_test(lmsw_cannot_leave_protected_mode),
		cmocka_unit_test(syscall_and_sysret_in_64_bit_mode),
		cmocka_unit_test(syscall_needs_to_be_enabled),
		cmocka_unit_test(vendors_differ_outside_64_bit_mode),
		cmocka_unit_test(sysenter_and_sysexit),
		cmocka_unit_test(the_bitmap_decides_above_iopl),
		cmocka_unit_test(string_io_moves_its_registers),
		cmocka_unit_test(a_store_that_faults_reads_no_port),
		cmocka_unit_test(repetition_lets_interrupts_in),
		cmocka_unit_test(io_breakpoints_trap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
