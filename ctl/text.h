/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory and text for commands. A command that runs out of memory has nothing to save (definitions
 * are replaced as a whole), so these end the process with a message instead of returning NULL.
 * Nothing here is for a VM's process.
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H

#include "lib/base.h"

#include <stdarg.h>

/* Zeroed; for free(). */
void *alloc_zeroed(size_t bytes);
void *alloc_resized(void *old, size_t bytes);

/* Copies for free(). */
char *text_copy(const char *text);
char *text_copy_n(const char *text, size_t bytes);
char *text_lower(const char *text); /* in lower case (ASCII) */
char *text_format(const char *format, ...) PRINTF_LIKE(1, 2);

/* A text that grows. Zero it to begin; `s` is NULL until something was added. */
struct text {
	char *s; /* ends in NUL */
	size_t len, room;
};

void text_add(struct text *text, const char *more);
void text_add_n(struct text *text, const char *more, size_t bytes);
void text_addf(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_addv(struct text *text, const char *format, va_list args);
void text_pad(struct text *text, size_t blanks);

/* Takes the content out, "" where there is none; for free(). */
char *text_take(struct text *text);
void text_free(struct text *text);

/* Columns that a UTF-8 text fills on a terminal. */
size_t text_columns(const char *text);

/* Bytes of the first `columns` columns. */
size_t text_cut(const char *text, size_t columns);

/* Whether both are the same without regard to case (ASCII). */
bool text_same(const char *a, const char *b);

/* Whether `word` is one of the names in `list`, which are separated by `separator`. */
bool text_in_list(const char *word, const char *list, char separator);

#endif
