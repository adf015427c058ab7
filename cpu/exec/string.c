/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions but INS and OUTS.
 *
 * Work goes in chunks: a run of elements forward that lies in one page of plain RAM at either end,
 * which the host's own REP instruction does, or else a single element. After each chunk RSI, RDI
 * and RCX are up to date, so that faults and interrupts find the instruction restartable.
 * SDM2: "REP/REPE/REPZ/REPNE/REPNZ", "MOVS", "STOS", "LODS", "SCAS", "CMPS".
 */
#include "cpu/exec/template.h"

/* Does at least one of `count` elements, and says how many. */
typedef uint64_t chunk_fn(struct cpu *cpu, const struct insn *insn, uint64_t count);

static uint64_t counter(struct cpu *cpu, const struct insn *insn, unsigned reg)
{
	return reg_read(cpu, REG_OFFSET(reg), insn->addr_size);
}

static void advance(struct cpu *cpu, const struct insn *insn, unsigned reg, uint64_t elements)
{
	uint64_t bytes = elements * insn->size;
	uint64_t value = counter(cpu, insn, reg);

	value = cpu->rflags & RFLAGS_DF ? value - bytes : value + bytes;
	reg_write(cpu, REG_OFFSET(reg), insn->addr_size, value);
}

static gva_t source(struct cpu *cpu, const struct insn *insn)
{
	return segment_linear(cpu, insn->seg, counter(cpu, insn, RSI), insn->size, false);
}

static gva_t destination(struct cpu *cpu, const struct insn *insn, bool is_write)
{
	return segment_linear(cpu, ES, counter(cpu, insn, RDI), insn->size, is_write);
}

/* Elements from `offset` up to where it wraps or leaves the segment; the first is known to fit. */
static uint64_t room_in_segment(const struct cpu *cpu, const struct insn *insn, unsigned seg,
				uint64_t offset)
{
	uint64_t last = size_mask(insn->addr_size);
	const struct segment *s = &cpu->seg[seg];
	bool expands_down = !(s->ar & SEG_CODE) && (s->ar & SEG_EXPAND);

	if (cpu->mode != MODE_64 && !expands_down)
		last = MIN(last, s->limit);
	return (last - offset) / insn->size + ((last - offset) % insn->size + 1) / insn->size;
}

static uint64_t room_in_page(gva_t addr, unsigned size)
{
	return (PAGE_BYTES - addr % PAGE_BYTES) / size;
}

/* How many of `count` elements at the register `reg` of segment `seg` make one chunk; 0: none. */
static uint64_t limit_chunk(struct cpu *cpu, const struct insn *insn, unsigned seg, unsigned reg,
			    gva_t addr, uint64_t count)
{
	if (cpu->rflags & RFLAGS_DF)
		return 0;
	count = MIN(count, room_in_page(addr, insn->size));
	return MIN(count, room_in_segment(cpu, insn, seg, counter(cpu, insn, reg)));
}

/* The two ends of a chunk as host memory, or n == 0 where an element must do. */
struct chunk {
	void *src, *dst;
	uint64_t n;
};

static void *span(struct cpu *cpu, gva_t addr, uint64_t n, unsigned size, bool is_write,
		  unsigned seg)
{
	unsigned len = (unsigned)(n * size);

	return is_write ? mmu_write_begin(cpu, addr, len, seg)
			: mmu_span(cpu, addr, len, false, seg);
}

static struct chunk source_chunk(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	gva_t addr = source(cpu, insn);
	struct chunk c = { .n = limit_chunk(cpu, insn, insn->seg, RSI, addr, count) };

	if (c.n)
		c.src = span(cpu, addr, c.n, insn->size, false, insn->seg);
	if (!c.src)
		c.n = 0;
	return c;
}

/* Adds the destination to what the source allows (`from`, or any count). */
static struct chunk destination_chunk(struct cpu *cpu, const struct insn *insn, struct chunk from,
				      bool is_write)
{
	gva_t addr = destination(cpu, insn, is_write);

	from.n = limit_chunk(cpu, insn, ES, RDI, addr, from.n);
	if (from.n)
		from.dst = span(cpu, addr, from.n, insn->size, is_write, ES);
	if (!from.dst)
		from.n = 0;
	return from;
}

#define HOST_STRING(bytes, text, ...)                                  \
	case bytes:                                                    \
		__asm__ volatile(text:__VA_ARGS__ : : "cc", "memory"); \
		break;

