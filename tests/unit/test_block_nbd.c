/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks behind NBD servers: a server of ours that keeps the protocol or breaks it at one point, and
 * qemu-nbd with images of its own making.
 */
#include "block/block.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define DISK_BYTES (1 * MIB)
#define THREADS    4
#define ROUNDS     200

/* What the fake server does wrong. */
enum fault {
	NONE,
	SILENT_END,
	BAD_GREETING,
	OLD_STYLE,
	BAD_ANSWER_MAGIC,
	ANSWER_TOO_LONG,
	SHORT_INFO,
	NO_EXPORT,
	REFUSES,
	ENDLESS_INFO,
	NO_SIZE,
	ODD_SIZE,
	HUGE_SIZE,
	BIG_SECTORS,
	READ_ONLY,
	BAD_REPLY_MAGIC,
	BAD_COOKIE,
	REPLY_TWICE,
	SHORT_PAYLOAD,
	END_IN_REPLY,
	ERROR_REPLY,
};

struct fake {
	enum fault fault;
	int fd, client;
	pthread_t thread;
	struct block disk;
	struct error err;
	uint8_t bytes[DISK_BYTES];
};

static bool get(int fd, void *bytes, size_t len)
{
	return recv(fd, bytes, len, MSG_WAITALL) == (ssize_t)len;
}

static void put(int fd, uint64_t value, unsigned bytes)
{
	uint64_t big = htobe64(value << (64 - 8 * bytes));

	(void)!send(fd, &big, bytes, MSG_NOSIGNAL);
}

static void answer(struct fake *f, unsigned type, unsigned bytes)
{
	put(f->fd, f->fault == BAD_ANSWER_MAGIC ? 1 : 0x3e889045565a9, 8);
	put(f->fd, 7, 4);
	put(f->fd, type, 4);
	put(f->fd, bytes, 4);
}

static uint64_t export_size(const struct fake *f)
{
	switch (f->fault) {
	case NO_SIZE:
		return 0;
	case ODD_SIZE:
		return 1000;
	case HUGE_SIZE:
		return UINT64_MAX - 511;
	default:
		return DISK_BYTES;
	}
}

static void answer_go(struct fake *f)
{
	if (f->fault == REFUSES) {
		answer(f, 0x80000006, 7);
		(void)!send(f->fd, "no such", 7, MSG_NOSIGNAL);
		return;
	}
	answer(f, 3, f->fault == ANSWER_TOO_LONG ? 1u << 30 : 14);
	put(f->fd, 3, 2); /* block sizes */
	put(f->fd, f->fault == BIG_SECTORS ? 4096 : 1, 4);
	put(f->fd, 4096, 4);
	put(f->fd, 1u << 25, 4);
	for (int i = 0; f->fault == ENDLESS_INFO && i < 10000; i++) {
		answer(f, 3, 2);
		put(f->fd, 9, 2);
	}
	if (f->fault == SHORT_INFO) {
		answer(f, 3, 4);
		put(f->fd, 0, 4);
	} else if (f->fault != NO_EXPORT) {
		answer(f, 3, 12);
		put(f->fd, 0, 2);
		put(f->fd, export_size(f), 8);
		put(f->fd, 1 | 4 | 32 | 64 | (f->fault == READ_ONLY ? 2 : 0), 2);
	}
	answer(f, 1, 0);
}

struct wire {
	uint32_t magic;
	uint16_t flags, command;
	uint64_t cookie, offset;
	uint32_t bytes;
} __attribute__((packed));

static void reply(struct fake *f, uint64_t cookie, unsigned error)
{
	put(f->fd, f->fault == BAD_REPLY_MAGIC ? 7 : 0x67446698, 4);
	put(f->fd, error, 4);
	cookie = f->fault == BAD_COOKIE ? ~cookie : cookie;
	(void)!send(f->fd, &cookie, f->fault == END_IN_REPLY ? 3 : 8, MSG_NOSIGNAL);
	if (f->fault == END_IN_REPLY)
		shutdown(f->fd, SHUT_RDWR);
}

