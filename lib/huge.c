/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory in huge pages: see lib/huge.h. */
#define _GNU_SOURCE
#include "lib/huge.h"

#include <sys/mman.h>

/* What a mapping is at least: it ends where a huge page does. */
static size_t whole(size_t bytes)
{
	return align_up(bytes, HUGE_PAGE_BYTES);
}

void *huge_map(size_t bytes)
{
	size_t mapped = whole(bytes) + HUGE_PAGE_BYTES, before;
	uint8_t *p = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	before = align_up((uintptr_t)p, HUGE_PAGE_BYTES) - (uintptr_t)p;
	if (before)
		munmap(p, before);
	if (before < HUGE_PAGE_BYTES)
		munmap(p + before + whole(bytes), HUGE_PAGE_BYTES - before);
	madvise(p + before, whole(bytes), MADV_HUGEPAGE); /* a wish */
	return p + before;
}

void huge_unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, whole(bytes));
}
