/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * switchbench NIDUS [SECONDS]: how many frames a second pass through the process of a switch
 * between two test ports, for large and small frames and batches as a virtual machine makes them. A
 * sender and a receiver run beside the switch, so that three processes share the machine. Prints a
 * line for each: bytes of a frame, frames of a batch, Gbit/s and frames/s that arrived, part that
 * was dropped, CPU seconds of the switch for each second.
 */
#include "lib/socket.h"
#include "switch/client.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_USUAL 3
#define NS_PER_SECOND 1e9
#define FRAME_MAX     2048
#define START_TRIES   1000
#define START_WAIT_US 10000

static const struct {
	unsigned bytes, batch;
} cases[] = { { 1514, 1 }, { 1514, 8 }, { 1514, 64 }, { 60, 1 }, { 60, 8 }, { 60, 64 } };

struct result {
	uint64_t sent, received;
	double first, last; /* seconds, of what was received */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / NS_PER_SECOND;
}

static void die(const char *what)
{
	fprintf(stderr, "switchbench: %s\n", what);
	exit(1);
}

static void wait_for(const struct switch_client *client, short events)
{
	struct pollfd fd = { switch_client_fd(client), events, 0 };

	poll(&fd, 1, 1000);
}

static struct switch_client *plug(const char *path, const char *id)
{
	struct switch_client *client;
	struct error err;

	if (switch_client_open(&client, path, id, &err))
		die(err.text);
	return client;
}

static void send_for(const char *path, unsigned bytes, unsigned batch, double seconds,
		     struct result *result)
{
	uint8_t frame[FRAME_MAX] = { 0, 0x15, 0x5d, 0, 0, 2, 0, 0x15, 0x5d, 0, 0, 1, 0x88, 0xb5 };
	struct switch_client *client = plug(path, "1");
	double end = now() + seconds;

	while (now() < end) {
		for (unsigned i = 0; i < batch; i++)
			result->sent += switch_client_send(client, frame, bytes);
		if (switch_client_flush(client))
			die("the switch is gone");
		while (switch_client_waits(client)) {
			wait_for(client, POLLOUT);
			if (switch_client_flush(client))
				die("the switch is gone");
		}
	}
	switch_client_close(client);
	_exit(0);
}

static void count(void *self, const void *frame, size_t bytes)
{
	(void)frame;
	(void)bytes;
	((struct result *)self)->received++;
}

static void receive(const char *path, struct result *result)
{
	struct switch_client *client = plug(path, "2");
	struct error err;

	while (1) {
		uint64_t before = result->received;

		wait_for(client, POLLIN);
		if (switch_client_receive(client, count, result, &err))
			die(err.text);
		if (result->received == before)
			continue;
		result->last = now();
		if (!before)
			result->first = result->last;
	}
}

/* --- the switch --- */

static pid_t start_switch(const char *nidus)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	execl(nidus, nidus, "switch", "--name", "Bench", "--ports", "ports", "--control", "control",
	      NULL);
	die("no switch");
	return 0;
}

static void set_port(const char *id)
{
	char text[256], answer[256];
	int fd = -1, len = snprintf(text, sizeof(text),
				    "{\"execute\": \"set_port\", \"arguments\": "
				    "{\"port\": \"%s\", \"mac\": \"00155D00000%s\"}}\n",
				    id, id);

	for (unsigned i = 0; i < START_TRIES && fd < 0; i++) {
		usleep(START_WAIT_US);
		fd = socket_connect("control");
	}
	if (fd < 0 || write(fd, text, (size_t)len) != len || read(fd, answer, sizeof(answer)) <= 0)
		die("the switch does not answer");
	close(fd);
}

static double cpu_of_children(void)
{
	struct rusage usage;

	getrusage(RUSAGE_CHILDREN, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void end(pid_t pid)
{
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

static void run_case(const char *nidus, unsigned bytes, unsigned batch, double seconds,
		     struct result *result)
{
	pid_t the_switch = start_switch(nidus), sender, receiver;
	double cpu, took, frames;

	*result = (struct result){ 0 };
	set_port("1");
	set_port("2");
	receiver = fork();
	if (!receiver)
		receive("ports", result);
	usleep(START_WAIT_US);
	sender = fork();
	if (!sender)
		send_for("ports", bytes, batch, seconds, result);
	waitpid(sender, NULL, 0);
	usleep(10 * START_WAIT_US);
	end(receiver);
	cpu = cpu_of_children();
	end(the_switch);
	cpu = cpu_of_children() - cpu;
	took = result->last - result->first;
	frames = (double)result->received / took;
	printf("%5u %4u %8.2f Gbit/s %10.0f frames/s %5.1f %% dropped %5.2f CPU\n", bytes, batch,
	       frames * bytes * 8 / 1e9, frames,
	       100 - 100.0 * (double)result->received / (double)result->sent, cpu / took);
	fflush(stdout);
}

int main(int argc, char *argv[])
{
	struct result *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double seconds = argc > 2 ? strtod(argv[2], NULL) : SECONDS_USUAL;
	char folder[] = "/tmp/switchbench.XXXXXX";
	char *nidus = argc > 1 ? realpath(argv[1], NULL) : NULL;

	if (!nidus || result == MAP_FAILED || !mkdtemp(folder) || chdir(folder))
		die("usage: switchbench NIDUS [SECONDS]");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(nidus, cases[i].bytes, cases[i].batch, seconds, result);
	if (rmdir(folder))
		die("it left files behind");
	free(nidus);
	return 0;
}
