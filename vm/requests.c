/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VM can be asked over its control socket.
 *
 *   query              state (Running, Paused), uptime_ns, cpu_percent (of the host),
 *                      memory_bytes, nested_active, pid
 *   powerdown          presses the power button; the guest may take its time, or not listen
 *   pause, resume      stops and continues all vCPUs; nothing where that is so already
 *   reset              as the reset button does
 *   quit               ends the run at once, with status 0
 */
#include "vm/requests.h"

#include "vm/vm.h"

#include <unistd.h>

static int query(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct vm_report report;

	(void)arguments;
	(void)err;
	vm_report(self, &report);
	json_object_set_new(answer, "state", json_string(report.is_paused ? "Paused" : "Running"));
	json_object_set_new(answer, "uptime_ns", json_integer((json_int_t)report.uptime_ns));
	json_object_set_new(answer, "cpu_percent", json_integer(report.cpu_percent));
	json_object_set_new(answer, "memory_bytes", json_integer((json_int_t)report.memory_bytes));
	json_object_set_new(answer, "nested_active", json_boolean(report.nested_active));
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

const struct control_request requests[] = {
	{ "query", query },      { "powerdown", powerdown }, { "pause", do_pause },
	{ "resume", do_resume }, { "reset", reset },         { "quit", quit },
	{ NULL, NULL },
};
