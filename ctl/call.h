/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One cmdlet at work, as its handler sees it: arguments, output, errors, questions. Errors are
 * PowerShell's kinds: call_error reports one and the handler goes on with the next VM or returns;
 * the shell decides by -ErrorAction whether the script goes on.
 */
#ifndef CTL_CALL_H
#define CTL_CALL_H

#include "ctl/table.h"
#include "ctl/value.h"

struct shell;

enum error_action { ACTION_CONTINUE, ACTION_SILENT, ACTION_IGNORE, ACTION_STOP, ACTION_INQUIRE };

struct call {
	struct shell *shell;
	const struct cmdlet *cmdlet;
	const char *name; /* as the error messages name it */
	json_t *args;     /* what is bound, by the parameter's name in the table */
	unsigned set;     /* index of the parameter set */
	json_t *input;    /* with CMDLET_WHOLE_INPUT: an array; else NULL */
	json_t *output;   /* an array */
	/* Arrays of what was reported, for -ErrorVariable and its kin. */
	json_t *errors, *warnings, *informations;
	void *private; /* the handler's own, for what machine_each calls */
	enum error_action action;
	bool verbose;
	bool yes_to_all, no_to_all; /* the answers to -Confirm's questions */
	bool failed;                /* an error was reported, silenced or not */
	bool ends_statement; /* an error now ends the statement, whatever -ErrorAction says */
	bool stopped;        /* and the script is to end: return */
};

/* Silent, Stop and so on, by the word for it; `otherwise` for NULL and what is none of them. */
enum error_action call_action(const char *word, enum error_action otherwise);

/* --- arguments, by the name in the table --- */

bool call_has(const struct call *call, const char *name);
json_t *call_value(const struct call *call, const char *name);      /* NULL: not given. Borrowed */
const char *call_string(const struct call *call, const char *name); /* NULL: not given */
int64_t call_int(const struct call *call, const char *name, int64_t otherwise);
bool call_switch(const struct call *call, const char *name); /* a switch or a Boolean */

/* Sets object's members from the arguments that are given: pairs "Parameter", "Member", NULL. */
void call_copy(const struct call *call, json_t *object, const char *const pairs[]);

/* --- output --- */

/* Takes the reference. An array goes out element by element, NULL not at all. */
void call_emit(struct call *call, json_t *value);

/* Remembers a line that the cmdlet itself has printed: -InformationVariable. */
void call_inform(struct call *call, const char *text);

void call_warn(struct call *call, const char *format, ...) PRINTF_LIKE(2, 3);
void call_tell(struct call *call, const char *format, ...) PRINTF_LIKE(2, 3); /* -Verbose */

/* --- errors --- */

/* PowerShell's categories and Hyper-V's identifiers, which go together. */
enum error_kind {
	ERROR_INVALID_PARAMETER, /* InvalidArgument, InvalidParameter */
	ERROR_NOT_FOUND,         /* ObjectNotFound, ObjectNotFound */
	ERROR_STATE,             /* InvalidOperation, InvalidState */
	ERROR_FAILED,            /* NotSpecified, OperationFailed */
	ERROR_DENIED,            /* PermissionDenied, AccessDenied */
	ERROR_EXISTS,            /* ResourceExists, ObjectExists */
	ERROR_NOT_YET,           /* NotImplemented, NotAvailable */
};

/* Always -1. target: the name of what it is about. */
int call_error(struct call *call, enum error_kind kind, const char *target, const char *format, ...)
	PRINTF_LIKE(4, 5);

/* The same with a category and an identifier of one's own. */
int call_error_as(struct call *call, const char *category, const char *id, const char *target,
		  const char *format, ...) PRINTF_LIKE(5, 6);

/* --- questions --- */

/*
 * Whether to do it: -WhatIf says what it would do, -Verbose what it does, -Confirm asks. The text
 * is a sentence without its subject, as in 'remove the virtual machine "X".'
 */
bool call_should(struct call *call, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
