/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net over a network that records, and the user-mode network's DHCP, ARP and port
 * forwarding with a few hand-made frames.
 */
#include "tests/unit/virtio_driver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define RX       0
#define TX       1
#define HEADER   12
#define BUFFERS  DRIVER_DATA
#define TX_FRAME (DRIVER_DATA + 0x40000)
#define FEATURES BIT(VIRTIO_F_VERSION_1)
#define MERGE    BIT(VIRTIO_NET_F_MRG_RXBUF)

static const uint8_t mac[NET_MAC_BYTES] = { 0x52, 0x54, 0, 1, 2, 3 };

struct fixture {
	struct driver d;
	struct net net;
	struct virtio_net *nic;
	net_receive_fn *receive;
	void *receiver;
	pthread_mutex_t lock;
	unsigned sent, flushed;
	bool closed;
	bool is_full; /* atomic */
	net_room_fn *room;
	void *sender;
	uint8_t last[2048];
	size_t last_bytes;
};

static void record(void *self, const void *frame, size_t bytes)
{
	struct fixture *f = self;

	pthread_mutex_lock(&f->lock);
	f->sent++;
	f->last_bytes = bytes;
	memcpy(f->last, frame, MIN(bytes, sizeof(f->last)));
	pthread_mutex_unlock(&f->lock);
}

static void set_receiver(void *self, net_receive_fn *fn, void *receiver)
{
	struct fixture *f = self;

	f->receive = fn;
	f->receiver = receiver;
}

static void count_flush(void *self)
{
	struct fixture *f = self;

	pthread_mutex_lock(&f->lock);
	f->flushed = f->sent;
	pthread_mutex_unlock(&f->lock);
}

static bool has_room(void *self)
{
	return !__atomic_load_n(&((struct fixture *)self)->is_full, __ATOMIC_RELAXED);
}

static void set_sender(void *self, net_room_fn *fn, void *sender)
{
	struct fixture *f = self;

	f->room = fn;
	f->sender = sender;
}

static void note_close(void *self)
{
	struct fixture *f = self;

	f->closed = true;
}

static const struct net_ops fake_ops = {
	.send = record,
	.flush = count_flush,
	.has_room = has_room,
	.tell_room = set_sender,
	.receive = set_receiver,
	.close = note_close,
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	pthread_mutex_init(&f->lock, NULL);
	f->net = (struct net){ &fake_ops, f };
	driver_open(&f->d);
	assert_int_equal(virtio_net_create(&f->nic, &f->d.place, &f->net, mac), 0);
	driver_probe(&f->d);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	virtio_net_dev_ops.destroy(f->nic);
	assert_null(f->receive);
	assert_null(f->room);
	driver_close(&f->d);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return 0;
}

static void test_config(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < NET_MAC_BYTES; i++)
		assert_int_equal(mmio_read(&f->d, f->d.device + i, 1), mac[i]);
	assert_int_equal(mmio_read(&f->d, f->d.device + 6, 2), VIRTIO_NET_S_LINK_UP);
}

static void transmit(struct fixture *f, const struct virtio_net_hdr_v1 *header, const void *frame,
		     unsigned bytes)
{
	struct driver_segment segments[2] = { { TX_FRAME, HEADER, false },
					      { TX_FRAME + HEADER, bytes, false } };

	memory_write(f->d.memory, TX_FRAME, header, HEADER);
	memory_write(f->d.memory, TX_FRAME + HEADER, frame, bytes);
	driver_add(&f->d, TX, segments, 2);
	driver_kick(&f->d, TX);
	driver_wait(&f->d, TX, NULL);
}

