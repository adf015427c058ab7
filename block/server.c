/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-nbd's process. It gets a listening socket as services do (LISTEN_FDS), in whose queue are
 * our connections already, and nobody else's: the queue has room for ours only, and then the
 * socket stops to take more. It ends with the last connection, so it cannot outlive this process;
 * a signal at this process's death is for the moments before it has seen us.
 *
 * What it says goes into a memory file, which is read when something is wrong.
 */
#define _GNU_SOURCE
#include "block/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM        "qemu-nbd"
#define STATUS_NO_EXEC 127
#define LISTENER       3 /* the first descriptor of services */
#define END_MS         30000
#define POLL_NS        2000000

/*
 * A listening socket, and all the connections that it will ever take. The name is the kernel's
 * choice. Was somebody else faster, the last of ours finds no room.
 */
static int make_sockets(int *listener, int client[SERVER_CLIENTS])
{
	const int kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(name);

	*listener = socket(AF_UNIX, kind, 0);
	if (*listener < 0 || bind(*listener, (struct sockaddr *)&name, sizeof(name.sun_family)) ||
	    listen(*listener, SERVER_CLIENTS - 1) ||
	    getsockname(*listener, (struct sockaddr *)&name, &len))
		return -errno;
	for (unsigned i = 0; i < SERVER_CLIENTS; i++) {
		client[i] = socket(AF_UNIX, kind, 0);
		if (client[i] < 0 || connect(client[i], (struct sockaddr *)&name, len))
			return -errno;
	}
	return shutdown(*listener, SHUT_RD) ? -errno : 0;
}

/* "LISTEN_PID=" and the number, where only what is safe after fork may be called. */
static void write_pid(char *text, size_t size, pid_t pid)
{
	static const char head[] = "LISTEN_PID=";
	char digits[16];
	size_t n = 0, len = sizeof(head) - 1;

	memcpy(text, head, len);
	for (; pid; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	while (n && len + 1 < size)
		text[len++] = digits[--n];
	text[len] = 0;
}

/* In the child. The parent's signals are not for it, and none of its descriptors. */
static void become(char *const argv[], char **env, char *pid_text, size_t pid_size, pid_t parent,
		   int listener, int log)
{
	int null = open("/dev/null", O_RDWR);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setsid();
	listener = fcntl(listener, F_DUPFD, LISTENER + 1);
	log = fcntl(log, F_DUPFD, LISTENER + 1);
	if (getppid() != parent || null < 0 || listener < 0 || log < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0 || dup2(listener, LISTENER) < 0)
		_exit(STATUS_NO_EXEC);
	close_range(LISTENER + 1, ~0u, 0);
	write_pid(pid_text, pid_size, getpid());
	execvpe(argv[0], argv, env);
	_exit(STATUS_NO_EXEC);
}

/* Our environment and two more; for free(). */
static char **make_environment(char *pid_text, char *fds_text)
{
	size_t count = 0;
	char **env;

	while (environ[count])
		count++;
	env = calloc(count + 3, sizeof(*env));
	if (!env)
		return NULL;
	env[0] = pid_text;
	env[1] = fds_text;
	memcpy(env + 2, environ, count * sizeof(*env));
	return env;
}

static int start(struct server *server, int listener, const char *path, const char *format,
		 bool readonly)
{
	char pid_text[32], fds_text[] = "LISTEN_FDS=1";
	char format_word[64], shared_word[32], name[4096 + 8];
	/* A name with a colon in it would be a protocol's, but for a slash before that. */
	char *const argv[] = { PROGRAM,     format_word,
			       shared_word, readonly ? "--read-only" : "--discard=unmap",
			       "--",        name,
			       NULL };
	char **env = make_environment(pid_text, fds_text);
	pid_t parent = getpid();
	int ret = 0;

	if (!env)
		return -ENOMEM;
	snprintf(format_word, sizeof(format_word), "--format=%s", format);
	snprintf(shared_word, sizeof(shared_word), "--shared=%d", SERVER_CLIENTS);
	if (snprintf(name, sizeof(name), "%s%s", *path == '/' ? "" : "./", path) >=
	    (int)sizeof(name)) {
		free(env);
		return -ENAMETOOLONG;
	}
	server->pid = fork();
	if (!server->pid)
		become(argv, env, pid_text, sizeof(pid_text), parent, listener, server->log);
	if (server->pid < 0)
		ret = -errno;
	free(env);
	return ret;
}

int server_start(struct server *server, const char *path, const char *format, bool readonly,
		 int client[SERVER_CLIENTS], struct error *err)
{
	int listener = -1, ret;

	memset(client, -1, SERVER_CLIENTS * sizeof(*client));
	server->pid = 0;
	server->log = memfd_create(PROGRAM, MFD_CLOEXEC);
	ret = server->log < 0 ? -errno : make_sockets(&listener, client);
	if (!ret)
		ret = start(server, listener, path, format, readonly);
	if (listener >= 0)
		close(listener);
	return ret ? error_set(err, ret, PROGRAM ": %s", strerror(-ret)) : 0;
}

/* Its status; -1: it was killed, or did not end. */
static int wait_for(pid_t server)
{
	const struct timespec pause = { 0, POLL_NS };
	int status;

	for (int64_t left = END_MS * 1000000ll; left > 0; left -= POLL_NS) {
		pid_t pid = waitpid(server, &status, WNOHANG);

		if (pid == server)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		if (pid < 0 && errno != EINTR)
			return -1;
		nanosleep(&pause, NULL);
	}
	kill(server, SIGKILL);
	waitpid(server, &status, 0);
	return -1;
}

/* What it said, in one line and without the names that everybody knows. */
static int explain(int log, int status, struct error *err)
{
	char said[400] = "", *text = said, *last;
	ssize_t n = pread(log, said, sizeof(said) - 1, 0);

	said[MAX(n, 0)] = 0;
	said[strcspn(said, "\n")] = 0;
	if (status == STATUS_NO_EXEC)
		return error_set(err, -ENOENT,
				 "the program '" PROGRAM
				 "' is not installed; it comes with the package qemu-utils");
	if (strstr(said, "\" lock"))
		return error_set(err, -EBUSY,
				 "is in use already, by this or another virtual machine");
	last = strstr(said, "': ");
	while (last) { /* Failed to ... 'NAME': Could not open 'NAME': REASON */
		text = last + 3;
		last = strstr(text, "': ");
	}
	return error_set(err, -EINVAL, "%s", *text ? text : PROGRAM " ended without a word");
}

int server_end(struct server *server, int signal, struct error *err)
{
	int status = 0, ret = 0;

	if (server->pid > 0) {
		if (signal)
			kill(server->pid, signal);
		status = wait_for(server->pid);
	}
	if (status > 0)
		ret = explain(server->log, status, err);
	if (server->log >= 0)
		close(server->log);
	*server = (struct server){ 0, -1 };
	return ret;
}
