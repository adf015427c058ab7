/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of the shell: see ctl/value.h. */
#define _GNU_SOURCE /* FNM_CASEFOLD */
#include "ctl/value.h"

#include "ctl/text.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <strings.h>

#define NS_PER_TICK       100
#define TICKS_PER_SECOND  10000000ll
#define SECONDS_PER_DAY   86400
#define CELL_ELEMENTS_MAX 4 /* of a collection in a table; more are dots */

json_t *value_object(const char *type)
{
	json_t *object = json_object();

	json_object_set_new(object, VALUE_TYPE, json_string(type));
	return object;
}

const char *value_type(const json_t *value)
{
	const char *type;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		type = json_string_value(json_object_get(value, VALUE_TYPE));
		return type ? type : "PSCustomObject";
	case JSON_ARRAY:
		return "Object[]";
	case JSON_STRING:
		return "String";
	case JSON_INTEGER:
		return "Int64";
	case JSON_REAL:
		return "Double";
	case JSON_TRUE:
	case JSON_FALSE:
		return "Boolean";
	case JSON_NULL:
		break;
	}
	return "Null";
}

bool value_is(const json_t *value, const char *type)
{
	return value && text_same(value_type(value), type);
}

json_t *value_string(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	json_t *value = json_string(text);
	struct text clean = { 0 };

	if (value)
		return value;
	for (; *text; text++) {
		size_t len = 1;
		json_t *one;

		/* The longest that is one character from here, at most four bytes. */
		for (size_t n = 1; n <= 4 && text[n - 1]; n++) {
			one = json_stringn(text, n);
			if (one) {
				len = n;
				json_decref(one);
				break;
			}
			len = 0;
		}
		if (len)
			text_add_n(&clean, text, len);
		else
			text_add(&clean, replacement);
		text += len ? len - 1 : 0;
	}
	value = json_string(clean.s ? clean.s : "");
	text_free(&clean);
	return value;
}

json_t *value_format(const char *format, ...)
{
	struct text text = { 0 };
	json_t *value;
	va_list args;

	va_start(args, format);
	text_addv(&text, format, args);
	va_end(args);
	value = value_string(text.s ? text.s : "");
	text_free(&text);
	return value;
}

json_t *value_block(const char *source)
{
	json_t *block = value_object(VALUE_BLOCK);

	json_object_set_new(block, "Text", value_string(source));
	return block;
}

json_t *value_lines(const char *text)
{
	json_t *lines = value_object(VALUE_LINES);

	json_object_set_new(lines, "Text", value_string(text));
	return lines;
}

json_t *value_timespan_ns(int64_t nanoseconds)
{
	json_t *span = value_object(VALUE_TIMESPAN);
	int64_t ticks = nanoseconds / NS_PER_TICK, seconds = ticks / TICKS_PER_SECOND;

	json_object_set_new(span, "Ticks", json_integer(ticks));
	json_object_set_new(span, "Days", json_integer(seconds / SECONDS_PER_DAY));
	json_object_set_new(span, "Hours", json_integer(seconds / 3600 % 24));
	json_object_set_new(span, "Minutes", json_integer(seconds / 60 % 60));
	json_object_set_new(span, "Seconds", json_integer(seconds % 60));
	json_object_set_new(span, "Milliseconds", json_integer(ticks / 10000 % 1000));
	json_object_set_new(span, "TotalSeconds", json_real((double)ticks / TICKS_PER_SECOND));
	return span;
}

static json_t *array_member(const json_t *array, const char *name)
{
	json_t *list, *element;
	size_t i;

	if (text_same(name, "Count") || text_same(name, "Length"))
		return json_integer((json_int_t)json_array_size(array));
	list = json_array();
	json_array_foreach(array, i, element)
	{
		json_t *member = value_member(element, name);

		if (member)
			value_spread(list, member);
		json_decref(member);
	}
	element = json_array_size(list) ? value_collapse(list) : NULL;
	json_decref(list);
	return element;
}

json_t *value_member(const json_t *value, const char *name)
{
	const char *key;
	json_t *member;

	if (json_is_array(value))
		return array_member(value, name);
	if (json_is_string(value) && text_same(name, "Length"))
		return json_integer((json_int_t)json_string_length(value));
	if (!json_is_object(value) || *name == '@')
		return NULL;
	member = json_object_get(value, name);
	if (member)
		return json_incref(member);
	json_object_foreach((json_t *)value, key, member)
	{
		if (text_same(key, name))
			return json_incref(member);
	}
	return text_same(name, "Count") ? json_integer(1) : NULL;
}

