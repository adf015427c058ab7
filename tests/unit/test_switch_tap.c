/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's ends of a switch, in a network namespace of the test's own: the host's adapter as a
 * TAP, the frames of a card, a port of a bridge. Where no such namespace can be had there is
 * nothing to be tested.
 */
#define _GNU_SOURCE /* unshare */
#include "switch/host.h"
#include "switch/ping6.h"
#include "switch/tap.h"
#include "tests/unit/frames.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY      65534
#define PATIENCE_MS 3000
#define SILENCE_MS  200

static const uint8_t host_mac[] = { 0x00, 0x15, 0x5d, 1, 2, 3 };
static const uint8_t guest_mac[] = { 0x00, 0x15, 0x5d, 4, 5, 6 };

struct fixture {
	uv_loop_t loop;
	uint8_t frame[2048], found[2048];
	size_t found_bytes;
	unsigned found_count; /* since the wait began; `found` is the last */
	unsigned wanted;      /* the type of the frame that is waited for */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(uv_loop_init(&f->loop), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++) /* not for ever: a failed test leaves handles */
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	free(f);
	return 0;
}

/* The kernel has things to say of its own, above all IPv6; one type of frames is the test's. */
static void on_frame(void *self, const void *frame, size_t bytes)
{
	struct fixture *f = self;

	if (bytes > sizeof(f->found) || load_be16((const uint8_t *)frame + 12) != f->wanted)
		return;
	memcpy(f->found, frame, bytes);
	f->found_bytes = bytes;
	f->found_count++;
}

static bool comes_within(struct fixture *f, unsigned type, unsigned ms)
{
	f->wanted = type;
	f->found_bytes = f->found_count = 0;
	for (unsigned i = 0; !f->found_bytes && i < ms; i++) {
		uv_run(&f->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	return f->found_bytes != 0;
}

static bool wait_for(struct fixture *f, unsigned type)
{
	return comes_within(f, type, PATIENCE_MS);
}

static int interface_ioctl(unsigned long what, void *argument)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), ret = ioctl(fd, what, argument);

	close(fd);
	return ret;
}

static void open_tap(struct fixture *f, struct net *tap, const char *name)
{
	struct error err = { "" };

	if (tap_open_host(tap, &f->loop, name, host_mac, &err))
		fail_msg("%s", err.text);
	tap->ops->receive(tap->self, on_frame, f);
}

/* Of IPv6, for that interface; 0 too where there is no IPv6. */
static int accepts_routers(const char *name)
{
	char path[64];
	FILE *file;
	int value = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", name);
	file = fopen(path, "re");
	if (file) {
		assert_int_equal(fscanf(file, "%d", &value), 1);
		fclose(file);
	}
	return value;
}

static void send_arp(struct fixture *f, struct net *net, const char *target)
{
	net->ops->send(
		net->self, f->frame,
		make_arp(f->frame, everybody, guest_mac, ARP_REQUEST, "192.168.100.2", target));
}

static void the_host_has_an_interface(void **state)
{
	struct fixture *f = *state;
	char name[IF_NAMESIZE] = "";
	struct error err = { "" };
	struct address address;
	struct net tap, other;

	open_tap(f, &tap, "Vm NAT with a long name");
	assert_string_equal(if_indextoname(tap_index(&tap), name), "vEth-VmNATwitha");
	open_tap(f, &other, "Vm NAT with a long name");
	assert_string_equal(if_indextoname(tap_index(&other), name), "vEth0");
	assert_true(address_parse("192.168.100.1/24", &address));
	assert_int_equal(tap_add_address(tap_index(&tap), &address, &err), 0);
	assert_int_equal(tap_add_address(tap_index(&tap), &address, &err), 0);
	send_arp(f, &tap, "192.168.100.1");
	assert_true(wait_for(f, ETHERTYPE_ARP));
	assert_memory_equal(f->found, guest_mac, 6);
	assert_memory_equal(f->found + 6, host_mac, 6);
	assert_int_equal(tap_remove_address(tap_index(&tap), &address, &err), 0);
	assert_int_equal(tap_remove_address(tap_index(&tap), &address, &err), 0);
	send_arp(f, &tap, "192.168.100.1");
	assert_false(comes_within(f, ETHERTYPE_ARP, SILENCE_MS));
	net_close(&tap);
	net_close(&other);
	assert_int_equal(if_nametoindex("vEth0"), 0);
}

static void on_stray(void *self, const void *frame, size_t bytes)
{
	(void)self;
	(void)frame;
	(void)bytes;
	fail_msg("the kernel routes, or drops");
}

