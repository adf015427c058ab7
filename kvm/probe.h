/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether this host's KVM can run a VM: what it says of itself, and then a trial, because some
 * hosts' /dev/kvm makes VMs in which no ordinary 64-bit code runs.
 */
#ifndef KVM_PROBE_H
#define KVM_PROBE_H

#include "vm/engine.h"

/* engine_ops.probe. May fork: comes before the process has threads that hold locks. */
int kvm_probe(const struct engine_wish *wish, enum cpu_vendor *vendor, struct error *err);

/*
 * The trial: a child process makes a VM that switches to long mode, takes two exceptions and stores
 * and reports what it found, under a limit of processor time and of real time. 0; -ENOTSUP with a
 * text. A child that cannot even be killed is left behind. With `nested` on Intel's processors it
 * enters VMX operation too.
 */
int kvm_trial(int device, enum cpu_vendor vendor, bool nested, struct error *err);

#endif