static void test_transmit(void **state)
{
	struct fixture *f = *state;
	struct virtio_net_hdr_v1 header = { 0 };
	char frame[100] = "a frame";

	driver_start(&f->d, FEATURES, 2);
	for (unsigned i = 0; i < 40; i++)
		transmit(f, &header, frame, sizeof(frame));
	assert_int_equal(f->sent, 40);
	assert_int_equal(f->flushed, 40); /* none is given back that may still wait */
	assert_int_equal(f->last_bytes, 100);
	assert_string_equal(f->last, "a frame");
	/* too short, too long, and segmentation that nobody offered */
	transmit(f, &header, frame, 0);
	transmit(f, &header, frame, 1);
	assert_int_equal(f->sent, 41);
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	transmit(f, &header, frame, sizeof(frame));
	assert_int_equal(f->sent, 41);
	assert_false(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Many at once: all leave, in order, and all come back. */
static void test_transmit_batch(void **state)
{
	struct fixture *f = *state;
	struct virtio_net_hdr_v1 header = { 0 };
	char frame[60] = "";

	driver_start(&f->d, FEATURES, 2);
	for (unsigned i = 0; i < DRIVER_QUEUE_SIZE / 2; i++) {
		uint64_t at = TX_FRAME + i * 0x1000;
		struct driver_segment segment = { at, HEADER + sizeof(frame), false };

		frame[0] = (char)('a' + i);
		memory_write(f->d.memory, at, &header, HEADER);
		memory_write(f->d.memory, at + HEADER, frame, sizeof(frame));
		driver_add(&f->d, TX, &segment, 1);
	}
	driver_kick(&f->d, TX);
	for (unsigned i = 0; i < DRIVER_QUEUE_SIZE / 2; i++)
		driver_wait(&f->d, TX, NULL);
	assert_int_equal(f->flushed, DRIVER_QUEUE_SIZE / 2);
	assert_int_equal(f->last[0], 'a' + DRIVER_QUEUE_SIZE / 2 - 1);
}

/* Where the network has no room, frames wait in the guest's queue. */
static void test_transmit_waits(void **state)
{
	struct fixture *f = *state;
	struct virtio_net_hdr_v1 header = { 0 };
	struct driver_segment segment = { TX_FRAME, HEADER + 60, false };

	driver_start(&f->d, FEATURES, 2);
	__atomic_store_n(&f->is_full, true, __ATOMIC_RELAXED);
	memory_write(f->d.memory, TX_FRAME, &header, HEADER);
	driver_add(&f->d, TX, &segment, 1);
	driver_kick(&f->d, TX);
	usleep(20000);
	assert_false(driver_has_used(&f->d, TX));
	assert_int_equal(f->sent, 0);
	__atomic_store_n(&f->is_full, false, __ATOMIC_RELAXED);
	f->room(f->sender);
	driver_wait(&f->d, TX, NULL);
	assert_int_equal(f->sent, 1);
}

/* A driver that asked for it learns that the cable was pulled. */
static void test_link(void **state)
{
	struct fixture *f = *state;
	uint8_t generation;

	driver_start(&f->d, FEATURES | BIT(VIRTIO_NET_F_STATUS), 2);
	generation = mmio_read(&f->d, f->d.common + VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	virtio_net_set_link(f->nic, true);
	assert_int_equal(mmio_read(&f->d, f->d.common + VIRTIO_PCI_COMMON_CFGGENERATION, 1),
			 generation);
	virtio_net_set_link(f->nic, false);
	assert_int_equal(mmio_read(&f->d, f->d.device + 6, 2), 0);
	assert_int_not_equal(mmio_read(&f->d, f->d.common + VIRTIO_PCI_COMMON_CFGGENERATION, 1),
			     generation);
	assert_true(mmio_read(&f->d, f->d.isr, 1) & VIRTIO_PCI_ISR_CONFIG);
	virtio_net_set_link(f->nic, true);
	assert_int_equal(mmio_read(&f->d, f->d.device + 6, 2), VIRTIO_NET_S_LINK_UP);
}

static void count_frame(void *receiver, const void *frame, size_t bytes)
{
	(void)frame;
	*(size_t *)receiver += bytes;
}

static void count_room(void *sender)
{
	++*(size_t *)sender;
}

/* A cable that moves: frames go and come at its other end only. */
static void test_plug(void **state)
{
	struct fixture one = { .sent = 0 }, two = { .sent = 0 };
	struct net first = { &fake_ops, &one }, second = { &fake_ops, &two }, plug;
	size_t got = 0, told = 0;

	(void)state;
	pthread_mutex_init(&one.lock, NULL);
	pthread_mutex_init(&two.lock, NULL);
	assert_int_equal(net_plug_open(&plug, &first), 0);
	plug.ops->receive(plug.self, count_frame, &got);
	net_tell_room(&plug, count_room, &told);
	one.is_full = true;
	assert_false(net_has_room(&plug));
	plug.ops->send(plug.self, "frame", 5);
	net_flush(&plug);
	assert_int_equal(one.flushed, 1);
	one.receive(one.receiver, "ab", 2);
	net_plug_move(&plug, &second);
	assert_true(one.closed);
	assert_null(one.receive);
	assert_null(one.room);
	assert_int_equal(told, 1); /* what waited for the one goes to the other */
	assert_true(net_has_room(&plug));
	assert_ptr_equal(two.room, count_room);
	plug.ops->send(plug.self, "frame", 5);
	assert_int_equal(one.sent, 1);
	assert_int_equal(two.sent, 1);
	two.receive(two.receiver, "abc", 3);
	assert_int_equal(got, 5);
	net_close(&plug);
	assert_true(two.closed);
	pthread_mutex_destroy(&one.lock);
	pthread_mutex_destroy(&two.lock);
}

static void test_too_long(void **state)
{
	struct fixture *f = *state;
	struct driver_segment segment = { DRIVER_DATA, 0x20000, false };

	driver_start(&f->d, FEATURES, 2);
	driver_add(&f->d, TX, &segment, 1);
	driver_kick(&f->d, TX);
	driver_wait(&f->d, TX, NULL);
	assert_int_equal(f->sent, 0);
}

/* The sum of all 16-bit words with the checksum in place is all ones. */
static void test_checksum(void **state)
{
	struct fixture *f = *state;
	struct virtio_net_hdr_v1 header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					    .csum_start = 34,
					    .csum_offset = 6 };
	uint8_t frame[101];
	uint32_t sum = 0;

	driver_start(&f->d, FEATURES | BIT(VIRTIO_NET_F_CSUM), 2);
	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = i * 37;
	frame[40] = frame[41] = 0; /* no pseudo header */
	transmit(f, &header, frame, sizeof(frame));
	for (unsigned i = 34; i < sizeof(frame); i += 2)
		sum += f->last[i] << 8 | (i + 1 < sizeof(frame) ? f->last[i + 1] : 0);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	assert_int_equal(sum, 0xffff);
	/* a field past the end of the frame */
	header.csum_start = 0xffff;
	header.csum_offset = 0xffff;
	transmit(f, &header, frame, sizeof(frame));
	assert_int_equal(f->sent, 1);
}

static void add_buffers(struct fixture *f, unsigned count, uint32_t bytes)
{
	for (unsigned i = 0; i < count; i++) {
		struct driver_segment segment = { BUFFERS + i * 0x1000, bytes, true };

		driver_add(&f->d, RX, &segment, 1);
	}
	driver_kick(&f->d, RX);
}

static void arrive(struct fixture *f, unsigned bytes)
{
	uint8_t frame[4096];

	for (unsigned i = 0; i < bytes; i++)
		frame[i] = i / 3;
	f->receive(f->receiver, frame, bytes);
}

static struct virtio_net_hdr_v1 header_at(struct fixture *f, uint64_t gpa)
{
	struct virtio_net_hdr_v1 header;

	memory_read(f->d.memory, gpa, &header, sizeof(header));
	return header;
}

static void test_receive(void **state)
{
	struct fixture *f = *state;
	uint32_t len;

	driver_start(&f->d, FEATURES, 2);
	add_buffers(f, 2, 1526);
	arrive(f, 1514);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 1526);
	assert_int_equal(header_at(f, BUFFERS).num_buffers, 1);
	assert_int_equal(*(uint8_t *)memory_at(f->d.memory, BUFFERS + HEADER + 1513, 1),
			 (uint8_t)(1513 / 3));
	/* too large for a buffer: dropped, and the buffer stays */
	arrive(f, 1515);
	assert_false(driver_has_used(&f->d, RX));
	arrive(f, 60);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 72);
}

