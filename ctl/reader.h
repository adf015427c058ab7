/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the parser share: the place in the source, and what each has for the others:
 * statements and expressions (parse.c), values (parse_value.c), text (parse_string.c). Functions
 * return NULL after an error, which is in the reader then. Only the parser includes this.
 */
#ifndef CTL_READER_H
#define CTL_READER_H

#include "ctl/parse.h"

#define READER_DEPTH_MAX 200 /* of brackets in brackets: the parser calls itself for each */

struct reader {
	const char *start, *p;
	const char *filename; /* NULL: none */
	unsigned depth;
	int status; /* 0, -EINVAL or -EAGAIN: of the first error */
	struct error *err;
};

/* Both set the first error and return NULL. An incomplete text could go on in the next line. */
struct node *reader_fail(struct reader *r, const char *format, ...) PRINTF_LIKE(2, 3);
struct node *reader_incomplete(struct reader *r, const char *what);

/* The current character; LEX_END at the end. */
uint32_t reader_peek(const struct reader *r);
void reader_next(struct reader *r);
bool reader_take(struct reader *r, char c);

void reader_skip_blanks(struct reader *r); /* and comments, and escaped line ends */
void reader_skip_lines(struct reader *r);  /* and line ends */
bool reader_at_line_end(const struct reader *r);

/* False, with an error, where brackets are too deep. Each true is followed by one reader_leave. */
bool reader_enter(struct reader *r);
void reader_leave(struct reader *r);

struct node *node_create(enum node_kind kind);
struct node *node_text(enum node_kind kind, const char *text, size_t len);
/* Appends a child. Without one (an error) the parent is freed and NULL returned. */
struct node *node_with(struct node *parent, struct node *kid);

/* --- parse.c --- */

/* Statements up to `closing` (')' or '}'), which is consumed, or LEX_END. */
struct node *parse_statements(struct reader *r, char closing);
struct node *parse_expression(struct reader *r);

/* --- parse_value.c --- */

/* A value where an expression is expected: no bare words. */
struct node *parse_primary(struct reader *r);

/* An argument of a command: words and values, and lists of them with commas between. */
struct node *parse_argument(struct reader *r);

/* --- parse_string.c --- */

/* Each from its opening quote, behind which (here-strings) a line ends. */
struct node *parse_single_quoted(struct reader *r);
struct node *parse_double_quoted(struct reader *r);
struct node *parse_here_string(struct reader *r);
bool parse_at_quote(uint32_t c);

/* ${name}, $name, $env:name; the dollar is current. */
struct node *parse_variable(struct reader *r);

/* $name or $( ) within a string or a word; false where the dollar is only a dollar. */
bool parse_at_expansion(const struct reader *r);

/* Statements up to ')', as a node of that kind. */
struct node *parse_sub(struct reader *r, enum node_kind kind);

/* A command's name or one bare word, with quotes and variables in it. */
struct node *parse_word(struct reader *r);

#endif
