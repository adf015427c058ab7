/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New-VM, Get-VM, Set-VM, Rename-VM, Remove-VM: definitions. Starting and stopping is in power.c.
 */
#include "ctl/vm.h"

#include "ctl/adapter.h"
#include "ctl/disk.h"
#include "ctl/vmmemory.h"
#include "ctl/nouns.h"
#include "ctl/port.h"
#include "ctl/path.h"
#include "ctl/processor.h"
#include "ctl/shell.h"
#include "ctl/text.h"
#include "ctl/version.h"
#include "ctl/vhd.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#define NAME_MAX_BYTES 100
#define DEFAULT_NAME   "New Virtual Machine"

/* --- the object --- */

/* Properties that the definition holds as they are shown. */
static void add_settings(json_t *object, const struct machine *machine)
{
	static const char *const copied[] = {
		"Generation",
		"Version",
		"Notes",
		"CreationTime",
		"Path",
		"AutomaticStartAction",
		"AutomaticStartDelay",
		"AutomaticStopAction",
		"AutomaticCriticalErrorAction",
		"AutomaticCriticalErrorActionTimeout",
		"AutomaticCheckpointsEnabled",
		"CheckpointType",
		"LockOnDisconnect",
		"SnapshotFileLocation",
		"SmartPagingFilePath",
		"ParentCheckpointId",
		"ParentCheckpointName",
	};

	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		json_t *value = json_object_get(machine->definition, copied[i]);

		json_object_set(object, copied[i], value ? value : json_null());
	}
}

static const char *memory_status(const struct process *process)
{
	if (!process->memory_bytes)
		return "";
	return process->memory_demand_bytes > process->memory_bytes ? "Low" : "OK";
}

static void add_memory(json_t *object, struct machine *machine)
{
	static const char *const renamed[][2] = { { "Startup", "MemoryStartup" },
						  { "Minimum", "MemoryMinimum" },
						  { "Maximum", "MemoryMaximum" },
						  { "DynamicMemoryEnabled",
						    "DynamicMemoryEnabled" } };
	const json_t *memory = machine_part(machine, "Memory");
	const struct process *process = &machine->process;

	json_object_set_new(object, "MemoryAssigned",
			    json_integer((json_int_t)process->memory_bytes));
	json_object_set_new(object, "MemoryDemand",
			    json_integer((json_int_t)process->memory_demand_bytes));
	json_object_set_new(object, "MemoryStatus", json_string(memory_status(process)));
	for (size_t i = 0; i < ARRAY_SIZE(renamed); i++) {
		json_t *value = json_object_get(memory, renamed[i][0]);

		json_object_set(object, renamed[i][1], value ? value : json_null());
	}
}

static json_t *status_of(const struct machine *machine)
{
	const char *reason = machine->process.reason;

	return *reason ? value_format("%c%s", toupper((unsigned char)*reason), reason + 1)
		       : json_string("Operating normally");
}

/* The VM's devices as they stand in the definition, under Hyper-V's names. */
static void add_devices(json_t *object, struct machine *machine)
{
	static const char *const lists[] = { "HardDrives", "DVDDrives" };
	const json_t *boot = machine_part(machine, "Boot");
	json_t *adapters = json_array(), *value;
	const char *name;
	size_t k;

	json_array_foreach(machine_list(machine, "NetworkAdapters"), k, value)
		json_array_append_new(adapters, adapter_object(machine, value));
	json_object_set_new(object, "NetworkAdapters", adapters);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		json_object_set(object, lists[i], machine_list(machine, lists[i]));
	json_object_foreach((json_t *)boot, name, value) json_object_set(object, name, value);
}

json_t *vm_object(struct machine *machine)
{
	json_t *object = value_object("VirtualMachine");
	const struct process *process = &machine->process;

	json_object_set_new(object, "Name", json_string(machine->name));
	json_object_set_new(object, "VMName", json_string(machine->name));
	json_object_set_new(object, "VMId", json_string(machine->id));
	json_object_set_new(object, "Id", json_string(machine->id));
	json_object_set_new(object, "State", json_string(machine_state(machine)));
	json_object_set_new(object, "CPUUsage", json_integer(process->cpu_percent));
	add_memory(object, machine);
	json_object_set_new(object, "Uptime", value_timespan_ns(process->uptime_ns));
	json_object_set_new(object, "Status", status_of(machine));
	json_object_set(object, "PrimaryStatusDescription", json_object_get(object, "Status"));
	json_object_set_new(object, "StatusDescriptions",
			    json_pack("[O]", json_object_get(object, "Status")));
	json_object_set_new(object, "OperationalStatus", json_pack("[s]", "Ok"));
	json_object_set_new(object, "NestedHypervisorActive", json_boolean(process->nested_active));
	json_object_set(object, "ProcessorCount",
			json_object_get(machine_part(machine, "Processor"), "Count"));
	add_settings(object, machine);
	add_devices(object, machine);
	json_object_set(object, "ConfigurationLocation", json_object_get(object, "Path"));
	json_object_set_new(object, "ReplicationState", json_string("Disabled"));
	json_object_set_new(object, "IsClustered", json_false());
	json_object_set_new(object, "ResourceMeteringEnabled", json_false());
	json_object_set_new(object, "ComputerName", machine_host());
	return object;
}

