/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much memory the guest has while it runs: see vm/balance.h. */
#include "vm/balance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP_FRACTION 8          /* of what is too much goes at a time */
#define SLACK_BYTES   (16 * MIB) /* that is not worth moving */
#define KEPT_FRACTION 16         /* of the host's memory that the lowest priority leaves */

struct balance {
	uv_timer_t timer; /* freed with it */
	struct balance_setup setup;
	unsigned samples; /* that were looked at */
	uint64_t demand_bytes;
};

static uint64_t clamp(const struct balance_limits *limits, uint64_t bytes)
{
	return MAX(limits->minimum_bytes, MIN(bytes, limits->maximum_bytes));
}

uint64_t balance_spare(unsigned priority, const struct balance_host *host)
{
	uint64_t kept = host->total_bytes / KEPT_FRACTION * (BALANCE_PRIORITY_MAX - priority) /
			BALANCE_PRIORITY_MAX;

	return host->available_bytes - MIN(host->available_bytes, kept);
}

uint64_t balance_next(const struct balance_limits *limits, uint64_t assigned, uint64_t demand,
		      uint64_t spare)
{
	unsigned buffer_percent = spare ? limits->buffer_percent : 0;
	uint64_t wanted = clamp(limits, demand * (100 + buffer_percent) / 100), growth;

	assigned = clamp(limits, assigned);
	if (wanted > assigned) {
		growth = MIN(wanted - assigned, spare);
		return growth > SLACK_BYTES ? assigned + growth : assigned;
	}
	if (assigned - wanted <= SLACK_BYTES)
		return assigned;
	return assigned - MAX((assigned - wanted) / STEP_FRACTION, SLACK_BYTES);
}

static void assign(struct balance *b, uint64_t bytes)
{
	virtio_balloon_set_target(b->setup.balloon, b->setup.ram_bytes - bytes);
}

/* --- dynamic memory, once a period --- */

static void read_host(struct balance_host *host)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib;
	char line[128];

	*host = (struct balance_host){ UINT64_MAX, UINT64_MAX }; /* not known: no reason to save */
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemTotal: %llu", &kib) == 1)
			host->total_bytes = kib * KIB;
		else if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			host->available_bytes = kib * KIB;
	}
	if (file)
		fclose(file);
}

static uint64_t spare(const struct balance *b)
{
	struct balance_host host;

	if (b->setup.host)
		b->setup.host(b->setup.self, &host);
	else
		read_host(&host);
	return balance_spare(b->setup.limits.priority, &host);
}

static void take_sample(struct balance *b, const struct virtio_balloon_report *report)
{
	uint64_t had = b->setup.ram_bytes - report->sample_held_bytes;

	b->samples = report->samples;
	b->demand_bytes = had - MIN(report->available_bytes, had);
	assign(b, balance_next(&b->setup.limits, had, b->demand_bytes, spare(b)));
}

static void on_timer(uv_timer_t *timer)
{
	struct balance *b = container_of(timer, struct balance, timer);
	struct virtio_balloon_report report;

	virtio_balloon_report(b->setup.balloon, &report);
	if (!report.has_driver) {
		b->samples = 0;
		b->demand_bytes = 0;
		assign(b, b->setup.startup_bytes);
	} else if (b->setup.nested_active(b->setup.self)) {
		virtio_balloon_set_target(b->setup.balloon, report.held_bytes);
	} else {
		if (report.samples != b->samples)
			take_sample(b, &report);
		virtio_balloon_ask(b->setup.balloon);
	}
}

/* --- what the operator asks for --- */

static int check(struct balance *b, bool is_dynamic, struct error *err)
{
	if (b->setup.is_dynamic != is_dynamic)
		return error_set(err, -ENOTSUP, "the memory of this machine is %s",
				 is_dynamic ? "static" : "dynamic");
	if (b->setup.nested_active(b->setup.self))
		return error_set(err, -EBUSY,
				 "memory cannot change while a hypervisor runs in the machine");
	return 0;
}