static void test_receive_merged(void **state)
{
	struct fixture *f = *state;
	uint32_t len;

	driver_start(&f->d, FEATURES | MERGE | BIT(VIRTIO_RING_F_EVENT_IDX), 2);
	add_buffers(f, 3, 512);
	arrive(f, 1200);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 512);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 512);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 1200 + HEADER - 1024);
	assert_int_equal(header_at(f, BUFFERS).num_buffers, 3);
	assert_int_equal(*(uint8_t *)memory_at(f->d.memory, BUFFERS + 0x1000, 1),
			 (uint8_t)(500 / 3));
}

/* Frames that find too few buffers wait for more, in order. */
static void test_backlog(void **state)
{
	struct fixture *f = *state;
	uint32_t len;

	arrive(f, 60); /* not even started: dropped */
	driver_start(&f->d, FEATURES | MERGE | BIT(VIRTIO_RING_F_EVENT_IDX), 2);
	add_buffers(f, 1, 512);
	arrive(f, 1000);
	arrive(f, 70);
	assert_false(driver_has_used(&f->d, RX));
	add_buffers(f, 2, 1024);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 512);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 500);
	driver_wait(&f->d, RX, &len);
	assert_int_equal(len, 82);
	for (unsigned i = 0; i < 1000; i++)
		arrive(f, 1000); /* more than may wait */
	driver_set_status(&f->d, 0);
}

