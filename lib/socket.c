/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Unix sockets by path: see lib/socket.h. */
#define _GNU_SOURCE /* struct ucred, O_PATH */
#include "lib/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NEW_SUFFIX ".new"

/* The address of folder/name for as long as the folder, which is returned, is open; or -errno. */
static int open_folder(const char *path, const char *suffix, struct sockaddr_un *out)
{
	char folder[PATH_MAX], name[PATH_MAX];
	int fd;

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (snprintf(folder, sizeof(folder), "%s", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	snprintf(name, sizeof(name), "%s", path);
	fd = open(dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s%s", fd,
		     basename(name), suffix) < (int)sizeof(out->sun_path))
		return fd;
	close(fd);
	return -ENAMETOOLONG;
}

static int listen_at(const struct sockaddr_un *address, const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;

	if (fd < 0)
		return -errno;
	unlink(address->sun_path);
	if (!bind(fd, (const struct sockaddr *)address, sizeof(*address)) &&
	    !listen(fd, SOMAXCONN) && !rename(address->sun_path, path))
		return fd;
	ret = -errno;
	unlink(address->sun_path);
	close(fd);
	return ret;
}

int socket_listen(const char *path)
{
	struct sockaddr_un address;
	int folder, fd;

	if (!access(path, F_OK))
		return -EADDRINUSE;
	folder = open_folder(path, NEW_SUFFIX, &address);
	if (folder < 0)
		return folder;
	fd = listen_at(&address, path);
	close(folder);
	return fd;
}

int socket_connect(const char *path)
{
	struct sockaddr_un address;
	int folder = open_folder(path, "", &address), fd, ret = 0;

	if (folder < 0)
		return folder;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		ret = -errno;
	close(folder);
	if (ret && fd >= 0)
		close(fd);
	return ret ? ret : fd;
}

bool socket_is_heard(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == geteuid() || peer.uid == 0);
}
