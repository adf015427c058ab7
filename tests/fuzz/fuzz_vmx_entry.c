/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile L1: the input is a list of changes to a VMCS that would be entered, to what it points
 * to and to L2's code, and of entries. The first bytes choose L2's mode and the controls that are
 * on, so that the whole of VT-x is near; an input without them enters a plain 64-bit L2.
 *
 * Nothing may crash, hang, or leave the processor in a state that no processor can be in.
 */
#include "tests/fuzz/vmx_machine.h"

#include <sanitizer/lsan_interface.h>

#define RUNS_MAX 16
#define OPS_MAX  256

#define MODES 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *bytes;
	size_t left;
};

/* `len` bytes as a number; what the input lacks is zero. */
static uint64_t take(struct input *in, unsigned len)
{
	uint64_t value = 0;
	unsigned n = (unsigned)MIN(len, in->left);

	memcpy(&value, in->bytes, n);
	in->bytes += n;
	in->left -= n;
	return value;
}

/* An address that means something, or close to one. */
static uint64_t take_place(struct input *in)
{
	static const uint64_t places[] = {
		DEVICE,         APIC_PAGE,   RAM_BYTES, 0xa0000,    BIT(32), 0xfffff000,
		BIT(46) - 4096, BIT(46),     BIT(51),   BIT(52),    BIT(63), ~0ull << 47,
		BIT(47) - 4096, ~0ull << 12, AT(PAGES), 0xc0000000, 0x9f000, BIT(30),
	};
	uint64_t n = take(in, 1);

	n %= ARRAY_SIZE(places) + PAGES;
	return n < PAGES ? AT(n) : places[n - PAGES];
}

static uint64_t take_value(struct input *in, uint64_t old)
{
	uint64_t kind = take(in, 1) % 8, place;

	switch (kind) {
	case 0:
		return take(in, 8);
	case 1:
	case 2:
		return take_place(in);
	case 3:
		place = take_place(in);
		return place + (uint64_t)(int64_t)(int16_t)take(in, 2);
	case 4:
		return ~0ull;
	case 5:
		return take(in, 2);
	default:
		return old ^ BIT(take(in, 1) % 64);
	}
}

/* ---- modes of L2 ---- */

static void set_code(struct cpu *cpu, uint32_t ar, uint64_t cr0, uint64_t cr4)
{
	vmcs_set(cpu, GUEST_CS_AR, ar);
	vmcs_set(cpu, GUEST_CR0, cr0 | CR0_NE | CR0_ET);
	vmcs_set(cpu, GUEST_CR4, cr4 | CR4_VMXE);
}

static void leave_long_mode(struct cpu *cpu)
{
	vmcs_set(cpu, ENTRY_CONTROLS, vmcs_get(cpu, ENTRY_CONTROLS) & ~ENTRYC_IA32E);
	vmcs_set(cpu, GUEST_EFER, 0);
}

static void set_real_segments(struct cpu *cpu, uint32_t ar)
{
	for (unsigned n = 0; n < SEGMENTS; n++) {
		vmcs_set(cpu, GUEST_ES_SELECTOR + n, AT(PAGE_L2_CODE) >> 4);
		vmcs_set(cpu, GUEST_ES_BASE + n, AT(PAGE_L2_CODE));
		vmcs_set(cpu, GUEST_ES_LIMIT + n, 0xffff);
		vmcs_set(cpu, GUEST_ES_AR + n, ar);
	}
	vmcs_set(cpu, GUEST_RIP, 0);
	vmcs_set(cpu, GUEST_RSP, PAGE_BYTES);
}

static void add(struct cpu *cpu, enum vmcs_field field, uint64_t bits)
{
	vmcs_set(cpu, field, vmcs_get(cpu, field) | bits);
}

static void make_unrestricted(struct cpu *cpu)
{
	add(cpu, PROC_CONTROLS, PROC_SECONDARY);
	add(cpu, PROC_CONTROLS2, PROC2_EPT | PROC2_UNRESTRICTED_GUEST);
	leave_long_mode(cpu);
}

