/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shell: variables, the store, where output goes, and the ways to get text to run: interactive
 * (libedit), -Command, -File, standard input, one cmdlet in a Unix command line.
 */
#ifndef CTL_SHELL_H
#define CTL_SHELL_H

#include "ctl/call.h"
#include "ctl/format.h"
#include "ctl/store.h"

#include <stdio.h>

struct shell {
	struct store *store;
	json_t *variables; /* by name in lower case */
	json_t *errors;    /* $Error: the newest first */
	json_t *jobs;      /* an array: see ctl/job.h */
	json_int_t last_job;
	FILE *out, *err;
	bool interactive; /* may ask */
	bool unix_words;  /* arguments are words of a Unix shell: true is $true, a,b is a list */
	bool last_ok;     /* $? */
	bool had_error;   /* an error was shown: the exit status */
	bool exiting;
	int exit_status;
	unsigned tries; /* within so many try blocks: errors that these catch are not shown */
	unsigned depth; /* of script blocks in script blocks */
};

/* How running something ends. */
enum flow {
	FLOW_NEXT,   /* go on */
	FLOW_FAILED, /* this statement ends, the script goes on */
	FLOW_STOP,   /* the script ends */
};

/* A variable's value; NULL where there is none. New reference. */
json_t *shell_get(struct shell *shell, const char *name);
void shell_set(struct shell *shell, const char *name, json_t *value); /* takes the reference */

/*
 * Runs text and prints what it gives. FLOW_STOP after `exit` or an error that stops. filename is
 * for error messages; NULL: none.
 */
enum flow shell_run(struct shell *shell, const char *source, const char *filename);
enum flow shell_run_file(struct shell *shell, const char *path);

/* The text of a file ("-": standard input), for free(); NULL with a text. */
char *shell_read_file(const char *path, struct error *err);

/*
 * Runs a script block on this side with $_ as given (borrowed; NULL: none); output is appended to
 * the array.
 */
enum flow shell_run_block(struct shell *shell, const json_t *block, json_t *item, json_t *output);

/* One line from the operator, without its end; NULL at the end of input. For free(). */
char *shell_read_line(struct shell *shell, const char *prompt);

/* What format functions need to know about the output. */
struct format_place shell_place(const struct shell *shell);

/* Prints what a statement gave, as a table, a list or text. */
void shell_print(struct shell *shell, const json_t *output);

/* Prints an error record as the preferences want it and remembers it. */
void shell_report(struct shell *shell, json_t *record, enum error_action action);

/* Prints one that was kept back. */
void shell_show_error(struct shell *shell, const json_t *record);

/* An error of the language itself, such as a parse error. */
void shell_error(struct shell *shell, const char *id, const char *format, ...) PRINTF_LIKE(3, 4);

/* Everything of the program but `run` and its kin; arguments after the program's name. */
int shell_command(int argc, char *const argv[]);

#endif
