/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments to parameters: see ctl/bind.h. */
#include "ctl/bind.h"

#include "ctl/convert.h"
#include "ctl/lex.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define SETS_ALL 0xffffu

static unsigned count_sets(const struct cmdlet *cmdlet)
{
	unsigned count = 1;

	for (const char *p = cmdlet->sets; p && *p; p++)
		count += *p == ' ';
	return count;
}

static unsigned sets_of_row(const struct param *row)
{
	return row->sets ? row->sets : SETS_ALL;
}

/* All sets that a name is in: it may have a row for some and another for others. */
static unsigned sets_of_name(const struct cmdlet *cmdlet, const struct param *param)
{
	unsigned sets = 0;

	for (const struct param *row = cmdlet->params; row->name; row++) {
		if (text_same(row->name, param->name))
			sets |= sets_of_row(row);
	}
	return sets ? sets : SETS_ALL;
}

/* --- names --- */

bool bind_is_named(const struct param *param, const char *name)
{
	return text_same(param->name, name) ||
	       (param->aliases && text_in_list(name, param->aliases, ' '));
}

static bool starts_with(const char *name, const char *prefix, size_t len)
{
	return !strncasecmp(name, prefix, len);
}

static bool has_prefix(const struct param *param, const char *prefix)
{
	size_t len = strlen(prefix);
	const char *alias = param->aliases;

	if (starts_with(param->name, prefix, len))
		return true;
	for (; alias; alias = strchr(alias, ' '), alias = alias ? alias + 1 : NULL) {
		if (starts_with(alias, prefix, len))
			return true;
	}
	return false;
}

static const struct param *find_exact(const struct param *rows, const char *name)
{
	for (; rows->name; rows++) {
		if (bind_is_named(rows, name))
			return rows;
	}
	return NULL;
}

/* The only one with that prefix. More than one: *candidates lists them. */
static const struct param *find_prefix(const struct param *rows, const char *prefix,
				       struct text *candidates)
{
	const struct param *hit = NULL;

	for (; rows->name; rows++) {
		if (!has_prefix(rows, prefix) || (hit && text_same(hit->name, rows->name)))
			continue;
		text_addf(candidates, " -%s", rows->name);
		hit = rows;
	}
	return hit;
}

static bool is_ambiguous(const struct text *candidates)
{
	return candidates->s && strchr(candidates->s + 1, ' ');
}

/* The row for a name as it was typed; more than one candidate: it is ambiguous. */
static const struct param *look_up(const struct cmdlet *cmdlet, const char *name,
				   struct text *candidates)
{
	const struct param *common[TABLE_COMMON_SETS], *hit = find_exact(cmdlet->params, name);

	table_common(cmdlet->flags, common);
	for (size_t i = 0; i < ARRAY_SIZE(common) && !hit; i++)
		hit = find_exact(common[i], name);
	if (hit)
		return hit;
	hit = find_prefix(cmdlet->params, name, candidates);
	for (size_t i = 0; i < ARRAY_SIZE(common) && !candidates->s; i++)
		hit = find_prefix(common[i], name, candidates);
	return hit;
}

static void complain_unknown(struct call *call, const char *name)
{
	size_t bytes;

	if (lex_is_dash(lex_character(name, &bytes)))
		call_error_as(call, "InvalidArgument", "NamedParameterNotFound", name,
			      "Parameters have one dash here: write %s.", name);
	else
		call_error_as(call, "InvalidArgument", "NamedParameterNotFound", name,
			      "A parameter cannot be found that matches parameter name '%s'.",
			      name);
}

const struct param *bind_find(struct call *call, const char *name)
{
	struct text candidates = { 0 };
	const struct param *hit = look_up(call->cmdlet, name, &candidates);

	if (!hit) {
		complain_unknown(call, name);
	} else if (is_ambiguous(&candidates)) {
		call_error_as(call, "InvalidArgument", "AmbiguousParameter", name,
			      "Parameter cannot be processed because the parameter name '%s' is "
			      "ambiguous. Possible matches include:%s.",
			      name, candidates.s);
		hit = NULL;
	}
	text_free(&candidates);
	return hit;
}

/* --- binding one --- */

