/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Virtual hard disks: files, made and read by qemu-img, whose format their name's ending says. */
#ifndef CTL_VHD_H
#define CTL_VHD_H

#include "ctl/call.h"

/* Makes a disk that grows with its content; -1 after call_error. The file must not be there. */
int vhd_create(struct call *call, const char *path, int64_t bytes);

/* A file that a VM can have as a disk; -1 after call_error. */
int vhd_check(struct call *call, const char *path);

#endif
