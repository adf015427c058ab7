/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two scripts of the documents as commands: Get-NestedVirtStatus.ps1 says whether host and VMs
 * are configured for nesting, Enable-NestedVm.ps1 asks and then configures one. Same parameters,
 * order, questions and fields as the originals; facts about the host are Linux's.
 */
#include "ctl/host.h"
#include "ctl/machine.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/text.h"
#include "ctl/vm.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#define NESTED_MEMORY_BYTES (4 * (int64_t)GIB)

/* --- facts about the host --- */

static json_t *first_line(const char *path)
{
	char line[256] = "";
	FILE *file = fopen(path, "re");

	if (file && !fgets(line, sizeof(line), file))
		*line = 0;
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = 0;
	return value_string(line);
}

/* A value of /etc/os-release, without quotes. */
static json_t *release_value(const char *key)
{
	FILE *file = fopen("/etc/os-release", "re");
	json_t *value = NULL;
	char line[256];
	size_t len = strlen(key);

	while (file && !value && fgets(line, sizeof(line), file)) {
		char *text = line + len + 1;

		if (strncmp(line, key, len) || line[len] != '=')
			continue;
		text += *text == '"';
		text[strcspn(text, "\"\n")] = 0;
		value = value_string(text);
	}
	if (file)
		fclose(file);
	return value ? value : json_string("");
}

static json_t *kernel_release(void)
{
	struct utsname uts;

	return value_string(uname(&uts) ? "" : uts.release);
}

/* --- the host's status --- */

struct host_check {
	json_t *status;
	json_t *errors;
};

static void refuse(struct host_check *check, const char *format, ...) PRINTF_LIKE(2, 3);

static void refuse(struct host_check *check, const char *format, ...)
{
	struct text text = { 0 };
	va_list args;

	va_start(args, format);
	text_addv(&text, format, args);
	va_end(args);
	json_array_append_new(check->errors, value_string(text.s));
	json_object_set_new(check->status, "HostNestedSupport", json_false());
	text_free(&text);
}

static json_t *host_fields(struct store *store)
{
	json_t *settings = host_settings(store), *status = value_object("NestedHostStatus");
	json_t *options = json_object_get(settings, "HypervisorLoadOptions");
	json_t *vbs = json_object_get(settings, "VirtualizationBasedSecurity");
	char vendor[HOST_VENDOR_SIZE];

	host_vendor(vendor);
	json_object_set_new(status, "Computer", machine_host());
	json_object_set_new(status, "Manufacturer", first_line("/sys/class/dmi/id/sys_vendor"));
	json_object_set_new(status, "Model", first_line("/sys/class/dmi/id/product_name"));
	json_object_set_new(status, "ProccessorManufacturer", value_string(vendor));
	json_object_set_new(status, "Product Name", release_value("PRETTY_NAME"));
	json_object_set_new(status, "Installation Type", release_value("ID"));
	json_object_set_new(status, "Edition ID", release_value("VERSION_ID"));
	json_object_set_new(status, "Build Lab", kernel_release());
	json_object_set_new(status, "HypervisorRunning", json_true());
	json_object_set_new(status, "FullHyperVRole", json_true());
	json_object_set_new(status, "HostNestedSupport", json_true());
	json_object_set_new(status, "HypervisorLoadOptionsPresent",
			    json_boolean(json_string_length(options)));
	json_object_set(status, "HypervisorLoadOptionsValue", options);
	json_object_set_new(status, "IumInstalled", json_false());
	json_object_set(status, "VbsRunning", vbs);
	json_object_set_new(status, "VbsRegEnabled", json_false());
	json_object_set_new(status, "BuildSupported", json_true());
	json_object_set_new(status, "VbsPresent", json_false());
	json_decref(settings);
	return status;
}

static void add_engines(json_t *status)
{
	json_t *engines = host_engines(true);

	json_object_update(status, engines);
	json_decref(engines);
}

