/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The AML builder. Package lengths are always written in three bytes, so that a body's length can
 * be filled in when it is closed; the encoding does not ask for the shortest form.
 */
#include "boot/aml.h"

#define OP_ZERO    0x00
#define OP_ONE     0x01
#define OP_NAME    0x08
#define OP_BYTE    0x0a
#define OP_WORD    0x0b
#define OP_DWORD   0x0c
#define OP_STRING  0x0d
#define OP_QWORD   0x0e
#define OP_SCOPE   0x10
#define OP_BUFFER  0x11
#define OP_PACKAGE 0x12
#define OP_EXT     0x5b
#define OP_DEVICE  0x82 /* after OP_EXT */

#define LENGTH_BYTES    3
#define LENGTH_LEAD     0x80 /* two more bytes follow; four low bits here */
#define BUFFER_SIZE_LEN 3    /* a word constant */

/* Resource descriptors: tags, and the flags of address windows. */
#define TAG_IO              0x47
#define TAG_IRQ             0x22 /* two bytes of mask */
#define TAG_END             0x79
#define TAG_MEMORY32        0x86
#define TAG_WINDOW16        0x88
#define TAG_WINDOW32        0x87
#define TAG_WINDOW64        0x8a
#define IO_DECODE16         1
#define MEMORY_WRITABLE     1
#define WINDOW_MEMORY       0
#define WINDOW_IO           1
#define WINDOW_BUS          2
#define WINDOW_FIXED        0x0c /* both ends; the bridge decodes positively */
#define WINDOW_IO_ENTIRE    3
#define WINDOW_MEMORY_FLAGS 1 /* writable, not cacheable */

static void op(struct blob *aml, uint8_t code)
{
	blob_number(aml, code, 1);
}

static aml_mark length_begin(struct blob *aml)
{
	aml_mark mark = aml->len;

	blob_number(aml, 0, LENGTH_BYTES);
	return mark;
}

void aml_end(struct blob *aml, aml_mark mark)
{
	uint64_t len = aml->len - mark;

	blob_patch(aml, mark, LENGTH_LEAD | (len & 0xf), 1);
	blob_patch(aml, mark + 1, len >> 4, 2);
}

aml_mark aml_scope_begin(struct blob *aml, const char *name)
{
	aml_mark mark;

	op(aml, OP_SCOPE);
	mark = length_begin(aml);
	blob_text(aml, name);
	return mark;
}

aml_mark aml_device_begin(struct blob *aml, const char *name)
{
	aml_mark mark;

	op(aml, OP_EXT);
	op(aml, OP_DEVICE);
	mark = length_begin(aml);
	blob_text(aml, name);
	return mark;
}

aml_mark aml_package_begin(struct blob *aml, unsigned elements)
{
	aml_mark mark;

	op(aml, OP_PACKAGE);
	mark = length_begin(aml);
	blob_number(aml, elements, 1);
	return mark;
}

void aml_name(struct blob *aml, const char *name)
{
	op(aml, OP_NAME);
	blob_text(aml, name);
}

void aml_integer(struct blob *aml, uint64_t value)
{
	if (value <= 1) {
		op(aml, value ? OP_ONE : OP_ZERO);
	} else if (value <= UINT8_MAX) {
		op(aml, OP_BYTE);
		blob_number(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		op(aml, OP_WORD);
		blob_number(aml, value, 2);
	} else if (value <= UINT32_MAX) {
		op(aml, OP_DWORD);
		blob_number(aml, value, 4);
	} else {
		op(aml, OP_QWORD);
		blob_number(aml, value, 8);
	}
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, most significant byte first. */
void aml_eisa_id(struct blob *aml, const char *id)
{
	uint32_t v = 0;

	for (int i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)(id[i] - '@');
	for (int i = 3; i < 7; i++)
		v = v << 4 | hex_digit(id[i]);
	op(aml, OP_DWORD);
	blob_number(aml, __builtin_bswap32(v), 4);
}

void aml_string(struct blob *aml, const char *text)
{
	op(aml, OP_STRING);
	blob_append(aml, text, strlen(text) + 1);
}

void aml_name_integer(struct blob *aml, const char *name, uint64_t value)
{
	aml_name(aml, name);
	aml_integer(aml, value);
}

void aml_name_eisa_id(struct blob *aml, const char *name, const char *id)
{
	aml_name(aml, name);
	aml_eisa_id(aml, id);
}

void aml_name_string(struct blob *aml, const char *name, const char *text)
{
	aml_name(aml, name);
	aml_string(aml, text);
}

aml_mark aml_resources_begin(struct blob *aml)
{
	aml_mark mark;

	op(aml, OP_BUFFER);
	mark = length_begin(aml);
	op(aml, OP_WORD);
	blob_number(aml, 0, 2);
	return mark;
}

void aml_resources_end(struct blob *aml, aml_mark mark)
{
	blob_number(aml, TAG_END, 1);
	blob_number(aml, 0, 1); /* no checksum */
	blob_patch(aml, mark + LENGTH_BYTES + 1, aml->len - mark - LENGTH_BYTES - BUFFER_SIZE_LEN,
		   2);
	aml_end(aml, mark);
}

void aml_resource_io(struct blob *aml, uint16_t base, uint8_t ports)
{
	blob_number(aml, TAG_IO, 1);
	blob_number(aml, IO_DECODE16, 1);
	blob_number(aml, base, 2);
	blob_number(aml, base, 2);
	blob_number(aml, 1, 1); /* alignment */
	blob_number(aml, ports, 1);
}

void aml_resource_irq(struct blob *aml, unsigned irq)
{
	blob_number(aml, TAG_IRQ, 1);
	blob_number(aml, BIT(irq), 2);
}

void aml_resource_memory(struct blob *aml, uint32_t base, uint32_t size_bytes)
{
	blob_number(aml, TAG_MEMORY32, 1);
	blob_number(aml, 9, 2);
	blob_number(aml, MEMORY_WRITABLE, 1);
	blob_number(aml, base, 4);
	blob_number(aml, size_bytes, 4);
}

/* The three sizes of address windows differ only in the width of their five numbers. */
static void window(struct blob *aml, uint8_t tag, unsigned width, uint8_t type, uint8_t type_flags,
		   uint64_t first, uint64_t last)
{
	blob_number(aml, tag, 1);
	blob_number(aml, 3 + 5 * width, 2);
	blob_number(aml, type, 1);
	blob_number(aml, WINDOW_FIXED, 1);
	blob_number(aml, type_flags, 1);
	blob_number(aml, 0, width); /* granularity */
	blob_number(aml, first, width);
	blob_number(aml, last, width);
	blob_number(aml, 0, width); /* translation */
	blob_number(aml, last - first + 1, width);
}

void aml_resource_window_bus(struct blob *aml, uint16_t first, uint16_t last)
{
	window(aml, TAG_WINDOW16, 2, WINDOW_BUS, 0, first, last);
}

void aml_resource_window_io(struct blob *aml, uint16_t first, uint16_t last)
{
	window(aml, TAG_WINDOW16, 2, WINDOW_IO, WINDOW_IO_ENTIRE, first, last);
}

void aml_resource_window_memory32(struct blob *aml, uint32_t first, uint32_t last)
{
	window(aml, TAG_WINDOW32, 4, WINDOW_MEMORY, WINDOW_MEMORY_FLAGS, first, last);
}

void aml_resource_window_memory64(struct blob *aml, uint64_t first, uint64_t last)
{
	window(aml, TAG_WINDOW64, 8, WINDOW_MEMORY, WINDOW_MEMORY_FLAGS, first, last);
}
