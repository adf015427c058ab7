/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New-VHD, Get-VHD, Resize-VHD, Convert-VHD: see ctl/vhd.h. */
#include "ctl/vhd.h"

#include "ctl/machine.h"
#include "ctl/nouns.h"
#include "ctl/path.h"
#include "ctl/shell.h"
#include "ctl/spawn.h"
#include "ctl/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define QEMU_IMG         "qemu-img"
#define SECTOR_BYTES     512
#define SIZE_MIN_BYTES   (1 * (int64_t)MIB)
#define SIZE_MAX_BYTES   (64ll * 1024 * (int64_t)GIB)
#define ARGS_MAX         16
#define VHDX_BLOCK_BYTES 33554432

/* --- formats --- */

static const struct format {
	const char *suffix;
	const char *name;   /* as Get-VHD has it */
	const char *driver; /* qemu-img's name */
	const char *fixed;  /* its option for a disk that does not grow; NULL: none */
	bool has_parent;    /* can be a differencing disk */
} formats[] = {
	{ ".vhdx", "VHDX", "vhdx", "subformat=fixed", false },
	{ ".vhd", "VHD", "vpc", "subformat=fixed", false },
	{ ".qcow2", "QCOW2", "qcow2", "preallocation=falloc", true },
	{ ".raw", "RAW", "raw", "preallocation=falloc", false },
	{ ".img", "RAW", "raw", "preallocation=falloc", false },
};

static const struct format *format_of(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t suffix = strlen(formats[i].suffix);

		if (len > suffix && text_same(path + len - suffix, formats[i].suffix))
			return &formats[i];
	}
	return NULL;
}

static const struct format *format_by_driver(const char *driver)
{
	for (size_t i = 0; driver && i < ARRAY_SIZE(formats); i++) {
		if (!strcmp(formats[i].driver, driver))
			return &formats[i];
	}
	return NULL;
}

static const struct format *require_format(struct call *call, const char *path)
{
	const struct format *format = format_of(path);

	if (!format)
		call_error(
			call, ERROR_INVALID_PARAMETER, path,
			"'%s' is no name of a virtual hard disk. It ends with .vhdx, .vhd, .qcow2, "
			".raw or .img, which says its format.",
			path);
	return format;
}

/* --- qemu-img --- */

struct words {
	char *list[ARGS_MAX + 1];
	size_t count;
};

static void add(struct words *words, const char *word)
{
	if (words->count < ARGS_MAX)
		words->list[words->count++] = text_copy(word);
}

static void add_number(struct words *words, int64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%lld", (long long)number);
	add(words, text);
}

static void free_words(struct words *words)
{
	while (words->count)
		free(words->list[--words->count]);
}

/* Runs it and frees the words; -1 after call_error with what it said. */
static int run_image_tool(struct call *call, struct words *words, const char *path,
			  struct text *output, const char *verb)
{
	struct error err = { "" };
	int ret = spawn_run(words->list, output, &err);

	free_words(words);
	if (ret == -ENOENT)
		return call_error(call, ERROR_FAILED, path,
				  "%s; it comes with the package qemu-utils.", err.text);
	if (ret)
		return call_error(call, ERROR_FAILED, path,
				  "Failed to %s the virtual hard disk '%s': %s.", verb, path,
				  err.text);
	return 0;
}

static json_t *read_info(struct call *call, const char *path)
{
	struct words words = { .count = 0 };
	struct text output = { 0 };
	json_t *info = NULL;

	if (vhd_check(call, path))
		return NULL;
	add(&words, QEMU_IMG);
	add(&words, "info");
	add(&words, "-U"); /* also while a VM has it */
	add(&words, "--output=json");
	add(&words, "--");
	add(&words, path);
	if (!run_image_tool(call, &words, path, &output, "read")) {
		info = json_loads(output.s ? output.s : "", 0, NULL);
		if (!info)
			call_error(call, ERROR_FAILED, path, "'%s': qemu-img says nothing of use.",
				   path);
	}
	text_free(&output);
	return info;
}

/* --- objects --- */

static const char *type_of(const json_t *info, const char *path)
{
	json_int_t size = json_integer_value(json_object_get(info, "virtual-size"));
	struct stat st;

	if (json_object_get(info, "backing-filename"))
		return "Differencing";
	if (!stat(path, &st) && (json_int_t)st.st_blocks * SECTOR_BYTES >= size)
		return "Fixed";
	return "Dynamic";
}

