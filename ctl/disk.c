/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Add-, Get-, Set-, Remove-VMHardDiskDrive. Controllers are places for disks, as Hyper-V counts
 * them; in the machine every disk is a virtio disk, in the order of the places.
 */
#include "ctl/disk.h"

#include "ctl/nouns.h"
#include "ctl/path.h"
#include "ctl/text.h"
#include "ctl/vhd.h"

#include <stdlib.h>

#define DISKS_MAX 16 /* as many as a machine has slots for */

/* --- places --- */

struct place {
	const char *type;
	int64_t number, location;
};

static const struct {
	const char *type;
	int64_t controllers, locations;
} controllers[] = { { "IDE", 2, 2 }, { "SCSI", 4, 64 } };

static int64_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* A number that may be left open: -1. */
static int64_t given(const struct call *call, const char *name)
{
	return call_int(call, name, -1);
}

static bool is_at(const json_t *drive, const struct place *place)
{
	return text_same(value_text_of(drive, "ControllerType"), place->type) &&
	       number(drive, "ControllerNumber") == place->number &&
	       number(drive, "ControllerLocation") == place->location;
}

static bool is_taken(const json_t *drives, const struct place *place)
{
	json_t *drive;
	size_t i;

	json_array_foreach(drives, i, drive)
	{
		if (is_at(drive, place))
			return true;
	}
	return false;
}

/* The first free place that fits what was given. */
static bool find_place(const struct call *call, const json_t *drives, const char *type,
		       struct place *place)
{
	size_t kind = text_same(type, "IDE") ? 0 : 1;

	for (int64_t n = 0; n < controllers[kind].controllers; n++) {
		for (int64_t at = 0; at < controllers[kind].locations; at++) {
			*place = (struct place){ controllers[kind].type, n, at };
			if ((given(call, "ControllerNumber") < 0 ||
			     given(call, "ControllerNumber") == n) &&
			    (given(call, "ControllerLocation") < 0 ||
			     given(call, "ControllerLocation") == at) &&
			    !is_taken(drives, place))
				return true;
		}
	}
	return false;
}

static int check_path(struct call *call, const struct machine *machine, const json_t *drives,
		      const char *path)
{
	json_t *drive;
	size_t i;

	if (vhd_check(call, path))
		return -1;
	json_array_foreach(drives, i, drive)
	{
		const char *other = value_text_of(drive, "Path");

		if (other && !strcmp(other, path))
			return call_error(call, ERROR_EXISTS, path,
					  "'%s' is a disk of the virtual machine " MACHINE_TITLE
					  " already.",
					  path, MACHINE_LABELS(machine));
	}
	return 0;
}

/* Kept in the order of their places, which is the machine's. */
static json_t *insert_drive(json_t *drives, const struct place *place, const char *path)
{
	json_t *drive = json_pack("{sssIsIso}", "ControllerType", place->type, "ControllerNumber",
				  (json_int_t)place->number, "ControllerLocation",
				  (json_int_t)place->location, "Path", value_string(path));
	size_t at = json_array_size(drives);

	for (; at; at--) {
		const json_t *before = json_array_get(drives, at - 1);
		int order = strcmp(value_text_of(before, "ControllerType"), place->type);

		if (order < 0 ||
		    (!order && (number(before, "ControllerNumber") < place->number ||
				(number(before, "ControllerNumber") == place->number &&
				 number(before, "ControllerLocation") < place->location))))
			break;
	}
	json_array_insert_new(drives, at, drive);
	return drive;
}

static json_t *attach(struct call *call, struct machine *machine, const char *path)
{
	json_t *drives = machine_list(machine, "HardDrives");
	int64_t generation = json_integer_value(json_object_get(machine->definition, "Generation"));
	const char *type = call_string(call, "ControllerType");
	struct place place;

	if (check_path(call, machine, drives, path))
		return NULL;
	if (!machine_is_off(machine)) {
		machine_state_error(call, machine, "Hard Disk Drive");
		return NULL;
	}
	if (!type)
		type = generation == 2 ? "SCSI" : "IDE";
	if (find_place(call, drives, type, &place) && json_array_size(drives) < DISKS_MAX)
		return insert_drive(drives, &place, path);
	call_error(
		call, ERROR_INVALID_PARAMETER, machine->name,
		"Failed to add device 'Hard Disk Drive'.\nThere is no free place of that kind in "
		"the virtual machine " MACHINE_TITLE ".",
		MACHINE_LABELS(machine));
	return NULL;
}

