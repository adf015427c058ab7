/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start-VM, Stop-VM, Restart-VM, Suspend-VM, Resume-VM: what happens to a VM's process.
 */
#define _GNU_SOURCE /* pidfd, struct ucred */
#include "ctl/agent.h"
#include "ctl/child.h"
#include "ctl/host.h"
#include "ctl/launch.h"
#include "ctl/nouns.h"
#include "ctl/port.h"
#include "ctl/shell.h"
#include "ctl/text.h"
#include "ctl/version.h"
#include "ctl/vm.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MS 10000
#define QUIT_MS    30000
#define AGENT_MS   1000 /* for an agent to show itself */
#define SHUTDOWN_S 300  /* as long as Hyper-V waits for a guest */

static int warn_state(struct call *call, const struct machine *machine)
{
	call_warn(call, "The virtual machine '%s' is already in the specified state.",
		  machine->name);
	return 0;
}

static int state_error(struct call *call, const struct machine *machine, const char *verb)
{
	return call_error(
		call, ERROR_STATE, machine->name,
		"Failed to %s the virtual machine.\nThe operation cannot be performed while "
		"the virtual machine " MACHINE_TITLE " is in its current state, which is %s.",
		verb, MACHINE_LABELS(machine), machine_state(machine));
}

static int emit(struct call *call, struct machine *machine)
{
	if (!call_switch(call, "Passthru"))
		return 0;
	process_query(call->shell->store, machine->id, &machine->process);
	call_emit(call, vm_object(machine));
	return 0;
}

/* A request without an answer; -1 after call_error. */
static int request(struct call *call, struct machine *machine, const char *name, const char *verb)
{
	struct error err = { "" };

	if (!process_request(call->shell->store, machine->id, json_pack("{ss}", "execute", name),
			     REQUEST_MS, NULL, &err))
		return 0;
	return call_error(call, ERROR_FAILED, machine->name,
			  "Failed to %s the virtual machine " MACHINE_TITLE ": %s.", verb,
			  MACHINE_LABELS(machine), err.text);
}

/* --- Start-VM --- */

/* What nested virtualization asks of the definition: seen here, not when it is switched on. */
static int check_nesting(struct call *call, struct machine *machine)
{
	const json_t *processor = machine_part(machine, "Processor");
	const char *vendor = value_text_of(processor, "Vendor");
	bool is_amd = vendor && text_same(vendor, "AMD");
	double needed = is_amd ? VERSION_NESTED_AMD : VERSION_NESTED;

	if (!json_is_true(json_object_get(processor, "ExposeVirtualizationExtensions")))
		return 0;
	if (!host_offers_nesting(call->shell->store))
		return call_error(
			call, ERROR_STATE, machine->name,
			"'%s' failed to start. (Virtual machine ID %s)\nNested virtualization is "
			"switched off on this host: its HypervisorLoadOptions have "
			"OFFERNESTEDVIRT=FALSE. Set-VMHost changes them.",
			MACHINE_LABELS(machine));
	if (host_is_preview(call->shell->store) &&
	    json_is_true(json_object_get(machine_part(machine, "Memory"), "DynamicMemoryEnabled")))
		return call_error(
			call, ERROR_STATE, machine->name,
			"'%s' failed to start. (Virtual machine ID %s)\nDynamic memory must be off "
			"where nested virtualization is on: so wants this host's NestingPolicy, "
			"Preview.",
			MACHINE_LABELS(machine));
	if (version_at_least(machine, needed))
		return 0;
	return call_error(
		call, ERROR_STATE, machine->name,
		"'%s' failed to start. (Virtual machine ID %s)\nNested virtualization%s needs "
		"configuration version %.1f or later; this virtual machine has %s. Run "
		"Update-VMVersion, or switch ExposeVirtualizationExtensions off.",
		MACHINE_LABELS(machine), is_amd ? " on an AMD processor" : "", needed,
		value_text_of(machine->definition, "Version"));
}

static int start_locked(struct call *call, struct machine *machine)
{
	struct error err = { "" };

	process_query(call->shell->store, machine->id, &machine->process);
	if (machine->process.state == PROCESS_PAUSED)
		return request(call, machine, "resume", "resume") ? -1 : emit(call, machine);
	if (machine->process.state != PROCESS_OFF)
		return warn_state(call, machine);
	if (check_nesting(call, machine) || port_prepare(call, machine))
		return -1;
	if (launch_start(call, machine, &err))
		return call_error(call, ERROR_FAILED, machine->name,
				  "'%s' failed to start. (Virtual machine ID %s)\n%s.",
				  MACHINE_LABELS(machine), err.text);
	return emit(call, machine);
}

