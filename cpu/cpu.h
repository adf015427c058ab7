/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of one software processor, and the constants of its registers.
 *
 * One struct cpu belongs to one vCPU thread. Other threads touch nothing but `attention` and the
 * fields below it that say so. While a block runs, `rip` stays at the RIP of the block's first
 * instruction; the RIP of the instruction being executed is cpu_rip() (see cpu/insn.h).
 *
 * Sources: SDM1: "Basic Execution Environment", SDM3: "System Architecture Overview".
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <setjmp.h>

#include "cpu/pmu.h"
#include "cpu/stats.h"
#include "cpu/x86.h"
#include "lib/base.h"
#include "vm/addr.h"
#include "vm/engine.h"

struct block;
struct check;
struct insn;
struct journal;
struct virt_ops;
struct soft; /* cpu/soft.h: what the vCPUs of one VM share */
struct tlb;  /* cpu/mmu/mmu.h: one bank */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
enum { ES, CS, SS, DS, FS, GS, SEGMENTS };

/* A segment register with its hidden part. LDTR and TR are of the same form. */
struct segment {
	uint64_t base;
	uint32_t limit; /* bytes, inclusive, G applied */
	uint32_t ar;    /* access rights in VT-x form: SEG_* in cpu/x86.h */
	uint16_t selector;
};

struct table_register {
	uint64_t base;
	uint16_t limit;
};

/*
 * Why the run loop must look up from its blocks. Bits are set with cpu_attention_set by any thread
 * and cleared by the vCPU's own.
 */
enum cpu_attention {
	ATTENTION_KICK = BIT(0), /* leave run() */
	ATTENTION_NMI = BIT(1),
	ATTENTION_INIT = BIT(2),
	ATTENTION_SIPI = BIT(3),
	ATTENTION_RENDEZVOUS = BIT(4), /* another vCPU waits until this one is between blocks */
	ATTENTION_SHADOW = BIT(5), /* one instruction of interrupt shadow (STI, MOV SS) is open */
	ATTENTION_STEP = BIT(6),   /* RFLAGS.TF or RF is set, or DR7 has a code breakpoint */
	ATTENTION_TRAP = BIT(7),   /* a debug trap is pending in `pending_db` */
	ATTENTION_HALT = BIT(8),   /* the activity state is not CPU_ACTIVE */
	ATTENTION_VIRT = BIT(10),  /* the virtualization extension waits for a boundary */
	/* irq_pending may be true. The bit is RFLAGS.IF's, so one AND ignores it while IF is clear.
	 */
	ATTENTION_INTERRUPT = BIT(9),
	/* Stays set while instructions are counted, so that only the interpreter runs: cpu/pmu.h */
	ATTENTION_COUNTING = BIT(11),
	ATTENTION_COUNTER = BIT(12), /* a performance counter may have overflowed */
};

/* The first four as VT-x numbers them, which knows none of MWAIT. */
enum cpu_activity { CPU_ACTIVE, CPU_HALTED, CPU_SHUTDOWN, CPU_WAIT_FOR_SIPI, CPU_MONITORING };
/* Interrupt shadows. The run loop marks one OLD while the instruction that it covers runs. */
enum cpu_shadow { SHADOW_NONE, SHADOW_STI, SHADOW_MOV_SS, SHADOW_OLD = BIT(7) };

/* Event types, as in VT-x's interruption information. */
enum event_type {
	EVENT_EXTERNAL = 0,
	EVENT_NMI = 2,
	EVENT_FAULT = 3,      /* hardware exception: faults, traps and aborts */
	EVENT_SOFT_INT = 4,   /* INT n */
	EVENT_ICEBP = 5,      /* INT1 */
	EVENT_SOFT_FAULT = 6, /* INT3, INTO */
};

struct event {
	uint8_t vector;
	uint8_t type; /* enum event_type */
	bool has_error;
	bool is_injected; /* by VM entry */
	uint32_t error;
	uint64_t next_rip; /* what software interrupts push; unused for the others */
	uint64_t payload;  /* #PF: the address, for CR2; #DB: bits of DR6 */
};

/*
 * x87, SSE and AVX state. The vector registers are whole in `ymm`. `fx` is an FXSAVE64 image of
 * which only the x87 part counts, without its pointers: those are below. While a vCPU runs, MXCSR
 * and x87 may be live in the host's registers instead: cpu/exec/vector.h has the functions that
 * know.
 */
