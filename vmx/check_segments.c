/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checks of VM entry on the guest's segment and descriptor-table registers, in the manual's
 * order: selectors, bases, limits, and each part of the access rights.
 *
 * SDM3: "Checks on Guest Segment Registers", "Checks on Guest Descriptor-Table Registers"
 */
#include "vmx/check.h"
#include "vmx/state.h"

#define V86_LIMIT 0xffff
#define V86_AR    0xf3

#define AR_RESERVED_LOW  0xf00u /* bits 11:8 */
#define AR_RESERVED_HIGH 0xfffe0000u

#define TYPE_DATA_RW      3 /* the types of CS and SS, accessed */
#define TYPE_DATA_DOWN_RW 7
#define TYPE_CONFORMING   (SEG_CODE | SEG_EXPAND)

static const uint8_t data_segments[] = { SS, DS, ES, FS, GS };

static uint64_t selector(const struct vmx_check *c, unsigned n)
{
	return field(c, GUEST_ES_SELECTOR + n);
}

static uint32_t rights(const struct vmx_check *c, unsigned n)
{
	return (uint32_t)field(c, GUEST_ES_AR + n);
}

static bool is_usable(const struct vmx_check *c, unsigned n)
{
	return !(rights(c, n) & SEG_UNUSABLE);
}

static bool is_v86(const struct vmx_check *c)
{
	return field(c, GUEST_RFLAGS) & RFLAGS_VM;
}

static bool is_unrestricted(const struct vmx_check *c)
{
	return c->proc2 & PROC2_UNRESTRICTED_GUEST;
}

static bool check_selectors(struct vmx_check *c)
{
	bool is_ss_free = is_v86(c) || is_unrestricted(c);

	return must(c, !(selector(c, VMCS_TR) & SELECTOR_TI), GUEST_TR_SELECTOR, "TI must be 0") &&
	       must(c, !is_usable(c, VMCS_LDTR) || !(selector(c, VMCS_LDTR) & SELECTOR_TI),
		    GUEST_LDTR_SELECTOR, "TI must be 0") &&
	       must(c, is_ss_free || !((selector(c, SS) ^ selector(c, CS)) & SELECTOR_RPL),
		    GUEST_SS_SELECTOR, "RPL must equal that of CS");
}

static bool check_v86_bases(struct vmx_check *c)
{
	for (unsigned n = 0; n < SEGMENTS; n++)
		if (!must(c, field(c, GUEST_ES_BASE + n) == selector(c, n) << 4, GUEST_ES_BASE + n,
			  "must be 16 times the selector in virtual-8086 mode"))
			return false;
	return true;
}

static bool must_be_low(struct vmx_check *c, unsigned n)
{
	return must(c, !(field(c, GUEST_ES_BASE + n) >> 32), GUEST_ES_BASE + n,
		    "bits 63:32 must be 0");
}

static bool check_bases(struct vmx_check *c)
{
	return (!is_v86(c) || check_v86_bases(c)) && must_be_canonical(c, GUEST_TR_BASE) &&
	       must_be_canonical(c, GUEST_FS_BASE) && must_be_canonical(c, GUEST_GS_BASE) &&
	       (!is_usable(c, VMCS_LDTR) || must_be_canonical(c, GUEST_LDTR_BASE)) &&
	       must_be_low(c, CS) && (!is_usable(c, SS) || must_be_low(c, SS)) &&
	       (!is_usable(c, DS) || must_be_low(c, DS)) &&
	       (!is_usable(c, ES) || must_be_low(c, ES));
}

static bool check_v86(struct vmx_check *c)
{
	for (unsigned n = 0; n < SEGMENTS; n++)
		if (!must(c, field(c, GUEST_ES_LIMIT + n) == V86_LIMIT, GUEST_ES_LIMIT + n,
			  "must be FFFFH in virtual-8086 mode"))
			return false;
	for (unsigned n = 0; n < SEGMENTS; n++)
		if (!must(c, rights(c, n) == V86_AR, GUEST_ES_AR + n,
			  "must be F3H in virtual-8086 mode"))
			return false;
	return true;
}