static json_t *vhd_object(const char *path, const json_t *info)
{
	const char *parent = value_text_of(info, "full-backing-filename");
	const struct format *format = format_by_driver(value_text_of(info, "format"));
	json_t *object = value_object("VirtualHardDisk");
	struct stat st;
	json_int_t file_size = stat(path, &st) ? 0 : (json_int_t)st.st_size;

	json_object_set_new(object, "ComputerName", machine_host());
	json_object_set_new(object, "Path", value_string(path));
	json_object_set_new(object, "VhdFormat", json_string(format ? format->name : "Unknown"));
	json_object_set_new(object, "VhdType", json_string(type_of(info, path)));
	json_object_set_new(object, "FileSize", json_integer(file_size));
	json_object_set(object, "Size", json_object_get(info, "virtual-size"));
	json_object_set_new(object, "MinimumSize", json_null());
	json_object_set_new(object, "LogicalSectorSize", json_integer(SECTOR_BYTES));
	json_object_set_new(object, "PhysicalSectorSize", json_integer(4096));
	json_object_set_new(
		object, "BlockSize",
		json_integer(format && text_same(format->name, "VHDX")
				     ? VHDX_BLOCK_BYTES
				     : json_integer_value(json_object_get(info, "cluster-size"))));
	json_object_set_new(object, "ParentPath", value_string(parent ? parent : ""));
	json_object_set_new(object, "FragmentationPercentage", json_null());
	json_object_set_new(object, "Alignment", json_integer(1));
	json_object_set_new(object, "Attached", json_false());
	json_object_set_new(object, "DiskNumber", json_null());
	return object;
}

static int emit_vhd(struct call *call, const char *path)
{
	json_t *info = read_info(call, path);

	if (!info)
		return -1;
	call_emit(call, vhd_object(path, info));
	json_decref(info);
	return 0;
}

/* Runs fn for each of the paths, made absolute. */
static int each_path(struct call *call, int (*fn)(struct call *, const char *path))
{
	json_t *paths = call_value(call, "Path"), *path;
	size_t i;
	int ret = 0;

	json_array_foreach(paths, i, path)
	{
		char *whole = path_absolute(json_string_value(path));

		if (!call->stopped && fn(call, whole))
			ret = -1;
		free(whole);
	}
	return ret;
}

/* --- New-VHD --- */

static int check_size(struct call *call, int64_t bytes)
{
	if (bytes >= SIZE_MIN_BYTES && bytes <= SIZE_MAX_BYTES && bytes % SECTOR_BYTES == 0)
		return 0;
	return call_error(
		call, ERROR_INVALID_PARAMETER, "SizeBytes",
		"A virtual hard disk has 1 MB to 64 TB in whole sectors of 512 bytes, not %lld "
		"bytes.",
		(long long)bytes);
}

static int check_absent(struct call *call, const char *path)
{
	if (access(path, F_OK))
		return 0;
	return call_error(call, ERROR_EXISTS, path,
			  "The file '%s' exists already; it is left as it is.", path);
}

struct wish {
	int64_t bytes; /* 0: the parent's */
	bool fixed;
	const char *parent; /* NULL: none */
};

static int add_parent(struct call *call, struct words *words, const struct format *format,
		      const char *path, const char *parent)
{
	json_t *info;
	char *whole;

	if (!format->has_parent)
		return call_error(call, ERROR_INVALID_PARAMETER, path,
				  "A differencing disk is a .qcow2 file here; '%s' is none.", path);
	whole = path_absolute(parent);
	info = read_info(call, whole);
	if (info) {
		add(words, "-b");
		add(words, whole);
		add(words, "-F");
		add(words, value_text_of(info, "format"));
	}
	json_decref(info);
	free(whole);
	return info ? 0 : -1;
}

static int create(struct call *call, const char *path, const struct wish *wish)
{
	const struct format *format = require_format(call, path);
	struct words words = { .count = 0 };

	if (!format || check_absent(call, path) || (wish->bytes && check_size(call, wish->bytes)))
		return -1;
	add(&words, QEMU_IMG);
	add(&words, "create");
	add(&words, "-q");
	add(&words, "-f");
	add(&words, format->driver);
	if (wish->fixed && format->fixed) {
		add(&words, "-o");
		add(&words, format->fixed);
	}
	if (wish->parent && add_parent(call, &words, format, path, wish->parent)) {
		free_words(&words);
		return -1;
	}
	add(&words, "--");
	add(&words, path);
	if (wish->bytes)
		add_number(&words, wish->bytes);
	return run_image_tool(call, &words, path, NULL, "create");
}

int vhd_create(struct call *call, const char *path, int64_t bytes)
{
	const struct wish wish = { .bytes = bytes };

	return create(call, path, &wish);
}

int vhd_check(struct call *call, const char *path)
{
	if (!access(path, R_OK))
		return 0;
	return call_error(call, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_DENIED, path,
			  "The virtual hard disk '%s': %s.", path, strerror(errno));
}

static int new_one(struct call *call, const char *path)
{
	const struct wish wish = {
		.bytes = call_int(call, "SizeBytes", 0),
		.fixed = call_switch(call, "Fixed"),
		.parent = call_string(call, "ParentPath"),
	};

	if (!call_should(call, "create the virtual hard disk \"%s\".", path))
		return 0;
	return create(call, path, &wish) || emit_vhd(call, path) ? -1 : 0;
}

static int new_vhd(struct call *call)
{
	return each_path(call, new_one);
}

/* --- Get-VHD, Resize-VHD, Convert-VHD --- */

static int get_vhd(struct call *call)
{
	return each_path(call, emit_vhd);
}

