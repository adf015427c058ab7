/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VM can be asked over its control socket.
 *
 *   query              state (Running, Paused), uptime_ns, cpu_percent (of the host),
 *                      memory_bytes (that the guest has), memory_demand_bytes (that it needs),
 *                      memory_max_bytes (that it can have in this run), nested_active, pid,
 *                      agent (whether one listens in the guest)
 *   powerdown          presses the power button; the guest may take its time, or not listen
 *   pause, resume      stops and continues all vCPUs; nothing where that is so already
 *   reset              as the reset button does
 *   memory             bytes: what a guest with static memory is to have; or for dynamic memory
 *                      minimum, maximum (bytes), buffer (percent) and priority (0 to 100)
 *   processor          maximum (percent), weight: what it gets of the host's processors
 *   network            net: where an adapter's cable leads from now on, as --net has it; its id=
 *                      says which adapter
 *   quit               ends the run at once, with status 0
 */
#include "vm/requests.h"

#include "vm/options.h"
#include "vm/vm.h"

#include <unistd.h>

static void set_bytes(json_t *answer, const char *name, uint64_t bytes)
{
	json_object_set_new(answer, name, json_integer((json_int_t)bytes));
}

static int query(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct vm_report report;

	(void)arguments;
	(void)err;
	vm_report(self, &report);
	json_object_set_new(answer, "state", json_string(report.is_paused ? "Paused" : "Running"));
	json_object_set_new(answer, "uptime_ns", json_integer((json_int_t)report.uptime_ns));
	json_object_set_new(answer, "cpu_percent", json_integer(report.cpu_percent));
	set_bytes(answer, "memory_bytes", report.memory.assigned_bytes);
	set_bytes(answer, "memory_demand_bytes", report.memory.demand_bytes);
	set_bytes(answer, "memory_max_bytes", report.memory.ram_bytes);
	json_object_set_new(answer, "nested_active", json_boolean(report.nested_active));
	json_object_set_new(answer, "agent", json_boolean(report.has_agent));
	json_object_set_new(answer, "pid", json_integer(getpid()));
	return 0;
}

static int powerdown(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	(void)arguments;
	(void)answer;
	(void)err;
	vm_press_power_button(self);
	return 0;
}

static int do_pause(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	(void)arguments;
	(void)answer;
	(void)err;
	vm_pause(self);
	return 0;
}

static int do_resume(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	(void)arguments;
	(void)answer;
	(void)err;
	vm_resume(self);
	return 0;
}

static int reset(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	(void)arguments;
	(void)answer;
	(void)err;
	vm_reset(self);
	return 0;
}

static int quit(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	(void)arguments;
	(void)answer;
	(void)err;
	vm_quit(self);
	return 0;
}

/* A size or percentage: -EINVAL where it is missing or senseless. */
static int get_number(const json_t *arguments, const char *name, uint64_t *number,
		      struct error *err)
{
	const json_t *value = json_object_get(arguments, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return error_set(err, -EINVAL, "'%s' is no number", name);
	*number = (uint64_t)json_integer_value(value);
	return 0;
}

static int memory(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct balance_limits limits;
	uint64_t bytes, percent, priority;
	int ret;

	(void)answer;
	if (json_object_get(arguments, "bytes")) {
		ret = get_number(arguments, "bytes", &bytes, err);
		return ret ? ret : balance_resize(vm_balance(self), bytes, err);
	}
	ret = get_number(arguments, "minimum", &limits.minimum_bytes, err);
	if (!ret)
		ret = get_number(arguments, "maximum", &limits.maximum_bytes, err);
	if (!ret)
		ret = get_number(arguments, "buffer", &percent, err);
	if (!ret)
		ret = get_number(arguments, "priority", &priority, err);
	if (ret)
		return ret;
	limits.buffer_percent = (unsigned)MIN(percent, (uint64_t)CONFIG_BUFFER_MAX_PERCENT);
	limits.priority = (unsigned)MIN(priority, (uint64_t)BALANCE_PRIORITY_MAX);
	return balance_set_limits(vm_balance(self), &limits, err);
}

static int processor(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	uint64_t maximum, weight;
	int ret = get_number(arguments, "maximum", &maximum, err);

	(void)answer;
	if (!ret)
		ret = get_number(arguments, "weight", &weight, err);
	if (ret)
		return ret;
	return share_set(vm_share(self), (unsigned)MIN(maximum, (uint64_t)SHARE_MAXIMUM_DEFAULT),
			 (unsigned)MIN(MAX(weight, 1ull), (uint64_t)SHARE_WEIGHT_MAX), err);
}

static int network(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	const char *text = json_string_value(json_object_get(arguments, "net"));
	struct config_net net;
	int ret;

	(void)answer;
	if (!text)
		return error_set(err, -EINVAL, "'net' is no text");
	ret = options_parse_net(&net, text, err);
	return ret ? ret : vm_move_net(self, &net, err);
}

const struct control_request requests[] = {
	{ "query", query },      { "powerdown", powerdown }, { "pause", do_pause },
	{ "resume", do_resume }, { "reset", reset },         { "quit", quit },
	{ "memory", memory },    { "processor", processor }, { "network", network },
	{ NULL, NULL },
};
