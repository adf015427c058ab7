/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process of a VM or a switch, from outside. Its state is never stored: the process answers on
 * its control socket, RUN/ID/control, and where nothing answers, nothing runs. What remains of a
 * process that did not end by itself is found by its left-over socket.
 *
 * Requests are lines of JSON: {"execute": "query"}; answers are {"return": {...}} or
 * {"error": {"text": "..."}}. Its side is lib/control.h.
 */
#ifndef CTL_PROCESS_H
#define CTL_PROCESS_H

#include "ctl/store.h"

enum process_state {
	PROCESS_OFF,
	PROCESS_STARTING,
	PROCESS_RUNNING,
	PROCESS_PAUSED,
	PROCESS_STOPPING
};

struct process {
	enum process_state state;
	int64_t uptime_ns;
	unsigned cpu_percent;
	uint64_t memory_bytes; /* assigned: less what the balloon holds */
	uint64_t memory_demand_bytes;
	bool nested_active; /* a hypervisor runs in the VM */
	bool has_agent;     /* a guest agent listens in it */
	char reason[512];   /* how the last run ended, where it is worth saying; else "" */
};

/* Never fails: what cannot be asked is off. */
void process_query(struct store *store, const char *id, struct process *process);

/*
 * One request: {"execute": "pause"} and such, whose reference is taken. *reply (may be NULL) gets
 * what "return" says. -errno with a text; -ENOENT and -ECONNREFUSED: nothing runs.
 */
int process_request(struct store *store, const char *id, json_t *request, int timeout_ms,
		    json_t **reply, struct error *err);

/* The same over a connection that stays: its end is the process's end. A descriptor or -errno. */
int process_connect(struct store *store, const char *id, const char *socket_name);
int process_exchange(int fd, const json_t *request, int timeout_ms, json_t **reply,
		     struct error *err);

/* The message that the last run ended with, "" where it had none. */
void process_last_words(struct store *store, const char *id, char *words, size_t size);

/* Removes what is left of a VM that does not run: its folder with log and sockets. */
void process_forget(struct store *store, const char *id);

/* The state's name: Off, Running ... */
const char *process_state_name(enum process_state state);

#endif
