/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host on a switch, in user space: frames go in as a guest sends them, and what comes out is
 * looked at. The host's services are sockets of the test.
 */
#define _GNU_SOURCE /* memmem */
#include "switch/gateway.h"
#include "tests/unit/frames.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#define OUT_MAX     64
#define PATIENCE_MS 5000

static const uint8_t host_mac[] = { 0x00, 0x15, 0x5d, 1, 2, 3 };
static const uint8_t guest_mac[] = { 0x00, 0x15, 0x5d, 4, 5, 6 };

struct fixture {
	uv_loop_t loop;
	struct gateway *gateway;
	struct {
		uint8_t data[2048];
		size_t bytes;
	} out[OUT_MAX];
	unsigned count;
	uint8_t frame[2048];
};

static void on_output(void *receiver, const void *frame, size_t bytes)
{
	struct fixture *f = receiver;

	assert_true(bytes <= sizeof(f->out[0].data));
	if (f->count == OUT_MAX)
		return;
	memcpy(f->out[f->count].data, frame, bytes);
	f->out[f->count++].bytes = bytes;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(uv_loop_init(&f->loop), 0);
	f->gateway = gateway_open(&f->loop, on_output, f);
	assert_non_null(f->gateway);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	gateway_close(f->gateway);
	for (unsigned i = 0; i < 3; i++) /* not for ever: a failed test leaves handles */
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

static int configure(struct fixture *f, const char *json, bool kernel, struct error *err)
{
	struct gateway_config *config = calloc(1, sizeof(*config));
	json_t *object = json_loads(json, 0, NULL);
	int ret;

	assert_non_null(object);
	ret = gateway_parse(config, object, err);
	memcpy(config->mac, host_mac, sizeof(host_mac));
	config->kernel = kernel;
	ret = ret ? ret : gateway_configure(f->gateway, config, err);
	json_decref(object);
	free(config);
	return ret;
}

static void must_configure(struct fixture *f, const char *json)
{
	struct error err = { "" };

	if (configure(f, json, false, &err))
		fail_msg("%s", err.text);
}

static enum gateway_verdict input(struct fixture *f, size_t bytes)
{
	return gateway_input(f->gateway, f->frame, bytes);
}

/* Runs the loop until so many frames have come out. */
static void wait_for_output(struct fixture *f, unsigned count)
{
	for (unsigned i = 0; f->count < count && i < PATIENCE_MS; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_true(f->count >= count);
}

/* A few turns, in which nothing comes out. */
static void expect_silence(struct fixture *f)
{
	f->count = 0;
	for (unsigned i = 0; i < 20; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_int_equal(f->count, 0);
}

/* The gateway asks for the guest's hardware address before it sends it something. */
static void introduce(struct fixture *f, const char *guest, const char *host)
{
	input(f, make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, guest, host));
	f->count = 0;
}

static const char lan[] = "{\"addresses\": [\"192.168.100.1/24\"]}";
static const char nat[] = "{\"addresses\": [\"192.168.100.1/24\"], "
			  "\"nats\": [\"192.168.100.0/24\"]}";

/* --- ARP, ping --- */

static void arp_is_answered_with_the_adapters_address(void **state)
{
	struct fixture *f = *state;
	const uint8_t *arp = f->out[0].data + FRAME_HEADER_BYTES;

	must_configure(f, lan);
	input(f, make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, "192.168.100.2",
			  "192.168.100.1"));
	assert_int_equal(f->count, 1);
	assert_memory_equal(f->out[0].data, guest_mac, 6);
	assert_memory_equal(f->out[0].data + 6, host_mac, 6);
	assert_int_equal(load_be16(arp + ARP_OPERATION), ARP_REPLY);
	assert_memory_equal(arp + ARP_SENDER_MAC, host_mac, 6);
	assert_memory_equal(arp + ARP_SENDER_IP, "\xc0\xa8\x64\x01", 4);

	input(f, make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, "192.168.100.2",
			  "192.168.100.7"));
	input(f, make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, "192.168.100.2",
			  "192.168.100.254"));
	expect_silence(f);
}

static void ping_is_answered(void **state)
{
	struct fixture *f = *state;
	const uint8_t *ping = f->out[0].data + FRAME_HEADER_BYTES + IPV4_BYTES;

	must_configure(f, lan);
	introduce(f, "192.168.100.2", "192.168.100.1");
	input(f, make_ping(f->frame, host_mac, guest_mac, "192.168.100.2", "192.168.100.1"));
	wait_for_output(f, 1);
	assert_memory_equal(f->out[0].data, guest_mac, 6);
	assert_memory_equal(f->out[0].data + 6, host_mac, 6);
	assert_int_equal(ping[0], 0);
}

