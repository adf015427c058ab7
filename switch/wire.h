/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The port protocol: what goes over the stream socket between a switch and whoever is plugged into
 * one of its ports. switch/client.h is the other end of it.
 *
 * 1. The client writes one line of at most WIRE_LINE_MAX bytes, {"port": "ID"}: the port that it
 *    is, as management made it known to the switch. What the port may do is not the client's to
 *    say.
 * 2. The switch answers with a line, {"return": {}} or {"error": {"text": "..."}}, and in the
 *    latter case closes.
 * 3. From then on, both ways: the length of a frame as 4 bytes, the highest first, and the frame,
 *    Ethernet without preamble and checksum. That is what QEMU's `-netdev stream` speaks.
 *
 * A frame of fewer than FRAME_HEADER_BYTES is counted and dropped; a length above FRAME_BYTES_MAX
 * means that the stream is broken, and ends the port. A client that does not read loses frames.
 */
#ifndef SWITCH_WIRE_H
#define SWITCH_WIRE_H

#include "lib/base.h"

#define WIRE_LINE_MAX     512 /* bytes, with the newline */
#define WIRE_LENGTH_BYTES 4

static inline void wire_put_length(uint8_t *p, uint32_t bytes)
{
	bytes = __builtin_bswap32(bytes);
	memcpy(p, &bytes, WIRE_LENGTH_BYTES);
}

static inline uint32_t wire_get_length(const uint8_t *p)
{
	uint32_t bytes;

	memcpy(&bytes, p, WIRE_LENGTH_BYTES);
	return __builtin_bswap32(bytes);
}

#endif
