/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of `nidus run`. An option is `--name VALUE`, `--name=VALUE` or, for a switch,
 * `--name`. A repeated option adds to a list where there is one, else the last one holds.
 */
#include "vm/options.h"

#include "vm/engines.h"
#include "vm/balance.h"
#include "vm/share.h"

#include <errno.h>

#define PORT_MAX    65535
#define TIMEOUT_MAX 31536000 /* a year */

struct option {
	const char *name;
	const char *value; /* what it is called in the help; NULL: a switch, a bool at `field` */
	bool repeats;
	/* Errors say what is wrong with the value. NULL: it goes to `field`. */
	int (*set)(struct config *config, const char *value, struct error *err);
	size_t field; /* offset in struct config, where there is no set */
	const char *help;
	uint64_t min, max; /* of an unsigned at `field`; both 0: the text itself goes there */
};

/* One of a few words. Returns its index, or -EINVAL with a text that lists them. */
static int choose(const char *value, const char *const words[], unsigned count, struct error *err)
{
	char list[128];
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		if (!strcmp(value, words[i]))
			return (int)i;
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "",
					words[i]);
	}
	return error_set(err, -EINVAL, "'%s' is not one of %s", value, list);
}

static int parse_number(const char *value, uint64_t min, uint64_t max, uint64_t *out,
			struct error *err)
{
	if (!config_parse_number(value, max, out) && *out >= min)
		return 0;
	return error_set(err, -EINVAL, "'%s' is not a number from %llu to %llu", value,
			 (unsigned long long)min, (unsigned long long)max);
}

static int set_engine(struct config *config, const char *value, struct error *err)
{
	const char *words[ENGINES_MAX + 1] = { "auto" };
	unsigned count = 0;
	int i;

	for (; engines_at(count); count++)
		words[count + 1] = engines_at(count)->name;
	i = choose(value, words, count + 1, err);
	if (i >= 0)
		config->engine = i ? engines_at((unsigned)i - 1) : NULL;
	return MIN(i, 0);
}

static int set_cpu(struct config *config, const char *value, struct error *err)
{
	static const char *const words[] = { [CPU_INTEL] = "intel", [CPU_AMD] = "amd" };
	int i = choose(value, words, ARRAY_SIZE(words), err);

	config->vendor = i < 0 ? config->vendor : (enum cpu_vendor)i;
	config->any_vendor = false;
	return MIN(i, 0);
}

static int parse_size(const char *value, uint64_t *bytes, struct error *err)
{
	int ret = config_parse_size(value, bytes);

	if (ret == -ERANGE)
		return error_set(err, -EINVAL, "'%s' is too much memory", value);
	return ret ? error_set(err, -EINVAL, "'%s' is not a size such as 512M or 2G", value) : 0;
}

static int set_memory(struct config *config, const char *value, struct error *err)
{
	return parse_size(value, &config->memory_bytes, err);
}

static int set_memory_minimum(struct config *config, const char *value, struct error *err)
{
	return parse_size(value, &config->memory_minimum_bytes, err);
}

static int set_memory_maximum(struct config *config, const char *value, struct error *err)
{
	return parse_size(value, &config->memory_maximum_bytes, err);
}

static int set_code_cache(struct config *config, const char *value, struct error *err)
{
	int ret = parse_size(value, &config->code_cache_bytes, err);

	if (!ret && (config->code_cache_bytes < ENGINE_CODE_CACHE_MIN_BYTES ||
		     config->code_cache_bytes > ENGINE_CODE_CACHE_MAX_BYTES))
		return error_set(err, -EINVAL, "%s is not between 2M and 1G", value);
	return ret;
}

static int set_nested(struct config *config, const char *value, struct error *err)
{
	static const char *const words[] = { "off", "on" };
	int i = choose(value, words, ARRAY_SIZE(words), err);

	config->nested = i == 1;
	return MIN(i, 0);
}

static int set_tier(struct config *config, const char *value, struct error *err)
{
	static const char *const words[] = { [ENGINE_TIER_BOTH] = "both",
					     [ENGINE_TIER_COMPACT] = "compact",
					     [ENGINE_TIER_INLINE] = "inline" };
	int i = choose(value, words, ARRAY_SIZE(words), err);

	config->tier = i < 0 ? config->tier : (enum engine_tier)i;
	return MIN(i, 0);
}

