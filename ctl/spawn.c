/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other programs: see ctl/spawn.h. */
#define _GNU_SOURCE /* pipe2 */
#include "ctl/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX_BYTES (16 * MIB)

struct pipe {
	int read, write;
};

static int open_pipe(struct pipe *pipe)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	*pipe = (struct pipe){ fds[0], fds[1] };
	return 0;
}

static int start(char *const argv[], const struct pipe *out, const struct pipe *messages,
		 pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int ret;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out->write, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, messages->write, STDERR_FILENO);
	ret = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

/* Both pipes at once, or one could fill while the other is waited for. */
static void drain(int out, int messages, struct text *output, struct text *text)
{
	struct pollfd wait[2] = { { out, POLLIN, 0 }, { messages, POLLIN, 0 } };
	struct text *const into[2] = { output, text };

	while (wait[0].fd >= 0 || wait[1].fd >= 0) {
		char part[4096];

		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (wait[i].fd < 0 || !wait[i].revents)
				continue;
			n = read(wait[i].fd, part, sizeof(part));
			if (n <= 0)
				wait[i].fd = -1;
			else if (into[i] && into[i]->len < OUTPUT_MAX_BYTES)
				text_add_n(into[i], part, (size_t)n);
		}
	}
}

/* The first line of what it said, without its own name in front. */
static int describe(const char *name, const char *said, int status, struct error *err)
{
	size_t len = strlen(name);

	if (!strncmp(said, name, len) && said[len] == ':')
		said += len + 1;
	said += strspn(said, " ");
	if (!*said)
		return error_set(err, -EIO, "%s ended with status %d", name, status);
	return error_set(err, -EIO, "%.*s", (int)strcspn(said, "\n"), said);
}

static int finish(char *const argv[], pid_t pid, const struct text *said, struct error *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error_set(err, -errno, "%s: %s", argv[0], strerror(errno));
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	return describe(argv[0], said->s ? said->s : "",
			WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), err);
}

int spawn_run(char *const argv[], struct text *output, struct error *err)
{
	struct pipe out = { -1, -1 }, messages = { -1, -1 };
	struct text said = { 0 };
	pid_t pid;
	int ret = open_pipe(&out);

	if (ret)
		return error_set(err, ret, "%s: %s", argv[0], strerror(-ret));
	ret = open_pipe(&messages);
	if (!ret)
		ret = start(argv, &out, &messages, &pid);
	close(out.write);
	close(messages.write);
	if (ret == -ENOENT)
		error_set(err, ret, "the program '%s' is not installed", argv[0]);
	else if (ret)
		error_set(err, ret, "%s: %s", argv[0], strerror(-ret));
	else
		drain(out.read, messages.read, output, &said);
	close(out.read);
	close(messages.read);
	if (!ret)
		ret = finish(argv, pid, &said, err);
	text_free(&said);
	return ret;
}
