/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The catalogue of cmdlets, noun by noun, and what all of them have in common: see ctl/table.h. */
#include "ctl/table.h"

#include "ctl/nouns.h"
#include "ctl/text.h"

const struct noun *const table_nouns[] = {
	&noun_vm,
	&noun_processor,
	&noun_memory,
	&noun_version,
	&noun_power,
	&noun_adapter,
	&noun_vlan,
	&noun_switch,
	&noun_switch_drop,
	&noun_switch_capture,
	&noun_nat,
	&noun_nat_mapping,
	&noun_vhd,
	&noun_disk,
	&noun_session,
	&noun_terminal,
	&noun_host,
	&noun_nested,
	&noun_web,
	&noun_net_adapter,
	&noun_net_address,
	&noun_netsh,
	&noun_object,
	&noun_output,
	&noun_help,
	&noun_job,
	&noun_complete,
	&noun_not_yet,
	NULL,
};

static bool is_named(const struct cmdlet *cmdlet, const char *name)
{
	return text_same(cmdlet->name, name) ||
	       (cmdlet->aliases && text_in_list(name, cmdlet->aliases, ' '));
}

const struct cmdlet *table_find(const char *name)
{
	const struct cmdlet *cmdlet;
	size_t place = 0;

	while ((cmdlet = table_next(&place))) {
		if (is_named(cmdlet, name))
			return cmdlet;
	}
	return NULL;
}

const struct cmdlet *table_next(size_t *place)
{
	size_t skip = *place;

	for (size_t i = 0; table_nouns[i]; i++) {
		const struct cmdlet *cmdlets = table_nouns[i]->cmdlets;

		for (size_t k = 0; cmdlets[k].name; k++) {
			if (skip--)
				continue;
			++*place;
			return &cmdlets[k];
		}
	}
	return NULL;
}

const struct view *table_view(const char *type)
{
	for (size_t i = 0; table_nouns[i]; i++) {
		const struct view *views = table_nouns[i]->views;

		for (size_t k = 0; views && views[k].type; k++) {
			if (text_same(views[k].type, type))
				return &views[k];
		}
	}
	return NULL;
}

#define ACTIONS "SilentlyContinue|Stop|Continue|Inquire|Ignore"

static const struct param common_all[] = {
	{ "Verbose", "vb", PARAM_SWITCH },
	{ "Debug", "db", PARAM_SWITCH },
	{ "ErrorAction", "ea", PARAM_ENUM, ACTIONS },
	{ "WarningAction", "wa", PARAM_ENUM, ACTIONS },
	{ "InformationAction", "infa", PARAM_ENUM, ACTIONS },
	{ "ErrorVariable", "ev", PARAM_STRING },
	{ "WarningVariable", "wv", PARAM_STRING },
	{ "InformationVariable", "iv", PARAM_STRING },
	{ "OutVariable", "ov", PARAM_STRING },
	PARAM_END,
};

static const struct param common_changes[] = {
	{ "WhatIf", "wi", PARAM_SWITCH },
	{ "Confirm", "cf", PARAM_SWITCH },
	{ "AsJob", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param common_host[] = {
	{ "ComputerName", NULL, PARAM_STRING, .flags = MANY },
	{ "CimSession", NULL, PARAM_ANY },
	{ "Credential", NULL, PARAM_ANY },
	PARAM_END,
};

static const struct param none[] = { PARAM_END };

void table_common(unsigned cmdlet_flags, const struct param *rows[TABLE_COMMON_SETS])
{
	rows[0] = common_all;
	rows[1] = cmdlet_flags & CMDLET_CHANGES ? common_changes : none;
	rows[2] = cmdlet_flags & CMDLET_HOST ? common_host : none;
}