struct vector_state {
	uint8_t ymm[16][32] __attribute__((aligned(32)));
	uint8_t fx[512] __attribute__((aligned(64)));
	uint32_t mxcsr;    /* while not is_entered */
	uint64_t fip, fdp; /* guest addresses of the last x87 instruction and its operand */
	uint16_t fcs, fds, fop;
	bool is_entered;    /* MXCSR is live */
	bool x87_is_live;   /* x87 is live */
	bool x87_may_fault; /* an exception is unmasked or pending: look before each instruction */
	bool ferr;          /* IRQ 13 is raised for an exception that CR0.NE does not report */
	uint8_t ready;      /* enum vector_ready: `ymm` is live, and who may use it */
};

/* MSRs that are plain storage: cpu/msr.c has the table that says which MSR is which. */
struct cpu_msrs {
	uint64_t star, lstar, cstar, fmask, kernel_gs_base, tsc_aux;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat, mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
	uint64_t misc_enable, spec_ctrl, debugctl, xss;
	uint64_t tsc_adjust, tsc_offset; /* guest TSC = clock_tsc + tsc_offset */
	uint64_t mcg_status, mcg_ctl, mc_bank[4 * 10];
	uint64_t kvm_system_time, kvm_wall_clock;
	uint64_t hwcr;
};

#define MONITOR_LINE_BYTES 64

/* The line that MONITOR has armed, for MWAIT. */
struct monitor {
	const void *line; /* NULL: no RAM */
	uint8_t seen[MONITOR_LINE_BYTES];
	bool is_armed;
	bool breaks_on_masked; /* while CPU_MONITORING: interrupts end it though IF is clear */
};

/* Where translated code goes for what it does not do itself: cpu/jit/enter.h. */
enum jit_thunk {
	THUNK_HANDLER,
	THUNK_HANDLER_LAST,
	THUNK_HANDLER_VECTOR,
	THUNK_FAULT,
	THUNK_LINK,
	THUNK_POLL,
	THUNK_BAIL,
	THUNK_FIT,
	THUNK_CROSS,
	THUNK_LEARN,
	THUNK_FAR,
	THUNK_STOP,
	THUNK_SLOW,
	THUNK_MISFIT,
	THUNK_SAMPLE,
	JIT_THUNKS,
};

/*
 * A page that the stack was last in, and may be read and written directly. None: no_stack_page, by
 * chance one of many that no address is canonical in, with a delta that leads to a page of no
 * meaning. So no check of a stack has to ask whether there is one, and a guest whose RSP is just
 * there finds nothing of ours.
 */
struct jit_stack {
	uint64_t page;  /* linear */
	uint64_t delta; /* host address - linear address */
};

/*
 * Pages in a row that user code may read (write) directly: cpu/jit/stretch.h. An address whose
 * distance from the start is no more than `limit` is in it, with what one check is for behind it.
 * None: as above.
 */
struct jit_stretch {
	uint64_t start, limit;
	uint64_t addend;   /* host address - linear address */
	uint32_t patience; /* misses until another is learned */
	uint32_t wait;     /* what that was */
	uint64_t since;    /* time stamp of the last one learned */
	uint8_t bad;       /* how often in a row that was too soon */
};

#define JIT_STRETCHES 16
#define JIT_ANCHORS   12

/* What translated code keeps of its own. What its blocks name most is first: see struct cpu. */
struct cpu_jit {
	uint64_t code_page; /* linear address of the page whose code runs */
	/* By enum tlb_class, 64 bits that nobody can guess: what entries of `branches` and `far`
	 * that hold now are marked with (cpu/jit/dispatch.h). */
	uint64_t mark[3];
	struct branch_entry *branches; /* cpu/jit/dispatch.h; NULL: this vCPU only interprets */
	struct jit_stack stack[3];     /* by enum tlb_class; mmu/ forgets them: jit_forget_stack */
	uint64_t anchor[JIT_ANCHORS];  /* host addresses: cpu/jit/base.h */
	uint64_t scratch;              /* within one instruction */
	struct far_target *far;        /* cpu/jit/dispatch.h: by number of struct jit_far */
	const uint8_t *arena;          /* of blocks */
	const void *thunk[JIT_THUNKS];
	int64_t patience; /* calls of shared code until the next is sampled */
	void *host_stack; /* RSP of the C code that has entered translated code */
	/* While the host's TSC is below the limit the guest's is that plus `added`, and reading it
	 * takes no more: msr_tsc_changed. */
	uint64_t tsc_limit, tsc_added;
	uint64_t stop;               /* jit_stop_at */
	uint64_t seed;               /* of `mark` */
	uint64_t mark_generation[2]; /* [is user code]: what `mark` depends on, beside the mode */
	uint8_t mark_mode;
	bool is_global[2];              /* [is user code]: of which generation look-ups are */
	bool has_avx;                   /* the host has */
	bool has_upper;                 /* upper halves of vector registers in memory are in use */
	bool is_single;                 /* back to C after each block */
	bool wants_ungrouped;           /* looking for a block of that flavor: cpu/block.h */
	struct jit_stack flat_stack[3]; /* `stack` for MODE_FLAT: cpu/jit/group.h says of which */
	struct jit_stretch stretch[2][JIT_STRETCHES]; /* [is_write]; forgotten with the stack */
	bool has_stretches;                           /* some have been learned since */
	uint64_t no_stack_page;
	/* What translated code has been left for: the block at CS:RIP, to be interpreted, and
	 * block_find's generation. NULL: not known. */
	struct block *next;
	uint64_t next_generation;
	uint8_t *no_stack;     /* the page of no meaning */
	uint8_t *signal_stack; /* cpu/jit/signal_stack.h */
};

