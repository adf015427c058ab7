/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registers of a virtio device on PCI: common configuration, notifications, ISR status, the
 * device's own configuration, and access to all of them through configuration space.
 *
 * BAR 0 holds one 4 KiB page for each; BAR 1 is MSI-X with a vector a queue and one for changes of
 * configuration.
 *
 * Source: VIRTIO 1.2, "Virtio Over PCI Bus".
 */
#include "dev/virtio/pci.h"

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#define VENDOR         0x1af4
#define DEVICE_MODERN  0x1040 /* plus the device type */
#define SUBSYSTEM      0x1100
#define REVISION       1
#define REGISTER_BAR   0
#define MSIX_BAR       1
#define REGION_BYTES   0x1000ull
#define NOTIFY_STRIDE  4 /* bytes from one queue's notification address to the next */
#define BAR_BYTES      (REGIONS * REGION_BYTES)
#define CAP_DATA       sizeof(struct virtio_pci_cap) /* pci_cfg_data */
#define CAP_DATA_BYTES 4
#define FEATURE_BITS   32 /* that a select register shows at a time */

_Static_assert(sizeof(struct virtio_pci_common_cfg) == 56, "the layout that drivers know");

enum region { REGION_COMMON, REGION_ISR, REGION_DEVICE, REGION_NOTIFY, REGIONS };

/* Common configuration: reading */

static void fill_queue(const struct virtio_device *dev, struct virtio_pci_common_cfg *c)
{
	const struct virtq *q = &dev->queue[dev->queue_select];

	c->queue_size = q->size;
	c->queue_msix_vector = dev->queue_vector[dev->queue_select];
	c->queue_enable = q->is_enabled;
	c->queue_notify_off = dev->queue_select;
	c->queue_desc_lo = q->desc;
	c->queue_desc_hi = q->desc >> 32;
	c->queue_avail_lo = q->avail;
	c->queue_avail_hi = q->avail >> 32;
	c->queue_used_lo = q->used;
	c->queue_used_hi = q->used >> 32;
}

/* The half of `features` that a select register shows. */
static uint32_t select_features(uint64_t features, uint32_t select)
{
	return select < 2 ? features >> (FEATURE_BITS * select) : 0;
}

static uint64_t read_common(struct virtio_device *dev, uint64_t offset, unsigned size)
{
	struct virtio_pci_common_cfg c = {
		.device_feature_select = dev->device_feature_select,
		.device_feature = select_features(dev->offered, dev->device_feature_select),
		.guest_feature_select = dev->driver_feature_select,
		.guest_feature = select_features(dev->accepted, dev->driver_feature_select),
		.msix_config = dev->config_vector,
		.num_queues = dev->queues,
		.device_status = __atomic_load_n(&dev->status, __ATOMIC_SEQ_CST),
		.config_generation = __atomic_load_n(&dev->generation, __ATOMIC_SEQ_CST),
		.queue_select = dev->queue_select,
	};

	if (dev->queue_select < dev->queues)
		fill_queue(dev, &c);
	if (offset >= sizeof(c))
		return 0;
	return load_le((uint8_t *)&c + offset, MIN(size, sizeof(c) - offset));
}

/* Common configuration: writing */

static bool has_status(const struct virtio_device *dev, uint8_t bit)
{
	return __atomic_load_n(&dev->status, __ATOMIC_SEQ_CST) & bit;
}

static void set_device_feature_select(struct virtio_device *dev, uint32_t value)
{
	dev->device_feature_select = value;
}

static void set_driver_feature_select(struct virtio_device *dev, uint32_t value)
{
	dev->driver_feature_select = value;
}