static int get_one(struct call *call, struct machine *machine)
{
	call_emit(call, vm_object(machine));
	return 0;
}

static int get_vm(struct call *call)
{
	return machine_each(call, NULL, get_one);
}

/* --- New-VM --- */

static json_t *now_text(void)
{
	char text[64];
	time_t now = time(NULL);
	struct tm local;

	localtime_r(&now, &local);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S%z", &local);
	return json_string(text);
}

static int check_name(struct call *call, const char *name)
{
	json_t *other;

	if (!*name || strlen(name) > NAME_MAX_BYTES)
		return call_error(call, ERROR_INVALID_PARAMETER, name,
				  "A virtual machine's name has 1 to %d bytes.", NAME_MAX_BYTES);
	for (const char *p = name; *p; p++) {
		if ((unsigned char)*p < ' ' || strchr("*?[", *p))
			return call_error(
				call, ERROR_INVALID_PARAMETER, name,
				"The name \"%s\" cannot be a virtual machine's: wildcards "
				"and control characters are not allowed.",
				name);
	}
	other = machine_find(call->shell->store, name);
	if (!other)
		return 0;
	json_decref(other);
	return call_error(call, ERROR_EXISTS, name,
			  "There is a virtual machine with the name \"%s\" already.", name);
}

static int check_version(struct call *call, const char *version)
{
	if (!version || version_is_supported(version))
		return 0;
	return call_error(call, ERROR_INVALID_PARAMETER, version,
			  "The configuration version %s is not supported here. "
			  "Get-VMHostSupportedVersion lists those that are.",
			  version);
}

static json_t *new_boot(struct call *call)
{
	static const char *const paths[] = { "KernelPath", "InitrdPath" };
	json_t *boot = json_object();
	const char *line = call_string(call, "KernelCommandLine");

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *given = call_string(call, paths[i]);
		char *path = given && *given ? path_absolute(given) : NULL;

		if (path)
			json_object_set_new(boot, paths[i], value_string(path));
		free(path);
	}
	if (line)
		json_object_set_new(boot, "KernelCommandLine", value_string(line));
	return boot;
}

static json_t *new_definition(struct call *call, const char *name, int64_t memory_bytes)
{
	const char *version = call_string(call, "Version");
	int64_t generation = call_int(call, "Generation", 1);
	json_t *definition = json_object();
	char id[STORE_ID_SIZE];

	store_make_id(id);
	json_object_set_new(definition, "Id", json_string(id));
	json_object_set_new(definition, "Name", value_string(name));
	json_object_set_new(definition, "Generation", json_integer(generation));
	json_object_set_new(definition, "Version",
			    json_string(version ? version : version_default()));
	json_object_set_new(definition, "CreationTime", now_text());
	json_object_set_new(definition, "Notes", json_string(""));
	json_object_set_new(definition, "Path", value_string(store_root(call->shell->store)));
	json_object_set_new(definition, "AutomaticStartAction", json_string("StartIfRunning"));
	json_object_set_new(definition, "AutomaticStartDelay", json_integer(0));
	json_object_set_new(definition, "AutomaticStopAction", json_string("Save"));
	json_object_set_new(definition, "AutomaticCheckpointsEnabled", json_false());
	json_object_set_new(definition, "CheckpointType", json_string("Production"));
	json_object_set_new(definition, "LockOnDisconnect", json_string("Off"));
	json_object_set_new(definition, "Processor", processor_create());
	json_object_set_new(definition, "Memory", vmmemory_create(memory_bytes));
	json_object_set_new(definition, "Boot", new_boot(call));
	json_object_set_new(
		definition, "NetworkAdapters",
		json_pack("[o]", adapter_create(call->shell->store, ADAPTER_DEFAULT_NAME)));
	json_object_set_new(definition, "HardDrives", json_array());
	json_object_set_new(definition, "DVDDrives", json_array());
	return definition;
}

