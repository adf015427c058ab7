/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What adapters may do, by the statements about networking that the documents make (G1 to G17),
 * with frames through sockets. Names begin with the statement. G7 and G10 to G15 are about cmdlets
 * and the host's side.
 */
#include "switch_fixture.h"

static const uint8_t nested[6] = { 0x00, 0x15, 0x5d, 0xaa, 0xbb, 0xcc }; /* a guest in a guest */

static const char *send_to(struct fixture *f, unsigned from, const uint8_t *source, unsigned to)
{
	uint8_t destination[6];

	fixture_mac(to, destination);
	fixture_send(f, from, source, destination);
	return fixture_receivers(f);
}

/* The last drop at a port has this in its record. */
static void assert_drop(struct fixture *f, unsigned i, const char *text)
{
	char arguments[32];

	snprintf(arguments, sizeof(arguments), "{'port': '%u'}", i);
	fixture_tell(f, "drops", arguments);
	if (!strstr(f->answer, text))
		fail_msg("no %s in %s", text, f->answer);
}

static void g1_spoofing_is_off_at_first(void **state)
{
	struct fixture *f = *state;

	fixture_add(f, 1, "");
	fixture_tell(f, "ports", "{}");
	assert_non_null(strstr(f->answer, "\"spoofing\":false"));
}

static void g2_off_a_foreign_source_is_dropped(void **state)
{
	struct fixture *f = *state;
	uint8_t own[6];

	fixture_mac(1, own);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	fixture_add(f, 3, "'spoofing': true");
	assert_string_equal(send_to(f, 1, nested, 2), "");
	fixture_send(f, 1, nested, fixture_everyone);
	assert_string_equal(fixture_receivers(f), "");
	assert_drop(f, 1, "\"source\":\"00155DAABBCC\"");
	assert_drop(f, 1, "\"reason\":\"SpoofedSource\"");
	assert_drop(f, 1, "\"remedy\":\"Set-VMNetworkAdapter -MacAddressSpoofing On\"");
	assert_string_equal(send_to(f, 1, own, 2), "2");
	fixture_tell(f, "ports", "{}");
	assert_non_null(strstr(f->answer, "\"in_dropped\":2"));
}

static void g3_on_any_source_passes_and_answers_come_back(void **state)
{
	struct fixture *f = *state;
	uint8_t two[6];

	fixture_mac(2, two);
	fixture_add(f, 1, "'spoofing': true");
	fixture_add(f, 2, "");
	fixture_add(f, 3, "'spoofing': true");
	assert_string_equal(send_to(f, 1, nested, 2), "2");
	fixture_send(f, 2, two, nested);
	assert_string_equal(fixture_receivers(f), "1");
}

static void g4_a_group_is_no_source(void **state)
{
	struct fixture *f = *state;
	const uint8_t group[6] = { 0x01, 0x00, 0x5e, 0, 0, 1 };

	fixture_add(f, 1, "'spoofing': true");
	fixture_add(f, 2, "");
	assert_string_equal(send_to(f, 1, group, 2), "");
	assert_drop(f, 1, "\"reason\":\"MulticastSource\"");
	assert_string_equal(send_to(f, 1, fixture_everyone, 2), "");
	assert_string_equal(send_to(f, 1, (const uint8_t[6]){ 0 }, 2), "");
	assert_drop(f, 1, "\"reason\":\"NoSource\"");
}

static void g5_unknown_addresses_go_where_spoofing_is_on(void **state)
{
	struct fixture *f = *state;
	uint8_t one[6];

	fixture_mac(1, one);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	fixture_send(f, 1, one, nested);
	assert_string_equal(fixture_receivers(f), "");
	assert_drop(f, 1, "\"reason\":\"UnknownDestination\"");
	fixture_add(f, 3, "'spoofing': true");
	fixture_send(f, 1, one, nested);
	assert_string_equal(fixture_receivers(f), "3");
}