static int ambiguous_set(struct call *call)
{
	return call_error_as(
		call, "InvalidArgument", "AmbiguousParameterSet", "",
		"Parameter set cannot be resolved using the specified named parameters. "
		"One or more parameters issued cannot be used together or an "
		"insufficient number of parameters were provided.");
}

static int bind_value(struct call *call, const struct param *param, const json_t *value,
		      const char *word, unsigned *sets)
{
	unsigned left = *sets & sets_of_name(call->cmdlet, param);
	struct error err = { "" };
	const char *id = "";
	json_t *converted;

	if (!left)
		return ambiguous_set(call);
	converted = convert_value(param, value, word, call->shell->unix_words, &id, &err);
	if (!converted)
		return call_error_as(call, "InvalidArgument", id, param->name, "%s", err.text);
	json_object_set_new(call->args, param->name, converted);
	*sets = left;
	return 0;
}

/* --- named --- */

static int bind_named(struct call *call, const struct argument *argument, unsigned *sets)
{
	const struct param *param = bind_find(call, argument->name);
	json_t *value = argument->value, *yes = NULL;
	char type[128];
	int ret;

	if (!param)
		return -1;
	if (call_has(call, param->name))
		return call_error_as(
			call, "InvalidArgument", "ParameterAlreadyBound", param->name,
			"Cannot bind parameter because parameter '%s' is specified more "
			"than once. To provide multiple values to parameters that can "
			"accept multiple values, use the array syntax. For example, "
			"\"-parameter value1,value2,value3\".",
			param->name);
	if (!value && param->type == PARAM_SWITCH)
		value = yes = json_true();
	if (!value) {
		convert_type_name(param, type, sizeof(type));
		return call_error_as(
			call, "InvalidArgument", "MissingArgument", param->name,
			"Missing an argument for parameter '%s'. Specify a parameter of "
			"type '%s' and try again.%s",
			param->name, type,
			param->type == PARAM_BOOL && call->shell->unix_words
				? " A Unix shell makes nothing of $true: write true, or "
				  "'$true' in quotes."
				: "");
	}
	ret = bind_value(call, param, value, argument->word, sets);
	json_decref(yes);
	return ret;
}

/* A switch's name is followed by a positional argument, any other one's by its value. */
static bool takes_next(const struct call *call, const struct argument *argument)
{
	struct text candidates = { 0 };
	const struct param *param;

	if (argument->value)
		return false;
	param = look_up(call->cmdlet, argument->name, &candidates);
	text_free(&candidates);
	return param && param->type != PARAM_SWITCH;
}

/* --- positional --- */

/* All words of a Unix shell are text: one that is a number is meant as one. */
static bool fits(const struct call *call, const struct param *row, const json_t *value)
{
	json_t *number = NULL;
	bool is_number = call->shell->unix_words && row->type == PARAM_INT &&
			 json_is_string(value) && value_number(value, &number);

	json_decref(number);
	return is_number || convert_fits(row, value);
}

/* The row for the next positional argument: the lowest free position, exact types first. */
static const struct param *find_position(const struct call *call, const json_t *value,
					 unsigned sets)
{
	const struct param *best = NULL;
	unsigned best_score = 0;

	for (const struct param *row = call->cmdlet->params; row->name; row++) {
		unsigned score;

		if (!row->position || !(sets_of_row(row) & sets) || call_has(call, row->name))
			continue;
		if (best && row->position > best->position)
			continue;
		/* PowerShell tries the default set before the others, and types before conversion.
		 */
		score = (fits(call, row, value) ? 2u : 0u) + (sets_of_row(row) & SET(0) ? 1u : 0u) +
			1;
		if (!best || row->position < best->position || score > best_score) {
			best = row;
			best_score = score;
		}
	}
	return best;
}

static const struct param *find_rest(const struct call *call)
{
	for (const struct param *row = call->cmdlet->params; row->name; row++) {
		if (row->flags & REST)
			return row;
	}
	return NULL;
}