/* FILE or FILE,readonly; other commas belong to the name. */
static int set_disk(struct config *config, const char *value, struct error *err)
{
	static const char suffix[] = ",readonly";
	size_t len = strlen(value), suffix_len = sizeof(suffix) - 1;
	struct config_disk *disk = &config->disk[config->disks];

	if (config->disks == CONFIG_DISKS_MAX)
		return error_set(err, -EINVAL, "more than %d disks", CONFIG_DISKS_MAX);
	disk->readonly = len > suffix_len && !strcmp(value + len - suffix_len, suffix);
	if (disk->readonly)
		len -= suffix_len;
	if (len >= sizeof(disk->path))
		return error_set(err, -EINVAL, "'%s': the name is too long", value);
	memcpy(disk->path, value, len);
	disk->path[len] = 0;
	config->disks++;
	return 0;
}

/* HOSTPORT:GUESTPORT */
static int parse_forward(const char *text, size_t len, struct config_net *net, struct error *err)
{
	static const char protocol[] = "tcp:";
	struct net_forward *forward = &net->forward[net->forwards];
	char ports[32];
	char *colon;
	uint64_t host, guest;

	if (net->forwards == CONFIG_FORWARDS_MAX)
		return error_set(err, -EINVAL, "more than %d forwarded ports", CONFIG_FORWARDS_MAX);
	if (len >= sizeof(ports) || strncmp(text, protocol, sizeof(protocol) - 1))
		goto bad;
	memcpy(ports, text, len);
	ports[len] = 0;
	colon = strchr(ports + sizeof(protocol) - 1, ':');
	if (!colon)
		goto bad;
	*colon = 0;
	if (config_parse_number(ports + sizeof(protocol) - 1, PORT_MAX, &host) ||
	    config_parse_number(colon + 1, PORT_MAX, &guest) || !host || !guest)
		goto bad;
	*forward = (struct net_forward){ (uint16_t)host, (uint16_t)guest };
	net->forwards++;
	return 0;
bad:
	return error_set(err, -EINVAL, "'forward=%.*s' is not forward=tcp:HOSTPORT:GUESTPORT",
			 (int)len, text);
}

/* Six pairs of hexadecimal digits with colons between them: the address of one card. */
static int parse_mac(const char *text, size_t len, struct config_net *net, struct error *err)
{
	unsigned byte[NET_MAC_BYTES];
	char copy[32];
	int used = 0;

	snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	if (len != strlen("00:00:00:00:00:00") ||
	    sscanf(copy, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
		   &byte[4], &byte[5], &used) != NET_MAC_BYTES ||
	    used != (int)len || byte[0] & 1)
		return error_set(err, -EINVAL, "'mac=%.*s' is no address such as 00:15:5d:01:02:03",
				 (int)len, text);
	for (unsigned i = 0; i < NET_MAC_BYTES; i++)
		net->mac[i] = (uint8_t)byte[i];
	net->has_mac = true;
	return 0;
}

static int parse_text(const char *word, const char *text, size_t len, char *out, size_t room,
		      struct error *err)
{
	if (!len || len >= room)
		return error_set(err, -EINVAL,
				 "'%s%.*s' has no text, or one of more than %zu bytes", word,
				 (int)len, text, room - 1);
	memcpy(out, text, len);
	out[len] = 0;
	return 0;
}

static int parse_id(const char *text, size_t len, struct config_net *net, struct error *err)
{
	return parse_text("id=", text, len, net->id, sizeof(net->id), err);
}

static int parse_port(const char *text, size_t len, struct config_net *net, struct error *err)
{
	return parse_text("port=", text, len, net->port, sizeof(net->port), err);
}

#define ANY_NET (-1)

static int parse_net_word(const char *word, size_t len, struct config_net *net, struct error *err)
{
	static const struct {
		const char *name;
		int kind; /* of network that has it */
		int (*parse)(const char *text, size_t len, struct config_net *net,
			     struct error *err);
	} words[] = {
		{ "mac=", ANY_NET, parse_mac },
		{ "id=", ANY_NET, parse_id },
		{ "forward=", CONFIG_NET_USER, parse_forward },
		{ "port=", CONFIG_NET_SWITCH, parse_port },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t name_len = strlen(words[i].name);

		if (len < name_len || strncmp(word, words[i].name, name_len) ||
		    (words[i].kind != ANY_NET && words[i].kind != (int)net->kind))
			continue;
		return words[i].parse(word + name_len, len - name_len, net, err);
	}
	return error_set(err, -EINVAL, "unknown word '%.*s'", (int)len, word);
}

int options_parse_net(struct config_net *net, const char *value, struct error *err)
{
	static const char *const words[] = { [CONFIG_NET_NONE] = "none",
					     [CONFIG_NET_USER] = "user",
					     [CONFIG_NET_SWITCH] = "switch" };
	size_t len = strcspn(value, ",");
	char kind[16];
	int i, ret = 0;

	snprintf(kind, sizeof(kind), "%.*s", (int)len, value);
	i = choose(kind, words, ARRAY_SIZE(words), err);
	if (i < 0)
		return i;
	*net = (struct config_net){ .kind = (enum config_net_kind)i };
	while (!ret && value[len] == ',') {
		value += len + 1;
		len = strcspn(value, ",");
		ret = parse_net_word(value, len, net, err);
	}
	if (!ret && net->kind == CONFIG_NET_SWITCH && (!*net->id || !*net->port))
		ret = error_set(
			err, -EINVAL,
			"a switch needs port=PATH, its socket, and id=NAME, whose port it is");
	return ret;
}

