/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VLANs: what access ports and trunks take, which way it goes, and the tag that it has there. */
#include "switch_fixture.h"

#include "switch/packet.h"
#include "switch/policy.h"

/* From one station to another (9: to everyone), with this tag control; NO_TAG: none. */
#define NO_TAG   0x10000
#define EVERYONE 9

static const char *send_tagged(struct fixture *f, unsigned from, unsigned to, unsigned tag)
{
	uint8_t frame[68] = { 0 };
	unsigned at = 12;

	memcpy(frame, fixture_everyone, 6);
	if (to != EVERYONE)
		fixture_mac(to, frame);
	fixture_mac(from, frame + 6);
	if (tag != NO_TAG) {
		frame[at++] = 0x81;
		frame[at++] = 0x00;
		frame[at++] = (uint8_t)(tag >> 8);
		frame[at++] = (uint8_t)tag;
	}
	frame[at++] = 0x88;
	frame[at++] = 0xb5; /* for experiments */
	frame[at] = 0x77;
	fixture_send_bytes(f, from, frame, tag == NO_TAG ? 64 : 68);
	return fixture_receivers(f);
}

/* What station i got has this tag control, or none, and the rest as it was sent. */
static void assert_tag(const struct fixture *f, unsigned i, unsigned tag)
{
	const struct kept *kept = &f->station[i].frame[0];
	const uint8_t *p = kept->data + 12;

	assert_int_equal(kept->bytes, tag == NO_TAG ? 64 : 68);
	if (tag != NO_TAG) {
		assert_int_equal(p[0] << 8 | p[1], 0x8100);
		assert_int_equal(p[2] << 8 | p[3], tag);
		p += 4;
	}
	assert_int_equal(p[0] << 8 | p[1], 0x88b5);
	assert_int_equal(p[2], 0x77);
}

static void access_ports_see_their_vlan_only(void **state)
{
	struct fixture *f = *state;

	fixture_add(f, 1, "'vlan': {'mode': 'Access', 'id': 10}");
	fixture_add(f, 2, "'vlan': {'mode': 'Access', 'id': 10}");
	fixture_add(f, 3, "'vlan': {'mode': 'Access', 'id': 20}");
	fixture_add(f, 4, "");
	assert_string_equal(send_tagged(f, 1, EVERYONE, NO_TAG), "2");
	assert_tag(f, 2, NO_TAG);
	assert_string_equal(send_tagged(f, 1, 2, NO_TAG), "2");
	assert_string_equal(send_tagged(f, 1, 3, NO_TAG), "");
	fixture_tell(f, "drops", "{'port': '1'}");
	assert_non_null(strstr(f->answer, "\"reason\":\"OtherVlan\""));
	assert_non_null(strstr(f->answer, "Set-VMNetworkAdapterVlan -Access -VlanId 10"));
	assert_string_equal(send_tagged(f, 4, EVERYONE, NO_TAG), "");
	fixture_set(f, 3, "'vlan': {'mode': 'Access', 'id': 10}");
	assert_string_equal(send_tagged(f, 1, 3, NO_TAG), "3");
	fixture_set(f, 1, "'vlan': {'mode': 'Untagged'}");
	assert_string_equal(send_tagged(f, 1, EVERYONE, NO_TAG), "4");
}

static void access_ports_take_no_tags(void **state)
{
	struct fixture *f = *state;

	fixture_add(f, 1, "'vlan': {'mode': 'Access', 'id': 10}");
	fixture_add(f, 2, "'vlan': {'mode': 'Access', 'id': 10}");
	fixture_add(f, 3, "");
	assert_string_equal(send_tagged(f, 1, 2, 10), "");
	assert_string_equal(send_tagged(f, 1, 2, 20), "");
	assert_string_equal(send_tagged(f, 3, EVERYONE, 10), "");
	fixture_tell(f, "drops", "{'port': '3'}");
	assert_non_null(strstr(f->answer, "\"reason\":\"VlanTag\""));
	assert_non_null(strstr(f->answer, "-Trunk -AllowedVlanIdList '10' -NativeVlanId 0"));
	/* A tag that says a priority only is no VLAN's. */
	assert_string_equal(send_tagged(f, 1, 2, 0xa000), "2");
	assert_tag(f, 2, NO_TAG);
}