static void g6_a_change_holds_for_the_next_frame(void **state)
{
	struct fixture *f = *state;
	uint8_t two[6];

	fixture_mac(2, two);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	fixture_add(f, 3, "'spoofing': true");
	assert_string_equal(send_to(f, 1, nested, 2), "");
	fixture_set(f, 1, "'spoofing': true");
	assert_string_equal(send_to(f, 1, nested, 2), "2");
	fixture_send(f, 2, two, nested);
	assert_string_equal(fixture_receivers(f), "1");
	fixture_set(f, 1, "'spoofing': false");
	assert_string_equal(send_to(f, 1, nested, 2), "");
	fixture_send(f, 2, two, nested); /* what was learned is forgotten */
	assert_string_equal(fixture_receivers(f), "3");
	fixture_set(f, 1, "'spoofing': true");
	fixture_send(f, 2, two, nested);
	assert_string_equal(fixture_receivers(f), "13");
}

static void g3_an_adapters_address_is_not_taken_from_it(void **state)
{
	struct fixture *f = *state;
	uint8_t one[6], two[6];

	fixture_mac(1, one);
	fixture_mac(2, two);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	fixture_add(f, 3, "'spoofing': true");
	assert_string_equal(send_to(f, 3, one, 2), "2");
	assert_string_equal(send_to(f, 2, two, 1), "1");
}

static void g8_the_outer_adapter_decides_for_nested_guests(void **state)
{
	struct fixture *f = *state;
	const uint8_t server[6] = { 0x00, 0x15, 0x5d, 9, 9, 9 };

	fixture_add(f, 1, "");
	fixture_add(f, 2, "'spoofing': true"); /* an uplink with a DHCP server behind it */
	fixture_send(f, 1, nested, fixture_everyone);
	assert_string_equal(fixture_receivers(f), "");
	fixture_set(f, 1, "'spoofing': true");
	fixture_send(f, 1, nested, fixture_everyone);
	assert_string_equal(fixture_receivers(f), "2");
	fixture_send(f, 2, server, nested);
	assert_string_equal(fixture_receivers(f), "1");
}

static void g9_behind_nat_spoofing_may_be_off(void **state)
{
	struct fixture *f = *state;
	uint8_t one[6], two[6];

	/* L1 translates: all frames of its nested guests have its own address. */
	fixture_mac(1, one);
	fixture_mac(2, two);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	assert_string_equal(send_to(f, 1, one, 2), "2");
	assert_string_equal(send_to(f, 2, two, 1), "1");
}

