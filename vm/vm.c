/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a VM. Devices and vCPUs post what happened into one mailbox and wake the loop; all
 * decisions are made there, on the main thread. The first event wins: what a guest still asks for
 * on its way out is dropped.
 *
 * A reset parks the vCPUs while the loop runs on (one may be waiting for it to take output), then
 * puts devices, memory image and vCPUs back to where vm_create left them. RAM keeps its content, as
 * in a real machine.
 */
#include "vm/vm.h"

#include "boot/acpi.h"
#include "boot/boot.h"
#include "boot/smbios.h"
#include "vm/board.h"
#include "vm/requests.h"
#include "vm/vcpus.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum event {
	EVENT_NONE,
	EVENT_OFF,
	EVENT_RESET,
	EVENT_EXIT,
	EVENT_TRIPLE_FAULT,
	EVENT_ENGINE_ERROR,
};

/* The mailbox holds an event and, above it, a status. */
#define EVENT_STATUS_SHIFT 8

/* The shortest time over which the use of the host's processors is measured. */
#define USAGE_PERIOD_NS NS_PER_SECOND

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

struct vm {
	const struct config *config;
	uv_loop_t loop;
	uv_async_t wake;
	uv_timer_t time_limit;
	uv_signal_t signal[ARRAY_SIZE(ending_signals)];
	bool loop_made;
	struct boot_source source;
	struct memory *memory;
	struct clock *clock;
	struct irq *irq;
	struct bus *bus;
	struct power power;
	struct board *board;
	const struct engine_ops *ops;
	struct engine *engine;
	struct vcpus *vcpus;
	struct balance *balance;
	struct share *share;
	struct control *control; /* NULL: none */
	struct engine_registers boot_registers;
	uint32_t mailbox; /* atomic; any thread puts the first event in */
	bool quit;        /* atomic; the operator's wish, beside the mailbox, which may be taken */
	bool parking;     /* the vCPUs park, or have; from here on all is the main thread's */
	bool resetting;   /* once they have */
	bool paused;      /* they stay parked */
	bool held;        /* so they do for a moment: the machine has had its share */
	bool ended;       /* `status` says how; what happens later is of no interest */
	int status;
	struct error *end_error; /* what to say about it; borrowed by vm_run */
	struct usage {
		uint64_t at_ns, cpu_ns;
		unsigned percent; /* in the time before */
	} usage;
};

/* --verbose: one line on standard error. */
static void tell(const struct vm *vm, const char *format, ...) PRINTF_LIKE(2, 3);