static void set_mode(struct cpu *cpu, unsigned mode)
{
	const uint64_t paging = CR0_PE | CR0_PG;

	switch (mode) {
	case 1: /* compatibility mode */
		vmcs_set(cpu, GUEST_CS_AR, AR_CODE32);
		break;
	case 2: /* 32 bits, PAE */
		leave_long_mode(cpu);
		set_code(cpu, AR_CODE32, paging, CR4_PAE);
		vmcs_set(cpu, GUEST_CR3, AT(PAGE_PDPT_PAE));
		break;
	case 3:
	case 4: /* 32 bits; virtual-8086 mode */
		leave_long_mode(cpu);
		set_code(cpu, AR_CODE32, paging, CR4_PSE);
		vmcs_set(cpu, GUEST_CR3, AT(PAGE_TABLES32));
		if (mode == 3)
			break;
		vmcs_set(cpu, GUEST_RFLAGS, RFLAGS_ONE | RFLAGS_VM);
		set_real_segments(cpu, 0xf3);
		break;
	case 5: /* real mode */
		make_unrestricted(cpu);
		set_real_segments(cpu, 0x93);
		set_code(cpu, 0x9b, 0, 0);
		break;
	case 6: /* protected mode without paging */
		make_unrestricted(cpu);
		set_code(cpu, AR_CODE32, CR0_PE, 0);
		break;
	}
}

/* ---- sets of controls that belong together ---- */

static const struct theme {
	uint32_t pin, proc, proc2, exit_ctls, entry_ctls;
} themes[] = {
	{ .proc2 = PROC2_EPT },
	{ .proc2 = PROC2_VPID },
	{ .pin = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS },
	{ .pin = PIN_PREEMPTION_TIMER, .exit_ctls = EXITC_SAVE_TIMER },
	{ .proc = PROC_TPR_SHADOW, .proc2 = PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS },
	{ .pin = PIN_EXTERNAL_INTERRUPT,
	  .proc = PROC_TPR_SHADOW,
	  .proc2 = PROC2_VIRTUAL_INTERRUPTS },
	{ .pin = PIN_EXTERNAL_INTERRUPT | PIN_POSTED_INTERRUPTS,
	  .proc = PROC_TPR_SHADOW,
	  .proc2 = PROC2_VIRTUAL_INTERRUPTS,
	  .exit_ctls = EXITC_ACK_INTERRUPT },
	{ .proc = PROC_IO_BITMAPS | PROC_MSR_BITMAPS },
	{ .proc2 = PROC2_VMCS_SHADOWING },
	{ .proc2 = PROC2_EPT | PROC2_PML },
	{ .proc = PROC_TSC_OFFSET, .proc2 = PROC2_TSC_SCALING },
	{ .exit_ctls = EXITC_SAVE_PAT | EXITC_LOAD_PAT | EXITC_SAVE_EFER | EXITC_LOAD_EFER,
	  .entry_ctls = ENTRYC_LOAD_PAT | ENTRYC_LOAD_EFER },
	{ .exit_ctls = EXITC_SAVE_DEBUG, .entry_ctls = ENTRYC_LOAD_DEBUG },
	{ .proc = PROC_MONITOR_TRAP },
	{ .proc2 = PROC2_EPT | PROC2_EPT_VE | PROC2_VMFUNC },
	{ .proc2 = PROC2_EPT | PROC2_MODE_BASED_EXECUTE },
	{ .exit_ctls = EXITC_LOAD_PERF_GLOBAL_CTRL, .entry_ctls = ENTRYC_LOAD_PERF_GLOBAL_CTRL },
};

static void add_offered(struct cpu *cpu, enum vmcs_field controls, uint32_t bits)
{
	add(cpu, controls, bits & vmx_caps_controls(cpu, controls) >> 32);
}

static void turn_on(struct cpu *cpu, const struct theme *theme)
{
	add_offered(cpu, PIN_CONTROLS, theme->pin);
	add_offered(cpu, PROC_CONTROLS, theme->proc | (theme->proc2 ? PROC_SECONDARY : 0));
	add_offered(cpu, PROC_CONTROLS2, theme->proc2);
	add_offered(cpu, EXIT_CONTROLS, theme->exit_ctls);
	add_offered(cpu, ENTRY_CONTROLS, theme->entry_ctls);
}

static void choose(struct machine *m, struct input *in)
{
	uint64_t mode = take(in, 1), on = take(in, 3);

	set_mode(m->cpu, mode % MODES);
	for (unsigned n = 0; n < ARRAY_SIZE(themes); n++)
		if (on & BIT(n))
			turn_on(m->cpu, &themes[n]);
	/* With the flags of EPT, every second time. */
	if (mode & 0x80)
		add(m->cpu, EPT_POINTER, BIT(6));
}

