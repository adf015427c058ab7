/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-console over a back end that records: output, input in pieces, input that has to wait.
 */
#include "tests/unit/virtio_driver.h"

#include "console/console.h"

#include <linux/virtio_console.h>

#define RX       0
#define TX       1
#define FEATURES BIT(VIRTIO_F_VERSION_1)

struct fixture {
	struct driver d;
	struct console console; /* first ops sees */
	struct virtio_console *con;
	const char *name; /* of the port; NULL: a plain console */
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

static int open_console(void **state, const char *name)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->name = name;
	f->console.ops = &ops;
	driver_open(&f->d);
	assert_int_equal(virtio_console_create(&f->con, &f->d.place, &f->console, f->name), 0);
	driver_probe(&f->d);
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return open_console(state, NULL);
}

static int setup_port(void **state)
{
	return open_console(state, "org.example.port");
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

/* --- a port with a name --- */

#define CONTROL_IN    2
#define CONTROL_OUT   3
#define PORT_FEATURES (FEATURES | BIT(VIRTIO_CONSOLE_F_MULTIPORT))

static void say(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control message = { id, event, value };
	struct driver_segment segment = { DRIVER_DATA, sizeof(message), false };

	memory_write(f->d.memory, DRIVER_DATA, &message, sizeof(message));
	driver_add(&f->d, CONTROL_OUT, &segment, 1);
	driver_kick(&f->d, CONTROL_OUT);
	driver_wait(&f->d, CONTROL_OUT, NULL);
}

/* A buffer for one message of the device's. */
static gpa_t give_buffer(struct fixture *f, unsigned n)
{
	struct driver_segment segment = { DRIVER_DATA + 0x1000 + n * 0x100, 64, true };

	driver_add(&f->d, CONTROL_IN, &segment, 1);
	return segment.gpa;
}

static void expect_message(struct fixture *f, gpa_t at, uint16_t event, const char *name)
{
	struct virtio_console_control message;
	uint32_t len;

	driver_wait(&f->d, CONTROL_IN, &len);
	memory_read(f->d.memory, at, &message, sizeof(message));
	assert_int_equal(message.event, event);
	assert_int_equal(message.id, 0);
	assert_int_equal(message.value, 1);
	assert_int_equal(len, sizeof(message) + strlen(name));
	assert_memory_equal(memory_at(f->d.memory, at + sizeof(message), 64), name, strlen(name));
}

static void test_port_is_introduced(void **state)
{
	struct fixture *f = *state;
	struct driver_segment input = { DRIVER_DATA, 4, true };
	gpa_t buffer[3];

	driver_start(&f->d, PORT_FEATURES, 4);
	for (unsigned i = 0; i < 3; i++)
		buffer[i] = give_buffer(f, i);
	say(f, 0xffffffff, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect_message(f, buffer[0], VIRTIO_CONSOLE_PORT_ADD, "");
	say(f, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	expect_message(f, buffer[1], VIRTIO_CONSOLE_PORT_NAME, "org.example.port");
	expect_message(f, buffer[2], VIRTIO_CONSOLE_PORT_OPEN, "");
	assert_false(virtio_console_is_used(f->con));
	say(f, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_false(virtio_console_is_used(f->con));
	say(f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_true(virtio_console_is_used(f->con));
	driver_add(&f->d, RX, &input, 1);
	assert_int_equal(console_push(&f->console, (const uint8_t *)"ping", 4), 4);
}

static void test_port_waits_for_buffers(void **state)
{
	struct fixture *f = *state;
	gpa_t buffer;

	driver_start(&f->d, PORT_FEATURES, 4);
	say(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	buffer = give_buffer(f, 0);
	driver_kick(&f->d, CONTROL_IN);
	expect_message(f, buffer, VIRTIO_CONSOLE_PORT_ADD, "");
}

static void test_port_survives_nonsense(void **state)
{
	struct fixture *f = *state;
	struct driver_segment segment = { DRIVER_DATA, 3, false };
	gpa_t buffer;

	driver_start(&f->d, PORT_FEATURES, 4);
	driver_add(&f->d, CONTROL_OUT, &segment, 1); /* too short */
	driver_kick(&f->d, CONTROL_OUT);
	driver_wait(&f->d, CONTROL_OUT, NULL);
	say(f, 7, VIRTIO_CONSOLE_PORT_READY, 1);
	say(f, 0, 0xffff, 0xffff);
	say(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	say(f, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	virtio_console_dev_ops.reset(f->con);
	assert_false(virtio_console_is_used(f->con));
	driver_start(&f->d, PORT_FEATURES, 4);
	buffer = give_buffer(f, 0);
	say(f, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect_message(f, buffer, VIRTIO_CONSOLE_PORT_ADD, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_is_introduced, setup_port, teardown),
		cmocka_unit_test_setup_teardown(test_port_waits_for_buffers, setup_port, teardown),
		cmocka_unit_test_setup_teardown(test_port_survives_nonsense, setup_port, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
