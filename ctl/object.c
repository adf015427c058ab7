/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where-Object and its kin: they choose, order and count the objects of a pipeline. */
#include "ctl/eval.h"
#include "ctl/nouns.h"
#include "ctl/select.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <stdlib.h>

/* --- properties --- */

static json_t *hash_entry(const json_t *hash, const char *const names[], size_t count)
{
	json_t *value = NULL;

	for (size_t i = 0; i < count && !value; i++)
		value = value_member(hash, names[i]);
	return value;
}

static json_t *expression_of(const json_t *property)
{
	static const char *const names[] = { "Expression", "E" };

	if (!json_is_object(property) || value_is(property, VALUE_BLOCK))
		return json_incref((json_t *)property);
	return hash_entry(property, names, ARRAY_SIZE(names));
}

static json_t *name_of(const json_t *property)
{
	static const char *const names[] = { "Name", "N", "Label", "L" };
	json_t *name = NULL;
	char *text;

	if (json_is_object(property) && !value_is(property, VALUE_BLOCK))
		name = hash_entry(property, names, ARRAY_SIZE(names));
	if (name)
		return name;
	text = value_text(property);
	name = value_string(text);
	free(text);
	return name;
}

json_t *select_value(struct call *call, json_t *object, const json_t *property)
{
	json_t *expression = expression_of(property), *value = NULL, *output;

	if (json_is_string(expression)) {
		value = value_member(object, json_string_value(expression));
	} else if (expression && value_is(expression, VALUE_BLOCK)) {
		output = json_array();
		if (shell_run_block(call->shell, expression, object, output) == FLOW_NEXT)
			value = value_collapse(output);
		json_decref(output);
	}
	json_decref(expression);
	return value ? value : json_null();
}

bool select_is_calculated(const json_t *properties)
{
	json_t *property;
	size_t i;

	json_array_foreach(properties, i, property)
	{
		if (json_is_object(property))
			return true;
	}
	return false;
}

json_t *select_names(const json_t *properties)
{
	json_t *names = json_array(), *property;
	size_t i;

	json_array_foreach(properties, i, property) json_array_append_new(names, name_of(property));
	return names;
}

/* A property keeps the name that the object gives it, however it was asked for. */
static json_t *own_name(const json_t *object, json_t *name)
{
	const char *key;
	json_t *value;

	if (json_is_object(object) && json_is_string(name)) {
		json_object_foreach((json_t *)object, key, value)
		{
			if (text_same(key, json_string_value(name))) {
				json_decref(name);
				return json_string(key);
			}
		}
	}
	return name;
}

static void add_matching(json_t *result, const json_t *object, const char *pattern)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return;
	json_object_foreach((json_t *)object, key, value)
	{
		if (*key != '@' && value_like(key, pattern))
			json_object_set(result, key, value);
	}
}

json_t *select_properties(struct call *call, json_t *object, const json_t *properties)
{
	json_t *result = json_object(), *property;
	size_t i;

	json_array_foreach(properties, i, property)
	{
		json_t *name =
			own_name(json_is_string(property) ? object : NULL, name_of(property));
		const char *text = json_string_value(name);

		if (json_is_string(property) && value_is_pattern(text))
			add_matching(result, object, text);
		else if (text)
			json_object_set_new(result, text, select_value(call, object, property));
		json_decref(name);
	}
	return result;
}

/* --- Where-Object --- */

/* The comparisons of the form `where State -eq Off`: the switch that is given. */
static const char *const comparisons[] = {
	"eq", "ne", "gt", "ge", "lt", "le", "like", "notlike", "match", "notmatch", "contains", "in"
};

static const char *given_comparison(const struct call *call)
{
	for (size_t i = 0; i < ARRAY_SIZE(comparisons); i++) {
		if (call_switch(call, comparisons[i]))
			return comparisons[i];
	}
	return NULL;
}

static bool passes(struct call *call, json_t *item)
{
	json_t *block = call_value(call, "FilterScript"), *value, *result = NULL;
	const char *op = given_comparison(call);
	bool passed;

	value = select_value(call, item, block ? block : call_value(call, "Property"));
	if (op)
		result = eval_operator(call->shell, op, value,
				       call_has(call, "Value") ? call_value(call, "Value")
							       : json_null());
	passed = value_true(op ? result : value);
	json_decref(result);
	json_decref(value);
	return passed;
}

static int where_object(struct call *call)
{
	json_t *item;
	size_t i;

	json_array_foreach(call->input, i, item)
	{
		if (passes(call, item))
			json_array_append(call->output, item);
		if (call->shell->exiting)
			break;
	}
	return 0;
}

/* --- ForEach-Object --- */