/* ---- code ---- */

static const struct snippet {
	uint8_t length, bytes[6];
} snippets[] = {
	{ 2, { 0x0f, 0xa2 } },                   /* cpuid */
	{ 1, { 0xf4 } },                         /* hlt */
	{ 2, { 0x0f, 0x31 } },                   /* rdtsc */
	{ 3, { 0x0f, 0x01, 0xf9 } },             /* rdtscp */
	{ 2, { 0x0f, 0x32 } },                   /* rdmsr */
	{ 2, { 0x0f, 0x30 } },                   /* wrmsr */
	{ 2, { 0x0f, 0x33 } },                   /* rdpmc */
	{ 3, { 0x0f, 0x01, 0xc1 } },             /* vmcall */
	{ 3, { 0x0f, 0x01, 0xc2 } },             /* vmlaunch */
	{ 3, { 0x0f, 0x01, 0xc3 } },             /* vmresume */
	{ 3, { 0x0f, 0x01, 0xc4 } },             /* vmxoff */
	{ 3, { 0x0f, 0x01, 0xd4 } },             /* vmfunc */
	{ 3, { 0x0f, 0x78, 0xc8 } },             /* vmread %rcx, %rax */
	{ 3, { 0x0f, 0x79, 0xc8 } },             /* vmwrite %rax, %rcx */
	{ 3, { 0x0f, 0x78, 0x0e } },             /* vmread %rcx, (%rsi) */
	{ 3, { 0x0f, 0x79, 0x0e } },             /* vmwrite (%rsi), %rcx */
	{ 3, { 0x0f, 0xc7, 0x36 } },             /* vmptrld (%rsi) */
	{ 3, { 0x0f, 0xc7, 0x3e } },             /* vmptrst (%rsi) */
	{ 4, { 0x66, 0x0f, 0xc7, 0x36 } },       /* vmclear (%rsi) */
	{ 4, { 0xf3, 0x0f, 0xc7, 0x36 } },       /* vmxon (%rsi) */
	{ 5, { 0x66, 0x0f, 0x38, 0x80, 0x06 } }, /* invept (%rsi), %rax */
	{ 5, { 0x66, 0x0f, 0x38, 0x81, 0x06 } }, /* invvpid (%rsi), %rax */
	{ 5, { 0x66, 0x0f, 0x38, 0x82, 0x06 } }, /* invpcid (%rsi), %rax */
	{ 3, { 0x0f, 0x22, 0xc0 } },             /* mov %rax, %cr0 */
	{ 3, { 0x0f, 0x22, 0xd8 } },             /* mov %rax, %cr3 */
	{ 3, { 0x0f, 0x22, 0xe0 } },             /* mov %rax, %cr4 */
	{ 4, { 0x44, 0x0f, 0x22, 0xc0 } },       /* mov %rax, %cr8 */
	{ 3, { 0x0f, 0x20, 0xc0 } },             /* mov %cr0, %rax */
	{ 3, { 0x0f, 0x20, 0xd8 } },             /* mov %cr3, %rax */
	{ 4, { 0x44, 0x0f, 0x20, 0xc0 } },       /* mov %cr8, %rax */
	{ 3, { 0x0f, 0x01, 0xf0 } },             /* lmsw %ax */
	{ 2, { 0x0f, 0x06 } },                   /* clts */
	{ 3, { 0x0f, 0x23, 0xf8 } },             /* mov %rax, %dr7 */
	{ 3, { 0x0f, 0x23, 0xc0 } },             /* mov %rax, %dr0 */
	{ 3, { 0x0f, 0x21, 0xf0 } },             /* mov %dr6, %rax */
	{ 1, { 0xec } },                         /* in %dx, %al */
	{ 1, { 0xef } },                         /* out %eax, %dx */
	{ 2, { 0xf3, 0x6c } },                   /* rep insb */
	{ 2, { 0xf3, 0x6f } },                   /* rep outsl */
	{ 2, { 0xf3, 0xa4 } },                   /* rep movsb */
	{ 3, { 0xf3, 0x48, 0xab } },             /* rep stosq */
	{ 3, { 0x48, 0x8b, 0x07 } },             /* mov (%rdi), %rax */
	{ 3, { 0x48, 0x89, 0x07 } },             /* mov %rax, (%rdi) */
	{ 2, { 0x89, 0x07 } },                   /* mov %eax, (%rdi) */
	{ 2, { 0x8b, 0x07 } },                   /* mov (%rdi), %eax */
	{ 4, { 0xf0, 0x48, 0x0f, 0xc1 } },       /* lock xadd, with what follows */
	{ 3, { 0x0f, 0x11, 0x07 } },             /* movups %xmm0, (%rdi) */
	{ 3, { 0x0f, 0xae, 0x07 } },             /* fxsave (%rdi) */
	{ 2, { 0xff, 0x17 } },                   /* call *(%rdi) */
	{ 2, { 0xff, 0xe7 } },                   /* jmp *%rdi */
	{ 1, { 0x50 } },                         /* push %rax */
	{ 1, { 0x9d } },                         /* popf */
	{ 2, { 0x48, 0xcf } },                   /* iretq */
	{ 2, { 0xcd, 0x80 } },                   /* int $0x80 */
	{ 1, { 0xcc } },                         /* int3 */
	{ 1, { 0xf1 } },                         /* int1 */
	{ 2, { 0x0f, 0x0b } },                   /* ud2 */
	{ 1, { 0xfb } },                         /* sti */
	{ 1, { 0xfa } },                         /* cli */
	{ 2, { 0x8e, 0xd0 } },                   /* mov %eax, %ss */
	{ 2, { 0xf3, 0x90 } },                   /* pause */
	{ 3, { 0x0f, 0x01, 0xc8 } },             /* monitor */
	{ 3, { 0x0f, 0x01, 0xc9 } },             /* mwait */
	{ 3, { 0x0f, 0x01, 0xd1 } },             /* xsetbv */
	{ 3, { 0x0f, 0xc7, 0xf0 } },             /* rdrand %eax */
	{ 3, { 0x0f, 0xc7, 0xf8 } },             /* rdseed %eax */
	{ 2, { 0x0f, 0x09 } },                   /* wbinvd */
	{ 2, { 0x0f, 0x08 } },                   /* invd */
	{ 3, { 0x0f, 0x01, 0x3f } },             /* invlpg (%rdi) */
	{ 3, { 0x0f, 0x01, 0x16 } },             /* lgdt (%rsi) */
	{ 3, { 0x0f, 0x01, 0x1e } },             /* lidt (%rsi) */
	{ 3, { 0x0f, 0x01, 0x06 } },             /* sgdt (%rsi) */
	{ 3, { 0x0f, 0x00, 0xd8 } },             /* ltr %ax */
	{ 3, { 0x0f, 0x00, 0xd0 } },             /* lldt %ax */
	{ 4, { 0x48, 0x0f, 0xc7, 0x2e } },       /* xsaves (%rsi) */
	{ 4, { 0x48, 0x0f, 0xc7, 0x1e } },       /* xrstors (%rsi) */
	{ 2, { 0x0f, 0x05 } },                   /* syscall */
	{ 2, { 0x0f, 0x34 } },                   /* sysenter */
	{ 2, { 0xff, 0x2e } },                   /* ljmp *(%rsi) */
	{ 2, { 0xeb, 0xfe } },                   /* jmp . */
};

