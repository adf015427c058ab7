/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guestbench: small fixed workloads, run inside a guest (or natively) to compare engines.
 *
 * Prints one line per workload, "BENCH <name> <seconds>", then "BENCH done".
 * Usage: guestbench [name ...]   (no name: all of them)
 * Build: cc -O2 -fno-tree-vectorize -static -o guestbench guestbench.c
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cpuid.h>

static volatile uint64_t sink;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* integer ALU chain with a data-dependent branch */
static void b_int(void)
{
	uint64_t a = 1, b = 2, c = 3;
	for (long i = 0; i < 100000000; i++) {
		a += b ^ (c >> 3);
		b = b * 6364136223846793005ull + 1;
		c ^= a << 5;
		if (c & 64)
			a++;
	}
	sink = a + b + c;
}

/* pointer chase with a store per node, 1 MiB */
static void b_mem(void)
{
	struct node {
		struct node *next;
		uint64_t v;
	};
	enum { N = 1 << 16 };
	struct node *p = malloc(N * sizeof(*p)), *q = p;
	uint64_t s = 0;
	for (uint32_t i = 0; i < N; i++) {
		p[i].next = &p[(i * 40505u + 12345) & (N - 1)];
		p[i].v = i;
	}
	for (long i = 0; i < 50000000; i++) {
		s += q->v;
		q->v = s;
		q = q->next;
	}
	sink = s;
	free(p);
}

/* direct calls and returns */
static __attribute__((noinline, noclone)) uint64_t fib(volatile int *n, int k)
{
	return k < 2 ? (uint64_t)(k + *n) : fib(n, k - 1) + fib(n, k - 2);
}
static void b_call(void)
{
	volatile int zero = 0;
	sink = fib(&zero, 37);
}

/* indirect calls with four targets */
typedef uint64_t (*fn)(uint64_t);
static __attribute__((noinline)) uint64_t f0(uint64_t x)
{
	return x + 1;
}
static __attribute__((noinline)) uint64_t f1(uint64_t x)
{
	return x ^ 3;
}
static __attribute__((noinline)) uint64_t f2(uint64_t x)
{
	return x * 5;
}
static __attribute__((noinline)) uint64_t f3(uint64_t x)
{
	return x >> 1;
}
static void b_indirect(void)
{
	static fn volatile t[4] = { f0, f1, f2, f3 };
	uint64_t x = 7;
	for (long i = 0; i < 50000000; i++)
		x = t[(x ^ i) & 3](x) + i;
	sink = x;
}

/* scalar SSE2 floating point over a small array */
static void b_fp(void)
{
	static double a[256];
	double s = 0;
	for (int i = 0; i < 256; i++)
		a[i] = i * 0.5 + 1;
	for (long k = 0; k < 80000; k++)
		for (int i = 0; i < 256; i++) {
			a[i] = a[i] * 0.999 + 1.5 / (a[i] + 1);
			s += a[i];
		}
	sink = (uint64_t)s;
}

/* packed single precision, written so that the compiler emits SSE */
typedef float v4 __attribute__((vector_size(16)));
static void b_simd(void)
{
	static v4 a[1024], b[1024];
	for (int i = 0; i < 1024; i++) {
		a[i] = (v4){ i, 1, 2, 3 };
		b[i] = (v4){ 0.5f, 0.25f, 0.125f, 1 };
	}
	for (long k = 0; k < 40000; k++)
		for (int i = 0; i < 1024; i++)
			a[i] = a[i] * b[i] + b[(i + k) & 1023];
	sink = (uint64_t)a[17][1];
}

/* shell sort of 1 M words */
static void b_sort(void)
{
	enum { N = 1000000 };
	uint32_t *a = malloc(N * 4), x = 1;
	for (int i = 0; i < N; i++) {
		x = x * 1664525 + 1013904223;
		a[i] = x;
	}
	for (int g = N / 2; g; g /= 2)
		for (int i = g; i < N; i++) {
			uint32_t v = a[i];
			int j = i;
			while (j >= g && a[j - g] > v) {
				a[j] = a[j - g];
				j -= g;
			}
			a[j] = v;
		}
	sink = a[N / 2];
	free(a);
}

/* library memcpy, 1 MiB blocks, 1 GiB in all */
static void b_memcpy(void)
{
	char *a = malloc(1 << 20), *b = malloc(1 << 20);
	memset(a, 1, 1 << 20);
	for (int i = 0; i < 1000; i++) {
		memcpy(b, a, 1 << 20);
		a[i] += b[i + 1];
	}
	sink = b[5];
	free(a);
	free(b);
}

/* kernel entry and exit */
static void b_syscall(void)
{
	for (long i = 0; i < 500000; i++)
		syscall(SYS_getppid);
}

/* page faults: 40960 first touches */
static void b_fault(void)
{
	for (int k = 0; k < 40; k++) {
		char *p = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);
		for (int i = 0; i < 4 << 20; i += 4096)
			p[i] = 1;
		munmap(p, 4 << 20);
	}
}

static void b_fork(void)
{
	for (int i = 0; i < 300; i++) {
		pid_t p = fork();
		if (!p)
			_exit(0);
		waitpid(p, 0, 0);
	}
}

/* two processes over a pair of pipes: 20000 round trips */
static void b_ctxsw(void)
{
	enum { N = 20000 };
	int p[2], q[2];
	char c = 0;
	if (pipe(p) || pipe(q))
		return;
	if (!fork()) {
		for (int i = 0; i < N; i++)
			if (read(p[0], &c, 1) != 1 || write(q[1], &c, 1) != 1)
				break;
		_exit(0);
	}
	for (int i = 0; i < N; i++)
		if (write(p[1], &c, 1) != 1 || read(q[0], &c, 1) != 1)
			break;
	wait(0);
}

/* CPUID: a VM exit whenever this level is itself a guest of a guest hypervisor */
static void b_cpuid(void)
{
	unsigned a, b, c, d;
	for (int i = 0; i < 100000; i++) {
		__cpuid_count(0, 0, a, b, c, d);
		sink += a + b + c + d;
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} benches[] = {
	{ "int", b_int },           { "mem", b_mem },       { "call", b_call },
	{ "indirect", b_indirect }, { "fp", b_fp },         { "simd", b_simd },
	{ "sort", b_sort },         { "memcpy", b_memcpy }, { "syscall", b_syscall },
	{ "fault", b_fault },       { "fork", b_fork },     { "ctxsw", b_ctxsw },
	{ "cpuid", b_cpuid },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(benches) / sizeof(*benches); i++) {
		int wanted = argc < 2;
		for (int k = 1; k < argc; k++)
			wanted |= !strcmp(argv[k], benches[i].name);
		if (!wanted)
			continue;
		double t = now();
		benches[i].run();
		printf("BENCH %-9s %.4f\n", benches[i].name, now() - t);
		fflush(stdout);
	}
	puts("BENCH done");
	return 0;
}
