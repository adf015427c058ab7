/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths as operators write them: see ctl/path.h. */
#include "ctl/path.h"

#include "ctl/text.h"

#include <stdlib.h>
#include <unistd.h>

char *path_home(const char *path)
{
	const char *home = getenv("HOME");

	if (path[0] == '~' && (path[1] == '/' || !path[1]) && home)
		return text_format("%s%s", home, path + 1);
	return text_copy(path);
}

char *path_absolute(const char *path)
{
	char *whole = path_home(path), *cwd, *result;

	if (*whole == '/')
		return whole;
	cwd = getcwd(NULL, 0);
	result = text_format("%s/%s", cwd ? cwd : ".", whole);
	free(cwd);
	free(whole);
	return result;
}
