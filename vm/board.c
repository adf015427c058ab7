/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map of the machine: the only file that knows which chip sits where.
 *
 *   PCI slot 0       host bridge (and 31 the ISA bridge: dev/pci makes both)
 *            1       entropy source
 *            2       virtio console
 *            3       the guest agent's port
 *            4-11    network adapters, in the order of the command line
 *            12-27   disks, likewise
 *            28      memory balloon
 *            29      memory to plug, where that can grow
 *   GSI 0 PIT, 1 keyboard, 3 COM2, 4 COM1, 8 RTC, 9 ACPI, 16-23 PCI INTx
 *
 * Ports and memory are in the table below. The local APICs' page, fee00000h, is no bus address: the
 * engine asks vm/irq for it.
 */
#include "vm/board.h"

#include "console/backends.h"
#include "dev/acpi_pm.h"
#include "dev/debug_exit.h"
#include "dev/fwcfg.h"
#include "dev/hpet.h"
#include "dev/i8042.h"
#include "dev/pci/pci.h"
#include "dev/pit.h"
#include "dev/rtc.h"
#include "dev/uart.h"
#include "dev/virtio/devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOT_RNG     1
#define SLOT_CONSOLE 2
#define SLOT_AGENT   3
#define SLOT_NET     4
#define SLOT_DISK    12
#define SLOT_BALLOON 28
#define SLOT_MEM     29

#define GSI_COM1 4
#define GSI_COM2 3

/* The name by which stock guest agents find their port. */
#define AGENT_PORT "org.qemu.guest_agent.0"

#define QUIT_KEY         'q'
#define POWER_BUTTON_KEY 'p'

_Static_assert(SLOT_NET + CONFIG_NETS_MAX <= SLOT_DISK, "adapters would take the disks' slots");
_Static_assert(SLOT_DISK + CONFIG_DISKS_MAX <= SLOT_BALLOON, "disks would take the balloon's slot");

/* What sits on PCI and is made by the command line. */
struct card {
	const struct dev_ops *ops;
	void *self;
};

#define CARDS_MAX (5 + CONFIG_NETS_MAX + CONFIG_DISKS_MAX)

/* An adapter, the cable in it, and the name by which the operator finds it (borrowed; may be "").
 */
struct board_net {
	struct net net;
	struct virtio_net *card;
	const char *id;
};

struct board {
	struct board_base base;
	struct pci_host *pci;
	struct hpet *hpet;
	struct pit *pit;
	struct rtc *rtc;
	struct i8042 *i8042;
	struct acpi_pm *pm;
	struct fwcfg *fwcfg;
	struct debug_exit *debug_exit; /* NULL without --debug-exit */
	struct uart *com1, *com2;
	struct virtio_balloon *balloon; /* a card */
	struct virtio_mem *mem;         /* another; or NULL */
	struct card card[CARDS_MAX];
	unsigned cards;
	/* What devices are plugged into. */
	struct console *com1_end, *com2_end, *hvc_end;
	struct console *agent_end;    /* NULL without --agent */
	struct virtio_console *agent; /* a card; NULL as well */
	struct block disk[CONFIG_DISKS_MAX];
	struct board_net net[CONFIG_NETS_MAX];
};

#define PORTS(first, count, access, field, name)                                   \
	{                                                                          \
		BUS_PIO, first, count, access, offsetof(struct board, field), name \
	}
#define MEMORY(first, size, access, field, name)                                   \
	{                                                                          \
		BUS_MMIO, first, size, access, offsetof(struct board, field), name \
	}

