/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A switch's process: clients that come, go, send nonsense or do not read; its requests; its end.
 */
#include "switch_fixture.h"

#include "switch/wire.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

static void frames_go_between_ports(void **state)
{
	struct fixture *f = *state;
	uint8_t one[6], two[6];

	fixture_mac(1, one);
	fixture_mac(2, two);
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
	fixture_add(f, 3, "");
	fixture_send(f, 1, one, two);
	assert_string_equal(fixture_receivers(f), "2");
	assert_int_equal(f->station[2].frame[0].bytes, 60);
	assert_memory_equal(f->station[2].frame[0].data, two, 6);
	assert_memory_equal(f->station[2].frame[0].data + 6, one, 6);
	fixture_send(f, 1, one, fixture_everyone);
	assert_string_equal(fixture_receivers(f), "23");
}

static unsigned counter(struct fixture *f, unsigned i, const char *name)
{
	json_t *answer, *port;
	size_t k;
	json_int_t value = -1;
	char id[2] = { (char)('0' + i), 0 };

	fixture_tell(f, "ports", "{}");
	answer = json_loads(f->answer, 0, NULL);
	json_array_foreach(json_object_get(json_object_get(answer, "return"), "ports"), k, port)
	{
		if (!strcmp(json_string_value(json_object_get(port, "port")), id))
			value = json_integer_value(
				json_object_get(json_object_get(port, "counters"), name));
	}
	json_decref(answer);
	assert_true(value >= 0);
	return (unsigned)value;
}

/* Bytes that are no client's, at a port whose client they would be. */
static void send_raw(struct fixture *f, unsigned i, const void *bytes, size_t count)
{
	assert_int_equal(send(switch_client_fd(f->station[i].client), bytes, count, MSG_NOSIGNAL),
			 count);
	fixture_turn(f);
}

static void add_two(struct fixture *f)
{
	fixture_add(f, 1, "");
	fixture_add(f, 2, "");
}

static const char *send_from(struct fixture *f, unsigned from, unsigned to)
{
	uint8_t source[6], destination[6];

	fixture_mac(from, source);
	fixture_mac(to, destination);
	fixture_send(f, from, source, destination);
	return fixture_receivers(f);
}

static void counters_count(void **state)
{
	struct fixture *f = *state;

	add_two(f);
	send_from(f, 1, 2);
	send_from(f, 1, 2);
	send_from(f, 1, 3);
	assert_int_equal(counter(f, 1, "in_frames"), 3);
	assert_int_equal(counter(f, 1, "in_bytes"), 180);
	assert_int_equal(counter(f, 1, "in_dropped"), 1);
	assert_non_null(strstr(f->answer, "\"reasons\":{\"UnknownDestination\":1}"));
	assert_int_equal(counter(f, 2, "out_frames"), 2);
	assert_int_equal(counter(f, 2, "out_bytes"), 120);
}

static void short_frames_are_counted_and_dropped(void **state)
{
	struct fixture *f = *state;

	add_two(f);
	send_raw(f, 1, "\0\0\0\0", 4);
	send_raw(f, 1,
		 "\0\0\0\x05"
		 "abcde",
		 9);
	send_raw(f, 1, "\0\0\0\x0e\x02\x02\x02\x02\x02\x02\x04\x04\x04\x04\x04\x04\x81\0", 18);
	assert_int_equal(counter(f, 1, "in_dropped"), 3);
	fixture_tell(f, "drops", "{'port': '1'}");
	assert_non_null(strstr(f->answer, "\"reason\":\"Truncated\""));
	assert_string_equal(send_from(f, 1, 2), "2");
}

static void a_broken_length_ends_its_port_only(void **state)
{
	struct fixture *f = *state;

	add_two(f);
	fixture_add(f, 3, "");
	send_raw(f, 1,
		 "\xff\xff\xff\xff"
		 "garbage",
		 11);
	assert_int_not_equal(f->station[1].error, 0);
	fixture_tell(f, "drops", "{'port': '1'}");
	assert_non_null(strstr(f->answer, "\"reason\":\"Oversized\""));
	assert_string_equal(send_from(f, 2, 3), "3");
	assert_string_equal(send_from(f, 2, 1), "");
}

