/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stopping the world: see cpu/world.h. A vCPU that waits for its turn to stop the others counts as
 * stopped itself, so two that try at once do not wait for each other.
 */
#include "cpu/world.h"

#include "cpu/soft.h"

void world_enter(struct cpu *cpu)
{
	struct world *world = &cpu->soft->world;

	pthread_mutex_lock(&world->lock);
	while (world->is_stopped)
		pthread_cond_wait(&world->changed, &world->lock);
	cpu->is_between = false;
	pthread_mutex_unlock(&world->lock);
}

void world_leave(struct cpu *cpu)
{
	struct world *world = &cpu->soft->world;

	pthread_mutex_lock(&world->lock);
	cpu->is_between = true;
	pthread_cond_broadcast(&world->changed);
	pthread_mutex_unlock(&world->lock);
}

void world_yield(struct cpu *cpu)
{
	cpu_attention_clear(cpu, ATTENTION_RENDEZVOUS);
	world_leave(cpu);
	world_enter(cpu);
}

/* Asks every vCPU that executes guest code to yield. Returns whether there was one. */
static bool ask_others(struct cpu *self)
{
	struct soft *soft = self->soft;
	bool any = false;

	for (unsigned i = 0; i < soft->config.vcpus; i++) {
		struct cpu *cpu = soft->cpu[i];

		if (!cpu || cpu == self || cpu->is_between)
			continue;
		cpu_attention_set(cpu, ATTENTION_RENDEZVOUS);
		any = true;
	}
	return any;
}

void world_stop(struct cpu *cpu)
{
	struct world *world = &cpu->soft->world;

	pthread_mutex_lock(&world->lock);
	cpu->is_between = true;
	pthread_cond_broadcast(&world->changed);
	while (world->is_stopped)
		pthread_cond_wait(&world->changed, &world->lock);
	world->is_stopped = true;
	while (ask_others(cpu))
		pthread_cond_wait(&world->changed, &world->lock);
	pthread_mutex_unlock(&world->lock);
}

void world_start(struct cpu *cpu)
{
	struct world *world = &cpu->soft->world;

	pthread_mutex_lock(&world->lock);
	world->is_stopped = false;
	cpu->is_between = false;
	pthread_cond_broadcast(&world->changed);
	pthread_mutex_unlock(&world->lock);
}