static void add_code(struct machine *m, const void *bytes, unsigned len)
{
	if (m->code_bytes + len > PAGE_BYTES)
		return;
	put(m, AT(PAGE_L2_CODE) + m->code_bytes, bytes, len);
	m->code_bytes += len;
}

static const struct snippet *take_snippet(struct input *in)
{
	return &snippets[take(in, 1) % ARRAY_SIZE(snippets)];
}

/* ---- what an input can say. false: that was the end ---- */

typedef bool op_fn(struct machine *m, struct input *in);

/* No program can write the current VMCS while L2 runs. */
static void set_field(struct machine *m, unsigned field, uint64_t value)
{
	if (!m->cpu->in_guest)
		vmcs_set(m->cpu, field, value & vmcs_field_mask(vmcs_fields[field].encoding));
}

static bool op_field(struct machine *m, struct input *in)
{
	unsigned field = take(in, 1) % VMCS_FIELDS;

	set_field(m, field, take_value(in, vmcs_get(m->cpu, field)));
	return true;
}

/* One of the controls that this processor offers, over. */
static bool op_control(struct machine *m, struct input *in)
{
	static const uint16_t fields[] = { PIN_CONTROLS, PROC_CONTROLS, PROC_CONTROLS2,
					   EXIT_CONTROLS, ENTRY_CONTROLS };
	unsigned field = fields[take(in, 1) % ARRAY_SIZE(fields)];
	uint64_t offered = vmx_caps_controls(m->cpu, field);

	offered = offered >> 32 & ~offered;
	set_field(m, field, vmcs_get(m->cpu, field) ^ (BIT(take(in, 1) % 32) & offered));
	return true;
}