static void several_addresses_at_once(void **state)
{
	struct fixture *f = *state;

	must_configure(f, "{\"addresses\": [\"192.168.100.1/24\", \"10.7.0.1/16\"]}");
	input(f, make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, "10.7.3.2", "10.7.0.1"));
	assert_int_equal(f->count, 1);
	input(f, make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, "192.168.100.2",
			  "192.168.100.1"));
	assert_int_equal(f->count, 2);
	must_configure(f, "{\"addresses\": [\"10.7.0.1/16\"]}");
	input(f, make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, "192.168.100.2",
			  "192.168.100.1"));
	expect_silence(f);
}

/* --- services of the host --- */

/* A UDP socket of the loopback address; its port in *port. */
static int open_udp(int family, unsigned *port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	bool is_v6 = family == AF_INET6;
	struct sockaddr *address = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t len = is_v6 ? sizeof(v6) : sizeof(v4);
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, address, len))
		return -1;
	getsockname(fd, address, &len);
	*port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
	return fd;
}

/* Turns of the loop until the datagram is there. */
static ssize_t receive(struct fixture *f, int fd, char *text, size_t size,
		       struct sockaddr_storage *from)
{
	socklen_t len = sizeof(*from);
	ssize_t got = -1;

	for (unsigned i = 0; got < 0 && i < PATIENCE_MS; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(1000);
		got = recvfrom(fd, text, size, 0, (struct sockaddr *)from, &len);
	}
	return got;
}

static void echo(struct fixture *f, int family, const char *guest, const char *host)
{
	size_t header = FRAME_HEADER_BYTES + (family == AF_INET6 ? IPV6_BYTES : IPV4_BYTES);
	struct sockaddr_storage from;
	char text[16] = "";
	unsigned port;
	int fd = open_udp(family, &port);

	assert_true(fd >= 0);
	input(f, make_udp(f->frame, host_mac, guest_mac, guest, 4000, host, port, "hello", 5));
	assert_int_equal(receive(f, fd, text, sizeof(text), &from), 5);
	assert_string_equal(text, "hello");
	f->count = 0;
	assert_int_equal(sendto(fd, "there", 5, 0, (struct sockaddr *)&from, sizeof(from)), 5);
	wait_for_output(f, 1);
	assert_memory_equal(f->out[0].data + header + UDP_BYTES, "there", 5);
	assert_int_equal(load_be16(f->out[0].data + header), port);
	close(fd);
}

static void the_hosts_services_are_reached(void **state)
{
	struct fixture *f = *state;

	must_configure(f, lan);
	introduce(f, "192.168.100.2", "192.168.100.1");
	echo(f, AF_INET, "192.168.100.2", "192.168.100.1");
}

static void the_hosts_services_are_reached_over_ipv6(void **state)
{
	struct fixture *f = *state;
	unsigned port;
	int fd = open_udp(AF_INET6, &port);

	if (fd < 0) {
		print_message("skip: no IPv6 on this machine\n");
		skip();
	}
	close(fd);
	must_configure(f, "{\"addresses\": [\"fd00:7::1/64\"]}");
	input(f, make_ping(f->frame, host_mac, guest_mac, "fd00:7::2", "fd00:7::1"));
	uv_run(&f->loop, UV_RUN_NOWAIT);
	wait_for_output(f, 1); /* it asks who fd00:7::2 is */
	assert_int_equal(f->out[0].data[FRAME_HEADER_BYTES + IPV6_BYTES], ICMPV6_NEIGHBOR_SOLICIT);
	assert_memory_equal(f->out[0].data + 6, host_mac, 6);
}

static unsigned count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

#define FLOWS_A_TURN 64

