/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gueststress: loads that check themselves, for hours, inside a guest (or natively).
 *
 * Usage: gueststress SECONDS FOLDER
 * Every load is a process that repeats its round until the time is up: all run at once. Prints
 * `WRONG LOAD: WHAT` for the first thing that is not as it must be (that load ends there), and
 * `LOAD N rounds` for each load at its end; a load that did not come to it has no such line. The
 * exit status is 1 where anything was wrong. FOLDER is for files. Loads give way to what else runs,
 * such as a VM, which would come up too slowly among so many.
 * Build: cc -O2 -static -pthread -fno-math-errno -o gueststress gueststress.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE      4096u
#define NS_PER_S  1000000000ll
#define NS_PER_MS 1000000ll
#define NICENESS  5

struct load {
	const char *name;
	void (*round)(void);
};

static const char *folder, *load_name = "all";
static uint64_t seed; /* of the load */

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void __attribute__((format(printf, 2, 3))) must(bool holds, const char *format, ...)
{
	char text[200];
	va_list args;

	if (holds)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("WRONG %s: %s (errno %d)\n", load_name, text, errno);
	fflush(stdout);
	_exit(1);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static uint64_t next_random(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return mix(seed);
}

/* Whether the child ended with that status. */
static bool ended(pid_t pid, int status)
{
	int got;
	pid_t who;

	do
		who = waitpid(pid, &got, 0);
	while (who < 0 && errno == EINTR);
	return who == pid && WIFEXITED(got) && WEXITSTATUS(got) == status;
}

/* ---- arithmetic: the same again and again, whoever else uses the processor's registers ---- */

typedef float vector __attribute__((vector_size(16)));

struct results {
	uint64_t integer;
	double sum;
	float lanes[4];
	uint8_t x87[10];
};

static void calculate(struct results *r)
{
	vector v = { 1, 2, 3, 4 }, step = { 0.5f, 0.25f, 0.125f, 1 };
	long double product = 1;
	uint64_t x = 1;
	double sum = 0;

	for (unsigned i = 1; i <= 500000; i++) {
		x = mix(x + i) / (i | 1) + (x << 7 | x >> 57);
		sum += __builtin_sqrt((double)i) / (1 + (double)(x & 0xff));
		v = v * step + (vector){ (float)(i & 7), 1, 2, 3 };
		product = product * 1.0000001L + 1 / (long double)i;
	}
	r->integer = x;
	r->sum = sum;
	memcpy(r->lanes, &v, sizeof(r->lanes));
	memcpy(r->x87, &product, sizeof(r->x87));
}

static void arithmetic(void)
{
	static struct results first;
	static bool has_first;
	struct results r;

	memset(&r, 0, sizeof(r));
	calculate(&r);
	if (!has_first)
		first = r;
	has_first = true;
	must(r.integer == first.integer, "integers: %lx, before %lx", r.integer, first.integer);
	must(r.sum == first.sum, "double: %a, before %a", r.sum, first.sum);
	must(!memcmp(r.lanes, first.lanes, sizeof(r.lanes)), "vectors");
	must(!memcmp(r.x87, first.x87, sizeof(r.x87)), "x87");
}

/* ---- memory: mapped, shared, copied on write, protected, given back ---- */

#define AREA_PAGES 2048u

static void fill(uint64_t *area, uint64_t key)
{
	for (uint64_t i = 0; i < AREA_PAGES * PAGE / 8; i += 8)
		area[i] = mix(key + i);
}

static bool is_filled(const uint64_t *area, uint64_t key)
{
	for (uint64_t i = 0; i < AREA_PAGES * PAGE / 8; i += 8)
		if (area[i] != mix(key + i))
			return false;
	return true;
}

static void memory(void)
{
	uint64_t key = next_random(), *area, *moved;
	pid_t child;

	area = mmap(NULL, AREA_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	must(area != MAP_FAILED, "mmap");
	fill(area, key);
	child = fork();
	if (!child) {
		bool good = is_filled(area, key);

		fill(area, ~key);
		_exit(good && is_filled(area, ~key) ? 0 : 1);
	}
	must(ended(child, 0), "a child's copy of memory");
	must(is_filled(area, key), "memory that a child has changed for itself");
	must(!mprotect(area, AREA_PAGES * PAGE, PROT_READ), "mprotect");
	must(is_filled(area, key), "memory made read-only");
	moved = mremap(area, AREA_PAGES * PAGE, 2 * AREA_PAGES * PAGE, MREMAP_MAYMOVE);
	must(moved != MAP_FAILED, "mremap");
	must(is_filled(moved, key), "memory that was moved");
	must(!madvise(moved, AREA_PAGES * PAGE, MADV_DONTNEED), "madvise");
	for (unsigned i = 0; i < AREA_PAGES; i++)
		must(!moved[i * PAGE / 8], "a fresh page is not zero");
	must(!munmap(moved, 2 * AREA_PAGES * PAGE), "munmap");
}

/* ---- processes ---- */

static void processes(void)
{
	pid_t child[32];

	for (unsigned i = 0; i < 32; i++) {
		child[i] = fork();
		must(child[i] >= 0, "fork");
		if (!child[i] && i % 4)
			_exit((int)i);
		if (!child[i]) {
			char text[16];

			snprintf(text, sizeof(text), "exit %u", i);
			execl("/bin/sh", "sh", "-c", text, (char *)NULL);
			_exit(99);
		}
	}
	for (unsigned i = 0; i < 32; i++)
		must(ended(child[i], (int)i), "the exit status of child %u", i);
}

/* ---- files: written in random order, read from the disk again ---- */

#define FILE_PAGES 512u

static void files(void)
{
	uint64_t key = next_random(), block[PAGE / 8];
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/file", folder);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	must(fd >= 0, "open %s", path);
	for (unsigned n = 0; n < FILE_PAGES; n++) {
		uint64_t at = n * 421 % FILE_PAGES; /* 421 is prime */

		for (unsigned i = 0; i < PAGE / 8; i++)
			block[i] = mix(key + at * PAGE + i);
		must(pwrite(fd, block, PAGE, (off_t)(at * PAGE)) == (ssize_t)PAGE, "write");
	}
	must(!fsync(fd), "fsync");
	must(!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), "fadvise");
	for (uint64_t at = 0; at < FILE_PAGES; at++) {
		must(pread(fd, block, PAGE, (off_t)(at * PAGE)) == (ssize_t)PAGE, "read");
		for (unsigned i = 0; i < PAGE / 8; i++)
			must(block[i] == mix(key + at * PAGE + i), "page %lu, word %u of a file",
			     at, i);
	}
	close(fd);
	must(!unlink(path), "unlink");
}

/* ---- timers: none too early, none lost, and clocks that never go back ---- */

#define TICKS 1000

static void sleep_exactly(void)
{
	int64_t until = now_ns(CLOCK_MONOTONIC) + (int64_t)(next_random() % (5 * NS_PER_MS));
	struct timespec t = { until / NS_PER_S, until % NS_PER_S };

	must(!clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), "clock_nanosleep");
	must(now_ns(CLOCK_MONOTONIC) >= until, "woken too early");
}

