/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: exits by reason with their qualifications, masks and shadows, exceptions and what cuts
 * their delivery short, interrupts, NMIs, windows, the preemption timer, the monitor trap flag.
 */
#include "vmx.h"

/* Pin-based, primary and secondary controls; exit controls */
#define PIN_INTERRUPT (1u << 0)
#define PIN_NMI       (1u << 3)
#define PIN_VNMI      (1u << 5)
#define PIN_TIMER     (1u << 6)
#define INT_WINDOW    (1u << 2)
#define USE_OFFSET    (1u << 3)
#define ON_HLT        (1u << 7)
#define ON_INVLPG     (1u << 9)
#define ON_RDPMC      (1u << 11)
#define ON_RDTSC      (1u << 12)
#define ON_CR3_LOAD   (1u << 15)
#define ON_CR3_STORE  (1u << 16)
#define ON_CR8_LOAD   (1u << 19)
#define ON_CR8_STORE  (1u << 20)
#define NMI_WINDOW    (1u << 22)
#define ON_DR         (1u << 23)
#define ON_IO         (1u << 24)
#define IO_BITMAPS    (1u << 25)
#define TRAP_FLAG     (1u << 27)
#define MSR_BITMAPS   (1u << 28)
#define ON_PAUSE      (1u << 30)
#define ON_TABLES     (1u << 2)
#define HAS_RDTSCP    (1u << 3)
#define ON_WBINVD     (1u << 6)
#define ON_RDRAND     (1u << 11)
#define HAS_INVPCID   (1u << 12)
#define TSC_SCALING   (1u << 25)
#define ACK_INTERRUPT (1u << 15)
#define SAVE_TIMER    (1u << 22)

enum {
	EXCEPTION = 0,
	INTERRUPT = 1,
	TRIPLE_FAULT = 2,
	INTERRUPT_WINDOW_EXIT = 7,
	NMI_WINDOW_EXIT = 8,
	CPUID = 10,
	HLT = 12,
	INVD = 13,
	INVLPG = 14,
	RDPMC = 15,
	RDTSC = 16,
	VMCALL = 18,
	VMREAD = 23,
	CR_ACCESS = 28,
	DR_ACCESS = 29,
	IO = 30,
	RDMSR = 31,
	WRMSR = 32,
	MONITOR_TRAP = 37,
	PAUSE = 40,
	GDTR_IDTR = 46,
	LDTR_TR = 47,
	RDTSCP = 51,
	TIMER = 52,
	WBINVD = 54,
	XSETBV = 55,
	RDRAND = 57,
	INVPCID = 58,
};

#define APIC      0xfee00000u
#define APIC_EOI  0x0b0
#define APIC_SVR  0x0f0
#define APIC_ICR  0x300
#define ICR_SELF  0x40000u
#define ICR_NMI   0x400u
#define VECTOR    0x60u
#define RFLAGS_IF 0x200ull

static uint8_t bitmaps[2][4096] __attribute__((aligned(4096)));
uint64_t vmx_memory[8];
extern char idt_pointer[], stubs[];

static void apic_write(unsigned offset, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(APIC + offset) = value;
}

static void fresh(void)
{
	vmx_set_controls();
	vmx_set_guest();
}

/* ---- instructions, by one control each ---- */

