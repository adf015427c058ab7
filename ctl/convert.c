/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values to what a parameter wants: see ctl/convert.h. */
#include "ctl/convert.h"

#include "ctl/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define NS_PER_SECOND    1000000000ll
#define SPAN_SECONDS_MAX 9000000000ll

static const char id_convert[] = "CannotConvertArgumentNoMessage";
static const char id_validate[] = "ParameterArgumentValidationError";

void convert_type_name(const struct param *param, char *name, size_t size)
{
	static const char *const names[] = {
		[PARAM_SWITCH] = "System.Management.Automation.SwitchParameter",
		[PARAM_BOOL] = "System.Boolean",
		[PARAM_STRING] = "System.String",
		[PARAM_INT] = "System.Int64",
		[PARAM_BLOCK] = "System.Management.Automation.ScriptBlock",
		[PARAM_TIMESPAN] = "System.TimeSpan",
		[PARAM_ANY] = "System.Object",
	};
	const char *base = names[param->type];

	if (param->type == PARAM_ENUM)
		base = param->name;
	else if (param->type == PARAM_OBJECT)
		base = param->of;
	snprintf(name, size, "%s%s", base, param->flags & MANY ? "[]" : "");
}

static bool fits_one(const struct param *param, const json_t *value)
{
	switch (param->type) {
	case PARAM_SWITCH:
	case PARAM_BOOL:
		return json_is_boolean(value);
	case PARAM_STRING:
		return json_is_string(value);
	case PARAM_INT:
		return json_is_integer(value);
	case PARAM_ENUM:
		return json_is_string(value) &&
		       text_in_list(json_string_value(value), param->of, '|');
	case PARAM_OBJECT:
		return json_is_object(value) && text_in_list(value_type(value), param->of, '|');
	case PARAM_BLOCK:
		return value_is(value, VALUE_BLOCK);
	case PARAM_TIMESPAN:
		return value_is(value, VALUE_TIMESPAN);
	case PARAM_ANY:
		break;
	}
	return true;
}

bool convert_fits(const struct param *param, const json_t *value)
{
	json_t *element;
	size_t i;

	if (!json_is_array(value) || param->type == PARAM_ANY)
		return fits_one(param, value);
	if (!(param->flags & MANY))
		return false;
	json_array_foreach(value, i, element)
	{
		if (!fits_one(param, element))
			return false;
	}
	return true;
}

static json_t *refuse(const struct param *param, const json_t *value, const char *why,
		      struct error *err)
{
	char type[128], *text = value_text(value);
	struct param one = *param;

	one.flags &= ~(unsigned)MANY;
	convert_type_name(&one, type, sizeof(type));
	error_set(err, -EINVAL,
		  "Cannot bind parameter '%s'. Cannot convert value \"%s\" to type \"%s\".%s%s",
		  param->name, text, type, *why ? " " : "", why);
	free(text);
	return NULL;
}

static json_t *to_bool(const struct param *param, const json_t *value, bool unix_words,
		       struct error *err)
{
	const char *text = json_string_value(value);
	json_t *result;

	if (json_is_boolean(value))
		return json_incref((json_t *)value);
	if (json_is_number(value))
		return json_boolean(value_true(value));
	if (unix_words && text) {
		text += *text == '$';
		if (text_same(text, "true") || text_same(text, "1"))
			return json_true();
		if (text_same(text, "false") || text_same(text, "0"))
			return json_false();
	}
	result = refuse(param, value,
			"Boolean parameters accept only Boolean values and numbers, such as $True, "
			"$False, 1 or 0.",
			err);
	return result;
}

static json_t *to_int(const struct param *param, const json_t *value, struct error *err)
{
	json_t *number, *result;
	double real;

	if (!value_number(value, &number) || json_is_boolean(value)) {
		json_decref(number);
		return refuse(param, value,
			      "Error: \"The input string was not in a correct format.\"", err);
	}
	if (json_is_integer(number))
		return number;
	real = nearbyint(json_real_value(number));
	json_decref(number);
	if (!(fabs(real) < 9.2e18))
		return refuse(param, value, "Error: \"Value was either too large or too small.\"",
			      err);
	result = json_integer((json_int_t)real);
	return result;
}

static json_t *check_range(const struct param *param, json_t *number, const char **id,
			   struct error *err)
{
	long long n = json_integer_value(number);
	bool above = n > param->max;

	if (param->min == param->max || (n >= param->min && n <= param->max))
		return number;
	*id = id_validate;
	error_set(err, -ERANGE,
		  "Cannot validate argument on parameter '%s'. The %lld argument is %s than the %s "
		  "allowed range of %lld. Supply an argument that is %s than or equal to %lld and "
		  "then try the command again.",
		  param->name, n, above ? "greater" : "less", above ? "maximum" : "minimum",
		  (long long)(above ? param->max : param->min), above ? "less" : "greater",
		  (long long)(above ? param->max : param->min));
	json_decref(number);
	return NULL;
}

/* Exact names first, then an abbreviation that fits one name only. */
static json_t *match_name(const char *word, const char *list)
{
	size_t len = strlen(word), part, hits = 0;
	const char *hit = NULL;
	size_t hit_len = 0;

	for (const char *p = list; p; p = p[part] ? p + part + 1 : NULL) {
		part = strcspn(p, "|");
		if (len > part || strncasecmp(p, word, len) || !len)
			continue;
		if (len == part)
			return json_stringn(p, part);
		hit = p;
		hit_len = part;
		hits++;
	}
	return hits == 1 ? json_stringn(hit, hit_len) : NULL;
}

