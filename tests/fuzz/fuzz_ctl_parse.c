/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Any bytes as a script: the parser takes them or says what is wrong, and frees what it made. */
#include "ctl/parse.h"
#include "ctl/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *source = text_copy_n((const char *)data, size);
	struct error err = { "" };
	struct node *script;
	int ret = parse_script(source, NULL, &script, &err);

	if (!ret)
		node_free(script);
	else if (!*err.text)
		abort(); /* an error without a text */
	free(source);
	return 0;
}
