/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Invoke-Command, Enter-PSSession, Copy-VMFile, Wait-VM: what happens in a guest, by its agent.
 * Output is lines of text that carry the VM's name (PSComputerName).
 */
#include "ctl/agent.h"
#include "ctl/guestscript.h"
#include "ctl/line.h"
#include "ctl/machine.h"
#include "ctl/nouns.h"
#include "ctl/path.h"
#include "ctl/shell.h"
#include "ctl/text.h"
#include "ctl/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS       20000000
#define WAIT_NS       250000000
#define HOLD_MS       1000 /* the agent is for others too: how long a command keeps it */
#define WAIT_HELLO_MS 1000
#define TIMEOUT_MAX_S 31536000
#define CWD_MARK      "\001" /* in front of the folder that a line of Enter-PSSession leaves behind */

static int not_running(struct call *call, const struct machine *machine)
{
	return call_error_as(call, "InvalidOperation", "VMNotRunning", machine->name,
			     "The virtual machine %s is not in running state: it is %s.",
			     machine->name, machine_state(machine));
}

/* A connection to the agent of a running VM; -1 after call_error. */
static int open_agent(struct call *call, struct machine *machine)
{
	struct error err = { "" };
	int fd;

	if (!machine_is_running(machine)) {
		not_running(call, machine);
		return -1;
	}
	fd = agent_open(call->shell->store, machine->id, AGENT_HELLO_MS, &err);
	if (fd >= 0)
		return fd;
	call_error_as(call, "OpenError", "PSSessionOpenFailed", machine->name,
		      "The virtual machine %s cannot be reached: %s.", machine->name, err.text);
	return -1;
}

/* --- Invoke-Command --- */

struct session {
	char *name, *id;
	int fd; /* -1: between two looks, once it has taken long */
	int64_t started_ms;
	struct agent_exec exec;
	bool done;
};

struct sessions {
	struct session *list;
	size_t count;
	char *script;
	const struct text *input; /* of the commands; NULL: none */
};

static void leave_agent(struct session *session)
{
	if (session->fd >= 0)
		close(session->fd);
	session->fd = -1;
}

/* Lines as objects that know where they come from. */
static void emit_lines(struct call *call, const char *text, const char *name)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		json_t *line = value_object(VALUE_LINE);
		char *copy = text_copy_n(text, len);

		json_object_set_new(line, "Text", value_string(copy));
		json_object_set_new(line, "PSComputerName", value_string(name));
		call_emit(call, line);
		free(copy);
		text += len + (text[len] == '\n');
	}
}

static void finish_session(struct call *call, struct session *session)
{
	const struct agent_exec *exec = &session->exec;

	session->done = true;
	leave_agent(session);
	emit_lines(call, exec->out, session->name);
	if (*exec->errors) {
		fflush(call->shell->out);
		fputs(exec->errors, call->shell->err);
	}
	if (exec->is_cut)
		call_warn(
			call,
			"[%s] The command wrote more than the guest agent keeps; the rest is lost.",
			session->name);
	shell_set(call->shell, "LASTEXITCODE", json_integer(exec->status));
	if (exec->status && !(call->cmdlet->flags & CMDLET_HIDDEN))
		call_error_as(call, "NotSpecified", "NativeCommandError", session->name,
			      "[%s] The command ended with status %d.", session->name,
			      exec->status);
}

static void fail_session(struct call *call, struct session *session, const char *why)
{
	session->done = true;
	leave_agent(session);
	call_error_as(call, "OperationStopped", "PSSessionBroken", session->name, "[%s] %s.",
		      session->name, why);
}

/* Looks whether the command has ended, and leaves the agent to others for a while if it has not. */
static int poll_session(struct call *call, struct session *session, struct error *err)
{
	int ret;

	if (session->fd < 0)
		session->fd = agent_open(call->shell->store, session->id, AGENT_HELLO_MS, err);
	if (session->fd < 0)
		return session->fd;
	ret = agent_poll(session->fd, &session->exec, err);
	if (!ret && !session->exec.ended && line_now_ms() - session->started_ms > HOLD_MS)
		leave_agent(session);
	return ret;
}

/* All commands run at once; each is looked at in turn. */
static void wait_for_sessions(struct call *call, struct sessions *all)
{
	int64_t seconds = call_int(call, "Timeout", -1), until = line_now_ms() + seconds * 1000;
	const struct timespec pause = { 0, POLL_NS }, long_pause = { 0, WAIT_NS };
	bool more = true, is_quick;

	while (more) {
		more = is_quick = false;
		for (size_t i = 0; i < all->count; i++) {
			struct session *session = &all->list[i];
			struct error err = { "" };

			if (session->done)
				continue;
			if (poll_session(call, session, &err))
				fail_session(call, session, err.text);
			else if (session->exec.ended)
				finish_session(call, session);
			else if (seconds >= 0 && line_now_ms() >= until)
				fail_session(call, session,
					     "The command takes longer than allowed");
			else
				more = true;
			is_quick = is_quick || session->fd >= 0;
		}
		if (more)
			nanosleep(is_quick ? &pause : &long_pause, NULL);
	}
}