static const struct {
	enum bus_space space;
	uint64_t base, size;
	dev_access_fn *access;
	size_t self; /* offset of the pointer in struct board; a NULL there leaves the range free */
	const char *name;
} map[] = {
	PORTS(0x20, 2, irq_pic_master_access, base.irq, "pic 1"),
	PORTS(0x40, 4, pit_access, pit, "pit"),
	PORTS(0x60, 1, i8042_data_access, i8042, "i8042 data"),
	PORTS(0x61, 1, pit_port61_access, pit, "port 61h"),
	PORTS(0x64, 1, i8042_command_access, i8042, "i8042 command"),
	PORTS(0x70, 2, rtc_access, rtc, "rtc"),
	PORTS(0x92, 1, i8042_port92_access, i8042, "port 92h"),
	PORTS(0xa0, 2, irq_pic_slave_access, base.irq, "pic 2"),
	PORTS(DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, debug_exit_access, debug_exit, "debug-exit"),
	PORTS(0x2f8, UART_PORTS, uart_access, com2, "com2"),
	PORTS(0x3f8, UART_PORTS, uart_access, com1, "com1"),
	PORTS(0x4d0, 2, irq_elcr_access, base.irq, "elcr"),
	PORTS(FWCFG_PORT, FWCFG_PORTS, fwcfg_access, fwcfg, "fw_cfg"),
	PORTS(FWCFG_DMA_PORT, FWCFG_DMA_PORTS, fwcfg_dma_access, fwcfg, "fw_cfg dma"),
	PORTS(ACPI_PM_BASE, ACPI_PM_SIZE, acpi_pm_access, pm, "acpi pm"),
	PORTS(PCI_PORTS_BASE, PCI_PORTS_BYTES, pci_port_access, pci, "pci configuration"),
	MEMORY(PCI_ECAM_BASE, PCI_ECAM_BYTES, pci_ecam_access, pci, "pci ecam"),
	MEMORY(PCI_WINDOW_BASE, PCI_WINDOW_BYTES, pci_window_access, pci, "pci window"),
	MEMORY(IOAPIC_BASE, IOAPIC_SIZE, irq_ioapic_access, base.irq, "ioapic"),
	MEMORY(HPET_BASE, HPET_SIZE, hpet_access, hpet, "hpet"),
	MEMORY(PCI_WINDOW64_BASE, PCI_WINDOW64_BYTES, pci_window64_access, pci, "pci window 64"),
};

/* The devices above, in the order of their making. */
static const struct {
	const struct dev_ops *ops;
	size_t self;
} chips[] = {
	{ &hpet_ops, offsetof(struct board, hpet) },
	{ &pit_ops, offsetof(struct board, pit) },
	{ &rtc_ops, offsetof(struct board, rtc) },
	{ &i8042_ops, offsetof(struct board, i8042) },
	{ &acpi_pm_ops, offsetof(struct board, pm) },
	{ &fwcfg_ops, offsetof(struct board, fwcfg) },
	{ &debug_exit_ops, offsetof(struct board, debug_exit) },
	{ &uart_ops, offsetof(struct board, com1) },
	{ &uart_ops, offsetof(struct board, com2) },
};

static void *chip_at(const struct board *board, size_t offset)
{
	void *chip;

	memcpy(&chip, (const char *)board + offset, sizeof(chip));
	return chip;
}

/* --- back ends --- */

static void on_key(void *self, char key)
{
	struct board *b = self;

	if (key == QUIT_KEY)
		b->base.power->request(b->base.power->self, POWER_QUIT, 0);
	else if (key == POWER_BUTTON_KEY)
		acpi_pm_press_button(b->pm);
}

static int open_serial(struct board *b, const struct config_serial *serial, struct error *err)
{
	const struct console_keys keys = { on_key, b };

	switch (serial->kind) {
	case CONFIG_SERIAL_STDIO:
		return console_stdio_create(&b->com1_end, b->base.loop, &keys, err);
	case CONFIG_SERIAL_FILE:
		return console_file_create(&b->com1_end, b->base.loop, serial->path, err);
	case CONFIG_SERIAL_UNIX:
		return console_unix_create(&b->com1_end, b->base.loop, serial->path, err);
	case CONFIG_SERIAL_NONE:
		break;
	}
	return console_null_create(&b->com1_end);
}

static int open_network(struct board *b, const struct config_net *net, struct net *out,
			struct error *err)
{
	switch (net->kind) {
	case CONFIG_NET_USER:
		return net_user_open(out, b->base.loop, net->forward, net->forwards, err);
	case CONFIG_NET_SWITCH:
		return net_switch_open(out, b->base.loop, net->port, net->id, err);
	case CONFIG_NET_NONE:
		break;
	}
	net_null_open(out);
	return 0;
}

static int open_net(struct board *b, unsigned i, const struct config_net *net, struct error *err)
{
	struct net to;
	int ret = open_network(b, net, &to, err);

	if (ret)
		return ret;
	b->net[i].id = net->id;
	ret = net_plug_open(&b->net[i].net, &to);
	if (ret)
		net_close(&to);
	return ret;
}