static void test_bad_rx_buffer(void **state)
{
	struct fixture *f = *state;

	driver_start(&f->d, FEATURES | MERGE, 2);
	add_buffers(f, 1, HEADER - 1); /* no room for the header */
	arrive(f, 60);
	assert_true(driver_status(&f->d) & VIRTIO_CONFIG_S_NEEDS_RESET);
	arrive(f, 60);
}

/* The user-mode network, without a device */

struct peer {
	uv_loop_t loop;
	struct net net;
	uint8_t frame[2048];
	size_t bytes;
	unsigned count;
	uint16_t want; /* EtherType that ends the wait */
	unsigned want_port;
	bool found;
};

static void put(uint8_t *p, unsigned value, unsigned bytes)
{
	while (bytes--) {
		p[bytes] = value;
		value >>= 8;
	}
}

static unsigned get(const uint8_t *p, unsigned bytes)
{
	unsigned value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | p[i];
	return value;
}

static void peer_receive(void *receiver, const void *frame, size_t bytes)
{
	struct peer *p = receiver;

	p->count++;
	if (p->found || bytes < 42 || bytes > sizeof(p->frame))
		return;
	memcpy(p->frame, frame, bytes);
	p->bytes = bytes;
	p->found = get(p->frame + 12, 2) == p->want &&
		   (!p->want_port || get(p->frame + 36, 2) == p->want_port);
}

static void peer_open(struct peer *p, const struct net_forward *forwards, unsigned count)
{
	struct error err = { "" };

	memset(p, 0, sizeof(*p));
	assert_int_equal(uv_loop_init(&p->loop), 0);
	assert_int_equal(net_user_open(&p->net, &p->loop, forwards, count, &err), 0);
	p->net.ops->receive(p->net.self, peer_receive, p);
}

static void peer_close(struct peer *p)
{
	net_close(&p->net);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&p->loop), 0);
}

static void ignore_timer(uv_timer_t *timer)
{
	(void)timer;
}

static bool peer_wait(struct peer *p, uint16_t ethertype, unsigned port)
{
	uv_timer_t timer; /* keeps the loop turning */

	p->want = ethertype;
	p->want_port = port;
	p->found = false;
	uv_timer_init(&p->loop, &timer);
	uv_timer_start(&timer, ignore_timer, 0, 10);
	for (unsigned i = 0; i < 300 && !p->found; i++)
		uv_run(&p->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&p->loop, UV_RUN_NOWAIT);
	return p->found;
}

static unsigned ip_checksum(const uint8_t *p, unsigned bytes)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < bytes; i += 2)
		sum += get(p + i, 2);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return ~sum & 0xffff;
}