static int set_net(struct config *config, const char *value, struct error *err)
{
	int ret;

	if (config->nets == CONFIG_NETS_MAX)
		return error_set(err, -EINVAL, "more than %d network adapters", CONFIG_NETS_MAX);
	ret = options_parse_net(&config->net[config->nets], value, err);
	config->nets += !ret;
	return ret;
}

static int set_serial(struct config *config, const char *value, struct error *err)
{
	static const struct {
		const char *word;
		enum config_serial_kind kind;
		bool has_path;
	} kinds[] = {
		{ "stdio", CONFIG_SERIAL_STDIO, false },
		{ "none", CONFIG_SERIAL_NONE, false },
		{ "file:", CONFIG_SERIAL_FILE, true },
		{ "unix:", CONFIG_SERIAL_UNIX, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].word);

		if (strncmp(value, kinds[i].word, len) || !value[len] == kinds[i].has_path)
			continue;
		config->serial = (struct config_serial){ kinds[i].kind,
							 kinds[i].has_path ? value + len : NULL };
		return 0;
	}
	return error_set(err, -EINVAL, "'%s' is not one of stdio, none, file:PATH, unix:PATH",
			 value);
}

#define FIELD(name) offsetof(struct config, name)

static const struct option options[] = {
	{ "engine", "auto|kvm|soft|interp|check", false, set_engine, 0,
	  "what runs the processors: the host's KVM, software, software\n"
	  "without translation, or both of these, compared block by block;\n"
	  "auto (the default) is kvm where that can run the machine, else soft" },
	{ "cpu", "intel|amd", false, set_cpu, 0,
	  "the processor's vendor (default: the host's with kvm, else intel)" },
	{ "cpus", "N", false, NULL, FIELD(cpus), "number of processors, 1 to 64 (default 1)", 1,
	  CONFIG_CPUS_MAX },
	{ "cpu-maximum", "PERCENT", false, NULL, FIELD(cpu_maximum_percent),
	  "of what its processors could use of the host's, 1 to 100 (default 100)", 1,
	  SHARE_MAXIMUM_DEFAULT },
	{ "cpu-weight", "WEIGHT", false, NULL, FIELD(cpu_weight),
	  "against others where the host is busy, 1 to 10000 (default 100)", 1, SHARE_WEIGHT_MAX },
	{ "memory", "SIZE", false, set_memory, 0, "RAM, such as 512M or 2G (default 1G)" },
	{ "memory-max", "SIZE", false, set_memory_maximum, 0,
	  "dynamic memory: the guest gets what it needs, up to SIZE or 8 times\n"
	  "--memory, by the driver virtio_balloon" },
	{ "memory-min", "SIZE", false, set_memory_minimum, 0,
	  "and keeps that much (default: what it starts with)" },
	{ "memory-buffer", "PERCENT", false, NULL, FIELD(memory_buffer_percent),
	  "of what it needs, and gets on top of it (default 20)", 0, CONFIG_BUFFER_MAX_PERCENT },
	{ "memory-priority", "0..100", false, NULL, FIELD(memory_priority),
	  "who gets the host's last memory (default 50)", 0, BALANCE_PRIORITY_MAX },
	{ "nested", "on|off", false, set_nested, 0,
	  "show virtualization extensions to the guest (default off)" },
	{ "kernel", "FILE", false, NULL, FIELD(kernel),
	  "a Linux bzImage, a multiboot image or an ELF image with a PVH entry" },
	{ "initrd", "FILE", false, NULL, FIELD(initrd),
	  "initial file system, or the multiboot module" },
	{ "append", "TEXT", false, NULL, FIELD(append), "the kernel's command line" },
	{ "disk", "FILE[,readonly]", true, set_disk, 0,
	  "a disk image on a virtio disk: raw, or what its name ends with:\n"
	  ".qcow2, .vhdx, .vhd, .vmdk or .vdi, by qemu-nbd" },
	{ "net", "user|switch|none[,mac=ADDRESS][,id=NAME][,WORD]...", true, set_net, 0,
	  "a virtio network adapter: on a network of its own with DHCP,\n"
	  "DNS and a way out (forward=tcp:HOSTPORT:GUESTPORT leads in), at the\n"
	  "port id= of a virtual switch (port=PATH, its socket), or unplugged" },
	{ "serial", "stdio|none|file:PATH|unix:PATH", false, set_serial, 0,
	  "what the first serial port is plugged into (default stdio);\n"
	  "in a terminal Ctrl-] then q ends the machine" },
	{ "agent", "PATH", false, NULL, FIELD(agent),
	  "a socket that leads to the guest agent's port in the guest" },
	{ "control", "PATH", false, NULL, FIELD(control),
	  "a socket through which the machine can be asked and told things" },
	{ "debug-exit", NULL, false, NULL, FIELD(debug_exit),
	  "a write of V to port f4h ends the machine with status 2V+1" },
	{ "no-reboot", NULL, false, NULL, FIELD(no_reboot),
	  "a reset ends the machine with status 3" },
	{ "timeout", "SECONDS", false, NULL, FIELD(timeout_seconds),
	  "end with status 124 after that time", 1, TIMEOUT_MAX },
	{ "verbose", NULL, false, NULL, FIELD(verbose), "say on standard error what goes on" },
	{ "stats", NULL, false, NULL, FIELD(stats),
	  "say on standard error at the end what software processors counted" },
	{ "exact-flags", NULL, false, NULL, FIELD(exact_flags),
	  "keep status flags at faults even where nothing reads them; slower" },
	{ "code-cache", "SIZE", false, set_code_cache, 0,
	  "memory for decoded and translated code, 2M to 1G (default 192M)" },
	{ "tier", "both|compact|inline", false, set_tier, 0,
	  "how guest code is translated: compact, inline where it is hot\n"
	  "(both, the default), or always the one way" },
};