static void the_longest_frame_passes_and_no_longer_one(void **state)
{
	struct fixture *f = *state;
	uint8_t *frame = calloc(1, FRAME_BYTES_MAX);

	add_two(f);
	fixture_mac(2, frame);
	fixture_mac(1, frame + 6);
	frame[12] = 0x88;
	fixture_send_bytes(f, 1, frame, SWITCH_CLIENT_FRAME_MAX);
	assert_string_equal(fixture_receivers(f), "2");
	assert_int_equal(f->station[2].frame[0].bytes, SWITCH_CLIENT_FRAME_MAX);
	fixture_send_bytes(f, 1, frame, SWITCH_CLIENT_FRAME_MAX + 1);
	assert_string_equal(fixture_receivers(f), "");
	assert_int_equal(counter(f, 1, "in_dropped"), 1);
	assert_false(switch_client_send(f->station[1].client, frame, FRAME_BYTES_MAX + 1));
	free(frame);
}

static void frames_may_come_in_pieces(void **state)
{
	struct fixture *f = *state;
	uint8_t wire[4 + 60] = { 0, 0, 0, 60 };

	add_two(f);
	fixture_mac(2, wire + 4);
	fixture_mac(1, wire + 10);
	wire[16] = 0x88;
	for (size_t i = 0; i < sizeof(wire); i++)
		send_raw(f, 1, wire + i, 1);
	assert_string_equal(fixture_receivers(f), "2");
}

static void who_does_not_read_loses_frames_alone(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[1514] = { 0 };
	unsigned sent = 0;

	add_two(f);
	fixture_add(f, 3, "");
	f->station[2].does_not_read = true;
	memset(frame, 0xff, 6);
	fixture_mac(1, frame + 6);
	frame[12] = 0x88;
	for (unsigned i = 0; i < 60; i++) {
		for (unsigned k = 0; k < 64; k++)
			sent += switch_client_send(f->station[1].client, frame, sizeof(frame));
		fixture_turn(f);
	}
	assert_int_equal(f->station[3].count, sent);
	assert_true(counter(f, 2, "out_dropped") > 0);
	assert_int_equal(counter(f, 2, "out_dropped") + counter(f, 2, "out_frames"), sent);
	fixture_tell(f, "drops", "{'port': '2'}");
	assert_non_null(strstr(f->answer, "\"reason\":\"QueueFull\""));
	f->station[2].does_not_read = false;
	fixture_turn(f);
	assert_int_equal(f->station[2].count, counter(f, 2, "out_frames"));
	assert_string_equal(send_from(f, 1, 2), "2");
}

static void who_leaves_may_come_back(void **state)
{
	struct fixture *f = *state;

	add_two(f);
	switch_client_close(f->station[2].client);
	f->station[2].client = NULL;
	fixture_turn(f);
	assert_string_equal(send_from(f, 1, 2), "");
	fixture_tell(f, "drops", "{'port': '1'}");
	assert_non_null(strstr(f->answer, "\"reason\":\"NotConnected\""));
	fixture_plug(f, 2);
	assert_string_equal(send_from(f, 1, 2), "2");
	assert_int_equal(counter(f, 1, "in_frames"), 2); /* counters stay */
}

static void ports_are_for_those_they_belong_to(void **state)
{
	struct fixture *f = *state;

	fixture_plug(f, 1); /* management knows none */
	assert_int_equal(f->station[1].error, -EACCES);
	assert_string_equal(f->station[1].err.text, "switch 'Test' has no port '1'");
	fixture_add(f, 2, "");
	assert_int_equal(
		switch_client_open(&f->station[3].client, f->ports, "2", &f->station[3].err), 0);
	fixture_turn(f);
	assert_int_equal(f->station[3].error, -EACCES);
	assert_string_equal(f->station[3].err.text, "switch 'Test' has another client at port '2'");
	assert_int_equal(f->station[2].error, 0);
}

static void greet_raw(struct fixture *f, const char *text, size_t count)
{
	int fd = socket_connect(f->ports);
	char answer[256] = "";

	assert_true(fd >= 0);
	assert_int_equal(send(fd, text, count, MSG_NOSIGNAL), count);
	fixture_turn(f);
	assert_true(recv(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT) > 0);
	assert_non_null(strstr(answer, "error"));
	close(fd);
	fixture_turn(f);
}

