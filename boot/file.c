/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening and reading the operator's files: see boot/file.h. */
#include "boot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int boot_file_open(struct boot_file *file, const char *what, const char *name, struct error *err)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
	int code = fd < 0 ? -errno : 0;
	struct stat st;

	if (!code && fstat(fd, &st))
		code = -errno;
	if (!code && !S_ISREG(st.st_mode))
		code = -EINVAL;
	*file = (struct boot_file){ what, name, fd, code ? 0 : (uint64_t)st.st_size };
	if (!code)
		return 0;
	boot_file_close(file);
	return error_set(err, code, "%s '%s': %s", what, name,
			 code == -EINVAL ? "not a regular file" : strerror(-code));
}

void boot_file_close(struct boot_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, uint64_t bytes,
		   struct error *err)
{
	for (uint64_t done = 0; done < bytes;) {
		ssize_t n = pread(file->fd, (uint8_t *)buf + done, bytes - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "%s '%s': cannot read: %s", file->what,
					 file->name, strerror(errno));
		if (!n)
			return error_set(err, -EIO, "%s '%s': the file became shorter", file->what,
					 file->name);
		done += (uint64_t)n;
	}
	return 0;
}