static void tell(const struct vm *vm, const char *format, ...)
{
	va_list args;

	if (!vm->config->verbose)
		return;
	va_start(args, format);
	fputs("nidus: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

/* --- what happens on other threads --- */

static void post(struct vm *vm, enum event event, unsigned status)
{
	uint32_t none = EVENT_NONE;

	__atomic_compare_exchange_n(&vm->mailbox, &none, event | status << EVENT_STATUS_SHIFT,
				    false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	uv_async_send(&vm->wake);
}

static void on_power(void *self, enum power_event event, unsigned status)
{
	static const enum event events[] = {
		[POWER_OFF] = EVENT_OFF,
		[POWER_RESET] = EVENT_RESET,
		[POWER_EXIT] = EVENT_EXIT,
	};
	struct vm *vm = self;

	if (event == POWER_QUIT) {
		__atomic_store_n(&vm->quit, true, __ATOMIC_RELAXED);
		uv_async_send(&vm->wake);
	} else {
		post(vm, events[event], status & 0xff);
	}
}

static void on_vcpu_stopped(void *self, enum engine_exit why)
{
	post(self, why == ENGINE_SHUTDOWN ? EVENT_TRIPLE_FAULT : EVENT_ENGINE_ERROR, 0);
}

static void on_vcpus_parked(void *self)
{
	struct vm *vm = self;

	uv_async_send(&vm->wake);
}

/* --- what the loop does about it --- */

/* text: what to tell the operator, or NULL. */
static void end(struct vm *vm, int status, const char *text)
{
	if (vm->ended)
		return;
	tell(vm, "the run ends with status %d after %.3f s", status,
	     (double)clock_now_ns(vm->clock) / NS_PER_SECOND);
	vm->ended = true;
	vm->status = status;
	if (text)
		error_set(vm->end_error, 0, "%s", text);
	uv_stop(&vm->loop);
}

/* Puts tables and kernel into memory. */
static int load(struct vm *vm, struct error *err)
{
	const struct acpi_config acpi = { .cpus = vm->config->cpus };
	gpa_t rsdp;
	int ret = acpi_write_tables(vm->memory, &acpi, &rsdp, err);

	if (ret)
		return ret;
	smbios_write_tables(vm->memory);
	return boot_load(&vm->source, vm->memory, rsdp, &vm->boot_registers, err);
}

static void finish_reset(struct vm *vm)
{
	int ret;

	vm->resetting = false;
	ret = board_reset(vm->board, vm->end_error);
	if (!ret)
		ret = load(vm, vm->end_error);
	if (ret) {
		end(vm, VM_STATUS_FAULT, NULL);
		return;
	}
	vcpus_reset(vm->vcpus, &vm->boot_registers);
	__atomic_store_n(&vm->mailbox, EVENT_NONE, __ATOMIC_RELEASE);
}

/* Does what waits for parked vCPUs, and lets them run again where nothing holds them. */
static void settle(struct vm *vm)
{
	if (!vm->parking || !vcpus_parked(vm->vcpus))
		return;
	if (vm->resetting)
		finish_reset(vm);
	if (vm->paused || vm->held || vm->ended)
		return;
	vm->parking = false;
	vcpus_run(vm->vcpus);
}

static void park(struct vm *vm)
{
	if (!vm->parking)
		vcpus_park_begin(vm->vcpus);
	vm->parking = true;
	settle(vm);
}

static void begin_reset(struct vm *vm)
{
	if (vm->config->no_reboot) {
		end(vm, VM_STATUS_RESET, NULL);
		return;
	}
	tell(vm, "a reset was asked for");
	vm->resetting = true;
	park(vm);
}

static void on_wake(uv_async_t *handle)
{
	struct vm *vm = handle->data;
	uint32_t mail = __atomic_load_n(&vm->mailbox, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&vm->quit, __ATOMIC_RELAXED))
		end(vm, VM_STATUS_OFF, NULL);
	if (vm->ended)
		return;
	if (vm->resetting) { /* what else was asked for is dropped */
		settle(vm);
		return;
	}
	switch ((enum event)(mail & ((1u << EVENT_STATUS_SHIFT) - 1))) {
	case EVENT_NONE:
		break;
	case EVENT_OFF:
		end(vm, VM_STATUS_OFF, NULL);
		break;
	case EVENT_RESET:
		begin_reset(vm);
		break;
	case EVENT_EXIT:
		end(vm, (int)(mail >> EVENT_STATUS_SHIFT), NULL);
		break;
	case EVENT_TRIPLE_FAULT:
		end(vm, VM_STATUS_RESET, "the guest's processor shut down (triple fault)");
		break;
	case EVENT_ENGINE_ERROR:
		end(vm, VM_STATUS_FAULT, "internal error in the engine");
		break;
	}
	if (!vm->ended)
		settle(vm);
}

static void on_time_limit(uv_timer_t *handle)
{
	end(handle->data, VM_STATUS_TIMEOUT, "--timeout: the time is over");
}

static void on_signal(uv_signal_t *handle, int number)
{
	end(handle->data, VM_STATUS_SIGNAL + number, NULL);
}

/* --- what requests ask for --- */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

/* Since it was last asked for, unless that was just now. */
static unsigned cpu_percent(struct vm *vm)
{
	struct usage *usage = &vm->usage;
	uint64_t now = clock_now_ns(vm->clock), cpu = cpu_ns();
	uint64_t time = (now - usage->at_ns) * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);

	if (now - usage->at_ns < USAGE_PERIOD_NS)
		return usage->percent;
	*usage =
		(struct usage){ now, cpu, (unsigned)MIN((cpu - usage->cpu_ns) * 100 / time, 100u) };
	return usage->percent;
}

static bool is_nested_active(void *self)
{
	return vcpus_nested_active(((struct vm *)self)->vcpus);
}

void vm_report(struct vm *vm, struct vm_report *report)
{
	*report = (struct vm_report){
		.is_paused = vm->paused,
		.uptime_ns = clock_now_ns(vm->clock),
		.cpu_percent = cpu_percent(vm),
		.nested_active = is_nested_active(vm),
		.has_agent = board_has_agent(vm->board),
	};
	balance_report(vm->balance, &report->memory);
}

void vm_press_power_button(struct vm *vm)
{
	board_press_power_button(vm->board);
}

void vm_pause(struct vm *vm)
{
	vm->paused = true;
	park(vm);
}

void vm_resume(struct vm *vm)
{
	vm->paused = false;
	settle(vm);
}

void vm_reset(struct vm *vm)
{
	if (!vm->resetting && !vm->ended)
		begin_reset(vm);
}

void vm_quit(struct vm *vm)
{
	end(vm, VM_STATUS_OFF, NULL);
}

int vm_move_net(struct vm *vm, const struct config_net *to, struct error *err)
{
	return board_move_net(vm->board, to, err);
}

struct balance *vm_balance(struct vm *vm)
{
	return vm->balance;
}

struct share *vm_share(struct vm *vm)
{
	return vm->share;
}

static void hold(void *self, bool is_held)
{
	struct vm *vm = self;

	vm->held = is_held;
	if (is_held)
		park(vm);
	else
		settle(vm);
}

/* --- making and unmaking --- */

static int create_loop(struct vm *vm)
{
	int ret = uv_loop_init(&vm->loop);

	if (ret)
		return ret;
	vm->loop_made = true;
	ret = uv_async_init(&vm->loop, &vm->wake, on_wake);
	vm->wake.data = vm;
	if (!ret)
		ret = uv_timer_init(&vm->loop, &vm->time_limit);
	vm->time_limit.data = vm;
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals) && !ret; i++) {
		ret = uv_signal_init(&vm->loop, &vm->signal[i]);
		vm->signal[i].data = vm;
	}
	return ret;
}

