/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text to a tree: the part of PowerShell's syntax that management needs. Pipelines, commands with
 * parameters, strings, variables, arrays, hash tables, script blocks (kept as their source, since
 * most are for a guest), expressions, if, foreach and try, comments, redirection. Typographic
 * dashes and quotes are the ASCII ones' equals, as in PowerShell itself.
 */
#ifndef CTL_PARSE_H
#define CTL_PARSE_H

#include "ctl/value.h"
#include "lib/error.h"

/* What a node is; "kids" are its children in order. */
enum node_kind {
	NODE_NONE,     /* in the place of what was left out */
	NODE_SCRIPT,   /* kids: statements */
	NODE_PIPELINE, /* kids: elements, each a command or an expression */
	NODE_ASSIGN,   /* text: variable; op: "=" or "+="; kid: a statement */
	NODE_IF,       /* kids: condition, script, condition, script ... and a last script */
	NODE_TRY, /* kids: a script; what catches and what comes at last: scripts, or NODE_NONE */
	NODE_FOREACH,  /* text: variable; kids: a pipeline, a script */
	NODE_COMMAND,  /* kids: the name, then arguments */
	NODE_PARAM,    /* text: its name; kid: the value after a colon, if any */
	NODE_SPLAT,    /* text: variable */
	NODE_REDIRECT, /* text: "1", "2", "*"; op: ">", ">>" or ">&1"; kid: the file */
	NODE_LITERAL,  /* value; text: as it was written, for a bare word */
	NODE_EXPAND,   /* kids: parts that make up one string */
	NODE_VARIABLE, /* text: name, "env:X" for the environment */
	NODE_MEMBER,   /* text: property; kid */
	NODE_METHOD,   /* text: its name; kids: value, arguments */
	NODE_INDEX,    /* kids: value, index */
	NODE_LIST,     /* kids: elements */
	NODE_ARRAY,    /* @( ): kid: a script */
	NODE_SUB,      /* ( ) and $( ): kid: a script */
	NODE_HASH,     /* kids: key, value, key, value ... */
	NODE_UNARY,    /* op: "-", "!" ; kid */
	NODE_BINARY,   /* op: "+", "eq", "like" ...; two kids */
};

struct node {
	enum node_kind kind;
	char *text;     /* NULL where the kind has none */
	const char *op; /* a constant */
	json_t *value;
	struct node **kids;
	size_t count;
};

/*
 * The tree of a whole script; free with node_free. -EINVAL with a text that says what is wrong and
 * where, -EAGAIN where the text ends within brackets, quotes or a pipeline and more lines could
 * make it whole (err is then set too). "filename" is for the message; NULL: none.
 */
int parse_script(const char *source, const char *filename, struct node **out, struct error *err);
void node_free(struct node *node); /* accepts NULL */

#endif