/* A frame from station 1's adapter to everyone with these bytes behind the header. */
static const char *send_payload(struct fixture *f, unsigned type, const uint8_t *bytes,
				size_t count)
{
	uint8_t frame[256] = { 0 };

	memcpy(frame, fixture_everyone, 6);
	fixture_mac(1, frame + 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	memcpy(frame + 14, bytes, count);
	fixture_send_bytes(f, 1, frame, MAX(14 + count, 60));
	return fixture_receivers(f);
}

static const uint8_t dhcp_offer[28] = { 0x45, 0, 0, 28, 0, 0, 0, 0,  64, 17, 0, 0,  192, 168,
					0,    1, 0, 0,  0, 0, 0, 67, 0,  68, 1, 20, 0,   0 };
static const uint8_t dhcp_discover[28] = { 0x45, 0, 0, 28, 0, 0, 0, 0,  64, 17, 0, 0,  0, 0,
					   0,    0, 0, 0,  0, 0, 0, 68, 0,  67, 1, 20, 0, 0 };
static const uint8_t advertisement[44] = { 0x60, 0, 0, 0, 0, 4, 58, 255, [40] = 134 };

static void g17_dhcp_guard_keeps_back_servers(void **state)
{
	struct fixture *f = *state;

	fixture_add(f, 1, "'dhcp_guard': true");
	fixture_add(f, 2, "");
	assert_string_equal(send_payload(f, 0x0800, dhcp_offer, sizeof(dhcp_offer)), "");
	assert_drop(f, 1, "\"reason\":\"DhcpGuard\"");
	assert_drop(f, 1, "-DhcpGuard Off");
	assert_string_equal(send_payload(f, 0x0800, dhcp_discover, sizeof(dhcp_discover)), "2");
	assert_string_equal(send_payload(f, 0x86dd, advertisement, sizeof(advertisement)), "2");
	fixture_set(f, 1, "'dhcp_guard': false");
	assert_string_equal(send_payload(f, 0x0800, dhcp_offer, sizeof(dhcp_offer)), "2");
}

static void g17_router_guard_keeps_back_routers(void **state)
{
	struct fixture *f = *state;

	fixture_add(f, 1, "'router_guard': true");
	fixture_add(f, 2, "");
	assert_string_equal(send_payload(f, 0x86dd, advertisement, sizeof(advertisement)), "");
	assert_drop(f, 1, "\"reason\":\"RouterGuard\"");
	assert_string_equal(send_payload(f, 0x0800, dhcp_offer, sizeof(dhcp_offer)), "2");
	fixture_set(f, 1, "'router_guard': false");
	assert_string_equal(send_payload(f, 0x86dd, advertisement, sizeof(advertisement)), "2");
}

static void g16_a_switch_has_its_ports_and_no_more(void **state)
{
	struct fixture *f = *state;
	uint8_t one[6];

	/* Private: no host at it; what nobody has goes nowhere. */
	fixture_mac(1, one);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	fixture_send(f, 1, one, fixture_everyone);
	assert_string_equal(fixture_receivers(f), "2");
	fixture_send(f, 1, one, nested);
	assert_string_equal(fixture_receivers(f), "");
}

static void mirrors_get_what_a_source_sends_and_gets(void **state)
{
	struct fixture *f = *state;
	uint8_t one[6], two[6];

	fixture_mac(1, one);
	fixture_mac(2, two);
	fixture_add(f, 1, "'mirroring': 'Source'");
	fixture_add(f, 2, "");
	fixture_add(f, 3, "'mirroring': 'Destination'");
	fixture_add(f, 4, "");
	assert_string_equal(send_to(f, 1, one, 2), "23");
	assert_string_equal(send_to(f, 2, two, 1), "13");
	assert_string_equal(send_to(f, 2, two, 4), "4");
	fixture_send(f, 2, two, fixture_everyone);
	assert_string_equal(fixture_receivers(f), "134");
	fixture_set(f, 1, "'mirroring': 'None'");
	assert_string_equal(send_to(f, 1, one, 2), "2");
}

static void frames_for_bridges_go_no_further(void **state)
{
	struct fixture *f = *state;
	const uint8_t spanning_tree[6] = { 0x01, 0x80, 0xc2, 0, 0, 0 };
	const uint8_t beyond[6] = { 0x01, 0x80, 0xc2, 0, 0, 0x10 };
	uint8_t one[6];

	fixture_mac(1, one);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	fixture_send(f, 1, one, spanning_tree);
	assert_string_equal(fixture_receivers(f), "");
	assert_drop(f, 1, "\"reason\":\"ForBridges\"");
	fixture_send(f, 1, one, beyond);
	assert_string_equal(fixture_receivers(f), "2");
}

static void a_drop_says_when_its_vm_does_not_run(void **state)
{
	struct fixture *f = *state;
	uint8_t one[6];

	fixture_mac(1, one);
	fixture_add(f, 1, "");
	fixture_tell(f, "set_port", "{'port': '2', 'mac': '00-15-5D-00-00-02'}");
	assert_string_equal(send_to(f, 1, one, 2), "");
	assert_drop(f, 1, "\"reason\":\"NotConnected\"");
	/* One that has the same address, and runs, gets the frame. */
	fixture_add(f, 3, "");
	fixture_set(f, 3, "'mac': '00-15-5D-00-00-02'");
	assert_string_equal(send_to(f, 1, one, 2), "3");
}

#define G(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		G(g1_spoofing_is_off_at_first),
		G(g2_off_a_foreign_source_is_dropped),
		G(g3_on_any_source_passes_and_answers_come_back),
		G(g3_an_adapters_address_is_not_taken_from_it),
		G(g4_a_group_is_no_source),
		G(g5_unknown_addresses_go_where_spoofing_is_on),
		G(g6_a_change_holds_for_the_next_frame),
		G(g8_the_outer_adapter_decides_for_nested_guests),
		G(g9_behind_nat_spoofing_may_be_off),
		G(g16_a_switch_has_its_ports_and_no_more),
		G(g17_dhcp_guard_keeps_back_servers),
		G(g17_router_guard_keeps_back_routers),
		G(mirrors_get_what_a_source_sends_and_gets),
		G(frames_for_bridges_go_no_further),
		G(a_drop_says_when_its_vm_does_not_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
