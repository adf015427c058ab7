/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FXSAVE, FXRSTOR and the XSAVE family.
 *
 * Components: x87, SSE, AVX and PKRU, at the offsets that CPUID leaf 0Dh shows (cpu/x86.h); there
 * are no supervisor components, so XSAVES and XRSTORS differ from XSAVEC and XRSTOR in privilege
 * and in checks only. The init optimisation is made, the modified optimisation is not.
 *
 * SDM1: "Managing State Using the XSAVE Feature Set".
 */
#include "cpu/exec/exec.h"

#include "cpu/exec/vector.h"
#include "cpu/feature.h"
#include "cpu/segment.h"
#include "cpu/soft.h"
#include "cpu/virt.h"

#define FX_ALIGN       16
#define XSAVE_ALIGN    64
#define XMM_BYTES      16u
#define FX_X87_BYTES   160u /* FCW to ST7, with MXCSR between */
#define EXTENDED_BYTES (XSAVE_AVX_BYTES + XSAVE_PKRU_BYTES)
#define AREA_BYTES     (XSAVE_AVX_OFFSET + EXTENDED_BYTES)
#define EXTENDED_BASE  (XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES)

#define XCOMP_COMPACTED BIT(63)

/* Offsets in the header */
#define XSTATE_BV        0
#define XCOMP_BV         8
#define HEADER_RESERVED  24 /* zero, as is XCOMP_BV and what follows it in standard form */
#define HEADER_AFTER_BVS 16

/* --- components ---------------------------------------------------------------------------------
 */

static unsigned vector_count(const struct cpu *cpu)
{
	return cpu->mode == MODE_64 ? 16 : 8;
}

