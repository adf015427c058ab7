/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VMs for cmdlets: see ctl/machine.h. */
#include "ctl/machine.h"

#include "ctl/shell.h"
#include "ctl/text.h"

#include <stdlib.h>
#include <sys/utsname.h>

/* --- which VMs --- */

static void complain(void *self, const char *text)
{
	call_error(self, ERROR_FAILED, "", "Definitions of virtual machines are left out: %s",
		   text);
}

static void add_once(json_t *chosen, json_t *definition)
{
	json_t *known;
	size_t i;

	json_array_foreach(chosen, i, known)
	{
		if (known == definition)
			return;
	}
	json_array_append(chosen, definition);
}

static void add_by_name(struct call *call, const json_t *all, const char *name, json_t *chosen)
{
	bool is_pattern = value_is_pattern(name), hit = false;
	json_t *definition;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		const char *own = value_text_of(definition, "Name");

		if (!text_same(own, name) && !(is_pattern && value_like(own, name)))
			continue;
		add_once(chosen, definition);
		hit = true;
	}
	if (hit || is_pattern)
		return;
	json_decref(store_list(call->shell->store, STORE_VMS, complain, call));
	call_error(call,
		   text_same(call->name, "Get-VM") ? ERROR_INVALID_PARAMETER : ERROR_NOT_FOUND,
		   name, "Nidus was unable to find a virtual machine with name \"%s\".", name);
}

static void add_by_id(struct call *call, const json_t *all, const char *id, json_t *chosen)
{
	json_t *definition;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		if (text_same(value_text_of(definition, "Id"), id)) {
			add_once(chosen, definition);
			return;
		}
	}
	call_error(call, ERROR_NOT_FOUND, id,
		   "Nidus was unable to find a virtual machine with id \"%s\".", id);
}

/* An argument's texts, or the VMId of its objects. */
static void add_selected(struct call *call, const json_t *all, const json_t *argument, bool by_name,
			 json_t *chosen)
{
	json_t *list = value_array(argument), *element;
	size_t i;

	json_array_foreach(list, i, element)
	{
		const char *id = json_is_object(element) ? value_text_of(element, "VMId")
							 : json_string_value(element);

		if (json_is_object(element))
			add_by_id(call, all, id ? id : "", chosen);
		else if (by_name)
			add_by_name(call, all, id ? id : "", chosen);
		else
			add_by_id(call, all, id ? id : "", chosen);
	}
	json_decref(list);
}

/* The first selector that is given: beside -VMName, -Name means something else. */
static const json_t *find_selector(const struct call *call, const char *via, bool *by_name)
{
	static const struct {
		const char *name;
		bool by_name;
	} selectors[] = {
		{ "VMName", true }, { "VM", false },  { "VMId", false },
		{ "Id", false },    { "Name", true },
	};
	const json_t *argument = via ? call_value(call, via) : NULL;

	*by_name = false;
	for (size_t i = 0; i < ARRAY_SIZE(selectors) && !argument; i++) {
		argument = call_value(call, selectors[i].name);
		*by_name = selectors[i].by_name;
	}
	return argument;
}

/* The definitions that the arguments select. */
static json_t *select_all(struct call *call, const char *via)
{
	bool by_name;
	const json_t *argument = find_selector(call, via, &by_name);
	json_t *all = store_list(call->shell->store, STORE_VMS, argument ? NULL : complain, call);
	json_t *chosen;

	if (!argument)
		return all;
	chosen = json_array();
	add_selected(call, all, argument, by_name, chosen);
	json_decref(all);
	return chosen;
}

/* --- going through them --- */

/* Takes the reference of the definition. */
static void open_machine(struct call *call, json_t *definition, struct machine *machine)
{
	machine->definition = definition;
	machine->id = value_text_of(definition, "Id");
	machine->name = value_text_of(definition, "Name");
	process_query(call->shell->store, machine->id, &machine->process);
}

int machine_each(struct call *call, const char *via, int (*fn)(struct call *, struct machine *))
{
	json_t *chosen = select_all(call, via), *definition;
	size_t i;
	int ret = 0;

	json_array_foreach(chosen, i, definition)
	{
		struct machine machine;

		if (call->stopped)
			break;
		open_machine(call, json_incref(definition), &machine);
		if (fn(call, &machine))
			ret = -1;
		json_decref(machine.definition);
	}
	json_decref(chosen);
	return call->failed ? -1 : ret;
}

