/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between the processor and the virtualization extension that its model offers. VT-x is
 * one instance (vmx/), AMD-V will be the other; a processor that shows none has a NULL `virt`.
 *
 * In non-root operation (cpu->in_guest) the handlers of instructions that a hypervisor may
 * intercept ask here, after their own #UD and privilege checks and before they change anything.
 * What is intercepted does not come back: the exit loads the hypervisor's state and unwinds.
 */
#ifndef CPU_VIRT_H
#define CPU_VIRT_H

#include "cpu/cpu.h"
#include "cpu/insn.h"

/* What an instruction is about to do. `info` is said beside each. */
enum virt_intercept {
	INTERCEPT_MISSING, /* enum virt_intercept of an instruction: raises #UD where there is none
			    */
	INTERCEPT_CPUID,
	INTERCEPT_HLT,
	INTERCEPT_INVD,
	INTERCEPT_WBINVD,
	INTERCEPT_INVLPG, /* linear address */
	INTERCEPT_INVPCID,
	INTERCEPT_RDMSR, /* MSR */
	INTERCEPT_WRMSR, /* MSR */
	INTERCEPT_RDPMC,
	INTERCEPT_RDTSC, /* and RDTSCP: after the TSC has been read */
	INTERCEPT_RDTSCP,
	INTERCEPT_RDRAND,
	INTERCEPT_RDSEED,
	INTERCEPT_PAUSE,
	INTERCEPT_MONITOR,
	INTERCEPT_MWAIT, /* whether a line is monitored */
	INTERCEPT_XSETBV,
	INTERCEPT_XSAVES,
	INTERCEPT_XRSTORS,
	INTERCEPT_VMCALL,
	INTERCEPT_CR_READ, /* register number (3 or 8) | operand's GPR number << 8 */
	INTERCEPT_CLTS,    /* no info */
	/* Asked before all checks: register number | is_read << 4 | operand's GPR number << 8 */
	INTERCEPT_DR,
	INTERCEPT_TABLE, /* LGDT LIDT SGDT SIDT LLDT LTR SLDT STR by insn->mnemonic */
	INTERCEPT_IO,    /* struct virt_io * */
	INTERCEPT_TASK,  /* selector | enum task_switch_cause << 30 */
	INTERCEPT_TRIPLE_FAULT,
	INTERCEPT_INIT,
	INTERCEPT_SIPI, /* vector */
};

#define INTERCEPT_READ_SHIFT 4
#define INTERCEPT_GPR_SHIFT  8

#define VIRT_CR_DONE (~0ull)

/* IN, OUT, INS, OUTS */
struct virt_io {
	uint16_t port;
	uint8_t size; /* bytes */
	bool is_in, is_string, is_rep, is_immediate;
	gva_t linear; /* of the memory operand of INS and OUTS */
};

/* Where an instruction boundary's own exits stand among the other events, urgent ones first. */
enum virt_boundary {
	BOUNDARY_BEFORE_TRAPS,
	BOUNDARY_BEFORE_NMI,
	BOUNDARY_BEFORE_INTERRUPT, /* with RFLAGS.IF or ATTENTION_VIRT */
};

/* The access that a second stage translates. */
struct virt_access {
	gva_t linear; /* of the access as a whole; is_linear_valid false where there is none */
	bool is_linear_valid;
	bool is_walk; /* to a paging structure (then `linear` is what is being translated) */
	bool is_read, is_write, is_fetch, is_user;
	/* What the guest's own paging says of the page; valid where `linear` is and not is_walk. */
	bool page_is_user, page_is_writable, page_is_no_execute;
};

struct virt_page {
	gpa_t page;          /* 4 KiB page in this VM's physical memory */
	uint64_t size_bytes; /* of the mapping that it is part of */
	bool is_writable, is_executable,
		is_readable; /* is_writable: and needs no dirty bit any more */
};

/* An access to cpu->apic_access_page. The numbers are those of VT-x's exit qualification. */
enum virt_apic_access {
	APIC_ACCESS_READ = 0,
	APIC_ACCESS_WRITE = 1,
	APIC_ACCESS_FETCH = 2,
	APIC_ACCESS_WALK = 15, /* to a paging structure that lies there */
};

/*
 * What VMREAD and VMWRITE with registers and an even encoding do, for translated code, while
 * cpu->virt_fields is not NULL, at CPL 0 of 64-bit mode: they cannot fail where `index` is not 0.
 */
