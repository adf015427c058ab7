/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole board under a hostile guest: several threads read and write random values at random
 * places of every range that is mapped, while timers run. Nothing crashes, hangs or reaches outside
 * guest memory (the sanitizers see that), and a reset brings the machine back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dev/pci/pci.h"
#include "vm/board.h"

#define THREADS    2
#define ACCESSES   300000 /* a thread and round */
#define ROUNDS     3
#define DISK_BYTES (64 * KIB)

struct fixture {
	struct config config;
	struct memory *memory;
	struct clock *clock;
	struct irq *irq;
	struct bus *bus;
	struct power power;
	uv_loop_t loop;
	struct board *board;
	struct error err;
	char disk[64];
	unsigned requests; /* atomic: power events */
	uint64_t seed;
};

static void on_power(void *self, enum power_event event, unsigned status)
{
	struct fixture *f = self;

	(void)event;
	(void)status;
	__atomic_add_fetch(&f->requests, 1, __ATOMIC_RELAXED);
}

static void on_signal(void *self, unsigned vcpu, enum vcpu_signal what, uint8_t vector)
{
	struct fixture *f = self;

	(void)what;
	(void)vector;
	assert_true(vcpu < f->config.cpus);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	snprintf(f->disk, sizeof(f->disk), "/tmp/nidus-test-XXXXXX");
	fd = mkstemp(f->disk);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	config_init(&f->config);
	f->config.cpus = THREADS;
	f->config.debug_exit = true;
	f->config.serial.kind = CONFIG_SERIAL_NONE;
	f->config.nets = 2;
	f->config.net[1].kind = CONFIG_NET_USER;
	f->config.disks = 1;
	snprintf(f->config.disk[0].path, sizeof(f->config.disk[0].path), "%s", f->disk);
	f->power = (struct power){ on_power, f };
	assert_int_equal(memory_create(&f->memory, 16 * MIB, &f->err), 0);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(clock_create(&f->clock), 0);
	assert_int_equal(irq_create(&f->irq, f->clock, f->config.cpus), 0);
	irq_set_sink(f->irq, on_signal, f);
	assert_int_equal(bus_create(&f->bus), 0);
	const struct board_base base = { f->memory, f->clock, f->irq, f->bus, &f->power, &f->loop };
	if (board_create(&f->board, &base, &f->config, &f->err))
		fail_msg("%s", f->err.text);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	clock_destroy(f->clock);
	board_destroy(f->board);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	bus_destroy(f->bus);
	irq_destroy(f->irq);
	memory_destroy(f->memory);
	unlink(f->disk);
	free(f);
	return 0;
}

/* xorshift64* */
static uint64_t random64(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1dull;
}

/* Where something answers; BARs are near the start of the PCI window. */
static const struct {
	uint64_t base, size;
} mmio[] = {
	{ PCI_ECAM_BASE, 32 * 32 * KIB },
	{ PCI_WINDOW_BASE, 256 * KIB },
	{ IOAPIC_BASE, 4096 },
	{ 0xfed00000, 1024 },
	{ PCI_WINDOW64_BASE, 256 * KIB },
};

/* Small numbers, guest addresses and noise: what devices take for indices, queues and garbage. */
static uint64_t value(uint64_t *seed)
{
	uint64_t r = random64(seed);

	switch (r & 3) {
	case 0:
		return random64(seed) & 0xff;
	case 1:
		return random64(seed) % (16 * MIB) & ~0xfull;
	case 2:
		return ~0ull << (random64(seed) & 63);
	default:
		return random64(seed);
	}
}

static void access_ports(struct fixture *f, uint64_t *seed)
{
	uint64_t port = random64(seed) % (random64(seed) & 1 ? 0x1000 : 0x10000);
	unsigned size = 1u << random64(seed) % 3;

	if (random64(seed) & 1)
		bus_write(f->bus, BUS_PIO, port, size, value(seed) & size_mask(size));
	else
		bus_read(f->bus, BUS_PIO, port, size);
}

static void access_memory(struct fixture *f, uint64_t *seed)
{
	unsigned i = (unsigned)(random64(seed) % ARRAY_SIZE(mmio));
	uint64_t address = mmio[i].base + random64(seed) % mmio[i].size;
	unsigned size = 1u << random64(seed) % 4;

	if (random64(seed) & 7) /* mostly aligned: that reaches more registers */
		address &= ~(uint64_t)(size - 1);
	if (random64(seed) & 1)
		bus_write(f->bus, BUS_MMIO, address, size, value(seed) & size_mask(size));
	else
		bus_read(f->bus, BUS_MMIO, address, size);
}

static void *hostile(void *self)
{
	struct fixture *f = self;
	uint64_t seed = __atomic_add_fetch(&f->seed, 0x9e3779b97f4a7c15ull, __ATOMIC_RELAXED);

	for (int i = 0; i < ACCESSES; i++) {
		if (random64(&seed) & 1)
			access_ports(f, &seed);
		else
			access_memory(f, &seed);
	}
	return NULL;
}

static void survives_random_accesses(void **state)
{
	struct fixture *f = *state;
	const char *seed = getenv("SEED");

	f->seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)getpid();
	printf("# SEED=%llu\n", (unsigned long long)f->seed);
	for (int round = 0; round < ROUNDS; round++) {
		pthread_t thread[THREADS];

		for (uint64_t i = 0; i < 16 * MIB / 8; i += 97) /* queues find something */
			store_le(f->memory->base + i * 8 % (640 * KIB - 8), i * 0x10001, 8);
		for (int i = 0; i < THREADS; i++)
			pthread_create(&thread[i], NULL, hostile, f);
		for (int i = 0; i < THREADS; i++)
			pthread_join(thread[i], NULL);
		uv_run(&f->loop, UV_RUN_NOWAIT);
		assert_int_equal(board_reset(f->board, &f->err), 0);
	}
	assert_true(f->requests); /* some of it has hit a reset port */
}

static uint32_t config_read(struct fixture *f, unsigned slot, unsigned offset)
{
	bus_write(f->bus, BUS_PIO, 0xcf8, 4, 0x80000000 | slot << 11 | offset);
	return (uint32_t)bus_read(f->bus, BUS_PIO, 0xcfc, 4);
}

static void devices_are_where_the_map_says(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(config_read(f, 0, 0), 0x29c08086);
	assert_int_equal(config_read(f, 31, 0), 0x29188086);
	assert_int_equal(config_read(f, 1, 0), 0x10441af4);
	assert_int_equal(config_read(f, 2, 0), 0x10431af4);
	assert_int_equal(config_read(f, 4, 0), 0x10411af4);
	assert_int_equal(config_read(f, 5, 0), 0x10411af4);
	assert_int_equal(config_read(f, 12, 0), 0x10421af4);
	assert_int_equal(config_read(f, 13, 0), 0xffffffff);
	/* Memory decoding is on, as after firmware. */
	assert_int_equal(config_read(f, 12, 4) & 2, 2);
	assert_int_equal(config_read(f, 12, 0x10) & 0xf0000000, PCI_WINDOW_BASE);
	/* COM1's line status: the transmitter is empty. */
	assert_int_equal(bus_read(f->bus, BUS_PIO, 0x3fd, 1) & 0x60, 0x60);
	/* Nobody there. */
	assert_int_equal(bus_read(f->bus, BUS_PIO, 0x8900, 1), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(devices_are_where_the_map_says, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_random_accesses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
