/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VT-x: a hostile hypervisor at random, from a printed seed ("seed=N" on the command line), on one
 * processor and on two with one VMCS. Every entry must fail or exit, in bounded time.
 *
 * Spared are what would end this image (host state, the lists of exits) and waiting for SIPI, which
 * the preemption timer does not end as it does everything else.
 */
#include "tests/bare/vmx/hostile/hostile.h"

#define ROUNDS        12000
#define SHARED_ROUNDS 3000

#define NEED_EPT        (PROC2_UNRESTRICTED | PROC2_PML | PROC2_VE | PROC2_MODE_EXECUTE)
#define NEED_TPR_SHADOW (PROC2_X2APIC | PROC2_REGISTERS | PROC2_INTERRUPTS)

static uint8_t region_b[4096] __attribute__((aligned(4096)));
static uint8_t region_ap[4096] __attribute__((aligned(4096)));

/* ---- at random ---- */

static const uint8_t snippets[][5] = {
	{ 0x0f, 0xa2 },
	{ 0xf4 },
	{ 0x0f, 0x31 },
	{ 0x0f, 0x32 },
	{ 0x0f, 0x01, 0xc1 },
	{ 0x0f, 0x01, 0xc2 },
	{ 0x0f, 0x01, 0xd4 },
	{ 0x0f, 0x78, 0xc8 },
	{ 0x0f, 0x79, 0xc8 },
	{ 0x0f, 0xc7, 0x36 },
	{ 0x66, 0x0f, 0x38, 0x80, 6 },
	{ 0x0f, 0x22, 0xc0 },
	{ 0x0f, 0x22, 0xe0 },
	{ 0x44, 0x0f, 0x22, 0xc0 },
	{ 0x0f, 0x20, 0xd8 },
	{ 0x0f, 0x23, 0xf8 },
	{ 0x48, 0x8b, 0x07 },
	{ 0x48, 0x89, 0x07 },
	{ 0x89, 0x07 },
	{ 0xf3, 0xa4 },
	{ 0xf3, 0x48, 0xab },
	{ 0xf0, 0xff, 0x07 },
	{ 0x50 },
	{ 0x9d },
	{ 0x48, 0xcf },
	{ 0xcd, 0x80 },
	{ 0xcc },
	{ 0xf1 },
	{ 0x0f, 0x0b },
	{ 0xfb },
	{ 0x8e, 0xd0 },
	{ 0xf3, 0x90 },
	{ 0x0f, 0x01, 0xd1 },
	{ 0x0f, 0xc7, 0xf0 },
	{ 0x0f, 0x01, 0x3f },
	{ 0x0f, 0x01, 0x16 },
	{ 0x0f, 0x00, 0xd8 },
	{ 0x0f, 0x05 },
	{ 0xff, 0x17 },
	{ 0xff, 0xe7 },
	{ 0xeb, 0xfe },
	{ 0xf3, 0x6c },
	{ 0x0f, 0x01, 0xc8 },
	{ 0x0f, 0x01, 0xc9 },
};

static void random_code(void)
{
	uint8_t *code = (uint8_t *)page(L2_CODE);

	/* Trailing zeros run together with what follows: ADD %al, (%rax). */
	for (unsigned i = 0; i < 8; i++, code += 5)
		for (unsigned j = 0; j < 5; j++)
			code[j] = snippets[random() % (sizeof(snippets) / 5)][j];
	*code++ = 0xeb; /* jmp back */
	*code = (uint8_t)-42;
}

static void random_registers(void)
{
	uint64_t *reg = &guest.rax;

	for (unsigned i = 0; i < sizeof(guest) / sizeof(*reg); i++)
		reg[i] = random() & 1 ? place() + (random() & 0xfff) : random() & 0xffff;
}

/* Controls that are offered; seven times in eight with those that they need. */
static void random_controls(void)
{
	uint32_t pin = (uint32_t)(random() & random()), proc = 0, proc2 = 0,
		 exits = EXITC_LOAD_EFER;
	uint64_t r = random();

	if (r & 1)
		proc = (uint32_t)(random() & random());
	if (r & 2)
		proc2 = (uint32_t)(random() & random());
	if (r & 4)
		exits |= (uint32_t)(random() & random());
	if (r & 0x70) {
		if (proc2 & NEED_EPT)
			proc2 |= PROC2_EPT;
		if (proc2 & NEED_TPR_SHADOW)
			proc |= PROC_TPR_SHADOW;
		if (proc2 & PROC2_X2APIC)
			proc2 &= ~PROC2_APIC_ACCESS;
		if (pin & PIN_POSTED) {
			proc |= PROC_TPR_SHADOW;
			proc2 |= PROC2_INTERRUPTS;
			exits |= EXITC_ACK;
		}
		if (proc & PROC_NMI_WINDOW)
			pin |= PIN_VNMI;
		pin |= (pin & PIN_VNMI ? PIN_NMI : 0) |
		       (proc2 & PROC2_INTERRUPTS ? PIN_INTERRUPT : 0);
	}
	vmx_set_pin(pin | PIN_TIMER);
	vmx_set_proc(proc, proc2);
	vmx_set_exit(exits);
	vmx_set_entry((uint32_t)(random() & random()) | ENTRYC_IA32E);
	vmwrite(EXCEPTION_BITMAP, r & 8 ? random() : 0);
}

