/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports: making, changing, and how much they may send. See switch/core.h. */
#include "switch/core.h"

#include "switch/core_parts.h"

#include <stdlib.h>

#define NS_PER_SECOND   1000000000ull
#define BITS_PER_BYTE   8
#define BURST_PER_S     50   /* what comes in a fiftieth of a second may come at once */
#define BURST_MIN_BYTES 4096 /* but at least this */
#define FRAME_USUAL     1514
#define LIMIT_MAX_BITS  (1ull << 40) /* more is no limit */

struct switch_core *switch_create(switch_deliver_fn *deliver, void *self)
{
	struct switch_core *core = calloc(1, sizeof(*core));

	if (!core)
		return NULL;
	core->deliver = deliver;
	core->self = self;
	core->macs = mac_create();
	if (!core->macs) {
		free(core);
		return NULL;
	}
	return core;
}

void switch_destroy(struct switch_core *core)
{
	if (!core)
		return;
	for (unsigned i = 0; i < core->top; i++)
		free(core->port[i]);
	mac_destroy(core->macs);
	free(core);
}

static void set_mac(struct switch_port *port)
{
	const uint8_t *mac = port->policy.mac;

	port->core->mac[port->index] = mac_is_zero(mac) ? MAC_NONE : mac_number(mac);
}

struct switch_port *switch_port_create(struct switch_core *core, const struct switch_policy *policy,
				       void *owner)
{
	struct switch_port *port;
	unsigned index = 0;

	while (index < core->top && core->port[index])
		index++;
	if (index == SWITCH_PORTS_MAX)
		return NULL;
	port = calloc(1, sizeof(*port));
	if (!port)
		return NULL;
	port->core = core;
	port->index = index;
	port->policy = *policy;
	port->owner = owner;
	core->port[index] = port;
	core->top = MAX(core->top, index + 1);
	set_mac(port);
	return port;
}

void switch_port_destroy(struct switch_port *port)
{
	struct switch_core *core;

	if (!port)
		return;
	core = port->core;
	mac_forget_port(core->macs, port->index);
	core->port[port->index] = NULL;
	core->mac[port->index] = MAC_NONE;
	while (core->top && !core->port[core->top - 1])
		core->top--;
	free(port);
}

void switch_port_set_policy(struct switch_port *port, const struct switch_policy *policy)
{
	if (port->policy.spoofing && !policy->spoofing)
		mac_forget_port(port->core->macs, port->index);
	if (port->policy.max_bits_per_second != policy->max_bits_per_second)
		port->credit_bytes = 0;
	port->policy = *policy;
	set_mac(port);
}

void switch_port_connect(struct switch_port *port, bool is_connected)
{
	mac_forget_port(port->core->macs, port->index);
	port->is_connected = is_connected;
}

/* --- the bandwidth: a bucket that fills at the port's rate --- */

static void refill(struct switch_port *port, uint64_t bytes_per_second, int64_t burst,
		   uint64_t now_ns)
{
	uint64_t passed_ns = MIN(now_ns - port->credit_ns, NS_PER_SECOND);
	uint64_t more = (uint64_t)((unsigned __int128)bytes_per_second * passed_ns / NS_PER_SECOND);

	if (!more && port->credit_bytes < burst)
		return; /* time adds up until it is worth a byte */
	port->credit_bytes = MIN(port->credit_bytes + (int64_t)more, burst);
	port->credit_ns = now_ns;
}

size_t switch_port_allowance(struct switch_port *port, uint64_t now_ns, uint64_t *wait_ns)
{
	uint64_t limit = port->policy.max_bits_per_second, bytes_per_second;
	int64_t burst, missing;

	*wait_ns = 0;
	if (!limit || limit > LIMIT_MAX_BITS) {
		port->credit_bytes = 0;
		return SIZE_MAX;
	}
	bytes_per_second = MAX(limit / BITS_PER_BYTE, 1ull);
	burst = (int64_t)MAX(bytes_per_second / BURST_PER_S, BURST_MIN_BYTES);
	refill(port, bytes_per_second, burst, now_ns);
	if (port->credit_bytes > 0)
		return MAX((size_t)port->credit_bytes, FRAME_USUAL);
	missing = FRAME_USUAL - port->credit_bytes;
	*wait_ns = (uint64_t)((unsigned __int128)missing * NS_PER_SECOND / bytes_per_second);
	return 0;
}
