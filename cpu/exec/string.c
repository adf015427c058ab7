/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * String instructions but INS and OUTS.
 *
 * Work goes in chunks: a run of elements that lies in one page of RAM at either end, which the
 * host's own REP instruction does, or else a single element. After each chunk RSI, RDI and RCX are
 * up to date, so that faults and interrupts find the instruction restartable.
 * SDM2: "REP/REPE/REPZ/REPNE/REPNZ", "MOVS", "STOS", "LODS", "SCAS", "CMPS".
 */
#include "cpu/exec/template.h"

/* Does at least one of `count` elements, and says how many. */
typedef uint64_t chunk_fn(struct cpu *cpu, const struct insn *insn, uint64_t count);

static uint64_t counter(struct cpu *cpu, const struct insn *insn, unsigned reg)
{
	return reg_read(cpu, REG_OFFSET(reg), insn->addr_size);
}

static bool is_backward(const struct cpu *cpu)
{
	return cpu->rflags & RFLAGS_DF;
}

static void advance(struct cpu *cpu, const struct insn *insn, unsigned reg, uint64_t elements)
{
	uint64_t bytes = elements * insn->size;
	uint64_t value = counter(cpu, insn, reg);

	value = is_backward(cpu) ? value - bytes : value + bytes;
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

/* Elements from the one at `offset` on to where the segment ends or the offset wraps. */
static uint64_t room_in_segment(const struct cpu *cpu, const struct insn *insn, unsigned seg,
				uint64_t offset)
{
	uint64_t last = size_mask(insn->addr_size);
	const struct segment *s = &cpu->seg[seg];
	bool expands_down = !(s->ar & SEG_CODE) && (s->ar & SEG_EXPAND);

	if (cpu->mode != MODE_64) {
		if (expands_down)
			return 0;
		last = MIN(last, s->limit);
	}
	if (last - offset < insn->size - 1u)
		return 0; /* it wraps itself */
	return (is_backward(cpu) ? offset : last + 1 - insn->size - offset) / insn->size + 1;
}

static uint64_t room_in_page(const struct cpu *cpu, gva_t addr, unsigned size)
{
	unsigned offset = addr % PAGE_BYTES, last = PAGE_BYTES - size;

	if (offset > last)
		return 0;
	return (is_backward(cpu) ? offset : last - offset) / size + 1;
}

/* How many of `count` elements at the register `reg` of segment `seg` make one chunk; 0: none. */
static uint64_t limit_chunk(struct cpu *cpu, const struct insn *insn, unsigned seg, unsigned reg,
			    gva_t addr, uint64_t count)
{
	count = MIN(count, room_in_page(cpu, addr, insn->size));
	return MIN(count, room_in_segment(cpu, insn, seg, counter(cpu, insn, reg)));
}

/*
 * The two ends of a chunk as host memory, from the lowest address up, or n == 0 where an element
 * must do. mmu_write_done comes behind a chunk that was written to.
 */
struct chunk {
	uint8_t *src, *dst;
	uint64_t n;
};

/* Where a chunk of n elements at `addr` begins. Faults are the first element's. */
static gva_t chunk_start(struct cpu *cpu, const struct insn *insn, gva_t addr, uint64_t n,
			 bool is_write, unsigned seg)
{
	if (!is_backward(cpu) || n == 1)
		return addr;
	if (!mmu_fast(cpu, addr, insn->size, is_write))
		mmu_check(cpu, addr, insn->size, is_write, seg);
	return addr - (n - 1) * insn->size;
}

static struct chunk source_chunk(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	gva_t addr = source(cpu, insn);
	struct chunk c = { .n = limit_chunk(cpu, insn, insn->seg, RSI, addr, count) };

	if (!c.n)
		return c;
	addr = chunk_start(cpu, insn, addr, c.n, false, insn->seg);
	c.src = mmu_span(cpu, addr, (unsigned)(c.n * insn->size), false, insn->seg);
	if (!c.src)
		c.n = 0;
	return c;
}

/* Adds the destination to what the source allows (`from`, or any count). */
static struct chunk destination_chunk(struct cpu *cpu, const struct insn *insn, struct chunk from,
				      bool is_write)
{
	gva_t addr = destination(cpu, insn, is_write);
	uint64_t n = limit_chunk(cpu, insn, ES, RDI, addr, from.n);
	unsigned bytes = (unsigned)(n * insn->size);

	if (from.src && is_backward(cpu))
		from.src += (from.n - n) * insn->size;
	from.n = n;
	if (!n)
		return from;
	addr = chunk_start(cpu, insn, addr, n, is_write, ES);
	from.dst = is_write ? mmu_write_begin(cpu, addr, bytes, ES)
			    : mmu_span(cpu, addr, bytes, false, ES);
	if (!from.dst)
		from.n = 0;
	return from;
}

#define HOST_SIZES(head, tail, bytes, ...)                                      \
	switch (bytes) {                                                        \
	case 1:                                                                 \
		__asm__ volatile(head "b" tail:__VA_ARGS__ : : "cc", "memory"); \
		break;                                                          \
	case 2:                                                                 \
		__asm__ volatile(head "w" tail:__VA_ARGS__ : : "cc", "memory"); \
		break;                                                          \
	case 4:                                                                 \
		__asm__ volatile(head "l" tail:__VA_ARGS__ : : "cc", "memory"); \
		break;                                                          \
	default:                                                                \
		__asm__ volatile(head "q" tail:__VA_ARGS__ : : "cc", "memory"); \
	}

#define HOST_STRING(is_backward, head, tail, bytes, ...)                           \
	do {                                                                       \
		if (is_backward)                                                   \
			HOST_SIZES("std; " head, tail "; cld", bytes, __VA_ARGS__) \
		else                                                               \
			HOST_SIZES(head, tail, bytes, __VA_ARGS__)                 \
	} while (0)

/* From a chunk's lowest address to that of the element that comes first. */
static uint64_t first_of(const struct chunk *c, unsigned size, bool is_back)
{
	return is_back ? (c->n - 1) * size : 0;
}

/* MOVS: where its ends do not overlap, a chunk that goes backward may go forward, which is faster.
 */
static void host_movs(const struct chunk *c, unsigned size, bool is_back)
{
	uint64_t n = c->n, bytes = n * size, skip;
	uint8_t *src = c->src, *dst = c->dst;

	is_back = is_back && (src < dst ? src + bytes > dst : dst + bytes > src);
	skip = first_of(c, size, is_back);
	src += skip;
	dst += skip;
	HOST_STRING(is_back, "rep movs", "", size, "+S"(src), "+D"(dst), "+c"(n));
}

static uint64_t movs(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	struct chunk c = source_chunk(cpu, insn, count);

	if (c.n)
		c = destination_chunk(cpu, insn, c, true);
	if (c.n) {
		host_movs(&c, insn->size, is_backward(cpu));
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
	uint8_t *dst = c->dst;
	uint64_t n = c->n;

	HOST_STRING(false, "rep stos", "", size, "+D"(dst), "+c"(n), "+a"(rax));
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

#define HOST_COMPARE(op, is_repne, is_back, bytes, ...)                                    \
	do {                                                                               \
		if (is_repne)                                                              \
			HOST_STRING(is_back, "repne " op, FLAGS_SAVE, bytes, __VA_ARGS__); \
		else                                                                       \
			HOST_STRING(is_back, "repe " op, FLAGS_SAVE, bytes, __VA_ARGS__);  \
	} while (0)

/* Returns how many elements were compared; *rax has the status after them. */
static uint64_t host_scas(const struct chunk *c, uint64_t *rax, unsigned size, bool is_repne,
			  bool is_back)
{
	uint8_t *dst = c->dst + first_of(c, size, is_back);
	uint64_t n = c->n, a = *rax;

	HOST_COMPARE("scas", is_repne, is_back, size, "+D"(dst), "+c"(n), "+a"(a));
	*rax = a;
	return c->n - n;
}

static uint64_t host_cmps(const struct chunk *c, uint64_t *rax, unsigned size, bool is_repne,
			  bool is_back)
{
	uint64_t skip = first_of(c, size, is_back), n = c->n, a = 0;
	uint8_t *src = c->src + skip, *dst = c->dst + skip;

	HOST_COMPARE("cmps", is_repne, is_back, size, "+S"(src), "+D"(dst), "+c"(n), "+a"(a));
	*rax = a;
	return c->n - n;
}

static uint64_t scas(struct cpu *cpu, const struct insn *insn, uint64_t count)
{
	struct chunk c = destination_chunk(cpu, insn, (struct chunk){ .n = count }, false);
	uint64_t rax = cpu->gpr[RAX];

	if (c.n) {
		c.n = host_scas(&c, &rax, insn->size, insn->flags & INSN_REPNE, is_backward(cpu));
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
		c.n = host_cmps(&c, &rax, insn->size, insn->flags & INSN_REPNE, is_backward(cpu));
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