static int with_lock(struct call *call, struct machine *machine,
		     int (*fn)(struct call *, struct machine *))
{
	struct error err = { "" };
	int lock = child_lock(call->shell->store, machine->id, &err), ret;

	if (lock < 0)
		return call_error(call, ERROR_FAILED, machine->name, "%s", err.text);
	ret = fn(call, machine);
	child_unlock(lock);
	return ret;
}

static int start_one(struct call *call, struct machine *machine)
{
	if (!call_should(call, "start the virtual machine \"%s\".", machine->name))
		return 0;
	return with_lock(call, machine, start_locked);
}

static int start_vm(struct call *call)
{
	return machine_each(call, NULL, start_one);
}

/* --- Stop-VM --- */

/* A descriptor that becomes readable when the process behind the connection has ended. */
static int watch_process(int connection)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return -errno;
	return (int)syscall(SYS_pidfd_open, peer.pid, 0);
}

/*
 * Asks over a connection of its own and waits for the process's end. 0, -ETIMEDOUT, or what went
 * wrong; a process that is gone already has done what it was asked for.
 */
static int ask_and_wait(struct store *store, const char *id, const char *name, int timeout_ms,
			struct error *err)
{
	int connection = process_connect(store, id, "control"), watch, ret = 0;
	json_t *line, *reply = NULL;
	struct pollfd wait;

	if (connection < 0)
		return 0;
	watch = watch_process(connection);
	wait = (struct pollfd){ watch, POLLIN, 0 };
	if (watch >= 0) {
		line = json_pack("{ss}", "execute", name);
		ret = process_exchange(connection, line, REQUEST_MS, &reply, err);
		ret = ret == -EPIPE ? 0 : ret; /* it ends before it answers */
		json_decref(line);
		json_decref(reply);
		if (!ret && poll(&wait, 1, timeout_ms) <= 0)
			ret = -ETIMEDOUT;
		close(watch);
	}
	close(connection);
	return ret;
}

static int turn_off(struct call *call, struct machine *machine)
{
	struct error err = { "" };

	if (!ask_and_wait(call->shell->store, machine->id, "quit", QUIT_MS, &err))
		return 0;
	return call_error(call, ERROR_FAILED, machine->name,
			  "Failed to turn off the virtual machine " MACHINE_TITLE ": %s.",
			  MACHINE_LABELS(machine),
			  *err.text ? err.text : "its process does not end");
}

/* As Hyper-V does: integration services where there are some, which is the guest agent here. */
static void ask_agent(struct call *call, const struct machine *machine)
{
	struct agent_exec exec = { .out = NULL };
	struct error err = { "" };
	int fd = agent_open(call->shell->store, machine->id, AGENT_MS, &err);

	if (fd < 0)
		return;
	agent_start(fd, "poweroff", NULL, NULL, &exec, &err);
	agent_exec_free(&exec);
	close(fd);
}

static int shut_down(struct call *call, struct machine *machine)
{
	int64_t seconds = call_int(call, "Timeout", SHUTDOWN_S);
	struct error err = { "" };
	int ret;

	/* A paused guest cannot shut down: it goes on first. */
	if (machine->process.state == PROCESS_PAUSED && request(call, machine, "resume", "resume"))
		return -1;
	if (seconds)
		ask_agent(call, machine);
	ret = ask_and_wait(call->shell->store, machine->id, "powerdown", (int)seconds * 1000, &err);
	if (!ret)
		return 0;
	if (call_switch(call, "Force"))
		return turn_off(call, machine);
	return call_error(
		call, ERROR_FAILED, machine->name,
		"Failed to shut down the virtual machine " MACHINE_TITLE ": %s Stop-VM "
		"-TurnOff ends it as if the power failed.",
		MACHINE_LABELS(machine),
		*err.text ? err.text
			  : "the guest does not react to the power button. The device is not "
			    "ready for use (0x800710DF).");
}

static int stop_locked(struct call *call, struct machine *machine)
{
	process_query(call->shell->store, machine->id, &machine->process);
	if (machine->process.state == PROCESS_OFF)
		return warn_state(call, machine);
	if (call_switch(call, "TurnOff") ? turn_off(call, machine) : shut_down(call, machine))
		return -1;
	return emit(call, machine);
}

static int stop_one(struct call *call, struct machine *machine)
{
	if (!call_should(call, "%s the virtual machine \"%s\".",
			 call_switch(call, "TurnOff") ? "turn off" : "shut down", machine->name))
		return 0;
	return with_lock(call, machine, stop_locked);
}

static int stop_vm(struct call *call)
{
	if (call_switch(call, "Save"))
		return call_error(call, ERROR_NOT_YET, "", "Stop-VM -Save is not available yet.");
	return machine_each(call, NULL, stop_one);
}

/* --- autostart: what is to run when the host is up --- */

struct autostart {
	struct timespec since;
	json_int_t delay_s, next_s; /* of the VMs that are started now; of the next ones, or -1 */
};

