/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A port's policy and its form in JSON: see switch/policy.h. */
#include "switch/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const mode_names[] = { "Untagged", "Access", "Trunk" };
static const char *const mirroring_names[] = { "None", "Source", "Destination" };

void switch_policy_init(struct switch_policy *policy)
{
	*policy = (struct switch_policy){ .spoofing = false };
}

bool switch_vlan_is_allowed(const struct switch_vlan *vlan, unsigned id)
{
	return id && id <= VLAN_MAX && vlan->allowed[id / 64] >> id % 64 & 1;
}

/* --- from JSON --- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_mac(const char *text, uint8_t mac[FRAME_MAC_BYTES])
{
	memset(mac, 0, FRAME_MAC_BYTES);
	if (!*text)
		return true;
	for (unsigned i = 0; i < FRAME_MAC_BYTES; i++) {
		int high, low;

		if (i && (*text == ':' || *text == '-'))
			text++;
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return !*text && !mac_is_multicast(mac);
}

static int change_mac(struct switch_policy *policy, const json_t *value)
{
	return json_is_string(value) && parse_mac(json_string_value(value), policy->mac) ? 0
											 : -EINVAL;
}

static int change_bool(bool *flag, const json_t *value)
{
	*flag = json_is_true(value);
	return json_is_boolean(value) ? 0 : -EINVAL;
}

static int change_spoofing(struct switch_policy *policy, const json_t *value)
{
	return change_bool(&policy->spoofing, value);
}

static int change_dhcp_guard(struct switch_policy *policy, const json_t *value)
{
	return change_bool(&policy->dhcp_guard, value);
}

static int change_router_guard(struct switch_policy *policy, const json_t *value)
{
	return change_bool(&policy->router_guard, value);
}

/* The index of a name, or -EINVAL. */
static int choose(const json_t *value, const char *const names[], int count)
{
	for (int i = 0; json_is_string(value) && i < count; i++) {
		if (!strcmp(json_string_value(value), names[i]))
			return i;
	}
	return -EINVAL;
}

static int change_mirroring(struct switch_policy *policy, const json_t *value)
{
	int i = choose(value, mirroring_names, ARRAY_SIZE(mirroring_names));

	if (i < 0)
		return i;
	policy->mirroring = (enum switch_mirroring)i;
	return 0;
}

static bool parse_id(const char **text, unsigned *id)
{
	char *end;
	unsigned long n = strtoul(*text, &end, 10);

	if (**text < '0' || **text > '9' || n > VLAN_MAX)
		return false;
	*text = end;
	*id = (unsigned)n;
	return true;
}

/* "1-100,200" */
static int parse_allowed(const char *text, struct switch_vlan *vlan)
{
	while (*text) {
		unsigned first, last;

		if (!parse_id(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-' && (text++, !parse_id(&text, &last)))
			return -EINVAL;
		for (unsigned id = first; id <= last; id++)
			vlan->allowed[id / 64] |= BIT(id % 64);
		if (*text == ',')
			text++;
		else if (*text)
			return -EINVAL;
	}
	return 0;
}

static int take_id(struct switch_vlan *vlan, const json_t *value, unsigned min)
{
	json_int_t id = json_integer_value(value);

	if ((value && !json_is_integer(value)) || id < min || id > VLAN_MAX)
		return -EINVAL;
	vlan->id = (uint16_t)id;
	return 0;
}

static int change_vlan(struct switch_policy *policy, const json_t *value)
{
	const char *allowed = json_string_value(json_object_get(value, "allowed"));
	int mode = choose(json_object_get(value, "mode"), mode_names, ARRAY_SIZE(mode_names));
	struct switch_vlan vlan = { .mode = (enum switch_vlan_mode)mode };
	int ret = MIN(mode, 0);

	if (mode == SWITCH_VLAN_ACCESS)
		ret = take_id(&vlan, json_object_get(value, "id"), 1);
	if (mode == SWITCH_VLAN_TRUNK)
		ret = take_id(&vlan, json_object_get(value, "native"), 0);
	if (!ret && mode == SWITCH_VLAN_TRUNK)
		ret = allowed ? parse_allowed(allowed, &vlan) : -EINVAL;
	if (!ret)
		policy->vlan = vlan;
	return ret;
}

static int change_limit(struct switch_policy *policy, const json_t *value)
{
	json_int_t limit = json_integer_value(value);

	if (!json_is_integer(value) || limit < 0)
		return -EINVAL;
	policy->max_bits_per_second = (uint64_t)limit;
	return 0;
}

static const struct member {
	const char *name;
	int (*change)(struct switch_policy *policy, const json_t *value);
} members[] = {
	{ "mac", change_mac },
	{ "spoofing", change_spoofing },
	{ "dhcp_guard", change_dhcp_guard },
	{ "router_guard", change_router_guard },
	{ "mirroring", change_mirroring },
	{ "vlan", change_vlan },
	{ "max_bits_per_second", change_limit },
};

int switch_policy_change(struct switch_policy *policy, const json_t *object, struct error *err)
{
	struct switch_policy changed = *policy;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const json_t *value = json_object_get(object, members[i].name);

		if (value && members[i].change(&changed, value))
			return error_set(err, -EINVAL, "'%s' has a value that cannot be",
					 members[i].name);
	}
	*policy = changed;
	return 0;
}

/* --- to JSON --- */

json_t *switch_vlan_list(const struct switch_vlan *vlan)
{
	char text[VLAN_MAX * 4]; /* at most two of each three, as "1000-1001," */
	size_t len = 0;

	text[0] = 0;
	for (unsigned id = 0; id <= VLAN_MAX; id++) {
		unsigned first = id;

		if (!switch_vlan_is_allowed(vlan, id))
			continue;
		while (switch_vlan_is_allowed(vlan, id + 1))
			id++;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u", len ? "," : "",
					first);
		if (id > first)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "-%u", id);
	}
	return json_string(text);
}

static json_t *vlan_object(const struct switch_vlan *vlan)
{
	const char *mode = mode_names[vlan->mode];

	if (vlan->mode == SWITCH_VLAN_ACCESS)
		return json_pack("{s:s, s:i}", "mode", mode, "id", vlan->id);
	if (vlan->mode == SWITCH_VLAN_TRUNK)
		return json_pack("{s:s, s:i, s:o}", "mode", mode, "native", vlan->id, "allowed",
				 switch_vlan_list(vlan));
	return json_pack("{s:s}", "mode", mode);
}

static json_t *mac_object(const uint8_t *mac)
{
	char text[2 * FRAME_MAC_BYTES + 1] = "";

	for (unsigned i = 0; i < FRAME_MAC_BYTES && !mac_is_zero(mac); i++)
		snprintf(text + 2 * i, sizeof(text) - 2 * i, "%02X", mac[i]);
	return json_string(text);
}

json_t *switch_policy_object(const struct switch_policy *policy)
{
	return json_pack("{s:o, s:b, s:b, s:b, s:s, s:o, s:I}", "mac", mac_object(policy->mac),
			 "spoofing", policy->spoofing, "dhcp_guard", policy->dhcp_guard,
			 "router_guard", policy->router_guard, "mirroring",
			 mirroring_names[policy->mirroring], "vlan", vlan_object(&policy->vlan),
			 "max_bits_per_second", (json_int_t)policy->max_bits_per_second);
}
