/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -AsJob, Get-Job, Receive-Job, Wait-Job, Stop-Job, Remove-Job. A job is a child process: a copy of
 * the shell that runs the one cmdlet, without a terminal, and leaves what it gave in a memory file.
 * It goes on where the shell ends before it does.
 *
 * A job's object changes where somebody holds it, as PowerShell's do, between statements.
 */
#define _GNU_SOURCE /* memfd_create */
#include "ctl/job.h"

#include "ctl/line.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of a job, and never shown: what it gave and reported; its process and file while it runs. */
#define OUTPUT   "@output"
#define ERRORS   "@errors"
#define WARNINGS "@warnings"
#define PROCESS  "@process"
#define RESULT   "@result"

#define RUNNING     "Running"
#define POLL_NS     5000000
#define TIMEOUT_MAX 31536000

/* --- in the child --- */

/* Nobody's terminal, and nobody who reads: a pipeline that waits for us would wait for the job. */
static void leave_terminal(struct call *call)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	call->shell->interactive = false;
	call->shell->out = stdout;
	call->shell->err = stderr;
	if (call->action != ACTION_IGNORE)
		call->action = ACTION_SILENT; /* errors are shown by who receives the job */
}

static void run(struct call *call, struct job_work *work, int result)
{
	size_t before = json_array_size(call->output);
	json_t *output = json_array(), *all;

	leave_terminal(call);
	if (work->run(call, work))
		call->failed = true;
	for (size_t i = before; i < json_array_size(call->output); i++)
		json_array_append(output, json_array_get(call->output, i));
	all = json_pack("{sosOsOsb}", OUTPUT, output, ERRORS, call->errors, WARNINGS,
			call->warnings, "Failed", call->failed);
	json_dumpfd(all, result, JSON_COMPACT);
	fflush(NULL);
	_exit(0);
}

/* --- starting --- */

static json_t *new_job(struct call *call, pid_t process, int result)
{
	json_t *job = value_object("Job");
	json_int_t id = ++call->shell->last_job;

	json_object_set_new(job, "Id", json_integer(id));
	json_object_set_new(job, "Name", value_format("Job%lld", (long long)id));
	json_object_set_new(job, "PSJobTypeName", json_string("VirtualizationJob"));
	json_object_set_new(job, "State", json_string(RUNNING));
	json_object_set_new(job, "HasMoreData", json_true());
	json_object_set_new(job, "Location", json_string("localhost"));
	json_object_set_new(job, "Command", json_string(call->name));
	json_object_set_new(job, PROCESS, json_integer(process));
	json_object_set_new(job, RESULT, json_integer(result));
	return job;
}

int job_start(struct call *call, struct job_work *work)
{
	int result = memfd_create("job", MFD_CLOEXEC);
	pid_t process = -1;
	json_t *job;

	fflush(NULL);
	if (result >= 0)
		process = fork();
	if (!process)
		run(call, work, result);
	if (process < 0) {
		if (result >= 0)
			close(result);
		return call_error(call, ERROR_FAILED, call->name, "No job can be started: %s.",
				  strerror(errno));
	}
	job = new_job(call, process, result);
	json_array_append(call->shell->jobs, job);
	call_emit(call, job);
	return 0;
}

/* --- its end --- */

static bool is_running(const json_t *job)
{
	return json_object_get(job, PROCESS) != NULL;
}

static json_t *read_result(int fd)
{
	json_t *all;

	lseek(fd, 0, SEEK_SET);
	all = json_loadfd(fd, 0, NULL);
	close(fd);
	if (json_is_object(all))
		return all;
	json_decref(all);
	return json_pack("{s[]s[]s[s]sb}", OUTPUT, ERRORS, WARNINGS,
			 "The job's process ended before it was done.", "Failed", 1);
}

static void finish(json_t *job, const char *state)
{
	json_t *all = read_result((int)json_integer_value(json_object_get(job, RESULT)));
	bool failed = json_is_true(json_object_get(all, "Failed"));
	static const char *const kept[] = { OUTPUT, ERRORS, WARNINGS };
	bool more = false;

	json_object_del(job, PROCESS);
	json_object_del(job, RESULT);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		json_object_set(job, kept[i], json_object_get(all, kept[i]));
		more = more || json_array_size(json_object_get(job, kept[i]));
	}
	json_object_set_new(job, "State",
			    json_string(state    ? state
					: failed ? "Failed"
						 : "Completed"));
	json_object_set_new(job, "HasMoreData", json_boolean(more));
	json_decref(all);
}