static int create_core(struct vm *vm, struct error *err)
{
	uint64_t ram = config_ram_bytes(vm->config), more = config_growth_bytes(vm->config);
	int ret = memory_create_growing(&vm->memory, ram, more, err);

	if (ret == -ENOMEM && more) /* under a limit of address space */
		ret = memory_create(&vm->memory, ram, err);
	if (ret)
		return ret;
	ret = create_loop(vm);
	if (!ret)
		ret = clock_create(&vm->clock);
	if (!ret)
		ret = irq_create(&vm->irq, vm->clock, vm->config->cpus);
	if (!ret)
		ret = bus_create(&vm->bus);
	return ret ? error_set(err, ret, "virtual machine: %s", strerror(-ret)) : 0;
}

static int create_board(struct vm *vm, struct error *err)
{
	const struct board_base base = {
		.memory = vm->memory,
		.clock = vm->clock,
		.irq = vm->irq,
		.bus = vm->bus,
		.power = &vm->power,
		.loop = &vm->loop,
	};

	return board_create(&vm->board, &base, vm->config, err);
}

static int create_balance(struct vm *vm, struct error *err)
{
	const struct config *config = vm->config;
	uint64_t minimum = config->memory_minimum_bytes;
	const struct balance_setup setup = {
		.balloon = board_balloon(vm->board),
		.mem = board_mem(vm->board),
		.growth_bytes = vm->memory->growth_max_bytes,
		.ram_bytes = vm->memory->size_bytes,
		.startup_bytes = config->memory_bytes,
		.is_dynamic = config->memory_maximum_bytes > 0,
		.limits = { .minimum_bytes = minimum ? minimum : config->memory_bytes,
			    .maximum_bytes = config->memory_maximum_bytes,
			    .buffer_percent = config->memory_buffer_percent,
			    .priority = config->memory_priority },
		.period_ms = BALANCE_PERIOD_MS,
		.nested_active = is_nested_active,
		.self = vm,
	};
	int ret = balance_create(&vm->balance, &vm->loop, &setup);

	return ret ? error_set(err, ret, "memory: %s", strerror(-ret)) : 0;
}

static int create_share(struct vm *vm, struct error *err)
{
	const struct config *config = vm->config;
	const struct share_setup setup = { config->cpus, hold, vm };
	int ret = share_create(&vm->share, &vm->loop, &setup);
	struct error why = { "" };

	if (ret)
		return error_set(err, ret, "processors: %s", strerror(-ret));
	if (config->cpu_maximum_percent == SHARE_MAXIMUM_DEFAULT &&
	    config->cpu_weight == SHARE_WEIGHT_DEFAULT)
		return 0;
	if (share_set(vm->share, config->cpu_maximum_percent, config->cpu_weight, &why))
		fprintf(stderr, "nidus: --cpu-weight: %s\n", why.text); /* no reason not to run */
	return 0;
}

