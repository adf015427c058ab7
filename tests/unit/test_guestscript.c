/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Script blocks for a Linux guest, run by this host's shell, which finds nothing but fakes that say
 * how they were called.
 */
#include "ctl/guestscript.h"

#include "ctl/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What the guest's programs do; each says how it was called. mkdir fails: nothing is written. */
static const struct {
	const char *name, *body;
} fakes[] = {
	{ "systemctl", "echo \"systemctl $*\" >&3" },
	{ "modprobe", "echo \"modprobe $*\" >&3" },
	{ "rm", "echo \"rm $*\" >&3" },
	{ "mkdir", "exit 1" },
	{ "sleep", "exit 0" },
	{ "qemu-system-x86_64", "exit 0" },
	{ "grep", "case \"$*\" in *\"$SHOWN\"*cpuinfo) exit 0 ;; *modules) exit $LOADED ;; esac; "
		  "exit 1" },
	{ "tr", "exec /usr/bin/tr \"$@\"" },
};

struct fixture {
	char folder[64];
	char *path[ARRAY_SIZE(fakes)];
	char output[4096];
	int status;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/tmp/nidus-test-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	for (size_t i = 0; i < ARRAY_SIZE(fakes); i++) {
		FILE *file;

		f->path[i] = text_format("%s/%s", f->folder, fakes[i].name);
		file = fopen(f->path[i], "w");
		fprintf(file, "#!/bin/sh\n%s\n", fakes[i].body);
		fclose(file);
		chmod(f->path[i], S_IRWXU);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(fakes); i++) {
		unlink(f->path[i]);
		free(f->path[i]);
	}
	rmdir(f->folder);
	free(f);
	return 0;
}

static void run_script(const struct fixture *f, const char *script, int output)
{
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	dup2(output, 3);
	setenv("PATH", f->folder, 1);
	execl("/bin/sh", "sh", "-c", script, NULL);
	_exit(127);
}

/* Runs a block in a guest whose processor shows `shown` (vmx, svm, nothing). */
static void run(struct fixture *f, const char *block, const char *shown, bool is_loaded)
{
	char *script = guestscript_translate(block);
	size_t len = 0;
	ssize_t n;
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	setenv("SHOWN", shown, 1);
	setenv("LOADED", is_loaded ? "0" : "1", 1);
	pid = fork();
	if (!pid)
		run_script(f, script, ends[1]);
	close(ends[1]);
	while ((n = read(ends[0], f->output + len, sizeof(f->output) - 1 - len)) > 0)
		len += (size_t)n;
	f->output[len] = 0;
	close(ends[0]);
	waitpid(pid, &f->status, 0);
	f->status = WEXITSTATUS(f->status);
	free(script);
}

static void expect(const struct fixture *f, const char *words)
{
	if (!strstr(f->output, words))
		fail_msg("'%s' lacks '%s'", f->output, words);
}

static void expect_not(const struct fixture *f, const char *words)
{
	if (strstr(f->output, words))
		fail_msg("'%s' has '%s'", f->output, words);
}

/* What means nothing special goes to the guest's shell byte for byte. */
static void test_plain(void **state)
{
	static const char *const blocks[] = { "", " echo ';' \"$1\" # x\n", "a; b | c && d",
					      "Enable-Something; restart" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		char *script = guestscript_translate(blocks[i]);

		assert_string_equal(script, blocks[i]);
		free(script);
	}
}

/* I5: the documents' block. */
static void test_documents(void **state)
{
	struct fixture *f = *state;

	run(f,
	    " Enable-WindowsOptionalFeature -FeatureName Microsoft-Hyper-V -Online; "
	    "Restart-Computer ",
	    "vmx", false);
	expect(f, "modprobe kvm_intel\n");
	expect(f, "RestartNeeded : True");
	expect(f, "systemctl reboot\n");
}

static void test_forms(void **state)
{
	static const char *const blocks[] = {
		"enable-windowsoptionalfeature -online -featurename:Microsoft-Hyper-V-All -All",
		"Enable-WindowsOptionalFeature -Online -FeatureName \"Microsoft-Hyper-V\"",
		"Install-WindowsFeature -Name Hyper-V -IncludeManagementTools",
		"\n\tInstall-WindowsFeature Hyper-V\r\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		run(f, blocks[i], "svm", false);
		expect(f, "modprobe kvm_amd\n");
		expect_not(f, "reboot");
	}
	run(f, "Install-WindowsFeature -Name Hyper-V -Restart", "vmx", true);
	expect_not(f, "modprobe");
	expect(f, "systemctl reboot\n");
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;

	run(f, "Enable-WindowsOptionalFeature -FeatureName TelnetClient -Online", "vmx", false);
	expect(f, "Feature name 'TelnetClient' is unknown");
	expect_not(f, "modprobe");
	assert_int_not_equal(f->status, 0);
	run(f, "Enable-WindowsOptionalFeature -FeatureName Microsoft-Hyper-V -Online", "nothing",
	    false);
	expect(f, "no virtualization extensions");
	expect_not(f, "modprobe");
	assert_int_not_equal(f->status, 0);
}

static void test_power(void **state)
{
	struct fixture *f = *state;

	run(f, "echo before; Restart-Computer -Force -Delay 5; echo 'after; all'", "vmx", false);
	expect(f, "before\n");
	expect(f, "after; all\n");
	expect(f, "systemctl reboot\n");
	run(f, "Stop-Computer -Force", "vmx", false);
	expect(f, "systemctl poweroff\n");
	run(f, "echo 'Restart-Computer; not'; echo \"a;b\"", "vmx", false);
	expect(f, "Restart-Computer; not\na;b\n");
	expect_not(f, "systemctl");
}

static void test_state(void **state)
{
	struct fixture *f = *state;

	run(f, "Disable-WindowsOptionalFeature -FeatureName Microsoft-Hyper-V -Online", "vmx",
	    true);
	expect(f, "rm -f /etc/modules-load.d/hypervisor.conf\n");
	expect(f, "modprobe -r kvm_intel\n");
	run(f, "Get-WindowsOptionalFeature -FeatureName Microsoft-Hyper-V -Online", "vmx", true);
	expect(f, "State         : Enabled\n");
	run(f, "Get-WindowsOptionalFeature -FeatureName Nope -Online", "vmx", true);
	expect(f, "Feature name 'Nope' is unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test_setup_teardown(test_documents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_power, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
