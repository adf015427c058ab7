/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x as the guest sees it: the state of one vCPU's VMX operation, and what the files of vmx/ are
 * to each other. SDM3, chapters "Introduction to Virtual Machine Extensions" to "APIC
 * Virtualization".
 *
 * The current VMCS is a struct in host memory; its image in guest memory (revision, abort
 * indicator, then the struct's data) is written back when it stops being current. So VMREAD and
 * VMWRITE are look-ups in a table, and entry and exit touch no guest memory but the lists and
 * bitmaps.
 *
 *   caps.c       capability MSRs, from the tables of what is implemented
 *   fields.c     VMCS encodings ↔ indices
 *   vmcs.c       VMCLEAR, VMPTRLD, VMPTRST, VMREAD, VMWRITE; the shadow VMCS
 *   insn.c       how VMX instructions begin and end; VMXON, VMXOFF, INVEPT, INVVPID
 *   check*.c     the checks of VM entry, in the manual's order, each naming itself
 *   passed.c     what need not be checked again
 *   entry.c      loading guest state, event injection
 *   exit.c       saving guest state, loading host state
 *   state.c      MSR lists, and what entry and exit have in common
 *   intercept.c  instructions that cause exits, and their qualifications
 *   events.c     events that cause exits, timers and windows
 *   ept.c        the second stage
 *   functions.c  VMFUNC
 *   apicv.c      the virtual APIC
 *   vmx.c        virt_vmx: the extension as cpu/ sees it
 */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "cpu/virt.h"
#include "vmx/fields.h"

#define VMX_REVISION   0x4e494401u /* bit 31 clear */
#define VMCS_SHADOW    0x80000000u /* bit 31 of a VMCS's revision: the shadow-VMCS indicator */
#define NO_VMCS        (~0ull)
#define VMCS_BYTES     4096
#define VMX_TIMER_RATE 5 /* the preemption timer counts when this bit of the TSC changes */

#define VMX_CR3_TARGETS 4

/* IA32_FEATURE_CONTROL */
#define FEATURE_CONTROL_LOCKED BIT(0)
#define FEATURE_CONTROL_VMXON  BIT(2) /* outside SMX operation */

enum vmx_msr {
	MSR_VMX_BASIC = 0x480,
	MSR_VMX_PINBASED_CTLS,
	MSR_VMX_PROCBASED_CTLS,
	MSR_VMX_EXIT_CTLS,
	MSR_VMX_ENTRY_CTLS,
	MSR_VMX_MISC,
	MSR_VMX_CR0_FIXED0,
	MSR_VMX_CR0_FIXED1,
	MSR_VMX_CR4_FIXED0,
	MSR_VMX_CR4_FIXED1,
	MSR_VMX_VMCS_ENUM,
	MSR_VMX_PROCBASED_CTLS2,
	MSR_VMX_EPT_VPID_CAP,
	MSR_VMX_TRUE_PINBASED_CTLS,
	MSR_VMX_TRUE_PROCBASED_CTLS,
	MSR_VMX_TRUE_EXIT_CTLS,
	MSR_VMX_TRUE_ENTRY_CTLS,
	MSR_VMX_VMFUNC,
};

/* A VMCS's data. The image in guest memory is the same bytes behind the two header words. */
struct vmcs {
	uint32_t revision;
	uint32_t abort;
	uint32_t is_launched;
	uint32_t launched_in; /* the VMX operation (struct vmx, operations) of VMLAUNCH */
	uint64_t field[VMCS_FIELDS];
};

_Static_assert(sizeof(struct vmcs) <= VMCS_BYTES, "the image fits in the region");

/* Basic exit reasons. SDM3: "VMX Basic Exit Reasons". X(name, number) */
// clang-format off
#define EACH_EXIT_REASON(X) \
	X(EXCEPTION_NMI, 0) X(EXTERNAL_INTERRUPT, 1) X(TRIPLE_FAULT, 2) X(INIT, 3) X(SIPI, 4) \
	X(INTERRUPT_WINDOW, 7) X(NMI_WINDOW, 8) X(TASK_SWITCH, 9) X(CPUID, 10) X(GETSEC, 11) \
	X(HLT, 12) X(INVD, 13) X(INVLPG, 14) X(RDPMC, 15) X(RDTSC, 16) X(RSM, 17) \
	X(VMCALL, 18) X(VMCLEAR, 19) X(VMLAUNCH, 20) X(VMPTRLD, 21) X(VMPTRST, 22) \
	X(VMREAD, 23) X(VMRESUME, 24) X(VMWRITE, 25) X(VMXOFF, 26) X(VMXON, 27) \
	X(CR_ACCESS, 28) X(DR_ACCESS, 29) X(IO, 30) X(RDMSR, 31) X(WRMSR, 32) \
	X(INVALID_GUEST_STATE, 33) X(MSR_LOADING, 34) X(MWAIT, 36) X(MONITOR_TRAP, 37) \
	X(MONITOR, 39) X(PAUSE, 40) X(TPR_BELOW_THRESHOLD, 43) X(APIC_ACCESS, 44) \
	X(VIRTUALIZED_EOI, 45) X(GDTR_IDTR, 46) X(LDTR_TR, 47) X(EPT_VIOLATION, 48) \
	X(EPT_MISCONFIGURATION, 49) X(INVEPT, 50) X(RDTSCP, 51) X(PREEMPTION_TIMER, 52) \
	X(INVVPID, 53) X(WBINVD, 54) X(XSETBV, 55) X(APIC_WRITE, 56) X(RDRAND, 57) \
	X(INVPCID, 58) X(VMFUNC, 59) X(RDSEED, 61) X(PML_FULL, 62) X(XSAVES, 63) \
	X(XRSTORS, 64)
// clang-format on

enum vmx_exit_reason {
#define EXIT_ENUM(name, number) EXIT_##name = (number),
	EACH_EXIT_REASON(EXIT_ENUM)
#undef EXIT_ENUM
};

#define EXIT_ENTRY_FAILURE BIT(31)

#define QUALIFICATION_PDPTE 2 /* of a failed entry */

/* VM-instruction error numbers. SDM3: "VM-Instruction Error Numbers". */
enum vmx_error {
	VMXERR_VMCALL_IN_ROOT = 1,
	VMXERR_VMCLEAR_ADDRESS = 2,
	VMXERR_VMCLEAR_VMXON_POINTER = 3,
	VMXERR_VMLAUNCH_NOT_CLEAR = 4,
	VMXERR_VMRESUME_NOT_LAUNCHED = 5,
	VMXERR_VMRESUME_AFTER_VMXOFF = 6,
	VMXERR_ENTRY_CONTROLS = 7,
	VMXERR_ENTRY_HOST_STATE = 8,
	VMXERR_VMPTRLD_ADDRESS = 9,
	VMXERR_VMPTRLD_VMXON_POINTER = 10,
	VMXERR_VMPTRLD_REVISION = 11,
	VMXERR_UNSUPPORTED_FIELD = 12,
	VMXERR_VMXON_IN_ROOT = 15,
	VMXERR_ENTRY_MOV_SS = 26,
	VMXERR_INVEPT_INVVPID_OPERAND = 28,
};

#define EPT_PLACES      128
#define EPT_REGION_BITS 21

/* What ept.c remembers of a region of 2 MiB: a table on the way to its pages. */
struct ept_place {
	uint64_t region, root;
	uint64_t rights; /* AND of the entries above */
	unsigned level;
	uint64_t *table; /* host address, or NULL: nothing */
};

/* One vCPU's VMX operation: cpu->virt_state. */
struct vmx {
	bool is_on;          /* in VMX operation */
	uint32_t operations; /* counts VMXON, so that VMRESUME knows a VMCS of before VMXOFF */
	gpa_t vmxon_region;
	gpa_t current;    /* address of the current VMCS, or NO_VMCS */
	struct vmcs vmcs; /* its data while current != NO_VMCS */
	struct {
		bool is_valid, is_long;
		uint64_t field[VMCS_FIELDS];
	} passed;      /* the fields of the last entry that passed all checks, and its mode */
	bool is_known; /* during an entry: vmx_has_passed */
	uint64_t feature_control;
	bool has_field[VMCS_FIELDS]; /* vmx_caps_has_field */
	struct virt_fields fields;   /* for translated code: vmcs_list_fields */
	uint64_t mask[VMCS_FIELDS];  /* vmcs_field_mask */

	/* Valid in non-root operation: the controls of the current VMCS, as entry found them. */
	uint32_t pin, proc, proc2, exit_ctls, entry_ctls;
	const uint8_t *io_bitmap[2], *msr_bitmap; /* NULL where the control is off */
	uint64_t eptp;
	uint16_t vpid;
	uint64_t timer_deadline; /* of the preemption timer, on the host's TSC scale (clock_tsc) */
	struct timer timer;
	uint64_t timer_armed; /* atomic: the deadline that `timer` was set for; 0: it has fired */
	uint16_t apic_write;  /* register of the virtual APIC to act upon after this instruction */
	bool is_tpr_changed;  /* the same of its TPR, or after entry */
	bool has_virtual_interrupt;  /* one is recognized and waits for delivery */
	uint8_t no_apic[PAGE_BYTES]; /* stands for a virtual-APIC page outside RAM */
	bool is_monitor_trap_pending;
	uint64_t last_pause_tsc, first_pause_tsc; /* PAUSE-loop exiting */
	struct ept_place ept_place[EPT_PLACES];
};

static inline struct vmx *vmx_of(const struct cpu *cpu)
{
	return cpu->virt_state;
}

/* A field of the current VMCS. */
static inline uint64_t vmcs_get(const struct cpu *cpu, enum vmcs_field field)
{
	return vmx_of(cpu)->vmcs.field[field];
}

static inline void vmcs_set(struct cpu *cpu, enum vmcs_field field, uint64_t value)
{
	vmx_of(cpu)->vmcs.field[field] = value;
}

/* ---- caps.c ---- */
uint64_t vmx_caps_msr(const struct cpu *cpu, uint32_t msr); /* 480h to 491h */
/* Bits that must be one in the low half, bits that may be one in the high half: of the TRUE MSRs.
 */
uint64_t vmx_caps_controls(const struct cpu *cpu, enum vmcs_field controls);
/* Whether this processor has the field: those of controls that it lacks do not exist. */
bool vmx_caps_has_field(const struct cpu *cpu, enum vmcs_field field);
uint64_t vmx_caps_ept_vpid(void);
bool vmx_caps_cr0_valid(uint64_t cr0, bool is_unrestricted);
bool vmx_caps_cr4_valid(const struct cpu *cpu, uint64_t cr4);

/* ---- vmcs.c ---- */
void vmcs_write_back(struct cpu *cpu); /* the current VMCS to its image; no current one: nothing */

/* What translated code needs to know of the fields that there are. */
void vmcs_list_fields(struct vmx *vmx);
/* Another VMCS is current, or none, or operation has changed: sets cpu->virt_fields. */
void vmcs_subject_changed(struct cpu *cpu);

/* In non-root operation: whether VMCS shadowing lets VMREAD (VMWRITE) through. */
bool vmcs_is_shadowed(struct cpu *cpu, const struct insn *insn, bool is_write);
/* The instructions, behind the checks of mode, operation and privilege. */
insn_fn vmcs_clear, vmcs_load, vmcs_store, vmcs_read, vmcs_write;

/* ---- insn.c ---- */
/* Any VMX instruction: checks, exit in non-root operation, execution. */
void vmx_execute(struct cpu *cpu, const struct insn *insn);
/* How one ends: flags, and RIP where the instruction ends its block. */
void vmx_succeed(struct cpu *cpu, const struct insn *insn);
void vmx_fail(struct cpu *cpu, const struct insn *insn,
	      enum vmx_error error); /* valid or invalid */
void vmx_fail_invalid(struct cpu *cpu, const struct insn *insn);
/* An operand that names a region: aligned, within the physical-address width. */
bool vmx_region_valid(gpa_t addr);
/* The region's first word; all ones where there is no RAM. */
uint32_t vmx_region_revision(const struct cpu *cpu, gpa_t addr);

/* ---- check.c ---- */
struct vmx_failure {
	const char *field;   /* the VMCS field */
	const char *heading; /* the manual's heading */
	const char *rule;    /* what it says */
	uint64_t value;
};

/* 0, or the VM-instruction error; *failure says which check. */
enum vmx_error vmx_check_controls(struct cpu *cpu, struct vmx_failure *failure);
enum vmx_error vmx_check_host_state(struct cpu *cpu, struct vmx_failure *failure);
/* false: invalid guest state; *qualification is the exit's. */
bool vmx_check_guest_state(struct cpu *cpu, struct vmx_failure *failure, uint64_t *qualification);

/* ---- passed.c ---- */
/* Whether what all checks but those of vmx_check.is_known look at is as it was when it passed. */
bool vmx_has_passed(const struct cpu *cpu);
void vmx_passes(struct cpu *cpu); /* all checks have passed */

/* ---- entry.c ---- */
/* VMLAUNCH and VMRESUME behind their first checks: enters, or fails as the manual says. Ends the
 * block. */
void vmx_enter(struct cpu *cpu, const struct insn *insn, bool is_launch);

/* ---- exit.c ---- */
/*
 * A VM exit at the current instruction (cpu->insn) or at a boundary (cpu->insn NULL): calls
 * vmx_guest_left, saves, loads, and unwinds to the run loop in root operation (cpu_unwind_exit).
 *
 * It sets the exit reason and the qualification. The caller has set before it what only some
 * reasons have: EXIT_INTERRUPTION and its error code (vmx_guest_left makes it invalid for reasons
 * other than EXIT_EXCEPTION_NMI and EXIT_EXTERNAL_INTERRUPT), EXIT_INSTRUCTION_INFORMATION,
 * GUEST_LINEAR_ADDRESS, GUEST_PHYSICAL_ADDRESS.
 */
_Noreturn void vmx_exit(struct cpu *cpu, enum vmx_exit_reason reason, uint64_t qualification);
/* Entry failed behind the checks of controls and host state: no guest state is saved. */
void vmx_exit_failed_entry(struct cpu *cpu, enum vmx_exit_reason reason, uint64_t qualification);

/* ---- events.c ---- */
/*
 * Attention for interrupts and NMIs that wait, on entry and exit: what the other side held back may
 * be open now. No bit is left set for nothing: translated code would look at it in each block.
 */
void vmx_look_for_events(struct cpu *cpu);
/*
 * The last step of VM entry, after in_guest is set and guest state is loaded, before the event to
 * inject is delivered (by cpu_inject): TSC offset and scale, preemption timer, windows, monitor
 * trap, what NMIs do. From here on cpu->nmi_blocked is bit 3 of the guest's interruptibility state,
 * with virtual NMIs or without.
 */
void vmx_guest_entered(struct cpu *cpu);
/*
 * The first step of a VM exit, while the guest's state is still in `cpu` and cpu->insn says which
 * instruction it is: takes back what vmx_guest_entered set up; records the timer, the IDT-vectoring
 * information (from cpu->in_delivery), the instruction length; sets RFLAGS.RF as it is to be saved.
 */
void vmx_guest_left(struct cpu *cpu, enum vmx_exit_reason reason);
/* Bit 12, as exits by faults, EPT violations and a full log have it: where the instruction is an
 * IRET that has ended blocking by NMI. */
uint64_t vmx_nmi_unblocking(const struct cpu *cpu);
void vmx_event(struct cpu *cpu, const struct event *event);
bool vmx_boundary(struct cpu *cpu, enum virt_boundary stage);
/* Before an instruction that tells the time: exits where the preemption timer has expired, so that
 * no guest sees a time behind it, however late the host's timer is. */
void vmx_timer_check(struct cpu *cpu);

/* ---- intercept.c ---- */
void vmx_intercept(struct cpu *cpu, enum virt_intercept what, uint64_t info);
uint64_t vmx_cr_write(struct cpu *cpu, unsigned n, uint64_t value, unsigned gpr, bool is_lmsw);
uint64_t vmx_cr_read(struct cpu *cpu, unsigned n);
/* Exits with the information that the operands of the current instruction give: VMX instructions
 * in non-root operation, and others. */
_Noreturn void vmx_exit_with_operands(struct cpu *cpu, enum vmx_exit_reason reason);

/* ---- ept.c ---- */
void vmx_translate(struct cpu *cpu, l2pa_t addr, const struct virt_access *access,
		   struct virt_page *out);
bool vmx_peek(struct cpu *cpu, l2pa_t addr, const struct virt_access *access,
	      struct virt_page *out);
void vmx_forget_places(struct cpu *cpu); /* whatever is remembered of EPT tables */
/* VMCS field EPT pointer: valid for entry, and for INVEPT of one context. */
bool vmx_eptp_valid(uint64_t eptp);

/* ---- functions.c ---- */
/* VMFUNC, at any privilege level and in any mode: #UD, an exit, or the function. */
insn_fn vmx_function;

/* ---- apicv.c ---- */
/* After entry, in non-root operation and with the guest's state loaded, before any event. */
void vmx_apic_entered(struct cpu *cpu);
void vmx_apic_left(struct cpu *cpu); /* part of an exit, and of an entry that failed */
/* CR8 under PROC_TPR_SHADOW. */
uint64_t vmx_apic_cr8(const struct cpu *cpu);
void vmx_apic_set_cr8(struct cpu *cpu, uint64_t value);
/*
 * Part of vmx_boundary: exits (APIC writes, TPR below threshold, EOI), injects a virtual interrupt,
 * or returns whether one is held back, for which ATTENTION_INTERRUPT must be set.
 */
bool vmx_apic_boundary(struct cpu *cpu, enum virt_boundary stage);
/*
 * An external interrupt has been acknowledged under PIN_POSTED_INTERRUPTS. Whether it was the
 * notification, which causes no exit: what is posted has been taken over.
 */
bool vmx_apic_take_posted(struct cpu *cpu, uint8_t vector);
/* virt_ops */
void vmx_apic_access(struct cpu *cpu, enum virt_apic_access kind, unsigned offset, unsigned size);
void vmx_apic_written(struct cpu *cpu, unsigned offset, unsigned size);
bool vmx_apic_msr(struct cpu *cpu, uint32_t msr, bool is_write, uint64_t *value, bool *is_valid);

#endif