/* What has begun goes on; what would begin does not. */
static void a_full_nat_leaves_descriptors(void **state)
{
	const struct rlimit enough = { 2 * GATEWAY_SOCKETS_MAX, 2 * GATEWAY_SOCKETS_MAX };
	const unsigned most = count_descriptors() + GATEWAY_SOCKETS_MAX + FLOWS_A_TURN + 1;
	struct fixture *f = *state;
	unsigned port;
	int fd = open_udp(AF_INET, &port);

	if (setrlimit(RLIMIT_NOFILE, &enough)) {
		print_message("skip: so many descriptors are not to be had\n");
		skip();
	}
	must_configure(f, lan);
	introduce(f, "192.168.100.2", "192.168.100.1");
	for (unsigned i = 0; i < GATEWAY_SOCKETS_MAX + GATEWAY_SOCKETS_MAX / 2; i++) {
		input(f, make_udp(f->frame, host_mac, guest_mac, "192.168.100.2", 4000 + i,
				  "192.168.100.1", port, "x", 1));
		if (i % FLOWS_A_TURN == 0)
			uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	assert_in_range(count_descriptors(), GATEWAY_SOCKETS_MAX, most);
	close(fd);
}

/* Without a NAT the host is as far as a guest gets; TFTP and the like are not there. */
static void nothing_goes_on_without_a_nat(void **state)
{
	struct fixture *f = *state;
	size_t bytes;

	must_configure(f, lan);
	introduce(f, "192.168.100.2", "192.168.100.1");
	bytes = make_udp(f->frame, host_mac, guest_mac, "192.168.100.2", 4000, "203.0.113.9", 53,
			 "x", 1);
	assert_int_equal(input(f, bytes), GATEWAY_NO_NAT);
	must_configure(f, nat);
	assert_int_equal(input(f, bytes), GATEWAY_TAKEN);
	bytes = make_udp(f->frame, host_mac, guest_mac, "192.168.7.2", 4000, "203.0.113.9", 53, "x",
			 1);
	assert_int_equal(input(f, bytes), GATEWAY_NO_NAT);
	bytes = make_udp(f->frame, host_mac, guest_mac, "192.168.100.2", 4000, "192.168.100.1", 69,
			 "\0\1x\0octet\0", 10);
	input(f, bytes);
	expect_silence(f);
}

static void loopback_is_not_for_guests(void **state)
{
	static const char *const ways[][2] = {
		{ "192.168.100.2", "127.0.0.1" },
		{ "fd00:7::2", "::ffff:127.0.0.1" },
		{ "fd00:7::2", "::127.0.0.1" },
	};
	struct fixture *f = *state;
	char text[16];
	unsigned port;
	int fd = open_udp(AF_INET, &port);

	must_configure(f, "{\"addresses\": [\"192.168.100.1/24\", \"fd00:7::1/64\"], "
			  "\"nats\": [\"192.168.100.0/24\", \"fd00:7::/64\"]}");
	introduce(f, "192.168.100.2", "192.168.100.1");
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
		input(f, make_udp(f->frame, host_mac, guest_mac, ways[i][0], 4000, ways[i][1], port,
				  "hello", 5));
	expect_silence(f);
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), -1);
	close(fd);
}

/* --- static mappings --- */

static unsigned free_port(void)
{
	unsigned port;
	int fd = open_udp(AF_INET, &port);

	close(fd);
	return port;
}

static char *mapping_json(unsigned port)
{
	static const char format[] =
		"{\"addresses\": [\"192.168.100.1/24\"], \"nats\": [\"192.168.100.0/24\"], "
		"\"mappings\": [{\"protocol\": \"UDP\", \"external\": \"127.0.0.1\", "
		"\"external_port\": %u, \"internal\": \"192.168.100.2\", "
		"\"internal_port\": 53}]}";
	size_t size = sizeof(format) + 16;
	char *text = malloc(size);

	snprintf(text, size, format, port);
	return text;
}

