/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The shell at a terminal, by libedit: see ctl/interactive.h. */
#include "ctl/interactive.h"

#include "ctl/complete.h"
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

/* The longest beginning that all of them have. */
static size_t common_length(const json_t *list)
{
	const char *first = json_string_value(json_array_get(list, 0));
	size_t len = strlen(first), i;
	json_t *other;

	json_array_foreach(list, i, other)
	{
		size_t same = 0;

		while (same < len && !((first[same] ^ json_string_value(other)[same]) & ~0x20))
			same++;
		len = same;
	}
	return len;
}

static void show_choices(struct terminal *terminal, const json_t *list)
{
	json_t *choice;
	size_t i;

	fputc('\n', terminal->shell->out);
	json_array_foreach(list, i, choice)
		fprintf(terminal->shell->out, "%s  ", json_string_value(choice));
	fputc('\n', terminal->shell->out);
	fflush(terminal->shell->out);
}

/* Puts what is sure in place of the word, in the spelling of the table. */
static unsigned char put_choice(EditLine *line, const json_t *list, size_t word_len)
{
	size_t len = common_length(list);
	bool only = json_array_size(list) == 1;
	char *text = text_format("%.*s%s", (int)len, json_string_value(json_array_get(list, 0)),
				 only ? " " : "");

	el_deletestr(line, (int)word_len);
	el_insertstr(line, text);
	free(text);
	return CC_REFRESH;
}

static unsigned char complete(EditLine *line, int key)
{
	const LineInfo *info = el_line(line);
	size_t len = (size_t)(info->cursor - info->buffer), start, word_len;
	char *text = text_copy_n(info->buffer, len);
	unsigned char result = CC_ERROR;
	struct terminal *terminal;
	json_t *list;

	(void)key;
	el_get(line, EL_CLIENTDATA, &terminal);
	list = complete_text(terminal->shell->store, text, &start);
	word_len = len - start;
	if (json_array_size(list) == 1 ||
	    (json_array_size(list) && common_length(list) > word_len)) {
		result = put_choice(line, list, word_len);
	} else if (json_array_size(list)) {
		show_choices(terminal, list);
		result = CC_REDISPLAY;
	}
	json_decref(list);
	free(text);
	return result;
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
	el_set(terminal->line, EL_ADDFN, "complete", "completes the word", complete);
	el_set(terminal->line, EL_BIND, "^I", "complete", NULL);
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
