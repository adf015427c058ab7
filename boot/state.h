/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processor states in which boot protocols start a kernel. Both have interrupts off and flat
 * segments; general registers but those named are zero.
 */
#ifndef BOOT_STATE_H
#define BOOT_STATE_H

#include "vm/engine.h"

/* Selectors of the flat segments, as the Linux boot protocol demands (__BOOT_CS, __BOOT_DS). */
#define STATE_CODE_SELECTOR 0x10
#define STATE_DATA_SELECTOR 0x18
#define STATE_TASK_SELECTOR 0x20

/*
 * 32-bit protected mode without paging, EIP = entry. A GDT with the same segments is written to
 * LAYOUT_GDT.
 */
void state_protected_mode(struct engine_registers *regs, struct memory *memory, uint32_t entry);

/* 64-bit mode, the first 4 GiB mapped one to one by tables at LAYOUT_PAGE_TABLES. RIP = entry. */
void state_long_mode(struct engine_registers *regs, struct memory *memory, gpa_t entry);

#endif
