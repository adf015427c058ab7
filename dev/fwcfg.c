/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg. Items are filled before the first vCPU runs and constant from then on; the lock guards
 * the selector and the DMA address. Beyond an item's end, and in an item that does not exist, there
 * are zeros. The guest cannot write items.
 */
#include "dev/fwcfg.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "dev/bytes.h"

#define KEYS          (FWCFG_FIRST_FILE + FWCFG_FILES)
#define ID_TRADITION  BIT(0)
#define ID_DMA        BIT(1)
#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */
#define DMA_ERROR     BIT(0)
#define DMA_READ      BIT(1)
#define DMA_SKIP      BIT(2)
#define DMA_SELECT    BIT(3)
#define DMA_WRITE     BIT(4)

struct item {
	uint8_t *data;
	size_t len;
};

/* In the directory, big-endian. */
struct entry {
	uint32_t len;
	uint16_t key, reserved;
	char name[FWCFG_NAME_SIZE];
};

/* What a guest leaves in memory for DMA, big-endian. */
struct dma {
	uint32_t control, len;
	uint64_t address;
};

struct fwcfg {
	pthread_mutex_t lock; /* selector, position, dma_address */
	struct memory *memory;
	struct item item[KEYS];
	struct entry entry[FWCFG_FILES]; /* of the items from FWCFG_FIRST_FILE, sorted by name */
	unsigned files;
	uint16_t selector;
	size_t position;
	uint64_t dma_address;
};

_Static_assert(sizeof(struct entry) == 64, "the guest reads entries of 64 bytes");
_Static_assert(sizeof(struct dma) == 16, "the guest writes descriptors of 16 bytes");

/* --- items --- */

static int set_item(struct item *item, const void *data, size_t len)
{
	uint8_t *copy = malloc(MAX(len, 1));

	if (!copy)
		return -ENOMEM;
	if (len)
		memcpy(copy, data, len);
	free(item->data);
	*item = (struct item){ copy, len };
	return 0;
}

int fwcfg_add(struct fwcfg *fwcfg, enum fwcfg_key key, const void *data, size_t len)
{
	if ((unsigned)key >= FWCFG_DIRECTORY)
		return -EINVAL;
	return set_item(&fwcfg->item[key], data, len);
}

static int write_directory(struct fwcfg *fwcfg)
{
	struct {
		uint32_t count;
		struct entry entry[FWCFG_FILES];
	} directory = { .count = htobe32(fwcfg->files) };

	for (unsigned i = 0; i < fwcfg->files; i++) {
		struct item *item = &fwcfg->item[FWCFG_FIRST_FILE + i];

		directory.entry[i] = fwcfg->entry[i];
		directory.entry[i].len = htobe32((uint32_t)item->len);
		directory.entry[i].key = htobe16((uint16_t)(FWCFG_FIRST_FILE + i));
	}
	return set_item(&fwcfg->item[FWCFG_DIRECTORY], &directory,
			sizeof(directory.count) + fwcfg->files * sizeof(struct entry));
}

/* Makes room at `at` for a file; the files behind it get new keys. */
static void insert_entry(struct fwcfg *fwcfg, unsigned at, const char *name)
{
	struct item *item = &fwcfg->item[FWCFG_FIRST_FILE + at];
	unsigned behind = fwcfg->files++ - at;

	memmove(item + 1, item, behind * sizeof(*item));
	*item = (struct item){ 0 };
	memmove(&fwcfg->entry[at + 1], &fwcfg->entry[at], behind * sizeof(struct entry));
	memset(&fwcfg->entry[at], 0, sizeof(struct entry));
	memcpy(fwcfg->entry[at].name, name, strlen(name));
}

int fwcfg_add_file(struct fwcfg *fwcfg, const char *name, const void *data, size_t len)
{
	unsigned at = 0;
	int rc;

	if (strlen(name) >= FWCFG_NAME_SIZE)
		return -ENAMETOOLONG;
	if (len > UINT32_MAX)
		return -ENOSPC;
	while (at < fwcfg->files && strcmp(fwcfg->entry[at].name, name) < 0)
		at++;
	if (at == fwcfg->files || strcmp(fwcfg->entry[at].name, name)) {
		if (fwcfg->files == FWCFG_FILES)
			return -ENOSPC;
		insert_entry(fwcfg, at, name);
	}
	rc = set_item(&fwcfg->item[FWCFG_FIRST_FILE + at], data, len);
	return rc ? rc : write_directory(fwcfg);
}

/* --- reading --- */

static void select_item(struct fwcfg *fwcfg, uint16_t key)
{
	fwcfg->selector = key;
	fwcfg->position = 0;
}

/* How many bytes of the selected item are left, `max` at most; *data: where they are. */
static size_t rest(const struct fwcfg *fwcfg, size_t max, const uint8_t **data)
{
	const struct item *item;

	*data = NULL;
	if (fwcfg->selector >= KEYS)
		return 0;
	item = &fwcfg->item[fwcfg->selector];
	if (fwcfg->position >= item->len)
		return 0;
	*data = item->data + fwcfg->position;
	return MIN(item->len - fwcfg->position, max);
}

static void skip(struct fwcfg *fwcfg, size_t len)
{
	const uint8_t *data;

	fwcfg->position += rest(fwcfg, len, &data);
}

static uint8_t read_byte(void *self, unsigned offset)
{
	struct fwcfg *fwcfg = self;
	const uint8_t *data;
	uint8_t byte = 0;

	(void)offset;
	pthread_mutex_lock(&fwcfg->lock);
	if (rest(fwcfg, 1, &data))
		byte = *data;
	skip(fwcfg, 1);
	pthread_mutex_unlock(&fwcfg->lock);
	return byte;
}

