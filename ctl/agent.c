/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest agent: see ctl/agent.h. Source: QEMU's "QEMU Guest Agent Protocol Reference". */
#include "ctl/agent.h"

#include "ctl/base64.h"
#include "ctl/line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MS     30000
#define POLL_FIRST_MS  5
#define POLL_MAX_MS    200
#define CHUNK_BYTES    (32 * KIB)
#define DELIMITER      0xff /* in front of the answer to the greeting: whatever was before is old */
#define JUNK_MAX_BYTES (1 * MIB)
#define ANSWER_MAX_BYTES \
	(96 * MIB) /* two outputs of 16 MiB, as agents cut them, in Base64, and some */

static void pause_ms(int ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

/* --- requests --- */

/* Drops what comes up to the delimiter. */
static int skip_to_delimiter(int fd, int timeout_ms)
{
	int64_t until = line_now_ms() + timeout_ms;
	uint8_t byte;

	for (size_t i = 0; i < JUNK_MAX_BYTES; i++) {
		if (line_wait(fd, until))
			return -ETIMEDOUT;
		if (recv(fd, &byte, 1, 0) != 1)
			return -EPIPE;
		if (byte == DELIMITER)
			return 0;
	}
	return -EPROTO;
}

static int send_request(int fd, const char *command, json_t *arguments)
{
	json_t *request = json_pack("{ss}", "execute", command);
	char *dump, *line;
	int ret;

	if (arguments)
		json_object_set_new(request, "arguments", arguments);
	dump = json_dumps(request, JSON_COMPACT);
	line = text_format("%s\n", dump);
	ret = line_send(fd, line, strlen(line));
	free(line);
	free(dump);
	json_decref(request);
	return ret;
}

static int take_answer(const char *line, json_t **reply, struct error *err)
{
	json_t *whole = json_loads(line, 0, NULL), *result = json_object_get(whole, "return");
	const char *reason =
		json_string_value(json_object_get(json_object_get(whole, "error"), "desc"));
	int ret = 0;

	if (result)
		*reply = json_incref(result);
	else if (reason)
		ret = error_set(err, -EREMOTEIO, "the guest agent says: %s", reason);
	else
		ret = error_set(err, -EPROTO, "the guest agent answers nonsense");
	json_decref(whole);
	return ret;
}

int agent_request(int fd, const char *command, json_t *arguments, json_t **reply, struct error *err)
{
	struct text line = { 0 };
	int ret = send_request(fd, command, arguments);

	*reply = NULL;
	if (!ret)
		ret = line_read(fd, &line, ANSWER_MAX_BYTES, REQUEST_MS);
	if (ret)
		error_set(err, ret, "the guest agent does not answer: %s", strerror(-ret));
	else
		ret = take_answer(line.s, reply, err);
	text_free(&line);
	return ret;
}

/* --- the greeting --- */

int agent_greet(int fd, int timeout_ms, struct error *err)
{
	static const char reset[] = { (
		char)DELIMITER }; /* ends what an earlier client left undone */
	int64_t until = line_now_ms() + timeout_ms, number;
	uint32_t id;
	int ret;

	while (getrandom(&id, sizeof(id), 0) != sizeof(id))
		continue;
	ret = line_send(fd, reset, sizeof(reset));
	if (!ret)
		ret = send_request(fd, "guest-sync-delimited",
				   json_pack("{sI}", "id", (json_int_t)id));
	for (number = -1; !ret && number != id;) {
		struct text line = { 0 };
		json_t *reply = NULL;

		ret = skip_to_delimiter(fd, (int)(until - line_now_ms()));
		if (!ret)
			ret = line_read(fd, &line, ANSWER_MAX_BYTES, (int)(until - line_now_ms()));
		if (!ret)
			ret = take_answer(line.s, &reply, err);
		number = json_integer_value(reply);
		json_decref(reply);
		text_free(&line);
	}
	return ret;
}

int agent_open(struct store *store, const char *id, int timeout_ms, struct error *err)
{
	const struct timeval limit = { REQUEST_MS / 1000, 0 }; /* for a guest that does not read */
	int fd = process_connect(store, id, "agent"), ret;

	if (fd < 0)
		return error_set(err, fd, "its agent port cannot be reached: %s", strerror(-fd));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	ret = agent_greet(fd, timeout_ms, err);
	if (!ret)
		return fd;
	close(fd);
	if (ret == -ETIMEDOUT)
		error_set(err, ret,
			  "no guest agent answers in it; stock systems have one in the package "
			  "qemu-guest-agent");
	else if (!*err->text)
		error_set(err, ret, "its guest agent went away: %s", strerror(-ret));
	return ret;
}

/* --- commands --- */

/* The arguments of guest-exec. */
static json_t *describe_command(const char *script, const json_t *arguments,
				const struct text *input)
{
	json_t *words = json_pack("[sos]", "-c", value_string(script), "sh"), *word, *command;
	size_t i;
	char *text;

	json_array_foreach(arguments, i, word) json_array_append(words, word);
	command = json_pack("{sssosb}", "path", "/bin/sh", "arg", words, "capture-output", 1);
	if (input && input->len) {
		text = base64_encode(input->s, input->len);
		json_object_set_new(command, "input-data", json_string(text));
		free(text);
	}
	return command;
}

int agent_start(int fd, const char *script, const json_t *arguments, const struct text *input,
		struct agent_exec *exec, struct error *err)
{
	json_t *reply;
	int ret;

	*exec = (struct agent_exec){ .pid = -1 };
	ret = agent_request(fd, "guest-exec", describe_command(script, arguments, input), &reply,
			    err);
	if (!ret)
		exec->pid = json_integer_value(json_object_get(reply, "pid"));
	json_decref(reply);
	return ret;
}

static char *output_of(const json_t *reply, const char *name)
{
	const char *text = json_string_value(json_object_get(reply, name));
	char *bytes = NULL;
	size_t len;

	if (text)
		bytes = base64_decode(text, &len);
	return bytes ? bytes : text_copy("");
}

int agent_poll(int fd, struct agent_exec *exec, struct error *err)
{
	json_t *reply, *signal;
	int ret = agent_request(fd, "guest-exec-status",
				json_pack("{sI}", "pid", (json_int_t)exec->pid), &reply, err);

	if (!ret && json_is_true(json_object_get(reply, "exited"))) {
		signal = json_object_get(reply, "signal");
		exec->ended = true;
		exec->status = signal ? 128 + (int)json_integer_value(signal)
				      : (int)json_integer_value(json_object_get(reply, "exitcode"));
		exec->is_cut = json_is_true(json_object_get(reply, "out-truncated")) ||
			       json_is_true(json_object_get(reply, "err-truncated"));
		exec->out = output_of(reply, "out-data");
		exec->errors = output_of(reply, "err-data");
	}
	json_decref(reply);
	return ret;
}

int agent_run(int fd, const char *script, const json_t *arguments, int timeout_ms,
	      struct agent_exec *exec, struct error *err)
{
	int64_t until = line_now_ms() + timeout_ms;
	int wait = POLL_FIRST_MS, ret = agent_start(fd, script, arguments, NULL, exec, err);

	while (!ret && !exec->ended) {
		ret = agent_poll(fd, exec, err);
		if (ret || exec->ended)
			break;
		if (timeout_ms >= 0 && line_now_ms() >= until)
			return error_set(err, -ETIMEDOUT, "the command takes longer than allowed");
		pause_ms(wait);
		wait = MIN(wait * 2, POLL_MAX_MS);
	}
	return ret;
}

void agent_exec_free(struct agent_exec *exec)
{
	free(exec->out);
	free(exec->errors);
	exec->out = exec->errors = NULL;
}

/* --- files --- */

static int write_chunk(int fd, json_int_t handle, const void *bytes, size_t len, struct error *err)
{
	char *text = base64_encode(bytes, len);
	json_t *reply;
	int ret =
		agent_request(fd, "guest-file-write",
			      json_pack("{sIss}", "handle", handle, "buf-b64", text), &reply, err);

	free(text);
	if (!ret && json_integer_value(json_object_get(reply, "count")) != (json_int_t)len)
		ret = error_set(err, -ENOSPC, "the guest wrote less than it got");
	json_decref(reply);
	return ret;
}

static int write_all(int fd, int file, json_int_t handle, struct error *err)
{
	static const size_t size = CHUNK_BYTES;
	uint8_t *chunk = alloc_zeroed(size);
	ssize_t n = 0;
	int ret = 0;

	while (!ret && (n = read(file, chunk, size)) > 0)
		ret = write_chunk(fd, handle, chunk, (size_t)n, err);
	if (!ret && n < 0)
		ret = error_set(err, -errno, "%s", strerror(errno));
	free(chunk);
	return ret;
}

int agent_copy_file(int fd, const char *from, const char *to, struct error *err)
{
	int file = open(from, O_RDONLY | O_CLOEXEC), ret, closed;
	json_t *reply = NULL;
	json_int_t handle;

	if (file < 0)
		return error_set(err, -errno, "'%s': %s", from, strerror(errno));
	ret = agent_request(fd, "guest-file-open",
			    json_pack("{soss}", "path", value_string(to), "mode", "w"), &reply,
			    err);
	handle = json_integer_value(reply);
	json_decref(reply);
	if (!ret) {
		ret = write_all(fd, file, handle, err);
		closed = agent_request(fd, "guest-file-close", json_pack("{sI}", "handle", handle),
				       &reply, ret ? NULL : err);
		json_decref(reply);
		ret = ret ? ret : closed;
	}
	close(file);
	return ret;
}