static int resize_one(struct call *call, const char *path)
{
	int64_t bytes = call_int(call, "SizeBytes", 0);
	json_t *info = read_info(call, path);
	struct words words = { .count = 0 };

	if (!info)
		return -1;
	if (check_size(call, bytes) ||
	    !call_should(call, "resize the virtual hard disk \"%s\".", path)) {
		json_decref(info);
		return call->failed ? -1 : 0;
	}
	add(&words, QEMU_IMG);
	add(&words, "resize");
	add(&words, "-q");
	add(&words, "-f");
	add(&words, value_text_of(info, "format"));
	if (bytes < json_integer_value(json_object_get(info, "virtual-size")))
		add(&words, "--shrink");
	add(&words, "--");
	add(&words, path);
	add_number(&words, bytes);
	json_decref(info);
	if (run_image_tool(call, &words, path, NULL, "resize"))
		return -1;
	return call_switch(call, "Passthru") ? emit_vhd(call, path) : 0;
}

static int resize_vhd(struct call *call)
{
	return each_path(call, resize_one);
}

static int convert(struct call *call, const char *from, const char *to)
{
	const char *type = call_string(call, "VHDType");
	const struct format *format = require_format(call, to);
	struct words words = { .count = 0 };

	if (!format || vhd_check(call, from) || check_absent(call, to))
		return -1;
	if (!call_should(call, "convert the virtual hard disk \"%s\".", from))
		return 0;
	add(&words, QEMU_IMG);
	add(&words, "convert");
	add(&words, "-q");
	add(&words, "-O");
	add(&words, format->driver);
	if (type && text_same(type, "Fixed") && format->fixed) {
		add(&words, "-o");
		add(&words, format->fixed);
	}
	add(&words, "--");
	add(&words, from);
	add(&words, to);
	if (run_image_tool(call, &words, from, NULL, "convert"))
		return -1;
	if (call_switch(call, "DeleteSource") && unlink(from))
		return call_error(call, ERROR_FAILED, from, "'%s' cannot be deleted: %s.", from,
				  strerror(errno));
	return call_switch(call, "Passthru") ? emit_vhd(call, to) : 0;
}

static int convert_vhd(struct call *call)
{
	char *from = path_absolute(call_string(call, "Path"));
	char *to = path_absolute(call_string(call, "DestinationPath"));
	int ret = convert(call, from, to);

	free(from);
	free(to);
	return ret;
}

/* --- the table --- */

#define PARAM_PATHS                                                                             \
	{                                                                                       \
		"Path", "FullName", PARAM_STRING, .position = POSITION(0),                      \
						  .flags = REQUIRED | MANY | BY_VALUE | BY_NAME \
	}

static const struct param new_params[] = {
	PARAM_PATHS,
	{ "SizeBytes", NULL, PARAM_INT, .position = POSITION(1), .sets = SET(0) | SET(1),
	  .flags = REQUIRED },
	{ "ParentPath", NULL, PARAM_STRING, .position = POSITION(1), .sets = SET(2),
	  .flags = REQUIRED },
	{ "SizeBytes", NULL, PARAM_INT, .position = POSITION(2), .sets = SET(2) },
	{ "Differencing", NULL, PARAM_SWITCH, .sets = SET(2) },
	{ "Dynamic", NULL, PARAM_SWITCH, .sets = SET(0) },
	{ "Fixed", NULL, PARAM_SWITCH, .sets = SET(1), .flags = REQUIRED },
	PARAM_END,
};

static const struct param get_params[] = { PARAM_PATHS, PARAM_END };

static const struct param resize_params[] = {
	PARAM_PATHS,
	{ "SizeBytes", NULL, PARAM_INT, .position = POSITION(1), .flags = REQUIRED },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct param convert_params[] = {
	{ "Path", "FullName", PARAM_STRING, .position = POSITION(0),
	  .flags = REQUIRED | BY_VALUE | BY_NAME },
	{ "DestinationPath", NULL, PARAM_STRING, .position = POSITION(1), .flags = REQUIRED },
	{ "DeleteSource", NULL, PARAM_SWITCH },
	PARAM_PASSTHRU,
	{ "VHDType", NULL, PARAM_ENUM, "Fixed|Dynamic" },
	PARAM_END,
};

#define CHANGES CMDLET_CHANGES | CMDLET_HOST

static const struct cmdlet cmdlets[] = {
	{ "New-VHD", NULL, "Creates virtual hard disks.", new_params,
	  "DynamicWithoutSource FixedWithoutSource Differencing", CHANGES, new_vhd },
	{ "Get-VHD", NULL, "Says what a virtual hard disk is.", get_params, NULL, CMDLET_HOST,
	  get_vhd },
	{ "Resize-VHD", NULL, "Resizes virtual hard disks.", resize_params, NULL, CHANGES,
	  resize_vhd },
	{ "Convert-VHD", NULL, "Copies a virtual hard disk into another format.", convert_params,
	  NULL, CHANGES, convert_vhd },
	{ NULL },
};

static const struct view views[] = { { "VirtualHardDisk", NULL }, { NULL } };

const struct noun noun_vhd = { cmdlets, views };
