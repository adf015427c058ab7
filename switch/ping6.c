/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Echo requests of IPv6: see switch/ping6.h. */
#include "switch/ping6.h"

#include "switch/packet.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX 1500 /* of a packet: larger answers would not fit the guest's wire */
#define ECHO_ID          4
#define HOPS             64
#define FRAME_IP         FRAME_HEADER_BYTES
#define FRAME_ICMP       (FRAME_IP + IPV6_BYTES)

/* One guest's pings to one address. */
struct echo {
	uv_poll_t poll;
	struct ping6 *ping;
	struct echo *next; /* the one that was used before it */
	int fd;
	bool is_raw;
	uint8_t source[16], destination[16], id[2];
	uint8_t guest_mac[FRAME_MAC_BYTES], host_mac[FRAME_MAC_BYTES];
};

struct ping6 {
	uv_loop_t *loop;
	ping6_output_fn *output;
	void *receiver;
	struct echo *echoes; /* the last used one first */
	unsigned count;
};

/* --- sockets --- */

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

/* `at` is where the list points to it. */
static void close_echo(struct echo **at)
{
	struct echo *echo = *at;

	*at = echo->next;
	echo->ping->count--;
	uv_poll_stop(&echo->poll);
	close(echo->fd);
	uv_close((uv_handle_t *)&echo->poll, on_closed);
}

/*
 * Connected: no other address's answers come. The kernel makes identifiers of its own and sorts
 * answers by them where it is no raw socket, which gets those of everybody's pings.
 */
static int open_socket(const uint8_t destination[16], bool *is_raw)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	struct icmp6_filter filter;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);

	*is_raw = fd < 0;
	if (*is_raw) {
		fd = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6);
		if (fd < 0)
			return -1;
		ICMP6_FILTER_SETBLOCKALL(&filter);
		ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
		setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter));
	}
	memcpy(&to.sin6_addr, destination, sizeof(to.sin6_addr));
	if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return fd;
	close(fd);
	return -1;
}

/* --- answers --- */

static void answer(struct echo *echo, uint8_t *frame, size_t icmp_bytes)
{
	uint8_t *ip = frame + FRAME_IP, *icmp = frame + FRAME_ICMP;

	memcpy(frame, echo->guest_mac, FRAME_MAC_BYTES);
	memcpy(frame + FRAME_MAC_BYTES, echo->host_mac, FRAME_MAC_BYTES);
	store_be16(frame + 2 * FRAME_MAC_BYTES, ETHERTYPE_IPV6);
	memset(ip, 0, IPV6_BYTES);
	ip[0] = 6 << 4;
	store_be16(ip + IPV6_PAYLOAD, (unsigned)icmp_bytes);
	ip[IPV6_NEXT] = PROTOCOL_ICMPV6;
	ip[IPV6_HOPS] = HOPS;
	memcpy(ip + IPV6_SOURCE, echo->destination, sizeof(echo->destination));
	memcpy(ip + IPV6_DESTINATION, echo->source, sizeof(echo->source));
	memcpy(icmp + ECHO_ID, echo->id, sizeof(echo->id));
	checksum_icmpv6(ip, icmp_bytes);
	echo->ping->output(echo->ping->receiver, frame, FRAME_ICMP + icmp_bytes);
}

static bool is_answer(const struct echo *echo, const uint8_t *icmp)
{
	return *icmp == ICMP6_ECHO_REPLY &&
	       (!echo->is_raw || !memcmp(icmp + ECHO_ID, echo->id, sizeof(echo->id)));
}

/* An error of the network's is read instead of an answer; but libuv has stopped listening. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct echo *echo = poll->data;
	uint8_t frame[FRAME_HEADER_BYTES + ANSWER_BYTES_MAX];
	ssize_t got;

	(void)events;
	got = recv(echo->fd, frame + FRAME_ICMP, sizeof(frame) - FRAME_ICMP, MSG_TRUNC);
	if (status)
		uv_poll_start(poll, UV_READABLE, on_readable);
	if (got >= ICMPV6_BYTES && (size_t)got <= sizeof(frame) - FRAME_ICMP &&
	    is_answer(echo, frame + FRAME_ICMP))
		answer(echo, frame, (size_t)got);
}

/* --- requests --- */

/* Where the list points to the one for this guest, address and identifier; NULL: there is none. */
static struct echo **find_echo(struct ping6 *ping, const uint8_t *ip)
{
	for (struct echo **at = &ping->echoes; *at; at = &(*at)->next) {
		if (!memcmp((*at)->source, ip + IPV6_SOURCE, 16) &&
		    !memcmp((*at)->destination, ip + IPV6_DESTINATION, 16) &&
		    !memcmp((*at)->id, ip + IPV6_BYTES + ECHO_ID, 2))
			return at;
	}
	return NULL;
}

static void make_room(struct ping6 *ping)
{
	struct echo **at = &ping->echoes;

	if (ping->count < PING6_SOCKETS_MAX)
		return;
	while ((*at)->next)
		at = &(*at)->next;
	close_echo(at);
}

static struct echo *new_echo(struct ping6 *ping, const uint8_t *ip)
{
	struct echo *echo;
	bool is_raw;
	int fd;

	make_room(ping);
	fd = open_socket(ip + IPV6_DESTINATION, &is_raw);
	if (fd < 0)
		return NULL;
	echo = calloc(1, sizeof(*echo));
	if (!echo || uv_poll_init(ping->loop, &echo->poll, fd)) {
		free(echo);
		close(fd);
		return NULL;
	}
	echo->poll.data = echo;
	echo->ping = ping;
	echo->fd = fd;
	echo->is_raw = is_raw;
	memcpy(echo->source, ip + IPV6_SOURCE, sizeof(echo->source));
	memcpy(echo->destination, ip + IPV6_DESTINATION, sizeof(echo->destination));
	memcpy(echo->id, ip + IPV6_BYTES + ECHO_ID, sizeof(echo->id));
	uv_poll_start(&echo->poll, UV_READABLE, on_readable);
	ping->count++;
	return echo;
}

/* The socket for the request, at the head of the list; NULL: none is to be had. */
static struct echo *need_echo(struct ping6 *ping, const uint8_t *ip)
{
	struct echo **at = find_echo(ping, ip), *echo;

	if (at) {
		echo = *at;
		*at = echo->next;
	} else {
		echo = new_echo(ping, ip);
	}
	if (!echo)
		return NULL;
	echo->next = ping->echoes;
	ping->echoes = echo;
	return echo;
}

void ping6_send(struct ping6 *ping, const struct frame *frame, const uint8_t mac[FRAME_MAC_BYTES])
{
	const uint8_t *ip = frame->data + frame->payload;
	struct echo *echo = need_echo(ping, ip);
	ssize_t sent;

	if (!echo)
		return;
	memcpy(echo->guest_mac, frame_source(frame), FRAME_MAC_BYTES);
	memcpy(echo->host_mac, mac, FRAME_MAC_BYTES);
	sent = send(echo->fd, ip + IPV6_BYTES, load_be16(ip + IPV6_PAYLOAD), 0);
	(void)sent; /* a network that cannot be reached: the guest hears nothing */
}

/* --- beginning and end --- */

struct ping6 *ping6_open(uv_loop_t *loop, ping6_output_fn *output, void *receiver)
{
	struct ping6 *ping = malloc(sizeof(*ping));

	if (ping)
		*ping = (struct ping6){ .loop = loop, .output = output, .receiver = receiver };
	return ping;
}

void ping6_close(struct ping6 *ping)
{
	if (!ping)
		return;
	while (ping->echoes)
		close_echo(&ping->echoes);
	free(ping);
}