int disk_attach(struct call *call, struct machine *machine, const char *path)
{
	return attach(call, machine, path) ? 0 : -1;
}

/* --- objects --- */

static json_t *drive_object(const struct machine *machine, const json_t *drive)
{
	json_t *object = machine_object(machine, "HardDiskDrive");

	json_object_update(object, (json_t *)drive);
	json_object_set_new(object, "DiskNumber", json_null());
	json_object_set_new(object, "Name",
			    value_format("Hard Drive on %s controller number %lld at location %lld",
					 value_text_of(drive, "ControllerType"),
					 (long long)number(drive, "ControllerNumber"),
					 (long long)number(drive, "ControllerLocation")));
	return object;
}

static int emit_changed(struct call *call, const struct machine *machine, const json_t *drive)
{
	if (call_switch(call, "Passthru"))
		call_emit(call, drive_object(machine, drive));
	return 0;
}

/* --- which disks --- */

/* Whether a -VMHardDiskDrive argument has it. */
static bool is_among(const json_t *objects, const struct machine *machine, const json_t *drive)
{
	json_t *object;
	size_t i;

	json_array_foreach(objects, i, object)
	{
		const struct place place = { value_text_of(object, "ControllerType"),
					     number(object, "ControllerNumber"),
					     number(object, "ControllerLocation") };
		const char *id = value_text_of(object, "VMId");

		if (place.type && id && !strcmp(id, machine->id) && is_at(drive, &place))
			return true;
	}
	return false;
}

static bool is_selected(const struct call *call, const struct machine *machine, const json_t *drive)
{
	const char *type = call_string(call, "ControllerType");
	const json_t *objects = call_value(call, "VMHardDiskDrive");

	if (objects)
		return is_among(objects, machine, drive);
	return (!type || text_same(type, value_text_of(drive, "ControllerType"))) &&
	       (given(call, "ControllerNumber") < 0 ||
		given(call, "ControllerNumber") == number(drive, "ControllerNumber")) &&
	       (given(call, "ControllerLocation") < 0 ||
		given(call, "ControllerLocation") == number(drive, "ControllerLocation"));
}

static int no_such(struct call *call, const struct machine *machine)
{
	return call_error(call, ERROR_NOT_FOUND, machine->name,
			  "Nidus was unable to find a disk at that place in the virtual "
			  "machine " MACHINE_TITLE ".",
			  MACHINE_LABELS(machine));
}

/* --- the cmdlets --- */

static int get_of_machine(struct call *call, struct machine *machine)
{
	json_t *drive;
	size_t i;

	json_array_foreach(machine_list(machine, "HardDrives"), i, drive)
	{
		if (is_selected(call, machine, drive))
			call_emit(call, drive_object(machine, drive));
	}
	return 0;
}

static int get_drives(struct call *call)
{
	return machine_each(call, NULL, get_of_machine);
}

static int add_to_machine(struct call *call, struct machine *machine)
{
	char *path = path_absolute(call_string(call, "Path"));
	json_t *drive = attach(call, machine, path);

	free(path);
	return drive ? emit_changed(call, machine, drive) : -1;
}

static int add_drive(struct call *call)
{
	return machine_change(call, NULL, "add a hard disk drive to", add_to_machine);
}

static int remove_from_machine(struct call *call, struct machine *machine)
{
	json_t *drives = machine_list(machine, "HardDrives");
	bool hit = false;

	if (!machine_is_off(machine))
		return machine_state_error(call, machine, "Hard Disk Drive");
	for (size_t i = json_array_size(drives); i--;) {
		json_t *drive = json_array_get(drives, i);

		if (!is_selected(call, machine, drive))
			continue;
		hit = true;
		emit_changed(call, machine, drive);
		json_array_remove(drives, i);
	}
	return hit ? 0 : no_such(call, machine);
}

static int remove_drive(struct call *call)
{
	return machine_change(call, "VMHardDiskDrive", "remove a hard disk drive from",
			      remove_from_machine);
}

