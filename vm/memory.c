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
	mem->end = mem->top;
}

static void lay_out_growth(struct memory *mem, uint64_t bytes)
{
	uint64_t step =
		MAX(align_up(bytes / MEMORY_GROW_STEPS, MEMORY_GROW_STEP), MEMORY_GROW_STEP);

	bytes -= bytes % step;
	if (!bytes)
		return;
	mem->growth = &mem->range[mem->ranges++];
	mem->growth->base = align_up(MAX(mem->top, MEMORY_HIGH_BASE), MEMORY_GROW_ALIGN);
	mem->growth_max_bytes = bytes;
	mem->growth_step_bytes = step;
	mem->end = mem->growth->base + bytes;
}

/* Anonymous memory in the place of reserved addresses: -errno. */
static int map_range(const struct memory *mem, gpa_t base, uint64_t bytes)
{
	void *p = mmap(mem->base + base, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	madvise(p, bytes, MADV_HUGEPAGE); /* a wish */
	madvise(p, bytes, MADV_DONTFORK); /* a disk's server begins as a fork of this process */
	return 0;
}

static int map(struct memory *mem, struct error *err)
{
	void *p = mmap(NULL, mem->end + HUGE_PAGE_BYTES, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return error_set(err, -errno, "guest memory: cannot reserve addresses: %s",
				 strerror(errno));
	mem->reserved = p;
	mem->base = (uint8_t *)(uintptr_t)align_up((uintptr_t)p, HUGE_PAGE_BYTES);
	for (unsigned i = 0; i < mem->ranges; i++) {
		const struct memory_range *r = &mem->range[i];
		int ret = r->size_bytes ? map_range(mem, r->base, r->size_bytes) : 0;

		if (ret)
			return error_set(err, ret, "guest memory: cannot map %llu MiB: %s",
					 (unsigned long long)(r->size_bytes / MIB), strerror(-ret));
	}
	mem->watched = calloc(1, mem->end / PAGE_BYTES);
	return mem->watched ? 0 : error_set(err, -ENOMEM, "guest memory: out of memory");
}

int memory_create(struct memory **out, uint64_t size_bytes, struct error *err)
{
	return memory_create_growing(out, size_bytes, 0, err);
}

int memory_create_growing(struct memory **out, uint64_t size_bytes, uint64_t growth_bytes,
			  struct error *err)
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
	lay_out_growth(mem, growth_bytes);
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
		munmap(mem->reserved, mem->end + HUGE_PAGE_BYTES);
	free(mem->watched);
	free(mem);
}

int memory_grow(struct memory *mem, uint64_t bytes)
{
	uint64_t now = mem->growth ? mem->growth->size_bytes : 0, step = mem->growth_step_bytes,
		 add, at;
	int ret;

	if (bytes <= now)
		return 0;
	if (bytes > mem->growth_max_bytes)
		return -ERANGE;
	add = (bytes + step - 1) / step * step - now;
	at = mem->growth->base + now;
	ret = map_range(mem, at, add);
	if (!ret && mem->on_grown)
		ret = mem->on_grown(mem->on_grown_self, at, add);
	if (!ret)
		__atomic_store_n(&mem->growth->size_bytes, now + add, __ATOMIC_RELEASE);
	return ret;
}

bool memory_is_ram(const struct memory *mem, gpa_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < mem->ranges; i++) {
		const struct memory_range *r = &mem->range[i];
		uint64_t size_bytes = __atomic_load_n(&r->size_bytes, __ATOMIC_ACQUIRE);

		if (gpa >= r->base && gpa - r->base < size_bytes)
			return len <= size_bytes - (gpa - r->base);
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

bool memory_written(struct memory *mem, gpa_t gpa, uint64_t len)
{
	uint64_t first = gpa / PAGE_BYTES, last = (gpa + len - 1) / PAGE_BYTES;

	if (!len)
		return false;
	/* The write before the look: who starts to watch marks the page first and reads it then. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (uint64_t page = first; page <= last; page++) {
		if (__atomic_load_n(&mem->watched[page], __ATOMIC_SEQ_CST))
			return mem->on_written(mem->on_written_self, gpa, len);
	}
	return false;
}
