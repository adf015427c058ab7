/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a frame: see switch/core.h. Its steps are in switch_input: size, VLAN, source, guards,
 * learning, destination, copies for mirrors. switch/port.c has the ports.
 */
#include "switch/core.h"

#include "switch/core_parts.h"
#include "switch/tag.h"

/* One frame on its way. Its delivery may bring an answer, which is on its way meanwhile. */
struct passage {
	struct switch_core *core;
	struct switch_port *in;
	struct frame frame;
	unsigned vlan;
	uint64_t now_ns;
	uint64_t got[SWITCH_PORTS_MAX / 64]; /* a bit for each port that it went to */
	bool has_receiver, is_mirrored;
};

static void drop_in(struct switch_port *port, enum drop_reason reason, const struct frame *frame,
		    unsigned vlan, size_t bytes, uint64_t now_ns)
{
	port->counters.in_dropped++;
	drop_add(&port->drops, reason, frame, vlan, bytes, now_ns);
}

static void drop(struct passage *passage, enum drop_reason reason)
{
	drop_in(passage->in, reason, &passage->frame, passage->vlan, passage->frame.bytes,
		passage->now_ns);
}

/* --- out --- */

static void deliver(struct passage *passage, struct switch_port *to, const struct iovec *parts,
		    unsigned count, size_t bytes)
{
	struct switch_core *core = passage->core;

	passage->got[to->index / 64] |= BIT(to->index % 64);
	if (!core->deliver(core->self, to, parts, count, bytes)) {
		to->counters.out_dropped++;
		drop_add(&to->drops, DROP_QUEUE_FULL, &passage->frame, passage->vlan, bytes,
			 passage->now_ns);
		return;
	}
	to->counters.out_frames++;
	to->counters.out_bytes += bytes;
}

static void send_to(struct passage *passage, struct switch_port *to)
{
	uint8_t tag[FRAME_TAG_BYTES];
	struct iovec parts[TAG_PARTS_MAX];
	size_t bytes;
	unsigned count =
		tag_parts(&to->policy.vlan, passage->vlan, &passage->frame, tag, parts, &bytes);

	passage->has_receiver = true;
	passage->is_mirrored |= to->policy.mirroring == SWITCH_MIRROR_SOURCE;
	deliver(passage, to, parts, count, bytes);
}

/* To all, or to those who get frames for unknown addresses. */
static void flood(struct passage *passage, bool to_all)
{
	for (unsigned i = 0; i < passage->core->top; i++) {
		struct switch_port *to = passage->core->port[i];

		if (to && to != passage->in && to->is_connected &&
		    (to_all || to->policy.spoofing) && tag_is_for(&to->policy.vlan, passage->vlan))
			send_to(passage, to);
	}
}

static bool has_got(const struct passage *passage, const struct switch_port *port)
{
	return passage->got[port->index / 64] >> port->index % 64 & 1;
}

/* Copies go out as the frame came in, whatever the VLAN, to whoever has not got it anyway. */
static void mirror(struct passage *passage)
{
	const struct frame *frame = &passage->frame;
	struct iovec whole = { (void *)(uintptr_t)frame->data, frame->bytes };

	for (unsigned i = 0; i < passage->core->top; i++) {
		struct switch_port *to = passage->core->port[i];

		if (!to || to->policy.mirroring != SWITCH_MIRROR_DESTINATION || to == passage->in ||
		    !to->is_connected || has_got(passage, to))
			continue;
		to->counters.copies++;
		deliver(passage, to, &whole, 1, frame->bytes);
	}
}

/* --- the way --- */

/*
 * The port whose adapter has the address and is in the VLAN, where several have it one that is
 * connected. NULL: there is none, and *is_elsewhere says whether one is in another VLAN.
 */
static struct switch_port *find_adapter(const struct passage *passage, const uint8_t *mac,
					bool *is_elsewhere)
{
	const struct switch_core *core = passage->core;
	uint64_t number = mac_number(mac);
	struct switch_port *found = NULL;

	*is_elsewhere = false;
	for (unsigned i = 0; i < core->top && !(found && found->is_connected); i++) {
		if (core->mac[i] != number)
			continue;
		if (tag_is_for(&core->port[i]->policy.vlan, passage->vlan))
			found = core->port[i];
		else
			*is_elsewhere = true;
	}
	return found;
}

/* A port that the address was learned behind and that still is where it was. */
static struct switch_port *find_learned(const struct passage *passage, const uint8_t *mac)
{
	int index = mac_find(passage->core->macs, passage->vlan, mac, passage->now_ns);
	struct switch_port *port = index < 0 ? NULL : passage->core->port[index];

