/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The i8042 and its keyboard. The output buffer holds one byte; the controller's own answers go
 * before what the keyboard has queued. Nobody types here, so the keyboard only answers commands.
 */
#include "dev/i8042.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define IRQ_KEYBOARD 1

#define STATUS_FULL    BIT(0) /* the output buffer */
#define STATUS_SYSTEM  BIT(2) /* the self-test passed */
#define STATUS_COMMAND BIT(3) /* the last write was to port 64h */
#define STATUS_KEYLOCK BIT(4) /* not locked */
#define STATUS_AUX     BIT(5) /* the byte is the second port's */
#define STATUS_TIMEOUT BIT(6)

#define CONFIG_IRQ       BIT(0)
#define CONFIG_SYSTEM    BIT(2)
#define CONFIG_DISABLE   BIT(4)
#define CONFIG_NO_AUX    BIT(5)
#define CONFIG_TRANSLATE BIT(6)
/* As firmware leaves it. */
#define CONFIG_RESET (CONFIG_IRQ | CONFIG_SYSTEM | CONFIG_NO_AUX | CONFIG_TRANSLATE)

/* Commands to the controller (port 64h). */
enum {
	CTL_READ_RAM = 0x20, /* to 3fh; 20h is the configuration byte */
	CTL_WRITE_RAM = 0x60,
	CTL_DISABLE_AUX = 0xa7,
	CTL_ENABLE_AUX = 0xa8,
	CTL_TEST_AUX = 0xa9,
	CTL_SELF_TEST = 0xaa,
	CTL_TEST_KEYBOARD = 0xab,
	CTL_DISABLE = 0xad,
	CTL_ENABLE = 0xae,
	CTL_READ_INPUT = 0xc0,
	CTL_READ_OUTPUT = 0xd0,
	CTL_WRITE_OUTPUT = 0xd1,
	CTL_WRITE_KEYBOARD = 0xd2,
	CTL_WRITE_AUX_BUFFER = 0xd3,
	CTL_WRITE_AUX = 0xd4,
	CTL_A20_OFF = 0xdd,
	CTL_A20_ON = 0xdf,
	CTL_TEST_INPUTS = 0xe0,
	CTL_PULSE = 0xf0, /* to ffh; bit 0 clear pulses the reset line */
};

#define CTL_RAM_BYTES    32
#define SELF_TEST_OK     0x55
#define AUX_TEST_ABSENT  0x02 /* "clock line stuck high" */
#define INPUT_PORT       0x80 /* keyboard not inhibited */
#define OUTPUT_NOT_RESET BIT(0)
#define OUTPUT_A20       BIT(1)
#define OUTPUT_FULL      BIT(4)

/* Commands to the keyboard, and its answers. */
enum {
	KBD_SET_LEDS = 0xed,
	KBD_ECHO = 0xee,
	KBD_SCAN_SET = 0xf0,
	KBD_IDENTIFY = 0xf2,
	KBD_RATE = 0xf3,
	KBD_ENABLE = 0xf4,
	KBD_DISABLE = 0xf5,
	KBD_DEFAULTS = 0xf6,
	KBD_SET_KEY_FIRST = 0xf7, /* key types of set 3: taken and without effect */
	KBD_SET_KEY_LAST = 0xfd,
	KBD_RESEND = 0xfe,
	KBD_RESET = 0xff,
	ANSWER_ACK = 0xfa,
	ANSWER_TEST_OK = 0xaa,
	ANSWER_RESEND = 0xfe,
};

#define PORT92_RESET BIT(0)
#define PORT92_A20   BIT(1)

#define NOTHING -1 /* no command waits for its data byte */
#define QUEUE   16

struct i8042 {
	pthread_mutex_t lock; /* all below */
	struct irq *irq;
	const struct power *power;
	uint8_t status, data;       /* the output buffer and its flags */
	uint8_t ram[CTL_RAM_BYTES]; /* byte 0 is the configuration */
	int command;                /* a controller command waits for its data, or NOTHING */
	bool a20;
	int keyboard_command; /* the keyboard's, likewise */
	uint8_t scan_set, last_sent;
	uint8_t queue[QUEUE]; /* from the keyboard */
	unsigned first, count;
};

/* --- the output buffer; all with the lock held --- */

static void put(struct i8042 *k, uint8_t byte, uint8_t flags)
{
	k->data = byte;
	k->status = (k->status & ~(STATUS_AUX | STATUS_TIMEOUT)) | STATUS_FULL | flags;
}

