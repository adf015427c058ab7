/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties as commands name them: by name, by pattern, by a script block that is run for each
 * object, or by @{Name=...; Expression=...}.
 */
#ifndef CTL_SELECT_H
#define CTL_SELECT_H

#include "ctl/call.h"

/* The value of such a property of an object; never NULL. */
json_t *select_value(struct call *call, json_t *object, const json_t *property);

/* A new object with these properties only. */
json_t *select_properties(struct call *call, json_t *object, const json_t *properties);

/* Whether any is calculated, so that objects must be made anew before they are shown. */
bool select_is_calculated(const json_t *properties);

/* The names of the properties: what select_properties calls them. */
json_t *select_names(const json_t *properties);

#endif
