/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parser's text: strings of all kinds, bare words, and the variables and statements that stand
 * in them. See ctl/parse.h for what the language is and ctl/reader.h for how its parts fit.
 */
#include "ctl/lex.h"
#include "ctl/reader.h"
#include "ctl/text.h"

#include <stdlib.h>

/* --- strings --- */

static struct node *string_node(struct text *text)
{
	struct node *node = node_create(NODE_LITERAL);
	char *s = text_take(text);

	node->value = value_string(s);
	free(s);
	return node;
}

struct node *parse_single_quoted(struct reader *r)
{
	struct text text = { 0 };

	for (reader_next(r);; reader_next(r)) {
		uint32_t c = reader_peek(r);
		const char *from = r->p;

		if (c == LEX_END) {
			text_free(&text);
			return reader_incomplete(r, "The string is missing the terminator: '.");
		}
		if (lex_is_single_quote(c)) {
			reader_next(r);
			if (!lex_is_single_quote(reader_peek(r)))
				return string_node(&text);
			from = r->p;
		}
		{
			size_t bytes;

			lex_character(from, &bytes);
			text_add_n(&text, from, bytes);
		}
	}
}

/* What a backtick makes of the character after it. */
static void add_escaped(struct reader *r, struct text *text)
{
	static const char from[] = "ntrabfv0e", to[] = "\n\t\r\a\b\f\v\0\x1b";
	size_t bytes;
	const char *hit;

	reader_next(r);
	lex_character(r->p, &bytes);
	hit = bytes == 1 ? strchr(from, *r->p) : NULL;
	if (hit && to[hit - from])
		text_add_n(text, &to[hit - from], 1);
	else if (!hit)
		text_add_n(text, r->p, bytes);
	if (bytes)
		reader_next(r);
}

struct node *parse_variable(struct reader *r)
{
	const char *from;
	struct node *node;

	reader_next(r);
	if (reader_take(r, '{')) {
		from = r->p;
		while (*r->p && *r->p != '}')
			r->p++;
		if (!*r->p)
			return reader_incomplete(r, "The braced variable name is missing a '}'.");
		node = node_text(NODE_VARIABLE, from, (size_t)(r->p - from));
		r->p++;
		return node;
	}
	from = r->p;
	if (*r->p == '?' || *r->p == '$' || *r->p == '^')
		r->p++;
	else
		while (lex_is_name(reader_peek(r)) ||
		       (*r->p == ':' && r->p > from && lex_is_name((unsigned char)r->p[1])))
			reader_next(r);
	if (r->p == from)
		return reader_fail(r, "A variable's name is missing after '$'.");
	return node_text(NODE_VARIABLE, from, (size_t)(r->p - from));
}

struct node *parse_sub(struct reader *r, enum node_kind kind)
{
	struct node *node;

	if (!reader_enter(r))
		return NULL;
	node = node_with(node_create(kind), parse_statements(r, ')'));
	reader_leave(r);
	return node;
}

bool parse_at_expansion(const struct reader *r)
{
	size_t bytes;
	uint32_t next;

	if (*r->p != '$')
		return false;
	next = lex_character(r->p + 1, &bytes);
	return next == '(' || next == '{' || next == '?' || lex_is_name(next);
}

static struct node *parse_expansion(struct reader *r)
{
	if (r->p[1] != '(')
		return parse_variable(r);
	r->p += 2;
	return parse_sub(r, NODE_SUB);
}

/* Puts what was collected so far, and then `part`, into the parts of a string. */
static struct node *add_part(struct node *whole, struct text *text, struct node *part)
{
	if (text->len)
		whole = node_with(whole, string_node(text));
	return node_with(whole, part);
}

/* One string out of its parts. */
static struct node *finish_parts(struct node *whole, struct text *text)
{
	if (whole->count && text->len)
		return node_with(whole, string_node(text));
	if (whole->count) {
		text_free(text);
		return whole;
	}
	node_free(whole);
	return string_node(text);
}

static struct node *parse_double_quoted_into(struct reader *r, struct node *whole,
					     struct text *text)
{
	reader_next(r);
	while (whole) {
		uint32_t c = reader_peek(r);

		if (c == LEX_END) {
			node_free(whole);
			return reader_incomplete(r, "The string is missing the terminator: \".");
		}
		if (c == '`') {
			add_escaped(r, text);
		} else if (parse_at_expansion(r)) {
			whole = add_part(whole, text, parse_expansion(r));
		} else {
			const char *from = r->p;

			reader_next(r);
			if (lex_is_double_quote(c)) {
				if (!lex_is_double_quote(reader_peek(r)))
					return whole;
				from = r->p;
				reader_next(r);
			}
			text_add_n(text, from, (size_t)(r->p - from));
		}
	}
	return NULL;
}