/* What a keyboard in set 2 says, as set 1, for the few bytes that it does say. */
static uint8_t translate(uint8_t byte)
{
	switch (byte) {
	case 0x01:
		return 0x43;
	case 0x02:
		return 0x41;
	case 0x03:
		return 0x3f;
	case 0x83:
		return 0x41;
	}
	return byte;
}

/* Moves the keyboard's next byte to an empty output buffer. */
static void refill(struct i8042 *k)
{
	uint8_t byte;

	if ((k->status & STATUS_FULL) || !k->count || (k->ram[0] & CONFIG_DISABLE))
		return;
	byte = k->queue[k->first];
	k->first = (k->first + 1) % QUEUE;
	k->count--;
	put(k, k->ram[0] & CONFIG_TRANSLATE ? translate(byte) : byte, 0);
}

static void update_line(struct i8042 *k)
{
	irq_set_line(k->irq, IRQ_KEYBOARD,
		     (k->status & (STATUS_FULL | STATUS_AUX)) == STATUS_FULL &&
			     (k->ram[0] & CONFIG_IRQ));
}

/* --- the keyboard --- */

static void say(struct i8042 *k, uint8_t byte)
{
	if (k->count < QUEUE)
		k->queue[(k->first + k->count++) % QUEUE] = byte;
	k->last_sent = byte;
}

static void keyboard_defaults(struct i8042 *k)
{
	k->keyboard_command = NOTHING;
	k->scan_set = 2;
}

static void keyboard_data(struct i8042 *k, int command, uint8_t byte)
{
	if (command == KBD_SCAN_SET && byte > 3) {
		say(k, ANSWER_RESEND);
		return;
	}
	say(k, ANSWER_ACK);
	if (command == KBD_SCAN_SET && !byte)
		say(k, k->scan_set);
	else if (command == KBD_SCAN_SET)
		k->scan_set = byte;
}

static void keyboard_run(struct i8042 *k, uint8_t command)
{
	switch (command) {
	case KBD_ECHO:
		say(k, KBD_ECHO);
		break;
	case KBD_SET_LEDS:
	case KBD_SCAN_SET:
	case KBD_RATE:
		k->keyboard_command = command;
		say(k, ANSWER_ACK);
		break;
	case KBD_IDENTIFY:
		say(k, ANSWER_ACK);
		say(k, 0xab);
		say(k, 0x83);
		break;
	case KBD_DEFAULTS:
	case KBD_ENABLE:
	case KBD_DISABLE:
	case KBD_SET_KEY_FIRST ... KBD_SET_KEY_LAST:
		if (command == KBD_DEFAULTS || command == KBD_DISABLE)
			keyboard_defaults(k);
		say(k, ANSWER_ACK);
		break;
	case KBD_RESEND:
		say(k, k->last_sent);
		break;
	case KBD_RESET:
		keyboard_defaults(k);
		k->count = 0;
		say(k, ANSWER_ACK);
		say(k, ANSWER_TEST_OK);
		break;
	default:
		say(k, ANSWER_RESEND);
	}
}

static void keyboard_write(struct i8042 *k, uint8_t byte)
{
	int command = k->keyboard_command;

	k->ram[0] &= ~CONFIG_DISABLE;
	k->keyboard_command = NOTHING;
	if (command != NOTHING && byte < KBD_SET_LEDS)
		keyboard_data(k, command, byte);
	else
		keyboard_run(k, byte);
}

/* --- the controller: functions return whether the machine is to be reset --- */

static bool write_output_port(struct i8042 *k, uint8_t value)
{
	k->a20 = value & OUTPUT_A20;
	return !(value & OUTPUT_NOT_RESET);
}

static uint8_t output_port(const struct i8042 *k)
{
	return OUTPUT_NOT_RESET | (k->a20 ? OUTPUT_A20 : 0) |
	       (k->status & STATUS_FULL ? OUTPUT_FULL : 0);
}

static void self_test(struct i8042 *k)
{
	k->status |= STATUS_SYSTEM;
	k->ram[0] = (k->ram[0] | CONFIG_SYSTEM | CONFIG_DISABLE | CONFIG_NO_AUX) & ~CONFIG_IRQ;
	put(k, SELF_TEST_OK, 0);
}