/*
 * One signal of a timer of a millisecond, not armed before `start`. Returns when it has come, which
 * is less than a millisecond and what passes behind the signal after the last expiration that has
 * been counted, unless one was lost.
 */
static int64_t wait_for_tick(timer_t timer, const sigset_t *set, int64_t start, int64_t *expired)
{
	int64_t before = now_ns(CLOCK_MONOTONIC), after;

	must(sigwaitinfo(set, NULL) == SIGRTMIN, "sigwaitinfo");
	*expired += 1 + timer_getoverrun(timer);
	after = now_ns(CLOCK_MONOTONIC);
	must(after >= before, "the clock went back by %ld ns", before - after);
	must(*expired * NS_PER_MS <= after - start, "%ld expirations in %ld ns", *expired,
	     after - start);
	return after;
}

static void timers(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec every = { { 0, NS_PER_MS }, { 0, NS_PER_MS } };
	const struct timespec at_once = { 0, 0 };
	int64_t start, armed, expired = 0, least_ns = INT64_MAX;
	sigset_t set;
	timer_t timer;

	for (unsigned i = 0; i < 50; i++)
		sleep_exactly();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	must(!timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
	start = now_ns(CLOCK_MONOTONIC);
	must(!timer_settime(timer, 0, &every, NULL), "timer_settime");
	armed = now_ns(CLOCK_MONOTONIC);
	/* Who is kept from running is late at times; who lost some is late for good. */
	while (expired < TICKS || (least_ns >= 2 * NS_PER_MS && expired < 100 * TICKS)) {
		int64_t at = wait_for_tick(timer, &set, start, &expired);
		int64_t late_ns = at - armed - expired * NS_PER_MS;

		if (expired > TICKS / 2 && late_ns < least_ns)
			least_ns = late_ns;
	}
	must(least_ns < 2 * NS_PER_MS, "expirations are lost: %ld ns behind", least_ns);
	must(!timer_delete(timer), "timer_delete");
	while (sigtimedwait(&set, NULL, &at_once) > 0)
		; /* what was on its way then */
}

/* ---- threads: atomic operations, locks, and one clock for all processors ---- */

#define COUNTS 200000u

static struct {
	pthread_mutex_t lock;
	uint64_t atomic, locked;
	int64_t latest_ns;
	int64_t back_ns; /* how far the clock has gone back, at most */
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *count(void *arg)
{
	for (unsigned i = 0; i < COUNTS; i++) {
		int64_t t;

		__atomic_fetch_add(&shared.atomic, 1, __ATOMIC_RELAXED);
		if (i % 8)
			continue;
		pthread_mutex_lock(&shared.lock);
		shared.locked++;
		t = now_ns(CLOCK_MONOTONIC);
		if (shared.latest_ns - t > shared.back_ns)
			shared.back_ns = shared.latest_ns - t;
		shared.latest_ns = t;
		pthread_mutex_unlock(&shared.lock);
	}
	return arg;
}

static void threads(void)
{
	pthread_t thread[4];

	shared.atomic = shared.locked = 0;
	for (unsigned i = 0; i < 4; i++)
		must(!pthread_create(&thread[i], NULL, count, NULL), "pthread_create");
	for (unsigned i = 0; i < 4; i++)
		must(!pthread_join(thread[i], NULL), "pthread_join");
	must(shared.atomic == 4 * COUNTS, "an atomic counter is %lu", shared.atomic);
	must(shared.locked == 4 * COUNTS / 8, "a locked counter is %lu", shared.locked);
	must(!shared.back_ns, "the clock went back by %ld ns from one thread to another",
	     shared.back_ns);
}

/* ---- signals: faults that are mended, timers that interrupt arithmetic ---- */

static uint8_t *guarded;
static volatile sig_atomic_t faults, ticks;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	if ((uint8_t *)info->si_addr != guarded)
		_exit(98);
	faults++;
	mprotect(guarded, PAGE, PROT_READ | PROT_WRITE);
}

/* Uses what the interrupted code uses. */
static void on_tick(int number)
{
	struct results r;

	(void)number;
	r.sum = 1.5 * (double)++ticks;
	memset(&r.lanes, 0xff, sizeof(r.lanes));
	asm volatile("" : : "m"(r));
}

static void signals(void)
{
	struct sigaction on_segv = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct sigaction on_alarm = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	const struct itimerval never = { 0 };

	sigaction(SIGSEGV, &on_segv, NULL);
	sigaction(SIGALRM, &on_alarm, NULL);
	guarded = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(guarded != MAP_FAILED, "mmap");
	must(!setitimer(ITIMER_REAL, &every, NULL), "setitimer");
	faults = 0;
	for (int i = 1; i <= 200; i++) {
		mprotect(guarded, PAGE, i % 2 ? PROT_NONE : PROT_READ);
		*(volatile uint8_t *)guarded = (uint8_t)i;
		must(faults == i && *guarded == (uint8_t)i, "fault %d of a page that was guarded",
		     i);
	}
	arithmetic();
	must(!setitimer(ITIMER_REAL, &never, NULL), "setitimer");
	must(ticks > 0, "no tick");
	munmap(guarded, PAGE);
}

/* ---- code that is written, run and written again ---- */

static void code(void)
{
	static const uint8_t ret_number[] = { 0xb8, 0, 0, 0, 0, 0xc3 }; /* mov $0, %eax; ret */
	uint8_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t (*function)(void);

	must(page != MAP_FAILED, "mmap");
	for (uint32_t i = 0; i < 2000; i++) {
		uint8_t *at = page + i % 97 * 16;

		memcpy(at, ret_number, sizeof(ret_number));
		memcpy(at + 1, &i, sizeof(i));
		memcpy(&function, &at, sizeof(function));
		for (unsigned n = 0; n < 1 + i % 40; n++)
			must(function() == i, "code that was written anew, %u", i);
	}
	munmap(page, PAGE);
}

/* ---- messages between two processes ---- */

#define MESSAGES 4000u

static void echo_messages(int fd)
{
	uint8_t text[1024];
	ssize_t n;

	while ((n = recv(fd, text, sizeof(text), 0)) > 0)
		if (send(fd, text, (size_t)n, 0) != n)
			_exit(2);
	_exit(0);
}

static void messages(void)
{
	uint8_t sent[1024], got[1024];
	pid_t child;
	int fd[2];

	must(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), "socketpair");
	child = fork();
	must(child >= 0, "fork");
	if (!child) {
		close(fd[0]);
		echo_messages(fd[1]);
	}
	close(fd[1]);
	for (unsigned i = 0; i < MESSAGES; i++) {
		size_t len = 1 + next_random() % sizeof(sent);

		memset(sent, (int)i, len);
		memcpy(sent, &i, len < sizeof(i) ? len : sizeof(i));
		must(send(fd[0], sent, len, 0) == (ssize_t)len, "send");
		must(recv(fd[0], got, sizeof(got), 0) == (ssize_t)len, "the length of message %u",
		     i);
		must(!memcmp(sent, got, len), "the text of message %u", i);
	}
	close(fd[0]);
	must(ended(child, 0), "the process that echoes");
}

