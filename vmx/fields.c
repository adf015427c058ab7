/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMCS field encodings ↔ indices. The look-up table has one slot for each combination of width,
 * type and index that an encoding can name; it is filled from VMCS_FIELD_TABLE by the compiler.
 *
 * SDM3: "Field Encoding in VMCS"
 */
#include "vmx/fields.h"

#define ENCODING_RESERVED 0xffff9000u /* bits 31:15 and 12 */
#define INDEX_COUNT       32          /* no field of the table has a greater index */

/* Width and type are bits 14:13 and 11:10, the index bits 9:1. */
#define SLOT(encoding)                                                                     \
	(((encoding) >> 13 & 3) * 4 * INDEX_COUNT + ((encoding) >> 10 & 3) * INDEX_COUNT + \
	 (((encoding)&VMCS_INDEX) >> 1))
#define SLOTS (4 * 4 * INDEX_COUNT)

#define FIELD_FITS(name, encoding)                                              \
	_Static_assert((((encoding)&VMCS_INDEX) >> 1) < INDEX_COUNT &&          \
			       !((encoding) & (ENCODING_RESERVED | VMCS_HIGH)), \
		       "the slot is the encoding's own");
VMCS_FIELD_TABLE(FIELD_FITS)
#undef FIELD_FITS

#define FIELD_INFO(name, encoding) [name] = { #name, encoding },
const struct vmcs_field_info vmcs_fields[VMCS_FIELDS] = { VMCS_FIELD_TABLE(FIELD_INFO) };
#undef FIELD_INFO

/* Index + 1; 0: no such field. */
#define FIELD_SLOT(name, encoding) [SLOT(encoding)] = (name) + 1,
static const uint8_t slots[SLOTS] = { VMCS_FIELD_TABLE(FIELD_SLOT) };
#undef FIELD_SLOT

_Static_assert(VMCS_FIELDS < UINT8_MAX, "an index + 1 fits in a slot");

int vmcs_field_find(uint32_t encoding)
{
	if (encoding & ENCODING_RESERVED)
		return -1;
	if ((encoding & VMCS_HIGH) && vmcs_field_width(encoding) != VMCS_64)
		return -1;
	if ((encoding & VMCS_INDEX) >> 1 >= INDEX_COUNT)
		return -1;
	return slots[SLOT(encoding)] - 1;
}
