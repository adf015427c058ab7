/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The seam between the machine and what runs its vCPUs: `soft` (cpu/) or `kvm` (kvm/).
 *
 * The engine makes device accesses on the bus itself and asks vm/irq.h for interrupts; it waits
 * out HLT and wait-for-SIPI inside run. Each vCPU belongs to one host thread, made by vm/; every
 * function that takes a vCPU is called on that thread, except where "any thread" is said.
 */
#ifndef VM_ENGINE_H
#define VM_ENGINE_H

#include "lib/error.h"
#include "vm/bus.h"
#include "vm/clock.h"
#include "vm/irq.h"
#include "vm/memory.h"

enum cpu_vendor { CPU_INTEL, CPU_AMD };

/* How a translator makes code: compact first and inline where it is hot, or always one of them. */
enum engine_tier { ENGINE_TIER_BOTH, ENGINE_TIER_COMPACT, ENGINE_TIER_INLINE };

/* What an engine is given. Everything is borrowed and outlives the engine. */
struct engine_config {
	struct memory *memory;
	struct bus *bus;
	struct irq *irq;
	struct clock *clock;
	enum cpu_vendor vendor;
	unsigned vcpus;
	bool nested;  /* show VT-x or AMD-V to the guest */
	bool verbose; /* say on stderr what a developer of a guest wants to know */
	bool stats;   /* count what the guest executes: print_stats */
	/* Status flags are exact at every fault, even where no instruction can read them any more.
	 */
	bool exact_flags;
	/* For decoded and translated code. 0: ENGINE_CODE_CACHE_BYTES. */
	uint64_t code_cache_bytes;
	enum engine_tier tier;
};

#define ENGINE_CODE_CACHE_BYTES     (192 * MIB)
#define ENGINE_CODE_CACHE_MIN_BYTES (2 * MIB)
#define ENGINE_CODE_CACHE_MAX_BYTES GIB

enum engine_exit {
	ENGINE_KICKED,   /* somebody called kick */
	ENGINE_SHUTDOWN, /* triple fault */
	ENGINE_ERROR,    /* our own fault; the engine has printed the state */
};

struct engine_segment {
	uint16_t selector;
	uint64_t base;
	uint32_t limit;      /* in bytes, as after applying G */
	uint32_t attributes; /* VT-x access rights: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D 14,
				G 15, unusable 16 */
};

struct engine_table {
	uint64_t base;
	uint16_t limit;
};

/* The registers that a boot protocol sets. Order of gpr: the encoding's (RAX RCX RDX RBX RSP RBP
 * RSI RDI R8…). */
struct engine_registers {
	uint64_t gpr[16];
	uint64_t rip, rflags;
	struct engine_segment es, cs, ss, ds, fs, gs, ldtr, tr;
	struct engine_table gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, efer;
};

/* What a VM asks of an engine before there is one. */
struct engine_wish {
	enum cpu_vendor vendor;
	bool any_vendor; /* `vendor` is only what is taken where the engine has no reason for
			    another */
	bool nested;
};

struct engine;
struct engine_vcpu;

struct engine_ops {
	const char *name;
	/*
	 * Whether this host can run such a VM, found out by trying: may take a second where it
	 * cannot. Sets *vendor to the processor that the VM will have. -errno: the text names what
	 * is missing and, where there is something to do about it, says what.
	 */
	int (*probe)(const struct engine_wish *wish, enum cpu_vendor *vendor, struct error *err);
	int (*create)(struct engine **out, const struct engine_config *config, struct error *err);
	void (*destroy)(struct engine *engine);
	/* vCPU 0 starts running, at the reset vector; the others wait for SIPI. */
	int (*vcpu_create)(struct engine *engine, unsigned index, struct engine_vcpu **out,
			   struct error *err);
	void (*vcpu_destroy)(struct engine_vcpu *vcpu);
	enum engine_exit (*run)(struct engine_vcpu *vcpu);
	void (*kick)(struct engine_vcpu
			     *vcpu); /* any thread: make run return, now or at its next call */
	void (*signal)(struct engine_vcpu *vcpu, enum vcpu_signal what,
		       uint8_t vector); /* any thread */
	void (*get_registers)(struct engine_vcpu *vcpu,
			      struct engine_registers *out); /* while not in run */
	void (*set_registers)(struct engine_vcpu *vcpu, const struct engine_registers *in);
	void (*reset)(struct engine_vcpu *vcpu); /* as after power-on; while not in run */
	/* What it has counted, to stderr, while no vCPU runs. NULL: nothing. */
	void (*print_stats)(struct engine *engine);
	/* Whether a hypervisor runs on it. Any thread. NULL: this engine does not know. */
	bool (*nested_active)(struct engine_vcpu *vcpu);
};

extern const struct engine_ops engine_kvm;
/* The same processor, with translation and as its reference without. */
extern const struct engine_ops engine_soft, engine_interp, engine_check;

#endif