/* The preview is Intel's alone, and none beside virtualization-based security. */
static void check_host(struct store *store, struct host_check *check)
{
	const char *vendor = value_text_of(check->status, "ProccessorManufacturer");
	bool preview = host_is_preview(store), intel = !strcmp(vendor, "GenuineIntel");

	if (preview && !intel)
		refuse(check,
		       "The preview supports nesting on Intel's processors only; this one is "
		       "from %s.",
		       vendor);
	if (!host_offers_nesting(store))
		refuse(check, "The hypervisor's load options switch nesting off: %s",
		       value_text_of(check->status, "HypervisorLoadOptionsValue"));
	if (preview && json_is_true(json_object_get(check->status, "VbsRunning")))
		refuse(check, "Virtualization-based security (VBS) is running.");
}

/* --- a VM's status --- */

static json_t *vm_errors(const struct machine *machine, const json_t *status)
{
	json_t *errors = json_array();

	if (!json_is_true(json_object_get(status, "ExposeVirtualizationExtensions")))
		json_array_append_new(errors,
				      json_string("Virtualization extensions are not exposed."));
	if (json_is_true(json_object_get(status, "DynamicMemoryEnabled")))
		json_array_append_new(errors, json_string("Dynamic memory is enabled."));
	if (json_is_string(json_object_get(machine->definition, "ParentCheckpointId")))
		json_array_append_new(errors, json_string("The VM has a checkpoint."));
	if (text_same(machine_state(machine), "Saved"))
		json_array_append_new(errors, json_string("The VM is saved."));
	return errors;
}

static json_t *vm_status(struct machine *machine)
{
	json_t *status = value_object("NestedVMStatus"), *errors;

	json_object_set_new(status, "Name", json_string(machine->name));
	json_object_set_new(status, "SupportsNesting", json_true());
	json_object_set(status, "ExposeVirtualizationExtensions",
			json_object_get(machine_part(machine, "Processor"),
					"ExposeVirtualizationExtensions"));
	json_object_set(status, "DynamicMemoryEnabled",
			json_object_get(machine_part(machine, "Memory"), "DynamicMemoryEnabled"));
	json_object_set_new(status, "SnapshotEnabled", json_false());
	json_object_set_new(status, "State", json_string(machine_state(machine)));
	errors = vm_errors(machine, status);
	if (json_array_size(errors))
		json_object_set_new(status, "SupportsNesting", json_false());
	json_object_set_new(status, "VmCfgErrors", errors);
	return status;
}

/* --- Get-NestedVirtStatus.ps1 --- */

/* White on green or on red, on a terminal. */
static void add_verdict(struct call *call, struct text *text, const char *sentence, bool yes)
{
	bool colored = isatty(fileno(call->shell->out));

	text_addf(text, "\n%s %s%s%s\n", sentence,
		  !colored ? ""
		  : yes    ? "\x1b[97;42m"
			   : "\x1b[97;41m",
		  yes ? "YES" : "NO", colored ? "\x1b[0m" : "");
}

static void add_errors(struct text *text, const json_t *errors)
{
	json_t *error;
	size_t i;

	if (json_array_size(errors))
		text_add(text, "What is in the way:\n");
	json_array_foreach(errors, i, error) text_addf(text, "  %s\n", json_string_value(error));
}

static void emit_text(struct call *call, struct text *text)
{
	call_emit(call, value_lines(text->s));
	text_free(text);
}

static void progress(struct call *call, const char *what)
{
	fprintf(call->shell->out, "%s... done.\n", what);
}

static void report_host(struct call *call)
{
	struct host_check check = { host_fields(call->shell->store), json_array() };
	struct text text = { 0 };
	char *sentence;

	progress(call, "Getting system information");
	progress(call, "Getting build information");
	check_host(call->shell->store, &check);
	add_engines(check.status);
	progress(call, "Validating the host");
	sentence = text_format("The computer %s supports nested virtualization:",
			       value_text_of(check.status, "Computer"));
	add_verdict(call, &text, sentence,
		    json_is_true(json_object_get(check.status, "HostNestedSupport")));
	add_errors(&text, check.errors);
	emit_text(call, &text);
	call_emit(call, check.status);
	json_decref(check.errors);
	free(sentence);
}

