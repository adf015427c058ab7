/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The address types. A host address is a pointer, never one of these.
 */
#ifndef VM_ADDR_H
#define VM_ADDR_H

#include "lib/base.h"

typedef uint64_t gva_t;  /* linear address, after segmentation, before paging */
typedef uint64_t gpa_t;  /* what this VM calls physical */
typedef uint64_t l2pa_t; /* what a nested guest calls physical */

#define PAGE_BITS  12
#define PAGE_BYTES 4096ull
#define PAGE_MASK  (~(PAGE_BYTES - 1))

#endif
