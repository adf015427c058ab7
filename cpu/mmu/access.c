/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accesses that the one compare of mmu_fast does not settle: misses, page crossings, devices, the
 * APIC's page, pages that hold code, data breakpoints, alignment checking. The whole access is
 * translated before any part of it is done.
 */
#include "cpu/insn.h"
#include "cpu/mmu/bank.h"
#include "cpu/mmu/journal.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define DR7_RW_WRITE 1
#define DR7_RW_IO    2

/* An access, cut at a page boundary into one or two parts. */
struct parts {
	unsigned count;
	const struct tlb_entry *entry[2];
	gva_t addr[2];
	unsigned size[2];
};

static void check_canonical(struct cpu *cpu, gva_t addr, unsigned seg)
{
	if (cpu_in_long_mode(cpu) && unlikely(!is_canonical(addr)))
		cpu_raise_code(cpu, seg == SS ? EXC_SS : EXC_GP, 0);
}

static void *host_of(const struct tlb_entry *entry, gva_t addr)
{
	return (void *)(uintptr_t)(entry->host + addr % PAGE_BYTES);
}

static bool is_ram(const struct tlb_entry *entry)
{
	return entry->gpa_flags & PAGE_RAM;
}

static void note_parts(struct cpu *cpu, uint64_t want, const struct parts *parts)
{
	for (unsigned i = 0; i < parts->count; i++) {
		if (!is_ram(parts->entry[i]))
			journal_device(cpu->journal, parts->addr[i], parts->size[i]);
		else if (want & RIGHTS_WRITE)
			journal_write(cpu->journal, host_of(parts->entry[i], parts->addr[i]),
				      parts->addr[i], parts->size[i]);
	}
}

static void translate_parts(struct cpu *cpu, gva_t addr, unsigned len, uint64_t want, unsigned seg,
			    struct parts *parts)
{
	unsigned first = (unsigned)MIN(len, PAGE_BYTES - addr % PAGE_BYTES);

	cpu->stats.count[STAT_TLB_SLOW]++;
	parts->count = 1;
	parts->addr[0] = addr;
	parts->size[0] = first;
	check_canonical(cpu, addr, seg);
	if (first < len) {
		parts->count = 2;
		parts->addr[1] = cpu_in_long_mode(cpu) ? addr + first : (uint32_t)(addr + first);
		parts->size[1] = len - first;
		check_canonical(cpu, parts->addr[1], seg);
	}
	for (unsigned i = 0; i < parts->count; i++) {
		parts->entry[i] = mmu_translate(cpu, parts->addr[i], want);
		if (unlikely(parts->entry[i]->gpa_flags & PAGE_VIRTUAL))
			cpu->virt->apic_access(
				cpu, want & RIGHTS_WRITE ? APIC_ACCESS_WRITE : APIC_ACCESS_READ,
				parts->addr[i] % PAGE_BYTES, parts->size[i]);
	}
	if (unlikely(cpu->journal))
		note_parts(cpu, want, parts);
}

static uint64_t right_now(const struct cpu *cpu, bool is_write)
{
	return RIGHT_DATA(cpu->tlb_class, is_write);
}

static void check_alignment(struct cpu *cpu, gva_t addr, unsigned size)
{
	if (unlikely(cpu->tlb->is_aligned_only) && addr % size)
		cpu_raise_code(cpu, EXC_AC, 0);
}

/* ---- data breakpoints ---- */

uint64_t mmu_breakpoint_hits(const struct cpu *cpu, gva_t addr, uint64_t len, bool is_write)
{
	static const uint8_t len_bytes[] = { 1, 2, 8, 4 };
	uint64_t hits = 0;

	for (unsigned n = 0; n < ARRAY_SIZE(cpu->dr); n++) {
		unsigned control = cpu->dr7 >> (16 + 4 * n) & 0xf;
		unsigned kind = control & 3;
		uint64_t size = len_bytes[control >> 2];
		uint64_t at = cpu->dr[n] & ~(size - 1);

		if (!(cpu->dr7 >> (2 * n) & 3) || kind == 0 || kind == DR7_RW_IO ||
		    (kind == DR7_RW_WRITE && !is_write))
			continue;
		if (at - addr < len || addr - at < size)
			hits |= DR6_B(n);
	}
	return hits;
}