static bool is_zero(const uint8_t *bytes, unsigned len)
{
	return !len || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static bool is_x87_initial(struct cpu *cpu)
{
	const struct vector_state *v = &cpu->vector;

	vector_copy_x87(cpu);
	return load_le(v->fx + FX_FCW, 2) == FCW_INIT && load_le(v->fx + FX_FSW, 2) == 0 &&
	       v->fx[FX_FTW] == 0 && !v->fip && !v->fdp && !v->fop &&
	       is_zero(v->fx + FX_ST, FX_XMM - FX_ST);
}

static uint64_t halves_in_use(const struct cpu *cpu)
{
	uint64_t low = 0, high = 0;

	for (unsigned i = 0; i < 16; i++) {
		const uint8_t *ymm = cpu->vector.ymm[i];

		low |= load_le(ymm, 8) | load_le(ymm + 8, 8);
		high |= load_le(ymm + XMM_BYTES, 8) | load_le(ymm + XMM_BYTES + 8, 8);
	}
	return (low ? XCR0_SSE : 0) | (high ? XCR0_AVX : 0);
}

uint64_t xsave_in_use(struct cpu *cpu)
{
	uint64_t in_use = is_x87_initial(cpu) ? 0 : XCR0_X87;

	if (vector_mxcsr(cpu) != MXCSR_INIT)
		in_use |= XCR0_SSE;
	if (cpu->pkru)
		in_use |= XCR0_PKRU;
	return in_use | halves_in_use(cpu);
}

/* The x87 part of an FXSAVE image; `is_wide`: the form with 64-bit pointers. */
static void pack_x87(struct cpu *cpu, uint8_t *image, bool is_wide)
{
	const struct vector_state *v = &cpu->vector;
	bool has_selectors = !cpu_has(cpu, FEATURE_ZERO_FCS_FDS);

	vector_copy_x87(cpu);
	memcpy(image, v->fx, FX_FIP);
	store_le(image + FX_FOP, v->fop, 2);
	store_le(image + FX_FIP, v->fip, 8);
	store_le(image + FX_FDP, v->fdp, 8);
	if (!is_wide) {
		store_le(image + FX_FCS, has_selectors ? v->fcs : 0, 4);
		store_le(image + FX_FDS, has_selectors ? v->fds : 0, 4);
	}
	memcpy(image + FX_ST, v->fx + FX_ST, FX_XMM - FX_ST);
}

static void unpack_x87(struct cpu *cpu, const uint8_t *image, bool is_wide)
{
	struct vector_state *v = &cpu->vector;
	unsigned pointer_bytes = is_wide ? 8 : 4;

	vector_drop_x87(cpu);
	memcpy(v->fx, image, FX_X87_BYTES);
	v->fop = (uint16_t)load_le(image + FX_FOP, 2) & 0x7ff;
	v->fip = load_le(image + FX_FIP, pointer_bytes);
	v->fdp = load_le(image + FX_FDP, pointer_bytes);
	v->fcs = is_wide ? 0 : (uint16_t)load_le(image + FX_FCS, 2);
	v->fds = is_wide ? 0 : (uint16_t)load_le(image + FX_FDS, 2);
	memset(v->fx + FX_FOP, 0, FX_MXCSR - FX_FOP);
}

static void init_x87(struct cpu *cpu)
{
	uint8_t image[FX_X87_BYTES] = { 0 };

	store_le(image + FX_FCW, FCW_INIT, 2);
	unpack_x87(cpu, image, true);
}

static void pack_mxcsr(struct cpu *cpu, uint8_t *image)
{
	store_le(image + FX_MXCSR, vector_mxcsr(cpu), 4);
	store_le(image + FX_MXCSR_MASK, MXCSR_DEFINED, 4);
}

/* XMM registers or, from byte 16 on, the upper halves: 16 bytes of each register. */
static void pack_halves(const struct cpu *cpu, uint8_t *image, unsigned from)
{
	for (unsigned i = 0; i < vector_count(cpu); i++)
		memcpy(image + i * XMM_BYTES, cpu->vector.ymm[i] + from, XMM_BYTES);
}

/* NULL: all zero. */
static void unpack_halves(struct cpu *cpu, const uint8_t *image, unsigned from)
{
	for (unsigned i = 0; i < vector_count(cpu); i++) {
		if (image)
			memcpy(cpu->vector.ymm[i] + from, image + i * XMM_BYTES, XMM_BYTES);
		else
			memset(cpu->vector.ymm[i] + from, 0, XMM_BYTES);
	}
}

/* --- FXSAVE, FXRSTOR ----------------------------------------------------------------------------
 */

static bool is_wide_form(const struct insn *insn)
{
	switch (insn->mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR64:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XSAVEOPT64:
	case ZYDIS_MNEMONIC_XSAVEC64:
	case ZYDIS_MNEMONIC_XSAVES64:
	case ZYDIS_MNEMONIC_XRSTOR64:
	case ZYDIS_MNEMONIC_XRSTORS64:
		return true;
	default:
		return false;
	}
}

static gva_t aligned_operand(struct cpu *cpu, const struct insn *insn, unsigned bytes,
			     unsigned align, bool is_write)
{
	gva_t addr = insn_linear(cpu, insn, bytes, is_write);

	if (addr % align)
		cpu_raise_code(cpu, EXC_GP, 0);
	return addr;
}

void xsave_fxsave(struct cpu *cpu, const struct insn *insn)
{
	unsigned bytes = FX_XMM + vector_count(cpu) * XMM_BYTES;
	uint8_t image[FX_BYTES];
	gva_t addr;

	if (cpu->cr0 & (CR0_EM | CR0_TS))
		cpu_raise(cpu, EXC_NM);
	addr = aligned_operand(cpu, insn, FX_BYTES, FX_ALIGN, true);
	mmu_check(cpu, addr, FX_BYTES, true, insn->seg);
	pack_x87(cpu, image, is_wide_form(insn));
	pack_mxcsr(cpu, image);
	pack_halves(cpu, image + FX_XMM, 0);
	mmu_write_bytes(cpu, addr, image, bytes, insn->seg);
}

void xsave_fxrstor(struct cpu *cpu, const struct insn *insn)
{
	uint8_t image[FX_BYTES];
	uint32_t mxcsr;

	if (cpu->cr0 & (CR0_EM | CR0_TS))
		cpu_raise(cpu, EXC_NM);
	mmu_read_bytes(cpu, aligned_operand(cpu, insn, FX_BYTES, FX_ALIGN, false), image, FX_BYTES,
		       insn->seg);
	mxcsr = (uint32_t)load_le(image + FX_MXCSR, 4);
	if (mxcsr & ~MXCSR_DEFINED)
		cpu_raise_code(cpu, EXC_GP, 0);
	unpack_x87(cpu, image, is_wide_form(insn));
	vector_set_mxcsr(cpu, mxcsr);
	unpack_halves(cpu, image + FX_XMM, 0);
}

/* --- XSAVE --------------------------------------------------------------------------------------
 */

/* Offset of an extended component in an area of this form. */
static unsigned component_offset(uint64_t component, uint64_t xcomp_bv)
{
	if (!(xcomp_bv & XCOMP_COMPACTED))
		return component == XCR0_AVX ? XSAVE_AVX_OFFSET : XSAVE_PKRU_OFFSET;
	if (component == XCR0_PKRU && (xcomp_bv & XCR0_AVX))
		return EXTENDED_BASE + XSAVE_AVX_BYTES;
	return EXTENDED_BASE;
}

/* Bytes of an area up to the end of its last component among `components`. */
static unsigned area_bytes(uint64_t components, uint64_t xcomp_bv)
{
	if (components & XCR0_PKRU)
		return component_offset(XCR0_PKRU, xcomp_bv) + XSAVE_PKRU_BYTES;
	if (components & XCR0_AVX)
		return component_offset(XCR0_AVX, xcomp_bv) + XSAVE_AVX_BYTES;
	return EXTENDED_BASE;
}

static void check_xsave(struct cpu *cpu, bool is_supervisor)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		cpu_raise(cpu, EXC_UD);
	if (is_supervisor)
		virt_require(cpu, INTERCEPT_XSAVES);
	vector_check_ts(cpu);
	if (is_supervisor && cpu->cpl)
		cpu_raise_code(cpu, EXC_GP, 0);
}

