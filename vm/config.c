/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Defaults and checks of a VM's configuration: see vm/config.h. */
#include "vm/config.h"

#include "dev/pci/pci.h"
#include "vm/balance.h"
#include "vm/share.h"

#include <errno.h>
#include <unistd.h>

#define DEFAULT_MEMORY_BYTES GIB
#define MEMORY_MIN_BYTES     (2 * MIB)
#define DEFAULT_BUFFER       20
#define MEMORY_GROWTH        8          /* times what the machine starts with */
#define GROWTH_BYTES         (16 * GIB) /* or so much, where that is more */
/* Address space that RAM loses to the hole below 4 GiB. */
#define MEMORY_MAX_BYTES (PCI_WINDOW64_BASE - (MEMORY_HIGH_BASE - MEMORY_LOW_TOP))

void config_init(struct config *config)
{
	*config = (struct config){
		.any_vendor = true,
		.cpus = 1,
		.memory_bytes = DEFAULT_MEMORY_BYTES,
		.memory_buffer_percent = DEFAULT_BUFFER,
		.memory_priority = BALANCE_PRIORITY_DEFAULT,
		.cpu_maximum_percent = SHARE_MAXIMUM_DEFAULT,
		.cpu_weight = SHARE_WEIGHT_DEFAULT,
		.append = "",
	};
}

static uint64_t host_memory_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int check_memory(uint64_t bytes, struct error *err)
{
	uint64_t host = host_memory_bytes();

	if (bytes < MEMORY_MIN_BYTES || bytes % MIB)
		return error_set(err, -EINVAL,
				 "--memory: %llu bytes are not a multiple of 1 MiB, at least 2 MiB",
				 (unsigned long long)bytes);
	if (bytes > MEMORY_MAX_BYTES)
		return error_set(err, -EINVAL,
				 "--memory: too much memory: %llu MiB, the machine's address "
				 "layout ends at %llu MiB",
				 (unsigned long long)(bytes / MIB), MEMORY_MAX_BYTES / MIB);
	if (bytes > host)
		return error_set(
			err, -EINVAL, "--memory: too much memory: %llu MiB, the host has %llu MiB",
			(unsigned long long)(bytes / MIB), (unsigned long long)(host / MIB));
	return 0;
}

static int check_dynamic_memory(const struct config *config, struct error *err)
{
	if (config->memory_minimum_bytes > config->memory_bytes)
		return error_set(err, -EINVAL, "--memory-min: more than --memory");
	if (config->memory_maximum_bytes && config->memory_maximum_bytes < config->memory_bytes)
		return error_set(err, -EINVAL, "--memory-max: less than --memory");
	if (config->memory_minimum_bytes && !config->memory_maximum_bytes)
		return error_set(err, -EINVAL, "--memory-min: needs --memory-max");
	return 0;
}

uint64_t config_ram_bytes(const struct config *config)
{
	uint64_t start = config->memory_bytes, most = config->memory_maximum_bytes;

	most = MIN(MIN(most, start * MEMORY_GROWTH), MIN(host_memory_bytes(), MEMORY_MAX_BYTES));
	return MAX(start, most / MIB * MIB);
}

uint64_t config_growth_bytes(const struct config *config)
{
	uint64_t start = config->memory_bytes;
	uint64_t most = MIN(MAX(start * MEMORY_GROWTH, GROWTH_BYTES), host_memory_bytes());

	if (!config->control || config->memory_maximum_bytes)
		return 0;
	most = MIN(most, MEMORY_MAX_BYTES - MEMORY_GROW_ALIGN);
	return most > start ? most - start : 0;
}

int config_check(const struct config *config, struct error *err)
{
	int ret;

	if (!config->kernel)
		return error_set(err, -EINVAL,
				 "--kernel is missing: this version boots no firmware and no disk");
	ret = check_memory(config->memory_bytes, err);
	return ret ? ret : check_dynamic_memory(config, err);
}

int config_parse_number(const char *text, uint64_t max, uint64_t *number)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		unsigned digit = (unsigned)(*p - '0');

		if (digit > 9)
			return -EINVAL;
		if (n > (UINT64_MAX - digit) / 10)
			n = UINT64_MAX; /* stays there: what follows may still be no digit */
		else
			n = n * 10 + digit;
	}
	if (n > max)
		return -ERANGE;
	*number = n;
	return 0;
}

static uint64_t unit_bytes(char suffix)
{
	switch (suffix) {
	case 'K':
	case 'k':
		return KIB;
	case 'M':
	case 'm':
		return MIB;
	case 'G':
	case 'g':
		return GIB;
	default:
		return 0;
	}
}

int config_parse_size(const char *text, uint64_t *bytes)
{
	char digits[32];
	size_t len = strlen(text);
	uint64_t unit = len ? unit_bytes(text[len - 1]) : 0;
	int ret;

	if (unit)
		len--;
	else
		unit = 1;
	if (len >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, text, len);
	digits[len] = 0;
	ret = config_parse_number(digits, INT64_MAX / unit, bytes);
	if (!ret)
		*bytes *= unit;
	return ret;
}
