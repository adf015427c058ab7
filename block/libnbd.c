/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loading libnbd: see block/libnbd.h. */
#include "block/libnbd.h"

#include <dlfcn.h>
#include <errno.h>

#define LIBRARY "libnbd.so.0"

int libnbd_load(struct libnbd *nbd, struct error *err)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_NODELETE);

	if (!library)
		return error_set(err, -ENOENT,
				 "the library libnbd, of the package libnbd0, cannot be loaded: %s",
				 dlerror());
		/* clang-format off */
#define FIND(name) nbd->name = (__typeof__(nbd->name))dlsym(library, "nbd_" #name);
#define IS_FOUND(name) && nbd->name
	/* clang-format on */
	LIBNBD_FUNCTIONS(FIND)
	if (!(true LIBNBD_FUNCTIONS(IS_FOUND)))
		return error_set(err, -ENOENT, LIBRARY " is too old");
	return 0;
}
