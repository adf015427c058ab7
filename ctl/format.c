/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects to tables and lists: see ctl/format.h. JSON is in format_json.c. */
#include "ctl/format.h"

#include "ctl/table.h"

#include <stdlib.h>

#define TABLE_PROPERTIES_MAX 4 /* of a type without a view; more make a list */
#define COLUMNS_MAX          64
#define WIDTH_MIN            4 /* a column is not cut below */

static const char ellipsis[] = "\xe2\x80\xa6";

/* --- which properties --- */

struct field {
	char *header;
	char *property;
	enum unit unit;
	bool right;
	size_t width;
};

struct fields {
	struct field list[COLUMNS_MAX];
	size_t count;
	bool is_view;
};

static void add_field(struct fields *fields, const char *header, const char *property,
		      enum unit unit)
{
	if (fields->count == COLUMNS_MAX)
		return;
	fields->list[fields->count++] = (struct field){
		.header = text_copy(header),
		.property = text_copy(property ? property : header),
		.unit = unit,
	};
}

static void free_fields(struct fields *fields)
{
	for (size_t i = 0; i < fields->count; i++) {
		free(fields->list[i].header);
		free(fields->list[i].property);
	}
	fields->count = 0;
}

static void add_matching(struct fields *fields, const json_t *object, const char *pattern)
{
	const char *key;
	json_t *value;

	if (json_is_object(object)) {
		json_object_foreach((json_t *)object, key, value)
		{
			if (*key != '@' && value_like(key, pattern))
				add_field(fields, key, NULL, UNIT_NONE);
		}
	}
}

/* A name is shown as the object spells it. */
static void add_named(struct fields *fields, const json_t *object, const char *name)
{
	const char *key;
	json_t *value;

	if (json_is_object(object)) {
		json_object_foreach((json_t *)object, key, value)
		{
			if (text_same(key, name)) {
				name = key;
				break;
			}
		}
	}
	add_field(fields, name, NULL, UNIT_NONE);
}

static void choose_fields(struct fields *fields, const json_t *object, const json_t *properties)
{
	const struct view *view = table_view(value_type(object));
	json_t *name;
	size_t i;

	json_array_foreach(properties, i, name)
	{
		const char *text = json_string_value(name);

		if (text && value_is_pattern(text))
			add_matching(fields, object, text);
		else if (text)
			add_named(fields, object, text);
	}
	if (properties)
		return;
	fields->is_view = view && view->columns;
	for (const struct column *c = fields->is_view ? view->columns : NULL; c && c->header; c++)
		add_field(fields, c->header, c->property, c->unit);
	if (!fields->is_view)
		add_matching(fields, object, "*");
}

static char *cell_of(const json_t *object, const struct field *field)
{
	json_t *value = value_member(object, field->property);
	char *text;

	if (value && field->unit == UNIT_MIB && json_is_integer(value))
		text = text_format("%lld", (long long)(json_integer_value(value) / (int64_t)MIB));
	else
		text = value ? value_cell(value) : text_copy("");
	json_decref(value);
	return text;
}

/* --- tables --- */

static void measure(struct fields *fields, const json_t *array)
{
	for (size_t i = 0; i < fields->count; i++) {
		struct field *field = &fields->list[i];
		json_t *object;
		size_t k;

		field->width = text_columns(field->header);
		json_array_foreach(array, k, object)
		{
			json_t *value = value_member(object, field->property);
			char *cell = cell_of(object, field);

			/* Views have text on the left throughout, as Hyper-V's have. */
			if (!k && !fields->is_view)
				field->right = json_is_number(value);
			field->width = MAX(field->width, text_columns(cell));
			free(cell);
			json_decref(value);
		}
	}
}

static struct field *widest(struct fields *fields)
{
	struct field *hit = NULL;

	for (size_t i = 0; i < fields->count; i++) {
		if (!hit || fields->list[i].width >= hit->width)
			hit = &fields->list[i];
	}
	return hit;
}

static void squeeze(struct fields *fields, size_t width)
{
	size_t sum = fields->count ? fields->count - 1 : 0;

	for (size_t i = 0; i < fields->count; i++)
		sum += fields->list[i].width;
	while (width && sum > width) {
		struct field *field = widest(fields);

		if (field->width <= WIDTH_MIN)
			break;
		field->width--;
		sum--;
	}
}

static void add_cell(struct text *text, const char *cell, const struct field *field, bool last)
{
	size_t columns = text_columns(cell), len = strlen(cell);
	bool cut = columns > field->width;

	if (cut) {
		len = text_cut(cell, field->width - 1);
		columns = field->width;
	}
	if (field->right)
		text_pad(text, field->width - columns);
	for (size_t i = 0; i < len; i++) /* a row is a line */
		text_add_n(text, (unsigned char)cell[i] < ' ' ? " " : &cell[i], 1);
	if (cut)
		text_add(text, ellipsis);
	if (!field->right && !last)
		text_pad(text, field->width - columns);
	if (!last)
		text_add(text, " ");
}

