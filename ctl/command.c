/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of management: `nidus`, `nidus -Command TEXT`, `nidus -File PATH`, a script on
 * standard input, and `nidus Get-VM -Name x`, where a Unix shell has split the words.
 */
#include "ctl/eval.h"
#include "ctl/interactive.h"
#include "ctl/lex.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#define STATUS_FAILED 1

struct options {
	const char *root;
	bool asks;       /* -Interactive: questions are asked though nobody sits at a terminal */
	bool never_asks; /* -NonInteractive: none is, though somebody does */
};

/* --- one cmdlet in words --- */

static void add_word(struct argument *argument, const char *word, bool only_values)
{
	unsigned dashes;
	const char *name = lex_skip_dashes(word, &dashes);
	size_t bytes, len;
	uint32_t first = lex_character(name, &bytes);

	*argument = (struct argument){ 0 };
	if (dashes == 1 && !only_values && lex_is_name(first) && (first < '0' || first > '9')) {
		len = strcspn(name, ":");
		argument->name = text_copy_n(name, len);
		if (name[len]) {
			argument->word = name + len + 1;
			argument->value = value_string(argument->word);
		}
		return;
	}
	argument->word = word;
	argument->value = value_string(word);
}

/* A cmdlet that takes the rest of the line takes it as it is: exec VM ls -l. */
static bool takes_rest(const struct cmdlet *cmdlet)
{
	for (const struct param *param = cmdlet->params; param && param->name; param++) {
		if (param->flags & REST)
			return true;
	}
	return false;
}

/* Whether a comma stands between a word and the next. */
static bool goes_on(int argc, char *const argv[], int i)
{
	size_t len = strlen(argv[i]);

	return i + 1 < argc && ((len && argv[i][len - 1] == ',') || argv[i + 1][0] == ',');
}

/*
 * `Start-VM One, Two`, which a Unix shell gives as two words: those with a comma between are one.
 * `keep` holds what is joined. *i is left at the last word that was taken.
 */
static const char *join_list(int argc, char *const argv[], int *i, json_t *keep)
{
	struct text text = { 0 };

	if (argv[*i][0] == '-' || !goes_on(argc, argv, *i))
		return argv[*i];
	text_add(&text, argv[*i]);
	while (goes_on(argc, argv, *i))
		text_add(&text, argv[++*i]);
	json_array_append_new(keep, value_string(text.s));
	text_free(&text);
	return json_string_value(json_array_get(keep, json_array_size(keep) - 1));
}

static enum flow run_words(struct shell *shell, const struct cmdlet *cmdlet, int argc,
			   char *const argv[])
{
	struct argument *arguments = alloc_zeroed((size_t)argc * sizeof(*arguments));
	json_t *output = json_array(), *keep = json_array();
	bool only_values = false, ended = false;
	size_t count = 0;
	enum flow flow;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--") && !ended) {
			only_values = ended = true;
			continue;
		}
		add_word(&arguments[count++],
			 only_values ? argv[i] : join_list(argc, argv, &i, keep), only_values);
		only_values |= takes_rest(cmdlet) && !arguments[count - 1].name;
	}
	shell->unix_words = true;
	flow = eval_cmdlet(shell, cmdlet, arguments, count, NULL, output);
	shell_print(shell, output);
	for (size_t i = 0; i < count; i++) {
		free((char *)arguments[i].name);
		json_decref(arguments[i].value);
	}
	json_decref(keep);
	json_decref(output);
	free(arguments);
	return flow;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Words that only a script has: it came as one, in quotes. */
static bool looks_like_script(int argc, char *const argv[])
{
	return argc == 1 && strpbrk(argv[0], " |;$\n");
}