/* A DHCP DISCOVER in UDP in IP in Ethernet. */
static void send_discover(struct peer *p)
{
	uint8_t frame[14 + 20 + 8 + 300] = { 0 }, *ip = frame + 14, *udp = ip + 20, *dhcp = udp + 8;

	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	put(frame + 12, 0x0800, 2);
	ip[0] = 0x45;
	put(ip + 2, 20 + 8 + 300, 2);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memset(ip + 16, 0xff, 4);
	put(ip + 10, ip_checksum(ip, 20), 2);
	put(udp, 68, 2);
	put(udp + 2, 67, 2);
	put(udp + 4, 8 + 300, 2);
	dhcp[0] = dhcp[1] = 1;
	dhcp[2] = 6;
	memcpy(dhcp + 28, mac, 6);
	put(dhcp + 236, 0x63825363, 4);
	memcpy(dhcp + 240, "\x35\x01\x01\xff", 4);
	p->net.ops->send(p->net.self, frame, sizeof(frame));
}

static void test_user_dhcp(void **state)
{
	struct peer p;
	const uint8_t *dhcp = p.frame + 14 + 20 + 8;

	(void)state;
	peer_open(&p, NULL, 0);
	send_discover(&p);
	assert_true(peer_wait(&p, 0x0800, 68));
	assert_int_equal(dhcp[0], 2);
	assert_int_equal(get(dhcp + 16, 4), 0x0a00020f); /* 10.0.2.15 */
	peer_close(&p);
}

/* Says who has 10.0.2.15, so that libslirp knows where to send. */
static void send_arp_reply(struct peer *p)
{
	uint8_t frame[42] = { 0 };

	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02", 10);
	memcpy(frame + 22, mac, 6);
	put(frame + 28, 0x0a00020f, 4);
	memcpy(frame + 32, frame + 6, 6);
	put(frame + 38, 0x0a000202, 4);
	p->net.ops->send(p->net.self, frame, sizeof(frame));
}

/* A port of the loopback address that nobody has. */
static uint16_t find_port(int *fd)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);

	*fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&addr, &len), 0);
	return ntohs(addr.sin_port);
}

static void test_user_forward(void **state)
{
	struct peer p;
	int fd;
	struct net_forward forward = { find_port(&fd), 22 };
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(forward.host_port),
				    .sin_addr = { htonl(INADDR_LOOPBACK) } };

	(void)state;
	close(fd);
	peer_open(&p, &forward, 1);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_true(peer_wait(&p, 0x0806, 0)); /* who has 10.0.2.15? */
	send_arp_reply(&p);
	assert_true(peer_wait(&p, 0x0800, 22));
	assert_int_equal(p.frame[14 + 9], IPPROTO_TCP);
	assert_int_equal(p.frame[14 + 20 + 13], 2); /* SYN */
	close(fd);
	peer_close(&p);
}

static void test_user_port_taken(void **state)
{
	struct net_forward forward;
	struct error err = { "" };
	struct net net = { 0 };
	uv_loop_t loop;
	char port[8];
	int fd;

	(void)state;
	forward = (struct net_forward){ find_port(&fd), 22 };
	assert_int_equal(listen(fd, 1), 0);
	snprintf(port, sizeof(port), "%u", forward.host_port);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(net_user_open(&net, &loop, &forward, 1, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, port));
	assert_null(net.ops);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	close(fd);
}

/* Frames of noise: libslirp takes them or drops them. */
static void test_user_noise(void **state)
{
	struct peer p;
	uint8_t frame[128];
	unsigned seed = time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srandom(seed);
	peer_open(&p, NULL, 0);
	for (unsigned i = 0; i < 2000; i++) {
		for (unsigned j = 0; j < sizeof(frame); j++)
			frame[j] = random();
		if (i % 2)
			memcpy(frame + 12, "\x08\x06", 2);
		p.net.ops->send(p.net.self, frame, 1 + random() % sizeof(frame));
		if (i % 64 == 0)
			uv_run(&p.loop, UV_RUN_NOWAIT);
	}
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transmit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transmit_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transmit_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test(test_plug),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checksum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive_merged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_rx_buffer, setup, teardown),
		cmocka_unit_test(test_user_dhcp),
		cmocka_unit_test(test_user_forward),
		cmocka_unit_test(test_user_port_taken),
		cmocka_unit_test(test_user_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
