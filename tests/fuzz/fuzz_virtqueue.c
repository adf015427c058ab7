/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtqueues over rings that the fuzzer writes: the input is the guest's memory from the rings on.
 * Nothing may reach outside guest memory, and each walk has to end.
 */
#include "dev/virtio/queue.h"

#include <stdlib.h>

#define MEMORY    (2 * MIB)
#define SIZE      8
#define RINGS     0x1000 /* descriptors, available, used: the addresses are the fuzzer's too */
#define POPS_MAX  64
#define HEAD      8 /* bytes of the input that are no memory */
#define COPY_MAX  4096
#define FLAG_IDX  1
#define FLAG_INDI 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct virtq *q, struct virtq_chain *chain)
{
	uint8_t bytes[COPY_MAX];
	struct virtq_used used = { chain->head, 1 };

	for (unsigned i = 0; i < chain->readable + chain->writable; i++) {
		uint8_t *p = chain->iov[i].iov_base;

		if (!memory_is_ram(q->memory, p - q->memory->base, chain->iov[i].iov_len))
			abort();
	}
	memset(bytes, 0x5a, sizeof(bytes));
	virtq_read(chain, used.head, bytes, sizeof(bytes));
	virtq_write(q, chain, used.head, bytes, sizeof(bytes));
	virtq_push(q, &used, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory *memory;
	struct virtq q;
	struct virtq_chain chain;

	if (size < HEAD || size - HEAD > MEMORY - RINGS || memory_create(&memory, MEMORY, NULL))
		return 0;
	memory_write(memory, RINGS, data + HEAD, MIN(size - HEAD, 0x9f000 - RINGS));
	virtq_init(&q, memory);
	virtq_reset(&q, data[0] % 4 ? SIZE : data[1]);
	q.desc = RINGS + load_le(data + 2, 2);
	q.avail = q.desc + data[4] * 2;
	q.used = q.desc + load_le(data + 6, 2);
	virtq_start(&q, data[5] & FLAG_INDI, data[5] & FLAG_IDX);
	for (unsigned i = 0; i < POPS_MAX && virtq_pop(&q, &chain) > 0; i++)
		use(&q, &chain);
	virtq_finish(&q);
	memory_destroy(memory);
	return 0;
}