static int foreach_object(struct call *call)
{
	json_t *block = call_value(call, "Process"), *member = call_value(call, "MemberName");
	json_t *item;
	size_t i;

	json_array_foreach(call->input, i, item)
	{
		if (member)
			call_emit(call, select_value(call, item, member));
		else if (shell_run_block(call->shell, block, item, call->output) == FLOW_STOP) {
			call->stopped = true;
			return -1;
		}
	}
	return 0;
}

/* --- Select-Object --- */

static void keep_unique(json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		for (size_t k = json_array_size(list) - 1; k > i; k--) {
			if (json_equal(json_array_get(list, i), json_array_get(list, k)))
				json_array_remove(list, k);
		}
	}
}

/* The part of the input that -First, -Last and -Skip leave. */
static json_t *cut_out(const struct call *call)
{
	size_t count = json_array_size(call->input), from, to = count;
	size_t skip = (size_t)call_int(call, "Skip", 0), last;
	json_t *part = json_array();

	from = MIN(skip, count);
	if (call_has(call, "Last")) {
		to = count - from;
		last = (size_t)call_int(call, "Last", 0);
		from = to > last ? to - last : 0;
	}
	if (call_has(call, "First"))
		to = MIN(to, from + (size_t)call_int(call, "First", 0));
	for (size_t i = from; i < to; i++)
		json_array_append(part, json_array_get(call->input, i));
	return part;
}

static int select_object(struct call *call)
{
	json_t *properties = call_value(call, "Property"), *list = json_array();
	json_t *part = cut_out(call), *expand = call_value(call, "ExpandProperty"), *item;
	size_t i;

	json_array_foreach(part, i, item)
	{
		json_t *one = expand       ? select_value(call, item, expand)
			      : properties ? select_properties(call, item, properties)
					   : json_incref(item);

		value_spread(list, one);
		json_decref(one);
	}
	if (call_switch(call, "Unique"))
		keep_unique(list);
	json_array_extend(call->output, list);
	json_decref(list);
	json_decref(part);
	return 0;
}

/* --- Sort-Object, Group-Object, Measure-Object --- */

static int compare_keys(const json_t *a, const json_t *b)
{
	size_t i, count = json_array_size(a);

	for (i = 0; i < count; i++) {
		int order = value_compare(json_array_get(a, i), json_array_get(b, i));

		if (order)
			return order;
	}
	return 0;
}

static json_t *sort_key(struct call *call, json_t *item, const json_t *properties)
{
	json_t *key = json_array(), *property;
	size_t i;

	json_array_foreach(properties, i, property)
		json_array_append_new(key, select_value(call, item, property));
	if (!properties)
		json_array_append(key, item);
	return key;
}

/* Insertion keeps the order of equals, and pipelines are short. */
static int sort_object(struct call *call)
{
	json_t *keys = json_array(), *sorted = json_array(), *item;
	bool descending = call_switch(call, "Descending");
	size_t i;

	json_array_foreach(call->input, i, item)
	{
		json_t *key = sort_key(call, item, call_value(call, "Property"));
		size_t at = json_array_size(keys);

		while (at) {
			int order = compare_keys(json_array_get(keys, at - 1), key);

			if (descending ? order >= 0 : order <= 0)
				break;
			at--;
		}
		json_array_insert_new(keys, at, key);
		json_array_insert(sorted, at, item);
	}
	if (call_switch(call, "Unique"))
		keep_unique(sorted);
	json_array_extend(call->output, sorted);
	json_decref(sorted);
	json_decref(keys);
	return 0;
}

static json_t *find_group(json_t *groups, const char *name)
{
	json_t *group;
	size_t i;

	json_array_foreach(groups, i, group)
	{
		if (text_same(value_text_of(group, "Name"), name))
			return group;
	}
	group = value_object("GroupInfo");
	json_object_set_new(group, "Count", json_integer(0));
	json_object_set_new(group, "Name", value_string(name));
	json_object_set_new(group, "Group", json_array());
	json_array_append_new(groups, group);
	return group;
}

static int group_object(struct call *call)
{
	json_t *groups = json_array(), *item;
	size_t i;

	json_array_foreach(call->input, i, item)
	{
		json_t *value = select_value(call, item, call_value(call, "Property")), *group;
		char *name = value_text(value);

		group = find_group(groups, name);
		json_array_append(json_object_get(group, "Group"), item);
		json_object_set_new(
			group, "Count",
			json_integer((json_int_t)json_array_size(json_object_get(group, "Group"))));
		free(name);
		json_decref(value);
	}
	json_array_extend(call->output, groups);
	json_decref(groups);
	return 0;
}

