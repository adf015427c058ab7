/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of `nidus run` and the configuration: pairs of what passes and what fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "vm/options.h"

#define ARGS_MAX 64

/* Splits at blanks and parses; "" is no argument. */
static int parse(struct config *config, const char *line, struct error *err)
{
	static char text[512]; /* the configuration borrows its strings until the next call */
	char *argv[ARGS_MAX], *rest = NULL;
	int argc = 0;

	snprintf(text, sizeof(text), "%s", line);
	for (char *p = strtok_r(text, " ", &rest); p; p = strtok_r(NULL, " ", &rest))
		argv[argc++] = p;
	config_init(config);
	err->text[0] = 0;
	return options_parse(config, argc, argv, err);
}

static void good(struct config *config, const char *line)
{
	struct error err;

	if (parse(config, line, &err))
		fail_msg("%s: %s", line, err.text);
}

static void bad(const char *line, const char *words)
{
	struct config config;
	struct error err;

	if (!parse(&config, line, &err))
		fail_msg("%s: accepted", line);
	if (!strstr(err.text, words))
		fail_msg("%s: '%s' lacks '%s'", line, err.text, words);
	assert_null(strchr(err.text, '\n'));
}

static void defaults(void **state)
{
	struct config c;

	(void)state;
	good(&c, "");
	assert_null(c.engine);
	assert_true(c.any_vendor);
	assert_int_equal(c.cpus, 1);
	assert_int_equal(c.memory_bytes, GIB);
	assert_int_equal(config_ram_bytes(&c), GIB);
	assert_int_equal(c.memory_buffer_percent, 20);
	assert_false(c.nested);
	assert_string_equal(c.append, "");
	assert_int_equal(c.serial.kind, CONFIG_SERIAL_STDIO);
	assert_int_equal(c.disks + c.nets, 0);
}

static void everything_at_once(void **state)
{
	struct config c;

	(void)state;
	good(&c, "--engine soft --cpu amd --cpus 4 --memory 2G --nested off --kernel k --initrd=i "
		 "--append a=b --disk one --disk two,readonly --disk a,b "
		 "--net user,forward=tcp:2222:22,forward=tcp:8080:80 --net none,id=b-1 --net "
		 "switch,id=c,port=../p/port,mac=00:15:5d:00:00:01 "
		 "--serial unix:/tmp/s --debug-exit --no-reboot --timeout 9 --verbose");
	assert_ptr_equal(c.engine, &engine_soft);
	assert_int_equal(c.vendor, CPU_AMD);
	assert_false(c.any_vendor);
	assert_int_equal(c.cpus, 4);
	assert_int_equal(c.memory_bytes, 2 * GIB);
	assert_string_equal(c.kernel, "k");
	assert_string_equal(c.initrd, "i");
	assert_string_equal(c.append, "a=b");
	assert_int_equal(c.disks, 3);
	assert_false(c.disk[0].readonly);
	assert_string_equal(c.disk[1].path, "two");
	assert_true(c.disk[1].readonly);
	assert_string_equal(c.disk[2].path, "a,b");
	assert_int_equal(c.nets, 3);
	assert_int_equal(c.net[0].kind, CONFIG_NET_USER);
	assert_int_equal(c.net[0].forwards, 2);
	assert_int_equal(c.net[0].forward[1].host_port, 8080);
	assert_int_equal(c.net[0].forward[1].guest_port, 80);
	assert_string_equal(c.net[0].id, "");
	assert_int_equal(c.net[1].kind, CONFIG_NET_NONE);
	assert_string_equal(c.net[1].id, "b-1");
	assert_int_equal(c.net[2].kind, CONFIG_NET_SWITCH);
	assert_string_equal(c.net[2].id, "c");
	assert_string_equal(c.net[2].port, "../p/port");
	assert_int_equal(c.net[2].mac[5], 1);
	assert_int_equal(c.serial.kind, CONFIG_SERIAL_UNIX);
	assert_string_equal(c.serial.path, "/tmp/s");
	assert_true(c.debug_exit && c.no_reboot && c.verbose);
	assert_int_equal(c.timeout_seconds, 9);
}

