/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the boot loaders share: guest memory, an image in a buffer, an initrd in a
 * temporary file.
 */
#ifndef TESTS_BOOT_FIXTURE_H
#define TESTS_BOOT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "boot/image.h"
#include "boot/layout.h"
#include "boot/state.h"

#define FIXTURE_MEMORY (64 * MIB)
#define FIXTURE_INITRD "initrd's content"

struct fixture {
	struct memory *memory;
	struct boot_image image;
	struct boot_file initrd;
	FILE *initrd_file;
	struct engine_registers regs;
	struct error err;
	uint8_t bytes[256 * KIB]; /* the kernel file */
};

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err;

	assert_non_null(f);
	assert_int_equal(memory_create(&f->memory, FIXTURE_MEMORY, &err), 0);
	f->image.name = "dir/kernel";
	f->image.bytes = f->bytes;
	f->image.cmdline = "a=b c";
	f->image.rsdp = 0xe1230;
	f->initrd_file = tmpfile();
	assert_non_null(f->initrd_file);
	fputs(FIXTURE_INITRD, f->initrd_file);
	fflush(f->initrd_file);
	f->initrd = (struct boot_file){ "initrd", "dir/initrd", fileno(f->initrd_file),
					sizeof(FIXTURE_INITRD) - 1 };
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fclose(f->initrd_file);
	memory_destroy(f->memory);
	free(f);
	return 0;
}

static inline int fixture_load(struct fixture *f)
{
	f->err.text[0] = 0;
	f->image.kernel_base = f->image.kernel_end = 0;
	return image_load(&f->image, f->memory, &f->regs, &f->err);
}

/* Loading fails with this code, and the text names the kernel and has these words. */
static inline void fixture_fails(struct fixture *f, int code, const char *words)
{
	assert_int_equal(fixture_load(f), code);
	if (!strstr(f->err.text, words))
		fail_msg("'%s' lacks '%s'", f->err.text, words);
}

/* A copy of a file so that a read past its end is seen by the sanitizer. */
static inline int fixture_load_exact(struct fixture *f)
{
	uint8_t *copy = malloc(f->image.size_bytes + !f->image.size_bytes);
	int ret;

	assert_non_null(copy);
	memcpy(copy, f->bytes, f->image.size_bytes);
	f->image.bytes = copy;
	ret = fixture_load(f);
	f->image.bytes = f->bytes;
	free(copy);
	return ret;
}

static inline uint64_t guest_number(struct fixture *f, gpa_t gpa, unsigned bytes)
{
	uint64_t v = 0;

	assert_int_equal(memory_read(f->memory, gpa, &v, bytes), 0);
	return v;
}

static inline void assert_guest_bytes(struct fixture *f, gpa_t gpa, const void *bytes, size_t len)
{
	const void *p = memory_at(f->memory, gpa, len);

	assert_non_null(p);
	assert_memory_equal(p, bytes, len);
}

/* Flat 32-bit protected mode, paging and interrupts off. */
static inline void assert_protected_mode(const struct engine_registers *r, uint64_t entry)
{
	assert_int_equal(r->rip, entry);
	assert_int_equal(r->rflags, 2);
	assert_int_equal(r->cr0 & 0x80000001, 1);
	assert_int_equal(r->efer, 0);
	assert_int_equal(r->cs.base, 0);
	assert_int_equal(r->cs.limit, 0xffffffff);
	assert_int_equal(r->cs.attributes & 0xff, 0x9b);
	assert_true(r->cs.attributes & BIT(14));
	assert_false(r->cs.attributes & BIT(13));
	assert_int_equal(r->ds.limit, 0xffffffff);
	assert_int_equal(r->ss.attributes & 0xff, 0x93);
}

#endif