static void note_breakpoints(struct cpu *cpu, gva_t addr, unsigned len, bool is_write)
{
	uint64_t hits;

	if (likely(!(cpu->dr7 & DR7_ENABLES)))
		return;
	hits = mmu_breakpoint_hits(cpu, addr, len, is_write);
	if (!hits)
		return;
	cpu->pending_db |= hits;
	cpu_attention_set(cpu, ATTENTION_TRAP);
	cpu_leave_block(cpu);
}

/* ---- devices ---- */

/* The largest naturally aligned access of 1, 2, 4 or 8 bytes at gpa. */
static unsigned piece_at(gpa_t gpa, unsigned len)
{
	unsigned size = 8;

	while (size > len || gpa % size)
		size /= 2;
	return size;
}

/* What has come as far as this is an access that the virtual APIC serves. */
static uint64_t virtual_apic_access(struct cpu *cpu, unsigned offset, unsigned size, bool is_write,
				    uint64_t value)
{
	if (!is_write)
		return load_le(cpu->virtual_apic + offset, size);
	store_le(cpu->virtual_apic + offset, value, size);
	cpu->virt->apic_written(cpu, offset, size);
	return 0;
}

static uint64_t device_access(struct cpu *cpu, uint64_t flags, gpa_t gpa, unsigned size,
			      bool is_write, uint64_t value)
{
	const struct engine_config *config = &cpu->soft->config;

	if (flags & PAGE_VIRTUAL)
		return virtual_apic_access(cpu, gpa % PAGE_BYTES, size, is_write, value);
	if (flags & PAGE_APIC) {
		struct dev_access access = { .offset = gpa % PAGE_BYTES,
					     .value = value,
					     .size = (uint8_t)size,
					     .is_write = is_write };

		irq_apic_mmio(config->irq, cpu->index, &access);
		return access.value;
	}
	if (!is_write)
		return bus_read(config->bus, BUS_MMIO, gpa, size);
	bus_write(config->bus, BUS_MMIO, gpa, size, value);
	return 0;
}

/* The device may have raised an interrupt: it is taken at the next boundary. */
static void device_bytes(struct cpu *cpu, const struct tlb_entry *entry, gva_t addr, uint8_t *buf,
			 unsigned len, bool is_write)
{
	gpa_t gpa = (entry->gpa_flags & PAGE_MASK) + addr % PAGE_BYTES;

	while (len) {
		unsigned size = piece_at(gpa, len);
		uint64_t value = is_write ? load_le(buf, size) : 0;

		value = device_access(cpu, entry->gpa_flags, gpa, size, is_write, value);
		if (!is_write)
			store_le(buf, value, size);
		buf += size;
		gpa += size;
		len -= size;
	}
	cpu_leave_block(cpu);
}

/* ---- reading and writing ---- */

/* A copy in as few accesses as there can be: others see no torn naturally aligned word. */
static void copy(void *to, const void *from, unsigned len)
{
	switch (len) {
	case 1:
		memcpy(to, from, 1);
		break;
	case 2:
		memcpy(to, from, 2);
		break;
	case 4:
		memcpy(to, from, 4);
		break;
	case 8:
		memcpy(to, from, 8);
		break;
	case 16:
		memcpy(to, from, 16);
		break;
	default:
		memcpy(to, from, len);
	}
}

/* Whether the code that runs may lie in the page. */
static bool may_run_in(const struct cpu *cpu, gpa_t page)
{
	gva_t at = cpu->mode == MODE_64 ? cpu->rip : (uint32_t)(cpu->seg[CS].base + cpu->rip);
	const struct bank *bank = cpu->mmu->current;
	unsigned exec = bank_find_exec(bank, at);

	return exec == EXEC_NONE || (bank->exec[exec].gpa_flags & PAGE_MASK) == page;
}

/*
 * After a write to RAM at `host`: tells the watchers. What is running may itself have changed. That
 * may be gone from their map already, for another vCPU has written to it, too: so a write to its
 * page always ends the block.
 */
static void written(struct cpu *cpu, const void *host, unsigned len)
{
	struct memory *mem = cpu->soft->config.memory;
	gpa_t gpa = (gpa_t)((const uint8_t *)host - mem->base);

	if (likely(!__atomic_load_n(&mem->watched[gpa / PAGE_BYTES], __ATOMIC_SEQ_CST)))
		return;
	if (memory_written(mem, gpa, len) || may_run_in(cpu, align_down(gpa, PAGE_BYTES)))
		cpu_leave_block(cpu);
}

