/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Get-VMMemory and Set-VMMemory: see ctl/vmmemory.h. */
#include "ctl/vmmemory.h"

#include "ctl/agent.h"
#include "ctl/host.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"

#include <unistd.h>

#define MEMORY_ALIGN_BYTES (2 * MIB)
#define MEMORY_MIN_BYTES   (32 * MIB)
#define MEMORY_MAX_BYTES   (1024 * 1024 * MIB) /* of the property Maximum, as Hyper-V has it */
#define REQUEST_MS         5000
#define AGENT_MS           2000
#define DEFAULT_BUFFER     20
#define DEFAULT_PRIORITY   50

json_t *vmmemory_create(int64_t startup_bytes)
{
	json_t *memory = json_object();

	json_object_set_new(memory, "DynamicMemoryEnabled", json_false());
	json_object_set_new(memory, "Minimum",
			    json_integer(MIN(startup_bytes, (int64_t)VMMEMORY_STARTUP_BYTES)));
	json_object_set_new(memory, "Startup", json_integer(startup_bytes));
	json_object_set_new(memory, "Maximum", json_integer(MEMORY_MAX_BYTES));
	json_object_set_new(memory, "Buffer", json_integer(DEFAULT_BUFFER));
	json_object_set_new(memory, "Priority", json_integer(DEFAULT_PRIORITY));
	return memory;
}

int vmmemory_check_size(struct call *call, const char *parameter, int64_t bytes)
{
	if (bytes % (int64_t)MEMORY_ALIGN_BYTES)
		return call_error(call, ERROR_INVALID_PARAMETER, parameter,
				  "Invalid memory: %lld bytes for -%s are not properly aligned. "
				  "Memory comes in multiples of 2 MB.",
				  (long long)bytes, parameter);
	if (bytes < (int64_t)MEMORY_MIN_BYTES || bytes > (int64_t)MEMORY_MAX_BYTES)
		return call_error(
			call, ERROR_INVALID_PARAMETER, parameter,
			"Invalid memory: %lld MB for -%s are out of range. A virtual machine "
			"has 32 MB to %lld MB.",
			(long long)(bytes / (int64_t)MIB), parameter,
			(long long)(MEMORY_MAX_BYTES / MIB));
	return 0;
}

static int64_t number(const json_t *memory, const char *name)
{
	return json_integer_value(json_object_get(memory, name));
}

static bool is_dynamic(const json_t *memory)
{
	return json_is_true(json_object_get(memory, "DynamicMemoryEnabled"));
}

static int check_order(struct call *call, const struct machine *machine, const json_t *memory)
{
	int64_t minimum = number(memory, "Minimum"), startup = number(memory, "Startup");
	int64_t maximum = number(memory, "Maximum");

	if (!is_dynamic(memory) || (minimum <= startup && startup <= maximum))
		return 0;
	return call_error(call, ERROR_INVALID_PARAMETER, machine->name,
			  "Failed to modify device 'Memory'.\nInvalid memory of " MACHINE_TITLE
			  ": the minimum (%lld MB) cannot be above the startup memory (%lld MB), "
			  "nor that above the maximum (%lld MB).",
			  MACHINE_LABELS(machine), (long long)(minimum / (int64_t)MIB),
			  (long long)(startup / (int64_t)MIB), (long long)(maximum / (int64_t)MIB));
}

static int check_sizes(struct call *call, const json_t *wish)
{
	static const char *const sizes[][2] = { { "Startup", "StartupBytes" },
						{ "Minimum", "MinimumBytes" },
						{ "Maximum", "MaximumBytes" } };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const json_t *value = json_object_get(wish, sizes[i][0]);

		if (value && vmmemory_check_size(call, sizes[i][1], json_integer_value(value)))
			return -1;
	}
	return 0;
}

/* --- while the VM runs --- */

static bool changes(const json_t *memory, const json_t *wish, const char *name)
{
	const json_t *value = json_object_get(wish, name);

	return value && !json_equal(value, json_object_get(memory, name));
}

/* Whether the process has to hear of it: the rest is for when the VM is off, or for dynamic memory.
 */
