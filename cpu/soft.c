/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The soft engine behind vm/engine.h: creation and destruction of what the vCPUs share, registers
 * in and out, signals.
 */
#include "cpu/soft.h"

#include <errno.h>
#include <stdlib.h>

#include "cpu/block.h"
#include "cpu/decode/cache.h"
#include "cpu/exec/host.h"
#include "cpu/flags.h"
#include "cpu/jit/check.h"
#include "cpu/jit/jit.h"
#include "cpu/mmu/mmu.h"
#include "cpu/msr.h"
#include "cpu/run.h"
#include "cpu/virt.h"
#include "cpu/wait.h"

static struct soft *soft_of(struct engine *engine)
{
	return (struct soft *)engine;
}

static struct cpu *cpu_of(struct engine_vcpu *vcpu)
{
	return (struct cpu *)vcpu;
}

static int soft_probe(const struct engine_wish *wish, enum cpu_vendor *vendor, struct error *err)
{
	*vendor = wish->vendor;
	if (wish->nested && wish->vendor == CPU_AMD)
		return error_set(err, -ENOTSUP,
				 "--nested on: --cpu amd has no AMD-V in this version; --cpu intel "
				 "has VT-x");
	return 0;
}

static void soft_destroy(struct engine *engine)
{
	struct soft *soft = soft_of(engine);

	if (!soft)
		return;
	block_cache_destroy(soft->blocks);
	jit_destroy(soft->jit);
	decode_cache_destroy(soft->decodes);
	decoder_destroy(soft->decoder);
	host_code_destroy(soft->host_code);
	cpuid_table_destroy(soft->cpuid);
	pthread_cond_destroy(&soft->world.changed);
	pthread_mutex_destroy(&soft->world.lock);
	pthread_mutex_destroy(&soft->bus_lock);
	free(soft);
}

static int create_parts(struct soft *soft, bool is_translating)
{
	const struct engine_config *config = &soft->config;
	int ret;

	soft->cpuid = cpuid_table_create(config->vendor, config->vcpus,
					 clock_tsc_khz(config->clock), config->nested);
	if (!soft->cpuid)
		return -ENOMEM;
	cpuid_table_features(soft->cpuid, soft->features);
	soft->host_code = host_code_create();
	if (!soft->host_code)
		return -ENOMEM;
	soft->decoder = decoder_create(soft);
	if (!soft->decoder)
		return -ENOMEM;
	soft->decodes = decode_cache_create(soft->decoder);
	if (!soft->decodes)
		return -ENOMEM;
	ret = is_translating ? jit_create(&soft->jit, config, soft->decodes) : 0;
	return ret ? ret : block_cache_create(&soft->blocks, soft);
}

static int create(struct engine **out, const struct engine_config *config, bool is_translating,
		  struct error *err)
{
	struct soft *soft;
	int ret;

	if (config->vcpus < 1 || config->vcpus > SOFT_MAX_VCPUS)
		return error_set(err, -EINVAL, "engine 'soft' runs 1 to %u vCPUs, not %u",
				 SOFT_MAX_VCPUS, config->vcpus);
	soft = calloc(1, sizeof(*soft));
	if (!soft)
		return error_set(err, -ENOMEM, "engine 'soft': out of memory");
	soft->config = *config;
	if (!config->code_cache_bytes)
		soft->config.code_cache_bytes = ENGINE_CODE_CACHE_BYTES;
	pthread_mutex_init(&soft->bus_lock, NULL);
	pthread_mutex_init(&soft->world.lock, NULL);
	pthread_cond_init(&soft->world.changed, NULL);
	ret = create_parts(soft, is_translating);
	if (ret) {
		soft_destroy((struct engine *)soft);
		return error_set(err, ret, "engine 'soft': %s", strerror(-ret));
	}
	*out = (struct engine *)soft;
	return 0;
}

static int soft_create(struct engine **out, const struct engine_config *config, struct error *err)
{
	return create(out, config, true, err);
}

/* Others would write in between: cpu/jit/check.h. */
static int checked_create(struct engine **out, const struct engine_config *config,
			  struct error *err)
{
	int ret;