/* The disk that the arguments ask for, made where it is to be new. */
static int add_disk(struct call *call, struct machine *machine)
{
	const char *fresh = call_string(call, "NewVHDPath");
	const char *given = fresh ? fresh : call_string(call, "VHDPath");
	char *path;
	int ret = 0;

	if (!given)
		return 0;
	path = path_absolute(given);
	if (fresh)
		ret = vhd_create(call, path, call_int(call, "NewVHDSizeBytes", 0));
	if (!ret)
		ret = disk_attach(call, machine, path);
	free(path);
	return ret;
}

/* Under the lock, or two commands could take the same name. */
static int create_locked(struct call *call, const char *name, int64_t memory_bytes)
{
	struct machine machine = { .process.state = PROCESS_OFF };
	struct error err = { "" };
	int ret = check_name(call, name);

	if (ret)
		return ret;
	machine.definition = new_definition(call, name, memory_bytes);
	machine.id = value_text_of(machine.definition, "Id");
	machine.name = value_text_of(machine.definition, "Name");
	ret = adapter_connect(call, json_array_get(machine_list(&machine, "NetworkAdapters"), 0),
			      call_string(call, "SwitchName"));
	if (!ret)
		ret = add_disk(call, &machine);
	if (!ret && store_put(call->shell->store, STORE_VMS, machine.id, machine.definition, &err))
		ret = call_error(call, ERROR_FAILED, name,
				 "The virtual machine \"%s\" cannot be created: %s", name,
				 err.text);
	if (!ret)
		call_emit(call, vm_object(&machine));
	json_decref(machine.definition);
	return ret;
}

static int new_vm(struct call *call)
{
	const char *name = call_string(call, "Name");
	int64_t memory = call_int(call, "MemoryStartupBytes", VMMEMORY_STARTUP_BYTES);
	struct error err = { "" };
	int ret;

	name = name ? name : DEFAULT_NAME;
	if (vmmemory_check_size(call, "MemoryStartupBytes", memory) ||
	    check_version(call, call_string(call, "Version")))
		return -1;
	if (!call_should(call, "create a new virtual machine \"%s\".", name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, name, "%s", err.text);
	ret = create_locked(call, name, memory);
	store_unlock(call->shell->store);
	return ret;
}

/* --- Set-VM, Rename-VM --- */

static int check_new_name(struct call *call, const struct machine *machine, const char *name)
{
	return text_same(machine->name, name) ? 0 : check_name(call, name);
}

static void set_name(struct machine *machine, const char *name)
{
	json_object_set_new(machine->definition, "Name", value_string(name));
	machine->name = value_text_of(machine->definition, "Name");
}

static json_t *memory_wish(const struct call *call)
{
	static const char *const pairs[] = { "MemoryStartupBytes",
					     "Startup",
					     "MemoryMinimumBytes",
					     "Minimum",
					     "MemoryMaximumBytes",
					     "Maximum",
					     NULL };
	json_t *wish = json_object();

	call_copy(call, wish, pairs);
	if (call_switch(call, "DynamicMemory") || call_switch(call, "StaticMemory"))
		json_object_set_new(wish, "DynamicMemoryEnabled",
				    json_boolean(call_switch(call, "DynamicMemory")));
	return wish;
}

/* The memory of a running VM changes at once, so it comes after all that may be refused. */
static int set_parts(struct call *call, struct machine *machine)
{
	const char *name = call_string(call, "NewVMName");
	json_t *wish = memory_wish(call);
	int ret = name ? check_new_name(call, machine, name) : 0;

	if (!ret && call_has(call, "ProcessorCount"))
		ret = processor_set_count(call, machine, call_int(call, "ProcessorCount", 1));
	if (!ret && json_object_size(wish))
		ret = vmmemory_change(call, machine, wish);
	if (!ret && name)
		set_name(machine, name);
	json_decref(wish);
	return ret;
}

/* What is kept and has less of an effect than its name says. */
static void warn_actions(struct call *call)
{
	const char *start = call_string(call, "AutomaticStartAction");
	const char *stop = call_string(call, "AutomaticStopAction");

	if (start && text_same(start, "StartIfRunning"))
		call_warn(call, "-AutomaticStartAction StartIfRunning is kept, but nothing "
				"remembers what ran: it is as Nothing.");
	if (start && text_same(start, "Start"))
		call_warn(call, "-AutomaticStartAction Start is done by 'nidus autostart', which "
				"the host must run when it is up: see nidus(1).");
	if (stop && !text_same(stop, "TurnOff"))
		call_warn(call, "-AutomaticStopAction is kept, but a virtual machine is turned off "
				"where the host ends its process.");
}

static int set_one(struct call *call, struct machine *machine)
{
	static const char *const copied[] = { "AutomaticCheckpointsEnabled",
					      "AutomaticCriticalErrorAction",
					      "AutomaticCriticalErrorActionTimeout",
					      "AutomaticStartAction",
					      "AutomaticStartDelay",
					      "AutomaticStopAction",
					      "CheckpointType",
					      "LockOnDisconnect",
					      "Notes",
					      "SnapshotFileLocation",
					      "SmartPagingFilePath" };
	static const char *const boot[] = { "KernelPath", "InitrdPath" };
	const char *pairs[] = { NULL, NULL, NULL };

	if (set_parts(call, machine))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		pairs[0] = pairs[1] = copied[i];
		call_copy(call, machine->definition, pairs);
	}
	for (size_t i = 0; i < ARRAY_SIZE(boot); i++) {
		const char *given = call_string(call, boot[i]);
		char *path = given && *given ? path_absolute(given) : NULL;

		if (path)
			json_object_set_new(machine_part(machine, "Boot"), boot[i],
					    value_string(path));
		else if (given)
			json_object_del(machine_part(machine, "Boot"), boot[i]);
		free(path);
	}
	pairs[0] = pairs[1] = "KernelCommandLine";
	call_copy(call, machine_part(machine, "Boot"), pairs);
	if (call_has(call, "AutomaticStartAction") || call_has(call, "AutomaticStopAction"))
		warn_actions(call);
	if (call_switch(call, "Passthru"))
		call_emit(call, vm_object(machine));
	return 0;
}

