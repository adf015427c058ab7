/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A definition becomes a process: see ctl/launch.h. */
#include "ctl/launch.h"

#include "ctl/child.h"
#include "ctl/port.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <stdlib.h>

#define ARGS_MAX 256

/* --- the command line --- */

struct command_line {
	char *arg[ARGS_MAX + 1]; /* ends with NULL */
	size_t count;
};

static void add(struct command_line *line, const char *option, char *value)
{
	if (line->count + 2 > ARGS_MAX) {
		free(value);
		return;
	}
	line->arg[line->count++] = text_copy(option);
	if (value)
		line->arg[line->count++] = value;
}

static void free_line(struct command_line *line)
{
	for (size_t i = 0; i < line->count; i++)
		free(line->arg[i]);
}

/* A word of a definition in lower case, as options have them. */
static char *lower(const json_t *value, const char *otherwise)
{
	return text_lower(json_is_string(value) ? json_string_value(value) : otherwise);
}

static void add_number(struct command_line *line, const char *option, const json_t *settings,
		       const char *name)
{
	add(line, option,
	    text_format("%lld", (long long)json_integer_value(json_object_get(settings, name))));
}

static void add_processor(struct command_line *line, struct machine *machine)
{
	const json_t *processor = machine_part(machine, "Processor");
	const char *vendor = value_text_of(processor, "Vendor");
	long long count = json_integer_value(json_object_get(processor, "Count"));
	bool nested = json_is_true(json_object_get(processor, "ExposeVirtualizationExtensions"));

	add(line, "--engine", lower(json_object_get(processor, "Engine"), "auto"));
	if (vendor && !text_same(vendor, "Auto"))
		add(line, "--cpu", lower(json_object_get(processor, "Vendor"), ""));
	add(line, "--cpus", text_format("%lld", MAX(count, 1ll)));
	add(line, "--nested", text_copy(nested ? "on" : "off"));
	if (json_object_get(processor, "Maximum"))
		add_number(line, "--cpu-maximum", processor, "Maximum");
	if (json_object_get(processor, "RelativeWeight"))
		add_number(line, "--cpu-weight", processor, "RelativeWeight");
}

static void add_memory(struct command_line *line, struct machine *machine)
{
	const json_t *memory = machine_part(machine, "Memory");

	add_number(line, "--memory", memory, "Startup");
	if (!json_is_true(json_object_get(memory, "DynamicMemoryEnabled")))
		return;
	add_number(line, "--memory-min", memory, "Minimum");
	add_number(line, "--memory-max", memory, "Maximum");
	add_number(line, "--memory-buffer", memory, "Buffer");
	add_number(line, "--memory-priority", memory, "Priority");
}

static void add_boot(struct command_line *line, struct machine *machine)
{
	static const char *const options[][2] = { { "KernelPath", "--kernel" },
						  { "InitrdPath", "--initrd" },
						  { "KernelCommandLine", "--append" } };
	const json_t *boot = machine_part(machine, "Boot");

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *value = value_text_of(boot, options[i][0]);

		if (value && *value)
			add(line, options[i][1], text_copy(value));
	}
}

static void add_disks(struct command_line *line, struct machine *machine)
{
	json_t *drive;
	size_t i;

	json_array_foreach(machine_list(machine, "HardDrives"), i, drive)
	{
		const char *path = value_text_of(drive, "Path");

		if (path && *path)
			add(line, "--disk", text_copy(path));
	}
}

static void add_adapters(struct command_line *line, struct store *store, struct machine *machine)
{
	json_t *adapter;
	size_t i;

	json_array_foreach(machine_list(machine, "NetworkAdapters"), i, adapter)
		add(line, "--net", port_network(store, adapter));
}

static void compose(struct command_line *line, struct store *store, struct machine *machine)
{
	add(line, "nidus", NULL);
	add(line, "run", NULL);
	add_processor(line, machine);
	add_memory(line, machine);
	add_boot(line, machine);
	add_disks(line, machine);
	add_adapters(line, store, machine);
	add(line, "--serial", text_copy("unix:console"));
	add(line, "--agent", text_copy("agent"));
	add(line, "--control", text_copy("control"));
}

int launch_start(struct call *call, struct machine *machine, struct error *err)
{
	struct store *store = call->shell->store;
	struct command_line line = { .count = 0 };
	int ret;

	compose(&line, store, machine);
	ret = child_start(store, machine->id, line.arg, err);
	process_query(store, machine->id, &machine->process);
	free_line(&line);
	return ret;
}
