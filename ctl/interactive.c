/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shell at a terminal, by libedit: see ctl/interactive.h. */
#include "ctl/interactive.h"

#include "ctl/parse.h"
#include "ctl/text.h"

#include <errno.h>
#include <histedit.h>
#include <stdlib.h>

#define HISTORY_LINES 1000
#define HISTORY_FILE  "history"

struct terminal {
	struct shell *shell;
	EditLine *line;
	History *history;
	char *history_path;
	bool continued; /* a statement goes on */
};

static char *prompt(EditLine *line)
{
	static const char first[] = "PS nidus> ", more[] = ">> ";
	struct terminal *terminal;

	el_get(line, EL_CLIENTDATA, &terminal);
	return (char *)(terminal->continued ? more : first); /* libedit does not write there */
}

static void open_terminal(struct terminal *terminal)
{
	HistEvent event;

	terminal->line = el_init("nidus", stdin, stdout, stderr);
	terminal->history = history_init();
	terminal->history_path =
		text_format("%s/" HISTORY_FILE, store_root(terminal->shell->store));
	el_set(terminal->line, EL_CLIENTDATA, terminal);
	el_set(terminal->line, EL_PROMPT, prompt);
	el_set(terminal->line, EL_EDITOR, "emacs");
	el_set(terminal->line, EL_SIGNAL, 1);
	if (!terminal->history)
		return;
	history(terminal->history, &event, H_SETSIZE, HISTORY_LINES);
	history(terminal->history, &event, H_SETUNIQUE, 1);
	history(terminal->history, &event, H_LOAD, terminal->history_path);
	el_set(terminal->line, EL_HIST, history, terminal->history);
}

static void close_terminal(struct terminal *terminal)
{
	HistEvent event;

	if (terminal->history) {
		history(terminal->history, &event, H_SAVE, terminal->history_path);
		history_end(terminal->history);
	}
	el_end(terminal->line);
	free(terminal->history_path);
}

/* More lines are wanted while brackets or quotes are open. */
static bool is_incomplete(const char *source)
{
	struct error err = { "" };
	struct node *script;
	int ret = parse_script(source, NULL, &script, &err);

	if (!ret)
		node_free(script);
	return ret == -EAGAIN;
}

/* One statement of one or more lines; false at the end of input. */
static bool read_statement(struct terminal *terminal, struct text *source)
{
	terminal->continued = false;
	do {
		int count;
		const char *line = el_gets(terminal->line, &count);

		if (!line || count <= 0)
			return false;
		text_add(source, line);
		terminal->continued = true;
	} while (is_incomplete(source->s));
	return true;
}

static void run_statement(struct terminal *terminal, const char *source)
{
	HistEvent event;

	if (!source[strspn(source, " \t\r\n")])
		return;
	if (terminal->history)
		history(terminal->history, &event, H_ENTER, source);
	shell_run(terminal->shell, source, NULL);
}

void interactive_run(struct shell *shell)
{
	struct terminal terminal = { .shell = shell };

	open_terminal(&terminal);
	while (!shell->exiting) {
		struct text source = { 0 };
		bool more = read_statement(&terminal, &source);

		if (more)
			run_statement(&terminal, source.s);
		text_free(&source);
		if (!more)
			break;
	}
	close_terminal(&terminal);
}
