/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of the shell: jansson's. null, Boolean, Int64, Double, String and array are JSON's own; an
 * object is a JSON object whose properties keep their order and whose first one, "@type", names
 * what it is ("VirtualMachine"). Names that begin with '@' are never shown. Objects that stand for
 * something in the store carry its identity (VMId, Id), so a rename in a pipeline loses nothing.
 *
 * References are jansson's: what a function returns is owned by the caller unless it says
 * "borrowed". Values are not changed once others can see them.
 */
#ifndef CTL_VALUE_H
#define CTL_VALUE_H

#include "lib/base.h"

#include <jansson.h>

#define VALUE_TYPE "@type"

/* Types of objects that the core itself knows. */
#define VALUE_BLOCK    "ScriptBlock" /* Text: the source between the braces */
#define VALUE_TIMESPAN "TimeSpan"    /* Ticks: 100 ns each; and Days to TotalSeconds */
#define VALUE_LINE     "TextLine" /* Text: shown as a String would be; other properties say whence */
#define VALUE_LINES    "FormattedText" /* Text: output that is printed as it is */

/* An empty object of that type. */
json_t *value_object(const char *type);

/* The object's type, or "String", "Int64", "Double", "Boolean", "Object[]" or "Null". Borrowed. */
const char *value_type(const json_t *value);
bool value_is(const json_t *value, const char *type);

/* A String from any bytes: what is no UTF-8 becomes U+FFFD. */
json_t *value_string(const char *text);
json_t *value_format(const char *format, ...) PRINTF_LIKE(1, 2);

json_t *value_block(const char *source);
json_t *value_lines(const char *text);
json_t *value_timespan_ns(int64_t nanoseconds);

/*
 * The property of that name, without regard to case; an array has Count and Length and otherwise
 * gives the property of each of its elements, a String has Length. NULL where there is none.
 */
json_t *value_member(const json_t *value, const char *name);

/* A String property of an object; NULL where there is none. Borrowed. */
const char *value_text_of(const json_t *object, const char *name);

/* As in "$value": True, 12, 00:00:01, elements joined by blanks, @{a=1}. For free(). */
char *value_text(const json_t *value);

/* As in a table: as value_text, but a collection as {a, b}. For free(). */
char *value_cell(const json_t *value);

bool value_true(const json_t *value);

/* PowerShell's order: numbers by value, everything else as text without regard to case. */
int value_compare(const json_t *a, const json_t *b);

/* A number from a number, a Boolean or a text that is one ("4GB"). False where it is none. */
bool value_number(const json_t *value, json_t **number);

/* A text that is one number as a whole: decimal, hexadecimal, real; kb to pb. NULL: it is none. */
json_t *value_parse_number(const char *text, size_t len);

/* Whether the text fits a pattern of *, ? and [a-z], without regard to case. */
bool value_like(const char *text, const char *pattern);
bool value_is_pattern(const char *text);

/* The elements if it is an array, none if it is null, else itself: as an array. */
json_t *value_array(const json_t *value);

/* Appends to an array; the elements of an array one by one, null not at all. */
void value_spread(json_t *array, const json_t *value);

/* What a pipeline's output is as one value: nothing, the one element, or the array. */
json_t *value_collapse(const json_t *array);

#endif
