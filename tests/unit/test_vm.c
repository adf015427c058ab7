/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a VM, with its real board and an engine whose vCPU 0 does one scripted thing after
 * each start: exit statuses, resets, and that nothing is left behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <utmp.h>
#include <unistd.h>

#include "dev/acpi_pm.h"
#include "dev/debug_exit.h"
#include "dev/uart.h"
#include "vm/vm.h"

#define STEPS 8
#define COM1  0x3f8

/* What vCPU 0 does when it is started. */
enum step {
	WAIT,
	OFF,
	RESET,
	EXIT_16,
	TRIPLE_FAULT,
	ENGINE_FAULT,
	TERMINATE,
	QUIT,
	SAY_HELLO,
	FLOOD,
	RESET_AND_FLOOD
};

struct script {
	enum step step[STEPS];
	unsigned starts; /* of vCPU 0 */
};

struct engine {
	struct engine_config config;
};

struct engine_vcpu {
	struct engine *engine;
	unsigned index;
	bool kicked, done; /* kicked: atomic */
};

static int fake_create(struct engine **out, const struct engine_config *config, struct error *err)
{
	(void)err;
	*out = calloc(1, sizeof(**out));
	(*out)->config = *config;
	return 0;
}

static void fake_destroy(struct engine *engine)
{
	free(engine);
}

static int fake_vcpu_create(struct engine *engine, unsigned index, struct engine_vcpu **out,
			    struct error *err)
{
	(void)err;
	*out = calloc(1, sizeof(**out));
	(*out)->engine = engine;
	(*out)->index = index;
	return 0;
}

static void fake_vcpu_destroy(struct engine_vcpu *vcpu)
{
	free(vcpu);
}

static void port(struct engine_vcpu *vcpu, uint64_t address, unsigned size, uint64_t value)
{
	bus_write(vcpu->engine->config.bus, BUS_PIO, address, size, value);
}

static void say(struct engine_vcpu *vcpu, const char *text)
{
	for (; *text; text++)
		port(vcpu, COM1, 1, (uint8_t)*text);
}

static void power_off(struct engine_vcpu *vcpu)
{
	port(vcpu, ACPI_PM_BASE + ACPI_PM1_CNT, 2, BIT(13) | ACPI_SLP_TYP_S5 << 10);
}

/* At file scope, because an engine is given no pointer of the test's. */
static struct script script;

static enum engine_exit do_step(struct engine_vcpu *vcpu)
{
	switch (script.step[script.starts++ % STEPS]) {
	case WAIT:
		break;
	case OFF:
		power_off(vcpu);
		port(vcpu, ACPI_RESET_PORT, 1, ACPI_RESET_VALUE); /* too late */
		break;
	case RESET:
		port(vcpu, ACPI_RESET_PORT, 1, ACPI_RESET_VALUE);
		power_off(vcpu); /* too late */
		break;
	case EXIT_16:
		port(vcpu, DEBUG_EXIT_PORT, 4, 16);
		break;
	case TRIPLE_FAULT:
		return ENGINE_SHUTDOWN;
	case ENGINE_FAULT:
		return ENGINE_ERROR;
	case TERMINATE:
		kill(getpid(), SIGTERM);
		break;
	case QUIT:
		kill(getpid(), SIGQUIT);
		break;
	case SAY_HELLO:
		say(vcpu, "hello\n");
		power_off(vcpu);
		break;
	case RESET_AND_FLOOD: /* cannot park while the output is stuck */
		port(vcpu, ACPI_RESET_PORT, 1, ACPI_RESET_VALUE);
		/* fall through */
	case FLOOD:
		for (int i = 0; i < 100000; i++)
			say(vcpu, "lots of output that nobody reads ");
		break;
	}
	return ENGINE_KICKED;
}

static enum engine_exit fake_run(struct engine_vcpu *vcpu)
{
	if (vcpu->index == 0 && !vcpu->done) {
		enum engine_exit why;

		vcpu->done = true;
		why = do_step(vcpu);
		if (why != ENGINE_KICKED)
			return why;
	}
	while (!__atomic_exchange_n(&vcpu->kicked, false, __ATOMIC_SEQ_CST))
		usleep(100);
	return ENGINE_KICKED;
}

static void fake_kick(struct engine_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->kicked, true, __ATOMIC_SEQ_CST);
}

static void fake_signal(struct engine_vcpu *vcpu, enum vcpu_signal what, uint8_t vector)
{
	(void)vcpu;
	(void)what;
	(void)vector;
}