/* The kernel answers, once; the gateway beside it translates. */
static void the_hosts_adapter_is_the_kernels(void **state)
{
	struct fixture *f = *state;
	struct gateway_config *config = calloc(1, sizeof(*config));
	struct error err = { "" };
	struct host *host;
	struct net net;

	assert_int_equal(
		host_open(&host, &net, &f->loop, "VmNAT", host_mac, true, on_stray, f, &err), 0);
	assert_true(host_is_in_kernel(host));
	assert_int_equal(accepts_routers("vEth-VmNAT"), 0);
	net.ops->receive(net.self, on_frame, f);
	config->address_count = config->nat_count = 1;
	assert_true(address_parse("192.168.100.1/24", &config->addresses[0]));
	assert_true(address_parse("192.168.100.0/24", &config->nats[0]));
	assert_int_equal(host_configure(host, config, &err), 0);
	send_arp(f, &net, "192.168.100.1");
	assert_true(wait_for(f, ETHERTYPE_ARP));
	assert_int_equal(load_be16(f->found + FRAME_HEADER_BYTES + ARP_OPERATION), ARP_REPLY);
	assert_false(comes_within(f, ETHERTYPE_ARP, SILENCE_MS));
	net.ops->send(net.self, f->frame,
		      make_ping(f->frame, host_mac, guest_mac, "192.168.100.2", "192.168.100.1"));
	assert_true(wait_for(f, ETHERTYPE_IPV4));
	assert_int_equal(f->found[FRAME_HEADER_BYTES + IPV4_BYTES], 0);
	net_close(&net);
	free(config);
}

static void ping_outside(struct fixture *f, struct gateway *gateway, unsigned id)
{
	size_t bytes = make_ping(f->frame, host_mac, guest_mac, "fd00:7::2", "fd99::1");
	uint8_t *ping = f->frame + FRAME_HEADER_BYTES + IPV6_BYTES;

	store_be16(ping + 4, id);
	checksum_icmpv6(ping - IPV6_BYTES, 16);
	assert_int_equal(gateway_input(gateway, f->frame, bytes), GATEWAY_TAKEN);
}

/* Whether the kernel's ping sockets are for everybody; raw ones are for who has the right. */
static void allow_ping_sockets(bool is_allowed)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ping_group_range", "we");

	assert_non_null(file);
	fputs(is_allowed ? "0 65535" : "1 0", file);
	assert_int_equal(fclose(file), 0);
}

/* Out of the network: to an address of another interface of this namespace. */
static void check_ping_of_ipv6(struct fixture *f)
{
	struct gateway_config *config = calloc(1, sizeof(*config));
	struct gateway *gateway = gateway_open(&f->loop, on_frame, f);
	struct error err = { "" };
	struct address outside;
	struct net tap;

	open_tap(f, &tap, "Outside");
	assert_true(address_parse("fd99::1/64", &outside));
	if (tap_add_address(tap_index(&tap), &outside, &err)) {
		print_message("skip: no IPv6 on this machine\n");
		skip();
	}
	tap.ops->receive(tap.self, NULL, NULL);
	memcpy(config->mac, host_mac, sizeof(host_mac));
	config->address_count = config->nat_count = 1;
	assert_true(address_parse("fd00:7::1/64", &config->addresses[0]));
	assert_true(address_parse("fd00:7::/64", &config->nats[0]));
	assert_int_equal(gateway_configure(gateway, config, &err), 0);
	for (unsigned i = 0; i < 2 * PING6_SOCKETS_MAX; i++) /* an identifier each */
		ping_outside(f, gateway, i);
	while (comes_within(f, ETHERTYPE_IPV6, SILENCE_MS))
		;
	ping_outside(f, gateway, 0xabcd);
	assert_true(wait_for(f, ETHERTYPE_IPV6));
	assert_int_equal(load_be16(f->found + FRAME_HEADER_BYTES + IPV6_BYTES + 4), 0xabcd);
	assert_memory_equal(f->found, guest_mac, 6);
	assert_memory_equal(f->found + 6, host_mac, 6);
	assert_int_equal(f->found[FRAME_HEADER_BYTES + IPV6_BYTES], 129);
	assert_int_equal(f->found_count, 1); /* whoever else pings there */
	assert_false(comes_within(f, ETHERTYPE_IPV6, SILENCE_MS));
	gateway_close(gateway);
	net_close(&tap);
	free(config);
}

static void ping_of_ipv6_leaves_by_a_nat(void **state)
{
	allow_ping_sockets(false);
	check_ping_of_ipv6(*state);
	allow_ping_sockets(true);
	check_ping_of_ipv6(*state);
}