static void greetings_may_be_nonsense(void **state)
{
	struct fixture *f = *state;
	char much[WIRE_LINE_MAX * 3];

	add_two(f);
	memset(much, 'x', sizeof(much));
	greet_raw(f, much, sizeof(much));
	greet_raw(f, "\n", 1);
	greet_raw(f, "{\"port\": 7}\n", 12);
	greet_raw(f, "[]\n", 3);
	greet_raw(f, "{\"port\": \"\\u0000\"}\n", 19);
	close(socket_connect(f->ports)); /* gone before a word */
	fixture_turn(f);
	assert_string_equal(send_from(f, 1, 2), "2");
}

/* Connections that never say who they are take nothing from those that do. */
static void the_silent_are_forgotten(void **state)
{
	struct fixture *f = *state;
	int fd[200];
	char byte;

	add_two(f);
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = socket_connect(f->ports);
		assert_true(fd[i] >= 0);
		fixture_turn(f);
	}
	assert_int_equal(recv(fd[0], &byte, 1, MSG_DONTWAIT), 0); /* cut off */
	assert_int_equal(recv(fd[199], &byte, 1, MSG_DONTWAIT), -1);
	fixture_add(f, 3, "");
	assert_string_equal(send_from(f, 1, 3), "3");
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	fixture_turn(f);
	assert_int_equal(f->server->nameless, 0);
	assert_string_equal(send_from(f, 1, 2), "2");
}

/* Where there are no descriptors left, who knocks waits, and the rest goes on. */
static void no_descriptors_is_no_end(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, few;
	int fd, free_fd;

	add_two(f);
	fixture_tell(f, "set_port", "{'port': '3', 'mac': '00155D000003'}");
	fd = socket_connect(f->ports);
	free_fd = dup(fd);
	close(free_fd);
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = (rlim_t)free_fd;
	setrlimit(RLIMIT_NOFILE, &few);
	assert_string_equal(send_from(f, 1, 2), "2");
	assert_int_equal(f->server->nameless, 0);
	assert_true(uv_is_active((uv_handle_t *)&f->server->deaf));
	setrlimit(RLIMIT_NOFILE, &before);
	while (!f->server->nameless)
		fixture_turn(f);
	close(fd);
	fixture_plug(f, 3);
	assert_string_equal(send_from(f, 1, 3), "3");
}

/* Whatever comes, it is counted or refused. */
static void noise_disturbs_nobody(void **state)
{
	struct fixture *f = *state;
	uint8_t noise[4096];
	unsigned seed = (unsigned)time(NULL);

	print_message("seed %u\n", seed);
	srand(seed);
	add_two(f);
	fixture_tell(f, "set_port", "{'port': '3', 'mac': '00155D000003', 'spoofing': true}");
	for (unsigned i = 0; i < 200; i++) {
		fixture_plug(f, 3);
		for (unsigned k = 0; k < sizeof(noise); k++)
			noise[k] = k % 64 < 3 ? 0 : (uint8_t)rand();
		send(switch_client_fd(f->station[3].client), noise, 1 + (size_t)rand() % 4096,
		     MSG_NOSIGNAL);
		uv_run(&f->loop, UV_RUN_NOWAIT);
		switch_client_close(f->station[3].client);
		memset(&f->station[3], 0, sizeof(f->station[3]));
		fixture_turn(f);
	}
	assert_string_equal(send_from(f, 1, 2), "2");
	assert_string_equal(send_from(f, 2, 1), "1");
	assert_true(counter(f, 3, "in_dropped") > 0);
}

static void a_removed_port_is_cut_off(void **state)
{
	struct fixture *f = *state;

	add_two(f);
	fixture_tell(f, "remove_port", "{'port': '2'}");
	fixture_turn(f);
	assert_int_equal(f->station[2].error, -EPIPE);
	assert_string_equal(send_from(f, 1, 2), "");
	assert_non_null(strstr(fixture_ask(f, "remove_port", "{'port': '2'}"), "error"));
	fixture_set(f, 2, "'mac': '00155D000002'");
	switch_client_close(f->station[2].client);
	memset(&f->station[2], 0, sizeof(f->station[2]));
	fixture_plug(f, 2);
	assert_string_equal(send_from(f, 1, 2), "2");
}

