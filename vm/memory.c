/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: a reservation of host address space as large as the guest's physical space up to
 * the end of RAM, with the RAM ranges mapped anonymously in it. Huge pages of the host are asked
 * for, at the guest's own boundaries of 2 MiB: anonymous memory has them on hosts as they come,
 * that of files (memfd, shmem) where the administrator allows it.
 */
#define _GNU_SOURCE
#include "vm/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/huge.h"

static void lay_out(struct memory *mem)
{
	uint64_t low_top = MIN(mem->size_bytes, MEMORY_LOW_TOP);

	mem->range[0] = (struct memory_range){ 0, MEMORY_VGA_BASE };
	mem->range[1] = (struct memory_range){ MEMORY_VGA_TOP, low_top - MEMORY_VGA_TOP };
	mem->ranges = 2;
	if (mem->size_bytes > low_top)
		mem->range[mem->ranges++] =
			(struct memory_range){ MEMORY_HIGH_BASE, mem->size_bytes - low_top };
	mem->top = mem->range[mem->ranges - 1].base + mem->range[mem->ranges - 1].size_bytes;
}

static int map(struct memory *mem, struct error *err)
{
	void *p = mmap(NULL, mem->top + HUGE_PAGE_BYTES, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return error_set(err, -errno, "guest memory: cannot reserve addresses: %s",
				 strerror(errno));
	mem->reserved = p;
	mem->base = (uint8_t *)(uintptr_t)align_up((uintptr_t)p, HUGE_PAGE_BYTES);
	for (unsigned i = 0; i < mem->ranges; i++) {
		const struct memory_range *r = &mem->range[i];

		p = mmap(mem->base + r->base, r->size_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return error_set(err, -errno, "guest memory: cannot map %llu MiB: %s",
					 (unsigned long long)(r->size_bytes / MIB),
					 strerror(errno));
		madvise(p, r->size_bytes, MADV_HUGEPAGE); /* a wish */
	}
	mem->watched = calloc(1, mem->top / PAGE_BYTES);
	return mem->watched ? 0 : error_set(err, -ENOMEM, "guest memory: out of memory");
}

int memory_create(struct memory **out, uint64_t size_bytes, struct error *err)
{
	struct memory *mem;
	int ret;

	if (size_bytes < 2 * MIB || size_bytes % MIB)
		return error_set(
			err, -EINVAL,
			"guest memory: the size must be a multiple of 1 MiB, at least 2 MiB");
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return error_set(err, -ENOMEM, "guest memory: out of memory");
	mem->size_bytes = size_bytes;
	lay_out(mem);
	ret = map(mem, err);
	if (ret) {
		memory_destroy(mem);
		return ret;
	}
	*out = mem;
	return 0;
}

void memory_destroy(struct memory *mem)
{
	if (!mem)
		return;
	if (mem->reserved)
		munmap(mem->reserved, mem->top + HUGE_PAGE_BYTES);
	free(mem->watched);
	free(mem);
}

bool memory_is_ram(const struct memory *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < mem->ranges; i++) {
		const struct memory_range *r = &mem->range[i];

		if (gpa >= r->base && gpa - r->base < r->size_bytes)
			return len <= r->size_bytes - (gpa - r->base);
	}
	return false;
}

void *memory_at(const struct memory *mem, gpa_t gpa, uint64_t len)
{
	return memory_is_ram(mem, gpa, len) ? mem->base + gpa : NULL;
}

int memory_read(const struct memory *mem, gpa_t gpa, void *buf, uint64_t len)
{
	const void *p = memory_at(mem, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(buf, p, len);
	return 0;
}

int memory_write(struct memory *mem, gpa_t gpa, const void *buf, uint64_t len)
{
	void *p = memory_at(mem, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, buf, len);
	memory_written(mem, gpa, len);
	return 0;
}

int memory_release(struct memory *mem, gpa_t gpa, uint64_t len)
{
	void *p = memory_at(mem, gpa, len);

	if (!p || gpa % PAGE_BYTES || len % PAGE_BYTES)
		return -EFAULT;
	if (madvise(p, len, MADV_DONTNEED)) /* anonymous: zero when it is next touched */
		return -errno;
	memory_written(mem, gpa, len);
	return 0;
}

void memory_written(struct memory *mem, gpa_t gpa, uint64_t len)
{
	uint64_t first = gpa / PAGE_BYTES, last = (gpa + len - 1) / PAGE_BYTES;

	if (!len)
		return;
	/* The write before the look: who starts to watch marks the page first and reads it then. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint64_t page = first; page <= last; page++) {
		if (__atomic_load_n(&mem->watched[page], __ATOMIC_SEQ_CST)) {
			mem->on_written(mem->on_written_self, gpa, len);
			return;
		}
	}
}
