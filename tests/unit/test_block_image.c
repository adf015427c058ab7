/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that are images, with qemu-nbd and images of its own making: bytes, errors, and what
 * happens when the server dies or hangs. The protocol is libnbd's to test.
 */
#include "block/block.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 6 /* more than there are connections */
#define ROUNDS  200

/* --- many callers --- */

struct worker {
	const struct block *disk;
	uint64_t base, bytes;
	unsigned seed;
	bool ends_with_error;
	pthread_t thread;
};

/* Writes and reads at random places of its own part of the disk, and compares. */
static void *work(void *opaque)
{
	struct worker *w = opaque;
	uint8_t *mirror = calloc(1, w->bytes), *buffer = malloc(w->bytes);

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t at = (uint64_t)rand_r(&w->seed) % (w->bytes / 512) * 512;
		uint64_t sectors = rand_r(&w->seed) % 64 + 1,
			 len = MIN(sectors * 512, w->bytes - at);
		struct iovec iov[2] = { { mirror + at, len / 2 },
					{ mirror + at + len / 2, len - len / 2 } };
		struct iovec whole = { buffer, len };

		memset(mirror + at, rand_r(&w->seed), len);
		if (w->disk->ops->write(w->disk->self, w->base + at, iov, 2) ||
		    w->disk->ops->read(w->disk->self, w->base + at, &whole, 1)) {
			w->ends_with_error = true;
			break;
		}
		if (memcmp(buffer, mirror + at, len))
			abort();
	}
	free(mirror);
	free(buffer);
	return NULL;
}

/* How many ended with an error. */
static unsigned work_at_once(const struct block *disk, uint64_t bytes)
{
	struct worker worker[THREADS];
	unsigned errors = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		worker[i] = (struct worker){ disk, i * bytes, bytes, 17 + i, false, 0 };
		pthread_create(&worker[i].thread, NULL, work, &worker[i]);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(worker[i].thread, NULL);
		errors += worker[i].ends_with_error;
	}
	return errors;
}

/* --- images --- */

struct folder {
	char path[32];
	char disk[64];
};

static void run(const char *format, const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), format, path);
	assert_int_equal(system(command), 0);
}

static int make_folder(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));

	snprintf(folder->path, sizeof(folder->path), "/tmp/nidus-test-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	*state = folder;
	return 0;
}

static int remove_folder(void **state)
{
	struct folder *folder = *state;

	run("rm -r %s", folder->path);
	free(folder);
	return 0;
}

static const char *disk_named(struct folder *folder, const char *name)
{
	snprintf(folder->disk, sizeof(folder->disk), "%s/%s", folder->path, name);
	return folder->disk;
}

static bool has_qemu(void)
{
	if (!system("command -v qemu-img qemu-nbd >/dev/null"))
		return true;
	puts("skip: qemu-utils is not installed");
	return false;
}

static void images_keep_bytes(void **state)
{
	static const char *const names[][2] = { { "a.qcow2", "qcow2" }, { "b.VHDX", "vhdx" } };
	struct folder *folder = *state;
	struct error err = { "" };
	uint8_t byte[512];
	struct iovec iov = { byte, sizeof(byte) };
	char command[128];

	if (!has_qemu())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *path = disk_named(folder, names[i][0]);
		struct block disk = { NULL }, other = { NULL };

		snprintf(command, sizeof(command), "qemu-img create -q -f %s %%s 8M", names[i][1]);
		run(command, path);
		assert_int_equal(block_open(&disk, path, false, &err), 0);
		assert_int_equal(disk.size_bytes, 8 * MIB);
		assert_int_equal(work_at_once(&disk, 1 * MIB), 0);
		assert_int_equal(block_open(&other, path, false, &err), -EBUSY);
		assert_non_null(strstr(err.text, "in use already"));
		assert_null(other.ops);
		memset(byte, 0x5a, sizeof(byte));
		assert_int_equal(disk.ops->write(disk.self, 7 * MIB, &iov, 1), 0);
		assert_int_equal(disk.ops->discard(disk.self, 0, 6 * MIB, true), 0);
		assert_int_equal(disk.ops->flush(disk.self), 0);
		block_close(&disk);
		run("qemu-img check -q %s", path);
		assert_int_equal(block_open(&disk, path, true, &err), 0);
		memset(byte, 0, sizeof(byte));
		assert_int_equal(disk.ops->read(disk.self, 7 * MIB, &iov, 1), 0);
		assert_int_equal(byte[511], 0x5a);
		assert_int_equal(disk.ops->read(disk.self, 1 * MIB, &iov, 1), 0);
		assert_int_equal(byte[0], 0);
		block_close(&disk);
	}
}

static void what_is_no_image_is_refused(void **state)
{
	struct folder *folder = *state;
	struct error err = { "" };
	struct block disk;

	if (!has_qemu())
		skip();
	assert_int_equal(block_open(&disk, disk_named(folder, "none.qcow2"), false, &err), -ENOENT);
	run("echo nothing >%s", disk_named(folder, "bad.qcow2"));
	assert_int_equal(block_open(&disk, folder->disk, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "bad.qcow2': Image is not in qcow2 format"));
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(block_open(&disk, folder->disk, false, &err), -ENOENT);
	setenv("PATH", "/usr/bin:/bin", 1);
	assert_non_null(strstr(err.text, "qemu-utils"));
}

