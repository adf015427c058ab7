/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM that lives for some microseconds and shows that ordinary kernels would run: it starts in
 * protected mode as they do, turns on paging and long mode by itself, looks whether it has ring 0,
 * takes #UD and #PF through its IDT and comes back from them, adds vectors, counts at a processor's
 * speed, multiplies, stores, and reports by a port. There are hosts whose KVM emulates a kernel's
 * instructions one by one, as far as it can, and such on which the VM never leaves KVM_RUN: hence
 * the child process and the limits.
 *
 * SDM3: "Initializing IA-32e Mode", "64-Bit Mode Interrupt/Exception Handling".
 */
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvm/kvm.h"
#include "kvm/probe.h"

#define PROCESSOR_LIMIT_MS 1000
#define REAL_LIMIT_MS      10000

/* The trial's memory. The assembler below knows these numbers too, hence no suffixes. */
#define AT_CODE    0x1000
#define AT_PML4    0x2000
#define AT_PDPT    0x3000
#define AT_PD      0x4000
#define AT_PT      0x5000
#define AT_GDT     0x6000
#define AT_IDT     0x7000
#define AT_TABLES  0x8000 /* GDTR, then IDTR */
#define AT_STORED  0x8100
#define AT_VMXON   0x9000
#define AT_STACK   0xb000 /* its end */
#define AT_NOTHING 0xf000 /* not mapped */
#define BYTES      0x10000

#define IDTR_OFFSET 16

#define PORT       0xf4
#define REPORT     0x600d0000 /* plus 1 for #UD, 2 for #PF and, with nesting, 4 for VMXON */
#define GOT_ALL    3
#define GOT_VMXON  4
#define FACTOR     0x123456789
#define EXPECTED   ((uint64_t)FACTOR * FACTOR)
#define CODE_32    0x08
#define CODE_64    0x10
#define DATA       0x18
#define ROUNDS     2000000 /* milliseconds of a processor, seconds of an emulator */
#define WISH_VMXON 1       /* in EDI at the start */

#define STRING_(x)     #x
#define STRING(x)      STRING_(x)
#define ADDRESS(label) "(" #label " - kvm_trial_code + " STRING(AT_CODE) ")"

/* clang-format off */
__asm__(
	".pushsection .rodata\n"
	".globl kvm_trial_code, kvm_trial_ud, kvm_trial_pf, kvm_trial_end\n"
	"kvm_trial_code:\n"
	".code32\n"
	"	movl $0x220, %eax\n" /* CR4.PAE, OSFXSR */
	"	movl %eax, %cr4\n"
	"	movl $" STRING(AT_PML4) ", %eax\n"
	"	movl %eax, %cr3\n"
	"	movl $0xc0000080, %ecx\n"               /* IA32_EFER.LME */
	"	rdmsr\n"
	"	orl $0x100, %eax\n"
	"	wrmsr\n"
	"	movl %cr0, %eax\n"
	"	orl $0x80000000, %eax\n"
	"	movl %eax, %cr0\n"
	"	lgdt " STRING(AT_TABLES) "\n"
	"	ljmp $" STRING(CODE_64) ", $" ADDRESS(1f) "\n"
	".code64\n"
	"1:	movl $" STRING(DATA) ", %eax\n"
	"	movl %eax, %ss\n"
	"	movl %eax, %ds\n"
	"	lidt " STRING(AT_TABLES) " + " STRING(IDTR_OFFSET) "\n"
	"	movl $" STRING(AT_STACK) ", %esp\n"
	"	xorl %ebx, %ebx\n"
	"	movl %cs, %eax\n"                       /* ring 0, and it shows */
	"	cmpl $" STRING(CODE_64) ", %eax\n"
	"	jne 3f\n"
	"	ud2\n"
	"	movb " STRING(AT_NOTHING) ", %al\n"
	"	movd %ebx, %xmm1\n"
	"	paddd %xmm1, %xmm1\n"
	"	movl $" STRING(ROUNDS) ", %ecx\n"
	"4:	decl %ecx\n"
	"	jnz 4b\n"
	"	movabsq $" STRING(FACTOR) ", %rax\n"
	"	mulq %rax\n"
	"	movq %rax, " STRING(AT_STORED) "\n"
	"	cmpl $" STRING(WISH_VMXON) ", %edi\n"
	"	jne 2f\n"
	"	movq %cr4, %rax\n"
	"	orl $0x2000, %eax\n"                    /* CR4.VMXE */
	"	movq %rax, %cr4\n"
	"	movl $0x480, %ecx\n"                    /* IA32_VMX_BASIC: the revision */
	"	rdmsr\n"
	"	andl $0x7fffffff, %eax\n"
	"	movl %eax, " STRING(AT_VMXON) "\n"
	"	pushq $" STRING(AT_VMXON) "\n"
	"	vmxon (%rsp)\n"
	"	jbe 2f\n"
	"	addl $" STRING(GOT_VMXON) ", %ebx\n"
	"	vmxoff\n"
	"2:	leal " STRING(REPORT) "(%rbx), %eax\n"
	"3:	outl %eax, $" STRING(PORT) "\n"
	"	hlt\n"
	"	jmp 3b\n"
	"kvm_trial_ud:\n"
	"	cmpl $" STRING(CODE_64) ", 8(%rsp)\n"   /* CS as it was */
	"	jne 3b\n"
	"	addq $2, (%rsp)\n"                      /* over UD2 */
	"	addl $1, %ebx\n"
	"	iretq\n"
	"kvm_trial_pf:\n"
	"	popq %rcx\n"                            /* the error code */
	"	testl %ecx, %ecx\n"                     /* a supervisor's read of what is not there */
	"	jne 3b\n"
	"	movq %cr2, %rax\n"
	"	cmpl $" STRING(AT_NOTHING) ", %eax\n"
	"	jne 3b\n"
	"	addq $7, (%rsp)\n"                      /* over MOV */
	"	addl $2, %ebx\n"
	"	iretq\n"
	"kvm_trial_end:\n"
	".popsection\n");
