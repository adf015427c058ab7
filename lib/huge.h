/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Zeroed memory in the host's huge pages, where it gives them: for tables of hundreds of KiB and
 * more that are accessed all over. On small pages most such accesses miss the host's first TLB, and
 * each page costs a fault at its first touch.
 */
#ifndef LIB_HUGE_H
#define LIB_HUGE_H

#include "lib/base.h"

#define HUGE_PAGE_BYTES (2 * MIB)

/* Anonymous memory, its start aligned for huge pages; NULL: the host has none. */
void *huge_map(size_t bytes);
void huge_unmap(void *p, size_t bytes); /* accepts NULL */

#endif