static void set_driver_feature(struct virtio_device *dev, uint32_t value)
{
	unsigned shift = FEATURE_BITS * (dev->driver_feature_select & 1);
	uint64_t kept = dev->accepted & ~((uint64_t)UINT32_MAX << shift);

	if (dev->driver_feature_select > 1 || has_status(dev, VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	__atomic_store_n(&dev->accepted, kept | (uint64_t)value << shift, __ATOMIC_RELAXED);
}

static unsigned count_vectors(const struct virtio_device *dev)
{
	return dev->queues + 1;
}

static void set_vector(const struct virtio_device *dev, uint16_t *vector, uint32_t value)
{
	if (value >= count_vectors(dev))
		value = VIRTIO_MSI_NO_VECTOR;
	__atomic_store_n(vector, value, __ATOMIC_RELAXED);
}

static void set_config_vector(struct virtio_device *dev, uint32_t value)
{
	set_vector(dev, &dev->config_vector, value);
}

/* Features are good if they are ours and the driver is no legacy driver. */
static bool are_features_good(const struct virtio_device *dev)
{
	return !(dev->accepted & ~dev->offered) && (dev->accepted & BIT(VIRTIO_F_VERSION_1));
}

static void notify_all(struct virtio_device *dev)
{
	for (unsigned i = 0; i < dev->queues; i++)
		dev->kind->ops->notify(dev->self, i);
}

static void set_status(struct virtio_device *dev, uint32_t value)
{
	uint8_t old = __atomic_load_n(&dev->status, __ATOMIC_SEQ_CST);

	if (!value) {
		virtio_restart(dev);
		return;
	}
	value &= ~VIRTIO_CONFIG_S_NEEDS_RESET; /* ours */
	if (!(old & VIRTIO_CONFIG_S_FEATURES_OK) && !are_features_good(dev))
		value &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((old | value) & VIRTIO_CONFIG_S_FEATURES_OK))
		value &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	__atomic_fetch_or(&dev->status, value, __ATOMIC_SEQ_CST);
	if ((value & ~old) & VIRTIO_CONFIG_S_DRIVER_OK)
		notify_all(dev);
}

static void set_queue_select(struct virtio_device *dev, uint32_t value)
{
	dev->queue_select = value;
}

/* The selected queue if there is one and it may be changed still, or NULL. */
static struct virtq *selected(struct virtio_device *dev)
{
	struct virtq *q = &dev->queue[dev->queue_select % VIRTIO_QUEUES_MAX];

	return dev->queue_select < dev->queues && !q->is_enabled ? q : NULL;
}

static void set_queue_size(struct virtio_device *dev, uint32_t value)
{
	struct virtq *q = selected(dev);

	if (q && value && value <= VIRTQ_SIZE_MAX && !(value & (value - 1)))
		q->size = value;
}

static void set_queue_vector(struct virtio_device *dev, uint32_t value)
{
	if (dev->queue_select < dev->queues)
		set_vector(dev, &dev->queue_vector[dev->queue_select], value);
}

static void set_queue_enable(struct virtio_device *dev, uint32_t value)
{
	struct virtq *q = selected(dev);

	if (!q || value != 1 || !has_status(dev, VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (virtq_start(q, virtio_has_feature(dev, VIRTIO_RING_F_INDIRECT_DESC),
			virtio_has_feature(dev, VIRTIO_RING_F_EVENT_IDX)))
		virtio_fail(dev);
}

static void set_half(gpa_t *address, bool is_high, uint32_t value)
{
	store_le((uint8_t *)address + (is_high ? 4 : 0), value, 4);
}

#define QUEUE_ADDRESS(name, field, is_high)                                     \
	static void set_queue_##name(struct virtio_device *dev, uint32_t value) \
	{                                                                       \
		struct virtq *q = selected(dev);                                \
                                                                                \
		if (q)                                                          \
			set_half(&q->field, is_high, value);                    \
	}

QUEUE_ADDRESS(desc_lo, desc, false)
QUEUE_ADDRESS(desc_hi, desc, true)
QUEUE_ADDRESS(avail_lo, avail, false)
QUEUE_ADDRESS(avail_hi, avail, true)
QUEUE_ADDRESS(used_lo, used, false)
QUEUE_ADDRESS(used_hi, used, true)

static const struct field {
	uint8_t offset, size;
	void (*set)(struct virtio_device *dev, uint32_t value);
} fields[] = {
	{ VIRTIO_PCI_COMMON_DFSELECT, 4, set_device_feature_select },
	{ VIRTIO_PCI_COMMON_GFSELECT, 4, set_driver_feature_select },
	{ VIRTIO_PCI_COMMON_GF, 4, set_driver_feature },
	{ VIRTIO_PCI_COMMON_MSIX, 2, set_config_vector },
	{ VIRTIO_PCI_COMMON_STATUS, 1, set_status },
	{ VIRTIO_PCI_COMMON_Q_SELECT, 2, set_queue_select },
	{ VIRTIO_PCI_COMMON_Q_SIZE, 2, set_queue_size },
	{ VIRTIO_PCI_COMMON_Q_MSIX, 2, set_queue_vector },
	{ VIRTIO_PCI_COMMON_Q_ENABLE, 2, set_queue_enable },
	{ VIRTIO_PCI_COMMON_Q_DESCLO, 4, set_queue_desc_lo },
	{ VIRTIO_PCI_COMMON_Q_DESCHI, 4, set_queue_desc_hi },
	{ VIRTIO_PCI_COMMON_Q_AVAILLO, 4, set_queue_avail_lo },
	{ VIRTIO_PCI_COMMON_Q_AVAILHI, 4, set_queue_avail_hi },
	{ VIRTIO_PCI_COMMON_Q_USEDLO, 4, set_queue_used_lo },
	{ VIRTIO_PCI_COMMON_Q_USEDHI, 4, set_queue_used_hi },
};

/* Fields are written whole; 8 bytes are two fields of 4, as with the addresses of rings. */
static void write_common(struct virtio_device *dev, uint64_t offset, unsigned size, uint64_t value)
{
	if (size == 8) {
		write_common(dev, offset, 4, value & UINT32_MAX);
		write_common(dev, offset + 4, 4, value >> 32);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].offset == offset && fields[i].size == size)
			fields[i].set(dev, value);
	}
}

/* The regions of the BAR */

static void access_common(struct virtio_device *dev, struct dev_access *a)
{
	pthread_mutex_lock(&dev->lock);
	if (a->is_write)
		write_common(dev, a->offset, a->size, a->value);
	else
		a->value = read_common(dev, a->offset, a->size);
	pthread_mutex_unlock(&dev->lock);
}

static void access_isr(struct virtio_device *dev, struct dev_access *a)
{
	if (!a->is_write)
		a->value = a->offset == 0 ? virtio_take_isr(dev) : 0;
}

static void write_device(struct virtio_device *dev, const struct dev_access *a)
{
	if (!dev->kind->ops->write_config)
		return;
	pthread_mutex_lock(&dev->lock);
	dev->kind->ops->write_config(dev->self, a->offset, a->size, a->value);
	pthread_mutex_unlock(&dev->lock);
}

static void access_device(struct virtio_device *dev, struct dev_access *a)
{
	if (a->is_write) {
		write_device(dev, a);
		return;
	}
	a->value = 0;
	if (a->offset < dev->config_bytes)
		a->value = load_le((const uint8_t *)dev->config + a->offset,
				   MIN(a->size, dev->config_bytes - a->offset));
}

static void access_notify(struct virtio_device *dev, struct dev_access *a)
{
	uint64_t queue = a->offset / NOTIFY_STRIDE;

	if (!a->is_write)
		a->value = 0;
	else if (queue < dev->queues && virtio_is_live(dev))
		dev->kind->ops->notify(dev->self, queue);
}

static void access_bar(void *self, struct dev_access *a)
{
	static void (*const access[REGIONS])(struct virtio_device *, struct dev_access *) = {
		[REGION_COMMON] = access_common,
		[REGION_ISR] = access_isr,
		[REGION_DEVICE] = access_device,
		[REGION_NOTIFY] = access_notify,
	};
	uint64_t region = a->offset / REGION_BYTES;
	struct dev_access inner = *a;

	inner.offset = a->offset % REGION_BYTES;
	access[region](self, &inner);
	a->value = inner.value;
}

/* Access through configuration space */

/* The access that the capability's fields describe; false where they make no sense. */
static bool read_window(const struct virtio_device *dev, struct dev_access *a)
{
	const uint8_t *cap = dev->pci.config + dev->cfg_capability;

	a->offset = load_le(cap + VIRTIO_PCI_CAP_OFFSET, 4);
	a->value = load_le(cap + CAP_DATA, CAP_DATA_BYTES);
	a->size = cap[VIRTIO_PCI_CAP_LENGTH];
	return cap[VIRTIO_PCI_CAP_BAR] == REGISTER_BAR &&
	       (a->size == 1 || a->size == 2 || a->size == 4) &&
	       load_le(cap + VIRTIO_PCI_CAP_LENGTH, 4) == a->size && a->offset % a->size == 0 &&
	       a->offset < BAR_BYTES;
}

static void config_hook(void *self, struct dev_access *config)
{
	struct virtio_device *dev = self;
	unsigned data = dev->cfg_capability + CAP_DATA;
	struct dev_access a = { .is_write = config->is_write };

	if (config->offset + config->size <= data || config->offset >= data + CAP_DATA_BYTES)
		return;
	if (!read_window(dev, &a))
		return;
	a.value &= size_mask(a.size);
	access_bar(dev, &a);
	if (!a.is_write)
		store_le(dev->pci.config + data, a.value, a.size);
}

/* The PCI function */

/* What follows ID and link of a capability of these bytes in all. */
static int add_capability(struct virtio_device *dev, uint8_t type, enum region region,
			  unsigned bytes, uint32_t extra)
{
	uint8_t cap[sizeof(struct virtio_pci_notify_cap)] = { 0 };
	bool is_window = type == VIRTIO_PCI_CAP_PCI_CFG;

	cap[VIRTIO_PCI_CAP_LEN] = bytes;
	cap[VIRTIO_PCI_CAP_CFG_TYPE] = type;
	cap[VIRTIO_PCI_CAP_BAR] = REGISTER_BAR;
	store_le(cap + VIRTIO_PCI_CAP_OFFSET, is_window ? 0 : region * REGION_BYTES, 4);
	store_le(cap + VIRTIO_PCI_CAP_LENGTH, is_window ? 0 : REGION_BYTES, 4);
	store_le(cap + sizeof(struct virtio_pci_cap), extra, 4);
	return pci_add_capability(&dev->pci, PCI_CAP_ID_VNDR, cap + VIRTIO_PCI_CAP_LEN,
				  bytes - VIRTIO_PCI_CAP_LEN);
}

static int add_window(struct virtio_device *dev)
{
	int at = add_capability(dev, VIRTIO_PCI_CAP_PCI_CFG, 0, sizeof(struct virtio_pci_cfg_cap),
				0);
	uint8_t *writable = dev->pci.writable + at;

	if (at < 0)
		return at;
	writable[VIRTIO_PCI_CAP_BAR] = 0xff;
	store_le(writable + VIRTIO_PCI_CAP_OFFSET, UINT32_MAX, 4);
	store_le(writable + VIRTIO_PCI_CAP_LENGTH, UINT32_MAX, 4);
	store_le(writable + CAP_DATA, UINT32_MAX, CAP_DATA_BYTES);
	dev->cfg_capability = at;
	dev->pci.config_hook = config_hook;
	dev->pci.config_hook_self = dev;
	return 0;
}

static int add_capabilities(struct virtio_device *dev)
{
	static const struct {
		uint8_t type, region, bytes, extra;
	} caps[] = {
		{ VIRTIO_PCI_CAP_COMMON_CFG, REGION_COMMON, sizeof(struct virtio_pci_cap), 0 },
		{ VIRTIO_PCI_CAP_ISR_CFG, REGION_ISR, sizeof(struct virtio_pci_cap), 0 },
		{ VIRTIO_PCI_CAP_DEVICE_CFG, REGION_DEVICE, sizeof(struct virtio_pci_cap), 0 },
		{ VIRTIO_PCI_CAP_NOTIFY_CFG, REGION_NOTIFY, sizeof(struct virtio_pci_notify_cap),
		  NOTIFY_STRIDE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		int at = add_capability(dev, caps[i].type, caps[i].region, caps[i].bytes,
					caps[i].extra);

		if (at < 0)
			return at;
	}
	return add_window(dev);
}

int virtio_pci_attach(struct virtio_device *dev, struct pci_host *host, unsigned slot)
{
	struct pci_identity identity = {
		.vendor = VENDOR,
		.device = DEVICE_MODERN + dev->kind->type,
		.subsystem_vendor = VENDOR,
		.subsystem = SUBSYSTEM,
		.revision = REVISION,
		.class_code = dev->kind->class_code,
		.has_intx = true,
	};
	struct pci_bar bar = {
		.size_bytes = BAR_BYTES,
		.access = access_bar,
		.self = dev,
	};
	int ret;

	pci_device_init(&dev->pci, &identity);
	ret = pci_add_bar(&dev->pci, REGISTER_BAR, &bar);
	if (!ret)
		ret = add_capabilities(dev);
	if (!ret)
		ret = pci_add_msix(&dev->pci, MSIX_BAR, count_vectors(dev));
	if (!ret)
		ret = pci_attach(host, slot, &dev->pci);
	return ret;
}
