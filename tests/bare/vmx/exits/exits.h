/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instructions that exit, as tables: with the control, what the exit says, and that the guest goes
 * on behind the instruction; without the control, what the instruction does.
 */
#ifndef BARE_EXITS_H
#define BARE_EXITS_H

#include "tests/bare/vmx/vmx.h"

struct exiting {
	const char *name;
	const void *code;
	uint32_t proc, proc2; /* the controls; none: it exits always */
	uint32_t reason, length;
	uint64_t qualification;
	uint32_t information; /* 0: not looked at */
	bool faults;          /* without the control it raises an exception */
};

static inline bool exits_as_told(const struct exiting *e)
{
	return vmread(EXIT_LENGTH) == e->length && vmread(EXIT_QUALIFICATION) == e->qualification &&
	       (!e->information || vmread(EXIT_INFORMATION) == e->information) &&
	       !(vmread(IDT_VECTORING) & VALID) && !(vmread(EXIT_INTERRUPTION) & VALID);
}

static inline void exits_without(const struct exiting *e)
{
	uint32_t reason;

	vmx_fresh();
	vmwrite(EXCEPTION_BITMAP, 0xffffffff);
	reason = vmx_enter_at(e->code);
	check(reason == (e->faults ? EXIT_EXCEPTION : EXIT_VMCALL), "%s without its control (%x)",
	      e->name, reason);
}

static inline void exits_check_one(const struct exiting *e)
{
	uint32_t reason;

	vmx_fresh();
	vmx_set_proc(e->proc, e->proc2);
	reason = vmx_enter_at(e->code);
	check(reason == e->reason, "%s exits (%x)", e->name, reason);
	check(exits_as_told(e), "%s: length %lu, qualification %lx, information %lx", e->name,
	      vmread(EXIT_LENGTH), vmread(EXIT_QUALIFICATION), vmread(EXIT_INFORMATION));
	check(vmx_skip() == EXIT_VMCALL, "%s: the guest goes on behind it", e->name);
	if (e->proc || e->proc2)
		exits_without(e);
}

static inline void exits_check(const struct exiting *table, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		exits_check_one(&table[i]);
}

#define EXITS_CHECK(table) exits_check(table, sizeof(table) / sizeof((table)[0]))

#endif
