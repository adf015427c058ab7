/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk behind an NBD server. Callers send their requests, one whole request at a time, and then
 * wait; one of those who wait reads answers for all of them, until it has its own. So there is no
 * thread, and whoever has a request under way is also somebody who reads: a server that waits
 * until its answers are taken is never waited for.
 *
 * Only who reads may fail the requests of others (nobody else knows whose memory it is writing to
 * at the moment). Who cannot send ends the connection, which the reader then finds.
 */
#include "block/block.h"

#include "block/vector.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_MAGIC 0x4e42444d41474943ull /* NBDMAGIC */
#define OPTION_MAGIC   0x49484156454f5054ull /* IHAVEOPT */
#define ANSWER_MAGIC   0x0003e889045565a9ull
#define REQUEST_MAGIC  0x25609513u
#define REPLY_MAGIC    0x67446698u

#define GREETING_FIXED     1u
#define GREETING_NO_ZEROES 2u

#define OPTION_GO       7
#define ANSWER_ACK      1u
#define ANSWER_INFO     3u
#define ANSWER_ERROR    0x80000000u
#define INFO_EXPORT     0
#define INFO_BLOCK_SIZE 3

#define FLAG_READ_ONLY    BIT(1)
#define FLAG_FLUSH        BIT(2)
#define FLAG_TRIM         BIT(5)
#define FLAG_WRITE_ZEROES BIT(6)

enum command { READ = 0, WRITE = 1, DISCONNECT = 2, FLUSH = 3, TRIM = 4, WRITE_ZEROES = 6 };

#define ANSWERS_MAX      32
#define ANSWER_MAX_BYTES 4096 /* of one answer to an option */
#define HELLO_S          60   /* until the server has opened the image and greets */

#define PAYLOAD_MAX_BYTES (32 * MIB) /* what every server must take */
#define RANGE_MAX_BYTES   (1 * GIB)  /* of TRIM and WRITE_ZEROES */
#define IOV_AT_ONCE       64         /* segments in a request */

struct greeting {
	uint64_t magic, option_magic;
	uint16_t flags;
} __attribute__((packed));

struct option {
	uint64_t magic;
	uint32_t option, bytes;
	uint32_t name_bytes; /* of NBD_OPT_GO: no name, one wish */
	uint16_t infos, info;
} __attribute__((packed));

struct answer {
	uint64_t magic;
	uint32_t option, type, bytes;
} __attribute__((packed));

struct request_header {
	uint32_t magic;
	uint16_t flags, command;
	uint64_t cookie, offset;
	uint32_t bytes;
} __attribute__((packed));

struct reply_header {
	uint32_t magic, error;
	uint64_t cookie;
} __attribute__((packed));

_Static_assert(sizeof(struct greeting) == 18 && sizeof(struct option) == 24 &&
		       sizeof(struct answer) == 20 && sizeof(struct request_header) == 28 &&
		       sizeof(struct reply_header) == 16,
	       "as the protocol lays them out");

/* One under way, on the stack of its caller. */
struct request {
	struct request *next;
	uint64_t cookie;
	const struct iovec *into; /* what READ fills */
	unsigned count;
	bool done;
	int ret;
};

struct nbd {
	int fd;
	char *path;
	uint16_t flags;
	pthread_mutex_t send_lock; /* one request after the other */
	pthread_mutex_t lock;      /* of what follows */
	pthread_cond_t changed;
	struct request *waiting;
	uint64_t last_cookie;
	bool has_reader;
	bool broken;
};

/* --- bytes --- */

