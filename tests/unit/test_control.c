/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket: whole and broken requests, several clients, clients that go away. */
#include "lib/control.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	uv_loop_t loop;
	struct control *control;
	char folder[64], path[80];
	unsigned pings;
};

static int ping(void *self, const json_t *arguments, json_t *answer, struct error *err)
{
	struct fixture *f = self;

	f->pings++;
	if (json_object_get(arguments, "fail"))
		return error_set(err, -EINVAL, "told to");
	json_object_set_new(answer, "pings", json_integer(f->pings));
	return 0;
}

static const struct control_request requests[] = { { "ping", ping }, { NULL, NULL } };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err = { "" };

	snprintf(f->folder, sizeof(f->folder), "/tmp/test_control.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/control", f->folder);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(control_create(&f->control, &f->loop, f->path, requests, f, &err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	control_destroy(f->control);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_not_equal(access(f->path, F_OK), 0);
	rmdir(f->folder);
	free(f);
	return 0;
}

static int connect_to(const struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void turn(struct fixture *f)
{
	for (int i = 0; i < 20; i++)
		uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* What came back, "" for nothing, "gone" where the connection was closed. */
static const char *receive(struct fixture *f, int fd, char *text, size_t size)
{
	ssize_t n;

	turn(f);
	n = recv(fd, text, size - 1, 0);
	if (!n)
		return "gone";
	text[n > 0 ? n : 0] = 0;
	return text;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void answers_requests(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);
	char text[512];

	say(fd, "{\"execute\": \"ping\"}\n");
	assert_string_equal(receive(f, fd, text, sizeof(text)), "{\"return\":{\"pings\":1}}\n");
	say(fd, "{\"execute\": \"ping\", \"arguments\": {\"fail\": 1}}\n");
	assert_string_equal(receive(f, fd, text, sizeof(text)),
			    "{\"error\":{\"text\":\"told to\"}}\n");
	close(fd);
	turn(f);
}

static void takes_parts_and_several_lines(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f);
	char text[512];

	say(fd, "{\"execute\":");
	assert_string_equal(receive(f, fd, text, sizeof(text)), "");
	say(fd, " \"ping\"}\n{\"execute\": \"ping\"}\n{\"exec");
	assert_string_equal(receive(f, fd, text, sizeof(text)),
			    "{\"return\":{\"pings\":1}}\n{\"return\":{\"pings\":2}}\n");
	say(fd, "ute\": \"ping\"}\n");
	assert_string_equal(receive(f, fd, text, sizeof(text)), "{\"return\":{\"pings\":3}}\n");
	close(fd);
	turn(f);
}

static void survives_nonsense(void **state)
{
	static const char *const nonsense[] = { "\n",
						"null\n",
						"[]\n",
						"{}\n",
						"{\"execute\": 1}\n",
						"{\"execute\": \"\"}\n",
						"\xff\xfe\n",
						"{{{{\n" };
	struct fixture *f = *state;
	int fd = connect_to(f);
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		say(fd, nonsense[i]);
		assert_ptr_equal(strstr(receive(f, fd, text, sizeof(text)), "{\"error\""), text);
	}
	say(fd, "{\"execute\": \"ping\", \"arguments\": []}\n");
	assert_string_equal(receive(f, fd, text, sizeof(text)), "{\"return\":{\"pings\":1}}\n");
	close(fd);
	turn(f);
}

static void drops_endless_lines_only(void **state)
{
	static char line[70000];
	struct fixture *f = *state;
	int fd = connect_to(f), other = connect_to(f);
	char text[512];
	size_t sent = 0;

	memset(line, 'x', sizeof(line));
	while (sent < sizeof(line)) {
		ssize_t n = send(fd, line + sent, sizeof(line) - sent, MSG_NOSIGNAL);

		turn(f);
		if (n < 0 && errno == EPIPE)
			break;
		sent += n > 0 ? (size_t)n : 0;
	}
	assert_true(recv(fd, text, sizeof(text), 0) <= 0);
	say(other, "{\"execute\": \"ping\"}\n");
	assert_string_equal(receive(f, other, text, sizeof(text)), "{\"return\":{\"pings\":1}}\n");
	close(fd);
	close(other);
	turn(f);
}

/* Its answers would take more and more memory. */
static void drops_who_does_not_read(void **state)
{
	static const char request[] = "{\"execute\": \"ping\"}\n";
	const unsigned enough =
		200000; /* 4 MB of answers: more than a socket holds, and the limit */
	struct fixture *f = *state;
	int fd = connect_to(f), other = connect_to(f);
	unsigned sent = 0;
	char text[512];

	while (sent < enough) {
		if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
			sent++;
		else if (errno == EPIPE || errno == ECONNRESET)
			break;
		else
			turn(f);
	}
	assert_int_not_equal(sent, enough);
	say(other, request);
	assert_ptr_equal(strstr(receive(f, other, text, sizeof(text)), "{\"return\""), text);
	close(fd);
	close(other);
	turn(f);
}

static void client_goes_before_its_answer(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f), other;
	char text[512];

	say(fd, "{\"execute\": \"ping\"}\n");
	close(fd);
	turn(f);
	other = connect_to(f);
	say(other, "{\"execute\": \"ping\"}\n");
	assert_string_equal(receive(f, other, text, sizeof(text)), "{\"return\":{\"pings\":2}}\n");
	close(other); /* and teardown with a client that the loop has not seen go */
}

static void refuses_a_path_in_use(void **state)
{
	struct fixture *f = *state;
	struct control *second = NULL;
	struct error err = { "" };

	assert_int_equal(control_create(&second, &f->loop, f->path, requests, f, &err),
			 -EADDRINUSE);
	assert_non_null(strstr(err.text, f->path));
	assert_null(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(takes_parts_and_several_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_endless_lines_only, setup, teardown),
		cmocka_unit_test_setup_teardown(drops_who_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(client_goes_before_its_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_a_path_in_use, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN); /* as nidus run does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
