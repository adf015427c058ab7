/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vCPU threads. The main thread posts a command under the lock; every thread carries it out
 * once and counts itself done. RUN is done when the vCPU has left the engine and parked.
 */
#define _GNU_SOURCE /* pthread_setname_np */
#include "vm/vcpus.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum command { COMMAND_CREATE, COMMAND_RESET, COMMAND_RUN, COMMAND_QUIT };

struct vcpu_thread {
	struct vcpus *set;
	unsigned index;
	pthread_t thread;
	struct engine_vcpu *vcpu; /* constant from creation to quitting */
	uint64_t seen;            /* the last command that it took */
};

struct vcpus {
	const struct engine_ops *ops;
	struct engine *engine;
	struct vcpus_events events;
	pthread_mutex_t lock; /* guards what follows, up to `park` */
	pthread_cond_t changed;
	enum command command;
	uint64_t number; /* of the command */
	unsigned busy;   /* threads that have not done it */
	int create_result;
	struct error *create_error;
	const struct engine_registers *boot;
	bool park; /* atomic; wanted while COMMAND_RUN is carried out */
	unsigned count;
	struct vcpu_thread thread[];
};

static void create(struct vcpu_thread *t)
{
	struct vcpus *set = t->set;
	struct error err = { "" };
	int ret = set->ops->vcpu_create(set->engine, t->index, &t->vcpu, &err);

	pthread_mutex_lock(&set->lock);
	if (ret && !set->create_result) {
		set->create_result = ret;
		error_set(set->create_error, ret, "%s", err.text);
	}
	pthread_mutex_unlock(&set->lock);
}

static void reset(struct vcpu_thread *t)
{
	t->set->ops->reset(t->vcpu);
	if (t->index == 0)
		t->set->ops->set_registers(t->vcpu, t->set->boot);
}

static void run(struct vcpu_thread *t)
{
	struct vcpus *set = t->set;

	while (!__atomic_load_n(&set->park, __ATOMIC_ACQUIRE)) {
		enum engine_exit why = set->ops->run(t->vcpu);

		if (why != ENGINE_KICKED) {
			set->events.stopped(set->events.self, why);
			break;
		}
	}
}

static void quit(struct vcpu_thread *t)
{
	if (t->vcpu)
		t->set->ops->vcpu_destroy(t->vcpu);
}

static void (*const commands[])(struct vcpu_thread *t) = {
	[COMMAND_CREATE] = create,
	[COMMAND_RESET] = reset,
	[COMMAND_RUN] = run,
	[COMMAND_QUIT] = quit,
};

static enum command next_command(struct vcpu_thread *t)
{
	struct vcpus *set = t->set;
	enum command command;

	pthread_mutex_lock(&set->lock);
	while (set->number == t->seen)
		pthread_cond_wait(&set->changed, &set->lock);
	t->seen = set->number;
	command = set->command;
	pthread_mutex_unlock(&set->lock);
	return command;
}

static void command_done(struct vcpus *set, enum command command)
{
	bool last;

	pthread_mutex_lock(&set->lock);
	last = --set->busy == 0;
	if (last)
		pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
	if (last && command == COMMAND_RUN && __atomic_load_n(&set->park, __ATOMIC_ACQUIRE))
		set->events.parked(set->events.self);
}

static void *thread_main(void *arg)
{
	struct vcpu_thread *t = arg;
	enum command command;

	do {
		command = next_command(t);
		commands[command](t);
		command_done(t->set, command);
	} while (command != COMMAND_QUIT);
	return NULL;
}

static void post(struct vcpus *set, enum command command)
{
	pthread_mutex_lock(&set->lock);
	set->command = command;
	set->number++;
	set->busy = set->count;
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
}

static void wait_until_done(struct vcpus *set)
{
	pthread_mutex_lock(&set->lock);
	while (set->busy)
		pthread_cond_wait(&set->changed, &set->lock);
	pthread_mutex_unlock(&set->lock);
}

/* Signals from outside are the main thread's: a vCPU's thread starts with all of them blocked but
 * those that its own instructions raise. */
static int start_thread(struct vcpu_thread *t)
{
	sigset_t blocked, old;
	char name[16];
	int ret;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGFPE);
	sigdelset(&blocked, SIGILL);
	sigdelset(&blocked, SIGTRAP);
	pthread_sigmask(SIG_SETMASK, &blocked, &old);
	ret = pthread_create(&t->thread, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return -ret;
	snprintf(name, sizeof(name), "vcpu %u", t->index);
	pthread_setname_np(t->thread, name);
	return 0;
}

static void finish(struct vcpus *set)
{
	post(set, COMMAND_QUIT);
	for (unsigned i = 0; i < set->count; i++)
		pthread_join(set->thread[i].thread, NULL);
	pthread_cond_destroy(&set->changed);
	pthread_mutex_destroy(&set->lock);
	free(set);
}

int vcpus_create(struct vcpus **out, const struct engine_ops *ops, struct engine *engine,
		 unsigned count, const struct vcpus_events *events, struct error *err)
{
	struct vcpus *set = calloc(1, sizeof(*set) + count * sizeof(set->thread[0]));
	int ret = 0;

	if (!set)
		return error_set(err, -ENOMEM, "vCPUs: out of memory");
	set->ops = ops;
	set->engine = engine;
	set->events = *events;
	set->create_error = err;
	pthread_mutex_init(&set->lock, NULL);
	pthread_cond_init(&set->changed, NULL);
	for (unsigned i = 0; i < count && !ret; i++) {
		set->thread[i] = (struct vcpu_thread){ .set = set, .index = i };
		ret = start_thread(&set->thread[i]);
		if (!ret)
			set->count++;
	}
	if (ret) {
		error_set(err, ret, "vCPU %u: cannot start a thread: %s", set->count,
			  strerror(-ret));
		finish(set);
		return ret;
	}
	post(set, COMMAND_CREATE);
	wait_until_done(set);
	ret = set->create_result;
	if (ret)
		finish(set);
	else
		*out = set;
	return ret;
}

void vcpus_destroy(struct vcpus *set)
{
	if (set)
		finish(set);
}

void vcpus_reset(struct vcpus *set, const struct engine_registers *boot)
{
	set->boot = boot;
	post(set, COMMAND_RESET);
	wait_until_done(set);
}

void vcpus_run(struct vcpus *set)
{
	__atomic_store_n(&set->park, false, __ATOMIC_RELEASE);
	post(set, COMMAND_RUN);
}

bool vcpus_parked(struct vcpus *set)
{
	bool parked;

	pthread_mutex_lock(&set->lock);
	parked = !set->busy;
	pthread_mutex_unlock(&set->lock);
	return parked;
}

void vcpus_park_begin(struct vcpus *set)
{
	__atomic_store_n(&set->park, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < set->count; i++)
		set->ops->kick(set->thread[i].vcpu);
	if (vcpus_parked(set))
		set->events.parked(set->events.self);
}

void vcpus_park(struct vcpus *set)
{
	vcpus_park_begin(set);
	wait_until_done(set);
}

bool vcpus_nested_active(struct vcpus *set)
{
	bool active = false;

	for (unsigned i = 0; i < set->count && set->ops->nested_active; i++)
		active |= set->ops->nested_active(set->thread[i].vcpu);
	return active;
}

void vcpus_signal(void *self, unsigned vcpu, enum vcpu_signal what, uint8_t vector)
{
	struct vcpus *set = self;

	set->ops->signal(set->thread[vcpu].vcpu, what, vector);
}
