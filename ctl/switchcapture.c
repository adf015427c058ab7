/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start-VMSwitchCapture, Stop-VMSwitchCapture: frames as they come into a switch, those that are
 * dropped too, in a file for Wireshark and tcpdump. The switch's process writes it.
 */
#include "ctl/machine.h"
#include "ctl/nouns.h"
#include "ctl/path.h"
#include "ctl/shell.h"
#include "ctl/switchprocess.h"
#include "ctl/text.h"
#include "ctl/vmswitch.h"

#include <stdlib.h>

static int failed(struct call *call, const char *name, const char *text)
{
	return call_error(call, ERROR_FAILED, name, "The capture cannot be %s: %s.",
			  text_same(call->cmdlet->name, "Stop-VMSwitchCapture") ? "stopped"
										: "started",
			  text);
}

static int refuse_default(struct call *call, const char *name)
{
	return call_error(call, ERROR_STATE, name,
			  "The virtual switch \"%s\" is a network of its own for each virtual "
			  "machine: there is nothing in it to capture from. New-VMSwitch creates a "
			  "switch.",
			  name);
}

/* Runs fn for each switch that the arguments select. */
static int each_switch(struct call *call, int (*fn)(struct call *call, const json_t *definition))
{
	json_t *chosen = vmswitch_select(call), *definition;
	size_t i;

	json_array_foreach(chosen, i, definition)
	{
		if (call->stopped)
			break;
		if (vmswitch_is_default(definition))
			refuse_default(call, value_text_of(definition, "Name"));
		else
			fn(call, definition);
	}
	json_decref(chosen);
	return call->failed ? -1 : 0;
}

/* --- Start-VMSwitchCapture --- */

/* The Id of the one adapter on the switch that the arguments name; NULL after call_error. */
static const char *find_adapter(struct call *call, const json_t *machine, const char *switch_name)
{
	const char *wanted = call_string(call, "VMNetworkAdapterName"), *hit = NULL;
	json_t *adapter;
	unsigned count = 0;
	size_t i;

	json_array_foreach(json_object_get(machine, "NetworkAdapters"), i, adapter)
	{
		const char *to = value_text_of(adapter, "SwitchName");

		if (!to || !text_same(to, switch_name) ||
		    (wanted && !text_same(value_text_of(adapter, "Name"), wanted)))
			continue;
		hit = value_text_of(adapter, "Id");
		count++;
	}
	if (count == 1)
		return hit;
	call_error(call, ERROR_NOT_FOUND, switch_name,
		   count ? "The virtual machine \"%s\" has several such adapters on the virtual "
			   "switch \"%s\": -VMNetworkAdapterName says which."
			 : "The virtual machine \"%s\" has no such adapter on the virtual switch "
			   "\"%s\".",
		   value_text_of(machine, "Name"), switch_name);
	return NULL;
}

/* The port that alone is captured: *port is NULL for all of them. For free(). */
static int wanted_port(struct call *call, const char *switch_name, char **port)
{
	const char *name = call_string(call, "VMName"), *id;
	json_t *machine;

	*port = NULL;
	if (!name)
		return 0;
	machine = machine_find(call->shell->store, name);
	if (!machine)
		return call_error(call, ERROR_NOT_FOUND, name,
				  "Nidus was unable to find a virtual machine with name \"%s\".",
				  name);
	id = find_adapter(call, machine, switch_name);
	*port = id ? text_copy(id) : NULL;
	json_decref(machine);
	return id ? 0 : -1;
}

/* Before any VM runs, too: the switch then waits for one, as long as it does for each. */
static int start_one(struct call *call, const json_t *definition)
{
	const char *name = value_text_of(definition, "Name");
	struct store *store = call->shell->store;
	char *path = path_absolute(call_string(call, "Path")), *port;
	struct error err = { "" };
	int ret = wanted_port(call, name, &port);

	if (!ret && call_should(call, "capture the frames of the virtual switch \"%s\" in '%s'.",
				name, path)) {
		ret = switchprocess_start(store, definition, &err);
		if (!ret)
			ret = switchprocess_request(
				store, value_text_of(definition, "Id"), "start_capture",
				json_pack("{ss ss*}", "path", path, "port", port), NULL, &err);
		if (ret)
			failed(call, name, err.text);
	}
	free(port);
	free(path);
	return ret;
}

static int start_capture(struct call *call)
{
	return each_switch(call, start_one);
}

/* --- Stop-VMSwitchCapture --- */

static void emit_report(struct call *call, const char *name, const json_t *report)
{
	static const char *const copied[][2] = { { "Path", "path" },
						 { "Frames", "frames" },
						 { "Bytes", "bytes" } };
	const char *error = value_text_of(report, "error");
	json_t *object = value_object("VMSwitchCapture");

	json_object_set_new(object, "SwitchName", json_string(name));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		json_object_set(object, copied[i][0], json_object_get(report, copied[i][1]));
	call_emit(call, object);
	if (error)
		call_warn(call, "The capture ends early, because its file could not be written: %s",
			  error);
}

static int stop_one(struct call *call, const json_t *definition)
{
	const char *name = value_text_of(definition, "Name");
	struct error err = { "" };
	json_t *report = NULL;
	int ret;

	if (!call_should(call, "stop capturing the frames of the virtual switch \"%s\".", name))
		return 0;
	ret = switchprocess_request(call->shell->store, value_text_of(definition, "Id"),
				    "stop_capture", NULL, &report, &err);
	if (switchprocess_is_gone(ret))
		return failed(call, name, "the virtual switch does not run, and captures nothing");
	if (ret)
		return failed(call, name, err.text);
	emit_report(call, name, report);
	json_decref(report);
	return 0;
}

static int stop_capture(struct call *call)
{
	return each_switch(call, stop_one);
}

/* --- the table --- */

static const struct param start_params[] = {
	PARAM_NAME_SWITCH,
	PARAM_SWITCH_OBJECT,
	{ "Path", NULL, PARAM_STRING, .position = POSITION(1), .flags = REQUIRED },
	{ "VMName", NULL, PARAM_STRING },
	{ "VMNetworkAdapterName", NULL, PARAM_STRING },
	PARAM_END,
};

static const struct param stop_params[] = {
	PARAM_NAME_SWITCH,
	PARAM_SWITCH_OBJECT,
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Start-VMSwitchCapture", NULL, "Writes the frames of a virtual switch to a file.",
	  start_params, "Name SwitchObject", CMDLET_CHANGES | CMDLET_HOST, start_capture },
	{ "Stop-VMSwitchCapture", NULL, "Ends writing the frames of a virtual switch to a file.",
	  stop_params, "Name SwitchObject", CMDLET_CHANGES | CMDLET_HOST, stop_capture },
	{ NULL },
};

static const struct column columns[] = {
	{ "SwitchName" }, { "Frames" }, { "Bytes" }, { "Path" }, { NULL }
};

static const struct view views[] = { { "VMSwitchCapture", columns }, { NULL } };

const struct noun noun_switch_capture = { cmdlets, views };
