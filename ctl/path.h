/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths as operators write them. */
#ifndef CTL_PATH_H
#define CTL_PATH_H

/*
 * Absolute, with ~ and ~/ as the home folder: definitions outlive the folder that a command was
 * typed in. For free().
 */
char *path_absolute(const char *path);

/* Only the ~. For free(). */
char *path_home(const char *path);

#endif
