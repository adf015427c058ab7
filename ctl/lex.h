/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Characters as PowerShell sees them: which ones are blanks, dashes and quotes. Folding happens
 * here and never touches what stands between quotes: a VM may be called "A–B".
 */
#ifndef CTL_LEX_H
#define CTL_LEX_H

#include "lib/base.h"

#define LEX_END 0u

/* The character at p and its bytes (at least 1 unless it is the end). Bad UTF-8: its byte. */
uint32_t lex_character(const char *p, size_t *bytes);

bool lex_is_blank(uint32_t c); /* no line ends */
bool lex_is_dash(uint32_t c);
bool lex_is_single_quote(uint32_t c);
bool lex_is_double_quote(uint32_t c);

/* Whether it ends a bare word: blanks, line ends, ; , | & ( ) { } and the end. */
bool lex_ends_word(uint32_t c);

/* Whether it can be in a variable's or a parameter's name. */
bool lex_is_name(uint32_t c);

/* The same text with typographic dashes at its start as '-': for words from a Unix shell. */
const char *lex_skip_dashes(const char *word, unsigned *dashes);

#endif