struct node *parse_double_quoted(struct reader *r)
{
	struct text text = { 0 };
	struct node *whole = parse_double_quoted_into(r, node_create(NODE_EXPAND), &text);

	if (whole)
		return finish_parts(whole, &text);
	text_free(&text);
	return NULL;
}

/* The quote and the @ that end a here-string, which stand at the start of a line. */
static bool take_here_end(struct reader *r, bool is_double)
{
	const char *from = r->p;
	uint32_t quote;

	r->p += *r->p == '\r';
	r->p += *r->p == '\n';
	quote = reader_peek(r);
	reader_next(r);
	if (r->p > from && *r->p == '@' &&
	    (is_double ? lex_is_double_quote(quote) : lex_is_single_quote(quote))) {
		r->p++;
		return true;
	}
	r->p = from;
	return false;
}

/* @" and @': what stands between the lines of the quotes, as it is but for $ and ` in the former.
 */
static struct node *parse_here_into(struct reader *r, struct node *whole, struct text *text)
{
	bool is_double, at_start = true;

	r->p++;
	is_double = lex_is_double_quote(reader_peek(r));
	reader_next(r);
	reader_skip_blanks(r);
	if (!reader_at_line_end(r)) {
		node_free(whole);
		return *r->p ? reader_fail(r, "A here-string begins on a line of its own.")
			     : reader_incomplete(r, "The here-string has no end.");
	}
	for (; whole; at_start = false) {
		const char *from = r->p;

		if (reader_at_line_end(r) && take_here_end(r, is_double))
			return whole;
		if (at_start) { /* the line end behind the quote is not part of it */
			r->p += *r->p == '\r';
			r->p += *r->p == '\n';
		} else if (!*r->p) {
			node_free(whole);
			return reader_incomplete(r, "The here-string has no end.");
		} else if (is_double && *r->p == '`') {
			add_escaped(r, text);
		} else if (is_double && parse_at_expansion(r)) {
			whole = add_part(whole, text, parse_expansion(r));
		} else {
			reader_next(r);
			text_add_n(text, from, (size_t)(r->p - from));
		}
	}
	return NULL;
}

struct node *parse_here_string(struct reader *r)
{
	struct text text = { 0 };
	struct node *whole = parse_here_into(r, node_create(NODE_EXPAND), &text);

	if (whole)
		return finish_parts(whole, &text);
	text_free(&text);
	return NULL;
}

/* --- words --- */

bool parse_at_quote(uint32_t c)
{
	return lex_is_single_quote(c) || lex_is_double_quote(c);
}

static struct node *add_quoted(struct reader *r, struct node *whole, struct text *text)
{
	struct node *part;

	if (lex_is_double_quote(reader_peek(r)))
		return parse_double_quoted_into(r, whole, text);
	part = parse_single_quoted(r);
	if (!part) {
		node_free(whole);
		return NULL;
	}
	text_add(text, json_string_value(part->value));
	node_free(part);
	return whole;
}

/* A word without quotes and variables may be a number, and is remembered as it was written. */
static struct node *finish_word(struct node *whole, struct text *text, bool plain)
{
	json_t *number = NULL;
	char *word = text->s ? text_copy(text->s) : text_copy("");
	struct node *node;

	if (plain)
		number = value_parse_number(word, strlen(word));
	node = finish_parts(whole, text);
	if (plain && node->kind == NODE_LITERAL) {
		node->text = word;
		if (number) {
			json_decref(node->value);
			node->value = number;
		}
	} else {
		free(word);
	}
	return node;
}

struct node *parse_word(struct reader *r)
{
	struct node *whole = node_create(NODE_EXPAND);
	struct text text = { 0 };
	bool plain = true;

	while (whole && !lex_ends_word(reader_peek(r))) {
		uint32_t c = reader_peek(r);

		if (parse_at_quote(c)) {
			plain = false;
			whole = add_quoted(r, whole, &text);
		} else if (c == '`') {
			plain = false;
			add_escaped(r, &text);
		} else if (parse_at_expansion(r)) {
			plain = false;
			whole = add_part(whole, &text, parse_expansion(r));
		} else {
			const char *from = r->p;

			reader_next(r);
			text_add_n(&text, from, (size_t)(r->p - from));
		}
	}
	if (whole)
		return finish_word(whole, &text, plain);
	text_free(&text);
	return NULL;
}