static int start_session(struct call *call, struct machine *machine)
{
	struct sessions *all = call->private;
	struct session session = { .fd = open_agent(call, machine) };
	struct error err = { "" };

	if (session.fd < 0)
		return -1;
	if (agent_start(session.fd, all->script, call_value(call, "ArgumentList"), all->input,
			&session.exec, &err)) {
		close(session.fd);
		return call_error_as(call, "OpenError", "PSSessionOpenFailed", machine->name,
				     "[%s] %s.", machine->name, err.text);
	}
	session.name = text_copy(machine->name);
	session.id = text_copy(machine->id);
	session.started_ms = line_now_ms();
	all->list = alloc_resized(all->list, (all->count + 1) * sizeof(*all->list));
	all->list[all->count++] = session;
	return 0;
}

static void free_sessions(struct sessions *all)
{
	for (size_t i = 0; i < all->count; i++) {
		leave_agent(&all->list[i]);
		free(all->list[i].id);
		agent_exec_free(&all->list[i].exec);
		free(all->list[i].name);
	}
	free(all->list);
	free(all->script);
}

static int run_in_guests(struct call *call, const char *script, const struct text *input)
{
	struct sessions all = { .script = guestscript_translate(script), .input = input };

	call->private = &all;
	machine_each(call, NULL, start_session);
	wait_for_sessions(call, &all);
	call->private = NULL;
	free_sessions(&all);
	return call->failed ? -1 : 0;
}

static char *read_script(struct call *call)
{
	const json_t *block = call_value(call, "ScriptBlock");
	struct error err = { "" };
	char *path, *source;

	if (block)
		return text_copy(value_text_of(block, "Text"));
	path = path_home(call_string(call, "FilePath"));
	source = shell_read_file(path, &err);
	if (!source)
		call_error(call, ERROR_NOT_FOUND, path, "The script '%s' cannot be read: %s.", path,
			   err.text);
	free(path);
	return source;
}

static int invoke_command(struct call *call)
{
	char *script;
	int ret;

	if (!call_has(call, "VMName") && !call_has(call, "VMId") && !call_has(call, "VM"))
		return call_error(call, ERROR_INVALID_PARAMETER, "",
				  "Say where to run it: Invoke-Command -VMName NAME { ... }");
	script = read_script(call);
	ret = script ? run_in_guests(call, script, NULL) : -1;
	free(script);
	return ret;
}

/* --- exec: one command in the words of a Unix shell, and its exit status --- */

static void add_quoted(struct text *text, const char *word)
{
	text_add(text, text->len ? " '" : "'");
	for (; *word; word++)
		text_add_n(text, *word == '\'' ? "'\\''" : word, *word == '\'' ? 4 : 1);
	text_add(text, "'");
}

/*
 * What stands on standard input for a command in a Unix command line. In a script it would be the
 * script, and at a terminal whatever the operator types next.
 */
static int read_input(struct call *call, struct text *input)
{
	char part[64 * KIB];
	ssize_t n;

	if (!call->shell->unix_words || isatty(STDIN_FILENO))
		return 0;
	while ((n = read(STDIN_FILENO, part, sizeof(part))) > 0) {
		text_add_n(input, part, (size_t)n);
		if (input->len > AGENT_INPUT_MAX_BYTES)
			return call_error(call, ERROR_INVALID_PARAMETER, "",
					  "Standard input has more than the %llu MB that a command "
					  "in a guest can get. Copy it there first: Copy-VMFile.",
					  AGENT_INPUT_MAX_BYTES / MIB);
	}
	return 0;
}

static int exec_command(struct call *call)
{
	const json_t *words = call_value(call, "Command");
	struct text script = { 0 }, input = { 0 };
	json_t *word, *status;
	size_t i;
	int ret;

	json_array_foreach(words, i, word)
	{
		char *text = value_text(word);

		add_quoted(&script, text);
		free(text);
	}
	if (!script.s)
		return call_error(call, ERROR_INVALID_PARAMETER, "",
				  "Say what to run: nidus exec VM -- COMMAND ARGUMENT...");
	ret = read_input(call, &input);
	if (!ret)
		ret = run_in_guests(call, script.s, &input);
	text_free(&input);
	text_free(&script);
	status = shell_get(call->shell, "LASTEXITCODE");
	if (status && json_integer_value(status)) {
		call->shell->exiting = true;
		call->shell->exit_status = (int)json_integer_value(status);
	}
	json_decref(status);
	return ret;
}

