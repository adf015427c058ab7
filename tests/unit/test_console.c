/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console back ends against a front that takes input in small bites: bytes in order and none
 * lost, sockets and files, terminals and their escape key.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#include "console/backends.h"

#define STREAM_BYTES 300000

struct fixture {
	uv_loop_t loop;
	char dir[64], path[96];
	struct console *console;
	struct error err;
	/* The front: takes up to `room` bytes. */
	uint8_t got[STREAM_BYTES + 64];
	size_t got_len, room;
	char keys[16];
	size_t keys_len;
};

static size_t take(void *front, const uint8_t *bytes, size_t len)
{
	struct fixture *f = front;
	size_t n = MIN(len, f->room);

	assert_true(f->got_len + n <= sizeof(f->got));
	memcpy(f->got + f->got_len, bytes, n);
	f->got_len += n;
	f->room -= n;
	return n;
}

static void pressed(void *self, char key)
{
	struct fixture *f = self;

	f->keys[f->keys_len++] = key;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	uv_loop_init(&f->loop);
	snprintf(f->dir, sizeof(f->dir), "/tmp/nidus-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/end", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	console_destroy(f->console);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0); /* nothing is left behind */
	free(f);
	return 0;
}

static void attach(struct fixture *f)
{
	console_attach(f->console, take, f);
}

/* Runs the loop until `done` bytes arrived, handing out room in bites; ten seconds at most. */
static void run_until_got(struct fixture *f, size_t done)
{
	for (int i = 0; i < 200000 && f->got_len < done; i++) {
		if (!f->room) {
			f->room = 1 + (size_t)i % 700;
			console_input_ready(f->console);
		}
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(f->got_len < done ? 10 : 0);
	}
	assert_int_equal(f->got_len, done);
}

static void spin(struct fixture *f)
{
	for (int i = 0; i < 50; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(200);
	}
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + i / 256);
}

static void *write_pattern(void *self)
{
	struct fixture *f = self;
	uint8_t chunk[777];

	for (size_t at = 0; at < STREAM_BYTES;) {
		size_t n = MIN(sizeof(chunk), STREAM_BYTES - at);

		for (size_t i = 0; i < n; i++)
			chunk[i] = pattern(at + i);
		console_write(f->console, chunk, n);
		at += n;
	}
	return NULL;
}

