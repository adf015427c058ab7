/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parser's values: words, strings, variables, brackets of all kinds. See ctl/parse.h for what
 * the language is and ctl/reader.h for how the halves fit.
 */
#include "ctl/lex.h"
#include "ctl/reader.h"
#include "ctl/text.h"

#include <stdlib.h>

static struct node *parse_value(struct reader *r);

/* --- strings --- */

static struct node *string_node(struct text *text)
{
	struct node *node = node_create(NODE_LITERAL);
	char *s = text_take(text);

	node->value = value_string(s);
	free(s);
	return node;
}

static struct node *parse_single_quoted(struct reader *r)
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

/* ${name}, $name, $env:name; the dollar is current. */
static struct node *parse_variable(struct reader *r)
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

static struct node *parse_sub(struct reader *r, enum node_kind kind)
{
	struct node *node;

	if (!reader_enter(r))
		return NULL;
	node = node_with(node_create(kind), parse_statements(r, ')'));
	reader_leave(r);
	return node;
}

/* $name or $( ) within a string or a word; false where the dollar is only a dollar. */
static bool starts_expansion(const struct reader *r)
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
		} else if (starts_expansion(r)) {
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

static struct node *parse_double_quoted(struct reader *r)
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
		} else if (is_double && starts_expansion(r)) {
			whole = add_part(whole, text, parse_expansion(r));
		} else {
			reader_next(r);
			text_add_n(text, from, (size_t)(r->p - from));
		}
	}
	return NULL;
}

static struct node *parse_here_string(struct reader *r)
{
	struct text text = { 0 };
	struct node *whole = parse_here_into(r, node_create(NODE_EXPAND), &text);

	if (whole)
		return finish_parts(whole, &text);
	text_free(&text);
	return NULL;
}

/* --- words --- */

