/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Statements G1 to G7, G16 and G17 about networks, as an operator sees them: the cmdlets in a
 * store of its own, and frames through the sockets of the switch that they run. Stations stand in
 * for the adapters of VMs A, B and C, which are off. What Get-VMSwitchDrop offers as remedy is
 * typed as it is, and must help.
 */
#include "lib/base.h"
#include "switch/client.h"

#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define STATIONS    3
#define WAIT_MS     20000
#define FRAME_BYTES 60
#define TYPE_TEST   0x88b5 /* IEEE 802: local experiments */
#define TYPE_MARKER 0x88b6
#define TEXT_MAX    4096

struct station {
	struct switch_client *client;
	uint8_t mac[6];
	unsigned frames; /* that came and were no markers */
	unsigned marker; /* the last one that came */
	unsigned vlan;   /* of the tag of what came last; 0: none */
};

struct fixture {
	char nidus[PATH_MAX], root[32];
	const char *prefix;  /* of the command line: "" or what takes rights away */
	char said[TEXT_MAX]; /* by the last script */
	struct station station[STATIONS];
	unsigned markers;
};

static const uint8_t everyone[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t stranger[6] = { 2, 0, 0, 0, 0, 9 };
static const uint8_t nobody[6] = { 2, 0, 0, 0, 0, 8 };

/* --- cmdlets --- */

/* What it prints, errors too, without the last newline. */
static const char *run(struct fixture *f, const char *script)
{
	char path[64], command[PATH_MAX + 256];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s/script", f->root);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(script, file);
	fclose(file);
	snprintf(command, sizeof(command), "%s '%s' --root %s -File %s 2>&1 </dev/null", f->prefix,
		 f->nidus, f->root, path);
	file = popen(command, "r");
	assert_non_null(file);
	n = fread(f->said, 1, sizeof(f->said) - 1, file);
	pclose(file);
	while (n && f->said[n - 1] == '\n')
		n--;
	f->said[n] = 0;
	return f->said;
}

/* One that prints nothing. */
static void set(struct fixture *f, const char *script)
{
	assert_string_equal(run(f, script), "");
}

/* --- stations --- */

static void take(void *self, const void *frame, size_t bytes)
{
	struct station *station = self;
	const uint8_t *p = (const uint8_t *)frame + 12;
	bool is_tagged = p[0] == 0x81 && p[1] == 0;

	assert_true(bytes >= FRAME_BYTES - 4); /* where a tag was taken off */
	station->vlan = is_tagged ? p[3] : 0;
	p += is_tagged ? 4 : 0;
	if (p[0] == TYPE_MARKER >> 8 && p[1] == (TYPE_MARKER & 0xff))
		station->marker = (unsigned)load_le(p + 2, 4);
	else
		station->frames++;
}

static void pump(struct fixture *f)
{
	struct pollfd wait[STATIONS];

	for (unsigned i = 0; i < STATIONS; i++)
		wait[i] = (struct pollfd){ switch_client_fd(f->station[i].client), POLLIN, 0 };
	poll(wait, STATIONS, 10);
	for (unsigned i = 0; i < STATIONS; i++)
		assert_int_equal(
			switch_client_receive(f->station[i].client, take, &f->station[i], NULL), 0);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void send_from(struct fixture *f, char from, const uint8_t *frame, size_t bytes)
{
	struct switch_client *client = f->station[from - 'A'].client;

	assert_true(switch_client_send(client, frame, bytes));
	assert_int_equal(switch_client_flush(client), 0);
}

static void fill(uint8_t *frame, const uint8_t *source, const uint8_t *destination, unsigned type)
{
	memset(frame, 0, FRAME_BYTES);
	memcpy(frame, destination, 6);
	memcpy(frame + 6, source, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

/* A frame to all behind everything that the station has sent, and waits until it has come. */
static void sync_with(struct fixture *f, char from, const char *with)
{
	int64_t until = now_ms() + WAIT_MS;
	uint8_t frame[FRAME_BYTES];
	bool done = false;

	fill(frame, f->station[from - 'A'].mac, everyone, TYPE_MARKER);
	store_le(frame + 14, ++f->markers, 4);
	send_from(f, from, frame, sizeof(frame));
	while (!done && now_ms() < until) {
		pump(f);
		done = true;
		for (const char *p = with; *p; p++)
			done &= f->station[*p - 'A'].marker == f->markers;
	}
	assert_true(done);
}

/* Who has got the frame: "BC". with: who sees what the sender sends to everyone. */
static const char *receivers(struct fixture *f, char from, const uint8_t *frame, const char *with)
{
	static char names[STATIONS + 1];
	size_t count = 0;

	for (unsigned i = 0; i < STATIONS; i++)
		f->station[i].frames = 0;
	send_from(f, from, frame, FRAME_BYTES);
	sync_with(f, from, with);
	for (unsigned i = 0; i < STATIONS; i++) {
		if (f->station[i].frames)
			names[count++] = (char)('A' + i);
		assert_true(f->station[i].frames <= 1);
	}
	names[count] = 0;
	return names;
}

static const char *others(char from)
{
	static const char *const all[] = { "BC", "AC", "AB" };

	return all[from - 'A'];
}

static const char *sent(struct fixture *f, char from, const uint8_t *source,
			const uint8_t *destination)
{
	uint8_t frame[FRAME_BYTES];

	fill(frame, source, destination, TYPE_TEST);
	return receivers(f, from, frame, others(from));
}

/* Waits until the last drop has that reason. */
static void dropped(struct fixture *f, const char *reason)
{
	int64_t until = now_ms() + WAIT_MS;

	while (strcmp(run(f, "(Get-VMSwitchDrop -Newest 1).ReasonName"), reason) != 0)
		assert_true(now_ms() < until);
}

/* And its remedy, typed as it is, works without a word. */
static void remedy(struct fixture *f, const char *reason)
{
	char script[TEXT_MAX];

	dropped(f, reason);
	snprintf(script, sizeof(script), "%s", run(f, "(Get-VMSwitchDrop -Newest 1).Remedy"));
	assert_true(*script);
	set(f, script);
}

/* --- the fixture --- */

static void connect_station(struct fixture *f, unsigned i, const char *folder)
{
	struct station *station = &f->station[i];
	int64_t until = now_ms() + WAIT_MS;
	char script[256], path[PATH_MAX], id[64];
	unsigned byte[6];

	snprintf(script, sizeof(script), "(Get-VMNetworkAdapter %c).MacAddress", 'A' + (int)i);
	assert_int_equal(sscanf(run(f, script), "%2x%2x%2x%2x%2x%2x", &byte[0], &byte[1], &byte[2],
				&byte[3], &byte[4], &byte[5]),
			 6);
	for (unsigned k = 0; k < 6; k++)
		station->mac[k] = (uint8_t)byte[k];
	snprintf(script, sizeof(script), "(Get-VMNetworkAdapter %c).Id", 'A' + (int)i);
	snprintf(id, sizeof(id), "%.63s", run(f, script));
	snprintf(path, sizeof(path), "%s/run/%s/port", f->root, folder);
	assert_int_equal(switch_client_open(&station->client, path, id, NULL), 0);
	while (!switch_client_is_accepted(station->client) && now_ms() < until)
		assert_int_equal(switch_client_receive(station->client, take, station, NULL), 0);
	assert_true(switch_client_is_accepted(station->client));
}

static void reconnect(struct fixture *f, unsigned i)
{
	char id[64];

	snprintf(id, sizeof(id), "%.63s", run(f, "(Get-VMSwitch Net).Id"));
	connect_station(f, i, id);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	ssize_t n = readlink("/proc/self/exe", f->nidus, sizeof(f->nidus) - 16);
	char *end;

	f->prefix = "";
	assert_true(n > 0); /* BUILD/tests/test_switch_cmdlets */
	*strrchr(f->nidus, '/') = 0;
	end = strrchr(f->nidus, '/');
	snprintf(end, sizeof(f->nidus) - (size_t)(end - f->nidus), "/nidus");
	snprintf(f->root, sizeof(f->root), "/tmp/switch_cmdlets.XXXXXX");
	assert_non_null(mkdtemp(f->root));
	set(f, "New-VMSwitch Net -SwitchType Private | Out-Null\n"
	       "'A', 'B', 'C' | foreach { New-VM $_ -SwitchName Net | Out-Null }\n"
	       "Start-VMSwitchCapture Net \"$((Get-VMHost).VirtualMachinePath)/frames.pcap\"");
	for (unsigned i = 0; i < STATIONS; i++)
		reconnect(f, i);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[64];

	for (unsigned i = 0; i < STATIONS; i++)
		switch_client_close(f->station[i].client);
	set(f, "Remove-VMSwitch Net -Force");
	snprintf(command, sizeof(command), "rm -rf %s", f->root);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* --- the statements --- */

static void G1_G2_spoofing_is_off(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(run(f, "(Get-VMNetworkAdapter A).MacAddressSpoofing"), "Off");
	assert_memory_equal(f->station[0].mac, "\x00\x15\x5d", 3);
	assert_string_equal(sent(f, 'A', f->station[0].mac, f->station[1].mac), "B");
	assert_string_equal(sent(f, 'A', stranger, f->station[1].mac), "");
	assert_string_equal(sent(f, 'A', stranger, everyone), "");
	assert_string_equal(run(f, "$d = Get-VMSwitchDrop; \"$($d.Count) $($d[0].VMName) "
				   "$($d[0].Source) $($d[0].Frames)\""),
			    "2 A 020000000009 1");
}

static void G3_on_passes_and_learns(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(sent(f, 'A', stranger, everyone), "");
	remedy(f, "SpoofedSource");
	assert_string_equal(run(f, "(Get-VMNetworkAdapter A).MacAddressSpoofing"), "On");
	assert_string_equal(sent(f, 'A', stranger, everyone), "BC");
	assert_string_equal(sent(f, 'B', f->station[1].mac, stranger), "A");
}

static void G4_multicast_source(void **state)
{
	const uint8_t group[6] = { 1, 0, 0x5e, 0, 0, 1 };
	struct fixture *f = *state;

	assert_string_equal(sent(f, 'A', group, everyone), "");
	set(f, "Set-VMNetworkAdapter A -MacAddressSpoofing On");
	assert_string_equal(sent(f, 'A', group, everyone), "");
	assert_string_equal(sent(f, 'A', everyone, f->station[1].mac), "");
	assert_string_equal(run(f, "$d = Get-VMSwitchDrop -Newest 1; \"$($d.ReasonName) "
				   "'$($d.Remedy)'\""),
			    "MulticastSource ''");
}

static void G5_unknown_unicast(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(sent(f, 'A', f->station[0].mac, nobody), "");
	set(f, "Set-VMNetworkAdapter B -MacAddressSpoofing On");
	assert_string_equal(sent(f, 'A', f->station[0].mac, nobody), "B");
}

static void G6_takes_effect_at_once(void **state)
{
	struct fixture *f = *state;

	set(f, "Set-VMNetworkAdapter A -MacAddressSpoofing On");
	assert_string_equal(sent(f, 'A', stranger, everyone), "BC");
	set(f, "Set-VMNetworkAdapter A -MacAddressSpoofing Off");
	assert_string_equal(sent(f, 'A', stranger, everyone), "");
	assert_string_equal(sent(f, 'B', f->station[1].mac, stranger), "");
	assert_string_equal(sent(f, 'B', f->station[1].mac, f->station[0].mac), "A");
}

static void G7_the_documents_pipeline(void **state)
{
	struct fixture *f = *state;

	set(f, "Get-VMNetworkAdapter -VMName A | Set-VMNetworkAdapter -MacAddressSpoofing On");
	assert_string_equal(sent(f, 'A', stranger, everyone), "BC");
}

/* A UDP datagram over IPv4 between ports. */
static void fill_udp(uint8_t *frame, const uint8_t *source, uint8_t from, uint8_t to)
{
	static const uint8_t ip[] = { 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17 };

	fill(frame, source, everyone, 0x0800);
	memcpy(frame + 14, ip, sizeof(ip));
	frame[35] = from;
	frame[37] = to;
	frame[39] = 26; /* the UDP length */
}

static void G17_dhcp_guard(void **state)
{
	struct fixture *f = *state;
	uint8_t server[FRAME_BYTES], client[FRAME_BYTES];

	fill_udp(server, f->station[0].mac, 67, 68);
	fill_udp(client, f->station[0].mac, 68, 67);
	assert_string_equal(receivers(f, 'A', server, "BC"), "BC");
	set(f, "Set-VMNetworkAdapter A -DhcpGuard On");
	assert_string_equal(receivers(f, 'A', client, "BC"), "BC");
	assert_string_equal(receivers(f, 'A', server, "BC"), "");
	remedy(f, "DhcpGuard");
	assert_string_equal(receivers(f, 'A', server, "BC"), "BC");
}

static void G17_router_guard(void **state)
{
	static const uint8_t ip[] = { 0x60, 0, 0, 0, 0, 6, 58, 255 };
	struct fixture *f = *state;
	uint8_t frame[FRAME_BYTES];

	fill(frame, f->station[0].mac, everyone, 0x86dd);
	memcpy(frame + 14, ip, sizeof(ip));
	frame[54] = 134; /* ICMPv6: "Router Advertisement" */
	assert_string_equal(receivers(f, 'A', frame, "BC"), "BC");
	set(f, "Set-VMNetworkAdapter A -RouterGuard On");
	assert_string_equal(receivers(f, 'A', frame, "BC"), "");
	remedy(f, "RouterGuard");
	assert_string_equal(receivers(f, 'A', frame, "BC"), "BC");
}

static void vlans_are_apart(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[FRAME_BYTES];

	set(f, "Set-VMNetworkAdapterVlan A, C -Access -VlanId 7");
	fill(frame, f->station[0].mac, everyone, TYPE_TEST);
	assert_string_equal(receivers(f, 'A', frame, "C"), "C");
	fill(frame, f->station[0].mac, f->station[1].mac, TYPE_TEST);
	assert_string_equal(receivers(f, 'A', frame, "C"), "");
	remedy(f, "OtherVlan");
	assert_string_equal(run(f, "(Get-VMNetworkAdapterVlan B).VlanList"), "7");
	assert_string_equal(receivers(f, 'A', frame, "BC"), "B");
	set(f, "Set-VMNetworkAdapterVlan A -Untagged");
	assert_string_equal(receivers(f, 'A', frame, ""), "");
	remedy(f, "InVlan");
	assert_string_equal(receivers(f, 'A', frame, "B"), "B");
}

static void a_trunk_sees_tags(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[FRAME_BYTES], tagged[FRAME_BYTES];

	set(f, "Set-VMNetworkAdapterVlan A -Trunk -AllowedVlanIdList 7-9 -NativeVlanId 0\n"
	       "Set-VMNetworkAdapterVlan B -Access -VlanId 9");
	fill(tagged, f->station[0].mac, f->station[1].mac, 0x8100);
	tagged[15] = 9;
	tagged[16] = TYPE_TEST >> 8;
	tagged[17] = TYPE_TEST & 0xff;
	f->station[1].frames = 0;
	send_from(f, 'A', tagged, sizeof(tagged));
	for (int64_t until = now_ms() + WAIT_MS; !f->station[1].frames && now_ms() < until;)
		pump(f);
	assert_int_equal(f->station[1].frames, 1);
	assert_int_equal(f->station[1].vlan, 0);
	fill(frame, f->station[1].mac, f->station[0].mac, TYPE_TEST);
	assert_string_equal(receivers(f, 'B', frame, "A"), "A");
	assert_int_equal(f->station[0].vlan, 9);
	tagged[15] = 10;
	send_from(f, 'A', tagged, sizeof(tagged));
	remedy(f, "VlanTag");
	assert_string_equal(run(f, "(Get-VMNetworkAdapterVlan A).VlanList"), "0,7-10");
	set(f, "Set-VMNetworkAdapterVlan B -Access -VlanId 20");
	assert_string_equal(receivers(f, 'B', frame, ""), "");
	remedy(f, "OtherVlan");
	assert_string_equal(run(f, "(Get-VMNetworkAdapterVlan A).VlanList"), "0,7-10,20");
	assert_string_equal(receivers(f, 'B', frame, "A"), "A");
}

static void mirrored(void **state)
{
	struct fixture *f = *state;

	set(f, "Set-VMNetworkAdapter A -PortMirroring Source\n"
	       "Set-VMNetworkAdapter C -PortMirroring Destination");
	assert_string_equal(sent(f, 'A', f->station[0].mac, f->station[1].mac), "BC");
	assert_string_equal(sent(f, 'B', f->station[1].mac, f->station[0].mac), "AC");
	set(f, "Set-VMNetworkAdapter A -PortMirroring None");
	assert_string_equal(sent(f, 'A', f->station[0].mac, f->station[1].mac), "B");
}

/* Frames as they came, dropped ones too, in the format that Wireshark reads. */
static void captured(void **state)
{
	struct fixture *f = *state;
	uint8_t header[24 + 16 + FRAME_BYTES];
	char path[64];
	FILE *file;

	assert_string_equal(sent(f, 'A', stranger, everyone), "");
	assert_string_equal(run(f, "$c = Stop-VMSwitchCapture Net; \"$($c.Frames) $($c.Bytes)\""),
			    "2 120"); /* with the marker */
	snprintf(path, sizeof(path), "%s/frames.pcap", f->root);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fread(header, sizeof(header), 1, file), 1);
	fclose(file);
	assert_int_equal(load_le(header, 4), 0xa1b2c3d4);
	assert_int_equal(load_le(header + 24 + 8, 4), FRAME_BYTES);
	assert_memory_equal(header + 24 + 16 + 6, stranger, 6);
}

/* An adapter that leaves the switch is cut off, and nobody else. */
static void disconnected(void **state)
{
	struct fixture *f = *state;
	struct station *c = &f->station[2];
	int64_t until = now_ms() + WAIT_MS;

	set(f, "Disconnect-VMNetworkAdapter C");
	while (!switch_client_receive(c->client, take, c, NULL) && now_ms() < until)
		usleep(1000);
	assert_true(now_ms() < until);
	switch_client_close(c->client);
	set(f, "Connect-VMNetworkAdapter C Net");
	c->client = NULL;
	assert_string_equal(run(f, "Get-VMSwitch Net | Start-VMSwitchCapture -Path /dev/null"), "");
	reconnect(f, 2);
	assert_string_equal(sent(f, 'A', f->station[0].mac, everyone), "BC");
}

/* A switch goes on under its new name, with its ports. */
static void renamed(void **state)
{
	struct fixture *f = *state;

	set(f, "Rename-VMSwitch Net Other\nSet-VMNetworkAdapter A -MacAddressSpoofing On");
	assert_string_equal(sent(f, 'A', stranger, everyone), "BC");
	assert_string_equal(run(f, "(Stop-VMSwitchCapture Other).Frames\n"
				   "Stop-VMSwitchCapture Other"),
			    "2\nStop-VMSwitchCapture: The capture cannot be stopped: switch "
			    "'Other' captures no frames.");
	set(f, "Rename-VMSwitch Other Net");
}

/* What is no VM's any more has no port. */
static void removed(void **state)
{
	struct fixture *f = *state;

	set(f, "Remove-VM C -Force");
	assert_int_not_equal(
		switch_client_receive(f->station[2].client, take, &f->station[2], NULL), 0);
	switch_client_close(f->station[2].client);
	set(f, "New-VM C -SwitchName Net | Out-Null\n"
	       "Get-VMSwitch Net | Start-VMSwitchCapture -Path /dev/null");
	reconnect(f, 2);
}

/* G16: a card's frames are not for everyone. */
static void G16_external_takes_a_right(void **state)
{
	struct fixture *f = *state;

	if (!*run(f, "(Get-NetAdapter -Physical | select -First 1).Name")) {
		puts("skip: this host has no network adapter");
		skip();
	}
	if (!geteuid())
		f->prefix = "setpriv --bounding-set=-net_raw --inh-caps=-net_raw";
	assert_non_null(strstr(run(f, "New-VMSwitch Out -NetAdapterName "
				      "(Get-NetAdapter -Physical | select -First 1).Name"),
			       "takes the right to do so (CAP_NET_RAW"));
	f->prefix = "";
	assert_string_equal(run(f, "Get-VMSwitch Out*"), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(G1_G2_spoofing_is_off),
		TEST(G3_on_passes_and_learns),
		TEST(G4_multicast_source),
		TEST(G5_unknown_unicast),
		TEST(G6_takes_effect_at_once),
		TEST(G7_the_documents_pipeline),
		TEST(G17_dhcp_guard),
		TEST(G17_router_guard),
		TEST(vlans_are_apart),
		TEST(a_trunk_sees_tags),
		TEST(mirrored),
		TEST(captured),
		TEST(disconnected),
		TEST(removed),
		TEST(renamed),
		TEST(G16_external_takes_a_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
