/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects to text: tables, lists, JSON. A type's own view decides (ctl/table.h); without one, up to
 * four properties make a table, more a list. On a terminal, tables have blank lines around them and
 * are cut to its width; elsewhere they are as wide as their content and stand alone.
 */
#ifndef CTL_FORMAT_H
#define CTL_FORMAT_H

#include "ctl/text.h"
#include "ctl/value.h"

struct format_place {
	bool decorated; /* blank lines around */
	size_t width;   /* columns; 0: no limit */
};

/* What the shell prints for the output of a statement. */
void format_output(struct text *text, const json_t *array, const struct format_place *place);

/*
 * Columns or lines for these properties: an array of names, which may be patterns;
 * NULL: what the type's view shows, or all.
 */
void format_table(struct text *text, const json_t *array, const json_t *properties, bool headers,
		  const struct format_place *place);
void format_list(struct text *text, const json_t *array, const json_t *properties,
		 const struct format_place *place);

/* depth: levels of objects below which only text is left. */
void format_json(struct text *text, const json_t *value, unsigned depth, bool compressed);

#endif
