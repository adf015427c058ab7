/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program without a C library that computes one number out of sorting, hashing, recursion,
 * pointers to functions, x87 and SSE, memory and system calls. Built for 32-bit code it is the
 * init of a guest, which it switches off; built for 64-bit code it says what the number must be.
 */
#include <stdint.h>

#define WORDS  4096
#define ROUNDS 6

#ifdef __i386__
#define SYS_EXIT   1
#define SYS_WRITE  4
#define SYS_REBOOT 88
#define SYS_GETPID 20
#else
#define SYS_EXIT   60
#define SYS_WRITE  1
#define SYS_REBOOT 169
#define SYS_GETPID 39
#endif

static long call(long number, long a, long b, long c)
{
	long result;

#ifdef __i386__
	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
#else
	asm volatile("syscall"
		     : "=a"(result)
		     : "a"(number), "D"(a), "S"(b), "d"(c)
		     : "rcx", "r11", "memory");
#endif
	return result;
}

static uint32_t words[WORDS], other[WORDS];
static uint32_t seed = 12345;

static uint32_t next(void)
{
	seed = seed * 1103515245 + 12345;
	return seed >> 8 ^ seed << 13;
}

static void sort(uint32_t *from, uint32_t *to)
{
	uint32_t *low = from, *high = to, pivot = from[(to - from) / 2];

	while (low <= high) {
		while (*low < pivot)
			low++;
		while (*high > pivot)
			high--;
		if (low <= high) {
			uint32_t kept = *low;

			*low++ = *high;
			*high-- = kept;
		}
	}
	if (from < high)
		sort(from, high);
	if (low < to)
		sort(low, to);
}

static uint32_t fibonacci(uint32_t n)
{
	return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static uint32_t hash(const void *from, unsigned bytes)
{
	const uint8_t *byte = from;
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < bytes; i++)
		h = (h ^ byte[i]) * 16777619u;
	return h;
}

static uint32_t add(uint32_t a, uint32_t b)
{
	return a + b;
}

static uint32_t twist(uint32_t a, uint32_t b)
{
	return (a << 7 | a >> 25) ^ b;
}

static uint32_t divide(uint32_t a, uint32_t b)
{
	return (uint32_t)(((uint64_t)a * b) >> 11) + a / (b | 1) + (uint32_t)((int32_t)a % 77);
}

static uint32_t (*volatile const operations[])(uint32_t, uint32_t) = { add, twist, divide };

/* Exact in either arithmetic. */
static uint32_t numbers(uint32_t n)
{
	volatile long double x = 0;
	volatile float y = 0;

	for (uint32_t i = 0; i < n; i++) {
		x += i * 0.5L;
		y += (float)(i & 63);
	}
	return (uint32_t)(int64_t)(x * 2) + (uint32_t)(int64_t)y;
}

static uint32_t compute(void)
{
	uint32_t sum = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < WORDS; i++)
			words[i] = next();
		sort(words, words + WORDS - 1);
		for (unsigned i = 0; i < WORDS; i++) {
			other[i] = words[WORDS - 1 - i];
			sum = operations[i % 3](sum, words[i]);
		}
		__builtin_memmove(other + 1, other, sizeof(other) - 4);
		sum = twist(sum, hash(other, sizeof(other)));
		sum += fibonacci(18) + numbers(2000);
		for (unsigned i = 0; i < 500; i++)
			sum += call(SYS_GETPID, 0, 0, 0) > 0;
	}
	return sum;
}

void *memmove(void *to, const void *from, unsigned long bytes)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	while (bytes--)
		t[bytes] = f[bytes];
	return to;
}

__attribute__((force_align_arg_pointer, used)) void _start(void)
{
	static char text[] = "user32: ........\n";
	uint32_t sum = compute();

	for (unsigned i = 0; i < 8; i++)
		text[8 + i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
	call(SYS_WRITE, 1, (long)(uintptr_t)text, sizeof(text) - 1);
	if (call(SYS_GETPID, 0, 0, 0) == 1)
		call(SYS_REBOOT, (long)0xfee1dead, 672274793, 0x4321fedc); /* power off */
	call(SYS_EXIT, 0, 0, 0);
}
