/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parser's values: numbers, brackets of all kinds, what is accessed in them. See ctl/parse.h
 * for what the language is and ctl/reader.h for how its parts fit.
 */
#include "ctl/lex.h"
#include "ctl/reader.h"
#include "ctl/text.h"

#include <stdlib.h>

static struct node *parse_value(struct reader *r);

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
		} else if (parse_at_quote(c)) {
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

	if (parse_at_quote(c))
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
	if (c == '@' && parse_at_quote((unsigned char)r->p[1]))
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
	if (c == '$' && !parse_at_expansion(r) && r->p[1] != '$' && r->p[1] != '^')
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