static int measure_object(struct call *call)
{
	json_t *result = value_object("GenericMeasureInfo"),
	       *property = call_value(call, "Property");
	double sum = 0, least = 0, most = 0;
	json_int_t count = 0;
	json_t *item;
	size_t i;

	json_array_foreach(call->input, i, item)
	{
		json_t *value = property ? select_value(call, item, property) : json_incref(item);
		json_t *number = NULL;
		double n;

		if (property && json_is_null(value)) {
			json_decref(value);
			continue;
		}
		n = value_number(value, &number) ? json_number_value(number) : 0;
		least = count && least < n ? least : n;
		most = count && most > n ? most : n;
		sum += n;
		count++;
		json_decref(number);
		json_decref(value);
	}
	json_object_set_new(result, "Count", json_integer(count));
	json_object_set_new(result, "Average",
			    call_switch(call, "Average") && count ? json_real(sum / (double)count)
								  : json_null());
	json_object_set_new(result, "Sum", call_switch(call, "Sum") ? json_real(sum) : json_null());
	json_object_set_new(result, "Maximum",
			    call_switch(call, "Maximum") ? json_real(most) : json_null());
	json_object_set_new(result, "Minimum",
			    call_switch(call, "Minimum") ? json_real(least) : json_null());
	json_object_set(result, "Property", property ? property : json_null());
	call_emit(call, result);
	return 0;
}

/* --- the table --- */

static const struct param where_params[] = {
	{ "FilterScript", NULL, PARAM_BLOCK, .position = POSITION(0), .sets = SET(0),
	  .flags = REQUIRED },
	{ "Property", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(1),
	  .flags = REQUIRED },
	{ "Value", NULL, PARAM_ANY, .position = POSITION(1), .sets = SET(1) },
	{ "eq", "ieq", PARAM_SWITCH, .sets = SET(1) },
	{ "ne", "ine", PARAM_SWITCH, .sets = SET(1) },
	{ "gt", "igt", PARAM_SWITCH, .sets = SET(1) },
	{ "ge", "ige", PARAM_SWITCH, .sets = SET(1) },
	{ "lt", "ilt", PARAM_SWITCH, .sets = SET(1) },
	{ "le", "ile", PARAM_SWITCH, .sets = SET(1) },
	{ "like", "ilike", PARAM_SWITCH, .sets = SET(1) },
	{ "notlike", "inotlike", PARAM_SWITCH, .sets = SET(1) },
	{ "match", "imatch", PARAM_SWITCH, .sets = SET(1) },
	{ "notmatch", "inotmatch", PARAM_SWITCH, .sets = SET(1) },
	{ "contains", "icontains", PARAM_SWITCH, .sets = SET(1) },
	{ "in", "iin", PARAM_SWITCH, .sets = SET(1) },
	PARAM_END,
};

static const struct param foreach_params[] = {
	{ "Process", NULL, PARAM_BLOCK, .position = POSITION(0), .sets = SET(0),
	  .flags = REQUIRED },
	{ "MemberName", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(1),
	  .flags = REQUIRED },
	PARAM_END,
};

static const struct param select_params[] = {
	{ "Property", NULL, PARAM_ANY, .position = POSITION(0), .flags = MANY },
	{ "ExpandProperty", NULL, PARAM_STRING },
	{ "First", NULL, PARAM_INT, .min = 0, .max = INT32_MAX },
	{ "Last", NULL, PARAM_INT, .min = 0, .max = INT32_MAX },
	{ "Skip", NULL, PARAM_INT, .min = 0, .max = INT32_MAX },
	{ "Unique", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param sort_params[] = {
	{ "Property", NULL, PARAM_ANY, .position = POSITION(0), .flags = MANY },
	{ "Descending", NULL, PARAM_SWITCH },
	{ "Unique", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param group_params[] = {
	{ "Property", NULL, PARAM_ANY, .position = POSITION(0), .flags = REQUIRED },
	PARAM_END,
};

static const struct param measure_params[] = {
	{ "Property", NULL, PARAM_STRING, .position = POSITION(0) },
	{ "Average", NULL, PARAM_SWITCH },
	{ "Maximum", NULL, PARAM_SWITCH },
	{ "Minimum", NULL, PARAM_SWITCH },
	{ "Sum", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Where-Object", "where ?", "Passes on the objects that fit a condition.", where_params,
	  "ScriptBlockSet Property", CMDLET_WHOLE_INPUT, where_object },
	{ "ForEach-Object", "foreach %", "Runs a script block for each object.", foreach_params,
	  "ScriptBlockSet Property", CMDLET_WHOLE_INPUT, foreach_object },
	{ "Select-Object", "select", "Chooses objects and properties.", select_params, NULL,
	  CMDLET_WHOLE_INPUT, select_object },
	{ "Sort-Object", "sort", "Sorts objects by properties.", sort_params, NULL,
	  CMDLET_WHOLE_INPUT, sort_object },
	{ "Group-Object", "group", "Groups objects by a property.", group_params, NULL,
	  CMDLET_WHOLE_INPUT, group_object },
	{ "Measure-Object", "measure", "Counts objects and adds up a property.", measure_params,
	  NULL, CMDLET_WHOLE_INPUT, measure_object },
	{ NULL },
};

const struct noun noun_object = { cmdlets, NULL };
