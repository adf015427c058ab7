/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 16550A. Transmission takes no time: THRE and TEMT always read 1, and a write to THR makes the
 * interrupt of an empty THR go away and come back, the edge that drivers wait for.
 *
 * The back end is never called with the lock held: it may be pushing input at that moment.
 */
#include "dev/uart.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "dev/bytes.h"

#define FIFO_BYTES 16

enum uart_register {
	REG_DATA = 0, /* RBR and THR; the divisor's low half with DLAB */
	REG_IER = 1,  /* the divisor's high half with DLAB */
	REG_IIR = 2,  /* FCR when written */
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCR = 7,
};

#define IER_DATA   BIT(0)
#define IER_THRE   BIT(1)
#define IER_LINE   BIT(2)
#define IER_MODEM  BIT(3)
#define IER_BITS   0x0fu
#define IIR_NONE   0x01u
#define IIR_MODEM  0x00u
#define IIR_THRE   0x02u
#define IIR_DATA   0x04u
#define IIR_LINE   0x06u
#define IIR_TIMED  0x0cu
#define IIR_FIFOS  0xc0u
#define FCR_ENABLE BIT(0)
#define FCR_CLEAR  BIT(1) /* the receiver's FIFO */
#define LCR_DLAB   BIT(7)
#define MCR_DTR    BIT(0)
#define MCR_RTS    BIT(1)
#define MCR_OUT1   BIT(2)
#define MCR_OUT2   BIT(3) /* on a PC, lets the interrupt out */
#define MCR_LOOP   BIT(4)
#define MCR_BITS   0x1fu
#define LSR_DATA   BIT(0)
#define LSR_OVER   BIT(1)
#define LSR_EMPTY  0x60u /* THRE and TEMT */
#define MSR_CTS    BIT(4)
#define MSR_DSR    BIT(5)
#define MSR_RI     BIT(6)
#define MSR_DCD    BIT(7)
#define MSR_TERI   BIT(2)
#define MSR_LINES  0xf0u

/* A character is 10 bits at 115200 baud over the divisor; input counts as stale after four. */
#define CHARACTER_NS(divisor) ((divisor)*10ull * NS_PER_SECOND / 115200)
#define TIMEOUT_CHARACTERS    4
#define LONGEST_TIMEOUT_NS    (NS_PER_SECOND / 50)

struct uart {
	pthread_mutex_t lock; /* all below */
	struct clock *clock;
	struct irq *irq;
	unsigned gsi;
	struct console *console;
	struct timer timeout;
	uint8_t fifo[FIFO_BYTES];
	unsigned first, count;
	uint8_t ier, fcr, lcr, mcr, msr, scr;
	uint16_t divisor;
	bool overrun;
	bool thre_pending;  /* the interrupt of an empty THR */
	bool timed_out;     /* input sits in the FIFO below its trigger level */
	bool input_refused; /* the back end waits to be asked */
};

/* --- state: all with the lock held --- */

static unsigned capacity(const struct uart *uart)
{
	return uart->fcr & FCR_ENABLE ? FIFO_BYTES : 1;
}

static unsigned trigger(const struct uart *uart)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return uart->fcr & FCR_ENABLE ? levels[uart->fcr >> 6] : 1;
}

/* What IIR says: the pending and enabled interrupt of the highest priority. */
static uint8_t pending(const struct uart *uart)
{
	if ((uart->ier & IER_LINE) && uart->overrun)
		return IIR_LINE;
	if ((uart->ier & IER_DATA) && uart->count >= trigger(uart))
		return IIR_DATA;
	if ((uart->ier & IER_DATA) && uart->timed_out)
		return IIR_TIMED;
	if ((uart->ier & IER_THRE) && uart->thre_pending)
		return IIR_THRE;
	if ((uart->ier & IER_MODEM) && (uart->msr & ~MSR_LINES))
		return IIR_MODEM;
	return IIR_NONE;
}