/* All of them: 0, -EPIPE at the end of the stream, or -errno. Changes the vector. */
static int transfer(int fd, struct iovec *iov, unsigned count, bool is_write)
{
	unsigned first = 0;

	vector_advance(iov, &first, count, 0);
	while (first < count) {
		struct msghdr message = { .msg_iov = iov + first, .msg_iovlen = count - first };
		ssize_t n =
			is_write ? sendmsg(fd, &message, MSG_NOSIGNAL) : recvmsg(fd, &message, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EPIPE;
		vector_advance(iov, &first, count, (uint64_t)n);
	}
	return 0;
}

static int transfer_bytes(int fd, void *bytes, size_t len, bool is_write)
{
	struct iovec iov = { bytes, len };

	return transfer(fd, &iov, 1, is_write);
}

/* --- negotiation --- */

struct export
{
	uint64_t size_bytes;
	uint16_t flags;
	uint32_t block_bytes; /* the least that the server takes */
	bool is_known;
};

static int nonsense(const char *what, struct error *err)
{
	return error_set(err, -EPROTO, "its NBD server answers nonsense: %s", what);
}

static int lost(int ret, struct error *err)
{
	if (ret == -EAGAIN)
		return error_set(err, -ETIMEDOUT, "its NBD server did not answer for %d s",
				 HELLO_S);
	if (ret == -EPIPE || ret == -ECONNRESET)
		return error_set(err, -EPIPE, "its NBD server went away");
	return error_set(err, ret, "its NBD server: %s", strerror(-ret));
}

static int greet(int fd, struct error *err)
{
	struct greeting greeting;
	struct option go = { htobe64(OPTION_MAGIC),   htobe32(OPTION_GO), htobe32(8), 0, htobe16(1),
			     htobe16(INFO_BLOCK_SIZE) };
	uint32_t flags = htobe32(GREETING_FIXED | GREETING_NO_ZEROES);
	int ret = transfer_bytes(fd, &greeting, sizeof(greeting), false);

	if (ret)
		return lost(ret, err);
	if (be64toh(greeting.magic) != GREETING_MAGIC ||
	    be64toh(greeting.option_magic) != OPTION_MAGIC ||
	    !(be16toh(greeting.flags) & GREETING_FIXED))
		return nonsense("no fixed newstyle greeting", err);
	ret = transfer_bytes(fd, &flags, sizeof(flags), true);
	if (!ret)
		ret = transfer_bytes(fd, &go, sizeof(go), true);
	return ret ? lost(ret, err) : 0;
}

/* data has ANSWER_MAX_BYTES, the first `bytes` of which are the server's. */
static int take_info(const uint8_t *data, uint32_t bytes, struct export *export, struct error *err)
{
	uint64_t size;
	uint32_t word;
	uint16_t type, flags;

	memcpy(&type, data, sizeof(type));
	type = be16toh(type);
	if (bytes < sizeof(type) || (type == INFO_EXPORT && bytes != 12) ||
	    (type == INFO_BLOCK_SIZE && bytes != 14))
		return nonsense("an information of the wrong size", err);
	if (type == INFO_EXPORT) {
		memcpy(&size, data + 2, sizeof(size));
		memcpy(&flags, data + 10, sizeof(flags));
		export->size_bytes = be64toh(size);
		export->flags = be16toh(flags);
		export->is_known = true;
	} else if (type == INFO_BLOCK_SIZE) {
		memcpy(&word, data + 2, sizeof(word));
		export->block_bytes = be32toh(word);
	}
	return 0;
}

/* One answer to NBD_OPT_GO: 1 for the last, 0 for one before it. */
static int take_answer(int fd, struct export *export, struct error *err)
{
	uint8_t data[ANSWER_MAX_BYTES] = { 0 };
	struct answer answer;
	uint32_t type, bytes;
	int ret = transfer_bytes(fd, &answer, sizeof(answer), false);

	if (ret)
		return lost(ret, err);
	type = be32toh(answer.type);
	bytes = be32toh(answer.bytes);
	if (be64toh(answer.magic) != ANSWER_MAGIC || be32toh(answer.option) != OPTION_GO ||
	    bytes > sizeof(data))
		return nonsense("no answer to NBD_OPT_GO", err);
	ret = transfer_bytes(fd, data, bytes, false);
	if (ret)
		return lost(ret, err);
	if (type & ANSWER_ERROR)
		return error_set(err, -EREMOTEIO, "its NBD server refuses: %.*s",
				 (int)MIN(bytes, 200u), data);
	if (type == ANSWER_INFO)
		return take_info(data, bytes, export, err);
	if (type != ANSWER_ACK || !export->is_known)
		return nonsense("NBD_OPT_GO ends without an export", err);
	return 1;
}

static int check_export(const struct export *export, bool readonly, struct error *err)
{
	if (!export->size_bytes)
		return error_set(err, -EINVAL, "is empty");
	if (export->size_bytes % BLOCK_SECTOR_BYTES || export->size_bytes > INT64_MAX)
		return error_set(err, -EINVAL, "its size, %llu bytes, is not a multiple of %u",
				 (unsigned long long)export->size_bytes, BLOCK_SECTOR_BYTES);
	if (export->block_bytes > BLOCK_SECTOR_BYTES)
		return error_set(err, -ENOTSUP, "has sectors of %u bytes, not %u",
				 export->block_bytes, BLOCK_SECTOR_BYTES);
	if (!readonly && export->flags & FLAG_READ_ONLY)
		return error_set(err, -EROFS, "can only be read");
	return 0;
}

static int negotiate(int fd, bool readonly, struct export *export, struct error *err)
{
	const struct timeval limit = { HELLO_S, 0 }, none = { 0, 0 };
	int ret;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	ret = greet(fd, err);
	for (int i = 0; !ret && i < ANSWERS_MAX; i++)
		ret = take_answer(fd, export, err);
	if (!ret)
		ret = nonsense("NBD_OPT_GO does not end", err);
	if (ret < 0)
		return ret;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	return check_export(export, readonly, err);
}

/* --- answers --- */

/* Takes the request with that cookie off the list. */
static struct request *take(struct nbd *nbd, uint64_t cookie)
{
	struct request **p = &nbd->waiting, *request;

	while (*p && (*p)->cookie != cookie)
		p = &(*p)->next;
	request = *p;
	if (request)
		*p = request->next;
	return request;
}

/* The protocol's error numbers are Linux's, those that it has. */
static int error_of(uint32_t error)
{
	static const int known[] = { EPERM, EIO, ENOMEM, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if ((uint32_t)known[i] == error)
			return -known[i];
	}
	return -EIO;
}

static int fill(int fd, const struct request *request)
{
	struct iovec iov[IOV_AT_ONCE];

	memcpy(iov, request->into, request->count * sizeof(*iov));
	return transfer(fd, iov, request->count, false);
}

/*
 * One answer and what comes with it. The request is off the list meanwhile, but not done: its
 * caller waits. -errno where the connection can be used no more.
 */
static int read_answer(struct nbd *nbd)
{
	struct reply_header reply;
	struct request *request;
	int ret = transfer_bytes(nbd->fd, &reply, sizeof(reply), false), result;

	if (ret)
		return ret;
	pthread_mutex_lock(&nbd->lock);
	request = be32toh(reply.magic) == REPLY_MAGIC ? take(nbd, be64toh(reply.cookie)) : NULL;
	pthread_mutex_unlock(&nbd->lock);
	if (!request)
		return -EPROTO;
	result = reply.error ? error_of(be32toh(reply.error)) : 0;
	if (!result && request->count)
		ret = fill(nbd->fd, request);
	pthread_mutex_lock(&nbd->lock);
	request->ret = ret ? -EIO : result;
	request->done = true;
	pthread_mutex_unlock(&nbd->lock);
	return ret;
}

/* The end, for all requests of now and later. By the reader, with the lock held. */
static void give_up(struct nbd *nbd, int why)
{
	if (!nbd->broken)
		fprintf(stderr, "nidus: disk '%s': its NBD server %s; every access fails now\n",
			nbd->path, why == -EPROTO ? "answers nonsense" : "went away");
	nbd->broken = true;
	shutdown(nbd->fd, SHUT_RDWR);
	while (nbd->waiting) {
		struct request *request = nbd->waiting;

		nbd->waiting = request->next;
		request->ret = -EIO;
		request->done = true;
	}
}

/* Reads answers until there is the one to this request. With the lock held; releases it. */
static void read_for_all(struct nbd *nbd, const struct request *own)
{
	nbd->has_reader = true;
	while (!own->done) {
		int ret;

		pthread_mutex_unlock(&nbd->lock);
		ret = read_answer(nbd);
		pthread_mutex_lock(&nbd->lock);
		if (ret)
			give_up(nbd, ret);
		pthread_cond_broadcast(&nbd->changed);
	}
	nbd->has_reader = false;
	pthread_cond_broadcast(&nbd->changed);
}

/* --- requests --- */

static int send_request(struct nbd *nbd, struct request_header *header, const struct iovec *payload,
			unsigned count)
{
	struct iovec iov[1 + IOV_AT_ONCE] = { { header, sizeof(*header) } };
	int ret;

	if (count)
		memcpy(iov + 1, payload, count * sizeof(*iov));
	pthread_mutex_lock(&nbd->send_lock);
	ret = transfer(nbd->fd, iov, 1 + count, true);
	if (ret)
		shutdown(nbd->fd, SHUT_RDWR);
	pthread_mutex_unlock(&nbd->send_lock);
	return ret;
}

/* One request with at most IOV_AT_ONCE segments, and its answer. */
static int exchange(struct nbd *nbd, enum command command, uint64_t offset, uint64_t bytes,
		    const struct iovec *iov, unsigned count)
{
	struct request request = { .into = iov, .count = command == READ ? count : 0 };
	struct request_header header = {
		.magic = htobe32(REQUEST_MAGIC),
		.command = htobe16(command),
		.offset = htobe64(offset),
		.bytes = htobe32((uint32_t)bytes),
	};

	pthread_mutex_lock(&nbd->lock);
	if (nbd->broken) {
		pthread_mutex_unlock(&nbd->lock);
		return -EIO;
	}
	request.cookie = ++nbd->last_cookie;
	request.next = nbd->waiting;
	nbd->waiting = &request;
	pthread_mutex_unlock(&nbd->lock);

	header.cookie = htobe64(request.cookie);
	send_request(nbd, &header, iov, command == WRITE ? count : 0);
	pthread_mutex_lock(&nbd->lock);
	while (!request.done) {
		if (nbd->has_reader)
			pthread_cond_wait(&nbd->changed, &nbd->lock);
		else
			read_for_all(nbd, &request);
	}
	pthread_mutex_unlock(&nbd->lock);
	return request.ret;
}

/* The next segments of a vector, as many as fit into one request. */
static unsigned slice(struct iovec *part, const struct iovec *iov, unsigned *first, unsigned count,
		      size_t *skip, uint64_t *bytes)
{
	unsigned n = 0;

	*bytes = 0;
	while (*first < count && n < IOV_AT_ONCE && *bytes < PAYLOAD_MAX_BYTES) {
		size_t left = iov[*first].iov_len - *skip;
		size_t len = MIN(left, PAYLOAD_MAX_BYTES - *bytes);

		part[n++] = (struct iovec){ (uint8_t *)iov[*first].iov_base + *skip, len };
		*bytes += len;
		*skip = len < left ? *skip + len : 0;
		*first += len == left;
	}
	return n;
}

static int move(struct nbd *nbd, enum command command, uint64_t offset, const struct iovec *iov,
		unsigned count)
{
	struct iovec part[IOV_AT_ONCE];
	unsigned first = 0;
	size_t skip = 0;
	int ret = 0;

	while (first < count && !ret) {
		uint64_t bytes;
		unsigned n = slice(part, iov, &first, count, &skip, &bytes);

		if (bytes)
			ret = exchange(nbd, command, offset, bytes, part, n);
		offset += bytes;
	}
	return ret;
}

static int nbd_read(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	return move(self, READ, offset, iov, count);
}

static int nbd_write(void *self, uint64_t offset, const struct iovec *iov, unsigned count)
{
	return move(self, WRITE, offset, iov, count);
}

static int nbd_flush(void *self)
{
	struct nbd *nbd = self;

	return nbd->flags & FLAG_FLUSH ? exchange(nbd, FLUSH, 0, 0, NULL, 0) : 0;
}

static int nbd_discard(void *self, uint64_t offset, uint64_t bytes, bool zero)
{
	struct nbd *nbd = self;
	int ret = 0;

	if (zero && !(nbd->flags & FLAG_WRITE_ZEROES))
		return vector_write_zeros(nbd_write, nbd, offset, bytes);
	if (!zero && !(nbd->flags & FLAG_TRIM))
		return 0;
	while (bytes && !ret) {
		uint64_t part = MIN(bytes, RANGE_MAX_BYTES);

		ret = exchange(nbd, zero ? WRITE_ZEROES : TRIM, offset, part, NULL, 0);
		offset += part;
		bytes -= part;
	}
	return zero ? ret : 0; /* without `zero` it is advice */
}

/* --- its life --- */

static void nbd_close(void *self)
{
	struct nbd *nbd = self;
	struct request_header bye = { .magic = htobe32(REQUEST_MAGIC),
				      .command = htobe16(DISCONNECT) };

	if (!nbd->broken)
		send_request(nbd, &bye, NULL, 0);
	close(nbd->fd);
	pthread_mutex_destroy(&nbd->send_lock);
	pthread_mutex_destroy(&nbd->lock);
	pthread_cond_destroy(&nbd->changed);
	free(nbd->path);
	free(nbd);
}

static const struct block_ops nbd_ops = {
	.read = nbd_read,
	.write = nbd_write,
	.flush = nbd_flush,
	.discard = nbd_discard,
	.close = nbd_close,
};

static struct nbd *create(int fd, const char *path, uint16_t flags)
{
	struct nbd *nbd = calloc(1, sizeof(*nbd));
	char *name = strdup(path);

	if (!nbd || !name) {
		free(nbd);
		free(name);
		return NULL;
	}
	nbd->fd = fd;
	nbd->path = name;
	nbd->flags = flags;
	pthread_mutex_init(&nbd->send_lock, NULL);
	pthread_mutex_init(&nbd->lock, NULL);
	pthread_cond_init(&nbd->changed, NULL);
	return nbd;
}

int block_nbd_open(struct block *out, int fd, const char *path, bool readonly, struct error *err)
{
	struct export export = { .block_bytes = 1 };
	struct error reason = { "" };
	int ret = negotiate(fd, readonly, &export, &reason);
	struct nbd *nbd = ret ? NULL : create(fd, path, export.flags);

	if (!ret && !nbd)
		ret = error_set(&reason, -ENOMEM, "out of memory");
	if (ret) {
		close(fd);
		return error_set(err, ret, "disk '%s': %s", path, reason.text);
	}
	*out = (struct block){ &nbd_ops, nbd, export.size_bytes, readonly };
	return 0;
}
