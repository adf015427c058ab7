/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that outlive the command: see ctl/child.h. */
#define _GNU_SOURCE /* close_range */
#include "ctl/child.h"

#include "ctl/line.h"
#include "ctl/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 60000 /* a loaded host, a large image */
#define POLL_NS  5000000
#define LOG_MODE 0600
#define FAILED   127

/* --- the process --- */

/* What a process that is gone left behind. */
static void clean(const char *folder)
{
	static const char *const names[] = { "control", "control.new", "console",
					     "agent",   "port",        "port.new" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *path = text_format("%s/%s", folder, names[i]);

		unlink(path);
		free(path);
	}
}

/*
 * In the child, between fork and exec: only what is safe there. A descriptor that our caller has
 * open, such as a lock or a pipe, would stay open for as long as the process runs.
 */
static void become(const char *folder, char *const argv[], int log)
{
	int null = open("/dev/null", O_RDWR);

	if (chdir(folder) || setsid() < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(FAILED);
	close_range(STDERR_FILENO + 1, ~0u, 0);
	execv("/proc/self/exe", argv);
	_exit(FAILED);
}

/* In its own words, which a full disk has no room for. */
static int describe_end(struct store *store, const char *id, struct error *err)
{
	struct statvfs fs;
	char words[256];

	process_last_words(store, id, words, sizeof(words));
	if (*words)
		return error_set(err, -ECHILD, "%s", words);
	if (!statvfs(store_run_root(store), &fs) && !fs.f_bavail)
		return error_set(err, -ENOSPC, "'%s': %s", store_run_root(store), strerror(ENOSPC));
	return error_set(err, -ECHILD, "its process ended at once");
}

/* Until the process answers, ends, or takes too long. */
static int wait_until_up(struct store *store, const char *id, pid_t pid, struct error *err)
{
	struct process process;
	const struct timespec pause = { 0, POLL_NS };
	int64_t until = line_now_ms() + START_MS;

	while (line_now_ms() < until) {
		int status;

		process_query(store, id, &process);
		if (process.state != PROCESS_OFF)
			return 0;
		if (waitpid(pid, &status, WNOHANG) == pid)
			return describe_end(store, id, err);
		nanosleep(&pause, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return error_set(err, -ETIMEDOUT, "its process did not answer for %d s", START_MS / 1000);
}

/*
 * The log, empty and locked, which the process then keeps for as long as it lives. One that is
 * coming up though its starter was killed, or has not ended yet, is waited for: -EALREADY where it
 * answers.
 */
static int take_log(struct store *store, const char *id, const char *folder, struct error *err)
{
	char *path = text_format("%s/log", folder);
	int log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, LOG_MODE), ret = 0;
	const struct timespec pause = { 0, POLL_NS };
	int64_t until = line_now_ms() + START_MS;
	struct process process;

	if (log < 0)
		ret = error_set(err, -errno, "'%s': %s", path, strerror(errno));
	while (!ret && flock(log, LOCK_EX | LOCK_NB)) {
		process_query(store, id, &process);
		if (process.state != PROCESS_OFF)
			ret = -EALREADY;
		else if (line_now_ms() >= until)
			ret = error_set(err, -ETIMEDOUT, "the process before it does not end");
		nanosleep(&pause, NULL);
	}
	if (!ret && ftruncate(log, 0))
		ret = error_set(err, -errno, "'%s': %s", path, strerror(errno));
	free(path);
	if (!ret)
		return log;
	if (log >= 0)
		close(log);
	return ret;
}

static int launch(struct store *store, const char *id, const char *folder, char *const argv[],
		  int log, struct error *err)
{
	pid_t pid;

	clean(folder);
	fflush(NULL);
	pid = fork();
	if (!pid)
		become(folder, argv, log);
	close(log);
	return pid < 0 ? error_set(err, -errno, "no process: %s", strerror(errno))
		       : wait_until_up(store, id, pid, err);
}

int child_start(struct store *store, const char *id, char *const argv[], struct error *err)
{
	char *folder = store_run_folder(store, id, err);
	int log, ret = 0;

	if (!folder)
		return -EACCES;
	log = take_log(store, id, folder, err);
	if (log >= 0)
		ret = launch(store, id, folder, argv, log, err);
	else if (log != -EALREADY)
		ret = log;
	free(folder);
	return ret;
}

/* --- one at a time --- */

int child_lock(struct store *store, const char *id, struct error *err)
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

void child_unlock(int lock)
{
	close(lock);
}
