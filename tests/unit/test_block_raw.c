/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Raw disks: bytes in and out, discards, locks, and what is no disk.
 */
#include "block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DISK_BYTES (64 * KIB)

struct fixture {
	char folder[32];
	char path[64];
	struct block disk;
	struct error err;
};

static void make_file(const char *path, uint64_t bytes)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/tmp/nidus-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/disk", f->folder);
	make_file(f->path, DISK_BYTES);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	block_close(&f->disk);
	unlink(f->path);
	rmdir(f->path);
	rmdir(f->folder);
	free(f);
	return 0;
}

static void test_read_write(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[3 * 512], in[3 * 512];
	struct iovec write[3], read[2] = { { in, 1000 }, { in + 1000, 536 } };

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = i * 7;
	for (unsigned i = 0; i < 3; i++)
		write[i] = (struct iovec){ out + i * 512, 512 };
	assert_int_equal(block_raw_open(&f->disk, f->path, false, &f->err), 0);
	assert_int_equal(f->disk.size_bytes, DISK_BYTES);
	assert_false(f->disk.readonly);
	assert_int_equal(f->disk.ops->write(f->disk.self, DISK_BYTES - 1536, write, 3), 0);
	assert_int_equal(f->disk.ops->flush(f->disk.self), 0);
	assert_int_equal(f->disk.ops->read(f->disk.self, DISK_BYTES - 1536, read, 2), 0);
	assert_memory_equal(in, out, sizeof(out));
}

/* More segments than go to the host at a time. */
static void test_many_segments(void **state)
{
	struct fixture *f = *state;
	static uint8_t out[16 * 1024], in[16 * 1024];
	struct iovec iov[256];

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = i * 13 >> 4;
	assert_int_equal(block_raw_open(&f->disk, f->path, false, &f->err), 0);
	for (unsigned i = 0; i < 256; i++)
		iov[i] = (struct iovec){ out + 64 * i, 64 };
	assert_int_equal(f->disk.ops->write(f->disk.self, 512, iov, 256), 0);
	for (unsigned i = 0; i < 256; i++)
		iov[i] = (struct iovec){ in + 64 * i, 64 };
	assert_int_equal(f->disk.ops->read(f->disk.self, 512, iov, 256), 0);
	assert_memory_equal(in, out, sizeof(out));
}

static void test_zero(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[1536];
	struct iovec iov = { bytes, sizeof(bytes) };

	assert_int_equal(block_raw_open(&f->disk, f->path, false, &f->err), 0);
	memset(bytes, 0xaa, sizeof(bytes));
	assert_int_equal(f->disk.ops->write(f->disk.self, 0, &iov, 1), 0);
	assert_int_equal(f->disk.ops->discard(f->disk.self, 512, 512, true), 0);
	assert_int_equal(f->disk.ops->discard(f->disk.self, 4096, 4096, false), 0);
	assert_int_equal(f->disk.ops->read(f->disk.self, 0, &iov, 1), 0);
	assert_int_equal(bytes[511], 0xaa);
	for (unsigned i = 512; i < 1024; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(bytes[1024], 0xaa);
}

/* A file that became shorter under us gives an error, not an endless loop. */
static void test_truncated(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[1024];
	struct iovec iov = { bytes, sizeof(bytes) };

	assert_int_equal(block_raw_open(&f->disk, f->path, true, &f->err), 0);
	assert_int_equal(truncate(f->path, 512), 0);
	assert_int_equal(f->disk.ops->read(f->disk.self, 0, &iov, 1), -EIO);
}

static void test_locks(void **state)
{
	struct fixture *f = *state;
	struct block other = { 0 };

	assert_int_equal(block_raw_open(&f->disk, f->path, false, &f->err), 0);
	assert_int_equal(block_raw_open(&other, f->path, false, &f->err), -EBUSY);
	assert_non_null(strstr(f->err.text, f->path));
	assert_non_null(strstr(f->err.text, "in use"));
	assert_int_equal(block_raw_open(&other, f->path, true, &f->err), -EBUSY);
	block_close(&f->disk);
	assert_int_equal(block_raw_open(&f->disk, f->path, true, &f->err), 0);
	assert_true(f->disk.readonly);
	assert_int_equal(block_raw_open(&other, f->path, true, &f->err), 0);
	block_close(&other);
	assert_int_equal(block_raw_open(&other, f->path, false, &f->err), -EBUSY);
}

static void expect_refused(struct fixture *f, const char *path, int ret, const char *reason)
{
	f->err.text[0] = '\0';
	assert_int_equal(block_raw_open(&f->disk, path, false, &f->err), ret);
	assert_non_null(strstr(f->err.text, path));
	assert_non_null(strstr(f->err.text, reason));
	assert_null(f->disk.ops);
}

static void test_no_disk(void **state)
{
	struct fixture *f = *state;

	expect_refused(f, "/nonexistent/disk", -ENOENT, "No such file");
	expect_refused(f, f->folder, -EISDIR, "is a directory");
	expect_refused(f, "/dev/null", -EINVAL, "neither a regular file");
	make_file(f->path, 0);
	expect_refused(f, f->path, -EINVAL, "is empty");
	make_file(f->path, 1000);
	expect_refused(f, f->path, -EINVAL, "not a multiple of 512");
	unlink(f->path);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	expect_refused(f, f->path, -EINVAL, "neither a regular file");
}

static void test_null(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[512] = { 1, 2, 3 }, back[512];
	struct iovec out = { bytes, 512 }, in = { back, 512 };

	assert_int_equal(block_null_open(&f->disk, 4096), 0);
	assert_int_equal(f->disk.ops->write(f->disk.self, 512, &out, 1), 0);
	assert_int_equal(f->disk.ops->read(f->disk.self, 512, &in, 1), 0);
	assert_memory_equal(bytes, back, 512);
	assert_int_equal(f->disk.ops->discard(f->disk.self, 512, 512, true), 0);
	assert_int_equal(f->disk.ops->read(f->disk.self, 512, &in, 1), 0);
	assert_int_equal(back[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_null, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
