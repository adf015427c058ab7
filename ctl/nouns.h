/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of cmdlets, each by its noun: what ctl/table.c lists. */
#ifndef CTL_NOUNS_H
#define CTL_NOUNS_H

#include "ctl/table.h"

extern const struct noun noun_vm;             /* ctl/vm.c */
extern const struct noun noun_processor;      /* ctl/processor.c */
extern const struct noun noun_memory;         /* ctl/vmmemory.c */
extern const struct noun noun_version;        /* ctl/version.c: configuration versions */
extern const struct noun noun_power;          /* ctl/power.c: Start-VM, Stop-VM and their kin */
extern const struct noun noun_not_yet;        /* ctl/notyet.c: what there is none of so far */
extern const struct noun noun_adapter;        /* ctl/vmadapter.c: network adapters of VMs */
extern const struct noun noun_vlan;           /* ctl/vlan.c */
extern const struct noun noun_switch;         /* ctl/switches.c */
extern const struct noun noun_switch_drop;    /* ctl/switchdrop.c */
extern const struct noun noun_switch_capture; /* ctl/switchcapture.c */
extern const struct noun noun_nat;            /* ctl/nat.c */
extern const struct noun noun_nat_mapping;    /* ctl/natmapping.c */
extern const struct noun noun_net_adapter;    /* ctl/netadapter.c: this host's adapters */
extern const struct noun noun_vhd;            /* ctl/vhd.c: files of disks */
extern const struct noun noun_disk;           /* ctl/disk.c: disks of VMs */
extern const struct noun noun_host;           /* ctl/host.c */
extern const struct noun noun_nested;         /* ctl/nested.c: the two scripts */
extern const struct noun noun_web;            /* ctl/web.c */
extern const struct noun noun_session;        /* ctl/session.c: what happens in a guest */
extern const struct noun noun_terminal;       /* ctl/terminal.c: vmconnect */
extern const struct noun noun_net_address;    /* ctl/netaddress.c: their addresses */
extern const struct noun noun_netsh;          /* ctl/netsh.c: their name servers */
extern const struct noun noun_complete;       /* ctl/complete.c */
extern const struct noun noun_job;            /* ctl/job.c */
extern const struct noun noun_help;           /* ctl/help.c: Get-Command, Get-Help */
extern const struct noun noun_output;         /* ctl/output.c: Format-Table and its kin */
extern const struct noun noun_object;         /* ctl/object.c: Where-Object and its kin */

#endif
