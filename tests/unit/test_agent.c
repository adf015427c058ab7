/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest agent's client against one that is played by a thread: greeting, commands, files. */
#include "ctl/agent.h"

#include "ctl/base64.h"
#include "ctl/text.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct fake {
	int fd, client;
	pthread_t thread;
	unsigned polls;   /* that say "not yet" */
	bool is_silent;   /* does not answer */
	bool refuses;     /* answers with errors, but to the greeting */
	char script[256]; /* that it was to run */
	struct text file; /* that it was to write */
};

static void answer(struct fake *f, json_t *reply)
{
	char *text = json_dumps(reply, JSON_COMPACT);

	dprintf(f->fd, "%s\n", text);
	free(text);
	json_decref(reply);
}

static json_t *exec_status(struct fake *f)
{
	char *out = base64_encode("one\ntwo\n", 8);
	json_t *reply;

	if (f->polls) {
		f->polls--;
		reply = json_pack("{s{sb}}", "return", "exited", 0);
	} else {
		reply = json_pack("{s{sbsissss}}", "return", "exited", 1, "exitcode", 5, "out-data",
				  out, "err-data", "b29wcwo=");
	}
	free(out);
	return reply;
}

static void write_file(struct fake *f, const json_t *arguments)
{
	size_t len;
	char *bytes = base64_decode(json_string_value(json_object_get(arguments, "buf-b64")), &len);

	text_add_n(&f->file, bytes, len);
	free(bytes);
	answer(f, json_pack("{s{sI}}", "return", "count", (json_int_t)len));
}

static void serve(struct fake *f, const json_t *request)
{
	const char *command = json_string_value(json_object_get(request, "execute"));
	json_t *arguments = json_object_get(request, "arguments");

	if (f->is_silent)
		return;
	if (!strcmp(command, "guest-sync-delimited")) {
		dprintf(f->fd, "{\"old\": \"junk\"}\n\xff");
		answer(f, json_pack("{sO}", "return", json_object_get(arguments, "id")));
	} else if (f->refuses) {
		answer(f, json_pack("{s{ssss}}", "error", "class", "X", "desc", "it is disabled"));
	} else if (!strcmp(command, "guest-exec")) {
		snprintf(f->script, sizeof(f->script), "%s",
			 json_string_value(json_array_get(json_object_get(arguments, "arg"), 1)));
		answer(f, json_pack("{s{si}}", "return", "pid", 42));
	} else if (!strcmp(command, "guest-exec-status")) {
		answer(f, exec_status(f));
	} else if (!strcmp(command, "guest-file-write")) {
		write_file(f, arguments);
	} else {
		answer(f, json_pack("{si}", "return", 7));
	}
}

static void *play(void *arg)
{
	struct fake *f = arg;
	FILE *in = fdopen(dup(f->fd), "r");
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, in) > 0) {
		const char *start = line;
		json_t *request;

		while ((unsigned char)*start == 0xff)
			start++;
		request = json_loads(start, 0, NULL);
		if (request)
			serve(f, request);
		json_decref(request);
	}
	free(line);
	fclose(in);
	return NULL;
}

static int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	f->fd = fds[0];
	f->client = fds[1];
	pthread_create(&f->thread, NULL, play, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;

	shutdown(f->client, SHUT_RDWR);
	close(f->client);
	pthread_join(f->thread, NULL);
	close(f->fd);
	text_free(&f->file);
	free(f);
	return 0;
}

static void greets(void **state)
{
	struct fake *f = *state;
	struct error err = { "" };

	assert_int_equal(agent_greet(f->client, 5000, &err), 0);
	assert_int_equal(agent_greet(f->client, 5000, &err), 0);
}

static void gives_up_on_silence(void **state)
{
	struct fake *f = *state;
	struct error err = { "" };

	f->is_silent = true;
	assert_int_equal(agent_greet(f->client, 50, &err), -ETIMEDOUT);
}

static void runs_commands(void **state)
{
	struct fake *f = *state;
	struct agent_exec exec = { .out = NULL };
	struct error err = { "" };

	f->polls = 2;
	assert_int_equal(agent_greet(f->client, 5000, &err), 0);
	assert_int_equal(agent_run(f->client, "ls 'x'", NULL, -1, &exec, &err), 0);
	assert_string_equal(f->script, "ls 'x'");
	assert_int_equal(exec.status, 5);
	assert_string_equal(exec.out, "one\ntwo\n");
	assert_string_equal(exec.errors, "oops\n");
	agent_exec_free(&exec);
}

static void a_time_limit_ends_the_wait(void **state)
{
	struct fake *f = *state;
	struct agent_exec exec = { .out = NULL };
	struct error err = { "" };

	f->polls = 1000000;
	assert_int_equal(agent_run(f->client, "sleep 9", NULL, 30, &exec, &err), -ETIMEDOUT);
	assert_false(exec.ended);
}

static void passes_errors_on(void **state)
{
	struct fake *f = *state;
	struct agent_exec exec = { .out = NULL };
	struct error err = { "" };

	f->refuses = true;
	assert_int_equal(agent_run(f->client, "x", NULL, -1, &exec, &err), -EREMOTEIO);
	assert_non_null(strstr(err.text, "it is disabled"));
}

static void copies_files(void **state)
{
	struct fake *f = *state;
	char path[] = "/tmp/test_agent.XXXXXX";
	int file = mkstemp(path);
	struct error err = { "" };
	static char content[100000];

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)(i * 7 + i / 251);
	assert_int_equal(write(file, content, sizeof(content)), sizeof(content));
	close(file);
	assert_int_equal(agent_copy_file(f->client, path, "/there", &err), 0);
	assert_int_equal(f->file.len, sizeof(content));
	assert_memory_equal(f->file.s, content, sizeof(content));
	unlink(path);
	assert_int_equal(agent_copy_file(f->client, path, "/there", &err), -ENOENT);
}

static void base64_goes_both_ways(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" },        { "f", "Zg==" },        { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
	};
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		char *text = base64_encode(pairs[i][0], strlen(pairs[i][0]));
		char *back = base64_decode(text, &len);

		assert_string_equal(text, pairs[i][1]);
		assert_string_equal(back, pairs[i][0]);
		assert_int_equal(len, strlen(pairs[i][0]));
		free(text);
		free(back);
	}
	assert_null(base64_decode("Zg!=", &len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(greets, setup, teardown),
		cmocka_unit_test_setup_teardown(gives_up_on_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(runs_commands, setup, teardown),
		cmocka_unit_test_setup_teardown(a_time_limit_ends_the_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(passes_errors_on, setup, teardown),
		cmocka_unit_test_setup_teardown(copies_files, setup, teardown),
		cmocka_unit_test(base64_goes_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