static bool changes_process(const json_t *memory, const json_t *wish)
{
	if (!is_dynamic(memory))
		return changes(memory, wish, "Startup");
	return changes(memory, wish, "Minimum") || changes(memory, wish, "Maximum") ||
	       changes(memory, wish, "Buffer") || changes(memory, wish, "Priority");
}

static int nested_error(struct call *call, const struct machine *machine, const char *why)
{
	return call_error(call, ERROR_STATE, machine->name,
			  "Failed to modify device 'Memory'.\nCannot change the memory of virtual "
			  "machine " MACHINE_TITLE " while %s. Turn the virtual machine off first.",
			  MACHINE_LABELS(machine), why);
}

/* What nested virtualization forbids. Every version that there is can do the rest. */
static int check_resize(struct call *call, struct machine *machine)
{
	const json_t *processor = machine_part(machine, "Processor");

	if (machine->process.nested_active)
		return nested_error(call, machine, "a hypervisor runs in it");
	if (host_is_preview(call->shell->store) &&
	    json_is_true(json_object_get(processor, "ExposeVirtualizationExtensions")))
		return nested_error(call, machine,
				    "it runs with nested virtualization on: so wants this host's "
				    "NestingPolicy, Preview");
	return 0;
}

/* What of the settings may change, and in which direction. */
static int check_running(struct call *call, struct machine *machine, const json_t *memory,
			 const json_t *wish)
{
	bool more = changes(memory, wish, "Minimum") &&
		    number(wish, "Minimum") > number(memory, "Minimum");
	bool less = changes(memory, wish, "Maximum") &&
		    number(wish, "Maximum") < number(memory, "Maximum");

	if (!machine_is_running(machine) || changes(memory, wish, "DynamicMemoryEnabled") ||
	    (is_dynamic(memory) && changes(memory, wish, "Startup")))
		return machine_state_error(call, machine, "Memory");
	if (!changes_process(memory, wish))
		return 0;
	if (check_resize(call, machine))
		return -1;
	if (!is_dynamic(memory) || (!more && !less))
		return 0;
	return call_error(call, ERROR_STATE, machine->name,
			  "Failed to modify device 'Memory'.\nWhile virtual machine " MACHINE_TITLE
			  " runs, its %s. Turn the virtual machine off first.",
			  MACHINE_LABELS(machine),
			  more ? "minimum memory can only be made less"
			       : "maximum memory can only be made more");
}

/*
 * Linux leaves memory that is plugged offline until somebody says what it is for, which the stock
 * kernels of some distributions leave to the operator. Movable: so it can be unplugged again. A
 * guest whose operator has decided is left alone. False: nobody answers in it.
 */
static bool prepare_guest(struct call *call, const struct machine *machine)
{
	static const char script[] = "cd /sys/devices/system/memory || exit 0\n"
				     "read policy <auto_online_blocks\n"
				     "[ \"$policy\" != offline ] || "
				     "echo online_movable >auto_online_blocks\n";
	struct agent_exec exec = { .out = NULL };
	struct error err = { "" };
	int fd = agent_open(call->shell->store, machine->id, AGENT_MS, &err), ret;

	if (fd < 0)
		return false;
	ret = agent_run(fd, script, NULL, REQUEST_MS, &exec, &err);
	agent_exec_free(&exec);
	close(fd);
	return !ret;
}

static int request_memory(struct call *call, struct machine *machine, const json_t *memory)
{
	json_t *arguments =
		is_dynamic(memory)
			? json_pack("{sIsIsIsI}", "minimum", number(memory, "Minimum"), "maximum",
				    number(memory, "Maximum"), "buffer", number(memory, "Buffer"),
				    "priority", number(memory, "Priority"))
			: json_pack("{sI}", "bytes", number(memory, "Startup"));
	json_t *request = json_pack("{ssso}", "execute", "memory", "arguments", arguments);
	struct error err = { "" };

	if (!process_request(call->shell->store, machine->id, request, REQUEST_MS, NULL, &err))
		return 0;
	return call_error(
		call, ERROR_STATE, machine->name,
		"Failed to modify device 'Memory'.\nThe memory of virtual machine " MACHINE_TITLE
		" cannot be changed: %s.",
		MACHINE_LABELS(machine), err.text);
}

