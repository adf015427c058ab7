/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions of virtual switches: see ctl/vmswitch.h. */
#include "ctl/vmswitch.h"

#include "ctl/machine.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <stdlib.h>

#define DEFAULT_ID "c08cb7b8-9b3c-408e-8e30-5e16a3aeb444"

/* --- finding --- */

static json_t *default_switch(void)
{
	return json_pack("{ssssssssss}", "Id", DEFAULT_ID, "Name", VMSWITCH_DEFAULT, "SwitchType",
			 "Internal", "Notes",
			 "A network of its own for each virtual machine, with DHCP and a way out.",
			 "NetAdapterInterfaceDescription", "");
}

static void complain(void *self, const char *text)
{
	call_error(self, ERROR_FAILED, "", "Definitions of virtual switches are left out: %s",
		   text);
}

json_t *vmswitch_find(struct store *store, const char *name)
{
	json_t *all = store_list(store, STORE_SWITCHES, NULL, NULL), *definition, *hit = NULL;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		if (!hit && text_same(value_text_of(definition, "Name"), name))
			hit = json_incref(definition);
	}
	json_decref(all);
	return hit;
}

char *vmswitch_spelling(struct store *store, const char *name)
{
	json_t *definition = vmswitch_find(store, name);
	char *spelling = NULL;

	if (definition)
		spelling = text_copy(value_text_of(definition, "Name"));
	else if (text_same(name, VMSWITCH_DEFAULT))
		spelling = text_copy(VMSWITCH_DEFAULT);
	json_decref(definition);
	return spelling;
}

bool vmswitch_exists(struct store *store, const char *name)
{
	char *spelling = vmswitch_spelling(store, name);

	free(spelling);
	return spelling != NULL;
}

bool vmswitch_has_host_adapter(const json_t *definition)
{
	const char *type = value_text_of(definition, "SwitchType");

	return type && (text_same(type, "Internal") ||
			(text_same(type, "External") &&
			 json_is_true(json_object_get(definition, "AllowManagementOS"))));
}

/* --- objects --- */

json_t *vmswitch_object(const json_t *definition)
{
	static const char *const copied[] = {
		"Name",           "Id",    "SwitchType",        "NetAdapterInterfaceDescription",
		"NetAdapterName", "Notes", "AllowManagementOS", "BandwidthReservationMode",
	};
	json_t *object = value_object("VMSwitch");

	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		json_t *value = json_object_get(definition, copied[i]);

		if (value)
			json_object_set(object, copied[i], value);
	}
	json_object_set_new(object, "ComputerName", machine_host());
	return object;
}

/* --- which switches --- */

/* The definitions that the arguments select. Names that fit nothing are errors. */
json_t *vmswitch_select(struct call *call)
{
	json_t *all = store_list(call->shell->store, STORE_SWITCHES, complain, call);
	json_t *wanted = call_value(call, "VMSwitch"), *names, *name, *definition;
	json_t *chosen = json_array();
	size_t i, k;

	json_array_insert_new(all, 0, default_switch());
	names = value_array(wanted                   ? wanted
			    : call_has(call, "Name") ? call_value(call, "Name")
						     : json_null());
	if (!wanted && !call_has(call, "Name")) {
		json_decref(names);
		json_decref(chosen);
		return all;
	}
	json_array_foreach(names, i, name)
	{
		const char *text =
			json_is_object(name) ? value_text_of(name, "Id") : json_string_value(name);
		bool hit = false;

		json_array_foreach(all, k, definition)
		{
			const char *own =
				value_text_of(definition, json_is_object(name) ? "Id" : "Name");

			if (!text || (!text_same(own, text) && !value_like(own, text)))
				continue;
			json_array_append(chosen, definition);
			hit = true;
		}
		if (!hit && text && !value_is_pattern(text))
			call_error(call, ERROR_NOT_FOUND, text,
				   "Nidus was unable to find a virtual switch with name \"%s\".",
				   text);
	}
	json_decref(names);
	json_decref(all);
	return chosen;
}

bool vmswitch_is_default(const json_t *definition)
{
	return !strcmp(value_text_of(definition, "Id"), DEFAULT_ID);
}