/* clang-format on */

extern const uint8_t kvm_trial_code[], kvm_trial_ud[], kvm_trial_pf[], kvm_trial_end[];

static void map_page(uint8_t *memory, unsigned table, unsigned index, uint64_t target)
{
	store_le(memory + table + 8 * index, target | 3 /* present, writable, the supervisor's */,
		 8);
}

static void put_gate(uint8_t *memory, unsigned vector, const uint8_t *handler)
{
	uint64_t target = AT_CODE + (uint64_t)(handler - kvm_trial_code);

	store_le(memory + AT_IDT + 16 * vector,
		 target | CODE_64 << 16 | 0x8eull << 40 /* present, an interrupt gate */, 8);
}

static void fill_memory(uint8_t *memory)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00af9b000000ffff,
					0x00cf93000000ffff };

	memcpy(memory + AT_CODE, kvm_trial_code, (size_t)(kvm_trial_end - kvm_trial_code));
	memcpy(memory + AT_GDT, gdt, sizeof(gdt));
	map_page(memory, AT_PML4, 0, AT_PDPT);
	map_page(memory, AT_PDPT, 0, AT_PD);
	map_page(memory, AT_PD, 0, AT_PT);
	for (unsigned page = 0; page < AT_NOTHING / PAGE_BYTES; page++)
		map_page(memory, AT_PT, page, page * PAGE_BYTES);
	put_gate(memory, 6, kvm_trial_ud);
	put_gate(memory, 14, kvm_trial_pf);
	store_le(memory + AT_TABLES, sizeof(gdt) - 1, 2);
	store_le(memory + AT_TABLES + 2, AT_GDT, 8);
	store_le(memory + AT_TABLES + IDTR_OFFSET, 16 * 32 - 1, 2);
	store_le(memory + AT_TABLES + IDTR_OFFSET + 2, AT_IDT, 8);
}

/* Protected mode with flat segments. */
static void set_registers(struct kvm_vcpu *vcpu, bool wants_vmxon)
{
	const struct engine_segment data = { DATA, 0, 0xffffffff, 0xc093 };
	const struct engine_registers regs = {
		.gpr[7] = wants_vmxon ? WISH_VMXON : 0,
		.rip = AT_CODE,
		.rflags = 2,
		.es = data,
		.cs = { CODE_32, 0, 0xffffffff, 0xc09b },
		.ss = data,
		.ds = data,
		.fs = data,
		.gs = data,
		.ldtr = { 0, 0, 0, 0x10000 },
		.tr = { 0, 0, 0xffff, 0x8b },
		.cr0 = 0x31, /* PE, ET, NE */
	};

	kvm_state_set(vcpu, &regs);
}

/* Until it reports. Pokes come from nowhere here, signals may. */
static int run(struct kvm_vcpu *vcpu, uint32_t *report, struct error *err)
{
	const struct kvm_run *run = vcpu->run;
	int ret;

	do {
		ret = ioctl(vcpu->fd, KVM_RUN, 0);
	} while (ret && errno == EINTR);
	if (ret)
		return error_set(err, -ENOTSUP, "the probe's VM does not run: %s", strerror(errno));
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT)
		return error_set(err, -ENOTSUP,
				 "no long mode: the probe's 64-bit code ended with KVM's exit "
				 "reason %u",
				 run->exit_reason);
	*report = (uint32_t)load_le((const uint8_t *)run + run->io.data_offset, 4);
	return 0;
}