/* ---- access rights outside virtual-8086 mode ---- */

static bool is_cs_type_valid(const struct vmx_check *c)
{
	uint32_t type = rights(c, CS) & SEG_TYPE;

	if (type == TYPE_DATA_RW)
		return is_unrestricted(c);
	return (type & (SEG_CODE | SEG_ACCESSED)) == (SEG_CODE | SEG_ACCESSED);
}

static bool is_ss_type_valid(const struct vmx_check *c)
{
	uint32_t type = rights(c, SS) & SEG_TYPE;

	return type == TYPE_DATA_RW || type == TYPE_DATA_DOWN_RW;
}

/* DS, ES, FS and GS: accessed, and readable where it is code. */
static bool is_data_type_valid(const struct vmx_check *c, unsigned n)
{
	uint32_t type = rights(c, n) & SEG_TYPE;

	return (type & SEG_ACCESSED) && (!(type & SEG_CODE) || (type & SEG_WRITABLE));
}

static bool check_types(struct vmx_check *c)
{
	if (!must(c, is_cs_type_valid(c), GUEST_CS_AR,
		  "the type must be accessed code, or 3 in an unrestricted guest") ||
	    !must(c, !is_usable(c, SS) || is_ss_type_valid(c), GUEST_SS_AR,
		  "the type must be 3 or 7"))
		return false;
	for (unsigned i = 1; i < ARRAY_SIZE(data_segments); i++) {
		unsigned n = data_segments[i];

		if (!must(c, !is_usable(c, n) || is_data_type_valid(c, n), GUEST_ES_AR + n,
			  "the type must be accessed, and readable where it is code"))
			return false;
	}
	return true;
}

static bool check_s(struct vmx_check *c)
{
	if (!must(c, rights(c, CS) & SEG_S, GUEST_CS_AR, "S must be 1"))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(data_segments); i++) {
		unsigned n = data_segments[i];

		if (!must(c, !is_usable(c, n) || (rights(c, n) & SEG_S), GUEST_ES_AR + n,
			  "S must be 1"))
			return false;
	}
	return true;
}

static bool is_cs_dpl_valid(const struct vmx_check *c)
{
	uint32_t type = rights(c, CS) & SEG_TYPE;
	unsigned dpl = seg_dpl(rights(c, CS)), ss_dpl = seg_dpl(rights(c, SS));

	if (type == TYPE_DATA_RW)
		return dpl == 0;
	return (type & TYPE_CONFORMING) == TYPE_CONFORMING ? dpl <= ss_dpl : dpl == ss_dpl;
}

static bool check_dpls(struct vmx_check *c)
{
	unsigned ss_dpl = seg_dpl(rights(c, SS));
	bool is_real =
		(rights(c, CS) & SEG_TYPE) == TYPE_DATA_RW || !(field(c, GUEST_CR0) & CR0_PE);

	if (!must(c, is_cs_dpl_valid(c), GUEST_CS_AR,
		  "DPL must be that of SS, at most that where conforming, 0 where data") ||
	    !must(c, is_unrestricted(c) || ss_dpl == (selector(c, SS) & SELECTOR_RPL), GUEST_SS_AR,
		  "DPL must equal the selector's RPL") ||
	    !must(c, !is_real || ss_dpl == 0, GUEST_SS_AR,
		  "DPL must be 0 in real mode or with data in CS"))
		return false;
	for (unsigned i = 1; i < ARRAY_SIZE(data_segments) && !is_unrestricted(c); i++) {
		unsigned n = data_segments[i];
		uint32_t ar = rights(c, n);
		bool is_free = !is_usable(c, n) || (ar & TYPE_CONFORMING) == TYPE_CONFORMING;

		if (!must(c, is_free || seg_dpl(ar) >= (selector(c, n) & SELECTOR_RPL),
			  GUEST_ES_AR + n, "DPL must not be below the selector's RPL"))
			return false;
	}
	return true;
}