static int set_vm(struct call *call)
{
	if (call_switch(call, "DynamicMemory") && call_switch(call, "StaticMemory"))
		return call_error(call, ERROR_INVALID_PARAMETER, "",
				  "-DynamicMemory and -StaticMemory exclude each other.");
	return machine_change(call, NULL, "configure", set_one);
}

static int rename_one(struct call *call, struct machine *machine)
{
	const char *name = call_string(call, "NewName");

	if (check_new_name(call, machine, name))
		return -1;
	set_name(machine, name);
	if (call_switch(call, "Passthru"))
		call_emit(call, vm_object(machine));
	return 0;
}

static int rename_vm(struct call *call)
{
	return machine_change(call, NULL, "rename", rename_one);
}

/* --- Remove-VM --- */

static void leave_switches(struct store *store, struct machine *machine)
{
	json_t *adapter;
	size_t i;

	json_array_foreach(machine_list(machine, "NetworkAdapters"), i, adapter)
		port_forget(store, value_text_of(adapter, "SwitchName"), adapter);
}

static int remove_locked(struct call *call, struct machine *machine)
{
	struct error err = { "" };

	process_query(call->shell->store, machine->id, &machine->process);
	if (machine->process.state != PROCESS_OFF)
		return call_error(call, ERROR_STATE, machine->name,
				  "The virtual machine " MACHINE_TITLE
				  " cannot be removed while it is "
				  "%s. Stop it first.",
				  MACHINE_LABELS(machine), machine_state(machine));
	if (store_delete(call->shell->store, STORE_VMS, machine->id, &err))
		return call_error(call, ERROR_FAILED, machine->name, "%s", err.text);
	leave_switches(call->shell->store, machine);
	process_forget(call->shell->store, machine->id);
	if (call_switch(call, "Passthru"))
		call_emit(call, vm_object(machine));
	return 0;
}

static int remove_one(struct call *call, struct machine *machine)
{
	struct error err = { "" };
	int ret;

	if (!call_should(call, "remove the virtual machine \"%s\".", machine->name))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, machine->name, "%s", err.text);
	ret = remove_locked(call, machine);
	store_unlock(call->shell->store);
	return ret;
}

static int remove_vm(struct call *call)
{
	return machine_each(call, NULL, remove_one);
}

/* --- the table --- */

