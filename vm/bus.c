/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus: a sorted array of ranges for each space, built by the board and constant from the first
 * instruction on. Look-up is a binary search without a lock.
 */
#include "vm/bus.h"

#include <errno.h>
#include <stdlib.h>

struct range {
	uint64_t base, size;
	dev_access_fn *fn;
	void *self;
	const char *name;
};

struct bus {
	struct {
		struct range *range;
		size_t count;
	} space[BUS_SPACES];
};

int bus_create(struct bus **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void bus_destroy(struct bus *bus)
{
	if (!bus)
		return;
	for (int i = 0; i < BUS_SPACES; i++)
		free(bus->space[i].range);
	free(bus);
}

/* Index of the first range that ends above addr. */
static size_t lower_bound(const struct bus *bus, enum bus_space space, uint64_t addr)
{
	const struct range *r = bus->space[space].range;
	size_t lo = 0, hi = bus->space[space].count;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (r[mid].base + (r[mid].size - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct range *find(const struct bus *bus, enum bus_space space, uint64_t addr)
{
	size_t i = lower_bound(bus, space, addr);
	const struct range *r = &bus->space[space].range[i];

	return i < bus->space[space].count && r->base <= addr ? r : NULL;
}

int bus_map(struct bus *bus, enum bus_space space, uint64_t base, uint64_t size, dev_access_fn *fn,
	    void *self, const char *name)
{
	size_t count = bus->space[space].count, i = lower_bound(bus, space, base);
	struct range *r;

	if (!size || base + (size - 1) < base)
		return -EINVAL;
	if (i < count && bus->space[space].range[i].base <= base + (size - 1))
		return -EEXIST;
	r = realloc(bus->space[space].range, (count + 1) * sizeof(*r));
	if (!r)
		return -ENOMEM;
	memmove(&r[i + 1], &r[i], (count - i) * sizeof(*r));
	r[i] = (struct range){ base, size, fn, self, name };
	bus->space[space].range = r;
	bus->space[space].count = count + 1;
	return 0;
}

uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t addr, unsigned size)
{
	const struct range *r = find(bus, space, addr);
	struct dev_access a = { .size = size };

	if (!r)
		return size_mask(size);
	a.offset = addr - r->base;
	if (a.offset + size > r->size) {
		uint64_t value = 0;

		for (unsigned i = 0; i < size; i++)
			value |= bus_read(bus, space, addr + i, 1) << (8 * i);
		return value;
	}
	r->fn(r->self, &a);
	return a.value & size_mask(size);
}

void bus_write(struct bus *bus, enum bus_space space, uint64_t addr, unsigned size, uint64_t value)
{
	const struct range *r = find(bus, space, addr);
	struct dev_access a = { .size = size, .is_write = true };

	if (!r)
		return;
	a.offset = addr - r->base;
	if (a.offset + size > r->size) {
		for (unsigned i = 0; i < size; i++)
			bus_write(bus, space, addr + i, 1, (value >> (8 * i)) & 0xff);
		return;
	}
	a.value = value & size_mask(size);
	r->fn(r->self, &a);
}
