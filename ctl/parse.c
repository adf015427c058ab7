/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser's statements, commands and expressions: see ctl/parse.h. */
#include "ctl/parse.h"

#include "ctl/lex.h"
#include "ctl/reader.h"

#include <stdio.h>
#include <strings.h>

/* --- expressions --- */

enum level { LEVEL_LOGIC, LEVEL_COMPARE, LEVEL_ADD, LEVEL_MULTIPLY, LEVEL_FORMAT, LEVEL_COUNT };

static const struct {
	const char *name; /* without its dash */
	enum level level;
} word_operators[] = {
	{ "and", LEVEL_LOGIC },           { "or", LEVEL_LOGIC },
	{ "xor", LEVEL_LOGIC },           { "eq", LEVEL_COMPARE },
	{ "ne", LEVEL_COMPARE },          { "gt", LEVEL_COMPARE },
	{ "ge", LEVEL_COMPARE },          { "lt", LEVEL_COMPARE },
	{ "le", LEVEL_COMPARE },          { "like", LEVEL_COMPARE },
	{ "notlike", LEVEL_COMPARE },     { "match", LEVEL_COMPARE },
	{ "notmatch", LEVEL_COMPARE },    { "contains", LEVEL_COMPARE },
	{ "in", LEVEL_COMPARE },          { "notin", LEVEL_COMPARE },
	{ "notcontains", LEVEL_COMPARE }, { "is", LEVEL_COMPARE },
	{ "join", LEVEL_COMPARE },        { "split", LEVEL_COMPARE },
	{ "replace", LEVEL_COMPARE },     { "f", LEVEL_FORMAT },
};

static const struct {
	char sign;
	const char *name;
	enum level level;
} sign_operators[] = {
	{ '+', "+", LEVEL_ADD },
	{ '*', "*", LEVEL_MULTIPLY },
	{ '/', "/", LEVEL_MULTIPLY },
	{ '%', "%", LEVEL_MULTIPLY },
};

/* The word behind a dash; its length, 0 where there is none. */
static size_t dashed_word(const struct reader *r, const char **word)
{
	size_t bytes, len = 0;

	if (!lex_is_dash(lex_character(r->p, &bytes)))
		return 0;
	*word = r->p + bytes;
	while ((*word)[len] && ((*word)[len] | 0x20) >= 'a' && ((*word)[len] | 0x20) <= 'z')
		len++;
	return len;
}

static bool word_is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && !strncasecmp(word, name, len);
}

/* Takes an operator of that level; NULL, and nothing is taken, where there is none. */
static const char *take_operator(struct reader *r, enum level level)
{
	const char *word;
	size_t len = dashed_word(r, &word);

	for (size_t i = 0; len && i < ARRAY_SIZE(word_operators); i++) {
		if (word_operators[i].level != level || !word_is(word, len, word_operators[i].name))
			continue;
		r->p = word + len;
		return word_operators[i].name;
	}
	if (level == LEVEL_ADD && !len && lex_is_dash(reader_peek(r))) {
		reader_next(r);
		return "-";
	}
	for (size_t i = 0; i < ARRAY_SIZE(sign_operators); i++) {
		if (sign_operators[i].level == level && reader_take(r, sign_operators[i].sign))
			return sign_operators[i].name;
	}
	return NULL;
}

static struct node *operation(enum node_kind kind, const char *op, struct node *first)
{
	struct node *node = node_create(kind);

	node->op = op;
	return node_with(node, first);
}

static struct node *parse_unary(struct reader *r)
{
	const char *word;
	size_t len = dashed_word(r, &word);
	struct node *node = NULL;

	if (!reader_enter(r))
		return NULL;
	if (reader_take(r, '!') || (len && word_is(word, len, "not"))) {
		if (len)
			r->p = word + len;
		reader_skip_blanks(r);
		node = operation(NODE_UNARY, "!", parse_unary(r));
	} else if (!len && lex_is_dash(reader_peek(r))) {
		reader_next(r);
		node = operation(NODE_UNARY, "-", parse_unary(r));
	} else {
		node = parse_primary(r);
	}
	reader_leave(r);
	return node;
}

static struct node *parse_list(struct reader *r)
{
	struct node *node = parse_unary(r);

