/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command `nidus switch`: options, and the loop until nobody needs the switch any more. */
#include "switch/run.h"

#include "switch/server.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define LINGER_MS   3000  /* a machine that is reset or starts anew finds it still there */
#define PATIENCE_MS 60000 /* as long as a VM may take to start */

#define STATUS_BAD_INPUT 2 /* as of nidus run */

static const struct option {
	const char *name, *value, *help;
	size_t field; /* in struct server_options, a text */
} options[] = {
	{ "--name", "NAME", "the switch's, for messages", offsetof(struct server_options, name) },
	{ "--ports", "PATH", "the socket that virtual machines connect to",
	  offsetof(struct server_options, ports_path) },
	{ "--control", "PATH", "the socket that says what ports there are and what they may do",
	  offsetof(struct server_options, control_path) },
};

void switch_help(FILE *out)
{
	fputs("usage: nidus switch OPTION...\n\n"
	      "The process of one virtual switch. Management starts it when a virtual machine "
	      "needs "
	      "it,\nand it ends when the last one has left.\n\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		fprintf(out, "  %-10s%-8s%s\n", options[i].name, options[i].value, options[i].help);
}

static const struct option *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!strcmp(name, options[i].name))
			return &options[i];
	}
	return NULL;
}

static int parse(int argc, char *const argv[], struct server_options *out)
{
	for (int i = 0; i < argc; i += 2) {
		const struct option *option = find(argv[i]);

		if (!option || i + 1 == argc) {
			fprintf(stderr,
				option ? "nidus switch: %s needs a value\n"
				       : "nidus switch: unknown option '%s'\n",
				argv[i]);
			return -1;
		}
		*(const char **)((char *)out + option->field) = argv[i + 1];
	}
	if (out->name && out->ports_path && out->control_path)
		return 0;
	fputs("nidus switch: needs --name, --ports and --control\n", stderr);
	return -1;
}

static void on_signal(uv_signal_t *handle, int number)
{
	(void)number;
	uv_stop(handle->loop);
}

/* A descriptor for each port: as many as this process may have. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(uv_loop_t *loop, const struct server_options *given)
{
	struct server *server;
	struct error err = { "" };
	uv_signal_t terminate;
	int ret = server_create(&server, loop, given, &err);

	if (ret) {
		fprintf(stderr, "nidus switch: %s\n", err.text);
		uv_run(loop, UV_RUN_DEFAULT);
		return STATUS_BAD_INPUT;
	}
	uv_signal_init(loop, &terminate);
	uv_signal_start(&terminate, on_signal, SIGTERM);
	uv_run(loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&terminate, NULL);
	server_destroy(server);
	uv_run(loop, UV_RUN_DEFAULT);
	return 0;
}

int switch_command(int argc, char *const argv[])
{
	struct server_options given = { .linger_ms = LINGER_MS, .patience_ms = PATIENCE_MS };
	uv_loop_t loop;
	int status;

	if (parse(argc, argv, &given))
		return STATUS_BAD_INPUT;
	raise_limit();
	signal(SIGPIPE, SIG_IGN); /* a client that goes away is no reason to end */
	if (uv_loop_init(&loop))
		return STATUS_BAD_INPUT;
	status = run(&loop, &given);
	uv_loop_close(&loop);
	return status;
}
