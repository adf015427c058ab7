/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vCPU threads, with an engine that only counts: a vCPU "runs" until it is kicked or told to
 * shut down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "vm/vcpus.h"

#define VCPUS 4

struct engine_vcpu {
	struct engine *engine;
	unsigned index;
	pthread_t thread;
	bool kicked, shut_down; /* atomic */
};

struct engine {
	unsigned created, destroyed, running, resets; /* atomic */
	int fail_at;                                  /* index of the vCPU that cannot be made */
	uint64_t rip;                                 /* what vCPU 0 starts with */
	struct engine_vcpu *vcpu[VCPUS];
	unsigned stops, parks; /* atomic; events */
	enum engine_exit why;
};

static unsigned get(const unsigned *n)
{
	return __atomic_load_n(n, __ATOMIC_SEQ_CST);
}

static void add(unsigned *n, int by)
{
	__atomic_add_fetch(n, by, __ATOMIC_SEQ_CST);
}

static int fake_vcpu_create(struct engine *engine, unsigned index, struct engine_vcpu **out,
			    struct error *err)
{
	if ((int)index == engine->fail_at)
		return error_set(err, -ENOMEM, "vCPU %u: no", index);
	*out = calloc(1, sizeof(**out));
	(*out)->engine = engine;
	(*out)->index = index;
	(*out)->thread = pthread_self();
	engine->vcpu[index] = *out;
	add(&engine->created, 1);
	return 0;
}

static void fake_vcpu_destroy(struct engine_vcpu *vcpu)
{
	assert_true(pthread_equal(vcpu->thread, pthread_self()));
	add(&vcpu->engine->destroyed, 1);
	free(vcpu);
}

static enum engine_exit fake_run(struct engine_vcpu *vcpu)
{
	enum engine_exit why = ENGINE_KICKED;

	assert_true(pthread_equal(vcpu->thread, pthread_self()));
	add(&vcpu->engine->running, 1);
	while (!__atomic_exchange_n(&vcpu->kicked, false, __ATOMIC_SEQ_CST)) {
		if (__atomic_load_n(&vcpu->shut_down, __ATOMIC_SEQ_CST)) {
			why = ENGINE_SHUTDOWN;
			break;
		}
		usleep(100);
	}
	add(&vcpu->engine->running, -1);
	return why;
}

static void fake_kick(struct engine_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->kicked, true, __ATOMIC_SEQ_CST);
}

static void fake_signal(struct engine_vcpu *vcpu, enum vcpu_signal what, uint8_t vector)
{
	assert_int_equal(what, VCPU_SIPI);
	assert_int_equal(vector, 0x9a);
	__atomic_store_n(&vcpu->shut_down, true, __ATOMIC_SEQ_CST);
}

static void fake_set_registers(struct engine_vcpu *vcpu, const struct engine_registers *in)
{
	assert_int_equal(vcpu->index, 0);
	vcpu->engine->rip = in->rip;
}

static void fake_reset(struct engine_vcpu *vcpu)
{
	assert_true(pthread_equal(vcpu->thread, pthread_self()));
	__atomic_store_n(&vcpu->shut_down, false, __ATOMIC_SEQ_CST);
	add(&vcpu->engine->resets, 1);
}

static const struct engine_ops fake = {
	.name = "fake",
	.vcpu_create = fake_vcpu_create,
	.vcpu_destroy = fake_vcpu_destroy,
	.run = fake_run,
	.kick = fake_kick,
	.signal = fake_signal,
	.set_registers = fake_set_registers,
	.reset = fake_reset,
};

static void stopped(void *self, enum engine_exit why)
{
	struct engine *engine = self;

	engine->why = why;
	add(&engine->stops, 1);
}

static void parked(void *self)
{
	struct engine *engine = self;

	add(&engine->parks, 1);
}

static int create(struct engine *engine, struct vcpus **out, struct error *err)
{
	const struct vcpus_events events = { stopped, parked, engine };

	return vcpus_create(out, &fake, engine, VCPUS, &events, err);
}

static void wait_for(const unsigned *n, unsigned value)
{
	for (int i = 0; i < 50000 && get(n) != value; i++)
		usleep(200);
	assert_int_equal(get(n), value);
}

static void life(void **state)
{
	struct engine engine = { .fail_at = -1 };
	struct engine_registers boot = { .rip = 0x1234 };
	struct vcpus *vcpus;
	struct error err;

	(void)state;
	assert_int_equal(create(&engine, &vcpus, &err), 0);
	assert_int_equal(get(&engine.created), VCPUS);
	assert_true(vcpus_parked(vcpus));
	for (unsigned round = 1; round <= 20; round++) {
		vcpus_reset(vcpus, &boot);
		assert_int_equal(get(&engine.resets), round * VCPUS);
		assert_int_equal(engine.rip, 0x1234);
		vcpus_run(vcpus);
		if (round % 2)
			wait_for(&engine.running, VCPUS);
		assert_false(vcpus_parked(vcpus));
		vcpus_park(vcpus);
		assert_int_equal(get(&engine.running), 0);
	}
	assert_int_equal(get(&engine.stops), 0);
	vcpus_destroy(vcpus);
	assert_int_equal(get(&engine.destroyed), VCPUS);
}

static void one_that_stops_is_reported(void **state)
{
	struct engine engine = { .fail_at = -1 };
	struct engine_registers boot = { .rip = 1 };
	struct vcpus *vcpus;
	struct error err;

	(void)state;
	assert_int_equal(create(&engine, &vcpus, &err), 0);
	vcpus_reset(vcpus, &boot);
	vcpus_run(vcpus);
	vcpus_signal(vcpus, 2, VCPU_SIPI, 0x9a);
	wait_for(&engine.stops, 1);
	assert_int_equal(engine.why, ENGINE_SHUTDOWN);
	wait_for(&engine.running, VCPUS - 1);
	assert_int_equal(get(&engine.parks), 0);
	vcpus_park_begin(vcpus);
	for (int i = 0; i < 50000 && !get(&engine.parks); i++)
		usleep(200);
	assert_true(get(&engine.parks));
	assert_true(vcpus_parked(vcpus));
	/* And all run again after a reset. */
	vcpus_reset(vcpus, &boot);
	vcpus_run(vcpus);
	wait_for(&engine.running, VCPUS);
	vcpus_park(vcpus);
	vcpus_destroy(vcpus);
}

static void failure_leaves_nothing(void **state)
{
	struct engine engine = { .fail_at = 2 };
	struct vcpus *vcpus = NULL;
	struct error err;

	(void)state;
	assert_int_equal(create(&engine, &vcpus, &err), -ENOMEM);
	assert_string_equal(err.text, "vCPU 2: no");
	assert_int_equal(get(&engine.created), get(&engine.destroyed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(life),
		cmocka_unit_test(one_that_stops_is_reported),
		cmocka_unit_test(failure_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
