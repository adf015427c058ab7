/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operators on values: comparison, patterns, membership, arithmetic, text. As in PowerShell the
 * left side decides how both are compared, case does not matter, and a comparison with an array on
 * the left gives the elements for which it holds.
 */
#include "ctl/eval.h"

#include "ctl/text.h"

#include <ctype.h>
#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

static bool holds_eq(const json_t *a, const json_t *b)
{
	return !value_compare(a, b);
}

static bool holds_gt(const json_t *a, const json_t *b)
{
	return value_compare(a, b) > 0;
}

static bool holds_lt(const json_t *a, const json_t *b)
{
	return value_compare(a, b) < 0;
}

static bool holds_like(const json_t *a, const json_t *b)
{
	char *text = value_text(a), *pattern = value_text(b);
	bool holds = value_like(text, pattern);

	free(text);
	free(pattern);
	return holds;
}

static bool holds_match(const json_t *a, const json_t *b)
{
	char *text = value_text(a), *pattern = value_text(b);
	bool holds = false;
	regex_t regex;

	if (!regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB)) {
		holds = !regexec(&regex, text, 0, NULL, 0);
		regfree(&regex);
	}
	free(text);
	free(pattern);
	return holds;
}

static bool holds_is(const json_t *a, const json_t *b)
{
	char *type = value_text(b);
	bool holds = value_is(a, type);

	free(type);
	return holds;
}

static bool contains(const json_t *list, const json_t *value)
{
	json_t *array = json_is_array(list) ? json_incref((json_t *)list) : value_array(list);
	json_t *element;
	bool hit = false;
	size_t i;

	json_array_foreach(array, i, element) hit |= holds_eq(element, value);
	json_decref(array);
	return hit;
}

static const struct {
	const char *op;
	bool (*holds)(const json_t *a, const json_t *b);
	bool negated;
} comparisons[] = {
	{ "eq", holds_eq, false },       { "ne", holds_eq, true },
	{ "gt", holds_gt, false },       { "le", holds_gt, true },
	{ "lt", holds_lt, false },       { "ge", holds_lt, true },
	{ "like", holds_like, false },   { "notlike", holds_like, true },
	{ "match", holds_match, false }, { "notmatch", holds_match, true },
};

static json_t *compare(size_t which, const json_t *left, const json_t *right)
{
	json_t *hits, *element;
	size_t i;

	if (!json_is_array(left))
		return json_boolean(comparisons[which].holds(left, right) !=
				    comparisons[which].negated);
	hits = json_array();
	json_array_foreach(left, i, element)
	{
		if (comparisons[which].holds(element, right) != comparisons[which].negated)
			json_array_append(hits, element);
	}
	return hits;
}

/* --- arithmetic --- */

static json_t *add(const json_t *left, const json_t *right)
{
	json_t *sum, *x, *y;
	char *a, *b;

	if (json_is_array(left)) {
		sum = json_copy((json_t *)left);
		value_spread(sum, right);
		return sum;
	}
	if (json_is_number(left) && value_number(right, &y)) {
		json_int_t n;

		x = (json_t *)left;
		if (json_is_integer(x) && json_is_integer(y) &&
		    !__builtin_add_overflow(json_integer_value(x), json_integer_value(y), &n))
			sum = json_integer(n);
		else
			sum = json_real(json_number_value(x) + json_number_value(y));
		json_decref(y);
		return sum;
	}
	if (json_is_null(left))
		return json_incref((json_t *)right);
	a = value_text(left);
	b = value_text(right);
	sum = value_format("%s%s", a, b);
	free(a);
	free(b);
	return sum;
}

static bool integer_result(char op, json_int_t a, json_int_t b, json_int_t *n)
{
	switch (op) {
	case '-':
		return !__builtin_sub_overflow(a, b, n);
	case '*':
		return !__builtin_mul_overflow(a, b, n);
	case '%':
		*n = b == -1 ? 0 : a % b;
		return true;
	default: /* whole quotients stay whole */
		*n = b == -1 ? 0 : a / b;
		return b != -1 && a % b == 0;
	}
}

static double real_result(char op, double a, double b)
{
	switch (op) {
	case '-':
		return a - b;
	case '*':
		return a * b;
	case '%':
		return fmod(a, b);
	default:
		return a / b;
	}
}

static json_t *number_or_null(double real)
{
	return isfinite(real) ? json_real(real) : json_null();
}

static json_t *calculate(struct shell *shell, char op, const json_t *left, const json_t *right)
{
	json_t *x = NULL, *y = NULL, *result = NULL;
	json_int_t n;

	if (json_is_null(left) || !value_number(left, &x) || !value_number(right, &y)) {
		shell_error(shell, "InvalidOperation",
			    "The operator '%c' is for numbers; one of its sides is none.", op);
	} else if ((op == '/' || op == '%') && fabs(json_number_value(y)) <= 0) {
		shell_error(shell, "RuntimeException", "Attempted to divide by zero.");
	} else if (json_is_integer(x) && json_is_integer(y) &&
		   integer_result(op, json_integer_value(x), json_integer_value(y), &n)) {
		result = json_integer(n);
	} else {
		result =
			number_or_null(real_result(op, json_number_value(x), json_number_value(y)));
	}
	json_decref(x);
	json_decref(y);
	return result;
}