	if (config->vcpus > 1)
		return error_set(err, -EINVAL, "engine 'check' runs 1 vCPU, not %u", config->vcpus);
	ret = create(out, config, true, err);
	if (!ret)
		soft_of(*out)->is_checked = true;
	return ret;
}

static int interp_create(struct engine **out, const struct engine_config *config, struct error *err)
{
	return create(out, config, false, err);
}

static void soft_vcpu_destroy(struct engine_vcpu *vcpu)
{
	struct cpu *cpu = cpu_of(vcpu);

	if (!cpu)
		return;
	if (cpu->soft->cpu[cpu->index] == cpu)
		cpu->soft->cpu[cpu->index] = NULL;
	if (cpu->virt)
		cpu->virt->destroy(cpu);
	check_destroy(cpu);
	jit_cpu_destroy(cpu);
	jump_cache_destroy(cpu);
	mmu_destroy(cpu);
	free(cpu);
}

/* The virtualization extension, if the guest is shown one. */
static int create_virt(struct cpu *cpu)
{
	static const struct virt_ops *const extensions[] = {
		[CPU_INTEL] = &virt_vmx, [CPU_AMD] = NULL
	};

	if (cpu->soft->config.nested)
		cpu->virt = extensions[cpu->soft->config.vendor];
	return cpu->virt ? cpu->virt->create(cpu) : 0;
}

static int create_jit(struct cpu *cpu)
{
	int ret = cpu->soft->jit ? jit_cpu_create(cpu) : 0;

	return !ret && cpu->soft->is_checked ? check_create(cpu) : ret;
}

static int soft_vcpu_create(struct engine *engine, unsigned index, struct engine_vcpu **out,
			    struct error *err)
{
	struct soft *soft = soft_of(engine);
	struct cpu *cpu = aligned_alloc(64, align_up(sizeof(*cpu), 64));

	if (!cpu)
		return error_set(err, -ENOMEM, "vCPU %u: out of memory", index);
	memset(cpu, 0, sizeof(*cpu));
	cpu->soft = soft;
	cpu->stubs = host_code_stubs(soft->host_code);
	cpu->index = index;
	cpu->is_between = true;
	pmu_init(cpu);
	if (mmu_create(cpu) || jump_cache_create(cpu) || create_jit(cpu) || create_virt(cpu)) {
		soft_vcpu_destroy((struct engine_vcpu *)cpu);
		return error_set(err, -ENOMEM, "vCPU %u: out of memory", index);
	}
	soft->cpu[index] = cpu;
	cpu_reset(cpu);
	*out = (struct engine_vcpu *)cpu;
	return 0;
}

static enum engine_exit soft_run(struct engine_vcpu *vcpu)
{
	return cpu_run(cpu_of(vcpu));
}

static void attention(struct cpu *cpu, uint32_t what)
{
	cpu_attention_set(cpu, what);
	cpu_wake(cpu);
}

static void soft_kick(struct engine_vcpu *vcpu)
{
	attention(cpu_of(vcpu), ATTENTION_KICK);
}

static void soft_signal(struct engine_vcpu *vcpu, enum vcpu_signal what, uint8_t vector)
{
	static const uint32_t bit[] = {
		[VCPU_NMI] = ATTENTION_NMI,
		[VCPU_INIT] = ATTENTION_INIT,
		[VCPU_SIPI] = ATTENTION_SIPI,
	};
	struct cpu *cpu = cpu_of(vcpu);

	if (what == VCPU_SIPI)
		__atomic_store_n(&cpu->sipi_vector, vector, __ATOMIC_RELAXED);
	/* An INIT cancels the SIPIs before it, not one that follows before the vCPU has looked. */
	if (what == VCPU_INIT)
		cpu_attention_clear(cpu, ATTENTION_SIPI);
	if (what == VCPU_NMI)
		__atomic_add_fetch(&cpu->nmis_arrived, 1, __ATOMIC_SEQ_CST);
	if (what == VCPU_INTERRUPT)
		cpu_attention_interrupt(cpu);
	attention(cpu, bit[what]);
}

static void soft_reset(struct engine_vcpu *vcpu)
{
	cpu_reset(cpu_of(vcpu));
}

