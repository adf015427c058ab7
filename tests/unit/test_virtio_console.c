/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console over a back end that records: output, input in pieces, input that has to wait.
 */
#include "tests/unit/virtio_driver.h"

#include "console/console.h"

#define RX       0
#define TX       1
#define FEATURES BIT(VIRTIO_F_VERSION_1)

struct fixture {
	struct driver d;
	struct console console; /* first ops sees */
	struct virtio_console *con;
	uint8_t out[256];
	size_t out_bytes; /* Atomic */
	unsigned asked;
};

static void record(struct console *console, const uint8_t *bytes, size_t len)
{
	struct fixture *f = container_of(console, struct fixture, console);
	size_t at = f->out_bytes;

	len = MIN(len, sizeof(f->out) - at);
	memcpy(f->out + at, bytes, len);
	__atomic_store_n(&f->out_bytes, at + len, __ATOMIC_SEQ_CST);
}

static void count_ready(struct console *console)
{
	container_of(console, struct fixture, console)->asked++;
}

static const struct console_ops ops = {
	.name = "record",
	.write = record,
	.input_ready = count_ready,
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->console.ops = &ops;
	driver_open(&f->d);
	assert_int_equal(virtio_console_create(&f->con, &f->d.place, &f->console), 0);
	driver_probe(&f->d);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_console_dev_ops.destroy(f->con);
	assert_int_equal(console_push(&f->console, (const uint8_t *)"x", 1), 0);
	driver_close(&f->d);
	free(f);
	return 0;
}

static void test_output(void **state)
{
	struct fixture *f = *state;
	struct driver_segment segments[2] = { { DRIVER_DATA, 6, false },
					      { DRIVER_DATA + 100, 5, false } };

	driver_start(&f->d, FEATURES, 2);
	memory_write(f->d.memory, DRIVER_DATA, "hello ", 6);
	memory_write(f->d.memory, DRIVER_DATA + 100, "world", 5);
	driver_add(&f->d, TX, segments, 2);
	driver_kick(&f->d, TX);
	driver_wait(&f->d, TX, NULL);
	assert_int_equal(f->out_bytes, 11);
	assert_memory_equal(f->out, "hello world", 11);
}

static void test_input(void **state)
{
	struct fixture *f = *state;
	struct driver_segment segment = { DRIVER_DATA, 4, true };
	const uint8_t text[] = "abcdefghij";
	uint32_t len;

	assert_int_equal(console_push(&f->console, text, 10), 0);
	driver_start(&f->d, FEATURES, 2);
	assert_int_equal(f->asked, 1); /* DRIVER_OK: there may be buffers now */
	driver_add(&f->d, RX, &segment, 1);
	segment.gpa += 0x100;
	driver_add(&f->d, RX, &segment, 1);
	assert_int_equal(console_push(&f->console, text, 10), 8);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 4);
	driver_wait(&f->d, RX, &len);
	assert_memory_equal(memory_at(f->d.memory, DRIVER_DATA, 4), "abcd", 4);
	assert_memory_equal(memory_at(f->d.memory, DRIVER_DATA + 0x100, 4), "efgh", 4);

	driver_kick(&f->d, RX);
	assert_int_equal(f->asked, 2);
	driver_kick(&f->d, RX); /* asked already */
	assert_int_equal(f->asked, 2);
	driver_add(&f->d, RX, &segment, 1);
	assert_int_equal(console_push(&f->console, text + 8, 2), 2);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 2);
	driver_kick(&f->d, RX);
	assert_int_equal(f->asked, 2);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	struct driver_segment segment = { DRIVER_DATA, 4, true };

	driver_start(&f->d, FEATURES, 2);
	driver_add(&f->d, RX, &segment, 1);
	virtio_console_dev_ops.reset(f->con);
	assert_int_equal(console_push(&f->console, (const uint8_t *)"x", 1), 0);
	driver_start(&f->d, FEATURES, 2);
	driver_add(&f->d, RX, &segment, 1);
	assert_int_equal(console_push(&f->console, (const uint8_t *)"x", 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
