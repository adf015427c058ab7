/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmconnect: the serial port of a VM on this terminal. Ctrl-] detaches; the VM runs on.
 */
#include "ctl/machine.h"
#include "ctl/nouns.h"
#include "ctl/shell.h"
#include "ctl/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define DETACH_KEY 0x1d /* Ctrl-] */
#define LOCK_MODE  0600

static bool write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
	return true;
}

/* Keys to the VM; false when it is over. The end of input is not: output may follow. */
static bool pass_keys(int socket, struct pollfd *keyboard)
{
	char part[512];
	ssize_t n = read(STDIN_FILENO, part, sizeof(part));
	const char *detach = n > 0 ? memchr(part, DETACH_KEY, (size_t)n) : NULL;

	if (n <= 0) {
		keyboard->fd = -1;
		return true;
	}
	if (detach)
		n = detach - part;
	return send(socket, part, (size_t)n, MSG_NOSIGNAL) == n && !detach;
}

static void attend(int socket)
{
	struct pollfd wait[2] = { { STDIN_FILENO, POLLIN, 0 }, { socket, POLLIN, 0 } };
	char part[4096];
	bool more = true;

	while (more) {
		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return;
		if (wait[0].fd >= 0 && wait[0].revents)
			more = pass_keys(socket, &wait[0]);
		if (wait[1].revents) {
			ssize_t n = recv(socket, part, sizeof(part), 0);

			more = more && n > 0 && write_all(STDOUT_FILENO, part, (size_t)n);
		}
	}
}

/*
 * One console at a time: a second one would wait in silence. A descriptor to close, or -1 after
 * call_error.
 */
static int lock_console(struct call *call, const struct machine *machine)
{
	struct error err = { "" };
	char *folder = store_run_folder(call->shell->store, machine->id, &err), *path;
	int fd;

	if (!folder)
		return call_error(call, ERROR_FAILED, machine->name, "%s", err.text);
	path = text_format("%s/console.lock", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, LOCK_MODE);
	if (fd < 0)
		call_error(call, ERROR_FAILED, machine->name, "'%s': %s", path, strerror(errno));
	else if (flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		fd = call_error(call, ERROR_STATE, machine->name,
				"The console of the virtual machine %s is in use by another "
				"vmconnect.",
				machine->name);
	}
	free(path);
	free(folder);
	return fd;
}

static int connect_one(struct call *call, struct machine *machine)
{
	struct termios before, raw;
	bool is_terminal = !tcgetattr(STDIN_FILENO, &before);
	int socket, lock;

	if (machine->process.state == PROCESS_OFF)
		return call_error(call, ERROR_STATE, machine->name,
				  "The virtual machine %s is off: there is nothing to connect to.",
				  machine->name);
	lock = lock_console(call, machine);
	if (lock < 0)
		return -1;
	socket = process_connect(call->shell->store, machine->id, "console");
	if (socket < 0) {
		close(lock);
		return call_error(call, ERROR_FAILED, machine->name,
				  "The console of the virtual machine %s cannot be reached: %s.",
				  machine->name, strerror(-socket));
	}
	fflush(call->shell->out);
	if (is_terminal) {
		raw = before;
		cfmakeraw(&raw);
		fprintf(call->shell->err, "Connected to %s. Ctrl-] detaches.\n", machine->name);
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	}
	attend(socket);
	if (is_terminal) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
		fputc('\n', call->shell->err);
	}
	close(socket);
	close(lock);
	return 0;
}

/* vmconnect SERVER VM, or VM alone. */
static int vmconnect(struct call *call)
{
	const char *server = call_string(call, "ServerName");

	if (!call_has(call, "VMName")) {
		json_object_set_new(call->args, "VMName", json_pack("[s]", server));
	} else if (!machine_is_host(server)) {
		return call_error(call, ERROR_NOT_FOUND, server,
				  "The computer '%s' is not this one. Run the command there.",
				  server);
	}
	return machine_each(call, NULL, connect_one);
}

static const struct param params[] = {
	{ "ServerName", NULL, PARAM_STRING, .position = POSITION(0), .flags = REQUIRED },
	{ "VMName", NULL, PARAM_STRING, .position = POSITION(1), .flags = MANY },
	PARAM_END,
};

static const struct cmdlet cmdlets[] = {
	{ "vmconnect", "vmconnect.exe console", "Shows the serial console of a virtual machine.",
	  params, NULL, 0, vmconnect },
	{ NULL },
};

const struct noun noun_terminal = { cmdlets, NULL };