static void text(struct fixture *f, const char *s)
{
	console_write(f->console, (const uint8_t *)s, strlen(s));
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* --- files --- */

static void file_takes_output(void **state)
{
	struct fixture *f = *state;
	char buf[64] = "";
	FILE *in;

	assert_int_equal(console_file_create(&f->console, &f->loop, f->path, &f->err), 0);
	attach(f);
	text(f, "one ");
	text(f, "two\n");
	in = fopen(f->path, "r");
	assert_non_null(fgets(buf, sizeof(buf), in));
	fclose(in);
	assert_string_equal(buf, "one two\n");
}

static void file_errors_name_the_path(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(console_file_create(&f->console, &f->loop, f->dir, &f->err), -EISDIR);
	assert_non_null(strstr(f->err.text, f->dir));
}

/* --- sockets --- */

static void socket_carries_both_ways(void **state)
{
	struct fixture *f = *state;
	uint8_t *sent = malloc(STREAM_BYTES), *received = malloc(STREAM_BYTES);
	size_t in = 0, out = 0;
	pthread_t writer;
	int fd;

	assert_int_equal(console_unix_create(&f->console, &f->loop, f->path, &f->err), 0);
	attach(f);
	text(f, "nobody hears this");
	fd = connect_to(f->path);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	spin(f);
	pthread_create(&writer, NULL, write_pattern, f);
	for (size_t i = 0; i < STREAM_BYTES; i++)
		sent[i] = pattern(i + 5);
	for (int i = 0; i < 1000000 && (in < STREAM_BYTES || f->got_len < STREAM_BYTES); i++) {
		ssize_t n = read(fd, received + in, STREAM_BYTES - in);

		in += n > 0 ? (size_t)n : 0;
		n = write(fd, sent + out, STREAM_BYTES - out);
		out += n > 0 ? (size_t)n : 0;
		if (!f->room) {
			f->room = 1000;
			console_input_ready(f->console);
		}
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	pthread_join(writer, NULL);
	assert_int_equal(in, STREAM_BYTES);
	assert_int_equal(f->got_len, STREAM_BYTES);
	assert_memory_equal(f->got, sent, STREAM_BYTES);
	for (size_t i = 0; i < STREAM_BYTES; i++)
		assert_int_equal(received[i], pattern(i));
	close(fd);
	free(sent);
	free(received);
}

static void socket_serves_one_after_the_other(void **state)
{
	struct fixture *f = *state;
	char buf[64];
	int first, second;

	assert_int_equal(console_unix_create(&f->console, &f->loop, f->path, &f->err), 0);
	attach(f);
	f->room = 100;
	first = connect_to(f->path);
	spin(f);
	alarm(20); /* who connects is not held up by those who have waited in vain */
	for (unsigned i = 0; i < 20; i++)
		close(connect_to(f->path));
	alarm(0);
	second = connect_to(f->path);
	assert_int_equal(write(second, "2", 1), 1);
	assert_int_equal(write(first, "1", 1), 1);
	run_until_got(f, 1);
	assert_int_equal(f->got[0], '1');
	close(first);
	run_until_got(f, 2);
	assert_int_equal(f->got[1], '2');
	text(f, "hello");
	spin(f);
	assert_int_equal(read(second, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	close(second);
	spin(f);
}

static void socket_path_is_not_taken_over(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	FILE *other = fopen(f->path, "w");

	fclose(other);
	assert_int_equal(console_unix_create(&f->console, &f->loop, f->path, &f->err), -EADDRINUSE);
	assert_non_null(strstr(f->err.text, f->path));
	assert_int_equal(stat(f->path, &st), 0);
}

static void a_stuck_client_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;
	pthread_t writer;
	int fd;

	assert_int_equal(console_unix_create(&f->console, &f->loop, f->path, &f->err), 0);
	attach(f);
	fd = connect_to(f->path);
	spin(f);
	pthread_create(&writer, NULL, write_pattern, f); /* more than socket and buffer hold */
	spin(f);
	console_hurry(f->console);
	pthread_join(writer, NULL);
	console_destroy(f->console);
	f->console = NULL;
	close(fd);
}

/* --- standard streams: in a child, with its streams on a pipe or a terminal --- */

static const struct console_keys no_keys = { NULL, NULL };

/* Echoes input until it has seen `bytes` of it. */
static void echo_child(struct fixture *f, size_t bytes)
{
	const struct console_keys keys = { pressed, f };

	if (console_stdio_create(&f->console, &f->loop, &keys, &f->err))
		_exit(1);
	attach(f);
	for (int i = 0; i < 50000 && f->got_len + f->keys_len < bytes; i++) {
		f->room = 3;
		console_input_ready(f->console);
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(100);
	}
	console_write(f->console, f->got, f->got_len);
	text(f, "|");
	console_write(f->console, (uint8_t *)f->keys, f->keys_len);
	console_destroy(f->console);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	_exit(0);
}

static void pipes_are_transparent(void **state)
{
	struct fixture *f = *state;
	int in[2], out[2], status;
	char buf[64] = "";
	pid_t pid;

	assert_int_equal(pipe(in) | pipe(out), 0);
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		uv_loop_fork(&f->loop);
		echo_child(f, 6);
	}
	close(in[0]);
	close(out[1]);
	assert_int_equal(write(in[1], "ab\x1dq\ncd", 7) > 0, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(read(out[0], buf, sizeof(buf) - 1) > 0);
	assert_memory_equal(buf, "ab\x1dq\nc", 6);
	assert_false(fcntl(in[1], F_GETFL) & O_NONBLOCK);
	close(in[1]);
	close(out[0]);
}

static void terminals_are_raw_and_restored(void **state)
{
	struct fixture *f = *state;
	struct termios before, after;
	char buf[256] = "";
	size_t len = 0;
	int master, slave, status;
	pid_t pid;

	if (openpty(&master, &slave, NULL, NULL, NULL) && errno == ENODEV) {
		puts("skip: no pseudo-terminals here (/dev/pts)");
		skip();
	}
	tcgetattr(slave, &before);
	pid = fork();
	if (!pid) {
		close(master);
		login_tty(slave);
		uv_loop_fork(&f->loop);
		echo_child(f, 6);
	}
	for (int i = 0; i < 50000; i++) { /* until the child has made it raw */
		tcgetattr(slave, &after);
		if (!(after.c_lflag & ICANON))
			break;
		usleep(100);
	}
	assert_false(after.c_lflag & (ICANON | ECHO | ISIG));
	/* Ctrl-C is a byte, Ctrl-] Ctrl-] one Ctrl-], Ctrl-] q a key; all of it unechoed. */
	assert_int_equal(write(master, "a\x03\x1d\x1d\x1dqxy", 8), 8);
	while (len < 7) {
		ssize_t n = read(master, buf + len, sizeof(buf) - 1 - len);

		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_string_equal(buf, "a\x03\x1dxy|q");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	tcgetattr(slave, &after);
	assert_int_equal(after.c_lflag, before.c_lflag);
	assert_int_equal(after.c_iflag, before.c_iflag);
	assert_int_equal(after.c_oflag, before.c_oflag);
	close(master);
	close(slave);
}

/* The machine hangs: nobody takes what was typed. The child ends when it saw the key. */
static void keys_are_seen_while_nothing_is_taken(void **state)
{
	struct fixture *f = *state;
	char typed[6000];
	int master, slave, status;
	pid_t pid;

	if (openpty(&master, &slave, NULL, NULL, NULL)) {
		puts("skip: no pseudo-terminals here (/dev/pts)");
		skip();
	}
	pid = fork();
	if (!pid) {
		const struct console_keys keys = { pressed, f };

		close(master);
		login_tty(slave);
		uv_loop_fork(&f->loop);
		console_stdio_create(&f->console, &f->loop, &keys, &f->err);
		attach(f);
		text(f, "!");
		for (int i = 0; i < 100000 && !f->keys_len; i++) {
			uv_run(&f->loop, UV_RUN_NOWAIT);
			usleep(100);
		}
		_exit(f->keys_len == 1 && f->keys[0] == 'q' ? 0 : 1);
	}
	close(slave);
	assert_int_equal(read(master, typed, 1), 1); /* it is raw now */
	memset(typed, 'x', sizeof(typed));
	assert_int_equal(write(master, typed, sizeof(typed)), sizeof(typed));
	assert_int_equal(write(master, "\x1dq", 2), 2);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(master);
}

static void input_may_come_from_a_file(void **state)
{
	struct fixture *f = *state;
	int saved = dup(0), fd = open(f->path, O_RDWR | O_CREAT, 0600);
	char line[9000];

	memset(line, 'z', sizeof(line));
	assert_int_equal(write(fd, line, sizeof(line)), sizeof(line));
	lseek(fd, 0, SEEK_SET);
	dup2(fd, 0);
	assert_int_equal(console_stdio_create(&f->console, &f->loop, &no_keys, &f->err), 0);
	attach(f);
	run_until_got(f, sizeof(line));
	spin(f);
	assert_int_equal(f->got_len, sizeof(line));
	dup2(saved, 0);
	close(saved);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(file_takes_output),
		TEST(file_errors_name_the_path),
		TEST(socket_carries_both_ways),
		TEST(socket_serves_one_after_the_other),
		TEST(socket_path_is_not_taken_over),
		TEST(a_stuck_client_does_not_hold_up_the_end),
		TEST(pipes_are_transparent),
		TEST(terminals_are_raw_and_restored),
		TEST(keys_are_seen_while_nothing_is_taken),
		TEST(input_may_come_from_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