/* --- text --- */

/* {0}, {1,8}, {2:N1}: the index, a width, and digits behind the point for N, F and D, hex for X. */
static const char *add_item(struct text *text, const char *p, const json_t *items)
{
	char *end;
	unsigned long index = strtoul(p, &end, 10);
	long width = *end == ',' ? strtol(end + 1, &end, 10) : 0;
	char kind = *end == ':' ? (char)toupper((unsigned char)end[1]) : 0;
	long digits = kind && isdigit((unsigned char)end[2]) ? strtol(end + 2, NULL, 10) : -1;
	const json_t *item = json_array_get(items, index);
	char *cell;
	size_t columns;

	if (item && json_is_number(item) && (kind == 'N' || kind == 'F'))
		cell = text_format("%.*f", (int)MIN(digits < 0 ? 2 : digits, 15l),
				   json_number_value(item));
	else if (item && json_is_integer(item) && kind == 'X')
		cell = text_format("%0*llX", (int)MAX(MIN(digits, 16l), 0l),
				   (long long)json_integer_value(item));
	else if (item && json_is_integer(item) && kind == 'D')
		cell = text_format("%0*lld", (int)MAX(MIN(digits, 20l), 0l),
				   (long long)json_integer_value(item));
	else
		cell = item ? value_text(item) : text_copy("");
	columns = text_columns(cell);
	width = MAX(MIN(width, 200l), -200l);
	if (width > 0 && columns < (size_t)width)
		text_pad(text, (size_t)width - columns);
	text_add(text, cell);
	if (width < 0 && columns < (size_t)-width)
		text_pad(text, (size_t)-width - columns);
	free(cell);
	end += strcspn(end, "}");
	return *end ? end + 1 : end;
}

static json_t *format_items(const json_t *left, const json_t *right)
{
	char *format = value_text(left);
	json_t *items =
		json_is_array(right) ? json_incref((json_t *)right) : json_pack("[O]", right);
	struct text text = { 0 };
	json_t *result;

	for (const char *p = format; *p;) {
		if ((p[0] == '{' && p[1] == '{') || (p[0] == '}' && p[1] == '}')) {
			text_add_n(&text, p, 1);
			p += 2;
		} else if (*p == '{' && isdigit((unsigned char)p[1])) {
			p = add_item(&text, p + 1, items);
		} else {
			text_add_n(&text, p++, 1);
		}
	}
	result = value_string(text.s ? text.s : "");
	text_free(&text);
	json_decref(items);
	free(format);
	return result;
}

static json_t *join(const json_t *left, const json_t *right)
{
	char *separator = value_text(right);
	json_t *array = value_array(left), *element, *result;
	struct text text = { 0 };
	size_t i;

	json_array_foreach(array, i, element)
	{
		char *part = value_text(element);

		text_add(&text, i ? separator : "");
		text_add(&text, part);
		free(part);
	}
	result = value_string(text.s ? text.s : "");
	text_free(&text);
	json_decref(array);
	free(separator);
	return result;
}

/* The separator is taken as it is, no regular expression; so is what -replace looks for. */
static json_t *split(const json_t *left, const json_t *right)
{
	char *whole = value_text(left), *separator = value_text(right), *p = whole;
	size_t len = strlen(separator);
	json_t *parts = json_array();

	while (p) {
		char *end = len ? strstr(p, separator) : NULL;

		if (end)
			*end = 0;
		json_array_append_new(parts, value_string(p));
		p = end ? end + len : NULL;
	}
	free(whole);
	free(separator);
	return parts;
}

static json_t *replace(const json_t *left, const json_t *right)
{
	json_t *empty = json_string("");
	const json_t *from = json_is_array(right) ? json_array_get(right, 0) : right;
	const json_t *to = json_is_array(right) ? json_array_get(right, 1) : empty;
	json_t *parts = split(left, from ? from : empty), *result = join(parts, to ? to : empty);

	json_decref(parts);
	json_decref(empty);
	return result;
}

json_t *eval_operator(struct shell *shell, const char *op, const json_t *left, const json_t *right)
{
	for (size_t i = 0; i < ARRAY_SIZE(comparisons); i++) {
		if (!strcmp(op, comparisons[i].op))
			return compare(i, left, right);
	}
	if (!strcmp(op, "contains") || !strcmp(op, "notcontains"))
		return json_boolean(contains(left, right) == (*op == 'c'));
	if (!strcmp(op, "in") || !strcmp(op, "notin"))
		return json_boolean(contains(right, left) == (*op == 'i'));
	if (!strcmp(op, "xor"))
		return json_boolean(value_true(left) != value_true(right));
	if (!strcmp(op, "is"))
		return json_boolean(holds_is(left, right));
	if (!strcmp(op, "f"))
		return format_items(left, right);
	if (!strcmp(op, "join"))
		return join(left, right);
	if (!strcmp(op, "split"))
		return split(left, right);
	if (!strcmp(op, "replace"))
		return replace(left, right);
	return *op == '+' ? add(left, right) : calculate(shell, *op, left, right);
}
