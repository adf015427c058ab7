/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file of frames: see switch/capture.h. Its numbers are the host's, as its magic one says. */
#include "switch/capture.h"

#include "switch/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FILE_MAGIC    0xa1b2c3d4
#define FILE_MAJOR    2
#define FILE_MINOR    4
#define LINK_ETHERNET 1
#define FILE_MODE     0600
#define NS_PER_US     1000

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t reserved[2];
	uint32_t frame_bytes_max;
	uint32_t link_type;
};

struct frame_header {
	uint32_t seconds, microseconds;
	uint32_t bytes_here, bytes_on_wire;
};

_Static_assert(sizeof(struct file_header) == 24, "of the format");
_Static_assert(sizeof(struct frame_header) == 16, "of the format");

struct capture {
	FILE *file;
	uint64_t frames, bytes;
	int error;
	char path[PATH_MAX];
};

static void put(struct capture *capture, const void *data, size_t bytes)
{
	if (!capture->error && fwrite(data, 1, bytes, capture->file) != bytes)
		capture->error = errno;
}

/* A pipe that nobody reads, or not fast enough, is an error: the switch does not wait. */
static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, FILE_MODE);

	return fd < 0 ? -errno : fd;
}

int capture_create(struct capture **out, const char *path, struct error *err)
{
	const struct file_header header = { .magic = FILE_MAGIC,
					    .major = FILE_MAJOR,
					    .minor = FILE_MINOR,
					    .frame_bytes_max = FRAME_BYTES_MAX,
					    .link_type = LINK_ETHERNET };
	struct capture *capture = calloc(1, sizeof(*capture));
	int fd = capture ? open_file(path) : -ENOMEM, ret = MIN(fd, 0);

	if (!ret)
		capture->file = fdopen(fd, "w");
	if (!ret && !capture->file)
		ret = -errno;
	if (ret) {
		if (fd >= 0)
			close(fd);
		free(capture);
		return error_set(err, ret, "capture: '%s': %s", path, strerror(-ret));
	}
	snprintf(capture->path, sizeof(capture->path), "%s", path);
	put(capture, &header, sizeof(header));
	*out = capture;
	return 0;
}

void capture_add(struct capture *capture, const void *frame, size_t bytes)
{
	struct frame_header header = { .bytes_here = (uint32_t)bytes,
				       .bytes_on_wire = (uint32_t)bytes };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	header.seconds = (uint32_t)now.tv_sec;
	header.microseconds = (uint32_t)(now.tv_nsec / NS_PER_US);
	put(capture, &header, sizeof(header));
	put(capture, frame, bytes);
	if (capture->error)
		return;
	capture->frames++;
	capture->bytes += bytes;
}

void capture_report(struct capture *capture, struct capture_report *report)
{
	if (!capture->error && fflush(capture->file))
		capture->error = errno;
	*report = (struct capture_report){ capture->path, capture->frames, capture->bytes,
					   capture->error };
}

void capture_destroy(struct capture *capture)
{
	if (!capture)
		return;
	fclose(capture->file);
	free(capture);
}