static bool op_theme(struct machine *m, struct input *in)
{
	const struct theme *theme = &themes[take(in, 1) % ARRAY_SIZE(themes)];

	if (!m->cpu->in_guest)
		turn_on(m->cpu, theme);
	return true;
}

static bool op_memory(struct machine *m, struct input *in)
{
	uint64_t at = take_place(in) + take(in, 2) % (2 * PAGE_BYTES), old = 0;

	memory_read(m->config.memory, at, &old, sizeof(old));
	put8(m, at, take_value(in, old));
	return true;
}

/* An entry of L2's extended page tables: what it points to, and its low bits. */
static bool op_ept(struct machine *m, struct input *in)
{
	uint64_t level = take(in, 1), at = AT(PAGE_EPT + level % 4) + 8 * (take(in, 2) % 512);
	uint64_t value = take_value(in, 0);

	put8(m, at, level & 0x80 ? value : (value & PAGE_MASK) | take(in, 2) % PAGE_BYTES);
	return true;
}

/* An entry of an MSR list; its count is such that it is looked at. */
static bool op_msr(struct machine *m, struct input *in)
{
	static const struct {
		uint16_t page, count;
	} lists[] = { { PAGE_ENTRY_LIST, ENTRY_MSR_LOAD_COUNT },
		      { PAGE_STORE_LIST, EXIT_MSR_STORE_COUNT },
		      { PAGE_LOAD_LIST, EXIT_MSR_LOAD_COUNT } };
	static const uint32_t msrs[] = { 0xc0000080, 0xc0000081, 0xc0000100, 0xc0000102, 0x10,
					 0x1b,       0x277,      0x1d9,      0x174,      0x3a,
					 0x480,      0x48,       0x6e0,      0xda0,      0x4b564d01,
					 0x808,      0x83f,      0x1a0,      0x2ff };
	unsigned list = take(in, 1) % ARRAY_SIZE(lists);
	uint64_t which = take(in, 1), n = vmcs_get(m->cpu, lists[list].count);
	uint32_t msr = which < ARRAY_SIZE(msrs) ? msrs[which] : (uint32_t)take(in, 4);
	gpa_t at = AT(lists[list].page) + n * 16;

	if (n >= 512)
		return true;
	put8(m, at, msr);
	put8(m, at + 8, take_value(in, 0));
	set_field(m, lists[list].count, n + 1);
	return true;
}

static bool op_code(struct machine *m, struct input *in)
{
	uint8_t bytes[8];
	unsigned len = 1 + take(in, 1) % sizeof(bytes);

	store_le(bytes, take(in, len), sizeof(bytes));
	add_code(m, bytes, len);
	return true;
}

static bool op_snippet(struct machine *m, struct input *in)
{
	const struct snippet *snippet = take_snippet(in);

	add_code(m, snippet->bytes, snippet->length);
	return true;
}

static bool op_register(struct machine *m, struct input *in)
{
	unsigned n = take(in, 1) % 16;

	m->cpu->gpr[n] = take_value(in, m->cpu->gpr[n]);
	return true;
}

/* An event to inject, with an error code where it has one. */
static bool op_event(struct machine *m, struct input *in)
{
	static const uint8_t types[] = { EVENT_EXTERNAL,   EVENT_NMI,
					 EVENT_FAULT,      EVENT_SOFT_INT,
					 EVENT_ICEBP,      EVENT_FAULT,
					 EVENT_SOFT_FAULT, 7 };
	static const uint32_t with_error = 0x27d00;
	unsigned type = types[take(in, 1) % sizeof(types)], vector = (uint8_t)take(in, 1);
	uint64_t info = INTERRUPTION_VALID | type << 8;

	if (type == EVENT_FAULT)
		vector %= 32;
	if (type == EVENT_FAULT && (with_error >> vector & 1))
		info |= INTERRUPTION_ERROR;
	if (type == EVENT_NMI)
		vector = EXC_NMI;
	if (type == EVENT_EXTERNAL && !m->cpu->in_guest)
		add(m->cpu, GUEST_RFLAGS, RFLAGS_IF);
	set_field(m, ENTRY_INTERRUPTION, info | (type == 7 ? 0 : vector));
	set_field(m, ENTRY_INSTRUCTION_LENGTH, 2);
	return true;
}