/* The terminal comes last: until then, errors must find it as it was. */
static int open_back_ends(struct board *b, const struct config *config, struct error *err)
{
	int ret = 0;

	for (unsigned i = 0; i < config->disks && !ret; i++)
		ret = block_open(&b->disk[i], config->disk[i].path, config->disk[i].readonly, err);
	for (unsigned i = 0; i < config->nets && !ret; i++)
		ret = open_net(b, i, &config->net[i], err);
	if (!ret)
		ret = console_null_create(&b->com2_end);
	if (!ret)
		ret = console_null_create(&b->hvc_end);
	if (!ret && config->agent)
		ret = console_unix_create(&b->agent_end, b->base.loop, config->agent, err);
	if (!ret)
		ret = open_serial(b, &config->serial, err);
	return ret;
}

/* --- devices --- */

static int create_chips(struct board *b, const struct config *config)
{
	const struct board_base *base = &b->base;
	uint64_t low = MIN(base->memory->size_bytes, MEMORY_LOW_TOP);
	int ret = pci_create(&b->pci, base->irq, base->power);

	if (!ret)
		ret = hpet_create(&b->hpet, base->clock, base->irq);
	if (!ret)
		ret = pit_create(&b->pit, base->clock, base->irq, b->hpet);
	if (!ret)
		ret = rtc_create(&b->rtc, base->clock, base->irq, b->hpet, low,
				 base->memory->size_bytes - low);
	if (!ret)
		ret = i8042_create(&b->i8042, base->irq, base->power);
	if (!ret)
		ret = acpi_pm_create(&b->pm, base->clock, base->irq, base->power);
	if (!ret)
		ret = fwcfg_create(&b->fwcfg, base->memory, config->cpus);
	if (!ret && config->debug_exit)
		ret = debug_exit_create(&b->debug_exit, base->power);
	if (!ret)
		ret = uart_create(&b->com1, base->clock, base->irq, GSI_COM1, b->com1_end);
	if (!ret)
		ret = uart_create(&b->com2, base->clock, base->irq, GSI_COM2, b->com2_end);
	return ret;
}

static void add_card(struct board *b, const struct dev_ops *ops, void *self)
{
	b->card[b->cards++] = (struct card){ ops, self };
}

static int create_net_card(struct board *b, unsigned i, const struct config_net *net)
{
	/* Locally administered; unique in this machine. */
	const uint8_t mac[NET_MAC_BYTES] = { 0x02, 'n', 'i', 'd', 'u', (uint8_t)i };
	const struct virtio_place place = { b->pci, SLOT_NET + i, b->base.memory };
	int ret = virtio_net_create(&b->net[i].card, &place, &b->net[i].net,
				    net->has_mac ? net->mac : mac);

	if (ret)
		return ret;
	add_card(b, &virtio_net_dev_ops, b->net[i].card);
	virtio_net_set_link(b->net[i].card, net->kind != CONFIG_NET_NONE);
	return 0;
}

static int create_disk_card(struct board *b, unsigned i)
{
	const struct virtio_place place = { b->pci, SLOT_DISK + i, b->base.memory };
	struct virtio_blk *card;
	char serial[16];
	int ret;

	snprintf(serial, sizeof(serial), "disk%u", i);
	ret = virtio_blk_create(&card, &place, &b->disk[i], VIRTIO_BLK_QUEUES, serial);
	if (!ret)
		add_card(b, &virtio_blk_dev_ops, card);
	return ret;
}

static int create_balloon(struct board *b, const struct config *config)
{
	const struct virtio_place place = { b->pci, SLOT_BALLOON, b->base.memory };
	int ret = virtio_balloon_create(&b->balloon, &place, config->memory_maximum_bytes > 0);

	if (!ret)
		add_card(b, &virtio_balloon_dev_ops, b->balloon);
	return ret;
}

static int create_mem(struct board *b)
{
	const struct virtio_place place = { b->pci, SLOT_MEM, b->base.memory };
	int ret = virtio_mem_create(&b->mem, &place);

	if (!ret)
		add_card(b, &virtio_mem_dev_ops, b->mem);
	return ret;
}

static int create_console_card(struct board *b, unsigned slot, struct console *end,
			       const char *name, struct virtio_console **card)
{
	const struct virtio_place place = { b->pci, slot, b->base.memory };
	int ret = virtio_console_create(card, &place, end, name);

	if (!ret)
		add_card(b, &virtio_console_dev_ops, *card);
	return ret;
}

static int create_rng(struct board *b)
{
	const struct virtio_place place = { b->pci, SLOT_RNG, b->base.memory };
	struct virtio_rng *card;
	int ret = virtio_rng_create(&card, &place);

	if (!ret)
		add_card(b, &virtio_rng_dev_ops, card);
	return ret;
}

