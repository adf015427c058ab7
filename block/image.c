/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images in formats other than raw. qemu-nbd serves the one of its disk over a socket on which
 * nobody else is served: it gets the listening socket as services do (LISTEN_FDS), and we are
 * connected to that before it runs. It serves one client and ends with the connection, so it cannot
 * outlive this process; a signal at this process's death is for the moments before it has seen us.
 *
 * What it says goes into a memory file, which is read when something is wrong.
 */
#define _GNU_SOURCE
#include "block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
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

struct image {
	struct block nbd;
	pid_t server; /* 0: none, or none any more */
	int log;
};

/* --- the server --- */

/*
 * A listening socket, and one that is connected to it. The name is the kernel's choice, and anybody
 * on the host may know it: there is room for one who waits, and -EAGAIN where that is another.
 */
static int make_sockets(int *listener, int *client)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(name);
	int ret = 0;

	*listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*listener < 0 || *client < 0 ||
	    bind(*listener, (struct sockaddr *)&name, sizeof(name.sun_family)) ||
	    listen(*listener, 0) || getsockname(*listener, (struct sockaddr *)&name, &len) ||
	    connect(*client, (struct sockaddr *)&name, len) || fcntl(*client, F_SETFL, 0))
		ret = -errno;
	return ret;
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

static int start_server(struct image *image, int listener, const char *path, const char *format,
			bool readonly)
{
	char pid_text[32], fds_text[] = "LISTEN_FDS=1", format_word[64], name[4096 + 8];
	/* A name with a colon in it would be a protocol's, but for a slash before that. */
	char *const argv[] = { PROGRAM,
			       format_word,
			       "--discard=unmap",
			       readonly ? "--read-only" : "--shared=1",
			       "--",
			       name,
			       NULL };
	char **env = make_environment(pid_text, fds_text);
	pid_t parent = getpid();
	int ret = 0;

	if (!env)
		return -ENOMEM;
	snprintf(format_word, sizeof(format_word), "--format=%s", format);
	if (snprintf(name, sizeof(name), "%s%s", *path == '/' ? "" : "./", path) >=
	    (int)sizeof(name)) {
		free(env);
		return -ENAMETOOLONG;
	}
	image->server = fork();
	if (!image->server)
		become(argv, env, pid_text, sizeof(pid_text), parent, listener, image->log);
	if (image->server < 0)
		ret = -errno;
	free(env);
	return ret;
}

/* Its end: it writes what it holds when the connection ends. -1: it was killed, or did not end. */
static int wait_for_server(struct image *image)
{
	const struct timespec pause = { 0, POLL_NS };
	pid_t server = image->server;
	int status;

	if (server <= 0)
		return -1;
	image->server = 0;
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

/* --- the disk: the server's, until it closes --- */

static int image_read(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	const struct block *nbd = &((struct image *)self)->nbd;

	return nbd->ops->read(nbd->self, offset, iov, count);
}

static int image_write(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	const struct block *nbd = &((struct image *)self)->nbd;

	return nbd->ops->write(nbd->self, offset, iov, count);
}

static int image_flush(void *self)
{
	const struct block *nbd = &((struct image *)self)->nbd;

	return nbd->ops->flush(nbd->self);
}

static int image_discard(void *self, uint64_t offset, uint64_t bytes, bool zero)
{
	const struct block *nbd = &((struct image *)self)->nbd;

	return nbd->ops->discard(nbd->self, offset, bytes, zero);
}

static void image_close(void *self)
{
	struct image *image = self;

	block_close(&image->nbd);
	wait_for_server(image);
	if (image->log >= 0)
		close(image->log);
	free(image);
}

static const struct block_ops image_ops = {
	.read = image_read,
	.write = image_write,
	.flush = image_flush,
	.discard = image_discard,
	.close = image_close,
};

/* --- opening --- */

/* What the server said, in one line and without the names that everybody knows. */
static int explain(struct image *image, const char *path, struct error *err)
{
	int status = wait_for_server(image);
	char said[400] = "", *text = said, *last;
	ssize_t n = pread(image->log, said, sizeof(said) - 1, 0);

	said[MAX(n, 0)] = 0;
	said[strcspn(said, "\n")] = 0;
	if (status == STATUS_NO_EXEC)
		return error_set(err, -ENOENT,
				 "disk '%s': the program '" PROGRAM
				 "' is not installed; it comes with the package qemu-utils",
				 path);
	if (strstr(said, "\" lock"))
		return error_set(err, -EBUSY,
				 "disk '%s': is in use already, by this or another virtual machine",
				 path);
	last = strstr(said, "': ");
	while (last) { /* Failed to ... 'NAME': Could not open 'NAME': REASON */
		text = last + 3;
		last = strstr(text, "': ");
	}
	return error_set(err, -EINVAL, "disk '%s': %s", path,
			 *text ? text : PROGRAM " ended without a word");
}

static int open_image(struct image *image, const char *path, const char *format, bool readonly,
		      struct error *err)
{
	struct error reason = { "" };
	int listener, client, ret = make_sockets(&listener, &client);

	if (!ret)
		ret = start_server(image, listener, path, format, readonly);
	if (listener >= 0)
		close(listener);
	if (ret) {
		if (client >= 0)
			close(client);
		return error_set(err, ret, "disk '%s': " PROGRAM ": %s", path, strerror(-ret));
	}
	ret = block_nbd_open(&image->nbd, client, path, readonly, &reason);
	if (ret == -EPIPE) /* it ended, and knows why */
		return explain(image, path, err);
	return ret ? error_set(err, ret, "%s", reason.text) : 0;
}

int block_image_open(struct block *out, const char *path, const char *format, bool readonly,
		     struct error *err)
{
	struct image *image;
	int ret;

	if (access(path, readonly ? R_OK : R_OK | W_OK))
		return error_set(err, -errno, "disk '%s': %s", path, strerror(errno));
	image = calloc(1, sizeof(*image));
	if (!image)
		return error_set(err, -ENOMEM, "disk '%s': out of memory", path);
	image->log = memfd_create(PROGRAM, MFD_CLOEXEC);
	ret = open_image(image, path, format, readonly, err);
	if (ret && image->server > 0)
		kill(image->server, SIGTERM); /* it would wait for another client */
	if (ret)
		image_close(image);
	else
		*out = (struct block){ &image_ops, image, image->nbd.size_bytes, readonly };
	return ret;
}

/* --- by name --- */

static const struct {
	const char *suffix, *format;
} formats[] = {
	{ ".qcow2", "qcow2" }, { ".vhdx", "vhdx" }, { ".vhd", "vpc" },
	{ ".vmdk", "vmdk" },   { ".vdi", "vdi" },
};

int block_open(struct block *out, const char *path, bool readonly, struct error *err)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t suffix = strlen(formats[i].suffix);

		if (len > suffix && !strcasecmp(path + len - suffix, formats[i].suffix))
			return block_image_open(out, path, formats[i].format, readonly, err);
	}
	return block_raw_open(out, path, readonly, err);
}
