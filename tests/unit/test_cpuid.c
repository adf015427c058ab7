/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID as a guest of each CPU model sees it: identity, topology, live bits, and that no feature is
 * shown that cpu_has denies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cpu/model.h"
#include "cpu/msr.h"
#include "cpu/soft.h"

#define TSC_KHZ 2596127

struct machine {
	struct soft soft;
	struct cpu cpu;
};

/* The APIC is looked at for one bit only. */
static uint64_t apic_base_now = 0xfee00900;

uint64_t irq_apic_base(struct irq *irq, unsigned vcpu)
{
	(void)irq;
	(void)vcpu;
	return apic_base_now;
}

static struct machine *machine_create(enum cpu_vendor vendor, unsigned vcpus, unsigned index)
{
	struct machine *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->soft.config.vendor = vendor;
	m->soft.config.vcpus = vcpus;
	m->soft.cpuid = cpuid_table_create(vendor, vcpus, TSC_KHZ, false);
	assert_non_null(m->soft.cpuid);
	cpuid_table_features(m->soft.cpuid, m->soft.features);
	m->cpu.soft = &m->soft;
	m->cpu.index = index;
	m->cpu.xcr0 = XCR0_X87;
	return m;
}

static void machine_destroy(struct machine *m)
{
	cpuid_table_destroy(m->soft.cpuid);
	free(m);
}

static void vendor_of(struct machine *m, uint32_t leaf, char out[13])
{
	struct cpuid_result r = cpuid_query(&m->cpu, leaf, 0);

	memcpy(out, &r.ebx, 4);
	memcpy(out + 4, leaf == 0x40000000 ? &r.ecx : &r.edx, 4);
	memcpy(out + 8, leaf == 0x40000000 ? &r.edx : &r.ecx, 4);
	out[12] = 0;
}

static void models_name_themselves(void **state)
{
	static const char *const vendors[] = { "GenuineIntel", "AuthenticAMD" };
	char text[49] = { 0 };

	(void)state;
	for (unsigned v = CPU_INTEL; v <= CPU_AMD; v++) {
		struct machine *m = machine_create(v, 1, 0);

		vendor_of(m, 0, text);
		assert_string_equal(text, vendors[v]);
		vendor_of(m, 0x40000000, text);
		assert_string_equal(text, "KVMKVMKVM");
		for (unsigned i = 0; i < 3; i++) {
			struct cpuid_result r = cpuid_query(&m->cpu, 0x80000002 + i, 0);

			memcpy(text + 16 * i, &r, 16);
		}
		assert_non_null(strstr(text, "Nidus"));
		machine_destroy(m);
	}
}

static void leaves_show_the_feature_words(void **state)
{
	(void)state;
	for (unsigned v = CPU_INTEL; v <= CPU_AMD; v++) {
		struct machine *m = machine_create(v, 1, 0);

		assert_false(cpuid_query(&m->cpu, 1, 0).ecx & FEATURE_MASK(FEATURE_MONITOR));
		m->cpu.msr.misc_enable = MISC_ENABLE_MONITOR;
		for (unsigned i = 0; i < CPUID_WORDS; i++) {
			const struct cpuid_word_place *place = &cpuid_word_places[i];
			struct cpuid_result r = cpuid_query(&m->cpu, place->leaf, place->subleaf);
			uint32_t shown = (&r.eax)[place->reg];

			assert_int_equal(shown & m->soft.features[i], m->soft.features[i]);
			if (m->soft.features[i] && i != CPUID_8000_0001_EDX)
				assert_int_equal(shown, m->soft.features[i]);
		}
		assert_false(cpu_has(&m->cpu, FEATURE_VMX));
		assert_false(cpu_has(&m->cpu, FEATURE_SVM));
		assert_true(cpu_has(&m->cpu, FEATURE_SMAP));
		machine_destroy(m);
	}
}

