/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Get-VMProcessor and Set-VMProcessor. What a processor can do is settled while the VM is off; how
 * much of the host it gets may change at any time. -Vendor and -Engine are ours.
 */
#include "ctl/processor.h"

#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/version.h"

#include <unistd.h>

#define COUNT_MAX           64
#define PERFMON_MIN_VERSION 9.3
#define DEFAULT_WEIGHT      100
#define REQUEST_MS          5000

json_t *processor_create(void)
{
	return json_pack("{s:i s:b s:b s:i s:b s:i s:i s:i s:i s:i s:b s:s s:s s:[]}", "Count", 1,
			 "CompatibilityForMigrationEnabled", 0,
			 "CompatibilityForOlderOperatingSystemsEnabled", 0, "HwThreadCountPerCore",
			 0, "ExposeVirtualizationExtensions", 0, "Maximum", 100, "Reserve", 0,
			 "RelativeWeight", DEFAULT_WEIGHT, "MaximumCountPerNumaNode", COUNT_MAX,
			 "MaximumCountPerNumaSocket", 1, "EnableHostResourceProtection", 0,
			 "Vendor", "Auto", "Engine", "Auto", "Perfmon");
}

/* In the order of Hyper-V's own lists. */
static json_t *processor_object(struct machine *machine)
{
	static const char *const copied[] = {
		"Count",
		"CompatibilityForMigrationEnabled",
		"CompatibilityForMigrationMode",
		"CompatibilityForOlderOperatingSystemsEnabled",
		"HwThreadCountPerCore",
		"ExposeVirtualizationExtensions",
		"Perfmon",
		"Maximum",
		"Reserve",
		"RelativeWeight",
		"MaximumCountPerNumaNode",
		"MaximumCountPerNumaSocket",
		"EnableHostResourceProtection",
		"Vendor",
		"Engine",
	};
	json_t *processor = machine_part(machine, "Processor"), *object, *value;

	object = value_object("VMProcessor");
	json_object_set_new(object, "ResourcePoolName", json_string("Primordial"));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		value = json_object_get(processor, copied[i]);
		if (value)
			json_object_set(object, copied[i], value);
	}
	json_object_set_new(object, "OperationalStatus", json_pack("[s]", "Ok"));
	json_object_set_new(object, "Name", json_string("Processor"));
	json_object_set_new(object, "Id", value_format("%s\\Processor", machine->id));
	value = machine_object(machine, "");
	json_object_del(value, VALUE_TYPE);
	json_object_update(object, value);
	json_decref(value);
	return object;
}

static int get_one(struct call *call, struct machine *machine)
{
	call_emit(call, processor_object(machine));
	return 0;
}

static int get_processor(struct call *call)
{
	return machine_each(call, NULL, get_one);
}

/* --- Set-VMProcessor --- */

/* What needs the VM off, each with the member of its name. */
static const char *const while_off[] = {
	"Count",
	"CompatibilityForMigrationEnabled",
	"CompatibilityForMigrationMode",
	"CompatibilityForOlderOperatingSystemsEnabled",
	"HwThreadCountPerCore",
	"ExposeVirtualizationExtensions",
	"EnableHostResourceProtection",
	"MaximumCountPerNumaNode",
	"MaximumCountPerNumaSocket",
	"ResourcePoolName",
	"Perfmon",
	"Vendor",
	"Engine",
};

static const char *const any_time[] = { "Maximum", "Reserve", "RelativeWeight" };

static bool is_given(const json_t *list, const char *word)
{
	json_t *element;
	size_t i;

	json_array_foreach(list, i, element)
	{
		if (!strcmp(json_string_value(element), word))
			return true;
	}
	return false;
}

static int check_perfmon(struct call *call, const struct machine *machine, const json_t *processor)
{
	const json_t *perfmon = json_object_get(processor, "Perfmon");

	if (!json_array_size(perfmon))
		return 0;
	if ((is_given(perfmon, "pebs") || is_given(perfmon, "ipt")) && !is_given(perfmon, "pmu"))
		return call_error(
			call, ERROR_INVALID_PARAMETER, "Perfmon",
			"Failed to modify device 'Processor'.\nThe performance monitoring "
			"features 'pebs' and 'ipt' need 'pmu'.");
	if (!version_at_least(machine, PERFMON_MIN_VERSION) &&
	    json_is_true(json_object_get(processor, "ExposeVirtualizationExtensions")))
		return call_error(
			call, ERROR_STATE, machine->name,
			"Failed to modify device 'Processor'.\nPerformance monitoring beside "
			"nested virtualization needs configuration version 9.3; " MACHINE_TITLE
			" has %s. Use Update-VMVersion first.",
			MACHINE_LABELS(machine),
			json_string_value(json_object_get(machine->definition, "Version")));
	return 0;
}

/* What of the settings has no effect here, or may have none. */
static void warn_effect(struct call *call)
{
	if (call_int(call, "Reserve", 0))
		call_warn(call, "-Reserve is kept, but has no effect: Linux reserves no processor "
				"time. -RelativeWeight decides where the host is busy.");
	if (call_int(call, "RelativeWeight", DEFAULT_WEIGHT) > DEFAULT_WEIGHT && geteuid())
		call_warn(call,
			  "A -RelativeWeight above %d has an effect only where this user may "
			  "raise priorities (RLIMIT_NICE).",
			  DEFAULT_WEIGHT);
}

