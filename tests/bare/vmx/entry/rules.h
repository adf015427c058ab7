/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of VM entry as tables: each row spoils a VMCS that can be entered by a few settings,
 * and says how entry must end then.
 */
#ifndef BARE_ENTRY_RULES_H
#define BARE_ENTRY_RULES_H

#include "tests/bare/vmx/ept.h"

#define SETTINGS      8
#define BEYOND        (1ull << 52) /* every physical-address width */
#define NOT_CANONICAL (1ull << 48)

struct setting {
	uint32_t field;
	enum { KEEP, SET, OR, CLEAR } how;
	uint64_t value;
};

struct rule {
	const char *name;
	struct setting set[SETTINGS];
};

#define IS(field, value)          \
	{                         \
		field, SET, value \
	}
#define PLUS(field, value)       \
	{                        \
		field, OR, value \
	}
#define MINUS(field, value)         \
	{                           \
		field, CLEAR, value \
	}
#define PROC2(bits) PLUS(PROC_CONTROLS, PROC_SECONDARY), PLUS(PROC_CONTROLS2, bits)

/* How entry ends */
#define FAILS_CONTROLS (NO_ENTRY - 7ull)
#define FAILS_HOST     (NO_ENTRY - 8ull)
#define FAILS_GUEST    (ENTRY_FAILED | EXIT_BAD_GUEST)
#define ENTERS         EXIT_VMCALL

GUEST_CODE(rules_code, "");

static inline void rules_apply(const struct rule *rule)
{
	vmx_set_up();
	vmwrite(GUEST_RIP, ADDRESS(rules_code));
	for (unsigned i = 0; i < SETTINGS; i++) {
		const struct setting *set = &rule->set[i];
		uint64_t old = vmread(set->field);

		if (set->how == SET)
			vmwrite(set->field, set->value);
		else if (set->how == OR)
			vmwrite(set->field, old | set->value);
		else if (set->how == CLEAR)
			vmwrite(set->field, old & ~set->value);
	}
}

/* The exit reason, or NO_ENTRY less the VM-instruction error. */
static inline uint64_t rules_enter(void)
{
	uint32_t reason = vmx_enter();

	return reason == NO_ENTRY ? NO_ENTRY - vmread(INSTRUCTION_ERROR) : reason;
}

/* `qualification` counts where guest state is what fails. */
static inline void rules_check(const struct rule *rules, unsigned count, uint64_t outcome,
			       uint64_t qualification)
{
	for (unsigned i = 0; i < count; i++) {
		bool is_right;
		uint64_t got;

		rules_apply(&rules[i]);
		got = rules_enter();
		is_right = outcome != FAILS_GUEST || vmread(EXIT_QUALIFICATION) == qualification;
		check(got == outcome && is_right, "%s (%lx, qualification %lx)", rules[i].name, got,
		      vmread(EXIT_QUALIFICATION));
	}
	rules_apply(&(const struct rule){ 0 });
	check(rules_enter() == ENTERS, "after these: a good one enters");
}

#define RULES_CHECK(rules, ...) rules_check(rules, sizeof(rules) / sizeof((rules)[0]), __VA_ARGS__)

#endif