static void bad_options(void **state)
{
	(void)state;
	bad("--nonsense", "unknown option '--nonsense'");
	bad("--cpu", "--cpu needs a value: intel|amd");
	bad("kernel", "unexpected argument 'kernel'");
	bad("--verbose=1", "--verbose takes no value");
	bad("--engine fast", "--engine: 'fast' is not one of auto, kvm, soft, interp, check");
	bad("--cpu via", "--cpu: 'via'");
	bad("--cpus 0", "--cpus: '0'");
	bad("--cpus 65", "--cpus: '65'");
	bad("--cpus two", "--cpus: 'two'");
	bad("--memory 1T", "--memory: '1T'");
	bad("--memory -1", "--memory: '-1'");
	bad("--memory 99999999999999999999", "too much memory");
	bad("--memory 99999999999G", "too much memory");
	bad("--memory-max 1T", "--memory-max: '1T'");
	bad("--memory-buffer 2001", "--memory-buffer: '2001'");
	bad("--nested maybe", "--nested: 'maybe'");
	bad("--serial file:", "--serial: 'file:'");
	bad("--serial stdio,x", "--serial: 'stdio,x'");
	bad("--timeout 0", "--timeout: '0'");
	bad("--net bridge", "--net: 'bridge'");
	bad("--net user,mtu=9", "unknown word 'mtu=9'");
	bad("--net none,forward=tcp:1:2", "unknown word");
	bad("--net user,id=", "'id='");
	bad("--net user,port=p", "unknown word");
	bad("--net switch,port=p", "id=NAME");
	bad("--net switch,id=p", "port=PATH");
	bad("--net user,forward=udp:1:2", "forward=tcp:HOSTPORT:GUESTPORT");
	bad("--net user,forward=tcp:1", "forward=tcp:HOSTPORT:GUESTPORT");
	bad("--net user,forward=tcp:1:65536", "forward=tcp:HOSTPORT:GUESTPORT");
	bad("--net user,forward=tcp:0:1", "forward=tcp:HOSTPORT:GUESTPORT");
	bad("--net user,forward=tcp:1:2:3", "forward=tcp:HOSTPORT:GUESTPORT");
}

static void lists_end(void **state)
{
	char line[512] = "";
	struct config c;

	(void)state;
	for (int i = 0; i < CONFIG_DISKS_MAX; i++)
		strncat(line, "--disk d ", sizeof(line) - strlen(line) - 1);
	good(&c, line);
	strncat(line, "--disk d", sizeof(line) - strlen(line) - 1);
	bad(line, "--disk: more than 16 disks");
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		int ret;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "3K", 0, 3 * KIB },
		{ "512M", 0, 512 * MIB },
		{ "2g", 0, 2 * GIB },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "99999999999999999999999999999999999999", -ERANGE, 0 },
		{ "8589934592G", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "G", -EINVAL, 0 },
		{ "1.5G", -EINVAL, 0 },
		{ " 1G", -EINVAL, 0 },
		{ "1GB", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "99999999999999999999z", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t bytes = 0;

		if (config_parse_size(cases[i].text, &bytes) != cases[i].ret ||
		    bytes != cases[i].bytes)
			fail_msg("'%s' gave %llu", cases[i].text, (unsigned long long)bytes);
	}
}

static void check(const char *line, int ret, const char *words)
{
	struct config c;
	struct error err = { "" };

	good(&c, line);
	assert_int_equal(config_check(&c, &err), ret);
	if (!strstr(err.text, words))
		fail_msg("%s: '%s' lacks '%s'", line, err.text, words);
}

static void checks(void **state)
{
	(void)state;
	check("--kernel k --memory 16M", 0, "");
	check("", -EINVAL, "--kernel is missing");
	check("--kernel k --nested on", 0, "");
	check("--kernel k --memory 16M --memory-min 8M --memory-max 1G", 0, "");
	check("--kernel k --memory 16M --memory-max 1000G", 0, "");
	check("--kernel k --memory 16M --memory-max 8M", -EINVAL, "--memory-max: less");
	check("--kernel k --memory 16M --memory-min 32M --memory-max 1G", -EINVAL, "--memory-min");
	check("--kernel k --memory 16M --memory-min 8M", -EINVAL, "needs --memory-max");
	check("--kernel k --memory 1M", -EINVAL, "at least 2 MiB");
	check("--kernel k --memory 16777217", -EINVAL, "multiple of 1 MiB");
	check("--kernel k --memory 500G", -EINVAL, "too much memory");
	check("--kernel k --memory 512G", -EINVAL, "the machine's address layout ends");
}

static void help_names_every_option(void **state)
{
	static const char *const names[] = { "engine",    "cpu",     "cpus",   "memory",
					     "nested",    "kernel",  "initrd", "append",
					     "disk",      "net",     "serial", "debug-exit",
					     "no-reboot", "timeout", "verbose" };
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	options_help(out);
	fclose(out);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char option[32];

		snprintf(option, sizeof(option), "    --%s", names[i]);
		assert_non_null(strstr(text, option));
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(everything_at_once),
		cmocka_unit_test(bad_options),
		cmocka_unit_test(lists_end),
		cmocka_unit_test(sizes),
		cmocka_unit_test(checks),
		cmocka_unit_test(help_names_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