/* A process that runs hears of its share at once. */
static int tell_process(struct call *call, struct machine *machine, const json_t *processor)
{
	json_int_t maximum = json_integer_value(json_object_get(processor, "Maximum"));
	json_int_t weight = json_integer_value(json_object_get(processor, "RelativeWeight"));
	json_t *request = json_pack("{sss{sIsI}}", "execute", "processor", "arguments", "maximum",
				    maximum, "weight", weight);
	struct error err = { "" };

	if (!process_request(call->shell->store, machine->id, request, REQUEST_MS, NULL, &err))
		return 0;
	return call_error(call, ERROR_STATE, machine->name,
			  "Failed to modify device 'Processor'.\nThe share of virtual machine "
			  "" MACHINE_TITLE " cannot be changed: %s.",
			  MACHINE_LABELS(machine), err.text);
}

static int set_one(struct call *call, struct machine *machine)
{
	json_t *processor = machine_part(machine, "Processor");

	for (size_t i = 0; i < ARRAY_SIZE(while_off); i++) {
		json_t *value = call_value(call, while_off[i]);

		if (value && !machine_is_off(machine))
			return machine_state_error(call, machine, "Processor");
		if (value)
			json_object_set(processor, while_off[i], value);
	}
	for (size_t i = 0; i < ARRAY_SIZE(any_time); i++) {
		json_t *value = call_value(call, any_time[i]);

		if (value)
			json_object_set(processor, any_time[i], value);
	}
	if (check_perfmon(call, machine, processor))
		return -1;
	if ((call_has(call, "Maximum") || call_has(call, "RelativeWeight")) &&
	    machine->process.state != PROCESS_OFF && tell_process(call, machine, processor))
		return -1;
	warn_effect(call);
	if (call_switch(call, "Passthru"))
		call_emit(call, processor_object(machine));
	return 0;
}

static int set_processor(struct call *call)
{
	return machine_change(call, "VMProcessor", "configure the processor of", set_one);
}

int processor_set_count(struct call *call, struct machine *machine, int64_t count)
{
	if (count < 1 || count > COUNT_MAX)
		return call_error(
			call, ERROR_INVALID_PARAMETER, "ProcessorCount",
			"Failed to modify device 'Processor'.\nA virtual machine has 1 to %d "
			"processors, not %lld.",
			COUNT_MAX, (long long)count);
	if (!machine_is_off(machine))
		return machine_state_error(call, machine, "Processor");
	json_object_set_new(machine_part(machine, "Processor"), "Count", json_integer(count));
	return 0;
}

static const struct param get_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	PARAM_END,
};

static const struct param set_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	{ "VMProcessor", NULL, PARAM_OBJECT, "VMProcessor", .position = POSITION(0), .sets = SET(2),
	  .flags = REQUIRED | MANY | BY_VALUE },
	{ "CompatibilityForMigrationEnabled", NULL, PARAM_BOOL },
	{ "CompatibilityForMigrationMode", NULL, PARAM_ENUM,
	  "MinimumFeatureSet|CommonClusterFeatureSet" },
	{ "CompatibilityForOlderOperatingSystemsEnabled", NULL, PARAM_BOOL },
	{ "Count", NULL, PARAM_INT, .min = 1, .max = COUNT_MAX },
	{ "EnableHostResourceProtection", NULL, PARAM_BOOL },
	{ "Engine", NULL, PARAM_ENUM, "Auto|Kvm|Soft" },
	{ "ExposeVirtualizationExtensions", NULL, PARAM_BOOL },
	{ "HwThreadCountPerCore", NULL, PARAM_INT, .min = 0, .max = 2 },
	{ "Maximum", NULL, PARAM_INT, .min = 1, .max = 100 },
	{ "MaximumCountPerNumaNode", NULL, PARAM_INT, .min = 1, .max = COUNT_MAX },
	{ "MaximumCountPerNumaSocket", NULL, PARAM_INT, .min = 1, .max = COUNT_MAX },
	{ "Perfmon", NULL, PARAM_ENUM, "pmu|lbr|pebs|ipt", .flags = MANY },
	{ "RelativeWeight", NULL, PARAM_INT, .min = 1, .max = 10000 },
	{ "Reserve", NULL, PARAM_INT, .min = 0, .max = 100 },
	{ "ResourcePoolName", NULL, PARAM_STRING },
	{ "Vendor", NULL, PARAM_ENUM, "Auto|Intel|AMD" },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-VMProcessor", NULL, "Gets the processor of virtual machines.", get_params,
	  "VMName VMObject", CMDLET_HOST, get_processor },
	{ "Set-VMProcessor", NULL, "Configures the processor of virtual machines.", set_params,
	  "VMName VMObject VMProcessor", CMDLET_CHANGES | CMDLET_HOST, set_processor },
	{ NULL },
};

static const struct column columns[] = {
	{ "VMName" },
	{ "Count" },
	{ "CompatibilityForMigrationEnabled" },
	{ "CompatibilityForOlderOperatingSystemsEnabled" },
	{ NULL },
};

static const struct view views[] = { { "VMProcessor", columns }, { NULL } };

const struct noun noun_processor = { cmdlets, views };
