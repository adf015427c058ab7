/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-mem: memory that the guest gets beyond what it started with, in blocks that its driver
 * plugs and unplugs one request at a time, as many as the requested size asks for. Blocks that are
 * unplugged go back to the host. The range that the driver may use is the part of the growing
 * range that is RAM already, so an unplugged block in it is RAM too: it reads as zero, and a
 * driver that writes there all the same gets no more than it was once granted.
 *
 * A reset of the device leaves blocks as they are, one of the machine unplugs them all.
 *
 * Source: VIRTIO 1.2, "Memory Device".
 */
#include "dev/virtio/virtio.h"
#include "dev/virtio/worker.h"

#include <errno.h>
#include <linux/virtio_mem.h>
#include <stdlib.h>

#define TYPE        24 /* VIRTIO_ID_MEM, which older headers do not have */
#define CLASS_OTHER 0x00ff00
#define BLOCK_BYTES (2 * MIB)

struct virtio_mem {
	struct virtio_device virtio;
	struct worker *worker;
	struct virtio_mem_config config; /* what changes in it does so atomically */
	uint8_t *plugged;                /* by block. The worker's */
};

static uint64_t get(const __le64 *field)
{
	return __atomic_load_n(field, __ATOMIC_SEQ_CST);
}

static void set(__le64 *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_SEQ_CST);
}

/* --- blocks --- */

struct run {
	uint64_t first, count;
};

/* False: not all of the blocks are in the range that can be used. */
static bool find_run(const struct virtio_mem *mem, uint64_t addr, unsigned count, struct run *run)
{
	uint64_t offset = addr - mem->config.addr, usable = get(&mem->config.usable_region_size);

	if (addr < mem->config.addr || offset % BLOCK_BYTES || !count || offset >= usable ||
	    count > (usable - offset) / BLOCK_BYTES)
		return false;
	*run = (struct run){ offset / BLOCK_BYTES, count };
	return true;
}

static uint64_t count_plugged(const struct virtio_mem *mem, const struct run *run)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < run->count; i++)
		count += mem->plugged[run->first + i];
	return count;
}

static void mark(struct virtio_mem *mem, const struct run *run, bool is_plugged)
{
	uint64_t bytes = run->count * BLOCK_BYTES, now = get(&mem->config.plugged_size);

	memset(mem->plugged + run->first, is_plugged, run->count);
	set(&mem->config.plugged_size, is_plugged ? now + bytes : now - bytes);
}

static unsigned plug(struct virtio_mem *mem, const struct run *run)
{
	uint64_t wanted = get(&mem->config.plugged_size) + run->count * BLOCK_BYTES;

	if (count_plugged(mem, run))
		return VIRTIO_MEM_RESP_ERROR;
	if (wanted > get(&mem->config.requested_size))
		return VIRTIO_MEM_RESP_NACK;
	mark(mem, run, true);
	return VIRTIO_MEM_RESP_ACK;
}

static unsigned unplug(struct virtio_mem *mem, const struct run *run)
{
	if (count_plugged(mem, run) != run->count)
		return VIRTIO_MEM_RESP_ERROR;
	/* A host that cannot take the memory keeps it: the guest has given it up all the same. */
	memory_release(mem->virtio.memory, mem->config.addr + run->first * BLOCK_BYTES,
		       run->count * BLOCK_BYTES);
	mark(mem, run, false);
	return VIRTIO_MEM_RESP_ACK;
}

static void unplug_all(struct virtio_mem *mem)
{
	uint64_t blocks = get(&mem->config.usable_region_size) / BLOCK_BYTES;

	for (uint64_t i = 0; i < blocks;) {
		struct run run = { i, 0 };

		while (i + run.count < blocks && mem->plugged[i + run.count])
			run.count++;
		if (run.count)
			unplug(mem, &run);
		i += run.count + 1;
	}
}

static unsigned state_of(const struct virtio_mem *mem, const struct run *run)
{
	uint64_t count = count_plugged(mem, run);

	if (!count)
		return VIRTIO_MEM_STATE_UNPLUGGED;
	return count == run->count ? VIRTIO_MEM_STATE_PLUGGED : VIRTIO_MEM_STATE_MIXED;
}

/* --- requests --- */

/* The three requests about blocks have their address and number in the same place. */
static void answer(struct virtio_mem *mem, const struct virtio_mem_req *request,
		   struct virtio_mem_resp *response)
{
	struct run run;