/* RFBM: the components that the instruction is asked for and that are enabled. */
static uint64_t requested(const struct cpu *cpu)
{
	return ((uint32_t)cpu->gpr[RAX] | cpu->gpr[RDX] << 32) & cpu->xcr0;
}

/* What is written where: an area in the making, and which parts of it go to memory. */
struct saving {
	struct cpu *cpu;
	gva_t addr;
	unsigned seg;
	uint64_t xcomp_bv; /* form of the area */
};

static void write_part(const struct saving *s, unsigned offset, const void *part, unsigned bytes)
{
	void *host = mmu_fast(s->cpu, s->addr + offset, bytes, true);

	if (likely(host != NULL))
		memcpy(host, part, bytes);
	else
		mmu_write_bytes(s->cpu, s->addr + offset, part, bytes, s->seg);
}

static void save_components(const struct saving *s, uint64_t components, bool with_mxcsr,
			    bool is_wide)
{
	struct cpu *cpu = s->cpu;
	unsigned halves_bytes = vector_count(cpu) * XMM_BYTES;
	uint8_t part[XSAVE_LEGACY_BYTES];

	if (components & XCR0_X87) {
		pack_x87(cpu, part, is_wide);
		write_part(s, FX_FCW, part, FX_MXCSR);
		write_part(s, FX_ST, part + FX_ST, FX_XMM - FX_ST);
	}
	if (with_mxcsr) {
		pack_mxcsr(cpu, part);
		write_part(s, FX_MXCSR, part + FX_MXCSR, FX_ST - FX_MXCSR);
	}
	if (components & XCR0_SSE) {
		pack_halves(cpu, part, 0);
		write_part(s, FX_XMM, part, halves_bytes);
	}
	if (components & XCR0_AVX) {
		pack_halves(cpu, part, XMM_BYTES);
		write_part(s, component_offset(XCR0_AVX, s->xcomp_bv), part, halves_bytes);
	}
	if (components & XCR0_PKRU) {
		store_le(part, cpu->pkru, XSAVE_PKRU_BYTES);
		write_part(s, component_offset(XCR0_PKRU, s->xcomp_bv), part, XSAVE_PKRU_BYTES);
	}
}