GUEST_CODE(code_vmcall, "");
GUEST_CODE(code_cpuid, "xor %eax, %eax; cpuid");
GUEST_CODE(code_invd, "invd");
GUEST_CODE(code_wbinvd, "wbinvd");
GUEST_CODE(code_hlt, "hlt");
GUEST_CODE(code_invlpg, "mov $0x123456, %eax; invlpg (%rax)");
GUEST_CODE(code_rdpmc, "mov $0, %ecx; rdpmc");
GUEST_CODE(code_rdtsc, "rdtsc");
GUEST_CODE(code_rdtscp, "rdtscp");
GUEST_CODE(code_pause, "pause");
GUEST_CODE(code_xsetbv, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax; xsetbv");
GUEST_CODE(code_rdrand, "rdrand %r9");
GUEST_CODE(code_invpcid, "xor %ecx, %ecx; invpcid vmx_memory, %rcx");
GUEST_CODE(code_vmread, "mov $0x6800, %ebx; vmread %rbx, %r10");
GUEST_CODE(code_sgdt, "lea vmx_memory, %rbx; mov $2, %ecx; sgdt 0x10(%rbx, %rcx, 4)");
GUEST_CODE(code_lidt, "lidt idt_pointer");
GUEST_CODE(code_str, "str %r11");
GUEST_CODE(code_sldt, "sldt vmx_memory");
GUEST_CODE(code_dr_write, "mov %rsi, %dr3");
GUEST_CODE(code_dr_read, "mov %dr6, %r8");
GUEST_CODE(code_cr8_write, "mov %r12, %cr8");
GUEST_CODE(code_cr8_read, "mov %cr8, %rdx");

struct simple {
	const char *name;
	const void *code;
	uint32_t proc, proc2; /* none: always */
	uint32_t reason, length;
	uint64_t qualification;
	uint32_t information; /* 0: not looked at */
	bool faults;          /* without the control it raises an exception */
};

#define ADDRESS(x) ((uintptr_t)(x))

static const struct simple simple[] = {
	{ "CPUID", code_cpuid, 0, 0, CPUID, 2, 0, 0, false },
	{ "INVD", code_invd, 0, 0, INVD, 2, 0, 0, false },
	{ "XSETBV", code_xsetbv, 0, 0, XSETBV, 3, 0, 0, false },
	{ "VMREAD", code_vmread, 0, 0, VMREAD, 4, 0, 0x30000450, false },
	{ "WBINVD", code_wbinvd, 0, ON_WBINVD, WBINVD, 2, 0, 0, false },
	{ "INVLPG", code_invlpg, ON_INVLPG, 0, INVLPG, 3, 0x123456, 0, false },
	{ "RDPMC", code_rdpmc, ON_RDPMC, 0, RDPMC, 2, 0, 0, true },
	{ "RDTSC", code_rdtsc, ON_RDTSC, 0, RDTSC, 2, 0, 0, false },
	{ "RDTSCP", code_rdtscp, ON_RDTSC, HAS_RDTSCP, RDTSCP, 3, 0, 0, true },
	{ "PAUSE", code_pause, ON_PAUSE, 0, PAUSE, 2, 0, 0, false },
	{ "RDRAND", code_rdrand, 0, ON_RDRAND, RDRAND, 4, 0, 0x1048, false },
	{ "INVPCID", code_invpcid, ON_INVLPG, HAS_INVPCID, INVPCID, 10, ADDRESS(vmx_memory),
	  0x18418100, true },
	{ "SGDT", code_sgdt, 0, ON_TABLES, GDTR_IDTR, 5, 0x10, 0x1858902, false },
	{ "LIDT", code_lidt, 0, ON_TABLES, GDTR_IDTR, 8, ADDRESS(idt_pointer), 0x38418900, false },
	{ "STR", code_str, 0, ON_TABLES, LDTR_TR, 4, 0, 0x10000458, false },
	{ "SLDT", code_sldt, 0, ON_TABLES, LDTR_TR, 8, ADDRESS(vmx_memory), 0x8418100, false },
	{ "MOV to DR3", code_dr_write, ON_DR, 0, DR_ACCESS, 3, 0x603, 0, false },
	{ "MOV from DR6", code_dr_read, ON_DR, 0, DR_ACCESS, 4, 0x816, 0, false },
	{ "MOV to CR8", code_cr8_write, ON_CR8_LOAD, 0, CR_ACCESS, 4, 0xc08, 0, false },
	{ "MOV from CR8", code_cr8_read, ON_CR8_STORE, 0, CR_ACCESS, 4, 0x218, 0, false },
};

static bool is_as_told(const struct simple *s)
{
	return vmread(EXIT_LENGTH) == s->length && vmread(EXIT_QUALIFICATION) == s->qualification &&
	       (!s->information || vmread(EXIT_INFORMATION) == s->information);
}

static void test_simple(const struct simple *s)
{
	uint32_t reason;

	fresh();
	vmx_set_proc(s->proc, s->proc2);
	reason = vmx_enter_at(s->code);
	check(reason == s->reason, "%s exits (%x)", s->name, reason);
	check(is_as_told(s), "%s: length %lu, qualification %lx, information %lx", s->name,
	      vmread(EXIT_LENGTH), vmread(EXIT_QUALIFICATION), vmread(EXIT_INFORMATION));
	check(vmx_skip() == VMCALL, "%s: the guest goes on behind it", s->name);
	if (!s->proc && !s->proc2)
		return;
	fresh();
	vmwrite(EXCEPTION_BITMAP, 0xffffffff);
	reason = vmx_enter_at(s->code);
	check(reason == (s->faults ? EXCEPTION : VMCALL), "%s without its control (%x)", s->name,
	      reason);
}

static void test_instructions(void)
{
	fresh();
	check(vmx_enter_at(code_vmcall) == VMCALL && vmread(EXIT_LENGTH) == 3, "VMCALL exits");
	check(vmread(GUEST_RIP) == ADDRESS(code_vmcall), "at the instruction");
	for (unsigned i = 0; i < sizeof(simple) / sizeof(simple[0]); i++)
		test_simple(&simple[i]);
}

/* ---- control registers ---- */

GUEST_CODE(code_cr0_write, "mov %rbx, %cr0");
GUEST_CODE(code_cr0_read, "mov %cr0, %rbx; smsw %rcx");
GUEST_CODE(code_cr3_write, "mov %rbx, %cr3");
GUEST_CODE(code_cr3_read, "mov %cr3, %r9");
GUEST_CODE(code_clts, "clts; mov %cr0, %rbx");
GUEST_CODE(code_lmsw, "lmsw %bx");
GUEST_CODE(code_cr4_read, "mov %cr4, %rbx");

#define CR0_MP 2ull
#define CR0_TS 8ull

static void test_masks(void)
{
	uint64_t cr0 = READ_CR(0);

	fresh();
	vmwrite(CR0_MASK, CR0_TS | CR0_MP);
	vmwrite(CR0_SHADOW, CR0_TS);
	vmwrite(GUEST_CR0, cr0 & ~CR0_TS);
	vmx_enter_at(code_cr0_read);
	check(guest.rbx == ((cr0 | CR0_TS) & ~CR0_MP) && guest.rcx == guest.rbx,
	      "CR0 reads masked bits from the shadow");
	guest.rbx = (cr0 | CR0_TS) & ~CR0_MP;
	check(vmx_enter_at(code_cr0_write) == VMCALL, "writing what the shadow has does not exit");
	check(vmread(GUEST_CR0) == (cr0 & ~CR0_TS), "and leaves masked bits alone");
	guest.rbx = cr0 & ~CR0_MP & ~CR0_TS;
	check(vmx_enter_at(code_cr0_write) == CR_ACCESS && vmread(EXIT_QUALIFICATION) == 0x300,
	      "writing something else exits");
	check(vmx_enter_at(code_clts) == CR_ACCESS && vmread(EXIT_QUALIFICATION) == 0x20,
	      "CLTS exits where mask and shadow have TS");
	guest.rbx = 3;
	check(vmx_enter_at(code_lmsw) == CR_ACCESS && vmread(EXIT_QUALIFICATION) == 0x30030,
	      "LMSW exits with its operand (%lx)", vmread(EXIT_QUALIFICATION));
	vmwrite(CR0_SHADOW, 0);
	vmwrite(GUEST_CR0, cr0 | CR0_TS);
	check(vmx_enter_at(code_clts) == VMCALL && (vmread(GUEST_CR0) & CR0_TS),
	      "CLTS does nothing where only the mask has TS");
	vmwrite(CR0_MASK, 0);
	check(vmx_enter_at(code_clts) == VMCALL && !(vmread(GUEST_CR0) & CR0_TS),
	      "CLTS clears TS that is the guest's own");
	vmwrite(CR4_MASK, CR4_VMXE);
	vmx_enter_at(code_cr4_read);
	check(guest.rbx == (READ_CR(4) & ~CR4_VMXE), "CR4 without VMXE, by mask");
}

static void test_cr3(void)
{
	fresh();
	vmx_set_proc(ON_CR3_LOAD | ON_CR3_STORE, 0);
	guest.rbx = READ_CR(3);
	check(vmx_enter_at(code_cr3_write) == CR_ACCESS && vmread(EXIT_QUALIFICATION) == 0x303,
	      "MOV to CR3 exits");
	vmwrite(CR3_TARGET, READ_CR(3));
	vmwrite(CR3_TARGET_COUNT, 1);
	check(vmx_enter_at(code_cr3_write) == VMCALL, "but not for a target value");
	check(vmx_enter_at(code_cr3_read) == CR_ACCESS && vmread(EXIT_QUALIFICATION) == 0x913,
	      "MOV from CR3 exits");
}

/* ---- I/O, MSRs, time ---- */

GUEST_CODE(code_out, "mov $0x80, %edx; out %ax, %dx");
GUEST_CODE(code_in, "in $0x71, %al");
GUEST_CODE(code_outs, "mov $0x80, %edx; mov $2, %ecx; lea vmx_memory, %rsi; rep outsl");
GUEST_CODE(code_wrmsr, "mov $0xc0000081, %ecx; rdmsr; wrmsr");

static void test_io(void)
{
	uint32_t reason;

	fresh();
	vmwrite(IO_BITMAP_A, ADDRESS(bitmaps[0]));
	vmwrite(IO_BITMAP_B, ADDRESS(bitmaps[1]));
	vmx_set_proc(ON_IO, 0);
	reason = vmx_enter_at(code_in);
	check(reason == IO && vmread(EXIT_QUALIFICATION) == 0x710048, "IN exits unconditionally");
	vmx_set_proc(ON_IO | IO_BITMAPS, 0);
	check(vmx_enter_at(code_out) == VMCALL, "bitmaps overrule that");
	bitmaps[0][0x81 / 8] = 1 << 0x81 % 8;
	reason = vmx_enter_at(code_out);
	check(reason == IO && vmread(EXIT_QUALIFICATION) == 0x800001, "OUT exits by either port");
	reason = vmx_enter_at(code_outs);
	check(reason == IO && vmread(EXIT_QUALIFICATION) == 0x800033, "REP OUTS exits (%lx)",
	      vmread(EXIT_QUALIFICATION));
	check(vmread(GUEST_LINEAR) == ADDRESS(vmx_memory) && vmread(EXIT_INFORMATION) == 0x18100,
	      "with its address and information %lx", vmread(EXIT_INFORMATION));
	bitmaps[0][0x81 / 8] = 0;
}

static void test_msrs(void)
{
	fresh();
	check(vmx_enter_at(code_wrmsr) == RDMSR, "RDMSR exits without bitmaps");
	vmwrite(MSR_BITMAP, ADDRESS(bitmaps[0]));
	vmx_set_proc(MSR_BITMAPS, 0);
	check(vmx_enter_at(code_wrmsr) == VMCALL, "no bit, no exit");
	bitmaps[0][3072 + 0x81 / 8] = 1 << 0x81 % 8;
	check(vmx_enter_at(code_wrmsr) == WRMSR && guest.rcx == 0xc0000081,
	      "WRMSR exits by its bit");
	bitmaps[0][3072 + 0x81 / 8] = 0;
}

static uint64_t guest_tsc(void)
{
	vmx_enter_at(code_rdtsc);
	return guest.rdx << 32 | (uint32_t)guest.rax;
}

static uint64_t rdtsc(void)
{
	return (uint64_t)__builtin_ia32_rdtsc();
}

static void test_tsc(void)
{
	uint64_t before, seen;

	fresh();
	vmx_set_proc(USE_OFFSET, 0);
	vmwrite(TSC_OFFSET, 1ull << 50);
	before = rdtsc();
	seen = guest_tsc() - (1ull << 50);
	check(seen > before && seen < rdtsc(), "TSC offset");
	vmx_set_proc(USE_OFFSET, TSC_SCALING);
	vmwrite(TSC_OFFSET, 0);
	vmwrite(TSC_MULTIPLIER, 3ull << 48);
	before = rdtsc();
	seen = guest_tsc() / 3;
	check(seen >= before && seen < rdtsc(), "TSC scaling");
}

/* ---- exceptions ---- */

GUEST_CODE(code_ud, "ud2");
GUEST_CODE(code_fault, "mov $0xffff800000001000, %rax; mov %al, (%rax)");
GUEST_CODE(code_int3, "int3");
GUEST_CODE(code_int80, "int $0x80");
GUEST_CODE(code_step, "pushf; orl $0x100, (%rsp); popf; nop; nop");

#define FAULT_ADDRESS 0xffff800000001000ull

static void test_exceptions(void)
{
	uint64_t cr2 = 0x1234;

	fresh();
	vmwrite(EXCEPTION_BITMAP, ~0u);
	vmwrite(PF_MASK, 3);
	vmwrite(PF_MATCH, 2);
	check(vmx_enter_at(code_ud) == EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000306,
	      "#UD exits");
	check(vmread(GUEST_RIP) == ADDRESS(code_ud) && (vmread(GUEST_RFLAGS) & 0x10000),
	      "at the instruction, with RF");
	WRITE_CR(2, cr2);
	check(vmx_enter_at(code_fault) == EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000b0e,
	      "#PF exits");
	check(vmread(EXIT_QUALIFICATION) == FAULT_ADDRESS && vmread(EXIT_INTERRUPTION_ERROR) == 2,
	      "with address and error code");
	check(READ_CR(2) == cr2, "CR2 is as before");
	vmwrite(EXCEPTION_BITMAP, ~(1u << PF));
	vmwrite(PF_MATCH, 3);
	check(vmx_enter_at(code_fault) == EXCEPTION,
	      "#PF with the bit clear exits where none match");
	check(vmx_enter_at(code_int3) == EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000603 &&
		      vmread(EXIT_LENGTH) == 1,
	      "INT3 exits");
	vmwrite(GUEST_RFLAGS, 2);
	check(vmx_enter_at(code_step) == EXCEPTION && vmread(EXIT_QUALIFICATION) == 0x4000,
	      "a single step exits (%lx)", vmread(EXIT_QUALIFICATION));
	check(vmread(GUEST_RIP) == ADDRESS(code_step) + 10, "behind its instruction");
}

static void test_vectoring(void)
{
	fresh();
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
	vmwrite(GUEST_IDTR_LIMIT, 0x20 * 16 - 1);
	check(vmx_enter_at(code_int80) == EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000b0d,
	      "#GP during the delivery of INT 80h exits");
	check(vmread(IDT_VECTORING) == 0x80000480 && vmread(EXIT_LENGTH) == 2,
	      "with IDT-vectoring information %lx", vmread(IDT_VECTORING));
	check(vmread(EXIT_INTERRUPTION_ERROR) == 0x402, "and error code %lx",
	      vmread(EXIT_INTERRUPTION_ERROR));
	vmwrite(GUEST_IDTR_LIMIT, 0);
	vmwrite(EXCEPTION_BITMAP, 1u << DF);
	check(vmx_enter_at(code_fault) == EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000b08,
	      "a double fault exits");
	check(!(vmread(IDT_VECTORING) & VALID), "as an event of its own");
	vmwrite(EXCEPTION_BITMAP, 0);
	check(vmx_enter_at(code_fault) == TRIPLE_FAULT && !(vmread(IDT_VECTORING) & VALID),
	      "a triple fault exits");
}

static volatile unsigned handled;

static void count(struct frame *frame)
{
	(void)frame;
	handled++;
}

static void test_injection(void)
{
	fresh();
	handled = 0;
	set_handler(0x80, count);
	set_handler(VECTOR, count);
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	check(vmx_enter_at(code_vmcall) == VMCALL && handled == 1, "an interrupt is injected");
	check(!(vmread(ENTRY_INTERRUPTION) & VALID), "once");
	vmwrite(ENTRY_INTERRUPTION, VALID | 4 << 8 | 0x80);
	vmwrite(ENTRY_LENGTH, 2);
	check(vmx_enter_at(code_int80) == VMCALL && handled == 2,
	      "INT 80h is injected and returns behind it");
	vmwrite(EXCEPTION_BITMAP, 1u << GP);
	vmwrite(GUEST_IDTR_LIMIT, 0x20 * 16 - 1);
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	check(vmx_enter_at(code_vmcall) == EXCEPTION && vmread(IDT_VECTORING) == (VALID | VECTOR),
	      "what cannot be delivered is told of");
	set_handler(0x80, NULL);
}

/* ---- interrupts, NMIs, windows ---- */

GUEST_CODE(code_self_ipi, "mov $0xfee00300, %eax; movl $0x40060, (%rax); nop; nop");
GUEST_CODE(code_self_nmi, "mov $0xfee00300, %eax; movl $0x40400, (%rax); nop; nop");
GUEST_CODE(code_sti, "sti; nop; nop");
GUEST_CODE(code_iret,
	   "mov %rsp, %rax; mov %ss, %ecx; push %rcx; push %rax; pushf; push $8; lea 1f, %rax; "
	   "push %rax; iretq; 1: nop; nop");
GUEST_CODE(code_spin, "1: jmp 1b");
GUEST_CODE(code_nops, "nop; nop; cpuid");

static void eoi(struct frame *frame)
{
	count(frame);
	apic_write(APIC_EOI, 0);
}

static void test_interrupts(void)
{
	fresh();
	handled = 0;
	set_handler(VECTOR, eoi);
	vmx_set_pin(PIN_INTERRUPT);
	check(vmx_enter_at(code_self_ipi) == INTERRUPT && !vmread(EXIT_INTERRUPTION),
	      "an interrupt exits, IF clear or not");
	check(handled == 0, "it is still pending");
	asm volatile("sti; nop; cli");
	check(handled == 1, "the hypervisor takes it");
	vmx_set_exit(ACK_INTERRUPT);
	check(vmx_enter_at(code_self_ipi) == INTERRUPT &&
		      vmread(EXIT_INTERRUPTION) == (VALID | VECTOR),
	      "acknowledged on exit");
	apic_write(APIC_EOI, 0);
	asm volatile("sti; nop; cli");
	check(handled == 1, "it is gone");
	vmx_set_exit(0);
	vmx_set_pin(0);
	check(vmx_enter_at(code_self_ipi) == VMCALL && handled == 1,
	      "no exit: the guest's IF holds it");
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	check(vmx_enter_at(code_vmcall) == VMCALL && handled == 2, "the guest takes it");
}

static void test_interrupt_window(void)
{
	fresh();
	vmx_set_proc(INT_WINDOW, 0);
	check(vmx_enter_at(code_sti) == INTERRUPT_WINDOW_EXIT, "an interrupt window");
	check(vmread(GUEST_RIP) == ADDRESS(code_sti) + 2, "opens behind STI's shadow");
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(GUEST_ACTIVITY, 1);
	check(vmx_enter_at(code_vmcall) == INTERRUPT_WINDOW_EXIT && vmread(GUEST_ACTIVITY) == 1,
	      "and in HLT");
}

static void test_nmis(void)
{
	fresh();
	handled = 0;
	set_handler(NMI, count);
	vmx_set_pin(PIN_NMI | PIN_VNMI);
	check(vmx_enter_at(code_self_nmi) == EXCEPTION && vmread(EXIT_INTERRUPTION) == 0x80000202,
	      "an NMI exits");
	vmwrite(GUEST_INTERRUPTIBILITY, 8);
	vmx_set_proc(NMI_WINDOW, 0);
	check(vmx_enter_at(code_iret) == NMI_WINDOW_EXIT && !(vmread(GUEST_INTERRUPTIBILITY) & 8),
	      "IRET opens the NMI window");
	check(vmread(GUEST_RIP) == (guest.rax), "at its target");
	vmx_set_proc(0, 0);
	vmwrite(GUEST_INTERRUPTIBILITY, 8);
	check(vmx_enter_at(code_vmcall) == VMCALL && vmread(GUEST_INTERRUPTIBILITY) == 8,
	      "blocking by NMI stays");
	check(vmx_enter_at(code_self_nmi) == EXCEPTION,
	      "NMIs exit though virtual ones are blocked");
	check(handled == 0, "none was delivered");
	asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushf; push $8; lea 1f, %%rax; "
		     "push %%rax; iretq; 1:"
		     :
		     :
		     : "rax", "memory");
	vmwrite(GUEST_INTERRUPTIBILITY, 0);
	vmx_set_pin(0);
	check(vmx_enter_at(code_self_nmi) == VMCALL && handled == 1,
	      "without the control: delivered");
}

