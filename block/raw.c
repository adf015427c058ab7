/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A raw disk: a regular file or a block device of the host, byte for byte, through the host's page
 * cache. Positioned I/O on one descriptor, so calls may run at once.
 *
 * The lock is an open-file-description lock on the whole file: it also keeps two opens of one
 * process apart, and goes away with the descriptor.
 */
#define _GNU_SOURCE
#include "block/block.h"

#include "block/vector.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define IOV_AT_ONCE 64 /* segments of a vector handed to the host at a time */

struct raw {
	int fd;
	bool is_device;
};

typedef ssize_t transfer_fn(int fd, const struct iovec *iov, int count, off_t offset);

/* All of at most IOV_AT_ONCE segments: the host may do less than it is asked for at a time. */
static int transfer_part(int fd, uint64_t *offset, const struct iovec *part, unsigned count,
			 transfer_fn *fn)
{
	struct iovec iov[IOV_AT_ONCE];
	unsigned first = 0;

	memcpy(iov, part, count * sizeof(*iov));
	while (first < count) {
		ssize_t done = fn(fd, iov + first, count - first, *offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO; /* 0: the file has become shorter */
		*offset += done;
		vector_advance(iov, &first, count, done);
	}
	return 0;
}

static int transfer(int fd, uint64_t offset, const struct iovec *iov, unsigned count,
		    transfer_fn *fn)
{
	int ret = 0;

	while (count && !ret) {
		unsigned part = MIN(count, IOV_AT_ONCE);

		ret = transfer_part(fd, &offset, iov, part, fn);
		iov += part;
		count -= part;
	}
	return ret;
}

static int raw_read(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	return transfer(((struct raw *)self)->fd, offset, iov, count, preadv);
}

static int raw_write(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	return transfer(((struct raw *)self)->fd, offset, iov, count, pwritev);
}

static int raw_flush(void *self)
{
	return fdatasync(((struct raw *)self)->fd) ? -errno : 0;
}

/* Asks the host to drop or to zero the range; -EOPNOTSUPP and others where it cannot. */
static int ask_host(const struct raw *raw, uint64_t offset, uint64_t bytes, bool zero)
{
	uint64_t range[2] = { offset, bytes };
	int ret;

	if (raw->is_device)
		ret = ioctl(raw->fd, zero ? BLKZEROOUT : BLKDISCARD, range);
	else
		ret = fallocate(raw->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
	return ret ? -errno : 0;
}

static int raw_discard(void *self, uint64_t offset, uint64_t bytes, bool zero)
{
	struct raw *raw = self;
	int ret = bytes ? ask_host(raw, offset, bytes, zero) : 0;

	if (ret && zero)
		return vector_write_zeros(raw_write, raw, offset, bytes);
	return 0; /* without `zero` it is advice */
}

static void raw_close(void *self)
{
	struct raw *raw = self;

	close(raw->fd);
	free(raw);
}

static const struct block_ops raw_ops = {
	.read = raw_read,
	.write = raw_write,
	.flush = raw_flush,
	.discard = raw_discard,
	.close = raw_close,
};

static int find_size(int fd, const struct stat *st, uint64_t *size_bytes)
{
	*size_bytes = st->st_size;
	if (S_ISBLK(st->st_mode) && ioctl(fd, BLKGETSIZE64, size_bytes))
		return -errno;
	return 0;
}

/* Whether this can be a disk; the size too. */
static int examine(int fd, const char *path, struct block *out, struct raw *raw, struct error *err)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return error_set(err, -errno, "disk '%s': %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return error_set(err, -EISDIR, "disk '%s': is a directory", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, -EINVAL,
				 "disk '%s': is neither a regular file nor a block device", path);
	ret = find_size(fd, &st, &out->size_bytes);
	if (ret)
		return error_set(err, ret, "disk '%s': cannot find its size: %s", path,
				 strerror(-ret));
	if (!out->size_bytes)
		return error_set(err, -EINVAL, "disk '%s': is empty", path);
	if (out->size_bytes % BLOCK_SECTOR_BYTES)
		return error_set(err, -EINVAL,
				 "disk '%s': its size, %llu bytes, is not a multiple of %u", path,
				 (unsigned long long)out->size_bytes, BLOCK_SECTOR_BYTES);
	raw->is_device = S_ISBLK(st.st_mode);
	return 0;
}

static int lock(int fd, const char *path, bool readonly, struct error *err)
{
	struct flock flock = { .l_type = readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (!fcntl(fd, F_OFD_SETLK, &flock))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(err, -EBUSY,
				 "disk '%s': is in use already, by this or another virtual machine",
				 path);
	return error_set(err, -errno, "disk '%s': cannot lock it: %s", path, strerror(errno));
}

/* Not blocking, lest a FIFO hold us up before we have seen that it is one. */
static int open_file(const char *path, bool readonly, struct error *err)
{
	int fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	if (errno == EISDIR)
		return error_set(err, -EISDIR, "disk '%s': is a directory", path);
	return error_set(err, -errno, "disk '%s': %s", path, strerror(errno));
}

int block_raw_open(struct block *out, const char *path, bool readonly, struct error *err)
{
	struct block disk = { .ops = &raw_ops, .readonly = readonly };
	struct raw *raw = calloc(1, sizeof(*raw));
	int ret;

	if (!raw)
		return error_set(err, -ENOMEM, "disk '%s': out of memory", path);
	disk.self = raw;
	ret = raw->fd = open_file(path, readonly, err);
	if (ret < 0)
		goto out_free;
	ret = examine(raw->fd, path, &disk, raw, err);
	if (!ret)
		ret = lock(raw->fd, path, readonly, err);
	if (ret)
		goto out_close;
	*out = disk;
	return 0;

out_close:
	close(raw->fd);
out_free:
	free(raw);
	return ret;
}
