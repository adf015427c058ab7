/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VM is to be: plain data, filled in by the command line (vm/options.h), checked here, read
 * by the machine. Strings are borrowed for the life of the configuration.
 */
#ifndef VM_CONFIG_H
#define VM_CONFIG_H

#include "lib/error.h"
#include "net/net.h"
#include "vm/engine.h"

#define CONFIG_CPUS_MAX           64
#define CONFIG_DISKS_MAX          16
#define CONFIG_NETS_MAX           8
#define CONFIG_FORWARDS_MAX       16
#define CONFIG_ID_MAX             64
#define CONFIG_PATH_MAX           4096
#define CONFIG_BUFFER_MAX_PERCENT 2000

struct config_disk {
	char path[CONFIG_PATH_MAX];
	bool readonly;
};

enum config_net_kind { CONFIG_NET_NONE, CONFIG_NET_USER, CONFIG_NET_SWITCH };

struct config_net {
	enum config_net_kind kind;
	char id[CONFIG_ID_MAX];     /* by which the operator finds it again; "": nobody does */
	char port[CONFIG_PATH_MAX]; /* the socket of a switch, which knows the adapter by its id */
	bool has_mac;               /* else the board chooses one */
	uint8_t mac[NET_MAC_BYTES];
	struct net_forward forward[CONFIG_FORWARDS_MAX];
	unsigned forwards;
};

enum config_serial_kind {
	CONFIG_SERIAL_STDIO,
	CONFIG_SERIAL_NONE,
	CONFIG_SERIAL_FILE,
	CONFIG_SERIAL_UNIX,
};

struct config_serial {
	enum config_serial_kind kind;
	const char *path; /* of file and unix */
};

struct config {
	const struct engine_ops *engine; /* NULL: see vm/engines.h */
	enum cpu_vendor vendor;
	bool any_vendor; /* nobody asked for this vendor */
	unsigned cpus;
	uint64_t memory_bytes;         /* at the start */
	uint64_t memory_minimum_bytes; /* of dynamic memory; 0: not said, what it starts with */
	uint64_t memory_maximum_bytes; /* 0: static memory */
	unsigned memory_buffer_percent, memory_priority;
	unsigned cpu_maximum_percent, cpu_weight; /* of the host's processors: vm/share.h */
	bool nested;
	const char *kernel; /* NULL: none */
	const char *initrd; /* NULL: none */
	const char *append;
	struct config_disk disk[CONFIG_DISKS_MAX];
	unsigned disks;
	struct config_net net[CONFIG_NETS_MAX];
	unsigned nets;
	struct config_serial serial;
	const char *control; /* path of the control socket; NULL: none */
	const char *agent;   /* path of the guest agent's socket; NULL: none */
	bool debug_exit;
	bool no_reboot;
	unsigned timeout_seconds; /* 0: none */
	bool verbose;
	bool stats;
	bool exact_flags;
	uint64_t code_cache_bytes; /* 0: as many as the engine likes */
	enum engine_tier tier;
};

/* The machine that a command line without options describes. */
void config_init(struct config *config);

/*
 * Whether such a machine can be made here: sizes against the host and the address layout, things
 * that belong together. -EINVAL or -ENOTSUP with a text.
 */
int config_check(const struct config *config, struct error *err);

/*
 * RAM of the machine: what it starts with, or with dynamic memory the most that it can get, which
 * its own size and the host's bound: a guest pays for the management of all RAM from the start.
 */
uint64_t config_ram_bytes(const struct config *config);

/*
 * How much more than that it can be given while it runs: static memory, of a machine that can be
 * told (--control), up to a multiple of what it starts with and the host's own.
 */
uint64_t config_growth_bytes(const struct config *config);

/* Decimal digits with an optional K, M or G. -EINVAL for anything else, -ERANGE above 2^63. */
int config_parse_size(const char *text, uint64_t *bytes);

/* Decimal digits, at most `max`. -EINVAL for anything else, -ERANGE above. */
int config_parse_number(const char *text, uint64_t max, uint64_t *number);

#endif