/* --- Enter-PSSession --- */

/* Runs a line in the folder that the last one left; false when the guest is gone. */
static bool run_line(struct call *call, struct machine *machine, const char *line, char **folder)
{
	char *command = guestscript_translate(line);
	char *script = text_format("cd \"$1\" 2>/dev/null\n%s\nprintf '" CWD_MARK "%%s' \"$PWD\"",
				   command);
	json_t *arguments = json_pack("[o]", value_string(*folder));
	struct agent_exec exec = { .out = NULL };
	struct error err = { "" };
	int fd = agent_open(call->shell->store, machine->id, AGENT_HELLO_MS, &err);
	int ret = fd < 0 ? fd : agent_run(fd, script, arguments, -1, &exec, &err);
	char *mark = exec.out ? strrchr(exec.out, *CWD_MARK) : NULL;

	json_decref(arguments);
	free(script);
	free(command);
	if (fd >= 0)
		close(fd);
	if (ret) {
		call_error_as(call, "OperationStopped", "PSSessionBroken", "", "%s.", err.text);
		return false;
	}
	if (mark) {
		free(*folder);
		*folder = text_copy(mark + 1);
		*mark = 0;
	}
	fputs(exec.out, call->shell->out);
	fflush(call->shell->out);
	fputs(exec.errors, call->shell->err);
	agent_exec_free(&exec);
	return true;
}

static int enter_one(struct call *call, struct machine *machine)
{
	char *prompt = text_format("[%s]: PS> ", machine->name), *folder = text_copy("/");
	int fd =
		open_agent(call, machine); /* there is one; each line has a connection of its own */
	bool more = fd >= 0;

	if (fd >= 0)
		close(fd);
	while (more) {
		char *line = shell_read_line(call->shell, prompt);

		more = line && strcmp(line, "exit") && !text_same(line, "Exit-PSSession") &&
		       (!*line || run_line(call, machine, line, &folder));
		free(line);
	}
	free(folder);
	free(prompt);
	return call->failed ? -1 : 0;
}

static int enter_session(struct call *call)
{
	return machine_each(call, NULL, enter_one);
}

/* --- Copy-VMFile --- */

/* What must hold in the guest before the file is written. */
static int prepare_target(struct call *call, const struct machine *machine, int fd, const char *to)
{
	static const char script[] = "if [ \"$2\" = y ]; then mkdir -p \"$(dirname \"$1\")\"; fi\n"
				     "[ \"$3\" = y ] || ! [ -e \"$1\" ]";
	json_t *arguments = json_pack("[oss]", value_string(to),
				      call_switch(call, "CreateFullPath") ? "y" : "n",
				      call_switch(call, "Force") ? "y" : "n");
	struct agent_exec exec = { .out = NULL };
	struct error err = { "" };
	int ret = agent_run(fd, script, arguments, -1, &exec, &err), status = exec.status;

	json_decref(arguments);
	agent_exec_free(&exec);
	if (ret)
		return call_error(call, ERROR_FAILED, machine->name, "[%s] %s.", machine->name,
				  err.text);
	if (status)
		return call_error(call, ERROR_EXISTS, machine->name,
				  "[%s] The file '%s' exists already. -Force overwrites it.",
				  machine->name, to);
	return 0;
}

static int copy_one(struct call *call, struct machine *machine)
{
	const char *to = call_string(call, "DestinationPath");
	char *from = path_home(call_string(call, "SourcePath"));
	struct error err = { "" };
	int fd = open_agent(call, machine), ret = fd < 0 ? -1 : 0;

	if (!ret && call_should(call, "copy the file \"%s\" to the virtual machine \"%s\".", from,
				machine->name)) {
		ret = prepare_target(call, machine, fd, to);
		if (!ret && agent_copy_file(fd, from, to, &err))
			ret = call_error(call, ERROR_FAILED, machine->name,
					 "[%s] Failed to copy the file: %s.", machine->name,
					 err.text);
	}
	if (fd >= 0)
		close(fd);
	free(from);
	return ret;
}

static int copy_file(struct call *call)
{
	return machine_each(call, NULL, copy_one);
}

/* --- Wait-VM --- */

static bool has_address(int fd)
{
	static const char script[] =
		"ip -o -4 addr show scope global 2>/dev/null | grep -q inet || "
		"hostname -I 2>/dev/null | grep -q '[0-9]'";
	struct agent_exec exec = { .out = NULL };
	struct error err = { "" };
	bool has = !agent_run(fd, script, NULL, WAIT_HELLO_MS * 5, &exec, &err) && exec.ended &&
		   !exec.status;

	agent_exec_free(&exec);
	return has;
}