/* Port 510h takes the selector; the data port, at whatever size, is read. */
void fwcfg_access(void *self, struct dev_access *access)
{
	struct fwcfg *fwcfg = self;

	if (access->is_write && !access->offset) {
		pthread_mutex_lock(&fwcfg->lock);
		select_item(fwcfg, (uint16_t)access->value);
		pthread_mutex_unlock(&fwcfg->lock);
	} else if (!access->is_write && access->offset) {
		dev_access_bytes(access, self, read_byte, NULL);
	} else if (!access->is_write) {
		access->value = 0;
	}
}

/* --- DMA --- */

static int write_zeros(struct memory *memory, gpa_t gpa, uint64_t len)
{
	void *at = memory_at(memory, gpa, len);

	if (!at)
		return len ? -EFAULT : 0;
	memset(at, 0, len);
	memory_written(memory, gpa, len);
	return 0;
}

static int dma_read(struct fwcfg *fwcfg, gpa_t gpa, uint32_t len)
{
	const uint8_t *data;
	size_t there = rest(fwcfg, len, &data);

	if (!memory_at(fwcfg->memory, gpa, len))
		return len ? -EFAULT : 0;
	if (there && memory_write(fwcfg->memory, gpa, data, there))
		return -EFAULT;
	skip(fwcfg, len);
	return write_zeros(fwcfg->memory, gpa + there, len - there);
}

static void run_dma(struct fwcfg *fwcfg, gpa_t at)
{
	struct dma dma;
	uint32_t control, result = 0;

	if (memory_read(fwcfg->memory, at, &dma, sizeof(dma)))
		return;
	control = be32toh(dma.control);
	if (control & DMA_SELECT)
		select_item(fwcfg, (uint16_t)(control >> 16));
	if (control & DMA_READ)
		result = dma_read(fwcfg, be64toh(dma.address), be32toh(dma.len)) ? DMA_ERROR : 0;
	else if (control & DMA_WRITE)
		result = DMA_ERROR;
	else if (control & DMA_SKIP)
		skip(fwcfg, be32toh(dma.len));
	result = htobe32(result);
	memory_write(fwcfg->memory, at, &result, sizeof(result));
}

static void write_dma_address(struct fwcfg *fwcfg, unsigned offset, unsigned size, uint64_t value)
{
	uint64_t address;

	if (size == 4 && offset == 0) {
		fwcfg->dma_address = (uint64_t)be32toh((uint32_t)value) << 32;
		return;
	}
	if (size == 4 && offset == 4)
		address = fwcfg->dma_address | be32toh((uint32_t)value);
	else if (size == 8 && offset == 0)
		address = be64toh(value);
	else
		return;
	fwcfg->dma_address = 0;
	run_dma(fwcfg, address);
}

void fwcfg_dma_access(void *self, struct dev_access *access)
{
	struct fwcfg *fwcfg = self;
	uint64_t signature = htobe64(DMA_SIGNATURE);

	if (!access->is_write) {
		access->value = signature >> 8 * (access->offset % FWCFG_DMA_PORTS);
		return;
	}
	pthread_mutex_lock(&fwcfg->lock);
	write_dma_address(fwcfg, (unsigned)access->offset, access->size, access->value);
	pthread_mutex_unlock(&fwcfg->lock);
}

/* --- life --- */

static void reset(void *self)
{
	struct fwcfg *fwcfg = self;

	pthread_mutex_lock(&fwcfg->lock);
	select_item(fwcfg, 0);
	fwcfg->dma_address = 0;
	pthread_mutex_unlock(&fwcfg->lock);
}

static void destroy(void *self)
{
	struct fwcfg *fwcfg = self;

	for (unsigned i = 0; i < KEYS; i++)
		free(fwcfg->item[i].data);
	pthread_mutex_destroy(&fwcfg->lock);
	free(fwcfg);
}

const struct dev_ops fwcfg_ops = { .name = "fw_cfg", .reset = reset, .destroy = destroy };

static int add_basics(struct fwcfg *fwcfg, unsigned vcpus)
{
	uint32_t id = ID_TRADITION | ID_DMA;
	uint16_t count = (uint16_t)vcpus;
	int rc = fwcfg_add(fwcfg, FWCFG_SIGNATURE, "QEMU", 4);

	if (!rc)
		rc = fwcfg_add(fwcfg, FWCFG_ID, &id, sizeof(id));
	if (!rc)
		rc = fwcfg_add(fwcfg, FWCFG_RAM_SIZE, &fwcfg->memory->size_bytes, 8);
	if (!rc)
		rc = fwcfg_add(fwcfg, FWCFG_CPUS, &count, sizeof(count));
	if (!rc)
		rc = fwcfg_add(fwcfg, FWCFG_MAX_CPUS, &count, sizeof(count));
	return rc ? rc : write_directory(fwcfg);
}

int fwcfg_create(struct fwcfg **out, struct memory *memory, unsigned vcpus)
{
	struct fwcfg *fwcfg = calloc(1, sizeof(*fwcfg));
	int rc;

	if (!fwcfg)
		return -ENOMEM;
	fwcfg->memory = memory;
	pthread_mutex_init(&fwcfg->lock, NULL);
	rc = add_basics(fwcfg, vcpus);
	if (rc) {
		destroy(fwcfg);
		return rc;
	}
	*out = fwcfg;
	return 0;
}