static bool serve(struct fake *f)
{
	struct wire wire;
	uint64_t offset;
	uint32_t bytes;

	if (!get(f->fd, &wire, sizeof(wire)) || be32toh(wire.magic) != 0x25609513)
		return false;
	offset = be64toh(wire.offset);
	bytes = be32toh(wire.bytes);
	if (be16toh(wire.command) == 2 || offset + bytes > DISK_BYTES)
		return false;
	if (be16toh(wire.command) == 1 && !get(f->fd, f->bytes + offset, bytes))
		return false;
	if (be16toh(wire.command) == 6)
		memset(f->bytes + offset, 0, bytes);
	reply(f, wire.cookie, f->fault == ERROR_REPLY ? ENOSPC : 0);
	if (be16toh(wire.command) == 0 && f->fault != ERROR_REPLY)
		(void)!send(f->fd, f->bytes + offset, f->fault == SHORT_PAYLOAD ? bytes / 2 : bytes,
			    MSG_NOSIGNAL);
	if (f->fault == SHORT_PAYLOAD)
		return false;
	if (f->fault == REPLY_TWICE)
		reply(f, wire.cookie, 0);
	return true;
}

static void *play(void *opaque)
{
	struct fake *f = opaque;
	uint8_t flags[4], go[24];

	if (f->fault != SILENT_END) {
		put(f->fd, f->fault == BAD_GREETING ? 1 : 0x4e42444d41474943, 8);
		put(f->fd, f->fault == OLD_STYLE ? 0x00420281861253 : 0x49484156454f5054, 8);
		put(f->fd, 3, 2);
		if (get(f->fd, flags, sizeof(flags)) && get(f->fd, go, sizeof(go))) {
			answer_go(f);
			while (serve(f))
				continue;
		}
	}
	shutdown(f->fd, SHUT_RDWR);
	return NULL;
}

static int open_fake(struct fake *f, enum fault fault)
{
	int fds[2];

	*f = (struct fake){ .fault = fault };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	f->fd = fds[0];
	pthread_create(&f->thread, NULL, play, f);
	return block_nbd_open(&f->disk, fds[1], "x", false, &f->err);
}

static void close_fake(struct fake *f)
{
	block_close(&f->disk);
	pthread_join(f->thread, NULL);
	close(f->fd);
	free(f);
}

static struct fake *make(void)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	return f;
}

