/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pair of 8259As. A request is latched in IRR by an edge, or follows the line where ELCR makes
 * it level-triggered. 8086 mode only; LTIM of ICW1 is ignored, as in every PC with ELCR.
 */
#include "dev/pic.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CASCADE_LINE  2
#define SPURIOUS_LINE 7
#define NO_LINE       -1

/* First byte of the initialization sequence, and commands, all by port offset 0. */
#define ICW1        BIT(4)
#define ICW1_ICW4   BIT(0)
#define ICW1_SINGLE BIT(1)
#define OCW3        BIT(3)
#define OCW3_READ   BIT(1)
#define OCW3_ISR    BIT(0)
#define OCW3_POLL   BIT(2)
#define OCW3_SMM    BIT(5)
#define OCW3_ESMM   BIT(6)
#define ICW4_AEOI   BIT(1)
#define ICW4_SFNM   BIT(4)
#define POLL_FOUND  0x80

enum ocw2 {
	OCW2_ROTATE_AEOI_CLEAR,
	OCW2_EOI,
	OCW2_NOTHING,
	OCW2_EOI_SPECIFIC,
	OCW2_ROTATE_AEOI_SET,
	OCW2_EOI_ROTATE,
	OCW2_SET_PRIORITY,
	OCW2_EOI_SPECIFIC_ROTATE,
};

enum expect { EXPECT_OCW, EXPECT_ICW2, EXPECT_ICW3, EXPECT_ICW4 };

struct chip {
	uint8_t lines; /* the inputs as they are */
	uint8_t irr, isr, imr;
	uint8_t elcr, elcr_writable;
	uint8_t cascade; /* the slave's line at the master, as a bit; 0 in the slave */
	uint8_t vector_base;
	uint8_t lowest; /* the line of lowest priority */
	enum expect expect;
	bool icw4_follows, single;
	bool read_isr, poll;
	bool special_mask, fully_nested, auto_eoi, rotate_on_auto_eoi;
};

struct pic {
	pthread_mutex_t lock; /* the chips */
	struct chip chip[2];  /* master, slave */
	atomic_bool output;   /* written with the lock held */
};

/* --- one chip --- */

/* The line in `set` of highest priority, or NO_LINE. */
static int highest(const struct chip *chip, uint8_t set)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned line = (chip->lowest + i) & 7;

		if (set & BIT(line))
			return (int)line;
	}
	return NO_LINE;
}

/* 0 is the best priority, 8 that of no line. */
static unsigned rank(const struct chip *chip, int line)
{
	return line == NO_LINE ? 8 : ((unsigned)line - chip->lowest - 1) & 7;
}

/* The request that the chip would pass on now, or NO_LINE. */
static int request(const struct chip *chip)
{
	int line = highest(chip, chip->irr & ~chip->imr);
	uint8_t in_service = chip->isr;

	if (chip->special_mask)
		in_service &= ~chip->imr;
	if (chip->fully_nested)
		in_service &= ~chip->cascade;
	return rank(chip, line) < rank(chip, highest(chip, in_service)) ? line : NO_LINE;
}

static void chip_set_line(struct chip *chip, unsigned line, bool level)
{
	uint8_t bit = (uint8_t)BIT(line);

	if (chip->elcr & bit)
		chip->irr = level ? chip->irr | bit : chip->irr & ~bit;
	else if (level && !(chip->lines & bit))
		chip->irr |= bit;
	chip->lines = level ? chip->lines | bit : chip->lines & ~bit;
}

static void chip_acknowledge(struct chip *chip, int line)
{
	uint8_t bit = (uint8_t)BIT(line);

	if (!(chip->elcr & bit))
		chip->irr &= ~bit;
	if (!chip->auto_eoi)
		chip->isr |= bit;
	else if (chip->rotate_on_auto_eoi)
		chip->lowest = (uint8_t)line;
}