static struct engine_segment segment_out(const struct segment *in)
{
	return (struct engine_segment){ in->selector, in->base, in->limit, in->ar };
}

static struct segment segment_in(const struct engine_segment *in)
{
	return (struct segment){
		.selector = in->selector, .base = in->base, .limit = in->limit, .ar = in->attributes
	};
}

static void soft_get_registers(struct engine_vcpu *vcpu, struct engine_registers *out)
{
	const struct cpu *cpu = cpu_of(vcpu);

	*out = (struct engine_registers){
		.rip = cpu->rip,
		.rflags = flags_get(cpu),
		.es = segment_out(&cpu->seg[ES]),
		.cs = segment_out(&cpu->seg[CS]),
		.ss = segment_out(&cpu->seg[SS]),
		.ds = segment_out(&cpu->seg[DS]),
		.fs = segment_out(&cpu->seg[FS]),
		.gs = segment_out(&cpu->seg[GS]),
		.ldtr = segment_out(&cpu->ldtr),
		.tr = segment_out(&cpu->tr),
		.gdtr = { cpu->gdtr.base, cpu->gdtr.limit },
		.idtr = { cpu->idtr.base, cpu->idtr.limit },
		.cr0 = cpu->cr0,
		.cr2 = cpu->cr2,
		.cr3 = cpu->cr3,
		.cr4 = cpu->cr4,
		.efer = cpu->efer,
	};
	memcpy(out->gpr, cpu->gpr, sizeof(out->gpr));
}

static void soft_set_registers(struct engine_vcpu *vcpu, const struct engine_registers *in)
{
	struct cpu *cpu = cpu_of(vcpu);

	memcpy(cpu->gpr, in->gpr, sizeof(in->gpr));
	cpu->rip = in->rip;
	flags_set(cpu, in->rflags);
	cpu->seg[ES] = segment_in(&in->es);
	cpu->seg[CS] = segment_in(&in->cs);
	cpu->seg[SS] = segment_in(&in->ss);
	cpu->seg[DS] = segment_in(&in->ds);
	cpu->seg[FS] = segment_in(&in->fs);
	cpu->seg[GS] = segment_in(&in->gs);
	cpu->ldtr = segment_in(&in->ldtr);
	cpu->tr = segment_in(&in->tr);
	cpu->gdtr = (struct table_register){ in->gdtr.base, in->gdtr.limit };
	cpu->idtr = (struct table_register){ in->idtr.base, in->idtr.limit };
	cpu->cr0 = in->cr0;
	cpu->cr2 = in->cr2;
	cpu->cr3 = in->cr3;
	cpu->cr4 = in->cr4;
	cpu->efer = in->efer;
	cpu->cpl = seg_dpl(cpu->seg[SS].ar);
	cpu->activity = CPU_ACTIVE;
	cpu_attention_clear(cpu, ATTENTION_HALT);
	msr_tsc_changed(cpu);
	cpu_update_derived(cpu);
	mmu_mode_changed(cpu);
	mmu_flush_everything(cpu);
}

static bool soft_nested_active(struct engine_vcpu *vcpu)
{
	const struct cpu *cpu = cpu_of(vcpu);

	return cpu->virt && cpu->virt->is_active(cpu);
}

static void soft_print_stats(struct engine *engine)
{
	stats_print(soft_of(engine));
}

/* They differ in what they set up. */
#define SOFTWARE_ENGINE(its_name, its_create)                                          \
	{                                                                              \
		.name = its_name, .probe = soft_probe, .create = its_create,           \
		.destroy = soft_destroy, .vcpu_create = soft_vcpu_create,              \
		.vcpu_destroy = soft_vcpu_destroy, .run = soft_run, .kick = soft_kick, \
		.signal = soft_signal, .get_registers = soft_get_registers,            \
		.set_registers = soft_set_registers, .reset = soft_reset,              \
		.print_stats = soft_print_stats, .nested_active = soft_nested_active,  \
	}

const struct engine_ops engine_soft = SOFTWARE_ENGINE("soft", soft_create);
const struct engine_ops engine_interp = SOFTWARE_ENGINE("interp", interp_create);
const struct engine_ops engine_check = SOFTWARE_ENGINE("check", checked_create);