static void trunks_tag_what_is_allowed(void **state)
{
	struct fixture *f = *state;

	fixture_add(f, 1, "'vlan': {'mode': 'Trunk', 'native': 5, 'allowed': '10-12,20'}");
	fixture_add(f, 2, "'vlan': {'mode': 'Access', 'id': 10}");
	fixture_add(f, 3, "'vlan': {'mode': 'Access', 'id': 13}");
	fixture_add(f, 4, "'vlan': {'mode': 'Access', 'id': 5}");
	fixture_add(f, 5, "'vlan': {'mode': 'Trunk', 'native': 10, 'allowed': '5,20'}");
	assert_string_equal(send_tagged(f, 1, EVERYONE, 0x600a), "25"); /* VLAN 10, priority 3 */
	assert_tag(f, 2, NO_TAG);
	assert_tag(f, 5, NO_TAG);
	assert_string_equal(send_tagged(f, 1, EVERYONE, NO_TAG), "45");
	assert_tag(f, 4, NO_TAG);
	assert_tag(f, 5, 5);
	assert_string_equal(send_tagged(f, 1, EVERYONE, 0x2014), "5");
	assert_tag(f, 5, 0x2014);
	assert_string_equal(send_tagged(f, 1, EVERYONE, 13), "");
	assert_string_equal(send_tagged(f, 2, EVERYONE, NO_TAG), "15");
	assert_tag(f, 1, 10);
	assert_string_equal(send_tagged(f, 2, EVERYONE, 0xa000), "15"); /* a priority only */
	assert_tag(f, 1, 0xa00a);
	assert_string_equal(send_tagged(f, 3, EVERYONE, NO_TAG), "");
	assert_string_equal(send_tagged(f, 5, EVERYONE, 0xe005), "14");
	assert_tag(f, 1, NO_TAG);
	assert_tag(f, 4, NO_TAG);
}

/* To everyone, with two tags. */
static const char *send_stacked(struct fixture *f, unsigned from, unsigned outer, unsigned inner)
{
	uint8_t frame[72] = { 0 };

	memcpy(frame, fixture_everyone, 6);
	fixture_mac(from, frame + 6);
	store_be16(frame + 12, ETHERTYPE_VLAN);
	store_be16(frame + 14, outer);
	store_be16(frame + 16, ETHERTYPE_VLAN);
	store_be16(frame + 18, inner);
	store_be16(frame + 20, 0x88b5);
	fixture_send_bytes(f, from, frame, sizeof(frame));
	return fixture_receivers(f);
}

/* What is behind the tag leads nobody into another VLAN. */
static void a_second_tag_never_becomes_the_tag(void **state)
{
	struct fixture *f = *state;
	const struct kept *kept = &f->station[3].frame[0];

	fixture_add(f, 1, "'vlan': {'mode': 'Access', 'id': 5}");
	fixture_add(f, 2, "'vlan': {'mode': 'Trunk', 'native': 7, 'allowed': '5'}");
	fixture_add(f, 3, "'vlan': {'mode': 'Trunk', 'native': 5, 'allowed': '10'}");
	fixture_add(f, 4, "");
	fixture_add(f, 5, "");
	assert_string_equal(send_stacked(f, 1, 0, 10), "");
	assert_string_equal(send_stacked(f, 4, 0, 10), "");
	fixture_tell(f, "drops", "{'port': '4'}");
	assert_non_null(strstr(f->answer, "\"reason\":\"VlanTag\""));
	assert_non_null(strstr(f->answer, "\"remedy\":null"));
	assert_string_equal(send_stacked(f, 2, 5, 10), "13");
	assert_int_equal(kept->bytes, 72);
	assert_int_equal(load_be16(kept->data + 14), 5);
	assert_int_equal(load_be16(kept->data + 18), 10);
}

