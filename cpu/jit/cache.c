/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The code cache: what is translated when, and changes to code that runs. Code of a dropped block
 * stays where it is until its region is evicted; its entries become calls of code that looks for
 * what has taken its place, and so do those of its jumps that leave the flags in the host's.
 */
#include "cpu/jit/cache.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "cpu/jit/dispatch.h"
#include "cpu/jit/enter.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/shared.h"
#include "cpu/jit/signal_stack.h"
#include "cpu/soft.h"
#include "lib/huge.h"

#define BRANCHES_BYTES (BRANCH_ENTRIES * sizeof(struct branch_entry))

#define CPUID7_BMI2 BIT(8)

/* From its interpretations on a block is worth the translation. */
#define RUNS_WORTH_CODE 12

static bool host_has_bmi2(void)
{
	unsigned eax, ebx, ecx, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & CPUID7_BMI2);
}

int jit_create(struct jit **out, const struct engine_config *config, struct decode_cache *decodes)
{
	struct jit *jit = calloc(1, sizeof(*jit));

	if (!jit)
		return -ENOMEM;
	jit->has_bmi2 = host_has_bmi2();
	jit->decodes = decodes;
	jit->counts = config->stats;
	jit->has_exact_flags = config->exact_flags;
	jit->is_amd = config->vendor == CPU_AMD;
	jit->tier = config->tier;
	ZydisDecoderInit(&jit->zydis, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	gen_rows_index(jit);
	if (!region_create(jit, block_code_bytes(config))) {
		jit_destroy(jit);
		return -EPERM;
	}
	shared_emit(jit, jit->writable + jit->hot_bytes);
	region_divide(jit);
	*out = jit;
	return 0;
}

void jit_destroy(struct jit *jit)
{
	if (!jit)
		return;
	region_destroy(jit);
	free(jit);
}

const struct jit_stats *jit_get_stats(const struct jit *jit)
{
	return &jit->stats;
}

/* With bit 63 set and bit 62 clear no address is canonical. */
static int make_no_stack(struct cpu_jit *jit)
{
	if (getrandom(&jit->no_stack_page, sizeof(jit->no_stack_page), 0) < 0 ||
	    getrandom(&jit->seed, sizeof(jit->seed), 0) < 0)
		return -errno;
	jit->no_stack_page = ((jit->no_stack_page & ~BIT(62)) | BIT(63)) & PAGE_MASK;
	jit->no_stack = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	if (!jit->no_stack)
		return -ENOMEM;
	memset(jit->no_stack, 0, PAGE_BYTES);
	return 0;
}

/* Of what a vCPU knows of direct jumps out of their page. */
static size_t far_bytes(const struct cpu *cpu)
{
	const struct jit *jit = cpu->soft->jit;

	return jit ? BLOCK_REGIONS * (size_t)jit->size.fars * sizeof(*cpu->jit.far) : 0;
}

int jit_cpu_create(struct cpu *cpu)
{
	int ret = make_no_stack(&cpu->jit);

	cpu->jit.has_avx = __builtin_cpu_supports("avx");
	cpu->jit.branches = huge_map(BRANCHES_BYTES);
	cpu->jit.arena = block_cache_arena(cpu->soft->blocks);
	jit_forget_stack(cpu);
	jit_prepare_stretches(cpu);
	jit_set_thunks(cpu);
	ret = ret ? ret : signal_stack_create(cpu);
	cpu->jit.far = region_map_table(far_bytes(cpu));
	return ret ? ret : cpu->jit.branches && cpu->jit.far ? 0 : -ENOMEM;
}

void jit_cpu_destroy(struct cpu *cpu)
{
	signal_stack_destroy(cpu);
	huge_unmap(cpu->jit.branches, BRANCHES_BYTES);
	free(cpu->jit.no_stack);
	region_unmap_table(cpu->jit.far, far_bytes(cpu));
	cpu->jit.far = NULL;
	cpu->jit.branches = NULL;
	cpu->jit.no_stack = NULL;
}

bool jit_has_room(const struct jit *jit, unsigned region)
{
	return !jit || region_has_room(jit, region);
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
static void publish_sites(struct jit *jit, struct jit_region *region, const uint8_t *start)
{
	struct fault_site *sites = &jit->sites[(size_t)(region - jit->region) * jit->size.sites];
	const struct gen *g = &jit->gen;

	for (unsigned i = 0; i < g->sites; i++) {
		struct fault_site *site = &sites[region->sites + i];

		*site = g->site[i];
		site->offset += (uint32_t)(start - jit->writable);
	}
	__atomic_store_n(&region->sites, region->sites + g->sites, __ATOMIC_RELEASE);
}

/* Of its instructions alone. */
static unsigned code_bytes(const struct block *block)
{
	unsigned bytes = 0;

	for (unsigned n = 0; n < block->count; n++)
		bytes += block->insn[n].length;
	return bytes;
}

/* Of a block that has none; it counts once there is code. */
static struct jit_code *begin_code(const struct jit *jit, const struct jit_region *region)
{
	struct jit_code *code =
		&jit->codes[(size_t)(region - jit->region) * jit->size.starts + region->codes];

	*code = (struct jit_code){ .is_compact = jit->tier != ENGINE_TIER_INLINE };
	return code;
}

void jit_translate(struct jit *jit, struct block *block, const uint8_t *arena)
{
	struct jit_region *region = &jit->region[block->region], before = *region;
	uint64_t hot_bytes;

	jit->arena = arena;
	if (!block->code)
		block->jit = begin_code(jit, region);
	jit->next_fit = block->region * jit->size.fits + region->fits;
	jit->next_far = block->region * jit->size.fars + region->fars;
	jit->next_way = block->region * jit->size.ways + region->ways;
	if (!gen_block(jit, block, &region->hot, &region->cold))
		return;
	region->codes += !block->code;
	publish_sites(jit, region, before.hot.at);
	region->ways += jit->gen.ways;
	region_add_start(jit, &before, block);
	region->fits += jit->gen.fits;
	region->fars += jit->gen.fars;
	jit->stats.blocks++;
	block->jit->is_compact = jit->gen.is_compact && jit->gen.has_shared;
	jit->stats.anew += block->code != NULL;
	jit->stats.compact += block->jit->is_compact;
	jit->stats.bytes_in += code_bytes(block);
	hot_bytes = (uint64_t)(region->hot.at - before.hot.at) - jit->gen.counting_bytes;
	jit->stats.bytes_out += hot_bytes + (uint64_t)(region->cold.at - before.cold.at);
	jit->stats.bytes_hot += hot_bytes;
	__atomic_store_n(&block->code, jit_executable(jit, block->jit->entry), __ATOMIC_RELEASE);
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
 * The code may still run to its end, and what it jumps to then may have changed by that time: its
 * jumps look. Before its entries, one of which may be a jump.
 */
void jit_unlink_all(const struct jit *jit, const struct jit_code *code)
{
	for (unsigned i = 0; i < JIT_LINKS; i++)
		if (code->link[i].site)
			jit_unlink(jit, &code->link[i]);
}

void jit_block_dropped(const struct jit *jit, const struct block *block)
{
	const struct jit_code *code = block->jit;

	if (!block->code)
		return;
	jit_unlink_all(jit, code);
	emit_patch_call(code->entry, jit->thunk[THUNK_BAIL]);
	if (code->flags_entry != code->entry)
		emit_patch_call(code->flags_entry, jit->storing_thunk[THUNK_BAIL]);
}

void jit_replace(const struct jit_code *before, const struct jit_code *now)
{
	emit_patch_jmp(before->entry, now->entry);
	if (before->flags_entry != before->entry)
		emit_patch_jmp(before->flags_entry, now->flags_entry);
}

const struct jit_link *jit_find_link(const struct block *block, const uint8_t *from)
{
	for (unsigned i = 0; i < JIT_LINKS; i++)
		if (block->jit->link[i].from == from)
			return &block->jit->link[i];
	return NULL;
}

/* What stands for a Jcc is in the cold part, for a JMP in the hot one: of each there is one. */
const struct jit_link *jit_find_same_link(const struct jit *jit, const struct block *block,
					  const uint8_t *from)
{
	bool is_conditional = (size_t)(from - jit->executable) > jit->hot_bytes;

	return &block->jit->link[block->jit->link[0].is_conditional != is_conditional];
}

static bool goes_to(const struct jit_link *link, const uint8_t *entry)
{
	return link->is_conditional ? emit_target(link->site) == entry
				    : emit_goes_to(link->site, entry);
}

void jit_relink(const struct jit_link *link, const struct jit_code *before,
		const struct block *target)
{
	if (link->site && link->target == target->gpa % PAGE_BYTES &&
	    (goes_to(link, before->entry) || goes_to(link, before->flags_entry)))
		jit_patch_link(link, target);
}

void jit_patch_link(const struct jit_link *link, const struct block *target)
{
	const struct jit_code *code = target->jit;

	if (!target->code)
		return;
	(link->is_conditional ? emit_patch : emit_patch_jmp)(
		link->site, link->keeps_flags ? code->flags_entry : code->entry);
}

/* --- eviction ------------------------------------------------------------------------------------
 */

static bool leads_to(const struct jit *jit, const struct jit_link *link, unsigned region)
{
	const uint8_t *site = link->site;

	/* What it goes to as a NOP is in its own region. */
	if (site && !link->is_conditional && emit_is_nop(site))
		return false;
	return site && region_is_target(jit, link->is_conditional ? site : site + 1, region);
}

void jit_leave_region(const struct jit *jit, const struct block *block, unsigned region)
{
	for (unsigned i = 0; i < JIT_LINKS && block->code; i++)
		if (leads_to(jit, &block->jit->link[i], region))
			jit_unlink(jit, &block->jit->link[i]);
}

static void forget_in_cpu(struct cpu *cpu, unsigned region)
{
	const struct jit *jit = cpu->soft->jit;
	size_t fars = jit->size.fars;

	for (unsigned i = 0; i < BRANCH_ENTRIES; i++)
		if (region_of(jit, cpu->jit.branches[i].code) == region)
			cpu->jit.branches[i] = (struct branch_entry){ 0 };
	for (unsigned r = 0; r < BLOCK_REGIONS; r++)
		for (size_t i = r * fars; i < r * fars + jit->region[r].fars; i++)
			if (r == region || region_of(jit, cpu->jit.far[i].code) == region)
				cpu->jit.far[i] = (struct far_target){ 0 };
}

void jit_evict(struct soft *soft, unsigned region)
{
	struct jit *jit = soft->jit;

	for (unsigned r = 0; r < BLOCK_REGIONS; r++)
		for (size_t i = 0; i < jit->region[r].fits; i++) {
			struct jit_fit *fit = &jit->fits[r * (size_t)jit->size.fits + i];

			if (region_of(jit, fit->crossing) == region)
				fit->crossing = jit_executable(jit, jit->cross);
		}
	for (unsigned i = 0; i < soft->config.vcpus; i++)
		if (soft->cpu[i])
			forget_in_cpu(soft->cpu[i], region);
	region_empty(jit, region);
}