static int set_of_machine(struct call *call, struct machine *machine)
{
	json_t *drives = machine_list(machine, "HardDrives"), *drive;
	char *path = path_absolute(call_string(call, "Path"));
	bool hit = false;
	size_t i;
	int ret = 0;

	if (!machine_is_off(machine))
		ret = machine_state_error(call, machine, "Hard Disk Drive");
	json_array_foreach(drives, i, drive)
	{
		if (ret || !is_selected(call, machine, drive))
			continue;
		hit = true;
		ret = check_path(call, machine, drives, path);
		json_object_set_new(drive, "Path", value_string(path));
		emit_changed(call, machine, drive);
	}
	free(path);
	return ret || hit ? ret : no_such(call, machine);
}

static int set_drive(struct call *call)
{
	return machine_change(call, "VMHardDiskDrive", "configure a hard disk drive of",
			      set_of_machine);
}

/* --- the table --- */

#define CONTROLLER_TYPES "IDE|SCSI"
#define PARAM_DRIVE                                                     \
	{                                                               \
		"VMHardDiskDrive", NULL, PARAM_OBJECT, "HardDiskDrive", \
			.position = POSITION(0), .sets = SET(1),        \
			.flags = REQUIRED | MANY | BY_VALUE             \
	}

static const struct param get_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	{ "ControllerType", NULL, PARAM_ENUM, CONTROLLER_TYPES },
	{ "ControllerNumber", NULL, PARAM_INT, .min = 0, .max = 63 },
	{ "ControllerLocation", NULL, PARAM_INT, .min = 0, .max = 63 },
	PARAM_END,
};

static const struct param add_params[] = {
	PARAM_VMNAME,
	PARAM_VM,
	{ "ControllerType", NULL, PARAM_ENUM, CONTROLLER_TYPES, .position = POSITION(1) },
	{ "ControllerNumber", NULL, PARAM_INT, .min = 0, .max = 63, .position = POSITION(2) },
	{ "ControllerLocation", NULL, PARAM_INT, .min = 0, .max = 63, .position = POSITION(3) },
	{ "Path", NULL, PARAM_STRING, .position = POSITION(4), .flags = REQUIRED },
	PARAM_PASSTHRU,
	PARAM_END,
};

#define PARAM_PLACE                                                                               \
	{ "ControllerType",        NULL,           PARAM_ENUM,       CONTROLLER_TYPES,            \
	  .position = POSITION(1), .sets = SET(0), .flags = REQUIRED },                           \
		{ "ControllerNumber",      NULL,           PARAM_INT,        .min = 0, .max = 63, \
		  .position = POSITION(2), .sets = SET(0), .flags = REQUIRED },                   \
	{                                                                                         \
		"ControllerLocation", NULL, PARAM_INT, .min = 0, .max = 63,                       \
						       .position = POSITION(3), .sets = SET(0),   \
						       .flags = REQUIRED                          \
	}

static const struct param remove_params[] = {
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = REQUIRED | MANY },
	PARAM_PLACE,
	PARAM_DRIVE,
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param set_params[] = {
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = REQUIRED | MANY },
	PARAM_PLACE,
	PARAM_DRIVE,
	{ "Path", NULL, PARAM_STRING, .position = POSITION(4), .flags = REQUIRED },
	PARAM_PASSTHRU,
	PARAM_END,
};

#define CHANGES CMDLET_CHANGES | CMDLET_HOST

static const struct cmdlet cmdlets[] = {
	{ "Get-VMHardDiskDrive", NULL, "Gets the disks of virtual machines.", get_params,
	  "VMName VMObject", CMDLET_HOST, get_drives },
	{ "Add-VMHardDiskDrive", NULL, "Adds a disk to virtual machines.", add_params,
	  "VMName VMObject", CHANGES, add_drive },
	{ "Set-VMHardDiskDrive", NULL, "Puts another file in the place of a disk.", set_params,
	  "VMName Object", CHANGES, set_drive },
	{ "Remove-VMHardDiskDrive", NULL, "Takes disks out; the files stay.", remove_params,
	  "VMName VMHardDiskDrive", CHANGES, remove_drive },
	{ NULL },
};

static const struct column columns[] = {
	{ "VMName" },
	{ "ControllerType" },
	{ "ControllerNumber" },
	{ "ControllerLocation" },
	{ "DiskNumber" },
	{ "Path" },
	{ NULL },
};

static const struct view views[] = { { "HardDiskDrive", columns }, { NULL } };

const struct noun noun_disk = { cmdlets, views };