static int bind_positional(struct call *call, const struct argument *argument, unsigned *sets)
{
	const struct param *param = find_position(call, argument->value, *sets);
	json_t *rest;
	char *text;

	if (param)
		return bind_value(call, param, argument->value, argument->word, sets);
	param = find_rest(call);
	if (param) {
		rest = json_object_get(call->args, param->name);
		if (!rest) {
			rest = json_array();
			json_object_set_new(call->args, param->name, rest);
		}
		if (argument->word)
			json_array_append_new(rest, value_string(argument->word));
		else
			json_array_append(rest, argument->value);
		return 0;
	}
	text = value_text(argument->value);
	call_error_as(call, "InvalidArgument", "PositionalParameterNotFound", text,
		      "A positional parameter cannot be found that accepts argument '%s'.", text);
	free(text);
	return -1;
}

static int bind_all_named(struct call *call, struct argument *all, size_t count, unsigned *sets)
{
	for (size_t i = 0; i < count; i++) {
		if (!all[i].name)
			continue;
		if (i + 1 < count && !all[i + 1].name && all[i + 1].value &&
		    takes_next(call, &all[i])) {
			all[i].value = all[i + 1].value;
			all[i].word = all[i + 1].word;
			all[i + 1].value = NULL; /* taken */
		}
		if (bind_named(call, &all[i], sets))
			return -1;
	}
	return 0;
}

static void apply_common(struct call *call)
{
	call->action = call_action(call_string(call, "ErrorAction"), call->action);
	call->verbose = call_switch(call, "Verbose");
}

int bind_arguments(struct call *call, const struct argument *arguments, size_t count,
		   unsigned *sets)
{
	struct argument *all = alloc_zeroed(count * sizeof(*all));
	int ret;

	*sets = SET(count_sets(call->cmdlet)) - 1;
	if (count)
		memcpy(all, arguments, count * sizeof(*all));
	ret = bind_all_named(call, all, count, sets);
	for (size_t i = 0; i < count && !ret; i++) {
		if (!all[i].name && all[i].value)
			ret = bind_positional(call, &all[i], sets);
	}
	free(all);
	apply_common(call);
	return ret;
}

/* --- the pipeline's object --- */

static bool can_take(const struct call *call, const struct param *row, unsigned flag, unsigned sets)
{
	return row->flags & flag && sets_of_row(row) & sets && !call_has(call, row->name);
}

static bool is_default(const struct param *row)
{
	return sets_of_row(row) & SET(0);
}

/* First the rows of the default set, then the others. */
static int bind_by_value(struct call *call, const json_t *object, bool convert, unsigned *sets)
{
	for (int other = 0; other < 2; other++) {
		for (const struct param *row = call->cmdlet->params; row->name; row++) {
			struct error err = { "" };
			const char *id;
			json_t *value;

			if (!can_take(call, row, BY_VALUE, *sets) || is_default(row) == other)
				continue;
			if (!convert && !convert_fits(row, object))
				continue;
			/* Objects do not become names: that is left to their properties. */
			if (convert && row->type == PARAM_STRING && json_is_object(object))
				continue;
			value = convert_value(row, object, NULL, false, &id, &err);
			if (!value)
				continue;
			json_object_set_new(call->args, row->name, value);
			*sets &= sets_of_row(row);
			return 1;
		}
	}
	return 0;
}

/* The property that has the parameter's name or one of its aliases. */
static json_t *property_for(const struct param *row, const json_t *object)
{
	const char *alias = row->aliases;
	json_t *value = value_member(object, row->name);

	while (!value && alias) {
		size_t len = strcspn(alias, " ");
		char *name = text_copy_n(alias, len);

		value = value_member(object, name);
		free(name);
		alias = alias[len] ? alias + len + 1 : NULL;
	}
	return value;
}

static int bind_by_name(struct call *call, const json_t *object, unsigned *sets)
{
	int bound = 0;

	if (!json_is_object(object))
		return 0;
	for (int other = 0; other < 2; other++) {
		for (const struct param *row = call->cmdlet->params; row->name; row++) {
			struct error err = { "" };
			const char *id;
			json_t *property, *value;

			if (!can_take(call, row, BY_NAME, *sets) || is_default(row) == other)
				continue;
			property = property_for(row, object);
			if (!property)
				continue;
			value = convert_value(row, property, NULL, false, &id, &err);
			json_decref(property);
			if (!value)
				continue;
			json_object_set_new(call->args, row->name, value);
			*sets &= sets_of_row(row);
			bound++;
		}
	}
	return bound;
}