static void test_timer(void)
{
	uint64_t before;

	fresh();
	vmx_set_pin(PIN_TIMER);
	vmx_set_exit(SAVE_TIMER);
	vmwrite(PREEMPTION_TIMER, 0);
	check(vmx_enter_at(code_spin) == TIMER, "the preemption timer at once");
	vmwrite(PREEMPTION_TIMER, 20000);
	before = rdtsc();
	check(vmx_enter_at(code_spin) == TIMER && (rdtsc() >> 5) - (before >> 5) >= 20000,
	      "and after a while");
	check(vmread(PREEMPTION_TIMER) == 0, "it is saved as 0");
	vmwrite(PREEMPTION_TIMER, 20000);
	vmwrite(GUEST_ACTIVITY, 1);
	check(vmx_enter_at(code_spin) == TIMER && vmread(GUEST_ACTIVITY) == 1, "it wakes from HLT");
	vmwrite(GUEST_ACTIVITY, 0);
	vmwrite(PREEMPTION_TIMER, 1u << 30);
	vmx_enter_at(code_vmcall);
	check(vmread(PREEMPTION_TIMER) < 1u << 30 && vmread(PREEMPTION_TIMER) > 1u << 29,
	      "the rest is saved");
}

static void test_trap_flag(void)
{
	fresh();
	vmx_set_proc(TRAP_FLAG, 0);
	check(vmx_enter_at(code_nops) == MONITOR_TRAP &&
		      vmread(GUEST_RIP) == ADDRESS(code_nops) + 1,
	      "the monitor trap flag: one instruction");
	check(vmx_enter() == MONITOR_TRAP && vmread(GUEST_RIP) == ADDRESS(code_nops) + 2, "two");
	check(vmx_enter() == CPUID, "an exit comes before it");
	handled = 0;
	set_handler(VECTOR, count);
	vmwrite(GUEST_RFLAGS, 2 | RFLAGS_IF);
	vmwrite(ENTRY_INTERRUPTION, VALID | VECTOR);
	check(vmx_enter_at(code_nops) == MONITOR_TRAP &&
		      vmread(GUEST_RIP) == (uintptr_t)stubs + 16 * VECTOR,
	      "an injected event: before its handler");
}

