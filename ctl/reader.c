/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parser's place in the source, its errors, and the nodes of its tree: see ctl/reader.h. */
#include "ctl/reader.h"

#include "ctl/lex.h"
#include "ctl/text.h"

#include <errno.h>
#include <stdlib.h>

static unsigned line_of(const struct reader *r)
{
	unsigned line = 1;

	for (const char *p = r->start; p < r->p; p++)
		line += *p == '\n';
	return line;
}

static void set_error(struct reader *r, int status, const char *text)
{
	if (r->status)
		return;
	r->status = status;
	if (r->filename)
		error_set(r->err, status, "%s:%u: %s", r->filename, line_of(r), text);
	else
		error_set(r->err, status, "%s", text);
}

struct node *reader_fail(struct reader *r, const char *format, ...)
{
	struct text text = { 0 };
	va_list args;

	va_start(args, format);
	text_addv(&text, format, args);
	va_end(args);
	set_error(r, -EINVAL, text.s);
	text_free(&text);
	return NULL;
}

struct node *reader_incomplete(struct reader *r, const char *what)
{
	set_error(r, -EAGAIN, what);
	return NULL;
}

uint32_t reader_peek(const struct reader *r)
{
	size_t bytes;

	return lex_character(r->p, &bytes);
}

void reader_next(struct reader *r)
{
	size_t bytes;

	lex_character(r->p, &bytes);
	r->p += bytes;
}

bool reader_take(struct reader *r, char c)
{
	if (*r->p != c)
		return false;
	r->p++;
	return true;
}

static bool skip_block_comment(struct reader *r)
{
	const char *end;

	if (r->p[0] != '<' || r->p[1] != '#')
		return false;
	end = strstr(r->p, "#>");
	if (!end)
		reader_incomplete(r, "The terminator '#>' is missing from the multiline comment.");
	r->p = end ? end + 2 : r->p + strlen(r->p);
	return true;
}

void reader_skip_blanks(struct reader *r)
{
	while (1) {
		if (lex_is_blank(reader_peek(r)))
			reader_next(r);
		else if (r->p[0] == '`' && r->p[1] == '\n')
			r->p += 2;
		else if (r->p[0] == '`' && r->p[1] == '\r' && r->p[2] == '\n')
			r->p += 3;
		else if (*r->p == '#')
			r->p += strcspn(r->p, "\r\n");
		else if (!skip_block_comment(r))
			return;
	}
}

bool reader_at_line_end(const struct reader *r)
{
	return *r->p == '\n' || *r->p == '\r';
}

void reader_skip_lines(struct reader *r)
{
	reader_skip_blanks(r);
	while (reader_at_line_end(r)) {
		r->p++;
		reader_skip_blanks(r);
	}
}

bool reader_enter(struct reader *r)
{
	if (r->depth == READER_DEPTH_MAX) {
		reader_fail(r, "Too many brackets within brackets.");
		return false;
	}
	r->depth++;
	return true;
}

void reader_leave(struct reader *r)
{
	r->depth--;
}

/* --- nodes --- */

struct node *node_create(enum node_kind kind)
{
	struct node *node = alloc_zeroed(sizeof(*node));

	node->kind = kind;
	return node;
}

struct node *node_text(enum node_kind kind, const char *text, size_t len)
{
	struct node *node = node_create(kind);

	node->text = text_copy_n(text, len);
	return node;
}

struct node *node_with(struct node *parent, struct node *kid)
{
	if (!parent || !kid) {
		node_free(parent);
		node_free(kid);
		return NULL;
	}
	parent->kids = alloc_resized(parent->kids, (parent->count + 1) * sizeof(struct node *));
	parent->kids[parent->count++] = kid;
	return parent;
}

void node_free(struct node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++)
		node_free(node->kids[i]);
	free(node->kids);
	free(node->text);
	json_decref(node->value);
	free(node);
}