static const struct param new_params[] = {
	{ "Name", "VMName", PARAM_STRING, .position = POSITION(0), .flags = BY_VALUE | BY_NAME },
	{ "MemoryStartupBytes", NULL, PARAM_INT, .position = POSITION(1) },
	{ "Generation", NULL, PARAM_INT, .min = 1, .max = 2, .position = POSITION(2) },
	{ "InitrdPath", NULL, PARAM_STRING },
	{ "KernelCommandLine", NULL, PARAM_STRING },
	{ "KernelPath", NULL, PARAM_STRING },
	{ "NoVHD", NULL, PARAM_SWITCH, .sets = SET(0) },
	{ "NewVHDPath", NULL, PARAM_STRING, .sets = SET(1), .flags = REQUIRED },
	{ "NewVHDSizeBytes", NULL, PARAM_INT, .sets = SET(1), .flags = REQUIRED },
	{ "VHDPath", NULL, PARAM_STRING, .sets = SET(2), .flags = REQUIRED },
	{ "Force", NULL, PARAM_SWITCH },
	{ "SwitchName", NULL, PARAM_STRING },
	{ "Version", NULL, PARAM_STRING },
	PARAM_END,
};

static const struct param get_params[] = {
	{ "Name", "VMName", PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = MANY | BY_VALUE },
	{ "Id", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(1), .flags = BY_NAME },
	{ "VM", NULL, PARAM_OBJECT, "VirtualMachine", .sets = SET(2), .flags = MANY | BY_VALUE },
	PARAM_END,
};

static const struct param set_params[] = {
	PARAM_NAME_VMNAME,
	PARAM_VM,
	{ "AutomaticCheckpointsEnabled", NULL, PARAM_BOOL },
	{ "AutomaticCriticalErrorAction", NULL, PARAM_ENUM, "None|Pause" },
	{ "AutomaticCriticalErrorActionTimeout", NULL, PARAM_INT, .min = 0, .max = INT32_MAX },
	{ "AutomaticStartAction", NULL, PARAM_ENUM, "Nothing|StartIfRunning|Start" },
	{ "AutomaticStartDelay", NULL, PARAM_INT, .min = 0, .max = INT32_MAX },
	{ "AutomaticStopAction", NULL, PARAM_ENUM, "TurnOff|Save|ShutDown" },
	{ "CheckpointType", NULL, PARAM_ENUM, "Disabled|Production|ProductionOnly|Standard" },
	{ "DynamicMemory", NULL, PARAM_SWITCH },
	{ "InitrdPath", NULL, PARAM_STRING },
	{ "KernelCommandLine", NULL, PARAM_STRING },
	{ "KernelPath", NULL, PARAM_STRING },
	{ "LockOnDisconnect", NULL, PARAM_ENUM, "On|Off" },
	{ "MemoryMaximumBytes", NULL, PARAM_INT },
	{ "MemoryMinimumBytes", NULL, PARAM_INT },
	{ "MemoryStartupBytes", NULL, PARAM_INT },
	{ "NewVMName", NULL, PARAM_STRING },
	{ "Notes", NULL, PARAM_STRING },
	{ "ProcessorCount", NULL, PARAM_INT },
	{ "SmartPagingFilePath", NULL, PARAM_STRING },
	{ "SnapshotFileLocation", NULL, PARAM_STRING },
	{ "StaticMemory", NULL, PARAM_SWITCH },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param rename_params[] = {
	PARAM_NAME_VMNAME,
	PARAM_VM,
	{ "NewName", NULL, PARAM_STRING, .position = POSITION(1), .flags = REQUIRED },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param remove_params[] = {
	PARAM_NAME_VMNAME, PARAM_VM, { "Force", NULL, PARAM_SWITCH }, PARAM_PASSTHRU, PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "New-VM", "create", "Creates a virtual machine.", new_params, "NoVHD NewVHD ExistingVHD",
	  CMDLET_CHANGES | CMDLET_HOST, new_vm },
	{ "Get-VM", "ls", "Gets virtual machines.", get_params, "Name Id VMObject", CMDLET_HOST,
	  get_vm },
	{ "Set-VM", NULL, "Configures virtual machines.", set_params, "Name VMObject",
	  CMDLET_CHANGES | CMDLET_HOST, set_vm },
	{ "Rename-VM", NULL, "Renames a virtual machine.", rename_params, "Name VMObject",
	  CMDLET_CHANGES | CMDLET_HOST, rename_vm },
	{ "Remove-VM", "rm", "Deletes virtual machines; their disks stay.", remove_params,
	  "Name VMObject", CMDLET_CHANGES | CMDLET_ASKS | CMDLET_HOST, remove_vm },
	{ NULL },
};

static const struct column columns[] = {
	{ "Name" },
	{ "State" },
	{ "CPUUsage(%)", "CPUUsage" },
	{ "MemoryAssigned(M)", "MemoryAssigned", UNIT_MIB },
	{ "Uptime" },
	{ "Status" },
	{ "Version" },
	{ NULL },
};

static const struct view views[] = { { "VirtualMachine", columns }, { NULL } };

const struct noun noun_vm = { cmdlets, views };
