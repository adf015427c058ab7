/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code cache: one memfd mapped twice, filled from its start (main paths) and from its middle on
 * (what is rarely run), and emptied as a whole, together with the blocks that its code belongs to.
 * Code of a dropped block stays where it is; its entries become calls of code that looks for what
 * has taken its place, and so do those of its jumps that leave the flags in the host's.
 */
#define _GNU_SOURCE
#include "cpu/jit/cache.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "cpu/jit/cold.h"
#include "cpu/jit/dispatch.h"
#include "cpu/jit/enter.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/signal_stack.h"
#include "cpu/soft.h"
#include "lib/huge.h"

#define BRANCHES_BYTES   (BRANCH_ENTRIES * sizeof(struct branch_entry))
#define ARENA_BYTES      (64 * MIB)
#define SITES_MAX        (2 * MIB)
#define FITS_MAX         MIB
#define STARTS_MAX       MIB
#define REPLACED_MAX     (4 * KIB)
#define HOT_BYTES        (43 * MIB) /* for main paths, of all that: their share, measured */
#define BLOCK_ROOM_BYTES (16 * KIB) /* neither part of a block's code is longer */

#define CPUID7_BMI2 BIT(8)

/* From its interpretations on a block is worth the translation. */
#define RUNS_WORTH_CODE 12

static bool map_arena(struct jit *jit)
{
	int fd = memfd_create("nidus-jit", MFD_CLOEXEC);

	if (fd < 0)
		return false;
	if (ftruncate(fd, ARENA_BYTES) == 0) {
		jit->writable = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		jit->executable = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	}
	close(fd);
	return jit->writable != MAP_FAILED && jit->executable != MAP_FAILED;
}

/* Memory for what is beside the code, as it comes to be used. NULL: none. */
static void *map_table(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return table == MAP_FAILED ? NULL : table;
}

static void unmap_table(void *table, size_t bytes)
{
	if (table)
		munmap(table, bytes);
}

static bool map_tables(struct jit *jit)
{
	jit->sites = map_table(SITES_MAX * sizeof(*jit->sites));
	jit->fits = map_table(FITS_MAX * sizeof(*jit->fits));
	jit->fars = map_table(FAR_MAX * sizeof(*jit->fars));
	jit->starts = map_table(STARTS_MAX * sizeof(*jit->starts));
	jit->replaced = map_table(REPLACED_MAX * sizeof(*jit->replaced));
	return jit->sites && jit->fits && jit->fars && jit->starts && jit->replaced;
}

static bool host_has_bmi2(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & CPUID7_BMI2);
}

/* Of blocks. */
static void forget_code(struct jit *jit)
{
	jit->hot = (struct code_room){ jit->shared_end, jit->writable + HOT_BYTES };
	jit->cold = (struct code_room){ jit->writable + HOT_BYTES, jit->writable + ARENA_BYTES };
	jit->site_count = jit->fit_count = jit->far_count = jit->start_count = 0;
	jit->replaced_count = 0;
}