static void requests_may_be_wrong(void **state)
{
	static const char *const wrong[][2] = {
		{ "set_port", "{}" },
		{ "set_port", "{'port': ''}" },
		{ "set_port", "{'port': '1', 'mac': 'zz155D000001'}" },
		{ "set_port", "{'port': '1', 'mac': '01155D000001'}" },
		{ "set_port", "{'port': '1', 'mac': '00155D00000'}" },
		{ "set_port", "{'port': '1', 'mac': '00155D0000011'}" },
		{ "set_port", "{'port': '1', 'spoofing': 'On'}" },
		{ "set_port", "{'port': '1', 'mirroring': 'both'}" },
		{ "set_port", "{'port': '1', 'max_bits_per_second': -1}" },
		{ "drops", "{'port': '9'}" },
		{ "start_capture", "{}" },
		{ "start_capture", "{'path': '/nowhere/at/all'}" },
		{ "start_capture", "{'path': '/tmp/x', 'port': '9'}" },
		{ "stop_capture", "{}" },
		{ "dance", "{}" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_non_null(strstr(fixture_ask(f, wrong[i][0], wrong[i][1]), "\"error\""));
	fixture_tell(f, "ports", "{}");
	assert_string_equal(f->answer, "{\"return\":{\"ports\":[]}}\n");
	fixture_tell(f, "query", "{}");
	assert_non_null(strstr(f->answer, "\"name\":\"Test\""));
}

static void captures_hold_what_comes_in(void **state)
{
	static const uint8_t magic[] = { 0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0 };
	struct fixture *f = *state;
	uint8_t file[4096], two[6];
	char path[96], arguments[160];
	size_t bytes;
	FILE *in;

	add_two(f);
	fixture_mac(2, two);
	snprintf(path, sizeof(path), "%s/x.pcap", f->folder);
	snprintf(arguments, sizeof(arguments), "{'path': '%s', 'port': '1'}", path);
	fixture_tell(f, "start_capture", arguments);
	send_from(f, 1, 2);
	send_from(f, 2, 1); /* of the other port */
	send_from(f, 1, 5); /* to nobody */
	fixture_tell(f, "stop_capture", "{}");
	assert_non_null(strstr(f->answer, "\"frames\":2"));
	assert_non_null(strstr(f->answer, "\"bytes\":120"));
	assert_non_null(strstr(f->answer, "\"error\":null"));
	send_from(f, 1, 2);
	in = fopen(path, "r");
	assert_non_null(in);
	bytes = fread(file, 1, sizeof(file), in);
	fclose(in);
	unlink(path);
	assert_int_equal(bytes, 24 + 2 * (16 + 60));
	assert_memory_equal(file, magic, sizeof(magic));
	assert_int_equal(load_le(file + 20, 4), 1);
	assert_int_equal(load_le(file + 24 + 8, 4), 60);
	assert_memory_equal(file + 24 + 16, two, 6);
}

/* The file of the second is whole, though the first had frames that were not yet written. */
static void a_capture_ends_another_to_its_file(void **state)
{
	struct fixture *f = *state;
	char path[96], arguments[160];
	struct stat file;

	add_two(f);
	snprintf(path, sizeof(path), "%s/x.pcap", f->folder);
	snprintf(arguments, sizeof(arguments), "{'path': '%s'}", path);
	fixture_tell(f, "start_capture", arguments);
	for (unsigned i = 0; i < 5; i++)
		send_from(f, 1, 2);
	fixture_tell(f, "start_capture", arguments);
	send_from(f, 1, 2);
	fixture_tell(f, "stop_capture", "{}");
	assert_non_null(strstr(f->answer, "\"frames\":1"));
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_size, 24 + 16 + 60);
	unlink(path);
}

static void a_capture_does_not_wait_for_a_pipe(void **state)
{
	struct fixture *f = *state;
	char path[96], arguments[160];

	add_two(f);
	snprintf(path, sizeof(path), "%s/pipe", f->folder);
	snprintf(arguments, sizeof(arguments), "{'path': '%s'}", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_non_null(strstr(fixture_ask(f, "start_capture", arguments), "\"error\""));
	unlink(path);
}

static void a_limit_makes_a_port_wait(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[1000] = { 0 };

	add_two(f);
	fixture_set(f, 1, "'max_bits_per_second': 8000");
	fixture_mac(2, frame);
	fixture_mac(1, frame + 6);
	frame[12] = 0x88;
	for (unsigned i = 0; i < 50; i++)
		switch_client_send(f->station[1].client, frame, sizeof(frame));
	fixture_turn(f);
	assert_in_range(f->station[2].count, 1, 10);
	fixture_set(f, 1, "'max_bits_per_second': 0");
	fixture_turn(f);
	assert_int_equal(f->station[2].count, 50); /* none is lost */
}

/* A client that waits for its bandwidth may go, and another come in its place. */
static void who_waits_may_leave(void **state)
{
	struct fixture *f = *state;
	uint8_t frame[1000] = { [12] = 0x88 };

	add_two(f);
	fixture_set(f, 1, "'max_bits_per_second': 1");
	fixture_mac(2, frame);
	fixture_mac(1, frame + 6);
	for (unsigned i = 0; i < 50; i++)
		switch_client_send(f->station[1].client, frame, sizeof(frame));
	fixture_turn(f);
	assert_in_range(f->station[2].count, 1, 10);
	assert_string_equal(send_from(f, 2, 1), "1"); /* it still gets frames */
	switch_client_close(f->station[1].client);
	memset(&f->station[1], 0, sizeof(f->station[1]));
	fixture_turn(f);
	fixture_plug(f, 1);
	assert_int_equal(f->station[1].error, 0);
	assert_string_equal(send_from(f, 2, 1), "1");
}

static void it_ends_when_the_last_client_has_left(void **state)
{
	struct fixture f = { .control = -1 };

	(void)state;
	fixture_start(&f, 200);
	fixture_add(&f, 1, "");
	fixture_add(&f, 2, "");
	switch_client_close(f.station[1].client);
	f.station[1].client = NULL;
	fixture_turn(&f);
	assert_false(uv_is_active((uv_handle_t *)&f.server->end));
	usleep(300000);
	fixture_turn(&f);
	assert_int_equal(f.station[2].error, 0);
	switch_client_close(f.station[2].client);
	f.station[2].client = NULL;
	uv_run(&f.loop, UV_RUN_DEFAULT); /* returns: it is stopped */
	fixture_end(&f);
}

static void it_ends_when_nobody_comes(void **state)
{
	struct fixture f = { .control = -1 };

	(void)state;
	fixture_start(&f, 100);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	fixture_end(&f);
}

static void paths_in_use_are_refused(void **state)
{
	struct fixture *f = *state;
	struct server_options options = { .name = "Second",
					  .ports_path = f->ports,
					  .control_path = "/tmp/test_switch_second" };
	struct server *second;
	struct error err;

	assert_int_equal(server_create(&second, &f->loop, &options, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, f->ports));
}

#define S(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(frames_go_between_ports),
		S(counters_count),
		S(short_frames_are_counted_and_dropped),
		S(a_broken_length_ends_its_port_only),
		S(the_longest_frame_passes_and_no_longer_one),
		S(frames_may_come_in_pieces),
		S(who_does_not_read_loses_frames_alone),
		S(who_leaves_may_come_back),
		S(ports_are_for_those_they_belong_to),
		S(greetings_may_be_nonsense),
		S(the_silent_are_forgotten),
		S(no_descriptors_is_no_end),
		S(noise_disturbs_nobody),
		S(a_removed_port_is_cut_off),
		S(requests_may_be_wrong),
		S(captures_hold_what_comes_in),
		S(a_capture_ends_another_to_its_file),
		S(a_capture_does_not_wait_for_a_pipe),
		S(a_limit_makes_a_port_wait),
		S(who_waits_may_leave),
		S(paths_in_use_are_refused),
		cmocka_unit_test(it_ends_when_the_last_client_has_left),
		cmocka_unit_test(it_ends_when_nobody_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