/* MOVS */
static void host_movs(const struct chunk *c, unsigned size)
{
	void *src = c->src, *dst = c->dst;
	uint64_t n = c->n;

	switch (size) {
		HOST_STRING(1, "rep movsb", "+S"(src), "+D"(dst), "+c"(n))
		HOST_STRING(2, "rep movsw", "+S"(src), "+D"(dst), "+c"(n))
		HOST_STRING(4, "rep movsl", "+S"(src), "+D"(dst), "+c"(n))
		HOST_STRING(8, "rep movsq", "+S"(src), "+D"(dst), "+c"(n))
	}
}

static uint64_t movs(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	struct chunk c = source_chunk(cpu, insn, count);

	if (c.n)
		c = destination_chunk(cpu, insn, c, true);
	if (c.n) {
		host_movs(&c, insn->size);
		mmu_write_done(cpu, c.dst, (unsigned)c.n * insn->size);
	} else {
		uint64_t value = mmu_load(cpu, source(cpu, insn), insn->size, insn->seg);

		mmu_store(cpu, destination(cpu, insn, true), insn->size, value, ES);
		c.n = 1;
	}
	advance(cpu, insn, RSI, c.n);
	advance(cpu, insn, RDI, c.n);
	return c.n;
}

/* STOS */
static void host_stos(const struct chunk *c, uint64_t rax, unsigned size)
{
	void *dst = c->dst;
	uint64_t n = c->n;

	switch (size) {
		HOST_STRING(1, "rep stosb", "+D"(dst), "+c"(n), "+a"(rax))
		HOST_STRING(2, "rep stosw", "+D"(dst), "+c"(n), "+a"(rax))
		HOST_STRING(4, "rep stosl", "+D"(dst), "+c"(n), "+a"(rax))
		HOST_STRING(8, "rep stosq", "+D"(dst), "+c"(n), "+a"(rax))
	}
}

static uint64_t stos(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	struct chunk c = destination_chunk(cpu, insn, (struct chunk){ .n = count }, true);

	if (c.n) {
		host_stos(&c, cpu->gpr[RAX], insn->size);
		mmu_write_done(cpu, c.dst, (unsigned)c.n * insn->size);
	} else {
		mmu_store(cpu, destination(cpu, insn, true), insn->size, cpu->gpr[RAX], ES);
		c.n = 1;
	}
	advance(cpu, insn, RDI, c.n);
	return c.n;
}

/* LODS: all but the last element are overwritten, yet each is loaded. */
static uint64_t lods(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	uint64_t value = mmu_load(cpu, source(cpu, insn), insn->size, insn->seg);

	(void)count;
	reg_write(cpu, REG_OFFSET(RAX), insn->size, value);
	advance(cpu, insn, RSI, 1);
	return 1;
}

/* SCAS and CMPS: the host's instruction stops where the guest's would. */
HOST_OP2(op_cmp, "cmp")

#define HOST_COMPARE(bytes, suffix, ...)                                        \
	case bytes:                                                             \
		if (is_repne)                                                   \
			__asm__ volatile("repne " suffix FLAGS_SAVE:__VA_ARGS__ \
					 :                                      \
					 : "cc", "memory");                     \
		else                                                            \
			__asm__ volatile("repe " suffix FLAGS_SAVE:__VA_ARGS__  \
					 :                                      \
					 : "cc", "memory");                     \
		break;

/* Returns how many elements were compared; *rax has the status after them. */
static uint64_t host_scas(const struct chunk *c, uint64_t *rax, unsigned size, bool is_repne)
{
	void *dst = c->dst;
	uint64_t n = c->n, a = *rax;

	switch (size) {
		HOST_COMPARE(1, "scasb", "+D"(dst), "+c"(n), "+a"(a))
		HOST_COMPARE(2, "scasw", "+D"(dst), "+c"(n), "+a"(a))
		HOST_COMPARE(4, "scasl", "+D"(dst), "+c"(n), "+a"(a))
		HOST_COMPARE(8, "scasq", "+D"(dst), "+c"(n), "+a"(a))
	}
	*rax = a;
	return c->n - n;
}

static uint64_t host_cmps(const struct chunk *c, uint64_t *rax, unsigned size, bool is_repne)
{
	void *src = c->src, *dst = c->dst;
	uint64_t n = c->n, a = 0;

	switch (size) {
		HOST_COMPARE(1, "cmpsb", "+S"(src), "+D"(dst), "+c"(n), "+a"(a))
		HOST_COMPARE(2, "cmpsw", "+S"(src), "+D"(dst), "+c"(n), "+a"(a))
		HOST_COMPARE(4, "cmpsl", "+S"(src), "+D"(dst), "+c"(n), "+a"(a))
		HOST_COMPARE(8, "cmpsq", "+S"(src), "+D"(dst), "+c"(n), "+a"(a))
	}
	*rax = a;
	return c->n - n;
}