static void send_to_port(unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sendto(fd, "query", 5, 0, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

static void a_static_mapping_leads_to_the_guest(void **state)
{
	struct fixture *f = *state;
	const uint8_t *udp = f->out[0].data + FRAME_HEADER_BYTES + IPV4_BYTES;
	unsigned port = free_port();
	char *json = mapping_json(port);

	must_configure(f, json);
	introduce(f, "192.168.100.2", "192.168.100.1");
	send_to_port(port);
	wait_for_output(f, 1);
	assert_memory_equal(f->out[0].data, guest_mac, 6);
	assert_int_equal(load_be16(udp + UDP_DESTINATION), 53);
	assert_memory_equal(udp + UDP_BYTES, "query", 5);

	must_configure(f, json); /* the same: it is still there */
	must_configure(f, nat);
	send_to_port(port);
	expect_silence(f);
	must_configure(f, json);
	free(json);
}

/* Two addresses in the guest's network: the mapping stays when one of them goes. */
static void a_mapping_outlives_one_of_two_addresses(void **state)
{
	static const char *const steps[] = { "[\"10.7.0.1/16\", \"192.168.100.1/24\", "
					     "\"192.168.100.9/24\"]",
					     "[\"192.168.100.1/24\", \"192.168.100.9/24\"]",
					     "[\"192.168.100.9/24\"]" };
	struct fixture *f = *state;
	unsigned port = free_port();
	char *json = mapping_json(port), *text;
	json_t *object = json_loads(json, 0, NULL);

	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		json_object_set_new(object, "addresses", json_loads(steps[i], 0, NULL));
		text = json_dumps(object, 0);
		must_configure(f, text);
		free(text);
	}
	introduce(f, "192.168.100.2", "192.168.100.9");
	send_to_port(port);
	wait_for_output(f, 1);
	json_decref(object);
	free(json);
}

static void a_port_in_use_is_named(void **state)
{
	struct fixture *f = *state;
	struct error err = { "" };
	unsigned port;
	int fd = open_udp(AF_INET, &port);
	char *json = mapping_json(port), number[16];

	snprintf(number, sizeof(number), "port %u ", port);
	assert_int_equal(configure(f, json, false, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, number));
	close(fd);
	must_configure(f, json);
	free(json);
}

static void a_mapping_waits_for_its_network(void **state)
{
	struct fixture *f = *state;
	struct error err = { "" };
	unsigned port = free_port();
	char *json = mapping_json(port);
	json_t *object = json_loads(json, 0, NULL);
	char *bare;

	json_object_del(object, "addresses");
	bare = json_dumps(object, 0);
	assert_int_equal(configure(f, bare, false, &err), -ENOENT);
	must_configure(f, json);
	assert_int_equal(configure(f, bare, false, &err), -ENOENT);
	must_configure(f, json);
	free(bare);
	free(json);
	json_decref(object);
}

/* --- where the kernel has the adapter --- */

static void the_kernel_answers_for_itself(void **state)
{
	struct fixture *f = *state;
	struct error err = { "" };
	size_t bytes;

	assert_int_equal(configure(f, nat, true, &err), 0);
	bytes = make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, "192.168.100.2",
			 "192.168.100.1");
	assert_int_equal(input(f, bytes), GATEWAY_HOST);
	bytes = make_ping(f->frame, host_mac, guest_mac, "192.168.100.2", "192.168.100.1");
	assert_int_equal(input(f, bytes), GATEWAY_HOST);
	expect_silence(f);
	bytes = make_udp(f->frame, host_mac, guest_mac, "192.168.100.2", 4000, "203.0.113.9", 53,
			 "x", 1);
	assert_int_equal(input(f, bytes), GATEWAY_TAKEN);
	bytes = make_udp(f->frame, host_mac, guest_mac, "192.168.7.2", 4000, "203.0.113.9", 53, "x",
			 1);
	assert_int_equal(input(f, bytes), GATEWAY_HOST); /* it may route */
}

/* --- IPv6 --- */

/* "Who has target?"; as Linux asks. */
static size_t make_solicit(uint8_t *frame, const char *source, const char *target)
{
	static const uint8_t group[] = { 0x33, 0x33, 0xff, 0, 0, 1 };
	size_t bytes = NEIGHBOR_BYTES + OPTION_UNIT_BYTES;
	uint8_t *message =
		make_ip(frame, group, guest_mac, source, "ff02::1:ff00:1", PROTOCOL_ICMPV6, bytes);

	memset(message, 0, bytes);
	message[0] = ICMPV6_NEIGHBOR_SOLICIT;
	inet_pton(AF_INET6, target, message + NEIGHBOR_TARGET);
	message[NEIGHBOR_BYTES] = OPTION_SOURCE_MAC;
	message[NEIGHBOR_BYTES + 1] = 1;
	memcpy(message + NEIGHBOR_BYTES + 2, guest_mac, 6);
	checksum_icmpv6(message - IPV6_BYTES, bytes);
	return (size_t)(message - frame) + bytes;
}

/* The checksum of an ICMPv6 message in a frame is right. */
static bool checksum_holds(uint8_t *frame, size_t bytes)
{
	uint8_t *ip = frame + FRAME_HEADER_BYTES, *message = ip + IPV6_BYTES;
	unsigned was = load_be16(message + ICMPV6_CHECKSUM);

	checksum_icmpv6(ip, bytes - FRAME_HEADER_BYTES - IPV6_BYTES);
	return was == load_be16(message + ICMPV6_CHECKSUM);
}

