/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory of translated code: see cpu/jit/region.h. It is one memfd that is mapped twice. */
#define _GNU_SOURCE
#include "cpu/jit/region.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/jit/cache.h"

/* Of 64 parts of the memory, those for main paths: their share, measured. */
#define HOT_PARTS 43

#define CODE_ALIGN 64

/* How many bytes of code there are for one row of a table, or more. */
#define BYTES_PER_SITE  32
#define BYTES_PER_FIT   64
#define BYTES_PER_FAR   128
#define BYTES_PER_START 64
#define BYTES_PER_WAY   16

static bool map_code(struct jit *jit)
{
	int fd = memfd_create("nidus-jit", MFD_CLOEXEC);

	if (fd < 0)
		return false;
	if (ftruncate(fd, (off_t)jit->code_bytes) == 0) {
		jit->writable =
			mmap(NULL, jit->code_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		jit->executable =
			mmap(NULL, jit->code_bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	}
	close(fd);
	return jit->writable != MAP_FAILED && jit->executable != MAP_FAILED;
}

void *region_map_table(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return table == MAP_FAILED ? NULL : table;
}

void region_unmap_table(void *table, size_t bytes)
{
	if (table)
		munmap(table, bytes);
}

/* A call may return right behind the last chunk. */
static size_t first_way_bytes(const struct jit *jit)
{
	return (way_chunk(jit->hot_bytes) + 1) * sizeof(*jit->first_way);
}

static size_t start_at_bytes(const struct jit *jit)
{
	return jit->code_bytes / START_CHUNK_BYTES * sizeof(*jit->start_at);
}

static bool map_tables(struct jit *jit)
{
	const struct region_size *size = &jit->size;

	jit->sites = region_map_table(BLOCK_REGIONS * size->sites * sizeof(*jit->sites));
	jit->fits = region_map_table(BLOCK_REGIONS * size->fits * sizeof(*jit->fits));
	jit->fars = region_map_table(BLOCK_REGIONS * size->fars * sizeof(*jit->fars));
	jit->starts = region_map_table(BLOCK_REGIONS * size->starts * sizeof(*jit->starts));
	jit->codes = region_map_table(BLOCK_REGIONS * size->starts * sizeof(*jit->codes));
	jit->ways = region_map_table(BLOCK_REGIONS * size->ways * sizeof(*jit->ways));
	jit->first_way = region_map_table(first_way_bytes(jit));
	jit->start_at = region_map_table(start_at_bytes(jit));
	return jit->start_at && jit->first_way && jit->codes && jit->sites && jit->fits &&
	       jit->fars && jit->starts && jit->ways;
}

bool region_create(struct jit *jit, size_t bytes)
{
	size_t each = bytes / BLOCK_REGIONS;

	jit->writable = jit->executable = MAP_FAILED;
	jit->code_bytes = align_up(bytes, PAGE_BYTES);
	jit->hot_bytes = align_down(jit->code_bytes / 64 * HOT_PARTS, CODE_ALIGN);
	jit->size = (struct region_size){ .sites = (uint32_t)(each / BYTES_PER_SITE),
					  .fits = (uint32_t)(each / BYTES_PER_FIT),
					  .fars = (uint32_t)(each / BYTES_PER_FAR),
					  .starts = (uint32_t)(each / BYTES_PER_START),
					  .ways = (uint32_t)(each / BYTES_PER_WAY) };
	return map_code(jit) && map_tables(jit);
}

void region_destroy(struct jit *jit)
{
	const struct region_size *size = &jit->size;

	if (jit->writable != MAP_FAILED)
		munmap(jit->writable, jit->code_bytes);
	if (jit->executable != MAP_FAILED)
		munmap(jit->executable, jit->code_bytes);
	region_unmap_table(jit->start_at, start_at_bytes(jit));
	region_unmap_table(jit->first_way, first_way_bytes(jit));
	region_unmap_table(jit->sites, BLOCK_REGIONS * size->sites * sizeof(*jit->sites));
	region_unmap_table(jit->fits, BLOCK_REGIONS * size->fits * sizeof(*jit->fits));
	region_unmap_table(jit->fars, BLOCK_REGIONS * size->fars * sizeof(*jit->fars));
	region_unmap_table(jit->starts, BLOCK_REGIONS * size->starts * sizeof(*jit->starts));
	region_unmap_table(jit->codes, BLOCK_REGIONS * size->starts * sizeof(*jit->codes));
	region_unmap_table(jit->ways, BLOCK_REGIONS * size->ways * sizeof(*jit->ways));
}

static size_t first_hot(const struct jit *jit)
{
	return align_up((size_t)(jit->shared_end - jit->writable), CODE_ALIGN);
}

void region_divide(struct jit *jit)
{
	size_t hot = jit->hot_bytes - first_hot(jit), cold = jit->code_bytes - jit->hot_bytes;

	jit->size.hot_bytes = align_down(hot / BLOCK_REGIONS, CODE_ALIGN);
	jit->size.cold_bytes = align_down(cold / BLOCK_REGIONS, CODE_ALIGN);
	for (unsigned region = 0; region < BLOCK_REGIONS; region++)
		region_empty(jit, region);
}

void region_empty(struct jit *jit, unsigned region)
{
	uint8_t *hot = jit->writable + first_hot(jit) + region * jit->size.hot_bytes;
	uint8_t *cold = jit->writable + jit->hot_bytes + region * jit->size.cold_bytes;

	/* No jump is to what is next in memory in another region. */
	jit->region[region] =
		(struct jit_region){ .hot = { hot, hot + jit->size.hot_bytes - EMIT_NOP_BYTES - 1 },
				     .cold = { cold, cold + jit->size.cold_bytes } };
}

/* Of an offset in the code. */
static unsigned number_of(const struct jit *jit, size_t offset)
{
	size_t number = BLOCK_REGIONS;

	if (offset >= jit->hot_bytes)
		number = (offset - jit->hot_bytes) / jit->size.cold_bytes;
	else if (offset >= first_hot(jit))
		number = (offset - first_hot(jit)) / jit->size.hot_bytes;
	return (unsigned)MIN(number, BLOCK_REGIONS);
}

unsigned region_of(const struct jit *jit, const uint8_t *code)
{
	size_t offset = (size_t)((uintptr_t)code - (uintptr_t)jit->executable);

	return offset < jit->code_bytes ? number_of(jit, offset) : BLOCK_REGIONS;
}

bool region_is_target(const struct jit *jit, const uint8_t *displacement, unsigned region)
{
	return number_of(jit, (size_t)(emit_target(displacement) - jit->writable)) == region;
}

static bool is_roomy(const struct code_room *room)
{
	return (size_t)(room->end - room->at) >= REGION_BLOCK_BYTES;
}

bool region_has_room(const struct jit *jit, unsigned region)
{
	const struct jit_region *r = &jit->region[region];

	return is_roomy(&r->hot) && is_roomy(&r->cold) &&
	       jit->size.sites - r->sites >= BLOCK_MAX_INSNS &&
	       jit->size.ways - r->ways >= COLD_MAX && jit->size.fits - r->fits >= COLD_MAX &&
	       jit->size.fars - r->fars >= JIT_LINKS && r->starts < jit->size.starts;
}

static uint32_t start_of(const struct jit *jit, const struct jit_start *start, uint32_t at)
{
	return at < jit->hot_bytes ? start->hot : start->cold;
}

/* What an address behind all code finds may be of code that was there before. */
static const struct jit_start *find_start(const struct jit *jit, uint32_t at)
{
	unsigned region = number_of(jit, at);
	const struct jit_start *starts = &jit->starts[region * jit->size.starts];
	uint32_t count = __atomic_load_n(&jit->region[region].starts, __ATOMIC_ACQUIRE);
	uint32_t n = jit->start_at[at / START_CHUNK_BYTES];

	if (n >= count)
		n = count ? count - 1 : 0;
	while (n + 1 < count && start_of(jit, &starts[n + 1], at) <= at)
		n++;
	return &starts[n];
}

static void note_start(struct jit *jit, uint32_t n, const uint8_t *from, const uint8_t *end)
{
	size_t at = align_up((size_t)(from - jit->writable), START_CHUNK_BYTES);

	for (; at < (size_t)(end - jit->writable); at += START_CHUNK_BYTES)
		jit->start_at[at / START_CHUNK_BYTES] = n;
}

void region_add_start(struct jit *jit, const struct jit_region *before, const struct block *block)
{
	struct jit_region *region = &jit->region[block->region];

	note_start(jit, region->starts, before->hot.at, region->hot.at);
	note_start(jit, region->starts, before->cold.at, region->cold.at);
	jit->starts[block->region * jit->size.starts + region->starts] =
		(struct jit_start){ (uint32_t)(before->hot.at - jit->writable),
				    (uint32_t)(before->cold.at - jit->writable),
				    (uint32_t)((const uint8_t *)block - jit->arena) };
	__atomic_store_n(&region->starts, region->starts + 1, __ATOMIC_RELEASE);
}

static const struct block *block_of(const struct jit *jit, const struct jit_start *start)
{
	return (const struct block *)(const void *)(jit->arena + start->block);
}

const struct block *jit_caller(const struct jit *jit, const uint8_t *back)
{
	/* The next block's may begin there. */
	return block_of(jit, find_start(jit, (uint32_t)(back - jit->executable) - 1));
}

/* An entry is where the code begins, but for its alignment. */
const struct block *jit_entered(const struct jit *jit, const uint8_t *code)
{
	uint32_t at = (uint32_t)((uintptr_t)code - (uintptr_t)jit->executable);
	const struct jit_start *start;

	if (region_of(jit, code) == BLOCK_REGIONS || at >= jit->hot_bytes)
		return NULL;
	start = find_start(jit, at);
	return at - start->hot < sizeof(uint64_t) ? block_of(jit, start) : NULL;
}
