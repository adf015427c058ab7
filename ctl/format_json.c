/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values to JSON for ConvertTo-Json: properties in their order, enumerations as text. */
#include "ctl/format.h"

#include <stdlib.h>

#define INDENT 2

struct writer {
	struct text *text;
	unsigned depth; /* that is left */
	size_t indent;
	bool compressed;
};

static void add(struct writer *w, const json_t *value);

static void new_line(const struct writer *w)
{
	if (w->compressed)
		return;
	text_add(w->text, "\n");
	text_pad(w->text, w->indent);
}

static void add_scalar(struct writer *w, const json_t *value)
{
	char *s = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));

	text_add(w->text, s);
	free(s);
}

static void add_as_text(struct writer *w, const json_t *value)
{
	char *s = value_text(value);
	json_t *string = value_string(s);

	add_scalar(w, string);
	json_decref(string);
	free(s);
}

static void add_array(struct writer *w, const json_t *array)
{
	json_t *element;
	size_t i;

	if (!json_array_size(array)) {
		text_add(w->text, "[]");
		return;
	}
	text_add(w->text, "[");
	w->indent += INDENT;
	json_array_foreach(array, i, element)
	{
		text_add(w->text, i ? "," : "");
		new_line(w);
		add(w, element);
	}
	w->indent -= INDENT;
	new_line(w);
	text_add(w->text, "]");
}

static void add_members(struct writer *w, const json_t *object)
{
	const char *key, *separator = "";
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		json_t *name;

		if (*key == '@')
			continue;
		text_add(w->text, separator);
		new_line(w);
		name = json_string(key);
		add_scalar(w, name);
		json_decref(name);
		text_add(w->text, w->compressed ? ":" : ": ");
		add(w, value);
		separator = ",";
	}
}

static void add_object(struct writer *w, const json_t *object)
{
	text_add(w->text, "{");
	w->indent += INDENT;
	add_members(w, object);
	w->indent -= INDENT;
	new_line(w);
	text_add(w->text, "}");
}

static void add(struct writer *w, const json_t *value)
{
	bool is_container = json_is_object(value) || json_is_array(value);

	if (!is_container) {
		add_scalar(w, value);
	} else if (value_is(value, VALUE_BLOCK) || value_is(value, VALUE_LINES) || !w->depth) {
		add_as_text(w, value);
	} else {
		w->depth--;
		if (json_is_array(value))
			add_array(w, value);
		else
			add_object(w, value);
		w->depth++;
	}
}

void format_json(struct text *text, const json_t *value, unsigned depth, bool compressed)
{
	/* The outermost is no level: depth 0 would leave nothing. */
	struct writer writer = { text, depth + 1, 0, compressed };

	add(&writer, value);
	text_add(text, "\n");
}
