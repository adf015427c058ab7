/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Get-Command and Get-Help: what the table says, for people. */
#include "ctl/convert.h"
#include "ctl/nouns.h"
#include "ctl/text.h"

#include <stdlib.h>

static json_t *words_of(const char *list)
{
	json_t *words = json_array();

	for (const char *p = list; p && *p;) {
		size_t len = strcspn(p, " ");

		json_array_append_new(words, json_stringn(p, len));
		p += len + (p[len] == ' ');
	}
	return words;
}

static json_t *command_object(const struct cmdlet *cmdlet)
{
	json_t *object = value_object("CmdletInfo");

	json_object_set_new(object, "CommandType", json_string("Cmdlet"));
	json_object_set_new(object, "Name", json_string(cmdlet->name));
	json_object_set_new(object, "Aliases", words_of(cmdlet->aliases));
	json_object_set_new(object, "Summary", json_string(cmdlet->summary));
	json_object_set_new(object, "Available", json_boolean(!(cmdlet->flags & CMDLET_NOT_YET)));
	return object;
}

static int get_command(struct call *call)
{
	const json_t *names = call_value(call, "Name");
	size_t place = 0, hits = 0;
	const struct cmdlet *cmdlet;

	while ((cmdlet = table_next(&place))) {
		bool fits = !names && !(cmdlet->flags & CMDLET_HIDDEN);
		json_t *name;
		size_t i;

		json_array_foreach(names, i, name)
		{
			const char *text = json_string_value(name);

			fits |= value_like(cmdlet->name, text) || table_find(text) == cmdlet;
		}
		if (fits)
			call_emit(call, command_object(cmdlet));
		hits += fits;
	}
	if (!hits)
		return call_error_as(call, "ObjectNotFound", "CommandNotFoundException", "",
				     "There is no such command.");
	return 0;
}

/* --- Get-Help --- */

static bool is_in_set(const struct param *param, unsigned set)
{
	return !param->sets || param->sets & SET(set);
}

static void add_syntax_of(struct text *text, const struct param *param)
{
	char type[128];
	bool optional = !(param->flags & REQUIRED), placed = param->position || param->flags & REST;

	convert_type_name(param, type, sizeof(type));
	text_add(text, optional ? " [" : " ");
	text_addf(text, placed ? "[-%s]" : "-%s", param->name);
	if (param->type == PARAM_ENUM)
		text_addf(text, " <%s%s>", param->of, param->flags & MANY ? ",..." : "");
	else if (param->type != PARAM_SWITCH)
		text_addf(text, " <%s>", strrchr(type, '.') ? strrchr(type, '.') + 1 : type);
	text_add(text, optional ? "]" : "");
}

/* A line for each parameter set. */
static void add_syntax_lines(struct text *text, const struct cmdlet *cmdlet, const char *indent)
{
	json_t *sets = words_of(cmdlet->sets ? cmdlet->sets : "All"), *name;
	size_t i;

	json_array_foreach(sets, i, name)
	{
		text_addf(text, "%s%s", indent, cmdlet->name);
		for (const struct param *p = cmdlet->params; p->name; p++) {
			if (is_in_set(p, (unsigned)i))
				add_syntax_of(text, p);
		}
		if (cmdlet->flags & CMDLET_CHANGES)
			text_add(text, " [-WhatIf] [-Confirm]");
		text_add(text, " [<CommonParameters>]\n");
	}
	json_decref(sets);
}

static void add_syntax(struct text *text, const struct cmdlet *cmdlet)
{
	text_add(text, "\nSYNTAX\n");
	add_syntax_lines(text, cmdlet, "    ");
}

static void add_help(struct text *text, const struct cmdlet *cmdlet)
{
	text_addf(text, "NAME\n    %s\n\nSYNOPSIS\n    %s%s\n", cmdlet->name, cmdlet->summary,
		  cmdlet->flags & CMDLET_NOT_YET ? " (Not available yet.)" : "");
	if (cmdlet->params)
		add_syntax(text, cmdlet);
	if (cmdlet->aliases)
		text_addf(text, "\nALIASES\n    %s\n", cmdlet->aliases);
}

static void add_overview(struct text *text)
{
	const struct cmdlet *cmdlet;
	size_t place = 0;

	text_add(text, "Get-Help NAME says how a cmdlet is used. The cmdlets:\n\n");
	while ((cmdlet = table_next(&place))) {
		if (!(cmdlet->flags & (CMDLET_HIDDEN | CMDLET_NOT_YET)))
			text_addf(text, "    %-30s %s\n", cmdlet->name, cmdlet->summary);
	}
}

/* --- the manual page --- */

/* roff takes a dash for a hyphen and fills lines, also those that are to stand alone. */
static void add_roff(struct text *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (*p == '-' || *p == '\\')
			text_add(out, "\\");
		text_add_n(out, p, 1);
		if (*p == '\n')
			text_add(out, ".br\n");
	}
}

static void add_manual(struct text *out)
{
	const struct cmdlet *cmdlet;
	size_t place = 0;

	text_add(out, ".TH NIDUS\\-CMDLETS 1\n.SH NAME\nnidus\\-cmdlets \\- the cmdlets of nidus\n"
		      ".SH DESCRIPTION\nTyped at the prompt of\n.BR nidus (1),\nin scripts, or as "
		      "words behind it in any shell.\n.SH CMDLETS\n");
	while ((cmdlet = table_next(&place))) {
		struct text syntax = { 0 };

		if (cmdlet->flags & (CMDLET_HIDDEN | CMDLET_NOT_YET))
			continue;
		text_add(out, ".SS ");
		add_roff(out, cmdlet->name);
		text_add(out, "\n");
		add_roff(out, cmdlet->summary);
		add_syntax_lines(&syntax, cmdlet, "");
		text_add(out, "\n.PP\n.ad l\n.nh\n");
		add_roff(out, syntax.s);
		text_free(&syntax);
	}
}

static int get_help(struct call *call)
{
	const char *name = call_string(call, "Name");
	const struct cmdlet *cmdlet = name ? table_find(name) : NULL;
	struct text text = { 0 };

	if (name && !cmdlet)
		return call_error_as(call, "ResourceUnavailable", "HelpNotFound", name,
				     "There is no command '%s'. Get-Command lists those there are.",
				     name);
	if (call_switch(call, "Manual"))
		add_manual(&text);
	else if (cmdlet)
		add_help(&text, cmdlet);
	else
		add_overview(&text);
	call_emit(call, value_lines(text.s));
	text_free(&text);
	return 0;
}

static const struct param command_params[] = {
	{ "Name", NULL, PARAM_STRING, .position = POSITION(0), .flags = MANY | BY_VALUE },
	PARAM_END,
};

static const struct param help_params[] = {
	{ "Manual", NULL, PARAM_SWITCH },
	{ "Name", NULL, PARAM_STRING, .position = POSITION(0), .flags = BY_VALUE | BY_NAME },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Get-Command", "gcm", "Lists cmdlets.", command_params, NULL, 0, get_command },
	{ "Get-Help", "man", "Says how a cmdlet is used.", help_params, NULL, 0, get_help },
	{ NULL },
};

static const struct column columns[] = { { "CommandType" }, { "Name" }, { "Summary" }, { NULL } };

static const struct view views[] = { { "CmdletInfo", columns }, { NULL } };

const struct noun noun_help = { cmdlets, views };
