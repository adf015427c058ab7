/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One vCPU of the software engine with its memory, bus, clock and interrupt router, and no devices:
 * for tests of cpu/ that call its functions directly and never run the vCPU.
 */
#ifndef TESTS_UNIT_VCPU_H
#define TESTS_UNIT_VCPU_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cpu/soft.h"

#define VCPU_MEMORY_BYTES (16 * MIB)

struct vcpu {
	struct engine_config config;
	struct engine *engine;
	struct engine_vcpu *handle;
	struct cpu *cpu;
};

static inline void vcpu_setup_as(struct vcpu *v, const struct engine_config *config)
{
	*v = (struct vcpu){ .config = *config };
	assert_int_equal(memory_create(&v->config.memory, VCPU_MEMORY_BYTES, NULL), 0);
	assert_int_equal(bus_create(&v->config.bus), 0);
	assert_int_equal(clock_create(&v->config.clock), 0);
	assert_int_equal(irq_create(&v->config.irq, v->config.clock, config->vcpus), 0);
	assert_int_equal(engine_soft.create(&v->engine, &v->config, NULL), 0);
	assert_int_equal(engine_soft.vcpu_create(v->engine, 0, &v->handle, NULL), 0);
	v->cpu = (struct cpu *)v->handle;
}

static inline void vcpu_setup(struct vcpu *v, enum cpu_vendor vendor)
{
	vcpu_setup_as(v, &(struct engine_config){ .vendor = vendor, .vcpus = 1 });
}

/* With the virtualization extension of the vendor. */
static inline void vcpu_setup_nested(struct vcpu *v, enum cpu_vendor vendor)
{
	vcpu_setup_as(v, &(struct engine_config){ .vendor = vendor, .vcpus = 1, .nested = true });
}

static inline void vcpu_teardown(struct vcpu *v)
{
	clock_destroy(v->config.clock);
	engine_soft.vcpu_destroy(v->handle);
	engine_soft.destroy(v->engine);
	irq_destroy(v->config.irq);
	bus_destroy(v->config.bus);
	memory_destroy(v->config.memory);
}

/* The vector of the exception that `statement` raises, or -1. */
#define RAISED(cpu, statement)                         \
	__extension__({                                \
		volatile int vector_ = -1;             \
		if (setjmp((cpu)->unwind) == 0) {      \
			statement;                     \
		} else {                               \
			vector_ = (cpu)->fault.vector; \
		}                                      \
		vector_;                               \
	})

#define assert_raises(cpu, vector, statement) assert_int_equal(RAISED(cpu, statement), vector)
#define assert_passes(cpu, statement)         assert_int_equal(RAISED(cpu, statement), -1)

#endif
