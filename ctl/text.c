/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory and text for commands: see ctl/text.h. */
#define _GNU_SOURCE /* wcwidth */
#include "ctl/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <wchar.h>

#define STATUS_FAILED 1
#define FIRST_ROOM    64

static void *or_end(void *memory)
{
	if (memory)
		return memory;
	fputs("nidus: out of memory\n", stderr);
	exit(STATUS_FAILED);
}

void *alloc_zeroed(size_t bytes)
{
	return or_end(calloc(1, bytes ? bytes : 1));
}

void *alloc_resized(void *old, size_t bytes)
{
	return or_end(realloc(old, bytes ? bytes : 1));
}

char *text_copy(const char *text)
{
	return or_end(strdup(text));
}

char *text_copy_n(const char *text, size_t bytes)
{
	return or_end(strndup(text, bytes));
}

char *text_lower(const char *text)
{
	char *copy = text_copy(text);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

char *text_format(const char *format, ...)
{
	struct text text = { 0 };
	va_list args;

	va_start(args, format);
	text_addv(&text, format, args);
	va_end(args);
	return text_take(&text);
}

static void make_room(struct text *text, size_t more)
{
	size_t need = text->len + more + 1;

	if (need <= text->room)
		return;
	text->room = MAX(need, MAX(text->room * 2, (size_t)FIRST_ROOM));
	text->s = alloc_resized(text->s, text->room);
}

void text_add_n(struct text *text, const char *more, size_t bytes)
{
	make_room(text, bytes);
	memcpy(text->s + text->len, more, bytes);
	text->len += bytes;
	text->s[text->len] = 0;
}

void text_add(struct text *text, const char *more)
{
	text_add_n(text, more, strlen(more));
}

void text_addv(struct text *text, const char *format, va_list args)
{
	va_list again;
	int len;

	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (len < 0)
		return;
	make_room(text, (size_t)len);
	vsnprintf(text->s + text->len, (size_t)len + 1, format, args);
	text->len += (size_t)len;
}

void text_addf(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_addv(text, format, args);
	va_end(args);
}

void text_pad(struct text *text, size_t blanks)
{
	make_room(text, blanks);
	memset(text->s + text->len, ' ', blanks);
	text->len += blanks;
	text->s[text->len] = 0;
}

char *text_take(struct text *text)
{
	char *s = text->s ? text->s : text_copy("");

	*text = (struct text){ 0 };
	return s;
}

void text_free(struct text *text)
{
	free(text->s);
	*text = (struct text){ 0 };
}

/* The next character; a byte that is no UTF-8 counts as one of width 1. */
static size_t next_character(const char *text, size_t *columns)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t len = mbrtowc(&c, text, strlen(text), &state);
	int width;

	*columns = 1;
	if (len == (size_t)-1 || len == (size_t)-2 || !len)
		return 1;
	width = wcwidth(c);
	*columns = width < 0 ? 1 : (size_t)width;
	return len;
}

size_t text_columns(const char *text)
{
	size_t sum = 0, columns;

	for (; *text; text += next_character(text, &columns), sum += columns)
		columns = 0;
	return sum;
}

size_t text_cut(const char *text, size_t columns)
{
	size_t at = 0, used = 0;

	while (text[at]) {
		size_t width, len = next_character(text + at, &width);

		if (used + width > columns)
			break;
		used += width;
		at += len;
	}
	return at;
}

bool text_same(const char *a, const char *b)
{
	return !strcasecmp(a, b);
}

bool text_in_list(const char *word, const char *list, char separator)
{
	size_t len = strlen(word);

	while (list) {
		const char *end = strchr(list, separator);
		size_t part = end ? (size_t)(end - list) : strlen(list);

		if (part == len && !strncasecmp(word, list, len))
			return true;
		list = end ? end + 1 : NULL;
	}
	return false;
}