/* The value of an option without a function of its own. */
static int set_field(struct config *config, const struct option *option, const char *value,
		     struct error *err)
{
	char *field = (char *)config + option->field;
	const bool on = true;
	unsigned number;
	uint64_t n;
	int ret;

	if (option->max) {
		ret = parse_number(value, option->min, option->max, &n, err);
		if (ret)
			return ret;
		number = (unsigned)n;
		memcpy(field, &number, sizeof(number));
	} else if (option->value) {
		memcpy(field, &value, sizeof(value));
	} else {
		memcpy(field, &on, sizeof(on));
	}
	return 0;
}

static int set(struct config *config, const struct option *option, const char *value,
	       struct error *err)
{
	struct error reason = { "" };
	int ret = option->set ? option->set(config, value, &reason)
			      : set_field(config, option, value, &reason);

	return ret ? error_set(err, ret, "--%s: %s", option->name, reason.text) : 0;
}

static const struct option *find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (strlen(options[i].name) == len && !strncmp(options[i].name, name, len))
			return &options[i];
	}
	return NULL;
}

/* Takes one option and its value off the arguments. Returns how many they were. */
static int parse_one(struct config *config, int argc, char *const argv[], struct error *err)
{
	const char *name = argv[0], *value;
	const struct option *option;
	int used = 1, ret;

	if (strncmp(name, "--", 2))
		return error_set(err, -EINVAL, "unexpected argument '%s'", name);
	name += 2;
	option = find(name, strcspn(name, "="));
	if (!option)
		return error_set(err, -EINVAL, "unknown option '%s'; see nidus help run", argv[0]);
	value = strchr(name, '=');
	if (value)
		value++;
	if (!option->value && value)
		return error_set(err, -EINVAL, "--%s takes no value", option->name);
	if (option->value && !value) {
		if (argc == 1)
			return error_set(err, -EINVAL, "--%s needs a value: %s", option->name,
					 option->value);
		value = argv[used++];
	}
	ret = set(config, option, value, err);
	return ret ? ret : used;
}

int options_parse(struct config *config, int argc, char *const argv[], struct error *err)
{
	for (int i = 0; i < argc;) {
		int used = parse_one(config, argc - i, argv + i, err);

		if (used < 0)
			return used;
		i += used;
	}
	return 0;
}

static void print_indented(FILE *out, const char *text)
{
	fputs("        ", out);
	for (; *text; text++) {
		fputc(*text, out);
		if (*text == '\n')
			fputs("        ", out);
	}
	fputc('\n', out);
}

void options_help(FILE *out)
{
	fputs("usage: nidus run [OPTION]...\n\nRuns a virtual machine until it ends.\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct option *o = &options[i];

		fprintf(out, "    --%s%s%s%s\n", o->name, o->value ? " " : "",
			o->value ? o->value : "", o->repeats ? "   (may be repeated)" : "");
		print_indented(out, o->help);
	}
	fputs("\nExit status: 0 the guest switched itself off; 2 a usage error; 3 a reset with\n"
	      "--no-reboot, or a triple fault; 124 the time limit; 125 a fault of nidus itself;\n"
	      "128+N signal N; with --debug-exit 2V+1 for the guest's V.\n",
	      out);
}