static void read_part(struct cpu *cpu, const struct parts *parts, unsigned i, void *buf)
{
	gva_t addr = parts->addr[i];

	if (likely(is_ram(parts->entry[i])))
		copy(buf, host_of(parts->entry[i], addr), parts->size[i]);
	else
		device_bytes(cpu, parts->entry[i], addr, buf, parts->size[i], false);
}

static void write_part(struct cpu *cpu, const struct parts *parts, unsigned i, const void *buf)
{
	const struct tlb_entry *entry = parts->entry[i];
	gva_t addr = parts->addr[i];

	if (likely(is_ram(entry))) {
		copy(host_of(entry, addr), buf, parts->size[i]);
		written(cpu, host_of(entry, addr), parts->size[i]);
	} else {
		device_bytes(cpu, entry, addr, (uint8_t *)(uintptr_t)buf, parts->size[i], true);
	}
}

static void read_parts(struct cpu *cpu, const struct parts *parts, uint8_t *buf)
{
	read_part(cpu, parts, 0, buf);
	if (parts->count > 1)
		read_part(cpu, parts, 1, buf + parts->size[0]);
}

static void write_parts(struct cpu *cpu, const struct parts *parts, const uint8_t *buf)
{
	write_part(cpu, parts, 0, buf);
	if (parts->count > 1)
		write_part(cpu, parts, 1, buf + parts->size[0]);
}

uint64_t mmu_load_slow(struct cpu *cpu, gva_t addr, unsigned size, unsigned seg)
{
	struct parts parts;
	uint64_t value = 0;

	translate_parts(cpu, addr, size, right_now(cpu, false), seg, &parts);
	check_alignment(cpu, addr, size);
	read_parts(cpu, &parts, (uint8_t *)&value);
	note_breakpoints(cpu, addr, size, false);
	return value;
}

void mmu_store_slow(struct cpu *cpu, gva_t addr, unsigned size, uint64_t value, unsigned seg)
{
	struct parts parts;

	translate_parts(cpu, addr, size, right_now(cpu, true), seg, &parts);
	check_alignment(cpu, addr, size);
	write_parts(cpu, &parts, (const uint8_t *)&value);
	note_breakpoints(cpu, addr, size, true);
}

void mmu_read_bytes(struct cpu *cpu, gva_t addr, void *buf, unsigned len, unsigned seg)
{
	struct parts parts;

	translate_parts(cpu, addr, len, right_now(cpu, false), seg, &parts);
	read_parts(cpu, &parts, buf);
	note_breakpoints(cpu, addr, len, false);
}

void mmu_write_bytes(struct cpu *cpu, gva_t addr, const void *buf, unsigned len, unsigned seg)
{
	struct parts parts;

	translate_parts(cpu, addr, len, right_now(cpu, true), seg, &parts);
	write_parts(cpu, &parts, buf);
	note_breakpoints(cpu, addr, len, true);
}

void mmu_check(struct cpu *cpu, gva_t addr, unsigned len, bool is_write, unsigned seg)
{
	struct parts parts;

	translate_parts(cpu, addr, len, right_now(cpu, is_write), seg, &parts);
}

void *mmu_span(struct cpu *cpu, gva_t addr, unsigned len, bool is_write, unsigned seg)
{
	void *host = mmu_fast(cpu, addr, len, is_write);
	struct parts parts;

	if (likely(host != NULL))
		return host;
	if (addr % PAGE_BYTES + len > PAGE_BYTES)
		return NULL;
	translate_parts(cpu, addr, len, right_now(cpu, is_write), seg, &parts);
	return mmu_fast(cpu, addr, len, is_write); /* as the tag that it has just got says */
}

void *mmu_write_begin(struct cpu *cpu, gva_t addr, unsigned len, unsigned seg)
{
	void *host = mmu_fast(cpu, addr, len, true);
	struct parts parts;

	if (likely(host != NULL))
		return host;
	if (addr % PAGE_BYTES + len > PAGE_BYTES)
		return NULL;
	translate_parts(cpu, addr, len, right_now(cpu, true), seg, &parts);
	if (!is_ram(parts.entry[0]) || cpu->tlb->is_aligned_only || (cpu->dr7 & DR7_ENABLES))
		return NULL;
	return host_of(parts.entry[0], addr);
}

