/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values to what a parameter wants, by PowerShell's rules: a text that is a number is one, a number
 * is a Boolean but a text is none, names of enumerations may be abbreviated.
 */
#ifndef CTL_CONVERT_H
#define CTL_CONVERT_H

#include "ctl/call.h"
#include "lib/error.h"

/* Whether it can be bound as it is. */
bool convert_fits(const struct param *param, const json_t *value);

/*
 * The value as the parameter wants it, NULL with a text where that cannot be; *id gets the kind of
 * the error. word: how a bare word was written; NULL: it was none. unix_words: see struct shell.
 */
json_t *convert_value(const struct param *param, const json_t *value, const char *word,
		      bool unix_words, const char **id, struct error *err);

/* The type as messages and help name it, such as System.String[]. */
void convert_type_name(const struct param *param, char *name, size_t size);

#endif
