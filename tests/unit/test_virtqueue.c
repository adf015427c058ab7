/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues: good chains, event indexes, and rings that a hostile driver made.
 */
#include "dev/virtio/queue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define SIZE       8
#define MEMORY     (4 * MIB)
#define DESC       0x10000
#define AVAIL      0x11000
#define USED       0x12000
#define TABLE      0x13000
#define DATA       0x20000
#define RANDOM_RUN 20000

struct fixture {
	struct memory *memory;
	struct virtq q;
	struct virtq_chain chain;
	uint16_t avail;
};

static void put16(struct fixture *f, gpa_t gpa, uint16_t value)
{
	assert_int_equal(memory_write(f->memory, gpa, &value, 2), 0);
}

static uint16_t get16(struct fixture *f, gpa_t gpa)
{
	uint16_t value;

	assert_int_equal(memory_read(f->memory, gpa, &value, 2), 0);
	return value;
}

static void put_desc(struct fixture *f, gpa_t table, unsigned index, uint64_t addr, uint32_t len,
		     uint16_t flags, uint16_t next)
{
	struct vring_desc desc = { .addr = addr, .len = len, .flags = flags, .next = next };

	assert_int_equal(memory_write(f->memory, table + index * sizeof(desc), &desc, sizeof(desc)),
			 0);
}

static void make_available(struct fixture *f, uint16_t head)
{
	put16(f, AVAIL + 4 + 2 * (f->avail % SIZE), head);
	put16(f, AVAIL + 2, ++f->avail);
}

