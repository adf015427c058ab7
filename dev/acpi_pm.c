/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI's fixed hardware. The PM timer's status bit is brought up to date whenever somebody looks;
 * a timer of the clock waits for its next change only while the guest wants an interrupt of it.
 */
#include "dev/acpi_pm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define PM_TIMER_HZ  3579545u
#define PM_TIMER_TOP 31 /* the bit whose changes set TMR_STS */

/* PM1 status and enable. */
#define PM1_TIMER  BIT(0)
#define PM1_BUS    BIT(4)
#define PM1_GLOBAL BIT(5)
#define PM1_BUTTON BIT(8)
#define PM1_SLEEP  BIT(9)
#define PM1_RTC    BIT(10)
#define PM1_PCIE   BIT(14)
#define PM1_WAKE   BIT(15)
#define PM1_STATUS \
	(PM1_TIMER | PM1_BUS | PM1_GLOBAL | PM1_BUTTON | PM1_SLEEP | PM1_RTC | PM1_PCIE | PM1_WAKE)
#define PM1_ENABLE (PM1_TIMER | PM1_GLOBAL | PM1_BUTTON | PM1_SLEEP | PM1_RTC | PM1_PCIE)
#define PM1_SCI    (PM1_TIMER | PM1_GLOBAL | PM1_BUTTON | PM1_SLEEP | PM1_RTC)

/* PM1 control. */
#define PM1_SCI_EN    BIT(0)
#define PM1_BM_RLD    BIT(1)
#define PM1_SLP_SHIFT 10
#define PM1_SLP_TYP   (7u << PM1_SLP_SHIFT)
#define PM1_SLP_EN    BIT(13)

struct acpi_pm {
	pthread_mutex_t lock; /* all below */
	struct clock *clock;
	struct irq *irq;
	const struct power *power;
	struct timer timer;
	uint16_t status, enable, control;
	bool timer_top; /* the PM timer's top bit when status was brought up to date */
};

static uint64_t ticks(const struct acpi_pm *pm)
{
	return (uint64_t)((unsigned __int128)clock_now_ns(pm->clock) * PM_TIMER_HZ / NS_PER_SECOND);
}

/* --- with the lock held --- */

static void update_status(struct acpi_pm *pm)
{
	bool top = ticks(pm) & BIT(PM_TIMER_TOP);

	if (top != pm->timer_top)
		pm->status |= PM1_TIMER;
	pm->timer_top = top;
}

static void update_line(struct acpi_pm *pm)
{
	irq_set_line(pm->irq, ACPI_SCI_GSI, pm->status & pm->enable & PM1_SCI);
}

static void arm_timer(struct acpi_pm *pm)
{
	uint64_t next = align_down(ticks(pm), BIT(PM_TIMER_TOP)) + BIT(PM_TIMER_TOP);

	if (pm->enable & PM1_TIMER)
		timer_set(&pm->timer,
			  (uint64_t)((unsigned __int128)next * NS_PER_SECOND / PM_TIMER_HZ) + 1);
	else
		timer_cancel(&pm->timer);
}

static void on_timer(void *self)
{
	struct acpi_pm *pm = self;

	pthread_mutex_lock(&pm->lock);
	update_status(pm);
	update_line(pm);
	arm_timer(pm);
	pthread_mutex_unlock(&pm->lock);
}

/* --- registers --- */

static void read_block(struct acpi_pm *pm, struct dev_access *access)
{
	uint8_t image[ACPI_PM_SIZE + sizeof(uint64_t)] = { 0 };

	store_le(image + ACPI_PM1_EVT, pm->status, 2);
	store_le(image + ACPI_PM1_EVT + 2, pm->enable, 2);
	store_le(image + ACPI_PM1_CNT, pm->control | PM1_SCI_EN, 2);
	store_le(image + ACPI_PM_TMR, ticks(pm), 4);
	access->value = load_le(image + access->offset % ACPI_PM_SIZE, access->size);
}

static uint16_t with_byte(uint16_t value, unsigned high, uint8_t byte)
{
	return high ? (uint16_t)((value & 0xff) | byte << 8) : (uint16_t)((value & 0xff00) | byte);
}

static void write_byte(struct acpi_pm *pm, unsigned offset, uint8_t byte)
{
	unsigned high = offset & 1;

	switch (offset & ~1u) {
	case ACPI_PM1_EVT:
		pm->status &= ~(byte << 8 * high);
		break;
	case ACPI_PM1_EVT + 2:
		pm->enable = with_byte(pm->enable, high, byte) & PM1_ENABLE;
		arm_timer(pm);
		break;
	case ACPI_PM1_CNT:
		pm->control = with_byte(pm->control, high, byte) &
			      (PM1_BM_RLD | PM1_SLP_TYP | PM1_SLP_EN);
		break;
	}
}

/* SLP_EN is write-only: true where the guest just asked for S5, the only sleep there is. */
static bool take_sleep(struct acpi_pm *pm)
{
	bool off = (pm->control & PM1_SLP_EN) &&
		   (pm->control & PM1_SLP_TYP) >> PM1_SLP_SHIFT == ACPI_SLP_TYP_S5;

	pm->control &= ~PM1_SLP_EN;
	return off;
}

void acpi_pm_access(void *self, struct dev_access *access)
{
	struct acpi_pm *pm = self;
	bool off = false;

	pthread_mutex_lock(&pm->lock);
	update_status(pm);
	if (access->is_write) {
		for (unsigned i = 0; i < access->size; i++)
			write_byte(pm, (unsigned)access->offset + i,
				   (uint8_t)(access->value >> 8 * i));
		off = take_sleep(pm);
	} else {
		read_block(pm, access);
	}
	update_line(pm);
	pthread_mutex_unlock(&pm->lock);
	if (off)
		pm->power->request(pm->power->self, POWER_OFF, 0);
}

void acpi_pm_press_button(struct acpi_pm *pm)
{
	pthread_mutex_lock(&pm->lock);
	pm->status |= PM1_BUTTON;
	update_line(pm);
	pthread_mutex_unlock(&pm->lock);
}

/* --- life --- */

static void reset(void *self)
{
	struct acpi_pm *pm = self;

	pthread_mutex_lock(&pm->lock);
	pm->status = pm->enable = pm->control = 0;
	pm->timer_top = ticks(pm) & BIT(PM_TIMER_TOP);
	arm_timer(pm);
	update_line(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void destroy(void *self)
{
	struct acpi_pm *pm = self;

	pthread_mutex_destroy(&pm->lock);
	free(pm);
}

const struct dev_ops acpi_pm_ops = { .name = "acpi-pm", .reset = reset, .destroy = destroy };

int acpi_pm_create(struct acpi_pm **out, struct clock *clock, struct irq *irq,
		   const struct power *power)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return -ENOMEM;
	pm->clock = clock;
	pm->irq = irq;
	pm->power = power;
	pthread_mutex_init(&pm->lock, NULL);
	timer_init(&pm->timer, clock, on_timer, pm);
	reset(pm);
	*out = pm;
	return 0;
}