static int judge(const uint8_t *memory, uint32_t report, bool wants_vmxon, struct error *err)
{
	if ((report & ~GOT_VMXON) != (REPORT | GOT_ALL) ||
	    load_le(memory + AT_STORED, 8) != EXPECTED)
		return error_set(err, -ENOTSUP,
				 "no long mode: the probe's 64-bit code came to another result "
				 "than on a processor (%#x)",
				 report);
	if (wants_vmxon && !(report & GOT_VMXON))
		return error_set(err, -ENOTSUP,
				 "--nested on: the host offers VT-x to guests, but VMXON fails");
	return 0;
}

static int try_vm(int device, enum cpu_vendor vendor, bool nested, struct error *err)
{
	struct kvm kvm = { .config = { .vendor = vendor, .vcpus = 1, .nested = nested } };
	struct kvm_vcpu vcpu = { .kvm = &kvm, .thread = pthread_self() };
	bool wants_vmxon = nested && vendor == CPU_INTEL;
	struct kvm_userspace_memory_region region = { .memory_size = BYTES };
	uint8_t *memory =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t report = 0;
	int ret = memory == MAP_FAILED ? -errno : kvm_vm_make(&kvm, device);

	region.userspace_addr = (uintptr_t)memory;
	if (!ret && ioctl(kvm.fd, KVM_SET_USER_MEMORY_REGION, &region))
		ret = -errno;
	if (!ret)
		ret = kvm_vcpu_make(&vcpu);
	if (ret)
		return error_set(err, ret, "KVM cannot make the probe's VM: %s", strerror(-ret));
	fill_memory(memory);
	set_registers(&vcpu, wants_vmxon);
	if (vcpu.is_broken)
		return error_set(err, -ENOTSUP, "KVM refuses the state of the probe's VM");
	ret = run(&vcpu, &report, err);
	return ret ? ret : judge(memory, report, wants_vmxon, err);
}

/* ---- the child and its time ---- */

_Noreturn static void child(int device, int out, enum cpu_vendor vendor, bool nested)
{
	const struct itimerval limit = { .it_value = { PROCESSOR_LIMIT_MS / 1000,
						       PROCESSOR_LIMIT_MS % 1000 * 1000 } };
	struct error err = { "" };
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null >= 0)
		dup2(null, STDERR_FILENO);
	signal(SIGPROF, SIG_DFL);
	setitimer(ITIMER_PROF, &limit, NULL);
	try_vm(device, vendor, nested, &err);
	if (write(out, err.text, strlen(err.text) + 1) < 0)
		_exit(1);
	_exit(0);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Waits for the child's word. false: the time is over, or it ended without one. */
static bool hear(int in, struct error *err)
{
	uint64_t end = now_ms() + REAL_LIMIT_MS, now;
	size_t len = 0;

	while (len < sizeof(err->text) && (now = now_ms()) < end) {
		struct pollfd wait = { .fd = in, .events = POLLIN };
		ssize_t n;

		if (poll(&wait, 1, (int)(end - now)) <= 0)
			continue;
		n = read(in, err->text + len, sizeof(err->text) - len);
		if (n <= 0)
			return false;
		len += (size_t)n;
		if (!err->text[len - 1])
			return true;
	}
	return false;
}

static int supervise(pid_t pid, int in, struct error *err)
{
	bool is_heard = hear(in, err);

	kill(pid, SIGKILL);
	/* It is dead, about to be, or stuck in the kernel for good: then it is left to init. */
	for (int i = 0; i < 100 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		usleep(1000);
	if (!is_heard)
		return error_set(err, -ENOTSUP,
				 "no long mode: the probe's 64-bit code did not finish in %u ms",
				 PROCESSOR_LIMIT_MS);
	return *err->text ? -ENOTSUP : 0;
}

int kvm_trial(int device, enum cpu_vendor vendor, bool nested, struct error *err)
{
	int ends[2], ret;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return error_set(err, -errno, "the probe's pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0)
		child(device, ends[1], vendor, nested);
	close(ends[1]);
	if (pid < 0)
		ret = error_set(err, -errno, "the probe's process: %s", strerror(errno));
	else
		ret = supervise(pid, ends[0], err);
	close(ends[0]);
	return ret;
}