static bool is_there(struct call *call, struct machine *machine)
{
	const char *what = call_string(call, "For");
	struct error err = { "" };
	bool there;
	int fd;

	process_query(call->shell->store, machine->id, &machine->process);
	if (!machine_is_running(machine))
		return false;
	fd = agent_open(call->shell->store, machine->id, WAIT_HELLO_MS, &err);
	if (fd < 0)
		return false;
	there = !what || !text_same(what, "IPAddress") || has_address(fd);
	close(fd);
	return there;
}

static int wait_one(struct call *call, struct machine *machine)
{
	int64_t seconds = call_int(call, "Timeout", -1), until = line_now_ms() + seconds * 1000;
	const struct timespec pause = { 0, WAIT_NS };

	while (!is_there(call, machine)) {
		if (machine->process.state == PROCESS_OFF)
			return not_running(call, machine);
		if (seconds >= 0 && line_now_ms() >= until)
			return call_error_as(
				call, "OperationTimeout", "OperationTimeout", machine->name,
				"The virtual machine %s gave no sign of life in %lld s.",
				machine->name, (long long)seconds);
		nanosleep(&pause, NULL);
	}
	if (call_switch(call, "Passthru"))
		call_emit(call, vm_object(machine));
	return 0;
}

static int wait_vm(struct call *call)
{
	return machine_each(call, NULL, wait_one);
}

/* --- the table --- */

#define PARAM_TIMEOUT                                                              \
	{                                                                          \
		"Timeout", "TimeoutSec", PARAM_INT, .min = 0, .max = TIMEOUT_MAX_S \
	}

static const struct param invoke_params[] = {
	{ "VMName", NULL, PARAM_STRING, .sets = SET(0) | SET(1), .flags = REQUIRED | MANY },
	{ "VMId", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(2) | SET(3),
	  .flags = REQUIRED | MANY | BY_NAME },
	{ "ScriptBlock", "Command", PARAM_BLOCK, .position = POSITION(1), .sets = SET(0) | SET(2),
	  .flags = REQUIRED },
	{ "FilePath", "PSPath", PARAM_STRING, .position = POSITION(1), .sets = SET(1) | SET(3),
	  .flags = REQUIRED },
	{ "ArgumentList", "Args", PARAM_STRING, .flags = MANY },
	{ "Credential", NULL, PARAM_ANY },
	{ "AsJob", NULL, PARAM_SWITCH },
	{ "HideComputerName", NULL, PARAM_SWITCH },
	{ "ThrottleLimit", NULL, PARAM_INT },
	PARAM_TIMEOUT,
	PARAM_END,
};

static const struct param exec_params[] = {
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED },
	{ "Command", NULL, PARAM_STRING, .flags = MANY | REST },
	PARAM_TIMEOUT,
	PARAM_END,
};

static const struct param enter_params[] = {
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED | BY_VALUE },
	{ "Credential", NULL, PARAM_ANY },
	PARAM_END,
};

static const struct param copy_params[] = {
	{ "Name", "VMName", PARAM_STRING, .position = POSITION(0), .sets = SET(0),
	  .flags = REQUIRED | MANY },
	PARAM_VM,
	{ "SourcePath", NULL, PARAM_STRING, .position = POSITION(1), .flags = REQUIRED },
	{ "DestinationPath", NULL, PARAM_STRING, .position = POSITION(2), .flags = REQUIRED },
	{ "CreateFullPath", NULL, PARAM_SWITCH },
	{ "FileSource", NULL, PARAM_ENUM, "Host" },
	{ "Force", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param wait_params[] = {
	PARAM_NAME_VMNAME, PARAM_VM,      { "For", NULL, PARAM_ENUM, "Heartbeat|IPAddress" },
	PARAM_PASSTHRU,    PARAM_TIMEOUT, PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "Invoke-Command", "icm", "Runs a script block in virtual machines.", invoke_params,
	  "VMName FilePathVMName VMId FilePathVMId", 0, invoke_command },
	{ "Enter-PSSession", "etsn", "Types commands in a virtual machine.", enter_params, NULL, 0,
	  enter_session },
	{ "Copy-VMFile", NULL, "Copies a file into virtual machines.", copy_params, "Name VMObject",
	  CMDLET_CHANGES | CMDLET_HOST, copy_file },
	{ "Wait-VM", NULL, "Waits until virtual machines answer.", wait_params, "Name VMObject",
	  CMDLET_HOST, wait_vm },
	{ "exec", NULL,
	  "Runs a command in a virtual machine; its exit status is that of the command.",
	  exec_params, NULL, CMDLET_HIDDEN, exec_command },
	{ NULL },
};

const struct noun noun_session = { cmdlets, NULL };
