/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The segments that SYSCALL and its kin make up, and where the MSRs have their selectors: for the
 * handlers and for the emitters of the translator. SDM2 and APM3: the instructions' own pages.
 */
#ifndef CPU_EXEC_SYSCALL_H
#define CPU_EXEC_SYSCALL_H

#include "cpu/x86.h"

#define SYSCALL_LIMIT    0xffffffffu
#define SYSCALL_CODE     (SEG_P | SEG_S | SEG_G | SEG_CODE | SEG_WRITABLE | SEG_ACCESSED)
#define SYSCALL_STACK    (SEG_P | SEG_S | SEG_G | SEG_DB | SEG_WRITABLE | SEG_ACCESSED)
#define SYSCALL_SELECTOR 0xfffcu   /* of a selector in an MSR, what counts */
#define SYSRET_FLAGS     0x3c7fd7u /* what R11 may set */
#define STAR_SYSCALL     32        /* shifts */
#define STAR_SYSRET      48
#define SYSCALL_TO_SS    8  /* the stack's selector follows the code's */
#define SYSRET_64        16 /* from the selector in STAR to that of 64-bit code */
#define SYSCALL_USER     3u /* CPL and RPL after SYSRET */

#endif