static int bind_object(struct call *call, const json_t *object, unsigned *sets)
{
	int bound = bind_by_value(call, object, false, sets);
	char *text;

	bound += bind_by_name(call, object, sets);
	if (!bound)
		bound = bind_by_value(call, object, true, sets);
	if (bound)
		return 0;
	text = value_text(object);
	call_error_as(call, "InvalidArgument", "InputObjectNotBound", text,
		      "The input object cannot be bound to any parameters for the command either "
		      "because the command does not take pipeline input or the input and its "
		      "properties do not match any of the parameters that take pipeline input.");
	free(text);
	return -1;
}

/* --- what is missing, and the set --- */

static bool is_missing(const struct call *call, const struct param *row, unsigned set)
{
	return row->flags & REQUIRED && sets_of_row(row) & set && !call_has(call, row->name);
}

static unsigned missing_in(const struct call *call, unsigned set)
{
	unsigned missing = 0;

	for (const struct param *row = call->cmdlet->params; row->name; row++)
		missing += is_missing(call, row, set);
	return missing;
}

/* One value, or one after the other up to an empty line. NULL: the operator gave none. */
static json_t *ask_for(struct call *call, const struct param *row)
{
	json_t *list = json_array();

	while (1) {
		char *prompt = row->flags & MANY
				       ? text_format("%s[%zu]: ", row->name, json_array_size(list))
				       : text_format("%s: ", row->name);
		char *line = shell_read_line(call->shell, prompt);
		bool more = line && *line;

		if (more)
			json_array_append_new(list, value_string(line));
		free(prompt);
		free(line);
		if (!more || !(row->flags & MANY))
			break;
	}
	if (json_array_size(list))
		return list;
	json_decref(list);
	return NULL;
}

static int ask_for_missing(struct call *call, unsigned set, unsigned *sets)
{
	fprintf(call->shell->out,
		"\ncmdlet %s at command pipeline position 1\nSupply values for the following "
		"parameters:\n",
		call->name);
	for (const struct param *row = call->cmdlet->params; row->name; row++) {
		json_t *value;
		int ret;

		if (!is_missing(call, row, set))
			continue;
		value = ask_for(call, row);
		if (!value)
			return -1;
		ret = bind_value(call, row, value, NULL, sets);
		json_decref(value);
		if (ret)
			return ret;
	}
	return 0;
}

static int complain_missing(struct call *call, unsigned set)
{
	struct text names = { 0 };

	for (const struct param *row = call->cmdlet->params; row->name; row++) {
		if (is_missing(call, row, set))
			text_addf(&names, " %s", row->name);
	}
	call_error_as(call, "InvalidArgument", "MissingMandatoryParameter", names.s + 1,
		      "Cannot process command because of one or more missing mandatory "
		      "parameters:%s.",
		      names.s);
	text_free(&names);
	return -1;
}

/* The set whose requirements are met: the default where several are. SETS_ALL: none. */
static unsigned complete_set(const struct call *call, unsigned sets, unsigned *how_many)
{
	unsigned hit = SETS_ALL;

	*how_many = 0;
	for (unsigned i = 0; sets >> i; i++) {
		if (!(sets & SET(i)) || missing_in(call, SET(i)))
			continue;
		if (hit == SETS_ALL)
			hit = i;
		++*how_many;
	}
	return hit;
}

int bind_record(struct call *call, const json_t *object, unsigned sets)
{
	unsigned how_many, set;

	if (object && bind_object(call, object, &sets))
		return -1;
	set = complete_set(call, sets, &how_many);
	if (!how_many) { /* the default set, or the first that is left, is the one to complete */
		set = sets & SET(0) ? 0 : (unsigned)__builtin_ctz(sets);
		if (!call->shell->interactive)
			return complain_missing(call, SET(set));
		if (ask_for_missing(call, SET(set), &sets))
			return -1;
	} else if (how_many > 1 && set != 0) {
		return ambiguous_set(call);
	}
	call->set = set;
	return 0;
}