/* One request of many segments, empty ones too, and of more than goes to the server at a time. */
static void vectors_keep_bytes(void **state)
{
	static uint8_t out[3 * MIB], in[3 * MIB];
	struct iovec write[] = { { out, 0 },
				 { out, 512 },
				 { out + 512, 0 },
				 { out + 512, 2 * MIB },
				 { out + 512 + 2 * MIB, 1 * MIB - 512 } };
	struct iovec read[] = { { in, 1 * MIB + 4096 }, { in + 1 * MIB + 4096, 2 * MIB - 4096 } };
	struct folder *folder = *state;
	struct error err = { "" };
	struct block disk;

	if (!has_qemu())
		skip();
	run("qemu-img create -q -f qcow2 %s 8M", disk_named(folder, "v.qcow2"));
	assert_int_equal(block_open(&disk, folder->disk, false, &err), 0);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 256 + i / 70000);
	assert_int_equal(disk.ops->write(disk.self, 1024, write, ARRAY_SIZE(write)), 0);
	assert_int_equal(disk.ops->read(disk.self, 1024, read, ARRAY_SIZE(read)), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(disk.ops->discard(disk.self, 1024, 512, true), 0);
	assert_int_equal(disk.ops->discard(disk.self, 7 * MIB, 1 * MIB, false), 0);
	assert_int_equal(disk.ops->read(disk.self, 1024, read, ARRAY_SIZE(read)), 0);
	assert_int_equal(in[0] | in[511], 0);
	assert_memory_equal(in + 512, out + 512, sizeof(in) - 512);
	/* What the server refuses is an error, and no more than that. */
	assert_int_equal(disk.ops->read(disk.self, 8 * MIB, write + 1, 1), -EINVAL);
	assert_int_equal(disk.ops->read(disk.self, 0, write + 1, 1), 0);
	block_close(&disk);
}

static void what_has_no_bytes_is_refused(void **state)
{
	struct folder *folder = *state;
	struct error err = { "" };
	struct block disk;

	if (!has_qemu())
		skip();
	run("touch %s", disk_named(folder, "nothing"));
	assert_int_equal(block_image_open(&disk, folder->disk, "raw", false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nothing': is empty"));
}

static void signal_servers(int number)
{
	char command[64];

	snprintf(command, sizeof(command), "pkill -%d -P %d qemu-nbd", number, getpid());
	assert_int_equal(system(command), 0);
}

static void expect_lost(const struct block *disk)
{
	uint8_t byte[512] = { 0 };
	struct iovec iov = { byte, sizeof(byte) };

	assert_int_equal(disk->ops->read(disk->self, 0, &iov, 1), -EIO);
	assert_int_equal(disk->ops->write(disk->self, 0, &iov, 1), -EIO);
	assert_int_equal(disk->ops->flush(disk->self), -EIO);
	assert_int_equal(disk->ops->discard(disk->self, 0, 512, true), -EIO);
	assert_int_equal(disk->ops->discard(disk->self, 0, 512, false), 0);
}

/* The servers are the only children. */
static void a_server_that_dies_fails_accesses(void **state)
{
	struct folder *folder = *state;
	struct error err = { "" };
	struct block disk;

	if (!has_qemu())
		skip();
	run("qemu-img create -q -f qcow2 %s 1M", disk_named(folder, "c.qcow2"));
	assert_int_equal(block_open(&disk, folder->disk, false, &err), 0);
	signal_servers(SIGKILL);
	expect_lost(&disk);
	block_close(&disk);
}

static void *kill_soon(void *unused)
{
	usleep(50000);
	signal_servers(SIGKILL);
	return unused;
}

static void it_dies_under_load(void **state)
{
	struct folder *folder = *state;
	struct error err = { "" };
	struct block disk;
	pthread_t killer;

	if (!has_qemu())
		skip();
	run("qemu-img create -q -f qcow2 %s 64M", disk_named(folder, "l.qcow2"));
	assert_int_equal(block_open(&disk, folder->disk, false, &err), 0);
	pthread_create(&killer, NULL, kill_soon, NULL);
	while (!work_at_once(&disk, 8 * MIB))
		continue;
	pthread_join(killer, NULL);
	expect_lost(&disk);
	block_close(&disk);
}

/* Requests wait for it, as long as the machine runs. */
static void a_server_that_hangs_is_left_at_the_end(void **state)
{
	struct folder *folder = *state;
	struct error err = { "" };
	struct block disk;

	if (!has_qemu())
		skip();
	run("qemu-img create -q -f qcow2 %s 1M", disk_named(folder, "h.qcow2"));
	assert_int_equal(block_open(&disk, folder->disk, false, &err), 0);
	signal_servers(SIGSTOP);
	block_hurry(&disk);
	assert_int_equal(work_at_once(&disk, 64 * KIB), THREADS);
	expect_lost(&disk);
	block_close(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(images_keep_bytes, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(what_is_no_image_is_refused, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(a_server_that_dies_fails_accesses, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(vectors_keep_bytes, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(what_has_no_bytes_is_refused, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(it_dies_under_load, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_server_that_hangs_is_left_at_the_end, make_folder,
						remove_folder),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
