/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's addresses from an agent that may say anything, played by a thread. */
#include "ctl/guestnet.h"

#include "ctl/text.h"
#include "lib/socket.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "id"

static const char interfaces[] =
	"{\"return\": [{\"name\": \"eth0\", \"hardware-address\": \"00:15:5d:01:02:0a\","
	" \"ip-addresses\": ["
	"{\"ip-address-type\": \"ipv6\", \"ip-address\": \"FE80:0::1\"},"
	"{\"ip-address-type\": \"ipv4\", \"ip-address\": \"\\u001b]0;pwned\\u0007\"},"
	"{\"ip-address-type\": \"ipv4\", \"ip-address\": \"10.0.0.5/24\"},"
	"{\"ip-address-type\": \"ipv4\", \"ip-address\": \"10.0.0.5\"},"
	"{\"ip-address-type\": 4, \"ip-address\": {}}]},"
	"{\"hardware-address\": \"no address\", \"ip-addresses\": 7}, null]}\n";

static void answer(FILE *in, int fd)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, in) > 0) {
		const char *id = strstr(line, "\"id\":");

		if (id)
			dprintf(fd, "\xff{\"return\": %lld}\n", strtoll(id + 5, NULL, 10));
		else
			dprintf(fd, "%s", interfaces);
	}
	free(line);
}

static void *play(void *arg)
{
	struct pollfd wait = { *(int *)arg, POLLIN, 0 };
	FILE *in;
	int fd;

	poll(&wait, 1, 5000);
	fd = accept(wait.fd, NULL, NULL);
	in = fdopen(dup(fd), "r");
	answer(in, fd);
	fclose(in);
	close(fd);
	return NULL;
}

static void only_addresses_are_taken(void **state)
{
	struct machine machine = { .id = ID,
				   .process = { .state = PROCESS_RUNNING, .has_agent = true } };
	char root[] = "/tmp/test_guestnet.XXXXXX", command[64];
	struct error err = { "" };
	json_t *addresses, *expected;
	struct store *store;
	pthread_t thread;
	char *folder, *path;
	int listener;

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_int_equal(store_open(&store, root, &err), 0);
	folder = store_run_folder(store, ID, &err);
	path = text_format("%s/agent", folder);
	listener = socket_listen(path);
	assert_true(listener >= 0);
	pthread_create(&thread, NULL, play, &listener);

	addresses = guestnet_addresses(store, &machine);
	expected = json_pack("{s[ss]}", "00155D01020A", "10.0.0.5", "fe80::1");
	assert_true(json_equal(addresses, expected));

	json_decref(addresses);
	json_decref(expected);
	pthread_join(thread, NULL);
	close(listener);
	free(path);
	free(folder);
	store_close(store);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_addresses_are_taken),
	};

	return cmocka_run_group_tests_name("guestnet", tests, NULL, NULL);
}
