/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Get-VMHostSupportedVersion and Update-VMVersion: see ctl/version.h. */
#include "ctl/version.h"

#include "ctl/nouns.h"
#include "ctl/text.h"
#include "ctl/vm.h"

/* The systems whose hosts made these versions; the last is what new VMs get. */
static const struct {
	const char *name, *version;
} versions[] = {
	{ "Microsoft Windows 10 1511/Server 2016 Technical Preview 4", "7.0" },
	{ "Microsoft Windows 10 Anniversary Update/Server 2016", "8.0" },
	{ "Microsoft Windows 10 1809/Server 2019", "9.0" },
	{ "Microsoft Windows 10 2004", "9.2" },
	{ "Microsoft Windows 11 21H2/Server 2022", "9.3" },
	{ "Microsoft Windows 11 21H2/Server 2022", "10.0" },
	{ "Microsoft Windows 11 22H2", "11.0" },
	{ "Microsoft Windows 11 24H2/Server 2025", "12.0" },
};

const char *version_default(void)
{
	return versions[ARRAY_SIZE(versions) - 1].version;
}

bool version_is_supported(const char *version)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		if (!strcmp(versions[i].version, version))
			return true;
	}
	return false;
}

bool version_at_least(const struct machine *machine, double version)
{
	json_t *number;
	bool is = value_number(json_object_get(machine->definition, "Version"), &number) &&
		  json_number_value(number) >= version;

	json_decref(number);
	return is;
}

static int get_versions(struct call *call)
{
	size_t last = ARRAY_SIZE(versions) - 1;

	for (size_t i = call_switch(call, "Default") ? last : 0; i <= last; i++) {
		json_t *object = value_object("VMHostSupportedVersion");

		json_object_set_new(object, "Name", json_string(versions[i].name));
		json_object_set_new(object, "Version", json_string(versions[i].version));
		json_object_set_new(object, "IsDefault", json_boolean(i == last));
		call_emit(call, object);
	}
	return 0;
}

static int update_one(struct call *call, struct machine *machine)
{
	if (!machine_is_off(machine))
		return machine_state_error(call, machine, "Configuration version");
	json_object_set_new(machine->definition, "Version", json_string(version_default()));
	if (call_switch(call, "Passthru"))
		call_emit(call, vm_object(machine));
	return 0;
}

static int update_version(struct call *call)
{
	return machine_change(call, NULL, "upgrade, for good, the configuration version of",
			      update_one);
}

static const struct param get_params[] = {
	{ "Default", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param update_params[] = {
	PARAM_NAME_VMNAME, PARAM_VM, { "Force", NULL, PARAM_SWITCH }, PARAM_PASSTHRU, PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-VMHostSupportedVersion", NULL,
	  "Gets the configuration versions of virtual machines.", get_params, NULL, CMDLET_HOST,
	  get_versions },
	{ "Update-VMVersion", "Update-VMConfigurationVersion",
	  "Upgrades virtual machines to this host's version.", update_params, "Name VMObject",
	  CMDLET_CHANGES | CMDLET_ASKS | CMDLET_HOST, update_version },
	{ NULL },
};

static const struct column columns[] = { { "Name" }, { "Version" }, { "IsDefault" }, { NULL } };

static const struct view views[] = { { "VMHostSupportedVersion", columns }, { NULL } };

const struct noun noun_version = { cmdlets, views };