static void fake_set_registers(struct engine_vcpu *vcpu, const struct engine_registers *in)
{
	assert_int_equal(vcpu->index, 0);
	assert_int_equal(in->rip, 0x100100);
}

static void fake_reset(struct engine_vcpu *vcpu)
{
	vcpu->done = false;
}

static const struct engine_ops fake = {
	.name = "fake",
	.create = fake_create,
	.destroy = fake_destroy,
	.vcpu_create = fake_vcpu_create,
	.vcpu_destroy = fake_vcpu_destroy,
	.run = fake_run,
	.kick = fake_kick,
	.signal = fake_signal,
	.set_registers = fake_set_registers,
	.reset = fake_reset,
};

struct fixture {
	char dir[32], kernel[64], serial[64];
	struct config config;
	struct error err;
};

static int setup(void **state)
{
	static const uint32_t header[] = { 0x1badb002, 0x10000,  -(0x1badb002 + 0x10000),
					   0x100000,   0x100000, 0,
					   0,          0x100100 };
	struct fixture *f = calloc(1, sizeof(*f));
	FILE *out;

	snprintf(f->dir, sizeof(f->dir), "/tmp/nidus-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	snprintf(f->serial, sizeof(f->serial), "%s/serial", f->dir);
	out = fopen(f->kernel, "w");
	assert_int_equal(fwrite(header, sizeof(header), 1, out), 1);
	fclose(out);
	config_init(&f->config);
	f->config.kernel = f->kernel;
	f->config.cpus = 2;
	f->config.memory_bytes = 16 * MIB;
	f->config.serial.kind = CONFIG_SERIAL_NONE;
	f->config.timeout_seconds = 20;
	script = (struct script){ 0 };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->kernel);
	assert_int_equal(rmdir(f->dir), 0); /* nothing is left behind */
	free(f);
	return 0;
}

static int run(struct fixture *f)
{
	struct vm *vm;
	int status;

	f->err.text[0] = 0;
	if (vm_create(&vm, &f->config, &fake, &f->err))
		fail_msg("%s", f->err.text);
	status = vm_run(vm, &f->err);
	vm_destroy(vm);
	return status;
}

static void power_off_ends_with_0(void **state)
{
	script.step[0] = OFF;
	assert_int_equal(run(*state), 0);
}

static void reset_starts_again(void **state)
{
	script = (struct script){ .step = { RESET, RESET, RESET, OFF } };
	assert_int_equal(run(*state), 0);
	assert_int_equal(script.starts, 4);
}

static void reset_ends_with_3_without_reboot(void **state)
{
	struct fixture *f = *state;

	f->config.no_reboot = true;
	script.step[0] = RESET;
	assert_int_equal(run(f), 3);
	assert_int_equal(script.starts, 1);
}

static void reset_fails_where_the_kernel_shrank(void **state)
{
	struct fixture *f = *state;
	struct vm *vm;

	script.step[0] = RESET;
	assert_int_equal(vm_create(&vm, &f->config, &fake, &f->err), 0);
	assert_int_equal(truncate(f->kernel, 8), 0);
	assert_int_equal(vm_run(vm, &f->err), 125);
	vm_destroy(vm);
	assert_non_null(strstr(f->err.text, f->kernel));
}

static void debug_exit_ends_with_2v_plus_1(void **state)
{
	struct fixture *f = *state;

	f->config.debug_exit = true;
	script.step[0] = EXIT_16;
	assert_int_equal(run(f), 33);
}

static void without_debug_exit_the_port_is_free(void **state)
{
	struct fixture *f = *state;

	f->config.timeout_seconds = 1;
	script.step[0] = EXIT_16;
	assert_int_equal(run(f), 124);
	assert_non_null(strstr(f->err.text, "--timeout"));
}

static void triple_fault_ends_with_3(void **state)
{
	struct fixture *f = *state;

	script.step[0] = TRIPLE_FAULT;
	assert_int_equal(run(f), 3);
	assert_non_null(strstr(f->err.text, "triple fault"));
}

static void engine_fault_ends_with_125(void **state)
{
	script.step[0] = ENGINE_FAULT;
	assert_int_equal(run(*state), 125);
}

static void signal_ends_with_128_and_it(void **state)
{
	script.step[0] = TERMINATE;
	assert_int_equal(run(*state), 128 + SIGTERM);
	script = (struct script){ .step = { QUIT } };
	assert_int_equal(run(*state), 128 + SIGQUIT);
}