static int create_engine(struct vm *vm, struct error *err)
{
	const struct engine_config config = {
		.memory = vm->memory,
		.bus = vm->bus,
		.irq = vm->irq,
		.clock = vm->clock,
		.vendor = vm->config->vendor,
		.vcpus = vm->config->cpus,
		.nested = vm->config->nested,
		.verbose = vm->config->verbose,
		.stats = vm->config->stats,
		.exact_flags = vm->config->exact_flags,
		.code_cache_bytes = vm->config->code_cache_bytes,
		.tier = vm->config->tier,
	};
	const struct vcpus_events events = { on_vcpu_stopped, on_vcpus_parked, vm };
	int ret = vm->ops->create(&vm->engine, &config, err);

	if (!ret)
		ret = vcpus_create(&vm->vcpus, vm->ops, vm->engine, config.vcpus, &events, err);
	if (!ret)
		irq_set_sink(vm->irq, vcpus_signal, vm->vcpus);
	return ret;
}

static void tell_what_runs(const struct vm *vm)
{
	const struct config *config = vm->config;

	tell(vm, "engine '%s', %s processor model, %u vCPUs, %llu MiB of memory", vm->ops->name,
	     config->vendor == CPU_INTEL ? "Intel" : "AMD", config->cpus,
	     (unsigned long long)(config->memory_bytes / MIB));
	tell(vm, "kernel '%s' is in place, entered at %#llx", config->kernel,
	     (unsigned long long)vm->boot_registers.rip);
}

/* Files first: a bad kernel is the most likely mistake, and costs nothing to find. */
static int create(struct vm *vm, struct error *err)
{
	const struct config *config = vm->config;
	int ret = boot_open(&vm->source, config->kernel, config->initrd, config->append, err);

	if (!ret)
		ret = create_core(vm, err);
	if (!ret)
		ret = load(vm, err);
	if (!ret)
		ret = create_engine(vm, err);
	if (!ret)
		ret = create_board(vm, err);
	if (!ret)
		ret = create_balance(vm, err);
	if (!ret)
		ret = create_share(vm, err);
	if (!ret && config->control)
		ret = control_create(&vm->control, &vm->loop, config->control, requests, vm, err);
	if (!ret)
		tell_what_runs(vm);
	return ret;
}

int vm_create(struct vm **out, const struct config *config, const struct engine_ops *engine,
	      struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return error_set(err, -ENOMEM, "virtual machine: out of memory");
	vm->config = config;
	vm->ops = engine;
	vm->power = (struct power){ on_power, vm };
	vm->source.kernel.fd = vm->source.initrd.fd = -1;
	ret = create(vm, err);
	if (ret)
		vm_destroy(vm);
	else
		*out = vm;
	return ret;
}

void vm_print_stats(const struct vm *vm)
{
	if (vm->ops->print_stats)
		vm->ops->print_stats(vm->engine);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
	(void)unused;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/*
 * The vCPUs are parked. Then the clock's thread stops, then devices with threads of their own go;
 * until then interrupts may still come up to the vCPUs, so these go last.
 */
void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	control_destroy(vm->control);
	balance_destroy(vm->balance);
	share_destroy(vm->share);
	clock_destroy(vm->clock);
	board_destroy(vm->board);
	vcpus_destroy(vm->vcpus);
	if (vm->loop_made) {
		uv_run(&vm->loop, UV_RUN_NOWAIT); /* lets the back ends close theirs */
		uv_walk(&vm->loop, close_handle, NULL);
		uv_run(&vm->loop, UV_RUN_DEFAULT);
		uv_loop_close(&vm->loop);
	}
	if (vm->engine)
		vm->ops->destroy(vm->engine);
	bus_destroy(vm->bus);
	irq_destroy(vm->irq);
	memory_destroy(vm->memory);
	boot_close(&vm->source);
	free(vm);
}

int vm_run(struct vm *vm, struct error *err)
{
	vm->end_error = err;
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
		uv_signal_start(&vm->signal[i], on_signal, ending_signals[i]);
	uv_update_time(&vm->loop); /* or the time it took to make the machine would count */
	if (vm->config->timeout_seconds)
		uv_timer_start(&vm->time_limit, on_time_limit,
			       (uint64_t)vm->config->timeout_seconds * 1000, 0);
	vcpus_reset(vm->vcpus, &vm->boot_registers);
	vcpus_run(vm->vcpus);
	uv_run(&vm->loop, UV_RUN_DEFAULT);
	board_hurry(vm->board); /* or a vCPU might wait for room for its output and never park */
	vcpus_park(vm->vcpus);
	return vm->status;
}