static void live_bits_follow_the_state(void **state)
{
	struct machine *m = machine_create(CPU_INTEL, 1, 0);

	(void)state;
	assert_false(cpuid_query(&m->cpu, 1, 0).ecx & FEATURE_MASK(FEATURE_OSXSAVE));
	assert_false(cpuid_query(&m->cpu, 7, 0).ecx & FEATURE_MASK(FEATURE_OSPKE));
	m->cpu.cr4 = CR4_OSXSAVE | CR4_PKE;
	assert_true(cpuid_query(&m->cpu, 1, 0).ecx & FEATURE_MASK(FEATURE_OSXSAVE));
	assert_true(cpuid_query(&m->cpu, 7, 0).ecx & FEATURE_MASK(FEATURE_OSPKE));

	assert_true(cpuid_query(&m->cpu, 1, 0).edx & FEATURE_MASK(FEATURE_APIC));
	apic_base_now = 0xfee00100;
	assert_false(cpuid_query(&m->cpu, 1, 0).edx & FEATURE_MASK(FEATURE_APIC));
	apic_base_now = 0xfee00900;

	assert_int_equal(cpuid_query(&m->cpu, 0xd, 0).ebx, 576);
	m->cpu.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_PKRU;
	assert_int_equal(cpuid_query(&m->cpu, 0xd, 0).ebx, XSAVE_PKRU_OFFSET + XSAVE_PKRU_BYTES);
	assert_int_equal(cpuid_query(&m->cpu, 0xd, 1).ebx, 576 + XSAVE_PKRU_BYTES);
	machine_destroy(m);
}

static void topology_is_one_package_of_cores(void **state)
{
	(void)state;
	for (unsigned v = CPU_INTEL; v <= CPU_AMD; v++) {
		struct machine *m = machine_create(v, 3, 2);

		assert_int_equal(cpuid_query(&m->cpu, 1, 0).ebx >> 24, 2);
		assert_int_equal(bits(cpuid_query(&m->cpu, 1, 0).ebx, 23, 16), 4);
		assert_int_equal(cpuid_query(&m->cpu, 0xb, 1).eax, 2);
		assert_int_equal(cpuid_query(&m->cpu, 0xb, 1).ebx, 3);
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(cpuid_query(&m->cpu, 0xb, i).edx, 2);
			assert_int_equal(cpuid_query(&m->cpu, 0xb, i).ecx & 0xff, i);
		}
		if (v == CPU_AMD)
			assert_int_equal(cpuid_query(&m->cpu, 0x8000001e, 0).eax, 2);
		else
			assert_int_equal(cpuid_query(&m->cpu, 4, 0).eax >> 26, 3);
		machine_destroy(m);
	}
}

static void tsc_rate_is_exact(void **state)
{
	struct machine *m = machine_create(CPU_INTEL, 1, 0);
	struct cpuid_result r = cpuid_query(&m->cpu, 0x15, 0);

	(void)state;
	assert_int_equal((uint64_t)r.ecx * r.ebx / r.eax, TSC_KHZ * 1000ull);
	machine_destroy(m);
}

static void leaves_out_of_range_are_the_vendors(void **state)
{
	struct machine *intel = machine_create(CPU_INTEL, 1, 0);
	struct machine *amd = machine_create(CPU_AMD, 1, 0);
	struct cpuid_result last = cpuid_query(&intel->cpu, 0x16, 0);
	struct cpuid_result beyond = cpuid_query(&intel->cpu, 0x1000, 0);

	(void)state;
	assert_memory_equal(&last, &beyond, sizeof(last));
	beyond = cpuid_query(&amd->cpu, 0x1000, 0);
	assert_int_equal(beyond.eax | beyond.ebx | beyond.ecx | beyond.edx, 0);
	machine_destroy(intel);
	machine_destroy(amd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(models_name_themselves),
		cmocka_unit_test(leaves_show_the_feature_words),
		cmocka_unit_test(live_bits_follow_the_state),
		cmocka_unit_test(topology_is_one_package_of_cores),
		cmocka_unit_test(tsc_rate_is_exact),
		cmocka_unit_test(leaves_out_of_range_are_the_vendors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