	return port && port->is_connected && tag_is_for(&port->policy.vlan, passage->vlan) ? port
											   : NULL;
}

/* An adapter keeps its address: nobody takes its frames by sending in its name. */
static void send_unicast(struct passage *passage)
{
	const uint8_t *mac = frame_destination(&passage->frame);
	bool is_elsewhere;
	struct switch_port *to = find_adapter(passage, mac, &is_elsewhere);

	if (to && !to->is_connected) {
		drop(passage, DROP_NOT_CONNECTED);
		return;
	}
	if (!to)
		to = find_learned(passage, mac);
	if (to == passage->in && to)
		return; /* it is there already */
	if (to) {
		send_to(passage, to);
		return;
	}
	flood(passage, false);
	if (passage->has_receiver)
		return;
	if (is_elsewhere)
		drop(passage, passage->vlan ? DROP_VLAN_OTHER : DROP_VLAN_NONE);
	else
		drop(passage, DROP_UNKNOWN);
}

/* What the port may not send. DROP_REASONS: it may. */
static enum drop_reason check_source(const struct passage *passage)
{
	const struct switch_policy *policy = &passage->in->policy;
	const uint8_t *source = frame_source(&passage->frame);

	if (mac_is_multicast(source))
		return DROP_MULTICAST_SOURCE;
	if (mac_is_zero(source))
		return DROP_NO_SOURCE;
	if (!policy->spoofing && mac_number(source) != mac_number(policy->mac))
		return DROP_SPOOFED_SOURCE;
	return DROP_REASONS;
}

static enum drop_reason check_guards(const struct passage *passage)
{
	const struct switch_policy *policy = &passage->in->policy;

	if (!policy->dhcp_guard && !policy->router_guard)
		return DROP_REASONS;
	switch (frame_kind(&passage->frame)) {
	case FRAME_DHCP_SERVER:
		return policy->dhcp_guard ? DROP_DHCP_GUARD : DROP_REASONS;
	case FRAME_ROUTER:
		return policy->router_guard ? DROP_ROUTER_GUARD : DROP_REASONS;
	case FRAME_UNREADABLE:
		return DROP_UNREADABLE;
	default:
		return DROP_REASONS;
	}
}

static enum drop_reason check(const struct passage *passage)
{
	enum drop_reason reason = check_source(passage);

	if (reason == DROP_REASONS && frame_is_for_bridges(&passage->frame))
		reason = DROP_FOR_BRIDGES;
	return reason == DROP_REASONS ? check_guards(passage) : reason;
}

static void forward(struct passage *passage)
{
	enum drop_reason reason = check(passage);

	if (reason != DROP_REASONS) {
		drop(passage, reason);
		return;
	}
	if (passage->in->policy.spoofing)
		mac_learn(passage->core->macs, passage->vlan, frame_source(&passage->frame),
			  passage->in->index, passage->now_ns);
	passage->is_mirrored = passage->in->policy.mirroring == SWITCH_MIRROR_SOURCE;
	if (mac_is_multicast(frame_destination(&passage->frame)))
		flood(passage, true);
	else
		send_unicast(passage);
	if (passage->is_mirrored)
		mirror(passage);
}

void switch_input(struct switch_port *port, const void *data, size_t bytes, uint64_t now_ns)
{
	struct passage passage = { .core = port->core, .in = port, .now_ns = now_ns };
	int vlan;

	port->counters.in_frames++;
	port->counters.in_bytes += bytes;
	port->credit_bytes -= (int64_t)MIN(bytes, FRAME_BYTES_MAX);
	if (bytes > FRAME_BYTES_MAX) {
		drop_in(port, DROP_OVERSIZED, NULL, 0, bytes, now_ns);
		return;
	}
	if (!frame_parse(&passage.frame, data, bytes)) {
		drop_in(port, DROP_TRUNCATED, NULL, 0, bytes, now_ns);
		return;
	}
	vlan = tag_vlan_of(&port->policy.vlan, &passage.frame);
	passage.vlan = vlan == TAG_REFUSED ? tag_vlan_id(&passage.frame) : (unsigned)vlan;
	if (vlan == TAG_REFUSED)
		drop(&passage, DROP_VLAN_TAG);
	else if (!passage.frame.has_tag && bytes > FRAME_BYTES_MAX - FRAME_TAG_BYTES)
		drop(&passage, DROP_OVERSIZED);
	else
		forward(&passage);
}