static void chip_init_sequence(struct chip *chip, uint8_t icw1)
{
	chip->irr = chip->lines & chip->elcr;
	chip->isr = chip->imr = 0;
	chip->lowest = 7;
	chip->read_isr = chip->poll = chip->special_mask = false;
	chip->fully_nested = chip->auto_eoi = chip->rotate_on_auto_eoi = false;
	chip->icw4_follows = icw1 & ICW1_ICW4;
	chip->single = icw1 & ICW1_SINGLE;
	chip->expect = EXPECT_ICW2;
}

static void chip_reset(struct chip *chip)
{
	chip->elcr = chip->lines = 0;
	chip->vector_base = 0;
	chip_init_sequence(chip, 0);
	chip->expect = EXPECT_OCW;
}

static void end_of_interrupt(struct chip *chip, int line, bool rotate)
{
	if (line == NO_LINE)
		return;
	chip->isr &= ~BIT(line);
	if (rotate)
		chip->lowest = (uint8_t)line;
}

static void write_ocw2(struct chip *chip, uint8_t value)
{
	int line = value & 7;
	/* A masked line in service hides from the non-specific EOI in special mask mode. */
	int best = highest(chip, chip->special_mask ? chip->isr & ~chip->imr : chip->isr);

	switch ((enum ocw2)(value >> 5)) {
	case OCW2_ROTATE_AEOI_CLEAR:
	case OCW2_ROTATE_AEOI_SET:
		chip->rotate_on_auto_eoi = value >> 5 == OCW2_ROTATE_AEOI_SET;
		break;
	case OCW2_EOI:
	case OCW2_EOI_ROTATE:
		end_of_interrupt(chip, best, value >> 5 == OCW2_EOI_ROTATE);
		break;
	case OCW2_EOI_SPECIFIC:
	case OCW2_EOI_SPECIFIC_ROTATE:
		end_of_interrupt(chip, line, value >> 5 == OCW2_EOI_SPECIFIC_ROTATE);
		break;
	case OCW2_SET_PRIORITY:
		chip->lowest = (uint8_t)line;
		break;
	case OCW2_NOTHING:
		break;
	}
}

static void write_command(struct chip *chip, uint8_t value)
{
	if (value & ICW1) {
		chip_init_sequence(chip, value);
	} else if (value & OCW3) {
		if (value & OCW3_POLL)
			chip->poll = true;
		if (value & OCW3_READ)
			chip->read_isr = value & OCW3_ISR;
		if (value & OCW3_ESMM)
			chip->special_mask = value & OCW3_SMM;
	} else {
		write_ocw2(chip, value);
	}
}

static void write_data(struct chip *chip, uint8_t value)
{
	enum expect after_icw3 = chip->icw4_follows ? EXPECT_ICW4 : EXPECT_OCW;

	switch (chip->expect) {
	case EXPECT_OCW:
		chip->imr = value;
		break;
	case EXPECT_ICW2:
		chip->vector_base = value & 0xf8;
		chip->expect = chip->single ? after_icw3 : EXPECT_ICW3;
		break;
	case EXPECT_ICW3: /* the cascade is soldered */
		chip->expect = after_icw3;
		break;
	case EXPECT_ICW4:
		chip->auto_eoi = value & ICW4_AEOI;
		chip->fully_nested = value & ICW4_SFNM;
		chip->expect = EXPECT_OCW;
		break;
	}
}

/* A read in poll mode is an INTA cycle. */
static uint8_t poll(struct chip *chip)
{
	int line = request(chip);

	chip->poll = false;
	if (line == NO_LINE)
		return 0;
	chip_acknowledge(chip, line);
	return (uint8_t)(POLL_FOUND | line);
}

