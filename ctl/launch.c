/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A definition becomes a process: see ctl/launch.h. */
#include "ctl/launch.h"

#include "ctl/line.h"
#include "ctl/port.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 60000 /* a loaded host, a large image */
#define POLL_NS  5000000
#define LOG_MODE 0600
#define FAILED   127
#define ARGS_MAX 256

/* --- the command line --- */

struct command_line {
	char *arg[ARGS_MAX + 1]; /* ends with NULL */
	size_t count;
};

static void add(struct command_line *line, const char *option, char *value)
{
	if (line->count + 2 > ARGS_MAX) {
		free(value);
		return;
	}
	line->arg[line->count++] = text_copy(option);
	if (value)
		line->arg[line->count++] = value;
}

static void free_line(struct command_line *line)
{
	for (size_t i = 0; i < line->count; i++)
		free(line->arg[i]);
}

/* A word of a definition in lower case, as options have them. */
static char *lower(const json_t *value, const char *otherwise)
{
	return text_lower(json_is_string(value) ? json_string_value(value) : otherwise);
}

static void add_processor(struct command_line *line, struct machine *machine)
{
	const json_t *processor = machine_part(machine, "Processor");
	const char *vendor = value_text_of(processor, "Vendor");
	long long count = json_integer_value(json_object_get(processor, "Count"));
	bool nested = json_is_true(json_object_get(processor, "ExposeVirtualizationExtensions"));

	add(line, "--engine", lower(json_object_get(processor, "Engine"), "auto"));
	if (vendor && !text_same(vendor, "Auto"))
		add(line, "--cpu", lower(json_object_get(processor, "Vendor"), ""));
	add(line, "--cpus", text_format("%lld", MAX(count, 1ll)));
	add(line, "--nested", text_copy(nested ? "on" : "off"));
}

static void add_number(struct command_line *line, const char *option, const json_t *settings,
		       const char *name)
{
	add(line, option,
	    text_format("%lld", (long long)json_integer_value(json_object_get(settings, name))));
}

static void add_memory(struct command_line *line, struct machine *machine)
{
	const json_t *memory = machine_part(machine, "Memory");

	add_number(line, "--memory", memory, "Startup");
	if (!json_is_true(json_object_get(memory, "DynamicMemoryEnabled")))
		return;
	add_number(line, "--memory-min", memory, "Minimum");
	add_number(line, "--memory-max", memory, "Maximum");
	add_number(line, "--memory-buffer", memory, "Buffer");
}

static void add_boot(struct command_line *line, struct machine *machine)
{
	static const char *const options[][2] = { { "KernelPath", "--kernel" },
						  { "InitrdPath", "--initrd" },
						  { "KernelCommandLine", "--append" } };
	const json_t *boot = machine_part(machine, "Boot");

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *value = value_text_of(boot, options[i][0]);

		if (value && *value)
			add(line, options[i][1], text_copy(value));
	}
}

static void add_disks(struct command_line *line, struct machine *machine)
{
	json_t *drive;
	size_t i;

	json_array_foreach(machine_list(machine, "HardDrives"), i, drive)
	{
		const char *path = value_text_of(drive, "Path");

		if (path && *path)
			add(line, "--disk", text_copy(path));
	}
}

static void add_adapters(struct command_line *line, struct machine *machine)
{
	json_t *adapter;
	size_t i;

	json_array_foreach(machine_list(machine, "NetworkAdapters"), i, adapter)
		add(line, "--net", port_network(adapter));
}

static void compose(struct command_line *line, struct machine *machine)
{
	add(line, "nidus", NULL);
	add(line, "run", NULL);
	add_processor(line, machine);
	add_memory(line, machine);
	add_boot(line, machine);
	add_disks(line, machine);
	add_adapters(line, machine);
	add(line, "--serial", text_copy("unix:console"));
	add(line, "--agent", text_copy("agent"));
	add(line, "--control", text_copy("control"));
}

/* --- the process --- */

/* What a process that is gone left behind; the log is written anew. */
static void clean(const char *folder)
{
	static const char *const names[] = { "control", "control.new", "console", "agent" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *path = text_format("%s/%s", folder, names[i]);

		unlink(path);
		free(path);
	}
}

/* In the child, between fork and exec: only what is safe there. */
static void become(const char *folder, char *const argv[])
{
	int log, null = open("/dev/null", O_RDWR);

	if (chdir(folder) || setsid() < 0)
		_exit(FAILED);
	log = open("log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, LOG_MODE);
	if (log < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0)
		_exit(FAILED);
	close(log);
	close(null);
	execv("/proc/self/exe", argv);
	_exit(FAILED);
}

/* Until the process answers, ends, or takes too long. */
static int wait_until_up(struct store *store, struct machine *machine, pid_t pid, struct error *err)
{
	const struct timespec pause = { 0, POLL_NS };
	int64_t until = line_now_ms() + START_MS;
	char words[256];

	while (line_now_ms() < until) {
		int status;

		process_query(store, machine->id, &machine->process);
		if (machine->process.state != PROCESS_OFF)
			return 0;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			process_last_words(store, machine->id, words, sizeof(words));
			return error_set(err, -ECHILD, "%s",
					 *words ? words : "its process ended at once");
		}
		nanosleep(&pause, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return error_set(err, -ETIMEDOUT, "its process did not answer for %d s", START_MS / 1000);
}

int launch_start(struct call *call, struct machine *machine, struct error *err)
{
	struct store *store = call->shell->store;
	char *folder = store_run_folder(store, machine->id, err);
	struct command_line line = { .count = 0 };
	int ret;
	pid_t pid;

	if (!folder)
		return -EACCES;
	clean(folder);
	compose(&line, machine);
	fflush(NULL);
	pid = fork();
	if (!pid)
		become(folder, line.arg);
	if (pid < 0)
		ret = error_set(err, -errno, "no process: %s", strerror(errno));
	else
		ret = wait_until_up(store, machine, pid, err);
	free_line(&line);
	free(folder);
	return ret;
}

/* --- one at a time --- */

int launch_lock(struct store *store, const char *id, struct error *err)
{
	char *folder = store_run_folder(store, id, err), *path;
	int fd;

	if (!folder)
		return -EACCES;
	path = text_format("%s/lock", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, LOG_MODE);
	while (fd >= 0 && flock(fd, LOCK_EX)) {
		if (errno != EINTR)
			break;
	}
	if (fd < 0)
		fd = error_set(err, -errno, "'%s': %s", path, strerror(errno));
	free(path);
	free(folder);
	return fd;
}

void launch_unlock(int lock)
{
	close(lock);
}