/* ---- all of them ---- */

static const struct load loads[] = {
	{ "arithmetic", arithmetic }, { "memory", memory }, { "processes", processes },
	{ "files", files },           { "timers", timers }, { "threads", threads },
	{ "signals", signals },       { "code", code },     { "messages", messages },
};

#define LOADS (sizeof(loads) / sizeof(*loads))

static void __attribute__((noreturn)) repeat(const struct load *load, int64_t end_ns)
{
	unsigned rounds = 0;

	load_name = load->name;
	seed = (uint64_t)now_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 40;
	do {
		load->round();
		rounds++;
	} while (now_ns(CLOCK_MONOTONIC) < end_ns);
	printf("%s %u rounds\n", load->name, rounds);
	fflush(stdout);
	_exit(0);
}

int main(int argc, char **argv)
{
	int64_t end_ns;
	pid_t child[LOADS];
	bool good = true;

	if (argc != 3) {
		fprintf(stderr, "usage: gueststress SECONDS FOLDER\n");
		return 2;
	}
	end_ns = now_ns(CLOCK_MONOTONIC) + strtoll(argv[1], NULL, 10) * NS_PER_S;
	folder = argv[2];
	must(nice(NICENESS) == NICENESS, "nice");
	for (unsigned i = 0; i < LOADS; i++) {
		child[i] = fork();
		if (!child[i])
			repeat(&loads[i], end_ns);
	}
	for (unsigned i = 0; i < LOADS; i++)
		if (!ended(child[i], 0)) {
			printf("WRONG %s: its process has failed\n", loads[i].name);
			good = false;
		}
	return good ? 0 : 1;
}