static void output_arrives_before_the_end(void **state)
{
	struct fixture *f = *state;
	char line[16] = "";
	FILE *in;

	f->config.serial = (struct config_serial){ CONFIG_SERIAL_FILE, f->serial };
	script.step[0] = SAY_HELLO;
	assert_int_equal(run(f), 0);
	in = fopen(f->serial, "r");
	assert_non_null(fgets(line, sizeof(line), in));
	fclose(in);
	unlink(f->serial);
	assert_string_equal(line, "hello\n");
}

static void stuck_output_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->config.serial = (struct config_serial){ CONFIG_SERIAL_FILE, f->serial };
	f->config.timeout_seconds = 1;
	script.step[0] = FLOOD;
	assert_int_equal(mkfifo(f->serial, 0600), 0);
	fd = open(f->serial, O_RDONLY | O_NONBLOCK); /* opened, never read */
	assert_int_equal(run(f), 124);
	close(fd);
	unlink(f->serial);
}

/* On a terminal of its own, whose other end is `master`. */
static pid_t run_on_terminal(struct fixture *f, int *master)
{
	int slave;
	pid_t pid;

	if (openpty(master, &slave, NULL, NULL, NULL)) {
		puts("skip: no pseudo-terminals here (/dev/pts)");
		skip();
	}
	pid = fork();
	if (!pid) {
		close(*master);
		login_tty(slave);
		_exit(run(f));
	}
	close(slave);
	return pid;
}

static void the_quit_key_counts_during_a_reset(void **state)
{
	struct fixture *f = *state;
	int master, status;
	char byte;
	pid_t pid;

	f->config.serial.kind = CONFIG_SERIAL_STDIO;
	script.step[0] = RESET_AND_FLOOD;
	pid = run_on_terminal(f, &master);
	assert_int_equal(read(master, &byte, 1), 1); /* the terminal is raw by now */
	usleep(100000);                              /* and the output stuck */
	assert_int_equal(write(master, "\x1dq", 2), 2);
	usleep(100000);
	while (read(master, &byte, 1) == 1)
		; /* what waits at the end may go out */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(master);
}

static void socket_file_is_removed(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct vm *vm;

	f->config.serial = (struct config_serial){ CONFIG_SERIAL_UNIX, f->serial };
	script.step[0] = OFF;
	assert_int_equal(vm_create(&vm, &f->config, &fake, &f->err), 0);
	assert_int_equal(stat(f->serial, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	vm_run(vm, &f->err);
	vm_destroy(vm);
	assert_int_equal(stat(f->serial, &st), -1);
}

static void fails(struct fixture *f, int code, const char *words)
{
	struct vm *vm;

	assert_int_equal(vm_create(&vm, &f->config, &fake, &f->err), code);
	if (!strstr(f->err.text, words))
		fail_msg("'%s' lacks '%s'", f->err.text, words);
}

static void errors_leave_nothing(void **state)
{
	struct fixture *f = *state;
	const char *kernel = f->kernel;

	f->config.serial = (struct config_serial){ CONFIG_SERIAL_UNIX, f->serial };
	f->config.kernel = "/nonexistent/kernel";
	fails(f, -ENOENT, "kernel '/nonexistent/kernel'");
	f->config.kernel = f->dir;
	fails(f, -EINVAL, "not a regular file");
	f->config.kernel = kernel;
	f->config.initrd = "/nonexistent/initrd";
	fails(f, -ENOENT, "initrd '/nonexistent/initrd'");
	f->config.initrd = NULL;
	f->config.disks = 1;
	snprintf(f->config.disk[0].path, sizeof(f->config.disk[0].path), "/nonexistent/disk");
	fails(f, -ENOENT, "/nonexistent/disk");
	f->config.disks = 0;
	f->config.serial.path = "/nonexistent/socket";
	fails(f, -ENOENT, "/nonexistent/socket");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(power_off_ends_with_0),
		TEST(reset_starts_again),
		TEST(reset_ends_with_3_without_reboot),
		TEST(reset_fails_where_the_kernel_shrank),
		TEST(debug_exit_ends_with_2v_plus_1),
		TEST(without_debug_exit_the_port_is_free),
		TEST(triple_fault_ends_with_3),
		TEST(engine_fault_ends_with_125),
		TEST(signal_ends_with_128_and_it),
		TEST(output_arrives_before_the_end),
		TEST(stuck_output_does_not_hold_up_the_end),
		TEST(the_quit_key_counts_during_a_reset),
		TEST(socket_file_is_removed),
		TEST(errors_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