static void drop_output(struct call *call, size_t before)
{
	while (json_array_size(call->output) > before)
		json_array_remove(call->output, json_array_size(call->output) - 1);
}

/* Under the lock: what was read before it may be old. */
static int change_locked(struct call *call, const char *id,
			 int (*fn)(struct call *, struct machine *))
{
	size_t before = json_array_size(call->output);
	struct error err = { "" };
	json_t *now = store_get(call->shell->store, STORE_VMS, id, &err), *old;
	struct machine machine;
	int ret;

	if (!now)
		return call_error(call, ERROR_FAILED, id, "%s", err.text);
	open_machine(call, now, &machine);
	old = json_deep_copy(machine.definition);
	ret = fn(call, &machine);
	if (!ret && !json_equal(old, machine.definition) &&
	    store_put(call->shell->store, STORE_VMS, id, machine.definition, &err))
		ret = call_error(call, ERROR_FAILED, machine.name, "%s", err.text);
	if (ret)
		drop_output(call, before);
	json_decref(old);
	json_decref(machine.definition);
	return ret;
}

static int change_one(struct call *call, const json_t *seen, const char *action,
		      int (*fn)(struct call *, struct machine *))
{
	const char *name = value_text_of(seen, "Name");
	struct error err = { "" };
	int ret;

	if (!call_should(call, "%s the virtual machine \"%s\".", action, name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	ret = change_locked(call, value_text_of(seen, "Id"), fn);
	store_unlock(call->shell->store);
	return ret;
}

int machine_change(struct call *call, const char *via, const char *action,
		   int (*fn)(struct call *, struct machine *))
{
	json_t *chosen = select_all(call, via), *definition;
	size_t i;
	int ret = 0;

	json_array_foreach(chosen, i, definition)
	{
		if (call->stopped)
			break;
		if (change_one(call, definition, action, fn))
			ret = -1;
	}
	json_decref(chosen);
	return call->failed ? -1 : ret;
}

/* --- one VM --- */

static json_t *part(struct machine *machine, const char *name, json_t *fresh)
{
	json_t *value = json_object_get(machine->definition, name);

	if (value && json_typeof(value) == json_typeof(fresh)) {
		json_decref(fresh);
		return value;
	}
	json_object_set_new(machine->definition, name, fresh);
	return fresh;
}

json_t *machine_part(struct machine *machine, const char *name)
{
	return part(machine, name, json_object());
}

json_t *machine_list(struct machine *machine, const char *name)
{
	return part(machine, name, json_array());
}

bool machine_is_off(const struct machine *machine)
{
	return machine->process.state == PROCESS_OFF &&
	       !json_object_get(machine->definition, "SavedState");
}

bool machine_is_running(const struct machine *machine)
{
	return machine->process.state == PROCESS_RUNNING;
}

const char *machine_state(const struct machine *machine)
{
	if (machine->process.state == PROCESS_OFF &&
	    json_object_get(machine->definition, "SavedState"))
		return "Saved";
	return process_state_name(machine->process.state);
}

int machine_state_error(struct call *call, const struct machine *machine, const char *device)
{
	return call_error(call, ERROR_STATE, machine->name,
			  "Failed to modify device '%s'.\nCannot modify the device '%s' of virtual "
			  "machine " MACHINE_TITLE " in its current state, which is %s. Turn the "
			  "virtual machine off first.",
			  device, device, MACHINE_LABELS(machine), machine_state(machine));
}

json_t *machine_object(const struct machine *machine, const char *type)
{
	json_t *object = value_object(type);

	json_object_set_new(object, "VMName", json_string(machine->name));
	json_object_set_new(object, "VMId", json_string(machine->id));
	json_object_set_new(object, "ComputerName", machine_host());
	return object;
}

json_t *machine_find(struct store *store, const char *name)
{
	json_t *all = store_list(store, STORE_VMS, NULL, NULL), *definition, *hit = NULL;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		if (text_same(value_text_of(definition, "Name"), name)) {
			hit = json_incref(definition);
			break;
		}
	}
	json_decref(all);
	return hit;
}

json_t *machine_host(void)
{
	struct utsname uts;

	return value_string(uname(&uts) ? "localhost" : uts.nodename);
}

bool machine_is_host(const char *name)
{
	json_t *host = machine_host();
	bool same = !strcmp(name, ".") || text_same(name, "localhost") ||
		    text_same(name, json_string_value(host));

	json_decref(host);
	return same;
}