static void test_hlt(void)
{
	fresh();
	vmx_set_proc(ON_HLT, 0);
	check(vmx_enter_at(code_hlt) == HLT && vmread(EXIT_LENGTH) == 1, "HLT exits");
	fresh();
	handled = 0;
	vmx_set_pin(PIN_INTERRUPT | PIN_TIMER);
	vmwrite(PREEMPTION_TIMER, 1000000);
	check(vmx_enter_at(code_hlt) == TIMER && vmread(GUEST_ACTIVITY) == 1,
	      "HLT without exit halts");
}

static void test_failed_entries(void)
{
	fresh();
	vmwrite(GUEST_RFLAGS, 0);
	check(vmx_enter_at(code_vmcall) == (VALID | 33),
	      "RFLAGS without bit 1: invalid guest state");
	vmwrite(GUEST_RFLAGS, 2);
	check(vmx_enter_at(code_vmcall) == VMCALL, "and with it a good one");
}

void test_main(void)
{
	if (!vmx_start()) {
		check(false, "VMX operation");
		return;
	}
	out8(0x21, 0xff); /* no interrupts but those of the tests */
	out8(0xa1, 0xff);
	apic_write(APIC_SVR, 0x1ff);
	WRITE_CR(4, READ_CR(4) | 1ull << 18);
	vmx_set_up();
	test_instructions();
	test_masks();
	test_cr3();
	test_io();
	test_msrs();
	test_tsc();
	test_exceptions();
	test_vectoring();
	test_injection();
	test_interrupts();
	test_interrupt_window();
	test_nmis();
	test_timer();
	test_trap_flag();
	test_hlt();
	test_failed_entries();
}