static uint8_t chip_read(struct chip *chip, unsigned port)
{
	if (chip->poll)
		return poll(chip);
	if (port)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

/* --- the pair --- */

/* The slave's output is the master's input; returns whether INTR rose. Lock held. */
static bool update(struct pic *pic)
{
	struct chip *master = &pic->chip[0];
	bool old = atomic_load_explicit(&pic->output, memory_order_relaxed), now;

	if (request(&pic->chip[1]) != NO_LINE)
		master->irr |= master->cascade;
	else
		master->irr &= ~master->cascade;
	now = request(master) != NO_LINE;
	atomic_store(&pic->output, now);
	return now && !old;
}

bool pic_set_line(struct pic *pic, unsigned line, bool level)
{
	bool rose;

	if (line >= PIC_LINES || line == CASCADE_LINE)
		return false;
	pthread_mutex_lock(&pic->lock);
	chip_set_line(&pic->chip[line / 8], line % 8, level);
	rose = update(pic);
	pthread_mutex_unlock(&pic->lock);
	return rose;
}

bool pic_access(struct pic *pic, bool slave, struct dev_access *access)
{
	struct chip *chip = &pic->chip[slave];
	uint64_t value = 0;
	bool rose;

	pthread_mutex_lock(&pic->lock);
	for (unsigned i = 0; i < access->size; i++) {
		unsigned port = (access->offset + i) & 1;
		uint8_t byte = (uint8_t)(access->value >> 8 * i);

		if (!access->is_write)
			value |= (uint64_t)chip_read(chip, port) << 8 * i;
		else if (port)
			write_data(chip, byte);
		else
			write_command(chip, byte);
	}
	rose = update(pic);
	pthread_mutex_unlock(&pic->lock);
	access->value = value;
	return rose;
}

static void write_elcr(struct chip *chip, uint8_t value)
{
	uint8_t changed = (chip->elcr ^ value) & chip->elcr_writable;

	chip->elcr ^= changed;
	/* What is level-triggered now follows its line; what no longer is waits for an edge. */
	chip->irr = (chip->irr & ~changed) | (chip->lines & chip->elcr & changed);
}

bool pic_elcr_access(struct pic *pic, struct dev_access *access)
{
	uint64_t value = 0;
	bool rose;

	pthread_mutex_lock(&pic->lock);
	for (unsigned i = 0; i < access->size; i++) {
		struct chip *chip = &pic->chip[(access->offset + i) & 1];

		if (access->is_write)
			write_elcr(chip, (uint8_t)(access->value >> 8 * i));
		else
			value |= (uint64_t)chip->elcr << 8 * i;
	}
	rose = update(pic);
	pthread_mutex_unlock(&pic->lock);
	access->value = value;
	return rose;
}

bool pic_output(struct pic *pic)
{
	return atomic_load(&pic->output);
}

uint8_t pic_acknowledge(struct pic *pic)
{
	struct chip *chip = &pic->chip[0];
	int line;
	uint8_t vector;

	pthread_mutex_lock(&pic->lock);
	line = request(chip);
	if (line != NO_LINE)
		chip_acknowledge(chip, line);
	if (line == CASCADE_LINE) {
		chip = &pic->chip[1];
		line = request(chip);
		if (line != NO_LINE)
			chip_acknowledge(chip, line);
	}
	vector = chip->vector_base + (uint8_t)(line == NO_LINE ? SPURIOUS_LINE : line);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
	return vector;
}

/* --- life --- */

void pic_reset(struct pic *pic)
{
	pthread_mutex_lock(&pic->lock);
	for (int i = 0; i < 2; i++)
		chip_reset(&pic->chip[i]);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
}

int pic_create(struct pic **out)
{
	struct pic *pic = calloc(1, sizeof(*pic));

	if (!pic)
		return -ENOMEM;
	pthread_mutex_init(&pic->lock, NULL);
	/* The timer, the keyboard, the cascade, the RTC and the FPU error are always edges. */
	pic->chip[0].elcr_writable = 0xf8;
	pic->chip[1].elcr_writable = 0xde;
	pic->chip[0].cascade = BIT(CASCADE_LINE);
	pic_reset(pic);
	*out = pic;
	return 0;
}

void pic_destroy(struct pic *pic)
{
	if (!pic)
		return;
	pthread_mutex_destroy(&pic->lock);
	free(pic);
}