static void update_line(struct uart *uart)
{
	bool let_out = (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	irq_set_line(uart->irq, uart->gsi, let_out && pending(uart) != IIR_NONE);
}

static void start_timeout(struct uart *uart)
{
	uint64_t wait_ns = TIMEOUT_CHARACTERS * CHARACTER_NS(MAX(uart->divisor, 1));

	uart->timed_out = false;
	if (uart->count)
		timer_set(&uart->timeout,
			  clock_now_ns(uart->clock) + MIN(wait_ns, LONGEST_TIMEOUT_NS));
}

static void clear_input(struct uart *uart)
{
	uart->first = uart->count = 0;
	uart->timed_out = false;
}

static bool receive(struct uart *uart, uint8_t byte)
{
	if (uart->count >= capacity(uart))
		return false;
	uart->fifo[(uart->first + uart->count++) % FIFO_BYTES] = byte;
	return true;
}

/* The modem's lines: a loop back of our own, or a peer that is always there. */
static void update_modem(struct uart *uart)
{
	uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD, changed;

	if (uart->mcr & MCR_LOOP)
		lines = (uart->mcr & MCR_RTS ? MSR_CTS : 0) | (uart->mcr & MCR_DTR ? MSR_DSR : 0) |
			(uart->mcr & MCR_OUT1 ? MSR_RI : 0) | (uart->mcr & MCR_OUT2 ? MSR_DCD : 0);
	changed = (uart->msr ^ lines) & MSR_LINES;
	if (lines & MSR_RI)
		changed &= ~MSR_RI; /* only its end counts */
	uart->msr = lines | (uart->msr & ~MSR_LINES) | changed >> 4;
}

/* Whether the back end is to be asked for input, which the caller does without the lock. */
static bool wants_input(struct uart *uart)
{
	if (!uart->input_refused || uart->count || (uart->mcr & MCR_LOOP))
		return false;
	uart->input_refused = false;
	return true;
}

/* --- registers --- */

static uint8_t read_data(struct uart *uart)
{
	uint8_t byte = uart->fifo[uart->first];

	if (!uart->count)
		return 0;
	uart->first = (uart->first + 1) % FIFO_BYTES;
	uart->count--;
	start_timeout(uart);
	return byte;
}

static uint8_t read_iir(struct uart *uart)
{
	uint8_t what = pending(uart);

	if (what == IIR_THRE)
		uart->thre_pending = false;
	return what | (uart->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct uart *uart)
{
	uint8_t lsr = LSR_EMPTY | (uart->count ? LSR_DATA : 0) | (uart->overrun ? LSR_OVER : 0);

	uart->overrun = false;
	return lsr;
}

static uint8_t read_register(struct uart *uart, unsigned reg)
{
	bool divisor = uart->lcr & LCR_DLAB;
	uint8_t value;

	switch (reg) {
	case REG_DATA:
		return divisor ? (uint8_t)uart->divisor : read_data(uart);
	case REG_IER:
		return divisor ? (uint8_t)(uart->divisor >> 8) : uart->ier;
	case REG_IIR:
		return read_iir(uart);
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return read_lsr(uart);
	case REG_MSR:
		value = uart->msr;
		uart->msr &= MSR_LINES;
		return value;
	case REG_SCR:
		return uart->scr;
	}
	return 0;
}

static void write_ier(struct uart *uart, uint8_t value)
{
	if (value & ~uart->ier & IER_THRE)
		uart->thre_pending = true;
	uart->ier = value & IER_BITS;
}

static void write_fcr(struct uart *uart, uint8_t value)
{
	if (((value ^ uart->fcr) & FCR_ENABLE) || (value & FCR_CLEAR))
		clear_input(uart);
	uart->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | 0xc0) : 0;
}

static void write_divisor(struct uart *uart, unsigned shift, uint8_t value)
{
	uart->divisor = (uint16_t)((uart->divisor & ~(0xff << shift)) | value << shift);
}

static void write_register(struct uart *uart, unsigned reg, uint8_t value)
{
	switch (reg) {
	case REG_IER:
		write_ier(uart, value);
		break;
	case REG_IIR:
		write_fcr(uart, value);
		break;
	case REG_LCR:
		uart->lcr = value;
		break;
	case REG_MCR:
		uart->mcr = value & MCR_BITS;
		update_modem(uart);
		break;
	case REG_SCR:
		uart->scr = value;
		break;
	}
}

/* THR. Lock held, dropped while the byte goes out. */
static void transmit(struct uart *uart, uint8_t byte)
{
	uart->thre_pending = false;
	update_line(uart);
	if (uart->mcr & MCR_LOOP) {
		if (receive(uart, byte))
			start_timeout(uart);
		else
			uart->overrun = true;
	} else {
		pthread_mutex_unlock(&uart->lock);
		console_write(uart->console, &byte, 1);
		pthread_mutex_lock(&uart->lock);
	}
	uart->thre_pending = true;
}

static uint8_t read_byte(void *self, unsigned reg)
{
	struct uart *uart = self;
	uint8_t value;
	bool ask;

	pthread_mutex_lock(&uart->lock);
	value = read_register(uart, reg);
	update_line(uart);
	ask = wants_input(uart);
	pthread_mutex_unlock(&uart->lock);
	if (ask)
		console_input_ready(uart->console);
	return value;
}

static void write_byte(void *self, unsigned reg, uint8_t value)
{
	struct uart *uart = self;
	bool ask;

	pthread_mutex_lock(&uart->lock);
	if ((uart->lcr & LCR_DLAB) && reg <= REG_IER)
		write_divisor(uart, reg == REG_IER ? 8 : 0, value);
	else if (reg == REG_DATA)
		transmit(uart, value);
	else
		write_register(uart, reg, value);
	update_line(uart);
	ask = wants_input(uart);
	pthread_mutex_unlock(&uart->lock);
	if (ask)
		console_input_ready(uart->console);
}

void uart_access(void *self, struct dev_access *access)
{
	dev_access_bytes(access, self, read_byte, write_byte);
}

/* --- input --- */

static size_t input(void *front, const uint8_t *bytes, size_t len)
{
	struct uart *uart = front;
	size_t taken = 0;

	pthread_mutex_lock(&uart->lock);
	while (taken < len && !(uart->mcr & MCR_LOOP) && receive(uart, bytes[taken]))
		taken++;
	if (taken < len)
		uart->input_refused = true;
	if (taken)
		start_timeout(uart);
	update_line(uart);
	pthread_mutex_unlock(&uart->lock);
	return taken;
}

static void on_timeout(void *self)
{
	struct uart *uart = self;

	pthread_mutex_lock(&uart->lock);
	uart->timed_out = uart->count && (uart->fcr & FCR_ENABLE);
	update_line(uart);
	pthread_mutex_unlock(&uart->lock);
}

/* --- life --- */

static void reset(void *self)
{
	struct uart *uart = self;
	bool ask;

	pthread_mutex_lock(&uart->lock);
	clear_input(uart);
	uart->ier = uart->fcr = uart->lcr = uart->mcr = uart->scr = 0;
	uart->divisor = 12; /* 9600 baud */
	uart->overrun = uart->thre_pending = false;
	uart->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	update_line(uart);
	ask = wants_input(uart);
	pthread_mutex_unlock(&uart->lock);
	if (ask)
		console_input_ready(uart->console);
}

static void destroy(void *self)
{
	struct uart *uart = self;

	pthread_mutex_destroy(&uart->lock);
	free(uart);
}

const struct dev_ops uart_ops = { .name = "uart", .reset = reset, .destroy = destroy };

int uart_create(struct uart **out, struct clock *clock, struct irq *irq, unsigned gsi,
		struct console *console)
{
	struct uart *uart = calloc(1, sizeof(*uart));

	if (!uart)
		return -ENOMEM;
	uart->clock = clock;
	uart->irq = irq;
	uart->gsi = gsi;
	uart->console = console;
	pthread_mutex_init(&uart->lock, NULL);
	timer_init(&uart->timeout, clock, on_timeout, uart);
	reset(uart);
	console_attach(console, input, uart);
	*out = uart;
	return 0;
}