/* Others may have waited for the process in our place. */
static bool has_ended(const json_t *job)
{
	pid_t process = (pid_t)json_integer_value(json_object_get(job, PROCESS)), ret;

	do {
		ret = waitpid(process, NULL, WNOHANG);
	} while (ret < 0 && errno == EINTR);
	return ret != 0;
}

void job_poll(struct shell *shell)
{
	json_t *job;
	size_t i;

	json_array_foreach(shell->jobs, i, job)
	{
		if (is_running(job) && has_ended(job))
			finish(job, NULL);
	}
}

/* With the programs that it runs, but not the VMs that it started, which have sessions of their
 * own. */
static void stop(json_t *job)
{
	pid_t process = (pid_t)json_integer_value(json_object_get(job, PROCESS));

	if (kill(-process, SIGTERM)) /* it has not come as far as having a group */
		kill(process, SIGTERM);
	waitpid(process, NULL, 0);
	finish(job, "Stopped");
}

/* --- which jobs --- */

static bool is_selected(const struct call *call, const json_t *job)
{
	json_t *ids = call_value(call, "Id"), *names = call_value(call, "Name");
	json_t *objects = call_value(call, "Job"), *one;
	bool hit = !ids && !names && !objects;
	size_t i;

	json_array_foreach(ids, i, one) hit |= !value_compare(json_object_get(job, "Id"), one);
	json_array_foreach(objects, i, one) hit |=
		!value_compare(json_object_get(job, "Id"), json_object_get(one, "Id"));
	json_array_foreach(names, i, one) hit |=
		value_like(value_text_of(job, "Name"), json_string_value(one));
	return hit;
}

/* The jobs that the arguments select, as an array; an error where these fit none. */
static json_t *select_jobs(struct call *call)
{
	json_t *chosen = json_array(), *job;
	size_t i;

	json_array_foreach(call->shell->jobs, i, job)
	{
		if (is_selected(call, job))
			json_array_append(chosen, job);
	}
	if (!json_array_size(chosen) && (call_has(call, "Id") || call_has(call, "Job")))
		call_error_as(call, "ObjectNotFound", "JobWithSpecifiedSessionNotFound", "",
			      "The command cannot find the job.");
	return chosen;
}

static int get_jobs(struct call *call)
{
	job_poll(call->shell);
	call_emit(call, select_jobs(call));
	return call->failed ? -1 : 0;
}

static bool any_running(const json_t *jobs)
{
	json_t *job;
	size_t i;

	json_array_foreach(jobs, i, job)
	{
		if (is_running(job))
			return true;
	}
	return false;
}

/* Until all of them have ended, or for `seconds` (negative: for ever). */
static void wait_for(struct call *call, const json_t *jobs, int64_t seconds)
{
	const struct timespec pause = { 0, POLL_NS };
	int64_t until = line_now_ms() + seconds * 1000;

	job_poll(call->shell);
	while (any_running(jobs) && (seconds < 0 || line_now_ms() < until)) {
		nanosleep(&pause, NULL);
		job_poll(call->shell);
	}
}

/* Those that have ended go out. */
static int wait_jobs(struct call *call)
{
	json_t *jobs = select_jobs(call), *job;
	size_t i;

	wait_for(call, jobs, call_int(call, "Timeout", -1));
	json_array_foreach(jobs, i, job)
	{
		if (!is_running(job))
			call_emit(call, json_incref(job));
	}
	json_decref(jobs);
	return call->failed ? -1 : 0;
}

/* What a job gave and reported goes out once, unless it is kept. */
static void receive(struct call *call, json_t *job)
{
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(job, WARNINGS), i, one)
		call_warn(call, "%s", json_string_value(one));
	json_array_foreach(json_object_get(job, ERRORS), i, one)
	{
		call->failed = true;
		shell_report(call->shell, one, call->action);
	}
	value_spread(call->output, json_object_get(job, OUTPUT));
	if (call_switch(call, "Keep"))
		return;
	json_object_del(job, OUTPUT);
	json_object_del(job, ERRORS);
	json_object_del(job, WARNINGS);
	json_object_set_new(job, "HasMoreData", json_false());
}

static int receive_jobs(struct call *call)
{
	json_t *jobs = select_jobs(call), *job;
	size_t i;

	wait_for(call, jobs, call_switch(call, "Wait") ? -1 : 0);
	json_array_foreach(jobs, i, job)
	{
		if (!is_running(job))
			receive(call, job);
	}
	json_decref(jobs);
	return call->failed ? -1 : 0;
}