/* XSAVE and XSAVEOPT: standard form, on top of the header that is there. */
static void save_standard(struct cpu *cpu, const struct insn *insn, bool skip_initial)
{
	struct saving s = { cpu, 0, insn->seg, 0 };
	uint64_t rfbm, in_use, xstate_bv;
	bool with_mxcsr;

	check_xsave(cpu, false);
	rfbm = requested(cpu);
	s.addr = aligned_operand(cpu, insn, area_bytes(rfbm, 0), XSAVE_ALIGN, true);
	mmu_check(cpu, s.addr, area_bytes(rfbm, 0), true, s.seg);
	in_use = xsave_in_use(cpu) & rfbm;
	with_mxcsr = rfbm & (XCR0_SSE | XCR0_AVX);
	save_components(&s, skip_initial ? in_use : rfbm, with_mxcsr, is_wide_form(insn));
	xstate_bv = mmu_load(cpu, s.addr + XSAVE_LEGACY_BYTES + XSTATE_BV, 8, s.seg);
	mmu_store(cpu, s.addr + XSAVE_LEGACY_BYTES + XSTATE_BV, 8, (xstate_bv & ~rfbm) | in_use,
		  s.seg);
}

/* XSAVEC and XSAVES: only what is in use is written. */
static void save_compacted(struct cpu *cpu, const struct insn *insn, bool is_supervisor)
{
	struct saving s = { cpu, 0, insn->seg, 0 };
	uint64_t rfbm, in_use;
	uint8_t bvs[HEADER_AFTER_BVS];

	check_xsave(cpu, is_supervisor);
	if (is_supervisor)
		virt_intercept(cpu, INTERCEPT_XSAVES, 0);
	rfbm = requested(cpu);
	s.xcomp_bv = rfbm | XCOMP_COMPACTED;
	s.addr = aligned_operand(cpu, insn, area_bytes(rfbm, s.xcomp_bv), XSAVE_ALIGN, true);
	mmu_check(cpu, s.addr, area_bytes(rfbm, s.xcomp_bv), true, s.seg);
	in_use = xsave_in_use(cpu) & rfbm;
	save_components(&s, in_use, in_use & XCR0_SSE, is_wide_form(insn));
	store_le(bvs + XSTATE_BV, in_use, 8);
	store_le(bvs + XCOMP_BV, s.xcomp_bv, 8);
	write_part(&s, XSAVE_LEGACY_BYTES, bvs, sizeof(bvs));
}

void xsave_xsave(struct cpu *cpu, const struct insn *insn)
{
	save_standard(cpu, insn, false);
}

void xsave_xsaveopt(struct cpu *cpu, const struct insn *insn)
{
	save_standard(cpu, insn, true);
}

void xsave_xsavec(struct cpu *cpu, const struct insn *insn)
{
	save_compacted(cpu, insn, false);
}

void xsave_xsaves(struct cpu *cpu, const struct insn *insn)
{
	save_compacted(cpu, insn, true);
}

/* --- XRSTOR -------------------------------------------------------------------------------------
 */

/* SDM1: "Operation of XRSTOR", the conditions for #GP. */
static bool is_header_valid(const struct cpu *cpu, const uint8_t *header, bool must_be_compacted)
{
	uint64_t xstate_bv = load_le(header + XSTATE_BV, 8);
	uint64_t xcomp_bv = load_le(header + XCOMP_BV, 8);

	if (xcomp_bv & XCOMP_COMPACTED)
		return !(xcomp_bv & ~XCOMP_COMPACTED & ~cpu->xcr0) && !(xstate_bv & ~xcomp_bv) &&
		       is_zero(header + HEADER_AFTER_BVS, XSAVE_HEADER_BYTES - HEADER_AFTER_BVS);
	return !must_be_compacted && !(xstate_bv & ~cpu->xcr0) &&
	       is_zero(header + XCOMP_BV, HEADER_RESERVED - XCOMP_BV);
}