#define CPU_CALLS 6 /* return addresses of translated code, at most */

struct cpu {
	/* General registers, a zero for "no base, no index", and RIP: operands index all of them.
	 */
	union {
		uint64_t regs[18];
		struct {
			uint64_t gpr[16];
			uint64_t zero;
			uint64_t rip;
		};
	};
	/*
	 * While translated code runs, the host's RSP is behind this: its calls have their return
	 * addresses here, and what it names often is within 128 bytes, so that an instruction has
	 * it with a displacement of one byte. No C runs on this stack, no signal is delivered on
	 * it, and nothing of the guest comes to it.
	 */
	uint64_t calls[CPU_CALLS];
	uint32_t attention; /* atomic: enum cpu_attention, any thread */
	uint32_t rflags;    /* all flags but `status`, whose bits here are zero; bit 1 is one */
	uint16_t status;    /* CF PF AF ZF SF OF in LAHF/SETO form: cpu/flags.h */
	uint8_t cpl;
	uint8_t mode;      /* enum cpu_mode: how code is decoded; key of the block cache */
	uint8_t tlb_class; /* enum tlb_class: which tags of the TLB this privilege may use */
	uint8_t shadow;    /* enum cpu_shadow */
	uint8_t activity;  /* enum cpu_activity */
	/*
	 * Atomic, any thread: whether translated code is to look at `attention`. Set after each bit
	 * there; clear only while nothing is due (cpu_poll_settle). So an interrupt that is held
	 * back for long costs translated code nothing, and code that sets RFLAGS.IF must ask
	 * `attention` itself.
	 */
	bool poll;
	struct cpu_jit jit;
	/* [seg == GS], outside 64-bit mode: FS, GS may be read and written up to 4 GiB; 1 or 0 */
	uint8_t is_wide[2];
	bool nmi_blocked;      /* who clears it sets ATTENTION_NMI */
	uint8_t nmis_waiting;  /* accepted and not yet delivered: 2 at most */
	uint32_t nmis_arrived; /* atomic, any thread: counted up before ATTENTION_NMI is set */

	/* The run loop: cpu/run.c. */
	const struct insn *insn;      /* the instruction being executed */
	const struct insn *block_end; /* execution leaves the block before this one */
	struct tlb *tlb;              /* the current bank */
	const uint8_t *tlb_tags;      /* tlb's tags of tlb_class: mmu_fast */
	jmp_buf unwind;               /* faults go here */

	struct segment seg[SEGMENTS], ldtr, tr;
	struct table_register gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
	uint64_t pdpte[4]; /* PAE paging without long mode: loaded with CR3 */
	uint64_t dr[4], dr6, dr7;
	uint32_t pkru;
	bool is_step_settled; /* SYSCALL, SYSRET: whether this instruction traps is decided */
	uint64_t pending_db;  /* DR6 bits of debug traps to deliver at the next boundary */
	struct event fault;   /* what is being unwound to the run loop */
	bool in_delivery;     /* an event is being delivered: a fault now may become #DF */
	struct event delivering;

	struct vector_state vector;
	struct cpu_msrs msr;
	struct monitor monitor;
	struct pmu pmu; /* Intel's */