/* Runs fn for each job that is selected and may be dealt with so. */
static int change_jobs(struct call *call, const char *verb,
		       int (*fn)(struct call *call, json_t *job))
{
	json_t *jobs = select_jobs(call), *job;
	size_t i;

	job_poll(call->shell);
	json_array_foreach(jobs, i, job)
	{
		if (call_should(call, "%s the job \"%s\".", verb, value_text_of(job, "Name")) &&
		    fn(call, job))
			call->failed = true;
	}
	json_decref(jobs);
	return call->failed ? -1 : 0;
}

static int stop_one(struct call *call, json_t *job)
{
	if (is_running(job))
		stop(job);
	if (call_switch(call, "PassThru"))
		call_emit(call, json_incref(job));
	return 0;
}

static int stop_jobs(struct call *call)
{
	return change_jobs(call, "stop", stop_one);
}

static int remove_one(struct call *call, json_t *job)
{
	json_t *jobs = call->shell->jobs;

	if (is_running(job) && !call_switch(call, "Force"))
		return call_error_as(
			call, "InvalidOperation", "JobObjectNotFinishedCannotBeRemoved",
			value_text_of(job, "Name"),
			"The command cannot remove the job with the job ID %lld because "
			"it is not finished. Stop it first, or use -Force.",
			(long long)json_integer_value(json_object_get(job, "Id")));
	if (is_running(job))
		stop(job);
	for (size_t i = json_array_size(jobs); i--;) {
		if (json_array_get(jobs, i) == job)
			json_array_remove(jobs, i);
	}
	return 0;
}

static int remove_jobs(struct call *call)
{
	return change_jobs(call, "remove", remove_one);
}

/* --- the table --- */

#define PARAM_JOB(place)                                                              \
	{                                                                             \
		"Job", NULL, PARAM_OBJECT, "Job", .position = place, .sets = SET(2),  \
						  .flags = REQUIRED | MANY | BY_VALUE \
	}
#define PARAM_JOB_ID                                                                          \
	{                                                                                     \
		"Id", NULL, PARAM_INT, .position = POSITION(0), .sets = SET(0), .flags = MANY \
	}
#define PARAM_JOB_NAME                                                               \
	{                                                                            \
		"Name", NULL, PARAM_STRING, .sets = SET(1), .flags = REQUIRED | MANY \
	}

static const struct param get_params[] = {
	PARAM_JOB_ID,
	PARAM_JOB_NAME,
	PARAM_JOB(POSITION(0)),
	PARAM_END,
};

static const struct param wait_params[] = {
	PARAM_JOB_ID, PARAM_JOB_NAME, PARAM_JOB(POSITION(0)), { "Timeout", NULL, PARAM_INT },
	PARAM_END,
};

static const struct param stop_params[] = {
	PARAM_JOB_ID, PARAM_JOB_NAME, PARAM_JOB(POSITION(0)), { "PassThru", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param remove_params[] = {
	PARAM_JOB_ID, PARAM_JOB_NAME, PARAM_JOB(POSITION(0)), { "Force", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param receive_params[] = {
	PARAM_JOB_ID,
	PARAM_JOB_NAME,
	PARAM_JOB(POSITION(0)),
	{ "Keep", NULL, PARAM_SWITCH },
	{ "Wait", NULL, PARAM_SWITCH },
	PARAM_END,
};

#define SETS "SessionId Name Job"

static const struct cmdlet cmdlets[] = {
	{ "Get-Job", "gjb", "Gets the jobs of this session.", get_params, SETS, 0, get_jobs },
	{ "Wait-Job", "wjb", "Waits for jobs.", wait_params, SETS, 0, wait_jobs },
	{ "Receive-Job", "rcjb", "Gets what jobs gave.", receive_params, SETS, 0, receive_jobs },
	{ "Stop-Job", "spjb", "Stops jobs that run.", stop_params, SETS, CMDLET_CHANGES,
	  stop_jobs },
	{ "Remove-Job", "rjb", "Forgets jobs.", remove_params, SETS, CMDLET_CHANGES, remove_jobs },
	{ NULL },
};

static const struct column columns[] = {
	{ "Id" },          { "Name" },     { "PSJobTypeName" }, { "State" },
	{ "HasMoreData" }, { "Location" }, { "Command" },       { NULL },
};

static const struct view views[] = { { "Job", columns }, { NULL } };

const struct noun noun_job = { cmdlets, views };