static void start(struct fixture *f, bool has_event_idx)
{
	virtq_reset(&f->q, SIZE);
	f->q.desc = DESC;
	f->q.avail = AVAIL;
	f->q.used = USED;
	f->avail = 0;
	memset(memory_at(f->memory, DESC, 0x10000), 0, 0x10000);
	assert_int_equal(virtq_start(&f->q, true, has_event_idx), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(memory_create(&f->memory, MEMORY, NULL), 0);
	virtq_init(&f->q, f->memory);
	start(f, false);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtq_finish(&f->q);
	memory_destroy(f->memory);
	free(f);
	return 0;
}

static void test_good_chain(void **state)
{
	struct fixture *f = *state;
	char buf[16] = { 0 };

	assert_true(virtq_is_empty(&f->q));
	assert_int_equal(virtq_pop(&f->q, &f->chain), 0);
	memory_write(f->memory, DATA, "abcdef", 6);
	put_desc(f, DESC, 3, DATA, 2, VRING_DESC_F_NEXT, 5);
	put_desc(f, DESC, 5, DATA + 2, 4, VRING_DESC_F_NEXT, 0);
	put_desc(f, DESC, 0, DATA + 0x100, 3, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	put_desc(f, DESC, 1, DATA + 0x200, 5, VRING_DESC_F_WRITE, 0);
	make_available(f, 3);
	assert_false(virtq_is_empty(&f->q));
	assert_int_equal(virtq_pop(&f->q, &f->chain), 1);
	assert_int_equal(f->chain.head, 3);
	assert_int_equal(f->chain.readable, 2);
	assert_int_equal(f->chain.writable, 2);
	assert_int_equal(f->chain.readable_bytes, 6);
	assert_int_equal(f->chain.writable_bytes, 8);
	assert_int_equal(virtq_read(&f->chain, 1, buf, 4), 4);
	assert_string_equal(buf, "bcde");
	assert_int_equal(virtq_read(&f->chain, 5, buf, sizeof(buf)), 1);
	assert_int_equal(virtq_read(&f->chain, 6, buf, sizeof(buf)), 0);
	assert_int_equal(virtq_write(&f->q, &f->chain, 2, "xyz", 3), 3);
	assert_memory_equal(memory_at(f->memory, DATA + 0x102, 1), "x", 1);
	assert_memory_equal(memory_at(f->memory, DATA + 0x200, 2), "yz", 2);
	assert_int_equal(virtq_write(&f->q, &f->chain, 7, "xyz", 3), 1);
	assert_int_equal(virtq_pop(&f->q, &f->chain), 0);
}

static void test_push(void **state)
{
	struct fixture *f = *state;
	struct virtq_used used[2] = { { 3, 100 }, { 4, 7 } };
	uint32_t elem[4];

	assert_true(virtq_push(&f->q, used, 2));
	assert_int_equal(get16(f, USED + 2), 2);
	memory_read(f->memory, USED + 4, elem, sizeof(elem));
	assert_int_equal(elem[0], 3);
	assert_int_equal(elem[1], 100);
	assert_int_equal(elem[2], 4);
	assert_int_equal(elem[3], 7);
	put16(f, AVAIL, VRING_AVAIL_F_NO_INTERRUPT);
	assert_false(virtq_push(&f->q, used, 1));
}

static void test_event_idx(void **state)
{
	struct fixture *f = *state;
	struct virtq_used used = { 0, 0 };

	start(f, true);
	put_desc(f, DESC, 0, DATA, 1, 0, 0);
	make_available(f, 0);
	make_available(f, 0);
	assert_int_equal(virtq_pop(&f->q, &f->chain), 1);
	assert_int_equal(get16(f, USED + 4 + 8 * SIZE), 1); /* avail_event */
	assert_int_equal(virtq_pop(&f->q, &f->chain), 1);
	assert_int_equal(get16(f, USED + 4 + 8 * SIZE), 2);

	put16(f, AVAIL + 4 + 2 * SIZE, 1); /* used_event: after the second */
	assert_false(virtq_push(&f->q, &used, 1));
	assert_true(virtq_push(&f->q, &used, 1));
	assert_false(virtq_push(&f->q, &used, 1));
}

static void test_unpop(void **state)
{
	struct fixture *f = *state;

	put_desc(f, DESC, 1, DATA, 1, 0, 0);
	put_desc(f, DESC, 2, DATA, 1, 0, 0);
	make_available(f, 1);
	make_available(f, 2);
	assert_int_equal(virtq_pop(&f->q, &f->chain), 1);
	assert_int_equal(virtq_pop(&f->q, &f->chain), 1);
	virtq_unpop(&f->q, 2);
	assert_int_equal(virtq_pop(&f->q, &f->chain), 1);
	assert_int_equal(f->chain.head, 1);
}

static void test_indirect(void **state)
{
	struct fixture *f = *state;

	put_desc(f, TABLE, 0, DATA, 10, VRING_DESC_F_NEXT, 2);
	put_desc(f, TABLE, 2, DATA, 20, VRING_DESC_F_WRITE, 0);
	put_desc(f, DESC, 0, TABLE, 3 * 16, VRING_DESC_F_INDIRECT, 0);
	put_desc(f, DESC, 1, DATA, 5, VRING_DESC_F_NEXT, 0); /* a direct one before it */
	make_available(f, 0);
	make_available(f, 1);
	assert_int_equal(virtq_pop(&f->q, &f->chain), 1);
	assert_int_equal(f->chain.readable_bytes, 10);
	assert_int_equal(f->chain.writable_bytes, 20);
	assert_int_equal(virtq_pop(&f->q, &f->chain), 1);
	assert_int_equal(f->chain.head, 1);
	assert_int_equal(f->chain.readable_bytes, 15);
}

/* Pops the chain at descriptor 0, which must be refused; so must everything after it. */
static void expect_broken(struct fixture *f)
{
	make_available(f, 0);
	assert_int_equal(virtq_pop(&f->q, &f->chain), -EINVAL);
	assert_int_equal(virtq_pop(&f->q, &f->chain), -EINVAL);
	start(f, false);
	assert_int_equal(virtq_pop(&f->q, &f->chain), 0);
}

static void test_bad_chains(void **state)
{
	struct fixture *f = *state;

	/* a loop, directly and by way of others */
	put_desc(f, DESC, 0, DATA, 1, VRING_DESC_F_NEXT, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, DATA, 0, VRING_DESC_F_NEXT, 1);
	put_desc(f, DESC, 1, DATA, 0, VRING_DESC_F_NEXT, 0);
	expect_broken(f);
	/* next, head and index out of range */
	put_desc(f, DESC, 0, DATA, 1, VRING_DESC_F_NEXT, SIZE);
	expect_broken(f);
	make_available(f, SIZE);
	assert_int_equal(virtq_pop(&f->q, &f->chain), -EINVAL);
	start(f, false);
	put16(f, AVAIL + 2, SIZE + 1);
	assert_int_equal(virtq_pop(&f->q, &f->chain), -EINVAL);
	start(f, false);
	/* memory that is not there, that wraps, and that reaches past the end */
	put_desc(f, DESC, 0, 0x10000000, 1, 0, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, UINT64_MAX - 10, 20, 0, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, DATA, 0xffffffff, VRING_DESC_F_WRITE, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, MEMORY - 4, 5, 0, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, MEMORY_VGA_BASE - 4, 8, 0, 0);
	expect_broken(f);
	/* to be read after to be written */
	put_desc(f, DESC, 0, DATA, 1, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	put_desc(f, DESC, 1, DATA, 1, 0, 0);
	expect_broken(f);
}

static void test_bad_indirect(void **state)
{
	struct fixture *f = *state;

	put_desc(f, DESC, 0, TABLE, 17, VRING_DESC_F_INDIRECT, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, TABLE, 0, VRING_DESC_F_INDIRECT, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, 0x10000000, 16, VRING_DESC_F_INDIRECT, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, TABLE, 0xfffffff0, VRING_DESC_F_INDIRECT, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT, 1);
	expect_broken(f);
	/* a table in a table, a loop in a table, next out of the table */
	put_desc(f, DESC, 0, TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	put_desc(f, TABLE, 0, TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	put_desc(f, TABLE, 0, DATA, 1, VRING_DESC_F_NEXT, 0);
	expect_broken(f);
	put_desc(f, DESC, 0, TABLE, 32, VRING_DESC_F_INDIRECT, 0);
	put_desc(f, TABLE, 0, DATA, 1, VRING_DESC_F_NEXT, 2);
	expect_broken(f);
}

static void test_indirect_not_negotiated(void **state)
{
	struct fixture *f = *state;

	f->q.has_indirect = false;
	put_desc(f, DESC, 0, TABLE, 16, VRING_DESC_F_INDIRECT, 0);
	expect_broken(f);
}

/* As many segments as a chain may have, and one more. */
static void test_long_chain(void **state)
{
	struct fixture *f = *state;

	for (unsigned entries = VIRTQ_CHAIN_MAX; entries <= VIRTQ_CHAIN_MAX + 1; entries++) {
		start(f, false);
		for (unsigned i = 0; i < entries; i++)
			put_desc(f, TABLE, i, DATA + i, 1, i + 1 < entries ? VRING_DESC_F_NEXT : 0,
				 i + 1);
		put_desc(f, DESC, 0, TABLE, entries * 16, VRING_DESC_F_INDIRECT, 0);
		make_available(f, 0);
		assert_int_equal(virtq_pop(&f->q, &f->chain),
				 entries <= VIRTQ_CHAIN_MAX ? 1 : -EINVAL);
	}
}

static void test_bad_rings(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint16_t size;
		gpa_t desc, avail, used;
		int ret;
	} cases[] = {
		{ 0, DESC, AVAIL, USED, -EINVAL },
		{ 7, DESC, AVAIL, USED, -EINVAL },
		{ 2 * VIRTQ_SIZE_MAX, DESC, AVAIL, USED, -EINVAL },
		{ SIZE, DESC + 8, AVAIL, USED, -EFAULT },
		{ SIZE, DESC, AVAIL + 1, USED, -EFAULT },
		{ SIZE, DESC, AVAIL, USED + 2, -EFAULT },
		{ SIZE, UINT64_MAX - 15, AVAIL, USED, -EFAULT },
		{ SIZE, MEMORY - 16, AVAIL, USED, -EFAULT },
		{ SIZE, DESC, MEMORY - 20, USED, -EFAULT },
		{ SIZE, DESC, AVAIL, MEMORY - 4 - 8 * SIZE, -EFAULT },
		{ SIZE, DESC, AVAIL, MEMORY_VGA_BASE, -EFAULT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		virtq_reset(&f->q, cases[i].size);
		f->q.desc = cases[i].desc;
		f->q.avail = cases[i].avail;
		f->q.used = cases[i].used;
		assert_int_equal(virtq_start(&f->q, true, true), cases[i].ret);
		assert_int_equal(virtq_pop(&f->q, &f->chain), -EINVAL);
	}
}

/* Rings of noise: every chain that comes out lies in memory, and the walk always ends. */
static void test_random_rings(void **state)
{
	struct fixture *f = *state;
	unsigned seed = time(NULL);
	unsigned popped = 0;

	print_message("seed %u\n", seed);
	srandom(seed);
	for (int run = 0; run < RANDOM_RUN; run++) {
		start(f, random() & 1);
		for (unsigned i = 0; i < 2 * SIZE; i++)
			put_desc(f, i < SIZE ? DESC : TABLE, i % SIZE,
				 random() % 8 ? DATA + (uint64_t)random() % 0x1000
					      : (uint64_t)random() << 30 | random(),
				 random() % 8 ? random() % 64 : random(), random() % 8,
				 random() % (SIZE + 1));
		put_desc(f, DESC, random() % SIZE, TABLE, 16 * (random() % SIZE),
			 VRING_DESC_F_INDIRECT, 0);
		for (unsigned i = 0; i < SIZE; i++)
			put16(f, AVAIL + 4 + 2 * i, random() % (SIZE + 1));
		put16(f, AVAIL + 2, random() % (SIZE + 2));
		while (virtq_pop(&f->q, &f->chain) > 0) {
			struct virtq_used used = { f->chain.head, 0 };

			for (unsigned i = 0; i < f->chain.readable + f->chain.writable; i++) {
				uint8_t *p = f->chain.iov[i].iov_base;

				assert_true(memory_is_ram(f->memory, p - f->memory->base,
							  f->chain.iov[i].iov_len));
			}
			virtq_push(&f->q, &used, 1);
			popped++;
		}
	}
	assert_true(popped > RANDOM_RUN / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_push, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_idx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unpop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_indirect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_chains, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_indirect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_indirect_not_negotiated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_rings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_rings, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