	response->type = VIRTIO_MEM_RESP_ERROR;
	if (request->type == VIRTIO_MEM_REQ_UNPLUG_ALL) {
		unplug_all(mem);
		response->type = VIRTIO_MEM_RESP_ACK;
		return;
	}
	if (!find_run(mem, request->u.plug.addr, request->u.plug.nb_blocks, &run))
		return;
	if (request->type == VIRTIO_MEM_REQ_PLUG) {
		response->type = plug(mem, &run);
	} else if (request->type == VIRTIO_MEM_REQ_UNPLUG) {
		response->type = unplug(mem, &run);
	} else if (request->type == VIRTIO_MEM_REQ_STATE) {
		response->type = VIRTIO_MEM_RESP_ACK;
		response->u.state.state = state_of(mem, &run);
	}
}

static bool take_request(void *self)
{
	struct virtio_mem *mem = self;
	struct virtio_mem_resp response = { 0 };
	struct virtio_mem_req request = { 0 };
	struct virtq_chain chain;
	size_t written;

	if (!virtio_pop(&mem->virtio, 0, &chain))
		return false;
	if (virtq_read(&chain, 0, &request, sizeof(request)) == sizeof(request))
		answer(mem, &request, &response);
	else
		response.type = VIRTIO_MEM_RESP_ERROR;
	written = virtq_write(&mem->virtio.queue[0], &chain, 0, &response, sizeof(response));
	virtio_push_one(&mem->virtio, 0, &chain, (uint32_t)written);
	return true;
}

/* --- what the machine asks for --- */

int virtio_mem_request(struct virtio_mem *mem, uint64_t bytes)
{
	struct memory *memory = mem->virtio.memory;
	int ret = memory_grow(memory, bytes);

	if (ret)
		return ret;
	set(&mem->config.usable_region_size, memory->growth->size_bytes);
	set(&mem->config.requested_size, align_down(bytes, BLOCK_BYTES));
	virtio_config_changed(&mem->virtio);
	return 0;
}

void virtio_mem_report(struct virtio_mem *mem, struct virtio_mem_report *report)
{
	*report = (struct virtio_mem_report){
		.has_driver = virtio_is_live(&mem->virtio),
		.requested_bytes = get(&mem->config.requested_size),
		.plugged_bytes = get(&mem->config.plugged_size),
	};
}

/* --- the device --- */

static void mem_notify(void *self, unsigned queue)
{
	(void)queue;
	worker_kick(((struct virtio_mem *)self)->worker);
}

static void mem_pause(void *self)
{
	worker_pause(((struct virtio_mem *)self)->worker);
}

static void mem_resume(void *self)
{
	worker_resume(((struct virtio_mem *)self)->worker);
}

static const struct virtio_ops mem_ops = {
	.notify = mem_notify,
	.pause = mem_pause,
	.resume = mem_resume,
};

static const struct virtio_kind mem_kind = {
	.type = TYPE,
	.class_code = CLASS_OTHER,
	.ops = &mem_ops,
};

static int create(struct virtio_mem *mem, const struct virtio_place *place)
{
	const struct memory *memory = place->memory;
	const struct virtio_setup setup = {
		.kind = &mem_kind,
		.self = mem,
		.queues = 1,
		.config = &mem->config,
		.config_bytes = sizeof(mem->config),
	};
	int ret;

	mem->config = (struct virtio_mem_config){
		.block_size = BLOCK_BYTES,
		.addr = memory->growth->base,
		.region_size = memory->growth_max_bytes,
		.usable_region_size = memory->growth->size_bytes,
	};
	mem->plugged = calloc(memory->growth_max_bytes / BLOCK_BYTES, 1);
	if (!mem->plugged)
		return -ENOMEM;
	ret = worker_create(&mem->worker, "virtio-mem", 1, take_request, mem);
	return ret ? ret : virtio_init(&mem->virtio, place, &setup);
}

int virtio_mem_create(struct virtio_mem **out, const struct virtio_place *place)
{
	struct virtio_mem *mem = calloc(1, sizeof(*mem));
	int ret;

	if (!mem)
		return -ENOMEM;
	ret = create(mem, place);
	if (ret) {
		worker_destroy(mem->worker);
		free(mem->plugged);
		free(mem);
		return ret;
	}
	*out = mem;
	return 0;
}

static void mem_reset(void *self)
{
	struct virtio_mem *mem = self;

	virtio_reset(&mem->virtio);
	worker_pause(mem->worker);
	unplug_all(mem);
	worker_resume(mem->worker);
}

static void mem_destroy(void *self)
{
	struct virtio_mem *mem = self;

	worker_destroy(mem->worker);
	virtio_finish(&mem->virtio);
	free(mem->plugged);
	free(mem);
}

const struct dev_ops virtio_mem_dev_ops = {
	.name = "virtio-mem",
	.reset = mem_reset,
	.destroy = mem_destroy,
};