/* `area`: what was read of the area; components in `rfbm` but not in `present` become initial. */
static void restore_components(struct cpu *cpu, const uint8_t *area, uint64_t rfbm,
			       uint64_t present, bool is_wide)
{
	uint64_t xcomp_bv = load_le(area + XSAVE_LEGACY_BYTES + XCOMP_BV, 8);

	if (rfbm & XCR0_X87) {
		if (present & XCR0_X87)
			unpack_x87(cpu, area, is_wide);
		else
			init_x87(cpu);
	}
	if (rfbm & XCR0_SSE)
		unpack_halves(cpu, present & XCR0_SSE ? area + FX_XMM : NULL, 0);
	if (rfbm & XCR0_AVX)
		unpack_halves(cpu,
			      present & XCR0_AVX ? area + component_offset(XCR0_AVX, xcomp_bv)
						 : NULL,
			      XMM_BYTES);
	if (rfbm & XCR0_PKRU) {
		const uint8_t *pkru = area + component_offset(XCR0_PKRU, xcomp_bv);

		mmu_write_pkru(cpu, present & XCR0_PKRU ? (uint32_t)load_le(pkru, 4) : 0);
	}
}

/* MXCSR belongs to SSE in compacted form; in standard form it is always there. */
static bool next_mxcsr(const uint8_t *area, uint64_t rfbm, uint64_t present, uint32_t *mxcsr)
{
	uint64_t xcomp_bv = load_le(area + XSAVE_LEGACY_BYTES + XCOMP_BV, 8);

	*mxcsr = (uint32_t)load_le(area + FX_MXCSR, 4);
	if (!(xcomp_bv & XCOMP_COMPACTED))
		return rfbm & (XCR0_SSE | XCR0_AVX);
	if (!(present & XCR0_SSE))
		*mxcsr = MXCSR_INIT;
	return rfbm & XCR0_SSE;
}

static void read_part(struct cpu *cpu, gva_t addr, void *part, unsigned bytes, unsigned seg)
{
	const void *host = mmu_fast(cpu, addr, bytes, false);

	if (likely(host != NULL))
		memcpy(part, host, bytes);
	else
		mmu_read_bytes(cpu, addr, part, bytes, seg);
}

static void restore(struct cpu *cpu, const struct insn *insn, bool is_supervisor)
{
	uint8_t area[AREA_BYTES], *header = area + XSAVE_LEGACY_BYTES;
	uint64_t rfbm, present;
	unsigned bytes;
	uint32_t mxcsr;
	bool has_mxcsr;
	gva_t addr;

	check_xsave(cpu, is_supervisor);
	if (is_supervisor)
		virt_intercept(cpu, INTERCEPT_XRSTORS, 0);
	rfbm = requested(cpu);
	addr = aligned_operand(cpu, insn, EXTENDED_BASE, XSAVE_ALIGN, false);
	read_part(cpu, addr, area, EXTENDED_BASE, insn->seg);
	if (!is_header_valid(cpu, header, is_supervisor))
		cpu_raise_code(cpu, EXC_GP, 0);
	present = rfbm & load_le(header + XSTATE_BV, 8);
	bytes = area_bytes(present, load_le(header + XCOMP_BV, 8));
	if (bytes > EXTENDED_BASE)
		read_part(cpu, addr + EXTENDED_BASE, area + EXTENDED_BASE, bytes - EXTENDED_BASE,
			  insn->seg);
	has_mxcsr = next_mxcsr(area, rfbm, present, &mxcsr);
	if (has_mxcsr && (mxcsr & ~MXCSR_DEFINED))
		cpu_raise_code(cpu, EXC_GP, 0);
	restore_components(cpu, area, rfbm, present, is_wide_form(insn));
	if (has_mxcsr)
		vector_set_mxcsr(cpu, mxcsr);
}

void xsave_xrstor(struct cpu *cpu, const struct insn *insn)
{
	restore(cpu, insn, false);
}

void xsave_xrstors(struct cpu *cpu, const struct insn *insn)
{
	restore(cpu, insn, true);
}
