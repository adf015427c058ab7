/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 16550A: register file, interrupts by priority, FIFOs, loop back, and input that waits at the
 * back end instead of getting lost.
 */
#include "tests/unit/chip.h"

#include <pthread.h>

#include "dev/uart.h"

#define DATA 0
#define IER  1
#define IIR  2
#define FCR  2
#define LCR  3
#define MCR  4
#define LSR  5
#define MSR  6
#define SCR  7
#define OUT2 0x08
#define LOOP 0x10
#define GSI  4

/* A back end that keeps what comes and counts how often it is asked for more. */
struct wire {
	struct console console;
	char out[4096];
	size_t len;
	atomic_uint asked;
};

struct fixture {
	struct chip_machine m;
	struct wire wire;
	struct uart *uart;
};

static void wire_write(struct console *console, const uint8_t *bytes, size_t len)
{
	struct wire *wire = container_of(console, struct wire, console);

	for (size_t i = 0; i < len && wire->len < sizeof(wire->out); i++)
		wire->out[wire->len++] = (char)bytes[i];
}

static void wire_ready(struct console *console)
{
	atomic_fetch_add(&container_of(console, struct wire, console)->asked, 1);
}

static const struct console_ops wire_ops = { .name = "wire",
					     .write = wire_write,
					     .input_ready = wire_ready };

static uint8_t in(struct fixture *f, unsigned reg)
{
	return (uint8_t)chip_read(uart_access, f->uart, reg, 1);
}

static void out(struct fixture *f, unsigned reg, uint8_t value)
{
	chip_write(uart_access, f->uart, reg, 1, value);
}

static size_t push(struct fixture *f, const char *text)
{
	return console_push(&f->wire.console, (const uint8_t *)text, strlen(text));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	chip_machine_open(&f->m, 1);
	chip_pic_setup(&f->m, BIT(GSI));
	f->wire.console.ops = &wire_ops;
	assert_int_equal(uart_create(&f->uart, f->m.clock, f->m.irq, GSI, &f->wire.console), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	chip_machine_stop(&f->m);
	uart_ops.destroy(f->uart);
	chip_machine_close(&f->m);
	free(f);
	return 0;
}

static void registers_read_back(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, LSR), 0x60);
	assert_int_equal(in(f, IIR), 0x01);
	out(f, SCR, 0xa5);
	assert_int_equal(in(f, SCR), 0xa5);
	out(f, IER, 0xff);
	assert_int_equal(in(f, IER), 0x0f);
	out(f, MCR, 0xff);
	assert_int_equal(in(f, MCR), 0x1f);
	out(f, LCR, 0x83);
	out(f, DATA, 0x34);
	out(f, IER, 0x12);
	assert_int_equal(in(f, DATA), 0x34);
	assert_int_equal(in(f, IER), 0x12);
	assert_int_equal(in(f, LCR), 0x83);
	out(f, LCR, 0x03);
	assert_int_equal(in(f, IER), 0x0f);
	out(f, FCR, 0x01);
	assert_int_equal(in(f, IIR) & 0xc0, 0xc0);
	out(f, FCR, 0x00);
	assert_int_equal(in(f, IIR) & 0xc0, 0x00);
}

static void output_goes_to_the_back_end_in_order(void **state)
{
	struct fixture *f = *state;

	for (const char *p = "hello\r\n"; *p; p++) {
		assert_true(in(f, LSR) & 0x20);
		out(f, DATA, (uint8_t)*p);
	}
	assert_int_equal(f->wire.len, 7);
	assert_memory_equal(f->wire.out, "hello\r\n", 7);
}

static void an_empty_transmitter_interrupts(void **state)
{
	struct fixture *f = *state;

	out(f, MCR, OUT2);
	assert_int_equal(chip_pic_take(&f->m), -1);
	out(f, IER, 2); /* enabling asks at once */
	assert_int_equal(chip_pic_take(&f->m), GSI);
	assert_int_equal(in(f, IIR) & 0xf, 2);
	assert_int_equal(in(f, IIR) & 0xf, 1); /* the read cleared it */
	out(f, DATA, 'x');
	assert_int_equal(chip_pic_take(&f->m), GSI);
	out(f, DATA, 'y'); /* without a look at IIR: an edge again */
	assert_int_equal(chip_pic_take(&f->m), GSI);
	out(f, IER, 0);
	out(f, IER, 2);
	assert_int_equal(in(f, IIR) & 0xf, 2);
	assert_int_equal(chip_pic_take(&f->m), GSI);
	out(f, MCR, 0); /* OUT2 keeps the line in */
	out(f, DATA, 'z');
	assert_int_equal(chip_pic_take(&f->m), -1);
}

static void input_interrupts_at_the_trigger_level(void **state)
{
	struct fixture *f = *state;

	out(f, FCR, 0x81); /* eight bytes */
	out(f, MCR, OUT2);
	out(f, IER, 1);
	assert_int_equal(push(f, "1234567"), 7);
	assert_true(in(f, LSR) & 1);
	assert_int_equal(in(f, IIR) & 0xf, 1);
	assert_int_equal(push(f, "8"), 1);
	assert_int_equal(in(f, IIR) & 0xf, 4);
	assert_int_equal(chip_pic_take(&f->m), GSI);
	for (char c = '1'; c <= '8'; c++)
		assert_int_equal(in(f, DATA), c);
	assert_int_equal(in(f, IIR) & 0xf, 1);
	assert_int_equal(in(f, LSR), 0x60);
	assert_int_equal(in(f, DATA), 0);
}