static uint64_t scas(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	struct chunk c = destination_chunk(cpu, insn, (struct chunk){ .n = count }, false);
	uint64_t rax = cpu->gpr[RAX];

	if (c.n) {
		c.n = host_scas(&c, &rax, insn->size, insn->flags & INSN_REPNE);
		cpu->status = (uint16_t)rax;
	} else {
		uint64_t value = mmu_load(cpu, destination(cpu, insn, false), insn->size, ES);

		op_cmp(rax, value, insn->size, &cpu->status);
		c.n = 1;
	}
	advance(cpu, insn, RDI, c.n);
	return c.n;
}

static uint64_t cmps(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	struct chunk c = source_chunk(cpu, insn, count);
	uint64_t rax;

	if (c.n)
		c = destination_chunk(cpu, insn, c, false);
	if (c.n) {
		c.n = host_cmps(&c, &rax, insn->size, insn->flags & INSN_REPNE);
		cpu->status = (uint16_t)rax;
	} else {
		uint64_t a = mmu_load(cpu, source(cpu, insn), insn->size, insn->seg);
		uint64_t b = mmu_load(cpu, destination(cpu, insn, false), insn->size, ES);

		op_cmp(a, b, insn->size, &cpu->status);
		c.n = 1;
	}
	advance(cpu, insn, RSI, c.n);
	advance(cpu, insn, RDI, c.n);
	return c.n;
}

/* Between chunks the run loop may have something to do; whoever steps, a debugger or a hypervisor,
 * sees each element. */
static uint64_t run_chunk(struct cpu *cpu, const struct insn *insn, chunk_fn *chunk, uint64_t count)
{
	uint32_t attention = __atomic_load_n(&cpu->attention, __ATOMIC_RELAXED);
	bool is_stepping = attention & (ATTENTION_STEP | ATTENTION_VIRT);

	count -= chunk(cpu, insn, is_stepping ? 1 : count);
	reg_write(cpu, REG_OFFSET(RCX), insn->addr_size, count);
	return count;
}

static void yield_to_attention(struct cpu *cpu)
{
	if (unlikely(cpu_must_pause(cpu)))
		cpu_resume(cpu);
}

static void repeat(struct cpu *cpu, const struct insn *insn, chunk_fn *chunk)
{
	uint64_t count = counter(cpu, insn, RCX);

	while (count) {
		count = run_chunk(cpu, insn, chunk, count);
		if (count)
			yield_to_attention(cpu);
	}
}

static void repeat_compare(struct cpu *cpu, const struct insn *insn, chunk_fn *chunk)
{
	bool goes_on_equal = insn->flags & INSN_REP;
	uint64_t count = counter(cpu, insn, RCX);

	while (count) {
		count = run_chunk(cpu, insn, chunk, count);
		if (!!(cpu->status & STATUS_ZF) != goes_on_equal)
			break;
		if (count)
			yield_to_attention(cpu);
	}
}

#define STRING_HANDLERS(op, repeat_fn)                                 \
	static void op##_one(struct cpu *cpu, const struct insn *insn) \
	{                                                              \
		op(cpu, insn, 1);                                      \
	}                                                              \
	static void op##_rep(struct cpu *cpu, const struct insn *insn) \
	{                                                              \
		repeat_fn(cpu, insn, op);                              \
	}

STRING_HANDLERS(movs, repeat)
STRING_HANDLERS(stos, repeat)
STRING_HANDLERS(lods, repeat)
STRING_HANDLERS(scas, repeat_compare)
STRING_HANDLERS(cmps, repeat_compare)

/* By the opcode. MOVS, STOS and LODS take either prefix for REP. */
insn_fn *string_select(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands,
		       struct insn *insn)
{
	static insn_fn *const handlers[][2] = {
		[0xa4 >> 1 & 7] = { movs_one, movs_rep }, [0xa6 >> 1 & 7] = { cmps_one, cmps_rep },
		[0xaa >> 1 & 7] = { stos_one, stos_rep }, [0xac >> 1 & 7] = { lods_one, lods_rep },
		[0xae >> 1 & 7] = { scas_one, scas_rep },
	};
	bool is_repeated = insn->flags & (INSN_REP | INSN_REPNE);

	(void)operands;
	return handlers[zydis->opcode >> 1 & 7][is_repeated];
}
