/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Invoke-WebRequest, for what the documents fetch with it: the two scripts about nesting, which are
 * part of this program. For them a file is written that says so; other addresses are left to curl.
 */
#include "ctl/call.h"
#include "ctl/nouns.h"
#include "ctl/path.h"
#include "ctl/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SCRIPT_MODE 0644

static bool is_own_script(const char *name)
{
	const struct cmdlet *cmdlet = table_find(name);
	size_t len = strlen(name);

	return cmdlet && len > 4 && text_same(name + len - 4, ".ps1");
}

/* Runs the command of its name when a path leads to it. */
static int write_script(struct call *call, const char *path, const char *name)
{
	FILE *file = fopen(path, "we");

	if (file) {
		fprintf(file, "# nidus carries out %s itself, whatever this file says.\n%s @args\n",
			name, name);
		if (!fclose(file) && !chmod(path, SCRIPT_MODE))
			return 0;
	}
	return call_error(call, ERROR_FAILED, path, "Could not write to '%s': %s", path,
			  strerror(errno));
}

static int fetch(struct call *call, const char *uri, const char *path)
{
	char *argv[] = { "curl", "-fsSL", "-o", (char *)path, "--", (char *)uri, NULL };
	struct text content = { 0 };
	struct error err = { "" };

	if (!path)
		argv[3] = "-";
	if (spawn_run(argv, &content, &err)) {
		text_free(&content);
		return call_error_as(call, "InvalidOperation", "WebCmdletWebResponseException", uri,
				     "'%s' could not be fetched: %s.", uri, err.text);
	}
	if (!path)
		call_emit(call, value_string(content.s ? content.s : ""));
	text_free(&content);
	return 0;
}

static int invoke_web_request(struct call *call)
{
	const char *uri = call_string(call, "Uri"), *file = call_string(call, "OutFile");
	const char *slash = strrchr(uri, '/'), *name = slash ? slash + 1 : uri;
	char *path = file ? path_home(file) : NULL;
	int ret;

	if (path && is_own_script(name))
		ret = write_script(call, path, name);
	else
		ret = fetch(call, uri, path);
	free(path);
	return ret;
}

static const struct param params[] = {
	{ "Uri", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED },
	{ "OutFile", NULL, PARAM_STRING },
	{ "UseBasicParsing", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Invoke-WebRequest", "iwr wget curl", "Fetches a file.", params, NULL, 0,
	  invoke_web_request },
	{ NULL },
};

const struct noun noun_web = { cmdlets, NULL };
