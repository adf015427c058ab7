/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program: a table of sub-commands about one VM's process. Everything else is management, a
 * client of such processes: ctl/.
 */
#include "ctl/shell.h"
#include "lib/base.h"
#include "lib/version.h"
#include "switch/run.h"
#include "vm/options.h"
#include "vm/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int help_command(int argc, char *const argv[]);

static void help_help(FILE *out)
{
	fputs("usage: nidus help [COMMAND]\n", out);
}

static const struct {
	const char *name;
	int (*run)(int argc, char *const argv[]); /* arguments after the name; the exit status */
	void (*help)(FILE *out);
	const char *summary;
} commands[] = {
	{ "run", run_command, options_help, "run a virtual machine" },
	{ "engines", engines_command, engines_help, "say what can run virtual machines here" },
	{ "switch", switch_command, switch_help, "run a virtual switch" },
	{ "help", help_command, help_help, "say how a command is used" },
};

static int find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(commands[i].name, name))
			return (int)i;
	}
	return -1;
}

/* `nidus help Get-VM` is Get-Help's. */
static int help_cmdlet(const char *name)
{
	char *const words[] = { "Get-Help", (char *)name, NULL };

	return shell_command(2, words);
}

static int help_command(int argc, char *const argv[])
{
	int i;

	if (argc > 0) {
		i = find(argv[0]);
		if (i < 0)
			return help_cmdlet(argv[0]);
		commands[i].help(stdout);
		return 0;
	}
	puts("usage: nidus                               a shell with the cmdlets of Hyper-V\n"
	     "       nidus CMDLET [ARGUMENT]...          one of them; nidus Get-Command lists "
	     "them\n"
	     "       nidus -Command TEXT | -File SCRIPT  many of them\n"
	     "       nidus COMMAND [ARGUMENT]...\n"
	     "       nidus --version | --help\n");
	for (size_t k = 0; k < ARRAY_SIZE(commands); k++)
		printf("    %-8s%s\n", commands[k].name, commands[k].summary);
	return 0;
}

/* Files that we open must not land on a standard stream that the caller closed. */
static void open_standard_streams(void)
{
	while (1) {
		int fd = open("/dev/null", O_RDWR);

		if (fd > STDERR_FILENO || fd < 0) {
			if (fd >= 0)
				close(fd);
			return;
		}
	}
}

int main(int argc, char *argv[])
{
	int i;

	open_standard_streams();
	if (argc < 2)
		return shell_command(0, NULL);
	if (!strcmp(argv[1], "--version")) {
		puts("nidus " VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "--help"))
		return help_command(0, NULL);
	i = find(argv[1]);
	if (i < 0)
		return shell_command(argc - 1, argv + 1);
	if (argc == 3 && !strcmp(argv[2], "--help"))
		return help_command(1, argv + 1);
	return commands[i].run(argc - 2, argv + 2);
}
