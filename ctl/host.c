/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Get-VMHost and Set-VMHost: see ctl/host.h. */
#include "ctl/host.h"

#include "ctl/machine.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/spawn.h"
#include "ctl/text.h"

#include <cpuid.h>
#include <strings.h>
#include <unistd.h>

#define HOST_ID "host"
#define PROGRAM "/proc/self/exe" /* this one */

/* --- facts --- */

void host_vendor(char vendor[HOST_VENDOR_SIZE])
{
	unsigned highest, word[3];

	__cpuid(0, highest, word[0], word[2], word[1]);
	memcpy(vendor, word, sizeof(word));
	vendor[HOST_VENDOR_SIZE - 1] = 0;
}

/* What `nidus engines` says of one of them. */
static json_t *engine_text(const struct text *said, const char *name)
{
	const char *line = said->s;
	size_t len = strlen(name);

	for (; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (!strncmp(line, name, len) && !strncmp(line + len, ": ", 2)) {
			line += len + 2;
			return value_format("%.*s", (int)strcspn(line, "\n"), line);
		}
	}
	return json_string("Not known");
}

json_t *host_engines(bool nested)
{
	char *const argv[] = { PROGRAM, "engines", "--nested", nested ? "on" : "off", NULL };
	json_t *engines = json_object();
	struct text said = { 0 };
	struct error err = { "" };

	if (spawn_run(argv, &said, &err)) {
		json_object_set_new(engines, "KvmEngine", value_format("Not known: %s", err.text));
		json_object_set(engines, "SoftEngine", json_object_get(engines, "KvmEngine"));
	} else {
		json_object_set_new(engines, "KvmEngine", engine_text(&said, "kvm"));
		json_object_set_new(engines, "SoftEngine", engine_text(&said, "soft"));
	}
	text_free(&said);
	return engines;
}

/* --- settings --- */

static json_t *defaults(void)
{
	return json_pack("{ss ss ss ss sb}", "Id", HOST_ID, "Name", HOST_ID, "NestingPolicy",
			 "Documented", "HypervisorLoadOptions", "", "VirtualizationBasedSecurity",
			 0);
}

json_t *host_settings(struct store *store)
{
	json_t *settings = defaults(), *stored = store_get(store, STORE_HOST, HOST_ID, NULL);

	if (stored)
		json_object_update(settings, stored);
	json_decref(stored);
	return settings;
}

bool host_is_preview(struct store *store)
{
	json_t *settings = host_settings(store);
	const char *policy = value_text_of(settings, "NestingPolicy");
	bool is = policy && text_same(policy, "Preview");

	json_decref(settings);
	return is;
}

bool host_offers_nesting(struct store *store)
{
	json_t *settings = host_settings(store);
	const char *options = value_text_of(settings, "HypervisorLoadOptions");
	bool offers = true;

	for (const char *p = options; p && *p; p++)
		offers &= strncasecmp(p, "OFFERNESTEDVIRT=FALSE", 21) != 0;
	json_decref(settings);
	return offers;
}

/* --- the cmdlets --- */

static json_t *host_object(struct store *store)
{
	static const char *const copied[] = { "NestingPolicy", "HypervisorLoadOptions",
					      "VirtualizationBasedSecurity" };
	int64_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
	json_t *settings = host_settings(store), *object = value_object("VMHost");
	json_t *engines = host_engines(false);

	json_object_set_new(object, "Name", machine_host());
	json_object_set_new(object, "LogicalProcessorCount",
			    json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(object, "MemoryCapacity", json_integer(pages * page_bytes));
	json_object_set_new(object, "VirtualMachineMigrationEnabled", json_false());
	json_object_set_new(object, "VirtualHardDiskPath", value_string(store_root(store)));
	json_object_set_new(object, "VirtualMachinePath", value_string(store_root(store)));
	json_object_set_new(object, "MacAddressMinimum", json_string("00155D000000"));
	json_object_set_new(object, "MacAddressMaximum", json_string("00155DFFFFFF"));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		json_object_set(object, copied[i], json_object_get(settings, copied[i]));
	json_object_update(object, engines);
	json_decref(engines);
	json_object_set_new(object, "ComputerName", machine_host());
	json_decref(settings);
	return object;
}

static int get_host(struct call *call)
{
	call_emit(call, host_object(call->shell->store));
	return 0;
}

static int set_locked(struct call *call)
{
	static const char *const pairs[] = { "HypervisorLoadOptions",
					     "HypervisorLoadOptions",
					     "NestingPolicy",
					     "NestingPolicy",
					     "VirtualizationBasedSecurity",
					     "VirtualizationBasedSecurity",
					     NULL };
	struct store *store = call->shell->store;
	json_t *settings = host_settings(store);
	struct error err = { "" };
	int ret = 0;

	call_copy(call, settings, pairs);
	if (store_put(store, STORE_HOST, HOST_ID, settings, &err))
		ret = call_error(call, ERROR_FAILED, HOST_ID, "%s", err.text);
	else if (call_switch(call, "Passthru"))
		call_emit(call, host_object(store));
	json_decref(settings);
	return ret;
}

static int set_host(struct call *call)
{
	struct error err = { "" };
	int ret;

	if (!call_should(call, "configure this host."))
		return 0;
	if (store_lock(call->shell->store, &err))
		return call_error(call, ERROR_FAILED, HOST_ID, "%s", err.text);
	ret = set_locked(call);
	store_unlock(call->shell->store);
	return ret;
}

static const struct param get_params[] = { PARAM_END };

static const struct param set_params[] = {
	{ "HypervisorLoadOptions", NULL, PARAM_STRING },
	{ "NestingPolicy", NULL, PARAM_ENUM, "Documented|Preview" },
	{ "VirtualizationBasedSecurity", NULL, PARAM_BOOL },
	PARAM_PASSTHRU,
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-VMHost", NULL, "Gets this host's settings and what it can do.", get_params, NULL,
	  CMDLET_HOST, get_host },
	{ "Set-VMHost", NULL, "Configures this host.", set_params, NULL,
	  CMDLET_CHANGES | CMDLET_HOST, set_host },
	{ NULL },
};

static const struct column columns[] = {
	{ "Name" },
	{ "LogicalProcessorCount" },
	{ "MemoryCapacity(M)", "MemoryCapacity", UNIT_MIB },
	{ "VirtualMachineMigrationEnabled" },
	{ NULL },
};

static const struct view views[] = { { "VMHost", columns }, { NULL } };

const struct noun noun_host = { cmdlets, views };