static int tell_process(struct call *call, struct machine *machine, const json_t *memory)
{
	bool grows = !is_dynamic(memory) &&
		     number(memory, "Startup") > (int64_t)machine->process.memory_bytes;
	bool is_prepared = !grows || prepare_guest(call, machine);

	if (request_memory(call, machine, memory))
		return -1;
	if (!is_prepared)
		call_warn(
			call,
			"No guest agent answers in %s: what its kernel does with new memory is up "
			"to it (auto_online_blocks).",
			machine->name);
	return 0;
}

int vmmemory_change(struct call *call, struct machine *machine, const json_t *wish)
{
	json_t *memory = machine_part(machine, "Memory");
	bool runs = !machine_is_off(machine), tell = runs && changes_process(memory, wish);

	if (check_sizes(call, wish) || (runs && check_running(call, machine, memory, wish)))
		return -1;
	json_object_update(memory, (json_t *)wish);
	/* A static VM that shrinks below its old minimum takes that along. */
	if (!json_object_get(wish, "Minimum") &&
	    number(memory, "Minimum") > number(memory, "Startup"))
		json_object_set_new(memory, "Minimum", json_integer(number(memory, "Startup")));
	if (check_order(call, machine, memory))
		return -1;
	return tell ? tell_process(call, machine, memory) : 0;
}

static json_t *memory_object(struct machine *machine)
{
	json_t *object = machine_object(machine, "VMMemory");

	json_object_update(object, machine_part(machine, "Memory"));
	json_object_set_new(object, "ResourcePoolName", json_string("Primordial"));
	json_object_set_new(object, "Name", json_string("Memory"));
	return object;
}

static int get_one(struct call *call, struct machine *machine)
{
	call_emit(call, memory_object(machine));
	return 0;
}

static int get_memory(struct call *call)
{
	return machine_each(call, NULL, get_one);
}

static int set_one(struct call *call, struct machine *machine)
{
	static const char *const pairs[] = {
		"DynamicMemoryEnabled",
		"DynamicMemoryEnabled",
		"StartupBytes",
		"Startup",
		"MinimumBytes",
		"Minimum",
		"MaximumBytes",
		"Maximum",
		"Buffer",
		"Buffer",
		"Priority",
		"Priority",
		NULL,
	};
	json_t *wish = json_object();
	int ret;

	call_copy(call, wish, pairs);
	ret = vmmemory_change(call, machine, wish);
	json_decref(wish);
	if (!ret && call_switch(call, "Passthru"))
		call_emit(call, memory_object(machine));
	return ret;
}

static int set_memory(struct call *call)
{
	return machine_change(call, "VMMemory", "modify the memory of", set_one);
}

static const struct param get_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	PARAM_END,
};

static const struct param set_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	{ "VMMemory", NULL, PARAM_OBJECT, "VMMemory", .position = POSITION(0), .sets = SET(2),
	  .flags = REQUIRED | MANY | BY_VALUE },
	{ "Buffer", NULL, PARAM_INT, .min = 5, .max = 2000 },
	{ "DynamicMemoryEnabled", NULL, PARAM_BOOL },
	{ "MaximumBytes", NULL, PARAM_INT },
	{ "MinimumBytes", NULL, PARAM_INT },
	{ "Priority", NULL, PARAM_INT, .min = 0, .max = 100 },
	{ "StartupBytes", NULL, PARAM_INT },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-VMMemory", NULL, "Gets the memory of virtual machines.", get_params,
	  "VMName VMObject", CMDLET_HOST, get_memory },
	{ "Set-VMMemory", NULL, "Configures the memory of virtual machines.", set_params,
	  "VMName VMObject ResourceObject", CMDLET_CHANGES | CMDLET_HOST, set_memory },
	{ NULL },
};

static const struct column columns[] = {
	{ "VMName" },
	{ "DynamicMemoryEnabled" },
	{ "Minimum(M)", "Minimum", UNIT_MIB },
	{ "Startup(M)", "Startup", UNIT_MIB },
	{ "Maximum(M)", "Maximum", UNIT_MIB },
	{ NULL },
};

static const struct view views[] = { { "VMMemory", columns }, { NULL } };

const struct noun noun_memory = { cmdlets, views };
