/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rows that describe cmdlets, and what shows their objects. Binding, prefixes, conversion,
 * errors, help, completion and the manual page all come from these rows; handlers see arguments
 * that are converted and in range.
 *
 * To add a cmdlet: write its row and its handler in the file of its noun (ctl/processor.c is an
 * example), or a new file whose `struct noun` goes into the list of ctl/table.c. A handler reads
 * its arguments through ctl/call.h, finds VMs through ctl/machine.h, changes definitions through
 * ctl/store.h, and returns objects (ctl/value.h). Then add a pair to tests/ctl/.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "lib/base.h"

struct call;

enum param_type {
	PARAM_SWITCH,
	PARAM_BOOL,
	PARAM_STRING,
	PARAM_INT,      /* min and max, where they differ */
	PARAM_ENUM,     /* of: "On|Off" */
	PARAM_OBJECT,   /* of: "VirtualMachine", or several with | between */
	PARAM_BLOCK,    /* a script block, or its text */
	PARAM_TIMESPAN, /* seconds, or hh:mm:ss */
	PARAM_ANY,
};

enum param_flags {
	REQUIRED = 1,
	MANY = 2,     /* an array; the handler gets one even for a single value */
	BY_VALUE = 4, /* takes the objects of the pipeline */
	BY_NAME = 8,  /* takes their property of this name, or an alias */
	REST = 16,    /* takes all positional arguments that are left */
};

/* Sets are bits: SET(0) is the first name in the cmdlet's `sets`. */
#define SET(n) (1u << (n))
/* Positions count from 1; 0 is none. */
#define POSITION(n) ((n) + 1)

struct param {
	const char *name;
	const char *aliases; /* separated by blanks; may be NULL */
	enum param_type type;
	const char *of;
	int64_t min, max;
	unsigned position;
	unsigned sets; /* 0: all of them */
	unsigned flags;
};

enum cmdlet_flags {
	CMDLET_CHANGES = 1,     /* has -WhatIf and -Confirm */
	CMDLET_ASKS = 2,        /* asks without being told; -Force or -Confirm:$false say no */
	CMDLET_WHOLE_INPUT = 4, /* runs once, with the whole input in call->input */
	CMDLET_HOST = 8,        /* has -ComputerName, -CimSession, -Credential */
	CMDLET_HIDDEN = 16,     /* not in Get-Command: Unix habits */
	CMDLET_NOT_YET = 32,    /* answers "not available yet"; has no handler */
};

/* Sets have two rows with the same name where a parameter is required in one of them only. */
struct cmdlet {
	const char *name;
	const char *aliases; /* separated by blanks; may be NULL */
	const char *summary;
	const struct param *params; /* ends with a row without a name */
	const char *sets; /* names separated by blanks, the default first; NULL: one set */
	unsigned flags;
	/* 0 or -1 after call_error. Runs for each object of the pipeline, or once without one. */
	int (*run)(struct call *call);
};

enum unit { UNIT_NONE, UNIT_MIB };

/* A column of a type's table. Ends with one without a header. */
struct column {
	const char *header;
	const char *property; /* NULL: the header is its name */
	enum unit unit;       /* what the number is divided by */
};

struct view {
	const char *type;
	const struct column *columns; /* NULL: a list of all properties, as long as they are */
};

/* What a file of cmdlets has to offer; both end with an empty row. views may be NULL. */
struct noun {
	const struct cmdlet *cmdlets;
	const struct view *views;
};

/* Every noun; ends with NULL. */
extern const struct noun *const table_nouns[];

/* By name or alias, without regard to case; NULL where there is none. */
const struct cmdlet *table_find(const char *name);
const struct view *table_view(const char *type);

/*
 * All cmdlets in the order of the table: *place starts as 0 and is where the next call goes on.
 * NULL at the end.
 */
const struct cmdlet *table_next(size_t *place);

/* The parameters that every cmdlet of these flags has beside its own; fills `rows`. */
#define TABLE_COMMON_SETS 3
void table_common(unsigned cmdlet_flags, const struct param *rows[TABLE_COMMON_SETS]);

/* The selectors that most cmdlets about VMs begin with, for the sets 0 and 1. */
#define PARAM_VMNAME                                                                   \
	{                                                                              \
		"VMName", NULL, PARAM_STRING, .position = POSITION(0), .sets = SET(0), \
					      .flags = REQUIRED | MANY | BY_VALUE      \
	}
#define PARAM_NAME_VMNAME                                                                \
	{                                                                                \
		"Name", "VMName", PARAM_STRING, .position = POSITION(0), .sets = SET(0), \
						.flags = REQUIRED | MANY | BY_VALUE      \
	}
#define PARAM_VM                                                                                \
	{                                                                                       \
		"VM", NULL, PARAM_OBJECT, "VirtualMachine", .position = POSITION(0),            \
							    .sets = SET(1),                     \
							    .flags = REQUIRED | MANY | BY_VALUE \
	}
#define PARAM_PASSTHRU                         \
	{                                      \
		"Passthru", NULL, PARAM_SWITCH \
	}
#define PARAM_END                        \
	{                                \
		NULL, NULL, PARAM_SWITCH \
	}

#endif