static void keeps_bytes(void **state)
{
	struct fake *f = make();
	static uint8_t out[8192], in[8192];
	struct iovec write[] = { { out, 512 }, { out + 512, 0 }, { out + 512, 7680 } };
	struct iovec read[] = { { in, 4096 }, { in + 4096, 4096 } };

	(void)state;
	assert_int_equal(open_fake(f, NONE), 0);
	assert_int_equal(f->disk.size_bytes, DISK_BYTES);
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(f->disk.ops->write(f->disk.self, 1024, write, 3), 0);
	assert_int_equal(f->disk.ops->read(f->disk.self, 1024, read, 2), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(f->disk.ops->flush(f->disk.self), 0);
	assert_int_equal(f->disk.ops->discard(f->disk.self, 1024, 512, true), 0);
	assert_int_equal(f->bytes[1024], 0);
	assert_int_equal(f->bytes[1024 + 513], out[513]);
	close_fake(f);
}

static void errors_of_the_server_are_errors(void **state)
{
	struct fake *f = make();
	uint8_t byte[512];
	struct iovec iov = { byte, sizeof(byte) };

	(void)state;
	assert_int_equal(open_fake(f, ERROR_REPLY), 0);
	assert_int_equal(f->disk.ops->write(f->disk.self, 0, &iov, 1), -ENOSPC);
	assert_int_equal(f->disk.ops->read(f->disk.self, 0, &iov, 1), -ENOSPC);
	assert_int_equal(f->disk.ops->discard(f->disk.self, 0, 512, false), 0);
	close_fake(f);
}

static void bad_negotiation_is_refused(void **state)
{
	static const struct {
		enum fault fault;
		int ret;
		const char *word;
	} cases[] = {
		{ SILENT_END, -EPIPE, "went away" },
		{ BAD_GREETING, -EPROTO, "greeting" },
		{ OLD_STYLE, -EPROTO, "greeting" },
		{ BAD_ANSWER_MAGIC, -EPROTO, "no answer" },
		{ ANSWER_TOO_LONG, -EPROTO, "no answer" },
		{ SHORT_INFO, -EPROTO, "wrong size" },
		{ NO_EXPORT, -EPROTO, "without an export" },
		{ ENDLESS_INFO, -EPROTO, "does not end" },
		{ REFUSES, -EREMOTEIO, "no such" },
		{ NO_SIZE, -EINVAL, "empty" },
		{ ODD_SIZE, -EINVAL, "multiple" },
		{ HUGE_SIZE, -EINVAL, "multiple" },
		{ BIG_SECTORS, -ENOTSUP, "4096" },
		{ READ_ONLY, -EROFS, "only be read" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fake *f = make();

		assert_int_equal(open_fake(f, cases[i].fault), cases[i].ret);
		assert_non_null(strstr(f->err.text, cases[i].word));
		assert_non_null(strstr(f->err.text, "disk 'x': "));
		close_fake(f);
	}
}

static void bad_answers_end_it(void **state)
{
	static const enum fault faults[] = { BAD_REPLY_MAGIC, BAD_COOKIE, REPLY_TWICE,
					     SHORT_PAYLOAD, END_IN_REPLY };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct fake *f = make();
		uint8_t byte[512];
		struct iovec iov = { byte, sizeof(byte) };
		int ret = 0;

		assert_int_equal(open_fake(f, faults[i]), 0);
		for (int k = 0; k < 3 && !ret; k++)
			ret = f->disk.ops->read(f->disk.self, 0, &iov, 1);
		assert_int_equal(ret, -EIO);
		assert_int_equal(f->disk.ops->write(f->disk.self, 0, &iov, 1), -EIO);
		assert_int_equal(f->disk.ops->flush(f->disk.self), -EIO);
		close_fake(f);
	}
}

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

static void many_at_once(void **state)
{
	struct fake *f = make();

	(void)state;
	assert_int_equal(open_fake(f, NONE), 0);
	assert_int_equal(work_at_once(&f->disk, DISK_BYTES / THREADS), 0);
	close_fake(f);
}

/* --- qemu-nbd --- */

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
		struct block disk = { NULL }, other;

		snprintf(command, sizeof(command), "qemu-img create -q -f %s %%s 8M", names[i][1]);
		run(command, path);
		assert_int_equal(block_open(&disk, path, false, &err), 0);
		assert_int_equal(disk.size_bytes, 8 * MIB);
		assert_int_equal(work_at_once(&disk, 1 * MIB), 0);
		assert_int_equal(block_open(&other, path, false, &err), -EBUSY);
		assert_non_null(strstr(err.text, "in use already"));
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

/* The server is the only child. */
static void a_server_that_dies_fails_accesses(void **state)
{
	struct folder *folder = *state;
	struct error err = { "" };
	struct block disk;
	uint8_t byte[512];
	struct iovec iov = { byte, sizeof(byte) };
	char command[64];

	if (!has_qemu())
		skip();
	run("qemu-img create -q -f qcow2 %s 1M", disk_named(folder, "c.qcow2"));
	assert_int_equal(block_open(&disk, folder->disk, false, &err), 0);
	snprintf(command, sizeof(command), "pkill -KILL -P %d qemu-nbd", getpid());
	assert_int_equal(system(command), 0);
	assert_int_equal(disk.ops->read(disk.self, 0, &iov, 1), -EIO);
	assert_int_equal(disk.ops->write(disk.self, 0, &iov, 1), -EIO);
	block_close(&disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_bytes),
		cmocka_unit_test(errors_of_the_server_are_errors),
		cmocka_unit_test(bad_negotiation_is_refused),
		cmocka_unit_test(bad_answers_end_it),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test_setup_teardown(images_keep_bytes, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(what_is_no_image_is_refused, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(a_server_that_dies_fails_accesses, make_folder,
						remove_folder),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
