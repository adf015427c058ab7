/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the platform's chips share: accesses, random ones too, a machine of a clock and
 * interrupt controllers, and a power switch that remembers.
 */
#ifndef TESTS_UNIT_CHIP_H
#define TESTS_UNIT_CHIP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dev/dev.h"
#include "vm/clock.h"
#include "vm/irq.h"
#include "vm/power.h"

#define MS (NS_PER_SECOND / 1000)
#define US (NS_PER_SECOND / 1000000)

static inline uint64_t chip_read(dev_access_fn *fn, void *self, uint64_t offset, unsigned size)
{
	struct dev_access access = { .offset = offset, .size = (uint8_t)size };

	fn(self, &access);
	return access.value & size_mask(size);
}

static inline void chip_write(dev_access_fn *fn, void *self, uint64_t offset, unsigned size,
			      uint64_t value)
{
	struct dev_access access = { offset, value & size_mask(size), (uint8_t)size, true };

	fn(self, &access);
}

/* --- randomness from a printed seed: CHIP_SEED sets it --- */

static inline uint64_t chip_seed(void)
{
	const char *given = getenv("CHIP_SEED");
	uint64_t seed =
		given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();

	print_message("CHIP_SEED=%#llx\n", (unsigned long long)seed);
	return seed;
}

static inline uint64_t chip_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* One access of a random kind inside `range` bytes; sizes up to `max_size`. */
static inline void chip_random_access(dev_access_fn *fn, void *self, uint64_t range,
				      unsigned max_size, uint64_t *state)
{
	unsigned size = 1u << chip_random(state) % 4;
	uint64_t value = chip_random(state), offset;

	while (size > max_size || size > range)
		size /= 2;
	offset = chip_random(state) % (range - size + 1);
	if (chip_random(state) % 2) /* registers mostly lie at multiples of their size */
		offset = align_down(offset, size);
	if (chip_random(state) % 4 == 0)
		value = chip_random(state) % 2 ? 0 : UINT64_MAX;
	if (chip_random(state) % 3)
		chip_write(fn, self, offset, size, value);
	else
		chip_read(fn, self, offset, size);
}

/* --- a machine --- */

struct chip_machine {
	struct clock *clock;
	struct irq *irq;
	atomic_uint signals[4]; /* by enum vcpu_signal */
	atomic_uint sipi_vector;
	struct power power;
	atomic_int powered; /* the last event, -1 for none */
	atomic_uint status;
};

static inline void chip_signal(void *self, unsigned vcpu, enum vcpu_signal what, uint8_t vector)
{
	struct chip_machine *m = self;

	(void)vcpu;
	atomic_fetch_add(&m->signals[what], 1);
	if (what == VCPU_SIPI)
		atomic_store(&m->sipi_vector, vector);
}

static inline void chip_power(void *self, enum power_event event, unsigned status)
{
	struct chip_machine *m = self;

	atomic_store(&m->status, status);
	atomic_store(&m->powered, (int)event);
}

static inline void chip_machine_open(struct chip_machine *m, unsigned vcpus)
{
	memset(m, 0, sizeof(*m));
	assert_int_equal(clock_create(&m->clock), 0);
	assert_int_equal(irq_create(&m->irq, m->clock, vcpus), 0);
	irq_set_sink(m->irq, chip_signal, m);
	m->power = (struct power){ chip_power, m };
	atomic_store(&m->powered, -1);
}

/* Devices are destroyed between these two: after the clock's thread, before what they drive. */
static inline void chip_machine_stop(struct chip_machine *m)
{
	clock_destroy(m->clock);
	m->clock = NULL;
}

static inline void chip_machine_close(struct chip_machine *m)
{
	clock_destroy(m->clock);
	irq_destroy(m->irq);
}

/* Programs both PICs: vectors from 20h, all lines masked but those in `unmasked`. */
static inline void chip_pic_setup(struct chip_machine *m, uint16_t unmasked)
{
	static const uint8_t icw[2][4] = { { 0x11, 0x20, 0x04, 0x01 }, { 0x11, 0x28, 0x02, 0x01 } };
	dev_access_fn *const pic[2] = { irq_pic_master_access, irq_pic_slave_access };

	if (unmasked & 0xff00)
		unmasked |= BIT(2);
	for (int i = 0; i < 2; i++) {
		chip_write(pic[i], m->irq, 0, 1, icw[i][0]);
		for (int j = 1; j < 4; j++)
			chip_write(pic[i], m->irq, 1, 1, icw[i][j]);
		chip_write(pic[i], m->irq, 1, 1, (uint8_t)(~unmasked >> 8 * i));
	}
}

/* Takes the PIC's interrupt, ends it, and says its line; -1 for none. */
static inline int chip_pic_take(struct chip_machine *m)
{
	int vector;

	if (!irq_pending(m->irq, 0))
		return -1;
	vector = irq_accept(m->irq, 0);
	if (vector >= 0x28)
		chip_write(irq_pic_slave_access, m->irq, 0, 1, 0x20);
	chip_write(irq_pic_master_access, m->irq, 0, 1, 0x20);
	return vector - 0x20;
}

/* Waits up to `ns` for a line at the PIC and takes it. */
static inline int chip_pic_wait(struct chip_machine *m, uint64_t ns)
{
	uint64_t end = clock_now_ns(m->clock) + ns;

	while (!irq_pending(m->irq, 0) && clock_now_ns(m->clock) < end)
		usleep(50);
	return chip_pic_take(m);
}

static inline void chip_sleep(struct chip_machine *m, uint64_t ns)
{
	uint64_t end = clock_now_ns(m->clock) + ns;

	while (clock_now_ns(m->clock) < end)
		usleep(100);
}

#endif