static json_t *to_enum(const struct param *param, const json_t *value, struct error *err)
{
	char *text = value_text(value), *why;
	struct text names = { 0 };
	json_t *result = match_name(text, param->of);

	if (!result) {
		for (const char *p = param->of; *p; p++)
			text_addf(&names, *p == '|' ? ", " : "%c", *p);
		why = text_format("Error: \"Unable to match the identifier name %s to a valid "
				  "enumerator name. Specify one of the following enumerator names "
				  "and try again: %s\"",
				  text, names.s);
		refuse(param, value, why, err);
		free(why);
		text_free(&names);
	}
	free(text);
	return result;
}

static json_t *to_string(const struct param *param, const json_t *value, const char **id,
			 struct error *err)
{
	char *text = value_text(value);
	json_t *result = NULL;

	if (!*text && param->flags & REQUIRED) {
		*id = "ParameterArgumentValidationErrorEmptyStringNotAllowed";
		error_set(err, -EINVAL,
			  "Cannot bind argument to parameter '%s' because it is an empty string.",
			  param->name);
	} else {
		result = value_string(text);
	}
	free(text);
	return result;
}

/* Seconds, or [d.]hh:mm:ss. */
static json_t *to_timespan(const struct param *param, const json_t *value, struct error *err)
{
	json_t *number;
	int64_t seconds = -1;
	int days = 0, hours, minutes, rest, used = 0;
	const char *text = json_string_value(value);

	if (value_number(value, &number)) {
		seconds = (int64_t)json_number_value(number);
		json_decref(number);
	} else if (text && ((sscanf(text, "%9d:%9d:%9d%n", &hours, &minutes, &rest, &used) == 3 &&
			     !text[used]) ||
			    (sscanf(text, "%9d.%9d:%9d:%9d%n", &days, &hours, &minutes, &rest,
				    &used) == 4 &&
			     !text[used]))) {
		seconds = days * 86400ll + hours * 3600ll + minutes * 60ll + rest;
	}
	if (seconds < 0 || seconds > SPAN_SECONDS_MAX)
		return refuse(param, value, "Write seconds, or hours:minutes:seconds.", err);
	return value_timespan_ns(seconds * NS_PER_SECOND);
}

static json_t *convert_one(const struct param *param, const json_t *value, bool unix_words,
			   const char **id, struct error *err)
{
	json_t *number;

	*id = id_convert;
	if (json_is_null(value) && param->type != PARAM_ANY && param->flags & REQUIRED) {
		*id = "ParameterArgumentValidationErrorNullNotAllowed";
		error_set(err, -EINVAL,
			  "Cannot bind argument to parameter '%s' because it is null.",
			  param->name);
		return NULL;
	}
	switch (param->type) {
	case PARAM_SWITCH:
	case PARAM_BOOL:
		return to_bool(param, value, unix_words, err);
	case PARAM_STRING:
		return to_string(param, value, id, err);
	case PARAM_INT:
		number = to_int(param, value, err);
		return number ? check_range(param, number, id, err) : NULL;
	case PARAM_ENUM:
		return to_enum(param, value, err);
	case PARAM_TIMESPAN:
		if (!fits_one(param, value))
			return to_timespan(param, value, err);
		break;
	case PARAM_OBJECT:
		if (!fits_one(param, value))
			return refuse(param, value, "", err);
		break;
	case PARAM_BLOCK:
		if (json_is_string(value))
			return value_block(json_string_value(value));
		if (!fits_one(param, value))
			return refuse(param, value, "", err);
		break;
	case PARAM_ANY:
		break;
	}
	return json_incref((json_t *)value);
}

/* A word of a Unix shell is a list where commas are in it. */
static json_t *split_word(const char *word)
{
	json_t *list = json_array();
	size_t len;

	for (; word; word = word[len] ? word + len + 1 : NULL) {
		char *part;

		len = strcspn(word, ",");
		part = text_copy_n(word, len);
		json_array_append_new(list, value_string(part));
		free(part);
	}
	return list;
}

static json_t *convert_many(const struct param *param, const json_t *value, bool unix_words,
			    const char **id, struct error *err)
{
	json_t *list =
		json_is_array(value) ? json_incref((json_t *)value) : json_pack("[O]", value);
	json_t *result = json_array(), *element;
	size_t i;

	json_array_foreach(list, i, element)
	{
		json_t *one = convert_one(param, element, unix_words, id, err);

		if (!one) {
			json_decref(result);
			result = NULL;
			break;
		}
		json_array_append_new(result, one);
	}
	json_decref(list);
	return result;
}

json_t *convert_value(const struct param *param, const json_t *value, const char *word,
		      bool unix_words, const char **id, struct error *err)
{
	bool wants_text = param->type == PARAM_STRING || param->type == PARAM_ENUM;
	json_t *own = NULL, *result;

	if (unix_words && word && param->flags & MANY)
		own = split_word(word);
	else if (word && wants_text)
		own = value_string(word); /* 4GB may be a name */
	if (own)
		value = own;
	if (param->flags & MANY) {
		result = convert_many(param, value, unix_words, id, err);
	} else if (json_is_array(value) && json_array_size(value) == 1 &&
		   param->type != PARAM_ANY) {
		result = convert_one(param, json_array_get(value, 0), unix_words, id, err);
	} else if (json_is_array(value) && param->type != PARAM_ANY) {
		*id = id_convert;
		result = refuse(param, value, "Specify one value.", err);
	} else {
		result = convert_one(param, value, unix_words, id, err);
	}
	json_decref(own);
	return result;
}