static void end_line(struct text *text)
{
	while (text->len && text->s[text->len - 1] == ' ')
		text->s[--text->len] = 0;
	text_add(text, "\n");
}

static void add_header(struct text *text, const struct fields *fields)
{
	char dashes[COLUMNS_MAX * 4];

	for (size_t i = 0; i < fields->count; i++)
		add_cell(text, fields->list[i].header, &fields->list[i], i + 1 == fields->count);
	end_line(text);
	for (size_t i = 0; i < fields->count; i++) {
		size_t len = MIN(text_columns(fields->list[i].header), fields->list[i].width);

		len = MIN(len, sizeof(dashes) - 1);
		memset(dashes, '-', len);
		dashes[len] = 0;
		add_cell(text, dashes, &fields->list[i], i + 1 == fields->count);
	}
	end_line(text);
}

void format_table(struct text *text, const json_t *array, const json_t *properties, bool headers,
		  const struct format_place *place)
{
	struct fields fields = { .count = 0 };
	json_t *object;
	size_t i;

	if (!json_array_size(array))
		return;
	choose_fields(&fields, json_array_get(array, 0), properties);
	measure(&fields, array);
	squeeze(&fields, place->width);
	text_add(text, place->decorated ? "\n" : "");
	if (headers)
		add_header(text, &fields);
	json_array_foreach(array, i, object)
	{
		for (size_t k = 0; k < fields.count; k++) {
			char *cell = cell_of(object, &fields.list[k]);

			add_cell(text, cell, &fields.list[k], k + 1 == fields.count);
			free(cell);
		}
		end_line(text);
	}
	text_add(text, place->decorated ? "\n" : "");
	free_fields(&fields);
}

/* --- lists --- */

/* Further lines of a value stand below its first. */
static void add_value_lines(struct text *text, const char *value, size_t indent)
{
	for (; *value; value++) {
		text_add_n(text, value, 1);
		if (*value == '\n')
			text_pad(text, indent);
	}
	end_line(text);
}

static void add_entry(struct text *text, const json_t *object, struct fields *fields)
{
	size_t width = 0;

	for (size_t i = 0; i < fields->count; i++)
		width = MAX(width, text_columns(fields->list[i].header));
	for (size_t i = 0; i < fields->count; i++) {
		const struct field *field = &fields->list[i];
		char *cell = cell_of(object, field);

		text_add(text, field->header);
		text_pad(text, width - text_columns(field->header));
		text_add(text, " : ");
		add_value_lines(text, cell, width + 3);
		free(cell);
	}
}

void format_list(struct text *text, const json_t *array, const json_t *properties,
		 const struct format_place *place)
{
	struct fields fields = { .count = 0 };
	json_t *all = NULL, *object;
	size_t i;

	if (!properties)
		properties = all = json_pack("[s]", "*");
	json_array_foreach(array, i, object)
	{
		if (i || place->decorated)
			text_add(text, "\n");
		choose_fields(&fields, object, properties);
		add_entry(text, object, &fields);
		free_fields(&fields);
	}
	if (place->decorated && i)
		text_add(text, "\n");
	json_decref(all);
}

/* --- what a statement gave --- */

static size_t count_properties(const json_t *object)
{
	size_t count = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) count += *key != '@';
	return count;
}

static void add_objects(struct text *text, const json_t *group, const struct format_place *place)
{
	const json_t *first = json_array_get(group, 0);
	const struct view *view = table_view(value_type(first));
	bool is_table =
		view ? view->columns != NULL : count_properties(first) <= TABLE_PROPERTIES_MAX;

	if (is_table)
		format_table(text, group, NULL, true, place);
	else
		format_list(text, group, NULL, place);
}

static bool is_shown_alone(const json_t *value)
{
	return !json_is_object(value) || value_is(value, VALUE_BLOCK) ||
	       value_is(value, VALUE_LINE) || value_is(value, VALUE_TIMESPAN);
}

static bool belong_together(const json_t *a, const json_t *b)
{
	return json_is_object(b) && text_same(value_type(a), value_type(b)) && !is_shown_alone(b);
}

void format_output(struct text *text, const json_t *array, const struct format_place *place)
{
	size_t count = json_array_size(array);

	for (size_t i = 0; i < count;) {
		json_t *first = json_array_get(array, i++), *group;

		if (value_is(first, VALUE_LINES)) {
			text_add(text, value_text_of(first, "Text"));
			continue;
		}
		if (is_shown_alone(first)) {
			char *line = value_text(first);

			text_addf(text, "%s\n", line);
			free(line);
			continue;
		}
		group = json_pack("[O]", first);
		while (i < count && belong_together(first, json_array_get(array, i)))
			json_array_append(group, json_array_get(array, i++));
		if (text->len && !place->decorated)
			text_add(text, "\n");
		add_objects(text, group, place);
		json_decref(group);
	}
}