static int report_vm(struct call *call, struct machine *machine)
{
	json_t *status = vm_status(machine);
	char *sentence = text_format("The virtual machine %s supports nesting:", machine->name);
	struct text text = { 0 };

	add_verdict(call, &text, sentence,
		    json_is_true(json_object_get(status, "SupportsNesting")));
	add_errors(&text, json_object_get(status, "VmCfgErrors"));
	emit_text(call, &text);
	call_emit(call, status);
	free(sentence);
	return 0;
}

static int get_status(struct call *call)
{
	json_t *all = store_list(call->shell->store, STORE_VMS, NULL, NULL);
	char *found =
		text_format("Searching for virtual machines: %zu found", json_array_size(all));
	int ret;

	json_decref(all);
	report_host(call);
	progress(call, found);
	progress(call, "Validating virtual machines");
	free(found);
	ret = machine_each(call, NULL, report_vm);
	if (isatty(STDIN_FILENO) && isatty(fileno(call->shell->out))) {
		shell_print(call->shell, call->output);
		json_array_clear(call->output);
		free(shell_read_line(call->shell, "Press Enter to end. "));
	}
	return ret;
}

/* --- Enable-NestedVm.ps1 --- */

struct plan {
	bool saved, on, extensions, dynamic, spoofing, memory;
};

static bool any_spoofing_off(struct machine *machine)
{
	json_t *adapter;
	size_t i;

	json_array_foreach(machine_list(machine, "NetworkAdapters"), i, adapter)
	{
		const char *spoofing = value_text_of(adapter, "MacAddressSpoofing");

		if (!spoofing || text_same(spoofing, "Off"))
			return true;
	}
	return false;
}

static struct plan make_plan(struct machine *machine)
{
	const json_t *processor = machine_part(machine, "Processor");
	const json_t *memory = machine_part(machine, "Memory");

	return (struct plan){
		.saved = text_same(machine_state(machine), "Saved"),
		.on = !text_same(machine_state(machine), "Off"),
		.extensions =
			!json_is_true(json_object_get(processor, "ExposeVirtualizationExtensions")),
		.dynamic = json_is_true(json_object_get(memory, "DynamicMemoryEnabled")),
		.spoofing = any_spoofing_off(machine),
		.memory = json_integer_value(json_object_get(memory, "Startup")) <
			  NESTED_MEMORY_BYTES,
	};
}

static void print_plan(FILE *out, const struct machine *machine, const struct plan *plan)
{
	fprintf(out, "To allow nested virtualization in the virtual machine %s:\n", machine->name);
	if (plan->saved)
		fputs("  Its saved state will be removed.\n", out);
	if (plan->on)
		fprintf(out, "  Its state is %s: it will be turned off.\n", machine_state(machine));
	if (plan->extensions)
		fputs("  Virtualization extensions will be enabled.\n", out);
	if (plan->dynamic)
		fputs("  Dynamic memory will be disabled.\n", out);
	if (plan->spoofing)
		fputs("  MAC address spoofing can optionally be enabled.\n", out);
	if (plan->memory)
		fputs("  Memory can optionally be set to 4 GB.\n", out);
}

/* The first letter decides; anything else is asked again. The end of input is N. */
static bool accepts(struct call *call)
{
	const char *prompt = "Input Y to accept or N to cancel: ";

	if (call_switch(call, "Force"))
		return true;
	while (1) {
		char *line = shell_read_line(call->shell, prompt);
		char first = line ? (char)toupper((unsigned char)*line) : 'N';

		free(line);
		if (first == 'Y' || first == 'N')
			return first == 'Y';
		prompt = "Invalid input. Input Y to accept or N to cancel: ";
	}
}

