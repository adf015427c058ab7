/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netsh, of which there is one command: interface ip add dnsserver. The name servers of adapters on
 * switches are in the switch's definition; those of the kernel's adapters are systemd-resolved's,
 * or in /etc/resolv.conf.
 */
#include "ctl/netaddress.h"
#include "ctl/netadapter.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define SERVERS_MAX 16 /* of an adapter that are kept */

/* --- where name servers are --- */

static int append(struct call *call, json_t *servers, const void *server)
{
	(void)call;
	return json_array_append_new(servers, json_string(server));
}

/* The words behind "Link 2 (eth0):", which change; as many as fit. */
static size_t split_servers(char *said, char *servers[], size_t most)
{
	char *p = strchr(said, ':'), *rest = NULL;
	size_t count = 0;

	for (p = p ? strtok_r(p + 1, " \n", &rest) : NULL; p && count < most;
	     p = strtok_r(NULL, " \n", &rest))
		servers[count++] = p;
	return count;
}

/* systemd-resolved is told all servers of an adapter at once: those that there are, and this. */
static int tell_resolved(const struct netadapter *adapter, const char *server,
			 const struct text *now, struct error *err)
{
	char *argv[3 + SERVERS_MAX + 2] = { "resolvectl", "dns", adapter->device };
	char *said = text_copy(now->s ? now->s : "");
	size_t count = split_servers(said, argv + 3, SERVERS_MAX);
	int ret;

	argv[3 + count] = (char *)server;
	ret = spawn_run(argv, NULL, err);
	free(said);
	return ret;
}

static int write_resolv_conf(const char *server, struct error *err)
{
	FILE *file = fopen(RESOLV_CONF, "ae");
	int ret = 0;

	if (!file || fprintf(file, "nameserver %s\n", server) < 0)
		ret = -errno;
	if (file && fclose(file) && !ret)
		ret = -errno;
	return ret ? error_set(err, ret, RESOLV_CONF ": %s", strerror(-ret)) : 0;
}

/* Where there is no systemd-resolved to ask, resolv.conf is the place. */
static int add_server_to_device(struct call *call, const struct netadapter *adapter,
				const char *server)
{
	char *const show[] = { "resolvectl", "dns", adapter->device, NULL };
	struct text now = { 0 };
	struct error err = { "" };
	int ret = spawn_run(show, &now, NULL);

	ret = ret ? write_resolv_conf(server, &err) : tell_resolved(adapter, server, &now, &err);
	text_free(&now);
	return ret ? call_error(call, ERROR_DENIED, adapter->name,
				"The name server of '%s' cannot be set: %s.", adapter->name,
				err.text)
		   : 0;
}

/* --- the command line --- */

static const char netsh_usage[] =
	"Usage: netsh interface ip add dnsserver [name=]ADAPTER [address=]ADDRESS [[index=]N]\n"
	"[[validate=]yes|no]";

/* Words may be cut short as long as they begin like one of these. */
static bool is_short_for(const char *word, const char *whole)
{
	return *word && !strncasecmp(whole, word, strlen(word));
}

/* The value behind a tag; NULL where it is not there. */
static const char *tagged(const json_t *words, const char *tag)
{
	size_t len = strlen(tag), i;
	json_t *word;

	json_array_foreach(words, i, word)
	{
		const char *text = json_string_value(word), *equals = strchr(text, '=');

		if (equals && (size_t)(equals - text) == len && !strncasecmp(text, tag, len))
			return equals + 1;
	}
	return NULL;
}

/* The nth word without a tag, from `first` on. */
static const char *untagged(const json_t *words, size_t first, size_t n)
{
	json_t *word;
	size_t i;

	json_array_foreach(words, i, word)
	{
		const char *text = json_string_value(word);

		if (i >= first && !strchr(text, '=') && !n--)
			return text;
	}
	return NULL;
}

static int add_server(struct call *call, const json_t *words, size_t first)
{
	const char *name = tagged(words, "name"), *server = tagged(words, "address");
	char canonical[INET6_ADDRSTRLEN];
	struct netadapter adapter;
	struct address address;
	int ret;

	/* What has no tag is in its usual place among those without. */
	server = server ? server : untagged(words, first, name ? 0 : 1);
	name = name ? name : untagged(words, first, 0);
	if (server && *server == '<')
		return call_error_as(
			call, "InvalidArgument", "NetshSyntax", server,
			"Replace the placeholder <...> by the address of a name server; no "
			"< > around it.");
	if (!name || !server)
		return call_error_as(call, "InvalidArgument", "NetshSyntax", "", "%s", netsh_usage);
	if (!netaddress_parse(server, &address, canonical))
		return netaddress_incorrect(call, server, "is no IP address");
	if (!netadapter_find(call->shell->store, name, &adapter))
		return call_error_as(
			call, "ObjectNotFound", "NetshNotFound", name,
			"The filename, directory name, or volume label syntax is incorrect: "
			"there is no adapter '%s'.",
			name);
	ret = adapter.device ? add_server_to_device(call, &adapter, canonical)
			     : netaddress_change(call, value_text_of(adapter.network, "Id"),
						 "DnsServers", append, canonical);
	netadapter_free(&adapter);
	if (!ret)
		call_emit(call, json_string(""));
	return ret;
}

static int netsh(struct call *call)
{
	static const char *const contexts[][3] = {
		{ "interface", NULL, NULL },
		{ "ipv4", "ip", "ipv6" },
		{ "add", NULL, NULL },
		{ "dnsservers", NULL, NULL },
	};
	const json_t *words = call_value(call, "Words");

	for (size_t i = 0; i < ARRAY_SIZE(contexts); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		bool fits = false;

		for (size_t k = 0; k < 3 && contexts[i][k] && word; k++)
			fits |= is_short_for(word, contexts[i][k]);
		if (!fits)
			return call_error_as(call, "InvalidArgument", "NetshSyntax",
					     word ? word : "",
					     "The following command was not found: %s.\n%s",
					     word ? word : "", netsh_usage);
	}
	return add_server(call, words, ARRAY_SIZE(contexts));
}

/* --- the table --- */

static const struct param netsh_params[] = {
	{ "Words", NULL, PARAM_STRING, .flags = MANY | REST },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "netsh", "netsh.exe", "Adds a name server: netsh interface ip add dnsserver.",
	  netsh_params, NULL, 0, netsh },
	{ NULL },
};

const struct noun noun_netsh = { cmdlets, NULL };