static int create_cards(struct board *b, const struct config *config)
{
	struct virtio_console *console;
	int ret = create_rng(b);

	if (!ret)
		ret = create_console_card(b, SLOT_CONSOLE, b->hvc_end, NULL, &console);
	if (!ret && b->agent_end)
		ret = create_console_card(b, SLOT_AGENT, b->agent_end, AGENT_PORT, &b->agent);
	if (!ret)
		ret = create_balloon(b, config);
	if (!ret && b->base.memory->growth)
		ret = create_mem(b);
	for (unsigned i = 0; i < config->nets && !ret; i++)
		ret = create_net_card(b, i, &config->net[i]);
	for (unsigned i = 0; i < config->disks && !ret; i++)
		ret = create_disk_card(b, i);
	return ret;
}

static int map_ranges(struct board *b)
{
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(map) && !ret; i++) {
		void *self = chip_at(b, map[i].self);

		if (self)
			ret = bus_map(b->base.bus, map[i].space, map[i].base, map[i].size,
				      map[i].access, self, map[i].name);
	}
	return ret;
}

/* --- the board --- */

int board_create(struct board **out, const struct board_base *base, const struct config *config,
		 struct error *err)
{
	struct board *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return error_set(err, -ENOMEM, "board: out of memory");
	*out = b;
	b->base = *base;
	error_set(err, 0, "%s", "");
	ret = open_back_ends(b, config, err);
	if (!ret)
		ret = create_chips(b, config);
	if (!ret)
		ret = create_cards(b, config);
	if (!ret)
		ret = map_ranges(b);
	if (!ret)
		ret = board_reset(b, err);
	if (ret && err && !*err->text)
		error_set(err, ret, "devices: %s", strerror(-ret));
	return ret;
}

void board_destroy(struct board *b)
{
	if (!b)
		return;
	while (b->cards--)
		b->card[b->cards].ops->destroy(b->card[b->cards].self);
	for (size_t i = ARRAY_SIZE(chips); i--;) {
		void *chip = chip_at(b, chips[i].self);

		if (chip)
			chips[i].ops->destroy(chip);
	}
	pci_destroy(b->pci);
	for (unsigned i = 0; i < CONFIG_DISKS_MAX; i++)
		block_close(&b->disk[i]);
	for (unsigned i = 0; i < CONFIG_NETS_MAX; i++)
		net_close(&b->net[i].net);
	console_destroy(b->com1_end);
	console_destroy(b->com2_end);
	console_destroy(b->hvc_end);
	console_destroy(b->agent_end);
	free(b);
}

int board_reset(struct board *b, struct error *err)
{
	int ret;

	irq_reset(b->base.irq);
	for (size_t i = 0; i < ARRAY_SIZE(chips); i++) {
		void *chip = chip_at(b, chips[i].self);

		if (chip)
			chips[i].ops->reset(chip);
	}
	for (unsigned i = 0; i < b->cards; i++)
		b->card[i].ops->reset(b->card[i].self);
	pci_reset(b->pci);
	ret = pci_assign_bars(b->pci);
	return ret ? error_set(err, ret, "PCI: no room for all devices' memory") : 0;
}

struct virtio_balloon *board_balloon(struct board *b)
{
	return b->balloon;
}

bool board_has_agent(const struct board *b)
{
	return b->agent && virtio_console_is_used(b->agent);
}

int board_move_net(struct board *b, const struct config_net *to, struct error *err)
{
	struct net network;
	unsigned i = 0;
	int ret;

	while (i < CONFIG_NETS_MAX && (!b->net[i].card || strcmp(b->net[i].id, to->id)))
		i++;
	if (i == CONFIG_NETS_MAX)
		return error_set(err, -ENOENT, "there is no network adapter '%s'", to->id);
	ret = open_network(b, to, &network, err);
	if (ret)
		return ret;
	net_plug_move(&b->net[i].net, &network);
	virtio_net_set_link(b->net[i].card, to->kind != CONFIG_NET_NONE);
	return 0;
}

struct virtio_mem *board_mem(struct board *b)
{
	return b->mem;
}

void board_press_power_button(struct board *b)
{
	acpi_pm_press_button(b->pm);
}

void board_hurry(struct board *b)
{
	console_hurry(b->com1_end);
	console_hurry(b->hvc_end);
	if (b->agent_end)
		console_hurry(b->agent_end);
	for (unsigned i = 0; i < CONFIG_DISKS_MAX; i++)
		block_hurry(&b->disk[i]);
}
