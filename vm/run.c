/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `nidus run`: parses, makes the machine, runs it, and prints the one message that there may be.
 * `nidus engines`: parses the same, and makes nothing.
 */
#include "vm/run.h"

#include "console/tty.h"
#include "vm/engines.h"
#include "vm/options.h"
#include "vm/vm.h"

#include <signal.h>
#include <unistd.h>

#define STATUS_USAGE 2

/*
 * A fault of our own: the operator gets the terminal back, a word about it and status 125. The
 * engine may have handlers of its own for what guest code raises; they are installed later. The
 * thread may have no stack of C when it happens (cpu/jit/signal_stack.h).
 */
static void on_fault(int number)
{
	static const char message[] = "\nnidus: internal error: fatal signal\n";

	tty_make_sane();
	(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
	(void)number;
	_exit(VM_STATUS_FAULT);
}

static void set_signals(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	struct sigaction action = { .sa_handler = on_fault, .sa_flags = SA_ONSTACK };

	signal(SIGPIPE, SIG_IGN); /* a reader that goes away is no reason to end */
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct sigaction old;

		if (!sigaction(faults[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(faults[i], &action, NULL);
	}
}

static int fail(const struct error *err, int status)
{
	if (*err->text)
		fprintf(stderr, "nidus: %s\n", err->text);
	return status;
}

int run_command(int argc, char *const argv[])
{
	struct config config;
	struct error err = { "" }, why;
	struct vm *vm;
	int status;

	config_init(&config);
	if (options_parse(&config, argc, argv, &err) || config_check(&config, &err))
		return fail(&err, STATUS_USAGE);
	set_signals();
	if (engines_choose(&config, &why, &err))
		return fail(&err, STATUS_USAGE);
	if (config.verbose)
		fprintf(stderr, "nidus: engine '%s': %s\n", config.engine->name, why.text);
	if (vm_create(&vm, &config, config.engine, &err))
		return fail(&err, STATUS_USAGE);
	status = vm_run(vm, &err);
	if (config.stats)
		vm_print_stats(vm);
	vm_destroy(vm);
	return fail(&err, status);
}

void engines_help(FILE *out)
{
	fputs("usage: nidus engines [OPTION]...\n\nSays which engines can run a virtual machine of "
	      "these options of `nidus run` here, such\nas --nested on, and why the others cannot. "
	      "It tries, which may take a second.\n",
	      out);
}

static void print_engine(const struct engine_ops *ops, const struct config *config)
{
	struct error err = { "" };
	enum cpu_vendor vendor;

	if (engines_probe(ops, config, &vendor, &err))
		printf("%s: Not available: %s\n", ops->name, err.text);
	else
		printf("%s: Available\n", ops->name);
}

int engines_command(int argc, char *const argv[])
{
	struct config config;
	struct error err = { "" };

	config_init(&config);
	if (options_parse(&config, argc, argv, &err))
		return fail(&err, STATUS_USAGE);
	for (unsigned i = 0; engines_at(i); i++) {
		fflush(stdout); /* trials fork */
		print_engine(engines_at(i), &config);
	}
	return 0;
}