/* A TAP stands for a card: what is written to it has come over the wire. */
static void a_cards_frames_go_both_ways(void **state)
{
	struct fixture *f = *state;
	struct error err = { "" };
	struct net wire, card;
	size_t bytes;

	open_tap(f, &wire, "Card");
	assert_int_equal(tap_open_uplink(&card, &f->loop, "vEth-Card", &err), 0);
	assert_int_equal(tap_index(&card), if_nametoindex("vEth-Card"));
	bytes = make_udp(f->frame, guest_mac, host_mac, "10.0.0.1", 1, "10.0.0.2", 2, "out", 3);
	card.ops->send(card.self, f->frame, bytes);
	assert_true(wait_for(f, ETHERTYPE_IPV4));
	assert_memory_equal(f->found, f->frame, bytes);

	wire.ops->receive(wire.self, NULL, NULL);
	card.ops->receive(card.self, on_frame, f);
	bytes = make_udp(f->frame, everybody, guest_mac, "10.0.0.2", 2, "10.0.0.1", 1, "in", 2);
	wire.ops->send(wire.self, f->frame, bytes);
	assert_true(wait_for(f, ETHERTYPE_IPV4));
	assert_memory_equal(f->found, f->frame, bytes);

	/* A VLAN's tag is taken off by the kernel, and comes back. */
	memmove(f->frame + 16, f->frame + 12, bytes - 12);
	store_be16(f->frame + 12, ETHERTYPE_VLAN);
	store_be16(f->frame + 14, 42);
	wire.ops->send(wire.self, f->frame, bytes + 4);
	assert_true(wait_for(f, ETHERTYPE_VLAN));
	assert_int_equal(f->found_bytes, bytes + 4);
	assert_memory_equal(f->found, f->frame, bytes + 4);
	net_close(&card);
	net_close(&wire);
}

static void set_flags(const char *name, short flags)
{
	struct ifreq request = { .ifr_flags = flags };

	memcpy(request.ifr_name, name, strlen(name));
	assert_int_equal(interface_ioctl(SIOCSIFFLAGS, &request), 0);
}

static void a_card_that_was_down_works_again(void **state)
{
	struct fixture *f = *state;
	struct error err = { "" };
	struct net wire, card;

	open_tap(f, &wire, "Card");
	wire.ops->receive(wire.self, NULL, NULL);
	assert_int_equal(tap_open_uplink(&card, &f->loop, "vEth-Card", &err), 0);
	card.ops->receive(card.self, on_frame, f);
	set_flags("vEth-Card", 0);
	assert_false(comes_within(f, ETHERTYPE_ARP, SILENCE_MS));
	set_flags("vEth-Card", IFF_UP);
	send_arp(f, &wire, "192.168.100.1");
	assert_true(wait_for(f, ETHERTYPE_ARP));
	net_close(&card);
	net_close(&wire);
}

static void a_bridge_gets_a_port(void **state)
{
	struct fixture *f = *state;
	struct ifreq request;
	struct error err = { "" };
	struct net wire, uplink;

	if (interface_ioctl(SIOCBRADDBR, "nidusbr0")) {
		print_message("skip: this kernel has no bridges\n");
		skip();
	}
	set_flags("nidusbr0", IFF_UP);
	open_tap(f, &wire, "Wire");
	request = (struct ifreq){ .ifr_name = "nidusbr0",
				  .ifr_ifindex = (int)if_nametoindex("vEth-Wire") };
	assert_int_equal(interface_ioctl(SIOCBRADDIF, &request), 0);
	if (tap_open_uplink(&uplink, &f->loop, "nidusbr0", &err))
		fail_msg("%s", err.text);
	assert_int_equal(tap_index(&uplink), if_nametoindex("nidusbr0"));
	for (unsigned i = 0; i < 10; i++) { /* until the bridge's ports forward */
		send_arp(f, &uplink, "192.168.100.1");
		usleep(1000);
	}
	assert_true(wait_for(f, ETHERTYPE_ARP)); /* of which bridges have none of their own */
	assert_memory_equal(f->found + 6, guest_mac, 6);
	net_close(&uplink);
	net_close(&wire);
}

/* In a process of its own, which gives up all rights. */
static void without_the_right_it_says_so(void **state)
{
	struct fixture *f = *state;
	struct net net, card;
	pid_t child;
	int status;

	open_tap(f, &net, "Card");
	child = fork();
	if (!child) {
		struct error err = { "" };
		bool ok = !setresuid(NOBODY, NOBODY, NOBODY) &&
			  tap_open_uplink(&card, &f->loop, "vEth-Card", &err) == -EPERM &&
			  strstr(err.text, "vEth-Card") && strstr(err.text, "CAP_NET_RAW") &&
			  tap_open_uplink(&card, &f->loop, "none", &err) == -ENODEV;

		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	net_close(&net);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_host_has_an_interface),        TEST(the_hosts_adapter_is_the_kernels),
		TEST(ping_of_ipv6_leaves_by_a_nat),     TEST(a_cards_frames_go_both_ways),
		TEST(a_card_that_was_down_works_again), TEST(a_bridge_gets_a_port),
		TEST(without_the_right_it_says_so),
	};

	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (geteuid() || unshare(CLONE_NEWNET) || access("/dev/net/tun", R_OK | W_OK)) {
		printf("skip: needs root, a network namespace and /dev/net/tun\n1..0\n");
		return 0;
	}
	interface_ioctl(SIOCSIFFLAGS, &request);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