	while (node) {
		const char *behind = r->p;

		reader_skip_blanks(r);
		if (!reader_take(r, ',')) {
			r->p = behind;
			break;
		}
		reader_skip_lines(r);
		if (node->kind != NODE_LIST)
			node = node_with(node_create(NODE_LIST), node);
		node = node_with(node, parse_unary(r));
	}
	return node;
}

static struct node *parse_level(struct reader *r, enum level level)
{
	struct node *left = level == LEVEL_COUNT ? parse_list(r) : parse_level(r, level + 1);

	while (left && level < LEVEL_COUNT) {
		const char *behind = r->p, *op;

		reader_skip_blanks(r);
		op = take_operator(r, level);
		if (!op) {
			r->p = behind;
			break;
		}
		reader_skip_lines(r);
		left = node_with(operation(NODE_BINARY, op, left), parse_level(r, level + 1));
	}
	return left;
}

struct node *parse_expression(struct reader *r)
{
	struct node *node;

	if (!reader_enter(r))
		return NULL;
	node = parse_level(r, LEVEL_LOGIC);
	reader_leave(r);
	return node;
}

/* --- commands --- */

static bool at_command_end(const struct reader *r)
{
	uint32_t c = reader_peek(r);

	return c == LEX_END || c == ';' || c == '|' || c == ')' || c == '}' ||
	       reader_at_line_end(r);
}

/* -Name and -Name:value. A dash with a quote inside is a word, as in PowerShell. */
static struct node *parse_parameter(struct reader *r)
{
	const char *from, *dash = r->p;
	struct node *param;

	reader_next(r);
	from = r->p;
	while (!lex_ends_word(reader_peek(r)) && !strchr(":.[", *r->p)) {
		uint32_t c = reader_peek(r);

		if (lex_is_single_quote(c) || lex_is_double_quote(c)) {
			r->p = dash;
			return parse_word(r);
		}
		reader_next(r);
	}
	param = node_text(NODE_PARAM, from, (size_t)(r->p - from));
	if (!reader_take(r, ':'))
		return param;
	reader_skip_blanks(r);
	return node_with(param, parse_argument(r));
}

/* >, >>, 2>, *>> and 2>&1 at the start of a word. NULL without an error: it is none. */
static struct node *parse_redirection(struct reader *r)
{
	const char *p = r->p;
	char stream[2] = { '1', 0 };
	struct node *node;

	if ((*p >= '1' && *p <= '6') || *p == '*')
		stream[0] = *p++;
	if (*p++ != '>')
		return NULL;
	node = node_text(NODE_REDIRECT, stream, 1);
	node->op = ">";
	if (*p == '>') {
		node->op = ">>";
		p++;
	} else if (p[0] == '&' && p[1] == '1') {
		node->op = ">&1";
		r->p = p + 2;
		return node;
	}
	r->p = p;
	reader_skip_blanks(r);
	return node_with(node, parse_argument(r));
}

static struct node *parse_splat(struct reader *r)
{
	const char *from = ++r->p;

	while (lex_is_name(reader_peek(r)))
		reader_next(r);
	return node_text(NODE_SPLAT, from, (size_t)(r->p - from));
}

static struct node *parse_command_part(struct reader *r, bool *only_values)
{
	size_t bytes, more;
	uint32_t c = lex_character(r->p, &bytes), next = lex_character(r->p + bytes, &more);
	struct node *redirection;

	if (lex_is_dash(c) && lex_is_dash(next) && !*only_values &&
	    lex_ends_word(lex_character(r->p + bytes + more, &bytes))) {
		*only_values = true;
		reader_next(r);
		reader_next(r);
		return NULL;
	}
	/* A second dash makes a name that no parameter has, with an error of its own. */
	if (lex_is_dash(c) && !*only_values && lex_is_dash(next))
		return parse_parameter(r);
	if (lex_is_dash(c) && !*only_values && (lex_is_name(next) || next == '?') &&
	    (next < '0' || next > '9'))
		return parse_parameter(r);
	redirection = parse_redirection(r);
	if (redirection || r->status)
		return redirection;
	if (c == '@' && lex_is_name(next))
		return parse_splat(r);
	if (c == '&')
		return reader_fail(r, "The ampersand (&) is not allowed here.");
	return parse_argument(r);
}

static struct node *parse_command(struct reader *r, struct node *name)
{
	struct node *command = node_with(node_create(NODE_COMMAND), name);
	bool only_values = false;

