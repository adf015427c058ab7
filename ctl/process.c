/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process of a VM or a switch, from outside: see ctl/process.h. */
#include "ctl/process.h"

#include "ctl/line.h"
#include "lib/socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_NAME     "control"
#define LOG_NAME        "log"
#define QUERY_MS        2000
#define REPLY_MAX_BYTES (32 * MIB) /* what a switch with many ports has dropped */
#define LOG_TAIL_BYTES  4096

/* --- the socket --- */

static char *file_of(struct store *store, const char *id, const char *name)
{
	return text_format("%s/%s/%s", store_run_root(store), id, name);
}

int process_connect(struct store *store, const char *id, const char *socket_name)
{
	char *path = file_of(store, id, socket_name);
	int fd = socket_connect(path);

	free(path);
	return fd;
}

int process_exchange(int fd, const json_t *request, int timeout_ms, json_t **reply,
		     struct error *err)
{
	char *dump = json_dumps(request, JSON_COMPACT), *line = text_format("%s\n", dump);
	struct text answer = { 0 };
	int ret = line_send(fd, line, strlen(line));
	json_t *whole, *error;

	*reply = NULL;
	if (!ret)
		ret = line_read(fd, &answer, REPLY_MAX_BYTES, timeout_ms);
	whole = ret ? NULL : json_loadb(answer.s, answer.len, JSON_DISABLE_EOF_CHECK, NULL);
	error = json_object_get(whole, "error");
	if (ret)
		error_set(err, ret, "its process does not answer: %s", strerror(-ret));
	else if (error)
		ret = error_set(err, -EINVAL, "%s",
				json_string_value(json_object_get(error, "text")));
	else if (!json_object_get(whole, "return"))
		ret = error_set(err, -EPROTO, "its process answers nonsense");
	else
		*reply = json_incref(json_object_get(whole, "return"));
	json_decref(whole);
	text_free(&answer);
	free(line);
	free(dump);
	return ret;
}

int process_request(struct store *store, const char *id, json_t *request, int timeout_ms,
		    json_t **reply, struct error *err)
{
	json_t *own = NULL;
	int fd = process_connect(store, id, SOCKET_NAME), ret;

	if (fd < 0) {
		json_decref(request);
		return error_set(err, fd, "its process cannot be reached: %s", strerror(-fd));
	}
	ret = process_exchange(fd, request, timeout_ms, reply ? reply : &own, err);
	json_decref(own);
	json_decref(request);
	close(fd);
	return ret;
}

/* --- state --- */

const char *process_state_name(enum process_state state)
{
	static const char *const names[] = {
		[PROCESS_OFF] = "Off",           [PROCESS_STARTING] = "Starting",
		[PROCESS_RUNNING] = "Running",   [PROCESS_PAUSED] = "Paused",
		[PROCESS_STOPPING] = "Stopping",
	};

	return names[state];
}

static enum process_state state_of(const char *name)
{
	for (int s = PROCESS_OFF; s <= PROCESS_STOPPING; s++) {
		if (name && !strcmp(name, process_state_name((enum process_state)s)))
			return (enum process_state)s;
	}
	return PROCESS_RUNNING;
}

void process_last_words(struct store *store, const char *id, char *words, size_t size)
{
	char *path = file_of(store, id, LOG_NAME), tail[LOG_TAIL_BYTES + 1], *line = tail, *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = 0;
	off_t whole;

	*words = 0;
	free(path);
	if (fd < 0)
		return;
	whole = lseek(fd, 0, SEEK_END);
	if (whole > 0)
		len = pread(fd, tail, LOG_TAIL_BYTES, MAX(whole - LOG_TAIL_BYTES, (off_t)0));
	close(fd);
	tail[MAX(len, (ssize_t)0)] = 0;
	/* The last line; messages are `nidus: what`. */
	for (end = strrchr(tail, '\n'); end && !end[1]; end = strrchr(tail, '\n'))
		*end = 0;
	if (end)
		line = end + 1;
	if (!strncmp(line, "nidus: ", 7))
		snprintf(words, size, "%s", line + 7);
}

static void take_answer(struct process *process, const json_t *answer)
{
	process->state = state_of(value_text_of(answer, "state"));
	process->uptime_ns = json_integer_value(json_object_get(answer, "uptime_ns"));
	process->cpu_percent = (unsigned)json_integer_value(json_object_get(answer, "cpu_percent"));
	process->memory_bytes =
		(uint64_t)json_integer_value(json_object_get(answer, "memory_bytes"));
	process->memory_demand_bytes =
		(uint64_t)json_integer_value(json_object_get(answer, "memory_demand_bytes"));
	process->nested_active = json_is_true(json_object_get(answer, "nested_active"));
	process->has_agent = json_is_true(json_object_get(answer, "agent"));
}

void process_query(struct store *store, const char *id, struct process *process)
{
	char *path = file_of(store, id, SOCKET_NAME);
	bool was_there = !access(path, F_OK);
	struct error err = { "" };
	json_t *answer = NULL;
	int ret;

	*process = (struct process){ .state = PROCESS_OFF };
	free(path);
	if (!was_there) {
		process_last_words(store, id, process->reason, sizeof(process->reason));
		return;
	}
	ret = process_request(store, id, json_pack("{ss}", "execute", "query"), QUERY_MS, &answer,
			      &err);
	if (!ret) {
		take_answer(process, answer);
	} else if (ret == -ETIMEDOUT) {
		process->state = PROCESS_RUNNING; /* it lives, but is busy */
		snprintf(process->reason, sizeof(process->reason), "%s", err.text);
	} else {
		process_last_words(store, id, process->reason, sizeof(process->reason));
		if (!*process->reason)
			snprintf(process->reason, sizeof(process->reason),
				 "its process was killed");
	}
	json_decref(answer);
}

void process_forget(struct store *store, const char *id)
{
	char *folder = file_of(store, id, "");
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0); /* no folders in it */
	if (dir)
		closedir(dir);
	rmdir(folder);
	free(folder);
}
