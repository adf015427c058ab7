/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Methods of values, as "$name.Trim()": those of strings that scripts for management use. */
#include "ctl/eval.h"
#include "ctl/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#define ARGUMENTS_MAX 2
#define WIDTH_MAX     10000

/* Arguments as text, and as numbers where they are ones. */
struct method_call {
	const char *self;
	unsigned count;
	char *text[ARGUMENTS_MAX];
	int64_t number[ARGUMENTS_MAX];
};

static json_t *in_case(const struct method_call *c, int (*convert)(int))
{
	char *copy = text_copy(c->self);
	json_t *value;

	for (char *p = copy; *p; p++)
		*p = (char)((unsigned char)*p < 0x80 ? convert((unsigned char)*p) : *p);
	value = value_string(copy);
	free(copy);
	return value;
}

static json_t *to_upper(const struct method_call *c)
{
	return in_case(c, toupper);
}

static json_t *to_lower(const struct method_call *c)
{
	return in_case(c, tolower);
}

static json_t *to_text(const struct method_call *c)
{
	return value_string(c->self);
}

static json_t *trimmed(const struct method_call *c, bool at_start, bool at_end)
{
	const char *set = c->count ? c->text[0] : " \t\r\n\v\f";
	const char *from = c->self + (at_start ? strspn(c->self, set) : 0);
	size_t len = strlen(from);

	while (at_end && len && strchr(set, from[len - 1]))
		len--;
	return value_format("%.*s", (int)len, from);
}

static json_t *trim(const struct method_call *c)
{
	return trimmed(c, true, true);
}

static json_t *trim_start(const struct method_call *c)
{
	return trimmed(c, true, false);
}

static json_t *trim_end(const struct method_call *c)
{
	return trimmed(c, false, true);
}

static json_t *starts_with(const struct method_call *c)
{
	return json_boolean(!strncmp(c->self, c->text[0], strlen(c->text[0])));
}

static json_t *ends_with(const struct method_call *c)
{
	size_t len = strlen(c->self), end = strlen(c->text[0]);

	return json_boolean(len >= end && !strcmp(c->self + len - end, c->text[0]));
}

static json_t *contains(const struct method_call *c)
{
	return json_boolean(strstr(c->self, c->text[0]) != NULL);
}

/* Positions count bytes, which are characters in what these scripts deal with: names and paths. */
static json_t *index_of(const struct method_call *c)
{
	const char *hit = strstr(c->self, c->text[0]);

	return json_integer(hit ? hit - c->self : -1);
}

static json_t *substring(const struct method_call *c)
{
	int64_t len = (int64_t)strlen(c->self), from = c->number[0];
	int64_t count = c->count > 1 ? c->number[1] : len - from;

	if (from < 0 || from > len || count < 0 || count > len - from)
		return NULL;
	return value_format("%.*s", (int)count, c->self + from);
}

static json_t *replace(const struct method_call *c)
{
	size_t len = strlen(c->text[0]);
	const char *at = c->self, *hit;
	struct text text = { 0 };
	json_t *value;

	if (!len)
		return NULL;
	for (; (hit = strstr(at, c->text[0])); at = hit + len) {
		text_add_n(&text, at, (size_t)(hit - at));
		text_add(&text, c->text[1]);
	}
	text_add(&text, at);
	value = value_string(text.s);
	text_free(&text);
	return value;
}

static json_t *split(const struct method_call *c)
{
	const char *set = c->count ? c->text[0] : " \t\r\n";
	json_t *list = json_array();
	size_t len;

	for (const char *at = c->self; at; at = at[len] ? at + len + 1 : NULL) {
		len = strcspn(at, set);
		json_array_append_new(list, value_format("%.*s", (int)len, at));
	}
	return list;
}

static json_t *padded(const struct method_call *c, bool at_left)
{
	size_t columns = text_columns(c->self), width = (size_t)MAX(c->number[0], 0);
	struct text text = { 0 };
	json_t *value;

	if (c->number[0] < 0 || width > WIDTH_MAX)
		return NULL;
	if (at_left && width > columns)
		text_pad(&text, width - columns);
	text_add(&text, c->self);
	if (!at_left && width > columns)
		text_pad(&text, width - columns);
	value = value_string(text.s);
	text_free(&text);
	return value;
}

static json_t *pad_left(const struct method_call *c)
{
	return padded(c, true);
}

static json_t *pad_right(const struct method_call *c)
{
	return padded(c, false);
}

/* What each takes; numbers: its arguments are ones. run gives NULL where they make no sense. */
static const struct method {
	const char *name;
	unsigned min, max;
	bool numbers;
	json_t *(*run)(const struct method_call *c);
} methods[] = {
	{ "ToUpper", 0, 0, false, to_upper },
	{ "ToLower", 0, 0, false, to_lower },
	{ "ToString", 0, 0, false, to_text },
	{ "Trim", 0, 1, false, trim },
	{ "TrimStart", 0, 1, false, trim_start },
	{ "TrimEnd", 0, 1, false, trim_end },
	{ "StartsWith", 1, 1, false, starts_with },
	{ "EndsWith", 1, 1, false, ends_with },
	{ "Contains", 1, 1, false, contains },
	{ "IndexOf", 1, 1, false, index_of },
	{ "Substring", 1, 2, true, substring },
	{ "Replace", 2, 2, false, replace },
	{ "Split", 0, 1, false, split },
	{ "PadLeft", 1, 1, true, pad_left },
	{ "PadRight", 1, 1, true, pad_right },
};

static const struct method *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (text_same(name, methods[i].name))
			return &methods[i];
	}
	return NULL;
}

static bool take_argument(struct method_call *c, const struct method *method, const json_t *value)
{
	json_t *number = NULL;
	unsigned i = c->count;

	if (method->numbers && (!value_number(value, &number) || !json_is_integer(number))) {
		json_decref(number);
		return false;
	}
	c->number[i] = json_integer_value(number);
	json_decref(number);
	c->text[i] = value_text(value);
	c->count++;
	return true;
}

json_t *eval_method(struct shell *shell, const json_t *self, const char *name,
		    const json_t *arguments)
{
	const struct method *method = find(name);
	size_t count = json_array_size(arguments), i;
	struct method_call c = { .count = 0 };
	json_t *result = NULL, *argument;
	char *text;

	if (!method || json_is_null(self) || (json_is_array(self) && method->run != to_text)) {
		shell_error(shell, "MethodNotFound", "%s has no method '%s'.", value_type(self),
			    name);
		return NULL;
	}
	c.self = text = value_text(self);
	if (count >= method->min && count <= method->max) {
		json_array_foreach(arguments, i, argument)
		{
			if (!take_argument(&c, method, argument))
				break;
		}
		if (c.count == count)
			result = method->run(&c);
	}
	if (!result)
		shell_error(shell, "MethodArguments", "The arguments of '%s' do not fit.",
			    method->name);
	for (i = 0; i < c.count; i++)
		free(c.text[i]);
	free(text);
	return result;
}