static void an_address_is_learned_for_its_vlan(void **state)
{
	struct fixture *f = *state;
	const uint8_t foreign[6] = { 2, 2, 2, 2, 2, 2 };
	uint8_t two[6], three[6];

	fixture_mac(2, two);
	fixture_mac(3, three);
	fixture_add(f, 1, "'spoofing': true, 'vlan': {'mode': 'Access', 'id': 10}");
	fixture_add(f, 2, "'vlan': {'mode': 'Access', 'id': 10}");
	fixture_add(f, 3, "'vlan': {'mode': 'Access', 'id': 20}");
	fixture_add(f, 4, "'spoofing': true, 'vlan': {'mode': 'Access', 'id': 20}");
	fixture_send(f, 1, foreign, fixture_everyone);
	fixture_send(f, 2, two, foreign);
	assert_string_equal(fixture_receivers(f), "1");
	fixture_send(f, 3, three, foreign);
	assert_string_equal(fixture_receivers(f), "4");
}

static void policies_read_back_as_they_were_set(void **state)
{
	static const char *const good[] = {
		"{\"mode\":\"Untagged\"}",
		"{\"mode\":\"Access\",\"id\":4094}",
		"{\"mode\":\"Trunk\",\"native\":0,\"allowed\":\"1-4094\"}",
		"{\"mode\":\"Trunk\",\"native\":7,\"allowed\":\"2,4-6,100\"}",
	};
	static const char *const bad[] = {
		"{\"mode\":\"Access\",\"id\":0}",
		"{\"mode\":\"Access\",\"id\":4095}",
		"{\"mode\":\"Access\"}",
		"{\"mode\":\"Access\",\"id\":\"5\"}",
		"{\"mode\":\"Promiscuous\"}",
		"{\"mode\":7}",
		"{}",
		"{\"mode\":\"Trunk\",\"native\":0}",
		"{\"mode\":\"Trunk\",\"native\":0,\"allowed\":\"4095\"}",
		"{\"mode\":\"Trunk\",\"native\":0,\"allowed\":\"1-\"}",
		"{\"mode\":\"Trunk\",\"native\":0,\"allowed\":\"-3\"}",
		"{\"mode\":\"Trunk\",\"native\":0,\"allowed\":\"1;2\"}",
		"{\"mode\":\"Trunk\",\"native\":-1,\"allowed\":\"1\"}",
		"{\"mode\":\"Trunk\",\"native\":0,\"allowed\":\"99999999999999999999\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good) + ARRAY_SIZE(bad); i++) {
		bool is_good = i < ARRAY_SIZE(good);
		const char *text = is_good ? good[i] : bad[i - ARRAY_SIZE(good)];
		json_t *change = json_pack("{s:o}", "vlan", json_loads(text, 0, NULL)), *back;
		struct switch_policy policy, before;
		struct error err;

		switch_policy_init(&policy);
		before = policy;
		assert_int_equal(switch_policy_change(&policy, change, &err),
				 is_good ? 0 : -EINVAL);
		if (!is_good)
			assert_memory_equal(&policy, &before, sizeof(policy));
		back = switch_policy_object(&policy);
		assert_int_equal(
			json_equal(json_object_get(back, "vlan"), json_object_get(change, "vlan")),
			is_good);
		json_decref(change);
		json_decref(back);
	}
}

/* All VLANs but each nth one. */
static void check_list_without(unsigned n)
{
	struct switch_policy policy, again;
	struct error err;
	json_t *object;

	switch_policy_init(&policy);
	policy.vlan.mode = SWITCH_VLAN_TRUNK;
	for (unsigned id = 1; id <= VLAN_MAX; id++) {
		if (id % n)
			policy.vlan.allowed[id / 64] |= BIT(id % 64);
	}
	object = switch_policy_object(&policy);
	switch_policy_init(&again);
	assert_int_equal(switch_policy_change(&again, object, &err), 0);
	assert_memory_equal(&policy.vlan, &again.vlan, sizeof(policy.vlan));
	json_decref(object);
}

static void the_longest_lists_of_vlans_fit(void **state)
{
	(void)state;
	for (unsigned n = 2; n < 6; n++)
		check_list_without(n);
}

#define V(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		V(access_ports_see_their_vlan_only),
		V(access_ports_take_no_tags),
		V(trunks_tag_what_is_allowed),
		V(a_second_tag_never_becomes_the_tag),
		V(an_address_is_learned_for_its_vlan),
		cmocka_unit_test(policies_read_back_as_they_were_set),
		cmocka_unit_test(the_longest_lists_of_vlans_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