const char *value_text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* --- as text --- */

static void add_timespan(struct text *text, const json_t *span)
{
	int64_t ticks = json_integer_value(json_object_get(span, "Ticks"));
	int64_t seconds = ticks / TICKS_PER_SECOND, rest = ticks % TICKS_PER_SECOND;

	if (seconds >= SECONDS_PER_DAY)
		text_addf(text, "%lld.", (long long)(seconds / SECONDS_PER_DAY));
	text_addf(text, "%02d:%02d:%02d", (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60),
		  (int)(seconds % 60));
	if (rest)
		text_addf(text, ".%07d", (int)rest);
}

static void add_real(struct text *text, double real)
{
	text_addf(text, "%.15g", real);
}

/* An object that has a name is shown by it, any other by its properties. */
static void add_object(struct text *text, const json_t *object)
{
	const char *name = value_text_of(object, "Name"), *key, *separator = "";
	const char *type = value_text_of(object, VALUE_TYPE);
	json_t *member;

	if (type && text_same(type, VALUE_TIMESPAN)) {
		add_timespan(text, object);
	} else if (type && (text_same(type, VALUE_BLOCK) || text_same(type, VALUE_LINES) ||
			    text_same(type, VALUE_LINE))) {
		text_add(text, value_text_of(object, "Text"));
	} else if (type && text_same(type, "ErrorRecord")) {
		text_add(text, value_text_of(object, "Message"));
	} else if (type && name) {
		text_addf(text, "%s", name);
	} else {
		text_add(text, "@{");
		json_object_foreach((json_t *)object, key, member)
		{
			char *inner;

			if (*key == '@')
				continue;
			inner = value_text(member);
			text_addf(text, "%s%s=%s", separator, key, inner);
			free(inner);
			separator = "; ";
		}
		text_add(text, "}");
	}
}

static void add_value(struct text *text, const json_t *value)
{
	size_t i;
	json_t *element;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		add_object(text, value);
		break;
	case JSON_ARRAY:
		json_array_foreach(value, i, element)
		{
			text_add(text, i ? " " : "");
			add_value(text, element);
		}
		break;
	case JSON_STRING:
		text_add(text, json_string_value(value));
		break;
	case JSON_INTEGER:
		text_addf(text, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL:
		add_real(text, json_real_value(value));
		break;
	case JSON_TRUE:
		text_add(text, "True");
		break;
	case JSON_FALSE:
		text_add(text, "False");
		break;
	case JSON_NULL:
		break;
	}
}

char *value_text(const json_t *value)
{
	struct text text = { 0 };

	add_value(&text, value);
	return text_take(&text);
}

char *value_cell(const json_t *value)
{
	struct text text = { 0 };
	json_t *element;
	size_t i;

	if (!json_is_array(value))
		return value_text(value);
	text_add(&text, "{");
	json_array_foreach(value, i, element)
	{
		text_add(&text, i ? ", " : "");
		if (i == CELL_ELEMENTS_MAX) {
			text_add(&text, "...");
			break;
		}
		add_value(&text, element);
	}
	text_add(&text, "}");
	return text_take(&text);
}

/* --- truth, order, numbers --- */

bool value_true(const json_t *value)
{
	if (!value)
		return false;
	switch (json_typeof(value)) {
	case JSON_ARRAY:
		if (json_array_size(value) == 1)
			return value_true(json_array_get(value, 0));
		return json_array_size(value) > 0;
	case JSON_STRING:
		return json_string_length(value) > 0;
	case JSON_INTEGER:
		return json_integer_value(value) != 0;
	case JSON_REAL:
		return json_real_value(value) < 0 || json_real_value(value) > 0;
	case JSON_NULL:
	case JSON_FALSE:
		return false;
	default:
		return true;
	}
}

static int compare_numbers(const json_t *a, const json_t *b)
{
	double x, y;

	if (json_is_integer(a) && json_is_integer(b)) {
		json_int_t m = json_integer_value(a), n = json_integer_value(b);

		return (m > n) - (m < n);
	}
	x = json_number_value(a);
	y = json_number_value(b);
	return (x > y) - (x < y);
}

static int compare_texts(const json_t *a, const json_t *b)
{
	char *x = value_text(a), *y = value_text(b);
	int order = strcasecmp(x, y);

	free(x);
	free(y);
	return order;
}