static void a_neighbour_is_answered(void **state)
{
	struct fixture *f = *state;
	uint8_t *message = f->out[0].data + FRAME_HEADER_BYTES + IPV6_BYTES;

	must_configure(f, "{\"addresses\": [\"fd00:7::1/64\"]}");
	input(f, make_solicit(f->frame, "fd00:7::2", "fd00:7::1"));
	wait_for_output(f, 1);
	assert_memory_equal(f->out[0].data, guest_mac, 6);
	assert_memory_equal(f->out[0].data + 6, host_mac, 6);
	assert_int_equal(message[0], ICMPV6_NEIGHBOR_ADVERT);
	assert_memory_equal(message + NEIGHBOR_BYTES + 2, host_mac, 6);
	assert_true(checksum_holds(f->out[0].data, f->out[0].bytes));

	input(f, make_ping(f->frame, host_mac, guest_mac, "fd00:7::2", "fd00:7::1"));
	wait_for_output(f, 2);
	assert_int_equal(f->out[1].data[FRAME_HEADER_BYTES + IPV6_BYTES], 129);
	echo(f, AF_INET6, "fd00:7::2", "fd00:7::1");
	input(f, make_solicit(f->frame, "fd00:7::2", "fd00:7::9"));
	expect_silence(f);
}

static size_t make_router_solicit(uint8_t *frame)
{
	static const uint8_t group[] = { 0x33, 0x33, 0, 0, 0, 2 };
	uint8_t *message = make_ip(frame, group, guest_mac, "fe80::215:5dff:fe04:506", "ff02::2",
				   PROTOCOL_ICMPV6, ICMPV6_BYTES);

	memset(message, 0, ICMPV6_BYTES);
	message[0] = ICMPV6_ROUTER_SOLICIT;
	checksum_icmpv6(message - IPV6_BYTES, ICMPV6_BYTES);
	return (size_t)(message - frame) + ICMPV6_BYTES;
}

static void a_router_only_where_addresses_are_given_out(void **state)
{
	static const uint8_t link_local[] = {
		0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
	};
	struct fixture *f = *state;
	uint8_t *ip = f->out[0].data + FRAME_HEADER_BYTES;

	must_configure(f, "{\"addresses\": [\"fd00:7::1/64\"], \"nats\": [\"fd00:7::/64\"]}");
	input(f, make_router_solicit(f->frame));
	expect_silence(f);
	must_configure(f, "{\"addresses\": [\"fd00:7::1/64\"], \"nats\": [\"fd00:7::/64\"], "
			  "\"dhcp\": [\"fd00:7::/64\"]}");
	input(f, make_router_solicit(f->frame));
	wait_for_output(f, 1);
	assert_int_equal(ip[IPV6_BYTES], ICMPV6_ROUTER_ADVERT);
	assert_memory_equal(ip + IPV6_SOURCE, link_local, 16);
	assert_memory_equal(ip + IPV6_BYTES + ROUTER_ADVERT_BYTES + 2, host_mac, 6);
	assert_true(checksum_holds(f->out[0].data, f->out[0].bytes));
	f->count = 0;
	input(f, make_solicit(f->frame, "fe80::215:5dff:fe04:506", "fe80::1"));
	wait_for_output(f, 1); /* and it is there */
	assert_int_equal(ip[IPV6_BYTES], ICMPV6_NEIGHBOR_ADVERT);
}

/* --- DHCP --- */