/* An optional step: the whole answer must be y. */
static bool wants(struct call *call, const char *warning, const char *question)
{
	char *line;
	bool yes;

	if (call_switch(call, "Force"))
		return true;
	fprintf(call->shell->out, "%s\n", warning);
	line = shell_read_line(call->shell, question);
	yes = line && text_same(line, "y");
	free(line);
	return yes;
}

/* A step in the words of the cmdlets; false after an error. */
static bool do_step(struct call *call, json_t *vm, const char *what)
{
	json_t *block = value_block(what), *output = json_array();
	enum flow flow = shell_run_block(call->shell, block, vm, output);
	bool done = flow == FLOW_NEXT && call->shell->last_ok;

	call->failed |= !done;
	json_decref(output);
	json_decref(block);
	return done;
}

static int carry_out(struct call *call, json_t *vm, const struct plan *plan)
{
	FILE *out = call->shell->out;

	if ((plan->saved && !do_step(call, vm, "$_ | Remove-VMSavedState")) ||
	    (plan->on && !plan->saved && !do_step(call, vm, "$_ | Stop-VM")) ||
	    (plan->extensions &&
	     !do_step(call, vm, "$_ | Set-VMProcessor -ExposeVirtualizationExtensions $true")) ||
	    (plan->dynamic && !do_step(call, vm, "$_ | Set-VMMemory -DynamicMemoryEnabled $false")))
		return -1;
	if (plan->spoofing) {
		if (!wants(call,
			   "WARNING: without MAC address spoofing the innermost guests have no "
			   "network, "
			   "unless it is translated (NAT).",
			   "Enable MAC address spoofing? (Y/N): "))
			fputs("MAC address spoofing is left as it is.\n", out);
		else if (!do_step(call, vm, "$_ | Set-VMNetworkAdapter -MacAddressSpoofing On"))
			return -1;
	}
	if (plan->memory) {
		if (!wants(call,
			   "WARNING: with less than 4 GB, virtual machines may not start in it.",
			   "Set its memory to 4 GB? (Y/N): "))
			fputs("Memory is left as it is.\n", out);
		else if (!do_step(call, vm, "$_ | Set-VMMemory -StartupBytes 4GB"))
			return -1;
	}
	return 0;
}

static int enable_one(struct call *call, struct machine *machine)
{
	struct plan plan = make_plan(machine);
	FILE *out = call->shell->out;
	json_t *vm;
	int ret;

	if (!plan.on && !plan.extensions && !plan.dynamic && !plan.spoofing && !plan.memory) {
		fprintf(out,
			"The virtual machine %s is set up for nesting already; nothing is "
			"needed.\n",
			machine->name);
		return 0;
	}
	print_plan(out, machine, &plan);
	if (call_switch(call, "WhatIf"))
		return 0;
	if (!accepts(call)) {
		fputs("Nothing was changed.\n", out);
		return 0;
	}
	vm = vm_object(machine);
	ret = carry_out(call, vm, &plan);
	json_decref(vm);
	return ret;
}

static int enable_nested(struct call *call)
{
	const char *name = call_string(call, "VMName");

	if (!name || !*name)
		return call_error(call, ERROR_INVALID_PARAMETER, "",
				  "No VM name was given: Enable-NestedVm.ps1 -VmName NAME");
	return machine_each(call, NULL, enable_one);
}

/* --- the table --- */

static const struct param status_params[] = { PARAM_END };

static const struct param enable_params[] = {
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(0), .flags = BY_VALUE },
	{ "Force", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-NestedVirtStatus.ps1", "Get-NestedVirtStatus",
	  "Says whether host and virtual machines are configured for nesting.", status_params, NULL,
	  0, get_status },
	{ "Enable-NestedVm.ps1", "Enable-NestedVm", "Configures a virtual machine for nesting.",
	  enable_params, NULL, CMDLET_CHANGES, enable_nested },
	{ NULL },
};

static const struct view views[] = {
	{ "NestedHostStatus", NULL },
	{ "NestedVMStatus", NULL },
	{ NULL },
};

const struct noun noun_nested = { cmdlets, views };