static void few_bytes_time_out(void **state)
{
	struct fixture *f = *state;

	out(f, FCR, 0xc1);
	out(f, MCR, OUT2);
	out(f, IER, 1);
	assert_int_equal(push(f, "ab"), 2);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
	assert_int_equal(in(f, IIR) & 0xf, 0xc);
	assert_int_equal(in(f, DATA), 'a');
	assert_int_equal(in(f, IIR) & 0xf, 1);
	assert_int_equal(chip_pic_wait(&f->m, 5000 * MS), GSI);
	assert_int_equal(in(f, DATA), 'b');
	assert_int_equal(in(f, IIR) & 0xf, 1);
}

static void input_waits_for_room(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(push(f, "ab"), 1); /* no FIFO: one byte */
	assert_int_equal(f->wire.asked, 0);
	assert_int_equal(in(f, DATA), 'a');
	assert_int_equal(f->wire.asked, 1);
	out(f, FCR, 0x01);
	assert_int_equal(push(f, "0123456789abcdefgh"), 16);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(f->wire.asked, 1);
		assert_int_equal(in(f, DATA), "0123456789abcdef"[i]);
	}
	assert_int_equal(f->wire.asked, 2);
	assert_int_equal(push(f, "gh"), 2);
	out(f, FCR, 0x03);
	assert_int_equal(in(f, LSR), 0x60);
	out(f, MCR, LOOP);
	assert_int_equal(push(f, "i"), 0); /* the line is cut in loop back */
	assert_int_equal(f->wire.asked, 2);
	out(f, MCR, 0);
	assert_int_equal(f->wire.asked, 3);
}

static void loop_back_returns_data_and_modem_lines(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, MSR), 0xb0);
	out(f, MCR, LOOP | 0x0a);
	assert_int_equal(in(f, MSR) & 0xf0, 0x90);
	out(f, MCR, LOOP | 0x05);
	assert_int_equal(in(f, MSR), 0x60 | 0x0b); /* CTS, DSR and DCD changed */
	out(f, MCR, LOOP);
	assert_int_equal(in(f, MSR), 0x06); /* the ring ended */
	assert_int_equal(in(f, MSR), 0);
	out(f, DATA, 'q');
	assert_int_equal(f->wire.len, 0);
	assert_int_equal(in(f, LSR), 0x61);
	out(f, DATA, 'r');
	assert_int_equal(in(f, LSR), 0x63); /* overrun */
	assert_int_equal(in(f, LSR), 0x61);
	assert_int_equal(in(f, DATA), 'q');
}

static void interrupts_have_priorities(void **state)
{
	struct fixture *f = *state;

	out(f, MCR, LOOP);
	in(f, MSR);
	out(f, IER, 0xf);
	out(f, MCR, LOOP | 1);
	out(f, DATA, 1);
	out(f, DATA, 2);
	assert_int_equal(in(f, IIR), 0x6);
	in(f, LSR);
	assert_int_equal(in(f, IIR), 0x4);
	in(f, DATA);
	assert_int_equal(in(f, IIR), 0x2);
	assert_int_equal(in(f, IIR), 0x0);
	in(f, MSR);
	assert_int_equal(in(f, IIR), 0x1);
}

static void wide_accesses_are_bytes(void **state)
{
	struct fixture *f = *state;

	chip_write(uart_access, f->uart, SCR - 1, 2, 0x5aff);
	assert_int_equal(in(f, SCR), 0x5a);
	assert_int_equal(chip_read(uart_access, f->uart, 4, 4), 0x5ab06000);
}

static void *typist(void *arg)
{
	struct fixture *f = arg;

	for (int i = 0; i < 20000; i++)
		push(f, "the quick brown fox");
	return NULL;
}

static void random_accesses_do_no_harm(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = chip_seed();
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, typist, f), 0);
	for (int i = 0; i < 100000; i++)
		chip_random_access(uart_access, f->uart, UART_PORTS, 4, &seed);
	pthread_join(thread, NULL);
	uart_ops.reset(f->uart);
	assert_int_equal(in(f, LSR), 0x60);
	assert_int_equal(push(f, "x"), 1);
}

static void null_back_end_swallows(void **state)
{
	struct console *console;

	(void)state;
	assert_int_equal(console_null_create(&console), 0);
	console_write(console, (const uint8_t *)"x", 1);
	assert_int_equal(console_push(console, (const uint8_t *)"x", 1), 0);
	console_input_ready(console);
	console_destroy(console);
	console_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers_read_back),
		TEST(output_goes_to_the_back_end_in_order),
		TEST(an_empty_transmitter_interrupts),
		TEST(input_interrupts_at_the_trigger_level),
		TEST(few_bytes_time_out),
		TEST(input_waits_for_room),
		TEST(loop_back_returns_data_and_modem_lines),
		TEST(interrupts_have_priorities),
		TEST(wide_accesses_are_bytes),
		TEST(random_accesses_do_no_harm),
		cmocka_unit_test(null_back_end_swallows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