static bool at_quote(uint32_t c)
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

		if (at_quote(c)) {
			plain = false;
			whole = add_quoted(r, whole, &text);
		} else if (c == '`') {
			plain = false;
			add_escaped(r, &text);
		} else if (starts_expansion(r)) {
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

/* --- brackets --- */

static void skip_quoted(struct reader *r)
{
	bool is_double = lex_is_double_quote(reader_peek(r));

	for (reader_next(r); *r->p; reader_next(r)) {
		uint32_t c = reader_peek(r);

		if (is_double && c == '`' && r->p[1])
			reader_next(r);
		else if (is_double ? lex_is_double_quote(c) : lex_is_single_quote(c))
			break;
	}
}

/* A script block is kept as it is: quotes, comments and braces in it are only tracked. */
static struct node *parse_block(struct reader *r)
{
	const char *from = r->p + 1;
	unsigned depth = 0;
	bool at_token = true;

	for (; *r->p; reader_next(r)) {
		uint32_t c = reader_peek(r);

		if (c == '`' && r->p[1]) {
			reader_next(r);
		} else if (at_quote(c)) {
			skip_quoted(r);
			if (!*r->p)
				break;
		} else if (c == '#' && at_token) {
			while (r->p[1] && r->p[1] != '\n')
				r->p++;
		} else if (c == '{') {
			depth++;
		} else if (c == '}' && !--depth) {
			struct text text = { 0 };
			struct node *node;

			text_add_n(&text, from, (size_t)(r->p - from));
			node = node_create(NODE_LITERAL);
			node->value = value_block(text.s);
			text_free(&text);
			r->p++;
			return node;
		}
		at_token = lex_ends_word(c);
	}
	return reader_incomplete(r, "Missing closing '}' in statement block.");
}

static struct node *parse_hash_key(struct reader *r)
{
	uint32_t c = reader_peek(r);
	const char *from = r->p;
	struct node *node;

	if (at_quote(c))
		return lex_is_double_quote(c) ? parse_double_quoted(r) : parse_single_quoted(r);
	while (lex_is_name(reader_peek(r)))
		reader_next(r);
	if (r->p == from)
		return reader_fail(r, "Missing key in the hash table.");
	node = node_create(NODE_LITERAL);
	node->text = text_copy_n(from, (size_t)(r->p - from));
	node->value = value_string(node->text);
	return node;
}

static struct node *parse_hash_entries(struct reader *r)
{
	struct node *hash = node_create(NODE_HASH);

	while (hash) {
		do
			reader_skip_lines(r);
		while (reader_take(r, ';'));
		if (reader_take(r, '}'))
			return hash;
		if (reader_peek(r) == LEX_END) {
			node_free(hash);
			return reader_incomplete(r, "Missing closing '}' in the hash table.");
		}
		hash = node_with(hash, parse_hash_key(r));
		reader_skip_blanks(r);
		if (hash && !reader_take(r, '=')) {
			node_free(hash);
			return reader_fail(r, "Missing '=' after a key in the hash table.");
		}
		reader_skip_lines(r);
		if (hash)
			hash = node_with(hash, parse_expression(r));
	}
	return NULL;
}

static struct node *parse_hash(struct reader *r)
{
	struct node *hash;

	if (!reader_enter(r))
		return NULL;
	hash = parse_hash_entries(r);
	reader_leave(r);
	return hash;
}

/* The arguments of a method; the bracket is current. */
static struct node *parse_method(struct reader *r, struct node *method)
{
	r->p++;
	reader_skip_lines(r);
	if (reader_take(r, ')'))
		return method;
	method = node_with(method, parse_expression(r));
	reader_skip_lines(r);
	if (!method || reader_take(r, ')'))
		return method;
	node_free(method);
	return *r->p ? reader_fail(r, "Missing ')' after a method's arguments.")
		     : reader_incomplete(r, "Missing ')' after a method's arguments.");
}

/* .property, .method() and [index] right behind a value. */
static struct node *parse_accesses(struct reader *r, struct node *value)
{
	while (value) {
		size_t bytes;

		if (*r->p == '.' && lex_is_name(lex_character(r->p + 1, &bytes))) {
			const char *from = ++r->p;
			struct node *member;

			while (lex_is_name(reader_peek(r)))
				reader_next(r);
			member = node_text(*r->p == '(' ? NODE_METHOD : NODE_MEMBER, from,
					   (size_t)(r->p - from));
			value = node_with(member, value);
			if (value && value->kind == NODE_METHOD)
				value = parse_method(r, value);
		} else if (*r->p == '[') {
			r->p++;
			value = node_with(node_create(NODE_INDEX), value);
			value = node_with(value, parse_expression(r));
			reader_skip_lines(r);
			if (value && !reader_take(r, ']')) {
				node_free(value);
				return reader_fail(r, "Missing ']' after an index.");
			}
		} else {
			break;
		}
	}
	return value;
}

/* What both kinds of places have: variables, strings, brackets. NULL without an error: none. */
static struct node *parse_common(struct reader *r)
{
	uint32_t c = reader_peek(r);

	if (lex_is_single_quote(c))
		return parse_single_quoted(r);
	if (lex_is_double_quote(c))
		return parse_double_quoted(r);
	if (c == '$' && r->p[1] == '(') {
		r->p += 2;
		return parse_sub(r, NODE_SUB);
	}
	if (c == '$')
		return parse_variable(r);
	if (c == '(') {
		r->p++;
		return parse_sub(r, NODE_SUB);
	}
	if (c == '@' && r->p[1] == '(') {
		r->p += 2;
		return parse_sub(r, NODE_ARRAY);
	}
	if (c == '@' && r->p[1] == '{') {
		r->p += 2;
		return parse_hash(r);
	}
	if (c == '@' && at_quote((unsigned char)r->p[1]))
		return parse_here_string(r);
	if (c == '{')
		return parse_block(r);
	return NULL;
}

struct node *parse_primary(struct reader *r)
{
	const char *from = r->p;
	struct node *node = parse_common(r);
	json_t *number;

	if (node || r->status)
		return parse_accesses(r, node);
	while (lex_is_name(reader_peek(r)) || (*r->p == '.' && r->p > from))
		reader_next(r);
	number = value_parse_number(from, (size_t)(r->p - from));
	if (number) {
		node = node_create(NODE_LITERAL);
		node->value = number;
		return node;
	}
	if (r->p == from)
		return *from ? reader_fail(r, "You must provide a value expression.")
			     : reader_incomplete(r, "You must provide a value expression.");
	return reader_fail(r, "Unexpected token '%.*s' in expression.", (int)(r->p - from), from);
}

/* "<VMName>" in a document stands for something that only the reader knows. */
static struct node *refuse_angle(struct reader *r)
{
	const char *end = r->p + strcspn(r->p, ">\r\n");

	if (*end == '>' && end > r->p + 1)
		return reader_fail(
			r, "Replace the placeholder %.*s by what it stands for; no < > around it.",
			(int)(end + 1 - r->p), r->p);
	return reader_fail(r, "The '<' operator is reserved for future use.");
}

static struct node *parse_value(struct reader *r)
{
	const char *from = r->p;
	uint32_t c = reader_peek(r);
	struct node *node;

	if (c == '<')
		return refuse_angle(r);
	if (c == '$' && !starts_expansion(r) && r->p[1] != '$' && r->p[1] != '^')
		return parse_word(r);
	node = parse_accesses(r, parse_common(r));
	if (r->status)
		return NULL;
	if (node && (c != '$' || lex_ends_word(reader_peek(r))))
		return node;
	if (node) { /* $name/rest is one word */
		node_free(node);
		r->p = from;
	}
	if (lex_ends_word(c))
		return c == LEX_END ? reader_incomplete(r, "Missing an argument.")
				    : reader_fail(r, "Missing an argument before '%c'.", (char)c);
	return parse_word(r);
}

struct node *parse_argument(struct reader *r)
{
	struct node *first = parse_value(r), *list = NULL;

	while (first) {
		const char *behind = r->p;

		reader_skip_blanks(r);
		if (!reader_take(r, ',')) {
			r->p = behind;
			break;
		}
		if (!list)
			list = first = node_with(node_create(NODE_LIST), first);
		reader_skip_lines(r);
		list = first = node_with(list, parse_value(r));
	}
	return first;
}
