/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completion: see ctl/complete.h. It looks at words, not at the grammar: a hint, no verdict. */
#include "ctl/complete.h"

#include "ctl/lex.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <stdlib.h>
#include <strings.h>

#define WORDS_MAX 64

/* The words of the command that the text ends in. The last one is empty behind a blank. */
struct words {
	const char *start[WORDS_MAX];
	size_t len[WORDS_MAX];
	size_t count;
};

static bool begins_command(char c)
{
	return strchr("|;({=\n", c) != NULL;
}

static void add_word(struct words *words, const char *start, size_t len)
{
	if (words->count == WORDS_MAX)
		return;
	words->start[words->count] = start;
	words->len[words->count++] = len;
}

static struct words split(const char *text)
{
	struct words words = { .count = 0 };
	const char *word = text;
	char quote = 0;

	for (const char *p = text;; p++) {
		if (quote && *p && *p != quote)
			continue;
		if (*p == '\'' || *p == '"') {
			quote = quote ? 0 : *p;
			continue;
		}
		if (*p && *p != ' ' && *p != '\t' && *p != ',' && !begins_command(*p))
			continue;
		if (p > word || !*p)
			add_word(&words, word, (size_t)(p - word));
		if (!*p)
			return words;
		if (begins_command(*p))
			words.count = 0;
		word = p + 1;
	}
}

static bool has_prefix(const char *name, const char *word, size_t len)
{
	return !strncasecmp(name, word, len);
}

static void add(json_t *list, const char *text, size_t len)
{
	json_array_append_new(list, json_stringn(text, len));
}

/* --- what there is --- */

static void add_cmdlets(json_t *list, const char *word, size_t len)
{
	const struct cmdlet *cmdlet;
	size_t place = 0;

	while ((cmdlet = table_next(&place))) {
		if (has_prefix(cmdlet->name, word, len) && !(cmdlet->flags & CMDLET_HIDDEN))
			add(list, cmdlet->name, strlen(cmdlet->name));
	}
}

static void add_parameters_of(json_t *list, const struct param *rows, const char *word, size_t len)
{
	const char *last = "";

	for (; rows && rows->name; rows++) {
		if (has_prefix(rows->name, word, len) && strcmp(rows->name, last))
			json_array_append_new(list, value_format("-%s", rows->name));
		last = rows->name;
	}
}

static void add_parameters(json_t *list, const struct cmdlet *cmdlet, const char *word, size_t len)
{
	const struct param *common[TABLE_COMMON_SETS];

	add_parameters_of(list, cmdlet->params, word, len);
	table_common(cmdlet->flags, common);
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		add_parameters_of(list, common[i], word, len);
}

static void add_choices(json_t *list, const char *choices, const char *word, size_t len)
{
	for (size_t part; choices; choices = choices[part] ? choices + part + 1 : NULL) {
		part = strcspn(choices, "|");
		if (has_prefix(choices, word, len))
			add(list, choices, part);
	}
}

/* Names with blanks in them need quotes. */
static void add_definitions(json_t *list, struct store *store, const char *kind, const char *word,
			    size_t len)
{
	json_t *all = store_list(store, kind, NULL, NULL), *definition;
	size_t i;

	json_array_foreach(all, i, definition)
	{
		const char *name = value_text_of(definition, "Name");

		if (!has_prefix(name, word, len))
			continue;
		json_array_append_new(list, strchr(name, ' ') ? value_format("'%s'", name)
							      : json_string(name));
	}
	json_decref(all);
}

/* --- the value of a parameter --- */

static const struct param *find_param(const struct cmdlet *cmdlet, const char *word, size_t len)
{
	for (const struct param *row = cmdlet->params; row && row->name; row++) {
		if (has_prefix(row->name, word, len))
			return row;
	}
	return NULL;
}

/* Which parameter the last word is for: the one named before it, else the first by position. */
static const struct param *param_for(const struct cmdlet *cmdlet, const struct words *words)
{
	const struct param *named;
	unsigned dashes;
	const char *name;

	if (words->count < 2)
		return NULL;
	name = lex_skip_dashes(words->start[words->count - 2], &dashes);
	if (dashes && words->count > 2) {
		named = find_param(cmdlet, name,
				   words->len[words->count - 2] -
					   (size_t)(name - words->start[words->count - 2]));
		if (named && named->type != PARAM_SWITCH)
			return named;
	}
	for (const struct param *row = cmdlet->params; row && row->name; row++) {
		if (row->position == POSITION(0))
			return row;
	}
	return NULL;
}

static void add_values(json_t *list, struct store *store, const struct cmdlet *cmdlet,
		       const struct words *words, const char *word, size_t len)
{
	const struct param *param = param_for(cmdlet, words);

	if (!param)
		return;
	if (param->type == PARAM_ENUM)
		add_choices(list, param->of, word, len);
	else if (param->type == PARAM_BOOL)
		add_choices(list, "$true|$false", word, len);
	else if (text_same(param->name, "SwitchName") || strstr(cmdlet->name, "VMSwitch"))
		add_definitions(list, store, STORE_SWITCHES, word, len);
	else if (text_same(param->name, "VMName") || strstr(cmdlet->name, "-VM"))
		add_definitions(list, store, STORE_VMS, word, len);
}

json_t *complete_text(struct store *store, const char *text, size_t *start)
{
	struct words words = split(text);
	const char *word = words.start[words.count - 1], *name;
	size_t len = words.len[words.count - 1];
	json_t *list = json_array();
	const struct cmdlet *cmdlet;
	unsigned dashes;
	char *first;

	*start = (size_t)(word - text);
	if (words.count == 1) {
		add_cmdlets(list, word, len);
		return list;
	}
	first = text_copy_n(words.start[0], words.len[0]);
	cmdlet = table_find(first);
	free(first);
	if (!cmdlet)
		return list;
	name = lex_skip_dashes(word, &dashes);
	if (dashes)
		add_parameters(list, cmdlet, name, len - (size_t)(name - word));
	else
		add_values(list, store, cmdlet, &words, word, len);
	return list;
}

/* --- TabExpansion2 --- */

static int tab_expansion(struct call *call)
{
	size_t start;
	json_t *list = complete_text(call->shell->store, call_string(call, "inputScript"), &start);

	call_emit(call, list);
	return 0;
}

static const struct param params[] = {
	{ "inputScript", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "TabExpansion2", NULL, "Lists what a line could go on with.", params, NULL, CMDLET_HIDDEN,
	  tab_expansion },
	{ NULL },
};

const struct noun noun_complete = { cmdlets, NULL };