static json_int_t start_delay(const struct machine *machine)
{
	return json_integer_value(json_object_get(machine->definition, "AutomaticStartDelay"));
}

static int autostart_one(struct call *call, struct machine *machine)
{
	const char *action = value_text_of(machine->definition, "AutomaticStartAction");
	struct autostart *all = call->private;
	json_int_t delay = start_delay(machine);

	if (!action || !text_same(action, "Start") || delay < all->delay_s)
		return 0;
	if (delay == all->delay_s && machine->process.state == PROCESS_OFF)
		return with_lock(call, machine, start_locked);
	if (delay > all->delay_s && (all->next_s < 0 || delay < all->next_s))
		all->next_s = delay;
	return 0;
}

static int autostart(struct call *call)
{
	struct autostart all = { .next_s = 0 };

	clock_gettime(CLOCK_MONOTONIC, &all.since);
	call->private = &all;
	while (all.next_s >= 0 && !call->stopped) {
		struct timespec until = { all.since.tv_sec + all.next_s, all.since.tv_nsec };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		all.delay_s = all.next_s;
		all.next_s = -1;
		machine_each(call, NULL, autostart_one);
	}
	call->private = NULL;
	return call->failed ? -1 : 0;
}

/* --- Restart-VM, Suspend-VM, Resume-VM --- */

static int restart_one(struct call *call, struct machine *machine)
{
	if (machine->process.state == PROCESS_OFF)
		return state_error(call, machine, "restart");
	if (!call_should(call, "restart the virtual machine \"%s\".", machine->name))
		return 0;
	return request(call, machine, "reset", "restart") ? -1 : emit(call, machine);
}

static int restart_vm(struct call *call)
{
	return machine_each(call, NULL, restart_one);
}

static int suspend_one(struct call *call, struct machine *machine)
{
	if (machine->process.state == PROCESS_PAUSED)
		return warn_state(call, machine);
	if (machine->process.state == PROCESS_OFF)
		return state_error(call, machine, "suspend");
	if (!call_should(call, "suspend the virtual machine \"%s\".", machine->name))
		return 0;
	return request(call, machine, "pause", "suspend") ? -1 : emit(call, machine);
}

static int suspend_vm(struct call *call)
{
	return machine_each(call, NULL, suspend_one);
}

static int resume_one(struct call *call, struct machine *machine)
{
	if (machine->process.state == PROCESS_RUNNING)
		return warn_state(call, machine);
	if (machine->process.state == PROCESS_OFF)
		return state_error(call, machine, "resume");
	if (!call_should(call, "resume the virtual machine \"%s\".", machine->name))
		return 0;
	return request(call, machine, "resume", "resume") ? -1 : emit(call, machine);
}

static int resume_vm(struct call *call)
{
	return machine_each(call, NULL, resume_one);
}

/* --- the table --- */

#define PARAM_FORCE                         \
	{                                   \
		"Force", NULL, PARAM_SWITCH \
	}

static const struct param plain_params[] = { PARAM_NAME_VMNAME, PARAM_VM, PARAM_PASSTHRU,
					     PARAM_END };

static const struct param stop_params[] = {
	PARAM_NAME_VMNAME,
	PARAM_VM,
	PARAM_FORCE,
	PARAM_PASSTHRU,
	{ "Save", NULL, PARAM_SWITCH },
	{ "Timeout", "TimeoutSec", PARAM_INT, .min = 0, .max = 86400 },
	{ "TurnOff", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param restart_params[] = {
	PARAM_NAME_VMNAME, PARAM_VM, PARAM_FORCE, PARAM_PASSTHRU, PARAM_END,
};

static const struct param no_params[] = { PARAM_END };

#define CHANGES CMDLET_CHANGES | CMDLET_HOST

static const struct cmdlet cmdlets[] = {
	{ "Start-VM", "start", "Starts virtual machines.", plain_params, "Name VMObject", CHANGES,
	  start_vm },
	{ "Stop-VM", "stop", "Shuts virtual machines down, or turns them off.", stop_params,
	  "Name VMObject", CHANGES, stop_vm },
	{ "Restart-VM", NULL, "Resets virtual machines.", restart_params, "Name VMObject",
	  CHANGES | CMDLET_ASKS, restart_vm },
	{ "Suspend-VM", NULL, "Pauses virtual machines.", plain_params, "Name VMObject", CHANGES,
	  suspend_vm },
	{ "autostart", NULL, "Starts the virtual machines whose AutomaticStartAction is Start.",
	  no_params, NULL, CMDLET_HIDDEN, autostart },
	{ "Resume-VM", NULL, "Continues paused virtual machines.", plain_params, "Name VMObject",
	  CHANGES, resume_vm },
	{ NULL },
};

const struct noun noun_power = { cmdlets, NULL };