/* A client's first message; the bytes of the frame. */
static size_t make_discover(uint8_t *frame)
{
	uint8_t message[300] = { 1, 1, 6 };

	memcpy(message + 28, guest_mac, 6);
	memcpy(message + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
	return make_udp(frame, everybody, guest_mac, "0.0.0.0", 68, "255.255.255.255", 67, message,
			sizeof(message));
}

/* The name server of the answer: the option is the last one. */
static void expect_name_server(struct fixture *f, const char *json, const char *server)
{
	uint8_t option[7] = { 6, 4 };
	const uint8_t *options = f->out[0].data + FRAME_HEADER_BYTES + IPV4_BYTES + UDP_BYTES + 240;

	inet_pton(AF_INET, server, option + 2);
	option[6] = 255;
	must_configure(f, json);
	f->count = 0;
	assert_int_equal(input(f, make_discover(f->frame)), GATEWAY_TAKEN);
	assert_int_equal(f->count, 1);
	assert_non_null(memmem(options, 60, option, sizeof(option)));
}

static void dhcp_names_the_servers_that_it_was_told(void **state)
{
	struct fixture *f = *state;

	must_configure(f, nat);
	input(f, make_discover(f->frame));
	expect_silence(f);
	expect_name_server(f,
			   "{\"addresses\": [\"192.168.100.1/24\"], "
			   "\"nats\": [\"192.168.100.0/24\"], \"dhcp\": [\"192.168.100.0/24\"]}",
			   "192.168.100.254");
	expect_name_server(f,
			   "{\"addresses\": [\"192.168.100.1/24\"], "
			   "\"nats\": [\"192.168.100.0/24\"], \"dhcp\": [\"192.168.100.0/24\"], "
			   "\"dns\": [\"fd00::53\", \"9.9.9.9\"]}",
			   "9.9.9.9");
}

/* --- what guests make up --- */

static void cut_frames_do_nothing(void **state)
{
	struct fixture *f = *state;
	uint8_t whole[6][TEST_FRAME_MAX];
	size_t bytes[6];

	must_configure(f, "{\"addresses\": [\"192.168.100.1/24\", \"fd00:7::1/64\"], "
			  "\"nats\": [\"192.168.100.0/24\", \"fd00:7::/64\"], "
			  "\"dhcp\": [\"192.168.100.0/24\", \"fd00:7::/64\"]}");
	bytes[0] = make_arp(whole[0], everybody, guest_mac, ARP_REQUEST, "192.168.100.2",
			    "192.168.100.1");
	bytes[1] = make_ping(whole[1], host_mac, guest_mac, "192.168.100.2", "192.168.100.1");
	bytes[2] = make_ping(whole[2], host_mac, guest_mac, "fd00:7::2", "fd00:7::1");
	bytes[3] = make_solicit(whole[3], "fd00:7::2", "fd00:7::1");
	bytes[4] = make_udp(whole[4], everybody, guest_mac, "0.0.0.0", 68, "255.255.255.255", 67,
			    "x", 1);
	bytes[5] = make_router_solicit(whole[5]);
	for (unsigned i = 0; i < 6; i++) {
		for (size_t len = 0; len < bytes[i]; len++) {
			/* Exactly as many bytes as it says, for a sanitizer to see. */
			uint8_t *cut = malloc(len ? len : 1);

			memcpy(cut, whole[i], len);
			gateway_input(f->gateway, cut, len);
			free(cut);
		}
	}
	expect_silence(f);
}

static void bad_configurations_are_refused(void **state)
{
	static const char *const texts[] = {
		"{\"addresses\": [\"192.168.100.1/33\"]}",
		"{\"addresses\": [7]}",
		"{\"nats\": [\"10.0.0.0/8\", \"fd00::/8\", \"11.0.0.0/8\"]}",
		"{\"mappings\": [{\"protocol\": \"ICMP\"}]}",
		"{\"mappings\": [{\"protocol\": \"TCP\", \"external\": \"0.0.0.0\", "
		"\"external_port\": 0, \"internal\": \"10.0.0.1\", \"internal_port\": 1}]}",
		"{\"mappings\": [{\"protocol\": \"TCP\", \"external\": \"::\", "
		"\"external_port\": 1, \"internal\": \"10.0.0.1\", \"internal_port\": 1}]}",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		struct error err = { "" };

		assert_int_equal(configure(*state, texts[i], false, &err), -EINVAL);
		assert_true(*err.text);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arp_is_answered_with_the_adapters_address),
		TEST(ping_is_answered),
		TEST(several_addresses_at_once),
		TEST(the_hosts_services_are_reached),
		TEST(the_hosts_services_are_reached_over_ipv6),
		TEST(a_full_nat_leaves_descriptors),
		TEST(nothing_goes_on_without_a_nat),
		TEST(loopback_is_not_for_guests),
		TEST(a_static_mapping_leads_to_the_guest),
		TEST(a_mapping_outlives_one_of_two_addresses),
		TEST(a_port_in_use_is_named),
		TEST(a_mapping_waits_for_its_network),
		TEST(the_kernel_answers_for_itself),
		TEST(a_neighbour_is_answered),
		TEST(a_router_only_where_addresses_are_given_out),
		TEST(dhcp_names_the_servers_that_it_was_told),
		TEST(cut_frames_do_nothing),
		TEST(bad_configurations_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