static void run_command_words(struct shell *shell, int argc, char *const argv[])
{
	const struct cmdlet *cmdlet = table_find(base_name(argv[0]));
	size_t len = strlen(argv[0]);

	if (cmdlet)
		run_words(shell, cmdlet, argc - 1, argv + 1);
	else if (looks_like_script(argc, argv))
		shell_run(shell, argv[0], NULL);
	else if (len > 4 && text_same(argv[0] + len - 4, ".ps1"))
		shell_run_file(shell, argv[0]);
	else
		shell_error(
			shell, "CommandNotFoundException",
			"'%s' is no command. nidus Get-Command lists the cmdlets, nidus help says "
			"what else there is.",
			argv[0]);
}

/* --- the program's own options --- */

static void run_joined(struct shell *shell, int argc, char *const argv[])
{
	struct text text = { 0 };

	for (int i = 0; i < argc; i++)
		text_addf(&text, "%s%s", i ? " " : "", argv[i]);
	if (text.s && strcmp(text.s, "-"))
		shell_run(shell, text.s, NULL);
	else
		shell_run_file(shell, "-");
	text_free(&text);
}

static void run_file(struct shell *shell, int argc, char *const argv[])
{
	json_t *rest = json_array();

	if (!argc) {
		shell_error(shell, "MissingArgument", "-File needs the path of a script.");
		json_decref(rest);
		return;
	}
	for (int i = 1; i < argc; i++)
		json_array_append_new(rest, value_string(argv[i]));
	shell_set(shell, "args", rest);
	shell_run_file(shell, argv[0]);
}

static void run_arguments(struct shell *shell, int argc, char *const argv[])
{
	const char *first = argc ? argv[0] : "";
	unsigned dashes;
	const char *name = lex_skip_dashes(first, &dashes);

	if (!argc && shell->interactive && isatty(STDIN_FILENO))
		interactive_run(shell);
	else if (!argc)
		shell_run_file(shell, "-");
	else if (dashes && (text_same(name, "Command") || text_same(name, "c")))
		run_joined(shell, argc - 1, argv + 1);
	else if (dashes && (text_same(name, "File") || text_same(name, "f")))
		run_file(shell, argc - 1, argv + 1);
	else if (dashes)
		shell_error(
			shell, "NamedParameterNotFound",
			"Unknown option '%s'. Options are -Command TEXT, -File PATH, -Interactive, "
			"-NonInteractive and --root DIR.",
			first);
	else
		run_command_words(shell, argc, argv);
}

/* Options in front of everything; returns how many words they were. */
static int take_options(struct options *options, int argc, char *const argv[])
{
	int i = 0;

	for (; i < argc; i++) {
		unsigned dashes;
		const char *name = lex_skip_dashes(argv[i], &dashes);

		if (dashes && text_same(name, "root") && i + 1 < argc)
			options->root = argv[++i];
		else if (dashes && text_same(name, "Interactive"))
			options->asks = true;
		else if (dashes && text_same(name, "NonInteractive"))
			options->never_asks = true;
		else if (!dashes || !text_same(name, "NoProfile"))
			break;
	}
	return i;
}

int shell_command(int argc, char *const argv[])
{
	struct options options = { .root = NULL };
	struct error err = { "" };
	struct shell shell = { .out = stdout, .err = stderr, .last_ok = true };
	int used = take_options(&options, argc, argv);

	setlocale(LC_CTYPE, "C.UTF-8");
	if (store_open(&shell.store, options.root, &err)) {
		fprintf(stderr, "nidus: %s\n", err.text);
		return STATUS_FAILED;
	}
	shell.variables = json_object();
	shell.errors = json_array();
	shell.jobs = json_array();
	shell.interactive = !options.never_asks &&
			    (options.asks || (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)));
	run_arguments(&shell, argc - used, argv + used);
	json_decref(shell.variables);
	json_decref(shell.errors);
	json_decref(shell.jobs);
	store_close(shell.store);
	if (fflush(stdout))
		return STATUS_FAILED;
	return shell.exiting ? shell.exit_status : shell.had_error ? STATUS_FAILED : 0;
}
