/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's adapter on a switch: see switch/host.h. */
#include "switch/host.h"

#include "switch/tap.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWERS_MAX 1024 /* frames; more are lost, as on a cable */

/* A frame for the switch that came up while the switch was handing over one. */
struct answer {
	struct answer *next;
	size_t bytes;
	uint8_t data[];
};

struct host {
	uv_idle_t idle; /* runs while there are answers */
	struct answer *answers, **answers_end;
	unsigned answer_count;
	bool inside; /* the switch is handing over a frame: it takes none itself */

	struct gateway *gateway;
	struct net tap; /* without ops: in user space */
	uint8_t mac[FRAME_MAC_BYTES];
	struct address addresses[GATEWAY_ADDRESSES_MAX]; /* of the TAP */
	unsigned address_count;
	net_receive_fn *receive;
	void *receiver;
	host_stray_fn *stray;
	void *self;
};

/* --- frames --- */

static void on_idle(uv_idle_t *idle)
{
	struct host *host = idle->data;
	struct answer *answer = host->answers;

	uv_idle_stop(idle);
	host->answers = NULL;
	host->answers_end = &host->answers;
	host->answer_count = 0;
	while (answer) {
		struct answer *next = answer->next;

		if (host->receive)
			host->receive(host->receiver, answer->data, answer->bytes);
		free(answer);
		answer = next;
	}
}

static void keep_answer(struct host *host, const void *frame, size_t bytes)
{
	struct answer *answer = NULL;

	if (host->answer_count < ANSWERS_MAX)
		answer = malloc(sizeof(*answer) + bytes);
	if (!answer)
		return;
	*answer = (struct answer){ .bytes = bytes };
	memcpy(answer->data, frame, bytes);
	*host->answers_end = answer;
	host->answers_end = &answer->next;
	host->answer_count++;
	uv_idle_start(&host->idle, on_idle);
}

/* To the switch, from the gateway or the kernel. */
static void on_output(void *self, const void *frame, size_t bytes)
{
	struct host *host = self;

	if (host->inside)
		keep_answer(host, frame, bytes);
	else if (host->receive)
		host->receive(host->receiver, frame, bytes);
}

static void host_send(void *self, const void *frame, size_t bytes)
{
	struct host *host = self;

	host->inside = true;
	switch (gateway_input(host->gateway, frame, bytes)) {
	case GATEWAY_HOST:
		if (host->tap.ops)
			host->tap.ops->send(host->tap.self, frame, bytes);
		break;
	case GATEWAY_NO_NAT:
		host->stray(host->self, frame, bytes);
		break;
	case GATEWAY_TAKEN:
		break;
	}
	host->inside = false;
}

static void host_receive(void *self, net_receive_fn *fn, void *receiver)
{
	struct host *host = self;

	host->receive = fn;
	host->receiver = receiver;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void host_close(void *self)
{
	struct host *host = self;

	host->receive = NULL;
	on_idle(&host->idle);
	gateway_close(host->gateway);
	net_close(&host->tap);
	uv_close((uv_handle_t *)&host->idle, on_closed);
}

static const struct net_ops host_ops = {
	.send = host_send,
	.receive = host_receive,
	.close = host_close,
};

/* --- opening --- */

/* No right to a TAP is no error: then it is in user space. */
static int open_tap(struct host *host, uv_loop_t *loop, const char *switch_name, struct error *err)
{
	int ret = tap_open_host(&host->tap, loop, switch_name, host->mac, err);

	if (ret == -EPERM || ret == -EACCES || ret == -ENOENT || ret == -ENODEV)
		return 0;
	if (!ret)
		host->tap.ops->receive(host->tap.self, on_output, host);
	return ret;
}

int host_open(struct host **out, struct net *net, uv_loop_t *loop, const char *switch_name,
	      const uint8_t mac[FRAME_MAC_BYTES], bool in_kernel, host_stray_fn *stray, void *self,
	      struct error *err)
{
	struct host *host = calloc(1, sizeof(*host));
	int ret = 0;

	if (host)
		host->gateway = gateway_open(loop, on_output, host);
	if (!host || !host->gateway) {
		free(host);
		return error_set(err, -ENOMEM, "the host's adapter: out of memory");
	}
	uv_idle_init(loop, &host->idle);
	host->idle.data = host;
	host->answers_end = &host->answers;
	memcpy(host->mac, mac, sizeof(host->mac));
	host->stray = stray;
	host->self = self;
	if (in_kernel)
		ret = open_tap(host, loop, switch_name, err);
	if (ret) {
		host_close(host);
		return ret;
	}
	*net = (struct net){ .ops = &host_ops, .self = host };
	*out = host;
	return 0;
}

struct host *host_of(const struct net *net)
{
	return net->ops == &host_ops ? net->self : NULL;
}

/* --- addresses --- */

static bool is_among(const struct address *list, unsigned count, const struct address *address)
{
	for (unsigned i = 0; i < count; i++) {
		if (!memcmp(&list[i], address, sizeof(*address)))
			return true;
	}
	return false;
}

/* The kernel's addresses of the TAP: those that are not wanted any more go, new ones come. */
static int change_addresses(struct host *host, const struct gateway_config *config,
			    struct error *err)
{
	unsigned index = tap_index(&host->tap);
	int ret = 0, failed;

	for (unsigned i = 0; i < host->address_count; i++) {
		if (is_among(config->addresses, config->address_count, &host->addresses[i]))
			continue;
		failed = tap_remove_address(index, &host->addresses[i], ret ? NULL : err);
		ret = ret ? ret : failed;
	}
	for (unsigned i = 0; i < config->address_count; i++) {
		if (is_among(host->addresses, host->address_count, &config->addresses[i]))
			continue;
		failed = tap_add_address(index, &config->addresses[i], ret ? NULL : err);
		ret = ret ? ret : failed;
	}
	memcpy(host->addresses, config->addresses, sizeof(host->addresses));
	host->address_count = config->address_count;
	return ret;
}

int host_configure(struct host *host, struct gateway_config *config, struct error *err)
{
	int ret = 0, failed;

	config->kernel = host_is_in_kernel(host);
	memcpy(config->mac, host->mac, sizeof(config->mac));
	if (config->kernel)
		ret = change_addresses(host, config, err);
	failed = gateway_configure(host->gateway, config, ret ? NULL : err);
	return ret ? ret : failed;
}

bool host_is_in_kernel(const struct host *host)
{
	return host->tap.ops != NULL;
}

bool host_has_mac(const struct host *host, const uint8_t mac[FRAME_MAC_BYTES])
{
	return !memcmp(host->mac, mac, FRAME_MAC_BYTES);
}

const char *host_interface(const struct host *host, char name[], size_t size)
{
	char found[IF_NAMESIZE] = "";

	if (host_is_in_kernel(host))
		if_indextoname(tap_index(&host->tap), found);
	snprintf(name, size, "%s", found);
	return name;
}
