/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board: all devices of a VM, where each sits, and what each is plugged into. board.c is the
 * map of the machine.
 */
#ifndef VM_BOARD_H
#define VM_BOARD_H

#include "vm/bus.h"
#include "vm/config.h"
#include "vm/power.h"

struct board;

/* What the devices stand on. All borrowed, and outlives the board. */
struct board_base {
	struct memory *memory;
	struct clock *clock;
	struct irq *irq;
	struct bus *bus;
	const struct power *power;
	uv_loop_t *loop;
};

/*
 * Makes the devices and maps them on the bus. -errno with a text that names the option of the
 * configuration; *out is then what was made so far, for board_destroy, or as it was: timers of
 * devices may be running, so the clock has to go first.
 */
int board_create(struct board **out, const struct board_base *base, const struct config *config,
		 struct error *err);

/*
 * Before it all vCPUs have stopped; after it the loop must run until its handles are closed.
 * Accepts NULL.
 */
void board_destroy(struct board *board);

/* To the state after power-on, with PCI devices set up as firmware leaves them. vCPUs are parked.
 */
int board_reset(struct board *board, struct error *err);

/* The memory balloon. Borrowed. */
/* NULL: the memory of this machine cannot grow. */
struct virtio_mem *board_mem(struct board *board);
struct virtio_balloon *board_balloon(struct board *board);

/* Whether a guest agent listens on its port. */
bool board_has_agent(const struct board *board);

/*
 * Moves the cable of the adapter with that id to another network, while the guest runs. -ENOENT
 * for an unknown one, or what opening the network says; the cable is where it was then.
 */
int board_move_net(struct board *board, const struct config_net *to, struct error *err);

/* A press of the machine's power button. */
void board_press_power_button(struct board *board);

/*
 * From now on no output makes a vCPU wait: what its host end doesn't take at once is lost. Nor does
 * a disk wait for long: see block_ops.hurry.
 */
void board_hurry(struct board *board);

#endif
