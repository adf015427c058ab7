/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of frames as Wireshark and tcpdump read it: "Libpcap File Format", microseconds, link type
 * Ethernet.
 */
#ifndef SWITCH_CAPTURE_H
#define SWITCH_CAPTURE_H

#include "lib/error.h"

struct capture;

struct capture_report {
	const char *path;       /* the capture's */
	uint64_t frames, bytes; /* in the file */
	int error;              /* errno of the first write that failed, after which nothing is */
};

/* Replaces the file where there is one. -errno with a text. */
int capture_create(struct capture **out, const char *path, struct error *err);

/* A frame of this moment. */
void capture_add(struct capture *capture, const void *frame, size_t bytes);

void capture_report(struct capture *capture, struct capture_report *report);

/* Writes what is buffered. Accepts NULL. */
void capture_destroy(struct capture *capture);

#endif