#define VIRT_ENCODING_MASK 0x7ffeu

struct virt_fields {
	uint64_t *value;                           /* by index - 1 */
	const uint64_t *mask;                      /* the same: the bits that the field has */
	uint8_t index[VIRT_ENCODING_MASK / 2 + 1]; /* by half the encoding */
};

struct virt_ops {
	const char *name;
	int (*create)(struct cpu *cpu); /* sets cpu->virt_state; -ENOMEM */
	void (*destroy)(struct cpu *cpu);
	void (*reset)(struct cpu *cpu); /* power-on */

	/* MSRs of the extension itself. false: not one of them; *is_valid false: #GP(0). */
	bool (*msr)(struct cpu *cpu, uint32_t msr, bool is_write, uint64_t *value, bool *is_valid);

	/* VMXON, VMREAD, VMRUN …: a whole instruction, its checks and, where it must, its exit. */
	void (*execute)(struct cpu *cpu, const struct insn *insn);

	const char *(*exit_name)(unsigned reason); /* for statistics */

	/* Whether a hypervisor has it switched on. Any thread: the answer may be a moment old. */
	bool (*is_active)(const struct cpu *cpu);

	/* Whether the mode that the extension is in allows the value in CR0 or CR4. */
	bool (*cr_allowed)(const struct cpu *cpu, unsigned n, uint64_t value);

	/* Non-root operation only, from here on. Returns where there is no intercept. */
	void (*intercept)(struct cpu *cpu, enum virt_intercept what, uint64_t info);
	/*
	 * MOV to CR0, CR3, CR4, CR8, LMSW (`value` is its 16-bit operand): exits, or returns what
	 * to write to the register; VIRT_CR_DONE: nothing.
	 */
	uint64_t (*cr_write)(struct cpu *cpu, unsigned n, uint64_t value, unsigned gpr,
			     bool is_lmsw);
	/* What the guest sees in CR0, CR4 or CR8. */
	uint64_t (*cr_read)(struct cpu *cpu, unsigned n);
	/*
	 * An event is about to be delivered (not one that entry injects): exits where it is
	 * intercepted. External interrupts are shown before they are acknowledged (vector 0), NMIs
	 * before they block others, #PF and #DB before CR2 and DR6 are changed.
	 */
	void (*event)(struct cpu *cpu, const struct event *event);
	/*
	 * Between instructions: what waits for a boundary (windows, timers, monitor trap) at this
	 * place among the priorities. Exits, or returns for the last stage whether the next
	 * boundary is due after one instruction.
	 */
	bool (*boundary)(struct cpu *cpu, enum virt_boundary stage);
	/* The second stage; exits on violations. Only while cpu->has_second_stage. */
	void (*translate)(struct cpu *cpu, l2pa_t addr, const struct virt_access *access,
			  struct virt_page *out);
	/* The same where that would change nothing; false where it would set a flag, or exit. */
	bool (*peek)(struct cpu *cpu, l2pa_t addr, const struct virt_access *access,
		     struct virt_page *out);

	/* The virtual APIC. Exits where it does not serve this access of cpu->apic_access_page. */
	void (*apic_access)(struct cpu *cpu, enum virt_apic_access kind, unsigned offset,
			    unsigned size);
	/* A write that it does serve has changed cpu->virtual_apic at `offset`. */
	void (*apic_written)(struct cpu *cpu, unsigned offset, unsigned size);
	/* MSRs of the x2APIC. false: the processor's own APIC has it; *is_valid false: #GP(0). */
	bool (*apic_msr)(struct cpu *cpu, uint32_t msr, bool is_write, uint64_t *value,
			 bool *is_valid);
};

extern const struct virt_ops virt_vmx;

static inline void virt_intercept(struct cpu *cpu, enum virt_intercept what, uint64_t info)
{
	if (unlikely(cpu->in_guest))
		cpu->virt->intercept(cpu, what, info);
}

/* For instructions that a hypervisor may take away: before any other check. */
static inline void virt_require(struct cpu *cpu, enum virt_intercept what)
{
	virt_intercept(cpu, INTERCEPT_MISSING, what);
}

/* CR0 or CR4 as the program sees it. */
static inline uint64_t virt_cr_read(struct cpu *cpu, unsigned n, uint64_t real)
{
	return unlikely(cpu->in_guest) ? cpu->virt->cr_read(cpu, n) : real;
}

#endif