void mmu_write_done(struct cpu *cpu, const void *host, unsigned len)
{
	written(cpu, host, len);
}

/* ---- read-modify-write ---- */

static void *bounce_begin(struct cpu *cpu, const struct parts *parts)
{
	struct bounce *bounce = &cpu->mmu->bounce;

	pthread_mutex_lock(&cpu->soft->bus_lock);
	memcpy(bounce->entry, parts->entry, sizeof(bounce->entry));
	memcpy(bounce->addr, parts->addr, sizeof(bounce->addr));
	memcpy(bounce->size, parts->size, sizeof(bounce->size));
	bounce->size[1] = parts->count > 1 ? parts->size[1] : 0;
	read_parts(cpu, parts, bounce->data);
	return bounce->data;
}

static void *rmw_begin(struct cpu *cpu, const struct parts *parts)
{
	if (parts->count == 1 && is_ram(parts->entry[0]))
		return host_of(parts->entry[0], parts->addr[0]);
	return bounce_begin(cpu, parts);
}

void *mmu_rmw_begin(struct cpu *cpu, gva_t addr, unsigned size, unsigned seg)
{
	void *host = mmu_fast(cpu, addr, size, true);
	struct parts parts;

	if (likely(host != NULL))
		return host;
	translate_parts(cpu, addr, size, right_now(cpu, true), seg, &parts);
	if (size <= 8)
		check_alignment(cpu, addr, size);
	return rmw_begin(cpu, &parts);
}

static void bounce_done(struct cpu *cpu)
{
	const struct bounce *bounce = &cpu->mmu->bounce;
	struct parts parts = { .count = bounce->size[1] ? 2 : 1 };

	memcpy(parts.entry, bounce->entry, sizeof(parts.entry));
	memcpy(parts.addr, bounce->addr, sizeof(parts.addr));
	memcpy(parts.size, bounce->size, sizeof(parts.size));
	write_parts(cpu, &parts, bounce->data);
	pthread_mutex_unlock(&cpu->soft->bus_lock);
}

void mmu_rmw_done(struct cpu *cpu, gva_t addr, unsigned size, void *host)
{
	note_breakpoints(cpu, addr, size, true);
	if (unlikely(host == cpu->mmu->bounce.data))
		bounce_done(cpu);
	else
		written(cpu, host, size);
}

/* ---- implicit supervisor accesses ---- */

void *mmu_system_span(struct cpu *cpu, gva_t addr, unsigned len, bool is_write)
{
	const struct tlb_way *way =
		&cpu->mmu->current->tlb
			 .way[TLB_KERNEL][is_write][(addr >> PAGE_BITS) % TLB_ENTRIES];

	if (likely((addr ^ way->tag) <= PAGE_BYTES - len))
		return (void *)(uintptr_t)(way->addend + addr);
	return NULL;
}

uint64_t mmu_load_system(struct cpu *cpu, gva_t addr, unsigned size)
{
	const void *host = mmu_system_span(cpu, addr, size, false);
	struct parts parts;
	uint64_t value = 0;

	if (likely(host != NULL))
		return load_le(host, size);
	translate_parts(cpu, addr, size, RIGHT_DATA(TLB_KERNEL, 0), DS, &parts);
	read_parts(cpu, &parts, (uint8_t *)&value);
	return value;
}

void mmu_store_system(struct cpu *cpu, gva_t addr, unsigned size, uint64_t value)
{
	void *host = mmu_system_span(cpu, addr, size, true);
	struct parts parts;

	if (likely(host != NULL)) {
		store_le(host, value, size);
		return;
	}
	translate_parts(cpu, addr, size, RIGHT_DATA(TLB_KERNEL, 1), DS, &parts);
	write_parts(cpu, &parts, (const uint8_t *)&value);
}

void *mmu_rmw_system_begin(struct cpu *cpu, gva_t addr, unsigned size)
{
	struct parts parts;

	translate_parts(cpu, addr, size, RIGHT_DATA(TLB_KERNEL, 1), DS, &parts);
	return rmw_begin(cpu, &parts);
}