/* Commands with an answer or an effect at once. */
static bool run(struct i8042 *k, uint8_t command)
{
	switch (command) {
	case CTL_DISABLE_AUX:
		k->ram[0] |= CONFIG_NO_AUX;
		break;
	case CTL_ENABLE_AUX:
		k->ram[0] &= ~CONFIG_NO_AUX;
		break;
	case CTL_TEST_AUX:
		put(k, AUX_TEST_ABSENT, 0);
		break;
	case CTL_SELF_TEST:
		self_test(k);
		break;
	case CTL_TEST_KEYBOARD:
	case CTL_TEST_INPUTS:
		put(k, 0, 0);
		break;
	case CTL_DISABLE:
		k->ram[0] |= CONFIG_DISABLE;
		break;
	case CTL_ENABLE:
		k->ram[0] &= ~CONFIG_DISABLE;
		break;
	case CTL_READ_INPUT:
		put(k, INPUT_PORT, 0);
		break;
	case CTL_READ_OUTPUT:
		put(k, output_port(k), 0);
		break;
	case CTL_A20_OFF:
	case CTL_A20_ON:
		k->a20 = command == CTL_A20_ON;
		break;
	}
	return false;
}

static bool write_command(struct i8042 *k, uint8_t command)
{
	k->command = NOTHING;
	k->status |= STATUS_COMMAND;
	if (command >= CTL_PULSE)
		return !(command & OUTPUT_NOT_RESET);
	if (command >= CTL_READ_RAM && command < CTL_READ_RAM + CTL_RAM_BYTES)
		put(k, k->ram[command - CTL_READ_RAM], 0);
	else if ((command >= CTL_WRITE_RAM && command < CTL_WRITE_RAM + CTL_RAM_BYTES) ||
		 (command >= CTL_WRITE_OUTPUT && command <= CTL_WRITE_AUX))
		k->command = command;
	else
		return run(k, command);
	return false;
}

static bool write_data(struct i8042 *k, uint8_t byte)
{
	int command = k->command;

	k->command = NOTHING;
	k->status &= ~STATUS_COMMAND;
	if (command == NOTHING)
		keyboard_write(k, byte);
	else if (command == CTL_WRITE_OUTPUT)
		return write_output_port(k, byte);
	else if (command == CTL_WRITE_KEYBOARD || command == CTL_WRITE_AUX_BUFFER)
		/* There is no second port whose byte this could pretend to be. */
		put(k, byte, 0);
	else if (command == CTL_WRITE_AUX)
		put(k, ANSWER_RESEND, STATUS_AUX | STATUS_TIMEOUT);
	else
		k->ram[command - CTL_WRITE_RAM] = byte;
	return false;
}

/* --- ports --- */

static void finish(struct i8042 *k, bool reset)
{
	refill(k);
	update_line(k);
	pthread_mutex_unlock(&k->lock);
	if (reset)
		k->power->request(k->power->self, POWER_RESET, 0);
}

void i8042_data_access(void *self, struct dev_access *access)
{
	struct i8042 *k = self;
	bool reset = false;

	pthread_mutex_lock(&k->lock);
	if (access->is_write) {
		reset = write_data(k, (uint8_t)access->value);
	} else {
		access->value = k->data;
		k->status &= ~(STATUS_FULL | STATUS_AUX | STATUS_TIMEOUT);
		update_line(k); /* low between one byte and the next: each is an edge */
	}
	finish(k, reset);
}

void i8042_command_access(void *self, struct dev_access *access)
{
	struct i8042 *k = self;
	bool reset = false;

	pthread_mutex_lock(&k->lock);
	if (access->is_write)
		reset = write_command(k, (uint8_t)access->value);
	else
		access->value = k->status | STATUS_KEYLOCK;
	finish(k, reset);
}

void i8042_port92_access(void *self, struct dev_access *access)
{
	struct i8042 *k = self;
	bool reset = false;

	pthread_mutex_lock(&k->lock);
	if (access->is_write) {
		k->a20 = access->value & PORT92_A20;
		reset = access->value & PORT92_RESET;
	} else {
		access->value = k->a20 ? PORT92_A20 : 0;
	}
	finish(k, reset);
}

/* --- life --- */

static void reset_chip(void *self)
{
	struct i8042 *k = self;

	pthread_mutex_lock(&k->lock);
	k->status = STATUS_SYSTEM;
	k->data = 0;
	memset(k->ram, 0, sizeof(k->ram));
	k->ram[0] = CONFIG_RESET;
	k->command = NOTHING;
	k->a20 = true;
	k->first = k->count = 0;
	k->last_sent = 0;
	keyboard_defaults(k);
	update_line(k);
	pthread_mutex_unlock(&k->lock);
}

static void destroy(void *self)
{
	struct i8042 *k = self;

	pthread_mutex_destroy(&k->lock);
	free(k);
}

const struct dev_ops i8042_ops = { .name = "i8042", .reset = reset_chip, .destroy = destroy };

int i8042_create(struct i8042 **out, struct irq *irq, const struct power *power)
{
	struct i8042 *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->irq = irq;
	k->power = power;
	pthread_mutex_init(&k->lock, NULL);
	reset_chip(k);
	*out = k;
	return 0;
}
