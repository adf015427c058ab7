/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest says of its network: see ctl/guestnet.h. The guest may say anything. */
#include "ctl/guestnet.h"

#include "ctl/agent.h"
#include "ctl/netaddress.h"

#include <ctype.h>
#include <unistd.h>

#define AGENT_MS      1000 /* one that listens may be busy with another command */
#define MAC_DIGITS    12
#define ADDRESSES_MAX 64 /* of one interface */

/* "52:54:00:12:34:5e" as 12 digits; false: it is none. */
static bool normalize_mac(const char *text, char mac[MAC_DIGITS + 1])
{
	size_t digits = 0;

	for (; text && *text && digits < MAC_DIGITS; text++) {
		if (isxdigit((unsigned char)*text))
			mac[digits++] = (char)toupper((unsigned char)*text);
	}
	mac[digits] = 0;
	return digits == MAC_DIGITS;
}

/* What is no address, such as a text for the operator's terminal, is left out. */
static void add_family(const json_t *interface, const char *family, json_t *list)
{
	json_t *address;
	size_t i;

	json_array_foreach(json_object_get(interface, "ip-addresses"), i, address)
	{
		const char *type = value_text_of(address, "ip-address-type");
		const char *text = value_text_of(address, "ip-address");
		char canonical[INET6_ADDRSTRLEN];
		struct address parsed;

		if (type && text && !strcmp(type, family) &&
		    json_array_size(list) < ADDRESSES_MAX &&
		    netaddress_parse(text, &parsed, canonical))
			json_array_append_new(list, json_string(canonical));
	}
}

static void add_interface(const json_t *interface, json_t *addresses)
{
	json_t *list;
	char mac[MAC_DIGITS + 1];

	if (!normalize_mac(value_text_of(interface, "hardware-address"), mac))
		return;
	/* A bridge has the address of its first port: both count as the adapter. */
	list = json_object_get(addresses, mac);
	if (!list) {
		list = json_array();
		json_object_set_new(addresses, mac, list);
	}
	add_family(interface, "ipv4", list);
	add_family(interface, "ipv6", list);
}

json_t *guestnet_addresses(struct store *store, const struct machine *machine)
{
	json_t *addresses = json_object(), *reply = NULL, *interface;
	bool may_answer = machine_is_running(machine) && machine->process.has_agent;
	int fd = may_answer ? agent_open(store, machine->id, AGENT_MS, NULL) : -1;
	size_t i;

	if (fd < 0)
		return addresses;
	if (!agent_request(fd, "guest-network-get-interfaces", NULL, &reply, NULL)) {
		json_array_foreach(reply, i, interface) add_interface(interface, addresses);
	}
	json_decref(reply);
	close(fd);
	return addresses;
}