int value_compare(const json_t *a, const json_t *b)
{
	json_t *x = NULL, *y = NULL;
	int order;

	if (value_is(a, VALUE_TIMESPAN) && value_is(b, VALUE_TIMESPAN))
		return compare_numbers(json_object_get(a, "Ticks"), json_object_get(b, "Ticks"));
	if (json_is_null(a) || json_is_null(b))
		return !json_is_null(a) - !json_is_null(b);
	/* The left side says how to compare. */
	if (!json_is_string(a) && value_number(a, &x) && value_number(b, &y))
		order = compare_numbers(x, y);
	else
		order = compare_texts(a, b);
	json_decref(x);
	json_decref(y);
	return order;
}

bool value_number(const json_t *value, json_t **number)
{
	*number = NULL;
	if (json_is_number(value))
		*number = json_incref((json_t *)value);
	else if (json_is_boolean(value))
		*number = json_integer(json_is_true(value));
	else if (json_is_string(value))
		*number = value_parse_number(json_string_value(value), json_string_length(value));
	return *number != NULL;
}

/* kb to pb: the power of 1024, 0 where there is none. */
static int size_suffix(const char *end, size_t len)
{
	static const char units[] = "kmgtp";
	const char *unit;

	if (len != 2 || tolower((unsigned char)end[1]) != 'b')
		return 0;
	unit = strchr(units, tolower((unsigned char)end[0]));
	return unit && *unit ? (int)(unit - units) + 1 : 0;
}

static json_t *scaled(const char *digits, const char *suffix, bool is_real, bool is_hex)
{
	int power = 0;
	long long integer;

	if (*suffix) {
		power = size_suffix(suffix, strlen(suffix));
		if (!power)
			return NULL;
	}
	errno = 0;
	integer = is_real ? 0 : strtoll(digits, NULL, is_hex ? 16 : 10);
	for (int i = 0; i < power && !is_real && !errno; i++) {
		if (__builtin_mul_overflow(integer, 1024ll, &integer))
			errno = ERANGE;
	}
	if (!is_real && !errno)
		return json_integer(integer);
	if (is_hex)
		return NULL;
	/* As PowerShell: what does not fit an integer, or has a point, is a Double. */
	{
		double real = strtod(digits, NULL);

		for (int i = 0; i < power; i++)
			real *= 1024;
		if (power && real < 9e18 && real > -9e18 && real == (double)(json_int_t)real)
			return json_integer((json_int_t)real);
		return json_real(real);
	}
}

json_t *value_parse_number(const char *text, size_t len)
{
	char copy[64];
	const char *p = copy;
	bool is_real = false, is_hex = false;
	size_t digits = 0;

	if (!len || len >= sizeof(copy))
		return NULL;
	memcpy(copy, text, len);
	copy[len] = 0;
	p += *p == '-' || *p == '+';
	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		is_hex = true;
		p += 2;
	}
	for (; is_hex ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p); p++)
		digits++;
	if (!is_hex && *p == '.' && isdigit((unsigned char)p[1])) {
		is_real = true;
		for (p++; isdigit((unsigned char)*p); p++)
			digits++;
	}
	if (!is_hex && digits && (*p == 'e' || *p == 'E')) {
		const char *exponent = p + 1 + (p[1] == '-' || p[1] == '+');

		if (isdigit((unsigned char)*exponent)) {
			is_real = true;
			for (p = exponent; isdigit((unsigned char)*p);)
				p++;
		}
	}
	return digits ? scaled(copy, p, is_real, is_hex) : NULL;
}

/* --- patterns --- */

bool value_is_pattern(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

bool value_like(const char *text, const char *pattern)
{
	return !fnmatch(pattern, text, FNM_CASEFOLD | FNM_NOESCAPE);
}

/* --- collections --- */

void value_spread(json_t *array, const json_t *value)
{
	json_t *element;
	size_t i;

	if (json_is_array(value)) {
		json_array_foreach(value, i, element) json_array_append(array, element);
	} else if (value && !json_is_null(value)) {
		json_array_append(array, (json_t *)value);
	}
}

json_t *value_array(const json_t *value)
{
	json_t *array = json_array();

	value_spread(array, value);
	return array;
}

json_t *value_collapse(const json_t *array)
{
	switch (json_array_size(array)) {
	case 0:
		return json_null();
	case 1:
		return json_incref(json_array_get(array, 0));
	default:
		return json_copy((json_t *)array); /* shallow: others may hold this one */
	}
}
