/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest agent: QEMU's protocol over the socket of a VM's agent port, so that stock images with
 * the package qemu-guest-agent work, without any network. One client at a time.
 */
#ifndef CTL_AGENT_H
#define CTL_AGENT_H

#include "ctl/process.h"
#include "ctl/text.h"

/* How long an agent that is there takes to say so. */
#define AGENT_HELLO_MS 5000

/*
 * A connection to the agent that has answered: a descriptor to close, or -errno with a text.
 * -ETIMEDOUT: there is none in the guest, or it is busy.
 */
int agent_open(struct store *store, const char *id, int timeout_ms, struct error *err);

/* The same over a socket that is at hand: 0 or -errno. */
int agent_greet(int fd, int timeout_ms, struct error *err);

/* One request; *reply gets what "return" says. arguments: the reference is taken; may be NULL. */
int agent_request(int fd, const char *command, json_t *arguments, json_t **reply,
		  struct error *err);

/* What a command in the guest has come to. */
struct agent_exec {
	int64_t pid;
	bool ended;
	int status;         /* its exit status, 128 + N for signal N */
	bool is_cut;        /* it wrote more than the agent keeps (16 MiB) */
	char *out, *errors; /* once it has ended; for free() */
};

/* What a command can get on its standard input: it travels in one request, in Base64. */
#define AGENT_INPUT_MAX_BYTES (16 * MIB)

/*
 * Starts `/bin/sh -c script sh ARGUMENTS`; arguments: an array of Strings, or NULL. input: any
 * bytes for its standard input; NULL: none.
 */
int agent_start(int fd, const char *script, const json_t *arguments, const struct text *input,
		struct agent_exec *exec, struct error *err);
/* Whether it has ended, without waiting. */
int agent_poll(int fd, struct agent_exec *exec, struct error *err);
/* Both, without input, and waits; timeout_ms < 0: for ever. -ETIMEDOUT leaves it running. */
int agent_run(int fd, const char *script, const json_t *arguments, int timeout_ms,
	      struct agent_exec *exec, struct error *err);
void agent_exec_free(struct agent_exec *exec);

/* Writes a file in the guest from one of this host. */
int agent_copy_file(int fd, const char *from, const char *to, struct error *err);

#endif