static int no_driver(const char *what, const char *name, struct error *err)
{
	return error_set(err, -ENODEV, "no driver for %s (%s) answers in it", what, name);
}

/* More than RAM, or again as much as that: what is plugged. */
static int plug(struct balance *b, uint64_t bytes, struct error *err)
{
	struct virtio_mem_report report = { .has_driver = false };
	int ret;

	if (b->setup.mem)
		virtio_mem_report(b->setup.mem, &report);
	if (bytes == report.requested_bytes)
		return 0;
	if (!report.has_driver)
		return no_driver("memory that is plugged", "virtio_mem", err);
	ret = virtio_mem_request(b->setup.mem, bytes);
	return ret ? error_set(err, ret, "the host has no memory for it: %s", strerror(-ret)) : 0;
}

int balance_resize(struct balance *b, uint64_t bytes, struct error *err)
{
	uint64_t ram = b->setup.ram_bytes, most = ram + b->setup.growth_bytes;
	struct virtio_balloon_report report;
	int ret = check(b, false, err);

	if (ret)
		return ret;
	virtio_balloon_report(b->setup.balloon, &report);
	if (bytes > most)
		return error_set(err, -ERANGE,
				 "until it is switched off it can have no more than %llu MB",
				 (unsigned long long)(most / MIB));
	if (!report.has_driver && bytes < ram)
		return no_driver("the memory balloon", "virtio_balloon", err);
	ret = plug(b, MAX(bytes, ram) - ram, err);
	if (!ret)
		assign(b, MIN(bytes, ram));
	return ret;
}

int balance_set_limits(struct balance *b, const struct balance_limits *limits, struct error *err)
{
	int ret = check(b, true, err);

	if (ret)
		return ret;
	if (limits->minimum_bytes > limits->maximum_bytes ||
	    limits->minimum_bytes > b->setup.ram_bytes)
		return error_set(err, -EINVAL, "the minimum is above the maximum");
	b->setup.limits = *limits;
	b->setup.limits.maximum_bytes = MIN(limits->maximum_bytes, b->setup.ram_bytes);
	return 0;
}

void balance_report(struct balance *b, struct balance_report *out)
{
	struct virtio_balloon_report report;
	struct virtio_mem_report mem;

	virtio_balloon_report(b->setup.balloon, &report);
	*out = (struct balance_report){
		.assigned_bytes = b->setup.ram_bytes - report.held_bytes,
		.ram_bytes = b->setup.ram_bytes + b->setup.growth_bytes,
	};
	/* Before the driver is there the guest is meant to have what it starts with. */
	if (!report.has_driver)
		out->assigned_bytes = MIN(out->assigned_bytes, b->setup.startup_bytes);
	if (b->setup.mem) {
		virtio_mem_report(b->setup.mem, &mem);
		out->assigned_bytes += mem.plugged_bytes;
	}
	out->demand_bytes = b->demand_bytes ? b->demand_bytes : out->assigned_bytes;
}

/* --- its life --- */

int balance_create(struct balance **out, uv_loop_t *loop, const struct balance_setup *setup)
{
	struct balance *b = calloc(1, sizeof(*b));
	int ret = b ? uv_timer_init(loop, &b->timer) : -ENOMEM;

	if (ret) {
		free(b);
		return ret;
	}
	b->setup = *setup;
	b->setup.limits.maximum_bytes = MIN(setup->limits.maximum_bytes, setup->ram_bytes);
	*out = b;
	assign(b, setup->startup_bytes);
	if (setup->is_dynamic)
		ret = uv_timer_start(&b->timer, on_timer, setup->period_ms, setup->period_ms);
	return ret;
}

static void on_closed(uv_handle_t *handle)
{
	free(container_of(handle, struct balance, timer));
}

void balance_destroy(struct balance *b)
{
	if (b)
		uv_close((uv_handle_t *)&b->timer, on_closed);
}
