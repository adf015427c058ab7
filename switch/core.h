/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The switch itself, without any input or output: ports with their policies, learning, the way of
 * each frame, counters and drops. Time is passed in (nanoseconds of a clock that only goes
 * forward); frames that leave go to one function. Not for more than one thread.
 *
 * A frame that comes in at a port is checked against the port's policy, its source learned, and
 * then goes to the port whose adapter has its destination as address, else to the one that it was
 * learned behind. To all ports of its VLAN goes what is for a group, and to those with spoofing on
 * what is for an address that is not known.
 */
#ifndef SWITCH_CORE_H
#define SWITCH_CORE_H

#include "switch/drop.h"
#include "switch/policy.h"

#include <sys/uio.h>

#define SWITCH_PORTS_MAX 1024

struct switch_core;

/* Of a port. `in` is from its client to the switch, `out` from the switch to its client. */
struct switch_counters {
	uint64_t in_frames, in_bytes; /* dropped ones too */
	uint64_t out_frames, out_bytes;
	uint64_t in_dropped, out_dropped;
	uint64_t copies; /* frames out that were mirrored */
};

struct switch_port {
	struct switch_core *core;
	unsigned index;
	struct switch_policy policy; /* changed by switch_port_set_policy only */
	bool is_connected;           /* else nothing is delivered to it */
	void *owner;                 /* the caller's */
	struct switch_counters counters;
	struct drop_ring drops;
	int64_t credit_bytes; /* that it may send now; below zero: it has sent too much */
	uint64_t credit_ns;   /* when that was so */
};

/*
 * A frame for a port's client, in pieces that are borrowed for the call. False: there is no room,
 * and the frame is counted as dropped. It may call switch_input, but not change ports.
 */
typedef bool switch_deliver_fn(void *self, struct switch_port *to, const struct iovec *parts,
			       unsigned count, size_t bytes);

/* NULL: out of memory. */
struct switch_core *switch_create(switch_deliver_fn *deliver, void *self);
void switch_destroy(struct switch_core *core); /* with its ports; accepts NULL */

/* A port, not connected. NULL: out of memory, or there are SWITCH_PORTS_MAX. */
struct switch_port *switch_port_create(struct switch_core *core, const struct switch_policy *policy,
				       void *owner);
void switch_port_destroy(struct switch_port *port); /* accepts NULL */

/* Holds for the next frame. Where spoofing goes off, what was learned behind the port is gone. */
void switch_port_set_policy(struct switch_port *port, const struct switch_policy *policy);

/* Somebody is plugged in, or is no longer: then nothing is known to be behind the port. */
void switch_port_connect(struct switch_port *port, bool is_connected);

/* One frame from the port's client, of any length and content. */
void switch_input(struct switch_port *port, const void *data, size_t bytes, uint64_t now_ns);

/*
 * The bandwidth: how many bytes the port's client may send at this time, at least one frame's
 * worth where it is any; SIZE_MAX without limit. 0: not before *wait_ns have passed. What comes
 * nevertheless is forwarded, and the wait is the longer.
 */
size_t switch_port_allowance(struct switch_port *port, uint64_t now_ns, uint64_t *wait_ns);

#endif
