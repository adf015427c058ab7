/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host code: the executable memory of the soft engine, its stubs (cpu/exec/stub.h), and what
 * happens when the host faults in one.
 *
 * Stubs are never freed, equal ones are shared, and their memory is bounded: a guest that runs
 * more distinct instructions than fit gets the rest through a slot of the vCPU that is written
 * anew each time. The memory is mapped twice, writable and executable, never both at one address.
 *
 * Faults in a stub: an unmasked SIMD exception (SIGFPE) becomes #XM, or #UD without
 * CR4.OSXMMEXCPT; a misaligned operand (SIGSEGV from the processor itself) becomes #GP(0). Operands
 * must therefore lie at host addresses that are as aligned as the guest's. Any other fault is our
 * bug: it is described on stderr and takes its default action.
 */
#ifndef CPU_EXEC_HOST_H
#define CPU_EXEC_HOST_H

#include <Zydis/Zydis.h>

#include "cpu/segment.h"

#define HOST_MAX_OPERAND_BYTES 32
#define HOST_LINE_BYTES        64 /* bounce buffers keep the guest's alignment up to this */

typedef void host_stub(struct cpu *cpu, void *operand);

struct host_code;

/* NULL where the host gives no executable memory. Installs the process's fault handlers. */
struct host_code *host_code_create(void);
void host_code_destroy(struct host_code *code); /* accepts NULL */

/* Stubs are numbered: how far they are from host_code_stubs, in units. 0 is none. */
#define HOST_STUB_UNIT 16u
#define HOST_STUBS_MAX 0xfffffu

const uint8_t *host_code_stubs(const struct host_code *code);

/*
 * The number of the stub that runs a decoded instruction. Any thread. 0: there is no room
 * (host_stub_of finds another way), or its operands are such that no stub can run it.
 */
uint32_t host_code_find(struct host_code *code, const ZydisDecodedInstruction *zydis,
			const ZydisDecodedOperand *operands, const uint8_t *bytes);

/* The same written to this vCPU's own slot; good until its next call. */
host_stub *host_code_write_slot(struct cpu *cpu, const struct insn *insn);

/* The stub of an instruction that cpu/exec runs on the host. */
static inline host_stub *host_stub_of(struct cpu *cpu, const struct insn *insn)
{
	return likely(insn->host) ? (host_stub *)(cpu->stubs + insn->host * HOST_STUB_UNIT)
				  : host_code_write_slot(cpu, insn);
}

/* --- running one -------------------------------------------------------------------------------
 */

static inline void host_run(struct cpu *cpu, const struct insn *insn)
{
	host_stub_of(cpu, insn)(cpu, NULL);
}

/* With a memory operand that is not plain RAM in one page: through a buffer. */
void host_run_read_slow(struct cpu *cpu, const struct insn *insn, gva_t addr);
void host_run_write_slow(struct cpu *cpu, const struct insn *insn, gva_t addr);

/* With a memory operand that is read, or written: raises the faults of the access first. */
static inline void host_run_read(struct cpu *cpu, const struct insn *insn)
{
	gva_t addr = insn_linear(cpu, insn, insn->mem_bytes, false);
	void *operand = mmu_fast(cpu, addr, insn->mem_bytes, false);

	if (likely(operand != NULL))
		host_stub_of(cpu, insn)(cpu, operand);
	else
		host_run_read_slow(cpu, insn, addr);
}

static inline void host_run_write(struct cpu *cpu, const struct insn *insn)
{
	gva_t addr = insn_linear(cpu, insn, insn->mem_bytes, true);
	void *operand = mmu_fast(cpu, addr, insn->mem_bytes, true);

	if (likely(operand != NULL))
		host_stub_of(cpu, insn)(cpu, operand);
	else
		host_run_write_slow(cpu, insn, addr);
}

/*
 * Says which vCPU this thread runs stubs for, so that a fault in one finds it. NULL: none. This is
 * the one thread-local variable of cpu/: a signal handler has no other way to know.
 */
void host_set_current(struct cpu *cpu);

#endif