/* The virtual APIC: what it requests and services, and an access of L2's to it, by memory or by
 * MSR. */
static bool op_apic(struct machine *m, struct input *in)
{
	static const struct snippet accesses[] = { { 2, { 0x89, 0x07 } },
						   { 2, { 0x8b, 0x07 } },
						   { 2, { 0x0f, 0x30 } },
						   { 2, { 0x0f, 0x32 } } };
	uint64_t what = take(in, 1), offset = take(in, 1);
	const struct snippet *access = &accesses[what % 4];

	if (what & 0x40)
		set_field(m, GUEST_INTERRUPT_STATUS, take(in, 2));
	if ((what & 0x80) && !m->cpu->in_guest)
		add(m->cpu, GUEST_RFLAGS, RFLAGS_IF);
	m->cpu->gpr[RDI] = APIC_PAGE + offset % 64 * 16;
	m->cpu->gpr[RCX] = 0x800 + offset % 64;
	m->cpu->gpr[RAX] = take(in, what & 0x20 ? 4 : 1);
	m->cpu->gpr[RDX] = 0;
	if (!(what & 0x10))
		add_code(m, access->bytes, access->length);
	return true;
}

static bool op_signal(struct machine *m, struct input *in)
{
	uint8_t vector = (uint8_t)take(in, 1);

	switch (take(in, 1) % 4) {
	case 0:
		signal_vcpu(m, 0, VCPU_NMI, 0);
		break;
	case 1:
		signal_vcpu(m, 0, VCPU_INIT, 0);
		break;
	case 2:
		signal_vcpu(m, 0, VCPU_SIPI, vector);
		break;
	default:
		irq_send_msi(m->config.irq, APIC_PAGE, vector);
	}
	return true;
}

static bool run_l1(struct machine *m, uint64_t offset)
{
	repair_l1(m);
	m->cpu->rip = AT(PAGE_L1_CODE) + offset;
	return machine_run(m);
}

/* Onward in L2, or an entry. */
static bool op_run(struct machine *m, struct input *in)
{
	(void)in;
	if (m->cpu->in_guest)
		return machine_run(m);
	return run_l1(m, vmx_of(m->cpu)->vmcs.is_launched ? L1_RESUME : L1_LAUNCH);
}

/* An instruction of L1's, with RSI at an address operand. */
static bool op_l1(struct machine *m, struct input *in)
{
	static const uint8_t end[] = { 0xe6, STOP_PORT, 0xeb, 0xfc };
	const struct snippet *snippet = take_snippet(in);
	gpa_t at = AT(PAGE_L1_CODE) + L1_FREE;

	if (m->cpu->in_guest)
		return true;
	put8(m, AT(PAGE_DATA), take_place(in));
	m->cpu->gpr[RSI] = AT(PAGE_DATA);
	put(m, at, snippet->bytes, snippet->length);
	put(m, at + snippet->length, end, sizeof(end));
	return run_l1(m, L1_FREE);
}

static op_fn *const ops[] = {
	op_field, op_field, op_field,  op_control, op_theme,   op_memory,
	op_ept,   op_msr,   op_code,   op_snippet, op_snippet, op_register,
	op_event, op_apic,  op_signal, op_run,     op_run,     op_l1,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine machine; /* creating one takes longer than most runs */
	struct input in = { data, size };

	if (!machine.cpu) {
		__lsan_disable(); /* it stays, and some of it is known to mapped memory only */
		machine_create(&machine);
		__lsan_enable();
	}
	machine_reset(&machine);
	choose(&machine, &in);
	for (unsigned n = 0; n < OPS_MAX && in.left; n++)
		if (!ops[take(&in, 1) % ARRAY_SIZE(ops)](&machine, &in))
			return 0;
	op_run(&machine, &in);
	return 0;
}