	/* The virtualization extension: cpu/virt.h. */
	const struct virt_ops *virt; /* NULL: the model shows none */
	void *virt_state;
	const struct virt_fields *virt_fields; /* of the current VMCS; NULL: ask the handler */
	bool in_guest;                         /* non-root operation */
	uint32_t insn_rf;       /* the RFLAGS.RF that the instruction being executed began with */
	bool is_init_blocked;   /* INIT waits; in non-root operation it exits all the same */
	bool has_second_stage;  /* in_guest, with EPT or NPT */
	uint64_t stage_key;     /* keeps the TLB banks of guests apart: 0 in root operation */
	bool interrupts_exit;   /* external interrupts count with RFLAGS.IF clear, too (atomic) */
	bool nmi_is_virtual;    /* nmi_blocked holds back none of the NMIs that arrive */
	bool iret_keeps_nmi;    /* IRET leaves nmi_blocked alone */
	bool iret_unblocks_nmi; /* an IRET that has cleared nmi_blocked is not over yet */
	uint64_t guest_tsc_offset, guest_tsc_scale; /* in_guest: (tsc * scale >> 48) + offset */
	uint64_t guest_tsc_limit; /* in_guest: as jit.tsc_limit; 0: scaled, or an exit */
	/* in_guest: the page where APIC accesses are virtual, or NO_APIC_PAGE; the virtual APIC, or
	 * NULL */
	gpa_t apic_access_page;
	uint8_t *virtual_apic;

	unsigned index;
	struct soft *soft;
	struct mmu *mmu;          /* the banks: cpu/mmu */
	struct jump_cache *jumps; /* cpu/block.c */
	const uint8_t *stubs;     /* cpu/exec/host.h */
	uint64_t apic_page;       /* gpa of the local APIC's page in xAPIC mode, or NO_APIC_PAGE */
	uint8_t sipi_vector;      /* any thread, before ATTENTION_SIPI is set */
	uint32_t pauses;          /* PAUSE instructions so far */
	bool is_sleeping;         /* atomic: the thread waits on `attention` in HLT */
	bool is_between;          /* under soft->world.lock: the thread executes no guest code */
	struct engine_vcpu *vcpu;
	struct cpu_stats stats;
	/* --engine check, or NULL: cpu/jit/check.h, cpu/mmu/journal.h. */
	struct check *check;
	struct journal *journal;
};

#define NO_APIC_PAGE (~0ull)

/* Where the host's RSP is while translated code runs. */
#define CPU_HOST_RSP (offsetof(struct cpu, calls) + CPU_CALLS * sizeof(uint64_t))

static inline bool cpu_in_long_mode(const struct cpu *cpu)
{
	return cpu->efer & EFER_LMA;
}

static inline bool cpu_in_64bit_mode(const struct cpu *cpu)
{
	return cpu->mode == MODE_64;
}

/*
 * Whether code runs in 64-bit mode or in one page of 32-bit mode after which RIP does not wrap,
 * with no segment in its way: linear addresses of code are RIPs.
 */
static inline bool cpu_is_plain(const struct cpu *cpu)
{
	return likely(cpu->mode == MODE_64) ||
	       (cpu->mode == MODE_FLAT && cpu->rip < UINT32_MAX - PAGE_BYTES + 1);
}

static inline bool cpu_in_real_mode(const struct cpu *cpu)
{
	return !(cpu->cr0 & CR0_PE);
}

static inline bool cpu_in_v86_mode(const struct cpu *cpu)
{
	return cpu->rflags & RFLAGS_VM;
}

static inline bool cpu_in_protected_mode(const struct cpu *cpu)
{
	return (cpu->cr0 & CR0_PE) && !(cpu->rflags & RFLAGS_VM);
}

static inline unsigned cpu_iopl(const struct cpu *cpu)
{
	return (cpu->rflags >> RFLAGS_IOPL_SHIFT) & 3;
}

void jit_prepare_stretches(struct cpu *cpu); /* once */
void jit_forget_stretches(struct cpu *cpu);
/* The same as jit_forget_stack if what is remembered has the page. */
void jit_forget_page(struct cpu *cpu, uint64_t page);

/* Tags of the TLB have changed, or another bank is selected. */
static inline void jit_forget_stack(struct cpu *cpu)
{
	for (unsigned i = 0; i < 3; i++)
		cpu->jit.stack[i] = cpu->jit.flat_stack[i] =
			(struct jit_stack){ cpu->jit.no_stack_page,
					    (uint64_t)(uintptr_t)cpu->jit.no_stack -
						    cpu->jit.no_stack_page };
	if (unlikely(cpu->jit.has_stretches))
		jit_forget_stretches(cpu);
}

static inline void cpu_attention_set(struct cpu *cpu, uint32_t what)
{
	__atomic_or_fetch(&cpu->attention, what, __ATOMIC_SEQ_CST);
	__atomic_store_n(&cpu->poll, true, __ATOMIC_RELEASE);
}

