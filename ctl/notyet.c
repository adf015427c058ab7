/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cmdlets of Hyper-V's that people will type and that this version does not have: each is known by
 * name and says so, instead of being no command at all. State, checkpoints and migration belong
 * here.
 */
#include "ctl/nouns.h"

#define NOT_YET(name, aliases, summary)                                  \
	{                                                                \
		name, aliases, summary, NULL, NULL, CMDLET_NOT_YET, NULL \
	}

static const struct cmdlet cmdlets[] = {
	NOT_YET("Save-VM", NULL, "Saves the state of virtual machines."),
	NOT_YET("Remove-VMSavedState", NULL, "Deletes the saved state of virtual machines."),
	NOT_YET("Checkpoint-VM", NULL, "Creates a checkpoint of virtual machines."),
	NOT_YET("Get-VMSnapshot", "Get-VMCheckpoint", "Gets the checkpoints of virtual machines."),
	NOT_YET("Restore-VMSnapshot", "Restore-VMCheckpoint", "Applies a checkpoint."),
	NOT_YET("Remove-VMSnapshot", "Remove-VMCheckpoint", "Deletes checkpoints."),
	NOT_YET("Rename-VMSnapshot", "Rename-VMCheckpoint", "Renames a checkpoint."),
	NOT_YET("Export-VMSnapshot", "Export-VMCheckpoint", "Exports a checkpoint."),
	NOT_YET("Move-VM", NULL, "Moves a virtual machine to another host."),
	NOT_YET("Move-VMStorage", NULL, "Moves the disks of a virtual machine."),
	NOT_YET("Measure-VM", NULL, "Reports what virtual machines use."),
	NOT_YET("Export-VM", NULL, "Exports virtual machines."),
	NOT_YET("Import-VM", NULL, "Imports a virtual machine."),
	NOT_YET("Compare-VM", NULL, "Says what keeps a virtual machine from another host."),
	{ NULL },
};

const struct noun noun_not_yet = { cmdlets, NULL };
