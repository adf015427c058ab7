/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network adapters of VMs: see ctl/adapter.h. */
#include "ctl/adapter.h"

#include <sys/random.h>

/* Hyper-V's pool begins with Microsoft's 00-15-5D. */
static json_t *random_mac(void)
{
	uint8_t b[3];

	while (getrandom(b, sizeof(b), 0) != sizeof(b))
		continue;
	return value_format("00155D%02X%02X%02X", b[0], b[1], b[2]);
}

json_t *adapter_create(const char *name, const char *switch_name)
{
	json_t *adapter = json_object();
	char id[STORE_ID_SIZE];

	store_make_id(id);
	json_object_set_new(adapter, "Id", json_string(id));
	json_object_set_new(adapter, "Name", value_string(name));
	json_object_set_new(adapter, "SwitchName", value_string(switch_name ? switch_name : ""));
	json_object_set_new(adapter, "MacAddress", random_mac());
	json_object_set_new(adapter, "DynamicMacAddressEnabled", json_true());
	json_object_set_new(adapter, "IsLegacy", json_false());
	json_object_set_new(adapter, "MacAddressSpoofing", json_string("Off"));
	json_object_set_new(adapter, "DhcpGuard", json_string("Off"));
	json_object_set_new(adapter, "RouterGuard", json_string("Off"));
	json_object_set_new(adapter, "PortMirroringMode", json_string("None"));
	json_object_set_new(adapter, "IeeePriorityTag", json_string("Off"));
	json_object_set_new(adapter, "AllowTeaming", json_string("Off"));
	json_object_set_new(adapter, "DeviceNaming", json_string("Off"));
	return adapter;
}