/* An external interrupt may be pending. Any thread. */
static inline void cpu_attention_interrupt(struct cpu *cpu)
{
	cpu_attention_set(cpu, ATTENTION_INTERRUPT);
	if (unlikely(__atomic_load_n(&cpu->interrupts_exit, __ATOMIC_SEQ_CST)))
		cpu_attention_set(cpu, ATTENTION_VIRT);
}

/* What asks for attention now: all of it, but for interrupts only while RFLAGS.IF is set. */
static inline uint32_t cpu_attention_due(const struct cpu *cpu)
{
	return __atomic_load_n(&cpu->attention, __ATOMIC_ACQUIRE) &
	       (cpu->rflags | ~(uint32_t)RFLAGS_IF);
}

/* Whoever sets a bit of `attention` meanwhile is seen in it, or sets `poll` again. */
static inline void cpu_poll_settle(struct cpu *cpu)
{
	if (likely(!__atomic_load_n(&cpu->poll, __ATOMIC_RELAXED)))
		return;
	(void)__atomic_exchange_n(&cpu->poll, false, __ATOMIC_SEQ_CST);
	if (cpu_attention_due(cpu))
		__atomic_store_n(&cpu->poll, true, __ATOMIC_RELAXED);
}

/*
 * Whether a string instruction must pause between two elements. The shadow of STI or MOV SS is that
 * of this very instruction.
 */
static inline bool cpu_must_pause(const struct cpu *cpu)
{
	return cpu_attention_due(cpu) &
	       ~(uint32_t)(ATTENTION_SHADOW | ATTENTION_HALT | ATTENTION_COUNTING);
}

/* Opens an interrupt shadow over the next instruction; the calling one ends its block. */
static inline void cpu_set_shadow(struct cpu *cpu, enum cpu_shadow shadow)
{
	cpu->shadow = shadow;
	cpu_attention_set(cpu, ATTENTION_SHADOW);
}

static inline void cpu_attention_clear(struct cpu *cpu, uint32_t what)
{
	if (__atomic_load_n(&cpu->attention, __ATOMIC_SEQ_CST) & what)
		__atomic_and_fetch(&cpu->attention, ~what, __ATOMIC_SEQ_CST);
}

/*
 * Recomputes what is derived from other state: mode, cpl-dependent tlb_class, ATTENTION_STEP. Call
 * it after any change of CS, CR0, CR4, EFER, CPL, RFLAGS.{VM,TF,RF,AC} or DR7.
 */
void cpu_update_derived(struct cpu *cpu);

/*
 * The part of it that depends on segment registers. Outside 64-bit mode, call it after any change
 * of one that cpu_update_derived does not follow.
 */
void cpu_update_mode(struct cpu *cpu);

/* State after power-on or INIT. SDM3: "Processor Management and Initialization". */
void cpu_reset(struct cpu *cpu);
void cpu_init_reset(struct cpu *cpu);

/* Faults: none of these return; state must be as before the instruction, save what the architecture
 * leaves changed. They unwind to the run loop, which delivers the exception. */
_Noreturn void cpu_raise(struct cpu *cpu, unsigned vector); /* no error code */
_Noreturn void cpu_raise_code(struct cpu *cpu, unsigned vector, uint32_t error);
_Noreturn void cpu_raise_page_fault(struct cpu *cpu, gva_t addr, uint32_t error); /* sets CR2 */
/* A #DB fault (not trap): general detect or code breakpoint; dr6_bits are put into DR6. */
_Noreturn void cpu_raise_debug(struct cpu *cpu, uint64_t dr6_bits);
/* INT n, INT1, INT3, INTO: delivered by the run loop; next_rip is what is pushed. */
_Noreturn void cpu_raise_software(struct cpu *cpu, unsigned vector, enum event_type type,
				  uint64_t next_rip);
/* Ends the current instruction without moving on: a REP string instruction that must let an
 * interrupt in. */
_Noreturn void cpu_resume(struct cpu *cpu);
/* VM exits and entries, with all state in place (cpu->rip is exact): to the run loop, from within
 * an instruction, an event's delivery, or between instructions. */
_Noreturn void cpu_unwind_exit(struct cpu *cpu);
/* The same, and the event is delivered there, as one that VM entry injects: not intercepted, and
 * without effect on CR2, DR6 and DR7. */
_Noreturn void cpu_inject(struct cpu *cpu, const struct event *event);

#endif
