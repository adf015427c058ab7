/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A gateway's configuration from JSON: see switch/gateway.h. */
#include "switch/gateway.h"

#include <errno.h>
#include <strings.h>

static int bad(struct error *err, const char *member, const char *text, const char *why)
{
	return error_set(err, -EINVAL, "%s: '%s' is no %s", member, text ? text : "", why);
}

/* An array of strings, each ADDRESS/BITS; *count stays below max. */
static int read_prefixes(const json_t *object, const char *member, struct address *list,
			 unsigned max, unsigned *count, struct error *err)
{
	const json_t *array = json_object_get(object, member), *item;
	size_t i;

	*count = 0;
	json_array_foreach(array, i, item)
	{
		const char *text = json_string_value(item);

		if (i == max)
			return error_set(err, -EINVAL, "%s: more than %u", member, max);
		if (!text || !address_parse(text, &list[i]))
			return bad(err, member, text, "address with a prefix length");
		*count = (unsigned)i + 1;
	}
	return 0;
}

static int read_address(const json_t *object, const char *member, struct address *address,
			struct error *err)
{
	const char *text = json_string_value(json_object_get(object, member));

	if (!text || strchr(text, '/') || !address_parse(text, address))
		return bad(err, member, text, "IP address");
	return 0;
}

static int read_port(const json_t *object, const char *member, uint16_t *port, struct error *err)
{
	json_int_t value = json_integer_value(json_object_get(object, member));

	if (value < 1 || value > UINT16_MAX)
		return error_set(err, -EINVAL, "%s: %lld is no port", member, (long long)value);
	*port = (uint16_t)value;
	return 0;
}

static int read_mapping(const json_t *object, struct gateway_mapping *mapping, struct error *err)
{
	const char *protocol = json_string_value(json_object_get(object, "protocol"));

	if (!protocol || (strcasecmp(protocol, "TCP") && strcasecmp(protocol, "UDP")))
		return bad(err, "protocol", protocol, "TCP or UDP");
	mapping->is_udp = !strcasecmp(protocol, "UDP");
	if (read_address(object, "external", &mapping->external, err) ||
	    read_address(object, "internal", &mapping->internal, err) ||
	    read_port(object, "external_port", &mapping->external_port, err) ||
	    read_port(object, "internal_port", &mapping->internal_port, err))
		return -EINVAL;
	if (mapping->external.family != mapping->internal.family)
		return error_set(err, -EINVAL, "external and internal: one is IPv4, one IPv6");
	return 0;
}

static int read_mappings(const json_t *object, struct gateway_config *config, struct error *err)
{
	const json_t *array = json_object_get(object, "mappings"), *item;
	size_t i;

	json_array_foreach(array, i, item)
	{
		if (i == GATEWAY_MAPPINGS_MAX)
			return error_set(err, -EINVAL, "mappings: more than %d",
					 GATEWAY_MAPPINGS_MAX);
		if (read_mapping(item, &config->mappings[i], err))
			return -EINVAL;
		config->mapping_count = (unsigned)i + 1;
	}
	return 0;
}

int gateway_parse(struct gateway_config *config, const json_t *object, struct error *err)
{
	config->mapping_count = 0;
	if (read_prefixes(object, "addresses", config->addresses, GATEWAY_ADDRESSES_MAX,
			  &config->address_count, err) ||
	    read_prefixes(object, "nats", config->nats, GATEWAY_NATS_MAX, &config->nat_count,
			  err) ||
	    read_prefixes(object, "dhcp", config->dhcp, GATEWAY_NATS_MAX, &config->dhcp_count,
			  err) ||
	    read_prefixes(object, "dns", config->dns, GATEWAY_DNS_MAX, &config->dns_count, err))
		return -EINVAL;
	return read_mappings(object, config, err);
}
