/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The GS base, set by the instruction, where there is one, and by the kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/gsbase.h"

static uint64_t at_gs_base(void)
{
	uint64_t value;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(value));
	return value;
}

static void expect_base_is_set(bool has_instruction)
{
	static const uint64_t words[] = { 0x1122334455667788, 0x99aabbccddeeff00 };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		gsbase_set(&words[i], has_instruction);
		assert_int_equal(at_gs_base(), words[i]);
	}
}

static void kernel_sets_it(void **state)
{
	(void)state;
	expect_base_is_set(false);
}

static void instruction_sets_it(void **state)
{
	(void)state;
	if (!gsbase_has_instruction()) {
		print_message("skip: the host has no FSGSBASE\n");
		skip();
	}
	expect_base_is_set(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_sets_it),
		cmocka_unit_test(instruction_sets_it),
	};

	return cmocka_run_group_tests_name("gsbase", tests, NULL, NULL);
}
