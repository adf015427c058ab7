/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Characters as PowerShell sees them: see ctl/lex.h. */
#include "ctl/lex.h"

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

uint32_t lex_character(const char *p, size_t *bytes)
{
	unsigned char first = (unsigned char)*p;
	unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
	uint32_t c = more ? first & (0x3fu >> more) : first;

	for (unsigned i = 1; i <= more; i++) {
		if (!is_continuation(p[i])) {
			*bytes = 1;
			return first;
		}
		c = c << 6 | ((unsigned char)p[i] & 0x3f);
	}
	*bytes = first ? more + 1 : 0;
	return c;
}

static bool in(uint32_t c, const uint32_t *set, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (set[i] == c)
			return true;
	}
	return false;
}

bool lex_is_blank(uint32_t c)
{
	static const uint32_t set[] = { ' ',    '\t',   '\v',   '\f',   0x85,  0xa0,
					0x1680, 0x202f, 0x205f, 0x3000, 0xfeff };

	return in(c, set, ARRAY_SIZE(set)) || (c >= 0x2000 && c <= 0x200a);
}

bool lex_is_dash(uint32_t c)
{
	static const uint32_t set[] = { '-', 0x2013, 0x2014, 0x2015 };

	return in(c, set, ARRAY_SIZE(set));
}

bool lex_is_single_quote(uint32_t c)
{
	static const uint32_t set[] = { '\'', 0x2018, 0x2019, 0x201a, 0x201b };

	return in(c, set, ARRAY_SIZE(set));
}

bool lex_is_double_quote(uint32_t c)
{
	static const uint32_t set[] = { '"', 0x201c, 0x201d, 0x201e };

	return in(c, set, ARRAY_SIZE(set));
}

bool lex_ends_word(uint32_t c)
{
	static const uint32_t set[] = {
		LEX_END, '\n', '\r', ';', ',', '|', '&', '(', ')', '{', '}'
	};

	return in(c, set, ARRAY_SIZE(set)) || lex_is_blank(c);
}

bool lex_is_name(uint32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' ||
	       (c >= 0xc0 && !lex_is_blank(c) && !lex_is_dash(c) && !lex_is_single_quote(c) &&
		!lex_is_double_quote(c));
}

const char *lex_skip_dashes(const char *word, unsigned *dashes)
{
	size_t bytes;

	*dashes = 0;
	while (lex_is_dash(lex_character(word, &bytes))) {
		word += bytes;
		++*dashes;
	}
	return word;
}