int jit_create(struct jit **out, const struct engine_config *config)
{
	struct jit *jit = calloc(1, sizeof(*jit));

	if (!jit)
		return -ENOMEM;
	jit->writable = jit->executable = MAP_FAILED;
	jit->has_bmi2 = host_has_bmi2();
	jit->counts = config->stats;
	jit->has_exact_flags = config->exact_flags;
	jit->is_amd = config->vendor == CPU_AMD;
	ZydisDecoderInit(&jit->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(&jit->zydis_32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	gen_rows_index(jit);
	if (!map_arena(jit) || !map_tables(jit)) {
		jit_destroy(jit);
		return -EPERM;
	}
	cold_emit_shared(jit, jit->writable + HOT_BYTES);
	forget_code(jit);
	*out = jit;
	return 0;
}

void jit_destroy(struct jit *jit)
{
	if (!jit)
		return;
	if (jit->writable != MAP_FAILED)
		munmap(jit->writable, ARENA_BYTES);
	if (jit->executable != MAP_FAILED)
		munmap(jit->executable, ARENA_BYTES);
	unmap_table(jit->sites, SITES_MAX * sizeof(*jit->sites));
	unmap_table(jit->fits, FITS_MAX * sizeof(*jit->fits));
	unmap_table(jit->fars, FAR_MAX * sizeof(*jit->fars));
	unmap_table(jit->starts, STARTS_MAX * sizeof(*jit->starts));
	unmap_table(jit->replaced, REPLACED_MAX * sizeof(*jit->replaced));
	free(jit);
}

const struct jit_stats *jit_get_stats(const struct jit *jit)
{
	return &jit->stats;
}

/* With bit 63 set and bit 62 clear no address is canonical. */
static int make_no_stack(struct cpu_jit *jit)
{
	if (getrandom(&jit->no_stack_page, sizeof(jit->no_stack_page), 0) < 0)
		return -errno;
	jit->no_stack_page = ((jit->no_stack_page & ~BIT(62)) | BIT(63)) & PAGE_MASK;
	jit->no_stack = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	if (!jit->no_stack)
		return -ENOMEM;
	memset(jit->no_stack, 0, PAGE_BYTES);
	return 0;
}

int jit_cpu_create(struct cpu *cpu)
{
	int ret = make_no_stack(&cpu->jit);

	cpu->jit.has_avx = __builtin_cpu_supports("avx");
	cpu->jit.branches = huge_map(BRANCHES_BYTES);
	cpu->jit.arena = block_cache_arena(cpu->soft->blocks);
	jit_forget_stack(cpu);
	jit_set_thunks(cpu);
	ret = ret ? ret : signal_stack_create(cpu);
	cpu->jit.far = map_table(FAR_MAX * sizeof(*cpu->jit.far));
	return ret ? ret : cpu->jit.branches && cpu->jit.far ? 0 : -ENOMEM;
}

void jit_cpu_destroy(struct cpu *cpu)
{
	signal_stack_destroy(cpu);
	huge_unmap(cpu->jit.branches, BRANCHES_BYTES);
	free(cpu->jit.no_stack);
	unmap_table(cpu->jit.far, FAR_MAX * sizeof(*cpu->jit.far));
	cpu->jit.far = NULL;
	cpu->jit.branches = NULL;
	cpu->jit.no_stack = NULL;
}

static bool is_roomy(const struct code_room *room)
{
	return (size_t)(room->end - room->at) >= BLOCK_ROOM_BYTES;
}

bool jit_has_room(const struct jit *jit)
{
	return !jit || (is_roomy(&jit->hot) && is_roomy(&jit->cold) &&
			SITES_MAX - jit->site_count >= BLOCK_MAX_INSNS &&
			FITS_MAX - jit->fit_count >= COLD_MAX &&
			FAR_MAX - jit->far_count >= JIT_LINKS && jit->start_count < STARTS_MAX);
}

void jit_emptied(struct cpu *cpu)
{
	size_t far_bytes = cpu->soft->jit->far_count * sizeof(struct far_target);

	forget_code(cpu->soft->jit);
	for (unsigned i = 0; i < cpu->soft->config.vcpus; i++)
		if (cpu->soft->cpu[i]) {
			memset(cpu->soft->cpu[i]->jit.branches, 0, BRANCHES_BYTES);
			memset(cpu->soft->cpu[i]->jit.far, 0, far_bytes);
		}
}

/* --- translation --------------------------------------------------------------------------------
 */

enum block_state jit_prepare(struct cpu *cpu, struct block *block)
{
	if (likely(__atomic_load_n(&block->code, __ATOMIC_ACQUIRE) != NULL))
		return BLOCK_TRANSLATED;
	if (!jit_can_run(cpu) || block->runs++ < RUNS_WORTH_CODE)
		return BLOCK_INTERPRETED;
	block->runs = 0;
	return block_translate(cpu, block);
}

/* The sites of the block that has just been translated. */
static void publish_sites(struct jit *jit, const uint8_t *start)
{
	const struct gen *g = &jit->gen;

	for (unsigned i = 0; i < g->sites; i++) {
		struct fault_site *site = &jit->sites[jit->site_count + i];

		*site = g->site[i];
		site->offset += (uint32_t)(start - jit->writable);
	}
	__atomic_store_n(&jit->site_count, jit->site_count + g->sites, __ATOMIC_RELEASE);
}

/* Of its instructions alone. */
static unsigned code_bytes(const struct block *block)
{
	unsigned bytes = 0;

	for (unsigned n = 0; n < block->count; n++)
		bytes += block->insn[n].length;
	return bytes;
}

static void publish_start(struct jit *jit, const uint8_t *hot, const uint8_t *cold,
			  const struct block *block)
{
	jit->starts[jit->start_count] =
		(struct jit_start){ (uint32_t)(hot - jit->writable),
				    (uint32_t)(cold - jit->writable),
				    (uint32_t)((const uint8_t *)block - jit->arena) };
	__atomic_store_n(&jit->start_count, jit->start_count + 1, __ATOMIC_RELEASE);
}

const struct block *jit_caller(const struct jit *jit, const uint8_t *back)
{
	uint32_t at = (uint32_t)(back - jit->executable) - 1; /* the next block's may begin there */
	uint32_t low = 0, high = __atomic_load_n(&jit->start_count, __ATOMIC_ACQUIRE);

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		const struct jit_start *start = &jit->starts[middle];

		if ((at < HOT_BYTES ? start->hot : start->cold) <= at)
			low = middle;
		else
			high = middle;
	}
	return (const struct block *)(const void *)(jit->arena + jit->starts[low].block);
}

void jit_translate(struct jit *jit, struct block *block, const uint8_t *arena)
{
	struct code_room before = jit->hot, cold_before = jit->cold;
	uint64_t hot_bytes;

	jit->arena = arena;
	if (!gen_block(jit, block, &jit->hot, &jit->cold))
		return;
	publish_sites(jit, before.at);
	publish_start(jit, before.at, cold_before.at, block);
	jit->fit_count += jit->gen.fits;
	jit->far_count += jit->gen.fars;
	jit->stats.blocks++;
	jit->stats.bytes_in += code_bytes(block);
	hot_bytes = (uint64_t)(jit->hot.at - before.at) - jit->gen.counting_bytes;
	jit->stats.bytes_out += hot_bytes + (uint64_t)(jit->cold.at - cold_before.at);
	jit->stats.bytes_hot += hot_bytes;
	__atomic_store_n(&block->code, jit_executable(jit, block->jit.entry), __ATOMIC_RELEASE);
}

/* --- changes to code that runs -------------------------------------------------------------------
 */

void jit_unlink(const struct jit *jit, const struct jit_link *link)
{
	const uint8_t *from = jit->writable + (link->from - jit->executable);

	if (link->is_conditional)
		emit_patch(link->site, from - EMIT_PATCHED_BYTES);
	else
		emit_patch_call(link->site, link->keeps_flags ? jit->storing_thunk[THUNK_LINK]
							      : jit->thunk[THUNK_LINK]);
}

/*
 * The code may still run to its end, and what it jumps to then may have changed by that time to
 * what wants the flags elsewhere: its jumps look. Before its entries, one of which may be a jump.
 */
static void unlink_all(const struct jit *jit, const struct jit_code *code)
{
	for (unsigned i = 0; i < JIT_LINKS; i++)
		if (code->link[i].keeps_flags)
			jit_unlink(jit, &code->link[i]);
}

void jit_block_dropped(const struct jit *jit, const struct block *block)
{
	const struct jit_code *code = &block->jit;

	if (!block->code)
		return;
	unlink_all(jit, code);
	emit_patch_call(code->entry, jit->thunk[THUNK_BAIL]);
	if (code->flags_entry != code->entry)
		emit_patch_call(code->flags_entry, jit->storing_thunk[THUNK_BAIL]);
}

void jit_keep_links(struct jit *jit, const struct jit_code *before)
{
	memcpy(&jit->replaced[jit->replaced_count], before->link, sizeof(before->link));
	jit->replaced_count += JIT_LINKS;
	unlink_all(jit, before);
}

void jit_replace(const struct jit_code *before, const struct jit_code *now)
{
	emit_patch_jmp(before->entry, now->entry);
	if (before->flags_entry != before->entry)
		emit_patch_jmp(before->flags_entry, now->flags_entry);
}

bool jit_can_translate_anew(const struct jit *jit)
{
	return jit_has_room(jit) && REPLACED_MAX - jit->replaced_count >= JIT_LINKS;
}

const struct jit_link *jit_find_link(const struct block *block, const uint8_t *from)
{
	for (unsigned i = 0; i < JIT_LINKS; i++)
		if (block->jit.link[i].from == from)
			return &block->jit.link[i];
	return NULL;
}

const struct jit_link *jit_find_replaced(const struct jit *jit, const uint8_t *from)
{
	for (uint32_t i = jit->replaced_count; i-- > 0;)
		if (jit->replaced[i].from == from)
			return &jit->replaced[i];
	return NULL;
}

void jit_patch_link(const struct jit_link *link, const struct block *target)
{
	const struct jit_code *code = &target->jit;

	if (!target->code)
		return;
	(link->is_conditional ? emit_patch : emit_patch_jmp)(
		link->site, link->keeps_flags ? code->flags_entry : code->entry);
}
