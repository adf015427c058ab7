/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames through a switch: the input sets the policies of four ports and then is what their clients
 * send, as it comes from a socket. Nothing may be read outside a frame, and a frame must not go
 * where its policy does not let it.
 */
#include "switch/core.h"
#include "switch/stream.h"
#include "switch/tag.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORTS        4
#define PORT_HEAD    3 /* bytes of the input for a port's policy */
#define STEP_NS      50000000000ull
#define SOURCE       6
#define TRUNK_STRIDE 3 /* each third VLAN is in a trunk */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bench {
	struct switch_core *core;
	struct switch_port *port[PORTS];
	struct switch_port *from;
	uint64_t got; /* ports, a bit each */
	int vlan;     /* that the frame came in by */
};

static void fail(const char *what)
{
	fputs(what, stderr);
	abort();
}

/* What a trunk's other end makes of a frame: the VLAN that its tag says, the native one without. */
static void check_vlan(const struct bench *b, const struct switch_port *to, const void *data,
		       size_t bytes)
{
	struct frame frame;
	unsigned id = frame_parse(&frame, data, bytes) ? tag_vlan_id(&frame) : 0;

	if ((id ? id : to->policy.vlan.id) != (unsigned)b->vlan)
		fail("a frame that has changed its VLAN");
}

static bool deliver(void *self, struct switch_port *to, const struct iovec *parts, unsigned count,
		    size_t bytes)
{
	struct bench *b = self;
	bool is_mirror = to->policy.mirroring == SWITCH_MIRROR_DESTINATION;
	uint8_t frame[FRAME_BYTES_MAX];
	size_t have = 0;

	if (bytes < FRAME_HEADER_BYTES || bytes > FRAME_BYTES_MAX)
		fail("a frame of a length that none has");
	for (unsigned i = 0; i < count; i++) {
		memcpy(frame + have, parts[i].iov_base, parts[i].iov_len);
		have += parts[i].iov_len;
	}
	if (have != bytes)
		fail("parts that are not the whole");
	if (to == b->from || !to->is_connected || b->got & BIT(to->index))
		fail("a frame for who must not get it");
	b->got |= BIT(to->index);
	if (mac_is_multicast(frame + SOURCE) || mac_is_zero(frame + SOURCE))
		fail("a source that is none");
	if (!b->from->policy.spoofing && memcmp(frame + SOURCE, b->from->policy.mac, SOURCE) != 0)
		fail("a source that is not the port's");
	if (!is_mirror && !to->policy.spoofing && !mac_is_multicast(frame) &&
	    memcmp(frame, to->policy.mac, SOURCE) != 0)
		fail("a frame that is for another");
	if (!is_mirror && to->policy.vlan.mode == SWITCH_VLAN_TRUNK)
		check_vlan(b, to, frame, bytes);
	return frame[bytes - 1] != 0xee; /* sometimes there is no room */
}

static void set_policy(struct switch_policy *policy, unsigned index, const uint8_t *head)
{
	switch_policy_init(policy);
	memcpy(policy->mac,
	       (const uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)(head[0] & 0x80 ? 9 : index) },
	       sizeof(policy->mac));
	policy->spoofing = head[0] & 1;
	policy->dhcp_guard = head[0] & 2;
	policy->router_guard = head[0] & 4;
	policy->mirroring = (enum switch_mirroring)((head[0] >> 3 & 3) % 3);
	policy->vlan.mode = (enum switch_vlan_mode)((head[0] >> 5 & 3) % 3);
	if (policy->vlan.mode != SWITCH_VLAN_UNTAGGED)
		policy->vlan.id = head[1];
	for (unsigned id = 1; policy->vlan.mode == SWITCH_VLAN_TRUNK && id <= VLAN_MAX;
	     id += TRUNK_STRIDE)
		policy->vlan.allowed[id / 64] |= BIT(id % 64);
	policy->max_bits_per_second = (uint64_t)head[2] << head[2] % 40;
}

static void take(struct bench *b, struct stream *stream, uint64_t *now_ns)
{
	struct frame parsed;
	const uint8_t *frame;
	uint64_t wait_ns;
	size_t bytes;
	int ret;

	while ((ret = stream_next(stream, &frame, &bytes)) > 0) {
		uint8_t *copy = malloc(bytes + !bytes); /* its end is seen */

		memcpy(copy, frame, bytes);
		b->from = b->port[bytes ? frame[bytes - 1] % PORTS : 0];
		b->got = 0;
		b->vlan = frame_parse(&parsed, copy, bytes)
				  ? tag_vlan_of(&b->from->policy.vlan, &parsed)
				  : TAG_REFUSED;
		switch_port_allowance(b->from, *now_ns, &wait_ns);
		switch_input(b->from, copy, bytes, *now_ns);
		*now_ns += STEP_NS;
		free(copy);
	}
	if (ret < 0)
		switch_input(b->port[0], NULL, bytes, *now_ns);
}

static void run(struct bench *b, struct stream *stream, int fd, const uint8_t *data, size_t size)
{
	uint64_t now_ns = 0;

	while (size) {
		ssize_t n = send(fd, data, MIN(size, 4096), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0 || stream_read(stream, STREAM_IN_BYTES) <= 0)
			break;
		take(b, stream, &now_ns);
		data += n;
		size -= (size_t)n;
	}
}

/* One connection for all runs, empty at the start of each. */
static struct stream *get_stream(int *fd)
{
	static struct stream stream = { .fd = -1 };
	static int fds[2];

	if (stream.fd < 0 &&
	    (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) || stream_init(&stream, fds[0])))
		abort();
	do {
		stream.in_first = stream.in_end = 0;
	} while (stream_read(&stream, STREAM_IN_BYTES) > 0);
	*fd = fds[1];
	return &stream;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bench b = { .core = NULL };
	struct stream *stream;
	int fd;

	if (size < PORTS * PORT_HEAD || size > STREAM_IN_BYTES)
		return 0;
	b.core = switch_create(deliver, &b);
	if (!b.core)
		return 0;
	for (unsigned i = 0; i < PORTS; i++) {
		struct switch_policy policy;

		set_policy(&policy, i, data + i * PORT_HEAD);
		b.port[i] = switch_port_create(b.core, &policy, NULL);
		switch_port_connect(b.port[i], i != PORTS - 1 || data[0] & 1);
	}
	stream = get_stream(&fd);
	run(&b, stream, fd, data + PORTS * PORT_HEAD, size - PORTS * PORT_HEAD);
	switch_destroy(b.core);
	return 0;
}