static bool is_granularity_valid(const struct vmx_check *c, unsigned n)
{
	uint64_t limit = field(c, GUEST_ES_LIMIT + n);
	bool is_in_pages = rights(c, n) & SEG_G;

	return is_in_pages ? (limit & 0xfff) == 0xfff : !(limit & 0xfff00000);
}

/* What the registers have in common: P, reserved bits, G. */
static bool check_common(struct vmx_check *c, unsigned n)
{
	return must(c, rights(c, n) & SEG_P, GUEST_ES_AR + n, "P must be 1") &&
	       must(c, !(rights(c, n) & AR_RESERVED_LOW), GUEST_ES_AR + n, "bits 11:8 must be 0") &&
	       must(c, is_granularity_valid(c, n), GUEST_ES_AR + n, "G must fit the limit") &&
	       must(c, !(rights(c, n) & AR_RESERVED_HIGH), GUEST_ES_AR + n, "bits 31:17 must be 0");
}

static bool check_rights(struct vmx_check *c)
{
	bool is_64 = (c->entry_ctls & ENTRYC_IA32E) && (rights(c, CS) & SEG_L);

	if (!check_types(c) || !check_s(c) || !check_dpls(c) || !check_common(c, CS))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(data_segments); i++)
		if (is_usable(c, data_segments[i]) && !check_common(c, data_segments[i]))
			return false;
	return must(c, !is_64 || !(rights(c, CS) & SEG_DB), GUEST_CS_AR,
		    "D must be 0 in 64-bit mode");
}

static bool is_tr_type_valid(const struct vmx_check *c)
{
	uint32_t type = rights(c, VMCS_TR) & SEG_TYPE;

	return type == SYS_TSS_BUSY || (type == SYS_TSS16_BUSY && !(c->entry_ctls & ENTRYC_IA32E));
}

static bool check_tr(struct vmx_check *c)
{
	return must(c, is_tr_type_valid(c), GUEST_TR_AR,
		    "the type must be 11, or 3 outside IA-32e mode") &&
	       must(c, !(rights(c, VMCS_TR) & SEG_S), GUEST_TR_AR, "S must be 0") &&
	       check_common(c, VMCS_TR) &&
	       must(c, is_usable(c, VMCS_TR), GUEST_TR_AR, "must be usable");
}

static bool check_ldtr(struct vmx_check *c)
{
	if (!is_usable(c, VMCS_LDTR))
		return true;
	return must(c, (rights(c, VMCS_LDTR) & SEG_TYPE) == SYS_LDT, GUEST_LDTR_AR,
		    "the type must be 2") &&
	       must(c, !(rights(c, VMCS_LDTR) & SEG_S), GUEST_LDTR_AR, "S must be 0") &&
	       check_common(c, VMCS_LDTR);
}

static bool check_tables(struct vmx_check *c)
{
	return must_be_canonical(c, GUEST_GDTR_BASE) && must_be_canonical(c, GUEST_IDTR_BASE) &&
	       must(c, field(c, GUEST_GDTR_LIMIT) <= UINT16_MAX, GUEST_GDTR_LIMIT,
		    "bits 31:16 must be 0") &&
	       must(c, field(c, GUEST_IDTR_LIMIT) <= UINT16_MAX, GUEST_IDTR_LIMIT,
		    "bits 31:16 must be 0");
}

bool vmx_check_guest_segments(struct vmx_check *c)
{
	c->heading = "Checks on Guest Segment Registers";
	if (!check_selectors(c) || !check_bases(c) || !(is_v86(c) ? check_v86(c) : check_rights(c)))
		return false;
	if (!check_tr(c) || !check_ldtr(c))
		return false;
	c->heading = "Checks on Guest Descriptor-Table Registers";
	return check_tables(c);
}