	while (command) {
		struct node *part;

		reader_skip_blanks(r);
		if (at_command_end(r))
			break;
		part = parse_command_part(r, &only_values);
		if (part || r->status)
			command = node_with(command, part);
	}
	return command;
}

/* An expression starts with a value; anything else is a command's name. */
static bool starts_expression(const struct reader *r)
{
	size_t bytes;
	uint32_t c = lex_character(r->p, &bytes), next = lex_character(r->p + bytes, &bytes);
	const char *word;
	size_t len = dashed_word(r, &word);

	if (lex_is_dash(c))
		return word_is(word, len, "not") || (next >= '0' && next <= '9') || next == '$' ||
		       next == '(';
	if (c >= '0' && c <= '9') {
		size_t digits = 0;
		json_t *number;

		while (!lex_ends_word((unsigned char)r->p[digits]))
			digits++;
		number = value_parse_number(r->p, digits);
		json_decref(number);
		return number != NULL;
	}
	return lex_is_single_quote(c) || lex_is_double_quote(c) || c == '$' || c == '(' ||
	       c == '{' || c == '!' ||
	       (c == '@' && (next == '(' || next == '{' || lex_is_single_quote(next) ||
			     lex_is_double_quote(next)));
}

static struct node *parse_element(struct reader *r)
{
	if (starts_expression(r))
		return parse_expression(r);
	if ((*r->p == '&' || *r->p == '.') && lex_ends_word((unsigned char)r->p[1])) {
		r->p++;
		reader_skip_blanks(r);
		return parse_command(r, parse_argument(r));
	}
	if (*r->p == '<' || lex_ends_word(reader_peek(r)))
		return reader_fail(r, "Unexpected token '%c'.", *r->p);
	return parse_command(r, parse_word(r));
}

static struct node *parse_pipeline(struct reader *r)
{
	struct node *pipeline = node_with(node_create(NODE_PIPELINE), parse_element(r));

	while (pipeline) {
		reader_skip_blanks(r);
		if (!reader_take(r, '|'))
			break;
		reader_skip_lines(r);
		if (reader_peek(r) == LEX_END) {
			node_free(pipeline);
			return reader_incomplete(r, "An empty pipe element is not allowed.");
		}
		pipeline = node_with(pipeline, parse_element(r));
	}
	return pipeline;
}

/* --- statements --- */

static struct node *parse_statement(struct reader *r);

/* $name = statement. NULL without an error: it is none, and nothing was taken. */
static struct node *parse_assignment(struct reader *r)
{
	const char *from = r->p, *name = from + 1, *end = name;
	struct node *node;
	const char *op;
	size_t bytes;

	if (*from != '$')
		return NULL;
	for (r->p = name; lex_is_name(reader_peek(r)) || *r->p == ':';)
		reader_next(r);
	end = r->p;
	reader_skip_blanks(r);
	op = r->p[0] == '=' ? "=" : r->p[0] == '+' && r->p[1] == '=' ? "+=" : NULL;
	if (!op || end == name) {
		r->p = from;
		return NULL;
	}
	r->p += strlen(op);
	reader_skip_lines(r);
	if (!lex_character(r->p, &bytes))
		return reader_incomplete(r, "An expression was expected after '='.");
	node = node_text(NODE_ASSIGN, name, (size_t)(end - name));
	node->op = op;
	return node_with(node, parse_statement(r));
}

/* A keyword in front of a bracket; `after` is where that bracket is. */
static bool take_keyword(struct reader *r, const char *keyword, char bracket)
{
	const char *from = r->p;
	size_t len = strlen(keyword);

	if (strncasecmp(from, keyword, len))
		return false;
	r->p += len;
	reader_skip_lines(r);
	if (*r->p == bracket)
		return true;
	r->p = from;
	return false;
}

static struct node *parse_body(struct reader *r)
{
	struct node *body;

	reader_skip_lines(r);
	if (!*r->p)
		return reader_incomplete(r, "Missing statement block.");
	if (!reader_take(r, '{'))
		return reader_fail(r, "Missing statement block.");
	if (!reader_enter(r))
		return NULL;
	body = parse_statements(r, '}');
	reader_leave(r);
	return body;
}

static struct node *parse_if(struct reader *r)
{
	struct node *node = node_create(NODE_IF);

