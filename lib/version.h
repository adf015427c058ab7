/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The version of the program. */
#ifndef LIB_VERSION_H
#define LIB_VERSION_H

#define VERSION "0.1"

#endif