/* What would end this image: host state, lists of exits, waiting for SIPI. */
static bool is_spared(uint64_t field)
{
	return (field >> 10 & 3) == 3 || field == EXIT_MSR_STORE || field == EXIT_MSR_LOAD ||
	       field == EXIT_MSR_STORE_COUNT || field == EXIT_MSR_LOAD_COUNT ||
	       field == EXIT_CONTROLS;
}

/* Returns the field; its value before is in *old. */
static uint64_t random_field(uint64_t *old)
{
	uint64_t r = random(), field = (r & 3) << 13 | (r >> 2 & 3) << 10 | (r >> 4 & 31) << 1;
	uint64_t value = r >> 9 & 3 ? place() : random();

	*old = vmread(field);
	if (is_spared(field))
		return field;
	if ((r >> 11 & 3) == 0)
		value = *old ^ 1ull << (r >> 16 & 63);
	if ((r >> 11 & 7) == 1)
		value = r >> 16 & 0xff;
	if (field == GUEST_ACTIVITY && (value & 3) == 3)
		value = 0;
	vmwrite(field, value);
	return field;
}

/* The physical memory that is not behind a table is the sandbox's, too. */
static void keep_in_sandbox(void)
{
	uint32_t proc2 = (uint32_t)vmread(PROC_CONTROLS2);

	if (!(proc2 & PROC2_EPT)) /* then there is no guest without paging */
		vmwrite(GUEST_CR0, vmread(GUEST_CR0) | 1 | 1ull << 31);
	vmwrite(PIN_CONTROLS, vmread(PIN_CONTROLS) | PIN_TIMER);
	vmwrite(PREEMPTION_TIMER, random() & 0x7ff);
}

static void random_list(void)
{
	unsigned count = random() & 7 ? 0 : random() & 0xf;

	for (unsigned i = 0; i < count; i++) {
		page(LIST)[2 * i] = 0xc0000080 + random() % 4;
		page(LIST)[2 * i + 1] = place();
	}
	vmwrite(ENTRY_MSR_LOAD_COUNT, count);
}

struct tally {
	unsigned entered, failed, refused;
};

static void count(struct tally *tally, uint32_t reason)
{
	if (reason == NO_ENTRY)
		tally->refused++;
	else if (reason & VALID)
		tally->failed++;
	else
		tally->entered++;
}

static void random_round(struct tally *tally)
{
	uint64_t fields[4], old[4], changes = random() & 3;

	set_vmcs();
	random_code();
	random_registers();
	random_controls();
	random_list();
	for (unsigned n = 0; n < changes; n++)
		fields[n] = random_field(&old[n]);
	for (uint64_t n = random() & 1; n; n--)
		page(L2_PML4 + random() % (EPT_PT + 1 - L2_PML4))[random() & 511 & random()] =
			table_entry();
	keep_in_sandbox();
	count(tally, vmx_enter());
	while (changes--)
		vmwrite(fields[changes], old[changes]);
}

static void test_random(void)
{
	struct tally tally = { 0 };

	for (unsigned n = 0; n < ROUNDS; n++) {
		if (n % 16 == 0)
			fresh();
		random_round(&tally);
	}
	say("# %u entered, %u failed late, %u refused", tally.entered, tally.failed, tally.refused);
	check(tally.entered + tally.failed + tally.refused == ROUNDS, "every entry has ended");
	check(tally.entered > ROUNDS / 10, "a tenth of them and more had entered");
}

/* ---- two processors, one VMCS ---- */

static volatile bool ap_stop, ap_stopped;

static void second(void)
{
	*(uint32_t *)region_ap = (uint32_t)rdmsr(MSR_VMX_BASIC);
	if (!(rdmsr(MSR_FEATURE_CONTROL) & 1))
		wrmsr(MSR_FEATURE_CONTROL, 5);
	WRITE_CR(4, READ_CR(4) | CR4_VMXE);
	vmx_on(region_ap);
	while (!ap_stop) {
		vmx_clear(region_b);
		if (vmx_load(region_b))
			continue;
		set_vmcs();
		vmwrite(PREEMPTION_TIMER, 100);
		vmx_run(0);
		vmx_run(1);
	}
	vmx_clear(region_b);
	ap_stopped = true;
}

static void test_shared(void)
{
	struct tally tally = { 0 };
	uint64_t field, old;

	fresh();
	random_code();
	*(uint32_t *)region_b = (uint32_t)rdmsr(MSR_VMX_BASIC);
	if (!start_ap(second)) {
		check(false, "a second processor");
		return;
	}
	for (unsigned n = 0; n < SHARED_ROUNDS; n++) {
		if (random() & 1)
			vmx_clear(region_b);
		vmx_load(random() & 3 ? region_b : vmcs_region);
		set_vmcs();
		random_registers();
		field = random_field(&old);
		keep_in_sandbox();
		vmx_is_launched = random() & 1;
		count(&tally, vmx_enter());
		vmwrite(field, old);
	}
	ap_stop = true;
	while (!ap_stopped)
		asm volatile("pause");
	say("# shared: %u entered, %u failed late, %u refused", tally.entered, tally.failed,
	    tally.refused);
	check(tally.entered > 0, "two processors with one VMCS");
}

void test_main(void)
{
	if (!vmx_begin())
		return;
	set_handler(NMI, vmx_count);
	seed = boot_number("seed=", rdtsc() & 0xffffffff) | 1ull << 40;
	say("# seed=%lu", seed & 0xffffffff);
	test_random();
	test_shared();
}