	do {
		r->p++;
		if (!reader_enter(r))
			break;
		node = node_with(node, parse_statements(r, ')'));
		reader_leave(r);
		node = node ? node_with(node, parse_body(r)) : NULL;
		if (!node)
			return NULL;
		{
			const char *behind = r->p;

			reader_skip_lines(r);
			if (take_keyword(r, "elseif", '('))
				continue;
			if (take_keyword(r, "else", '{'))
				return node_with(node, parse_body(r));
			r->p = behind;
			return node;
		}
	} while (1);
	node_free(node);
	return NULL;
}

static struct node *parse_foreach(struct reader *r)
{
	const char *from, *end;
	struct node *node;
	bool has_name;

	r->p++;
	reader_skip_lines(r);
	has_name = reader_take(r, '$');
	for (from = r->p; lex_is_name(reader_peek(r));)
		reader_next(r);
	end = r->p;
	reader_skip_lines(r);
	if (!has_name || end == from || strncasecmp(r->p, "in", 2) ||
	    lex_is_name((unsigned char)r->p[2]))
		return reader_fail(r, "foreach is written: foreach ($name in values) { ... }");
	r->p += 2;
	if (!reader_enter(r))
		return NULL;
	node = node_with(node_text(NODE_FOREACH, from, (size_t)(end - from)),
			 parse_statements(r, ')'));
	reader_leave(r);
	return node ? node_with(node, parse_body(r)) : NULL;
}

/* `catch { ... }` or `finally { ... }` behind what came before it, or nothing. */
static struct node *parse_clause(struct reader *r, const char *keyword)
{
	const char *behind = r->p;

	reader_skip_lines(r);
	if (take_keyword(r, keyword, '{'))
		return parse_body(r);
	if (take_keyword(r, keyword, '['))
		return reader_fail(r, "catch catches all errors here: write it without a type.");
	r->p = behind;
	return node_create(NODE_NONE);
}

static struct node *parse_try(struct reader *r)
{
	struct node *node = node_with(node_create(NODE_TRY), parse_body(r));

	if (node)
		node = node_with(node, parse_clause(r, "catch"));
	if (node)
		node = node_with(node, parse_clause(r, "finally"));
	if (!node || node->kids[1]->kind == NODE_SCRIPT || node->kids[2]->kind == NODE_SCRIPT)
		return node;
	node_free(node);
	reader_skip_lines(r);
	return *r->p ? reader_fail(r, "The try statement is missing its catch or finally block.")
		     : reader_incomplete(
			       r, "The try statement is missing its catch or finally block.");
}

static struct node *parse_statement(struct reader *r)
{
	struct node *node;

	if (take_keyword(r, "if", '('))
		return parse_if(r);
	if (take_keyword(r, "foreach", '('))
		return parse_foreach(r);
	if (take_keyword(r, "try", '{'))
		return parse_try(r);
	node = parse_assignment(r);
	return node || r->status ? node : parse_pipeline(r);
}

static struct node *missing(struct reader *r, char closing)
{
	char text[64];

	snprintf(text, sizeof(text), "Missing closing '%c'.", closing);
	return reader_incomplete(r, text);
}

struct node *parse_statements(struct reader *r, char closing)
{
	struct node *script = node_create(NODE_SCRIPT);

	while (script) {
		do
			reader_skip_lines(r);
		while (reader_take(r, ';'));
		if (!*r->p) {
			if (!closing && !r->status)
				return script;
			node_free(script);
			return missing(r, closing);
		}
		if (closing && reader_take(r, closing))
			return script;
		script = node_with(script, parse_statement(r));
		if (!script)
			break;
		reader_skip_blanks(r);
		if (*r->p && *r->p != ';' && !reader_at_line_end(r) && *r->p != closing) {
			node_free(script);
			return reader_fail(r, "Unexpected token '%.*s' in expression or statement.",
					   (int)MAX(strcspn(r->p, " \t\r\n"), (size_t)1), r->p);
		}
	}
	return NULL;
}

int parse_script(const char *source, const char *filename, struct node **out, struct error *err)
{
	struct reader reader = { .filename = filename, .err = err };

	if (!strncmp(source, "\xef\xbb\xbf", 3)) /* a byte order mark */
		source += 3;
	reader.start = reader.p = source;
	*out = parse_statements(&reader, 0);
	return *out ? 0 : reader.status;
}
