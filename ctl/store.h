/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store: definitions as JSON files, `ROOT/KIND/ID.json`, and the folder of what runs. A
 * definition is replaced as a whole (written beside, synced, renamed), so a command killed at any
 * moment leaves the old one or the new one. Changes are made under the store's lock, which the
 * kernel lifts when its holder dies; reading needs no lock.
 *
 * ROOT is $XDG_DATA_HOME/nidus (~/.local/share/nidus), or what --root or $NIDUS_ROOT say. What runs
 * is in $XDG_RUNTIME_DIR/nidus, or ROOT/run where a root was given. Folders are for their user
 * only.
 */
#ifndef CTL_STORE_H
#define CTL_STORE_H

#include "ctl/value.h"
#include "lib/error.h"

struct store;

/* Kinds of definitions: names of folders. */
#define STORE_VMS      "vms"
#define STORE_SWITCHES "switches"
#define STORE_NATS     "nats"
#define STORE_HOST     "host" /* settings of this host: one definition, "host" */

/* root: NULL for the usual place. Makes folders where there are none. -errno with a text. */
int store_open(struct store **out, const char *root, struct error *err);
void store_close(struct store *store); /* accepts NULL */

const char *store_root(const struct store *store);

/* ROOT/NAME, made with mode 0700 where it is missing: for files of definitions. For free(). */
char *store_folder(struct store *store, const char *name, struct error *err);

/*
 * The folder of a running thing, made with mode 0700: sockets, logs. For free(); NULL with a text
 * where it cannot be made.
 */
char *store_run_folder(struct store *store, const char *id, struct error *err);
const char *store_run_root(const struct store *store);

/* For the whole of a read-change-write. Waits for others. Locks nest. -errno with a text. */
int store_lock(struct store *store, struct error *err);
void store_unlock(struct store *store);

/*
 * All definitions of a kind, sorted by Name. What cannot be read or is no definition is left out,
 * and `complain` (may be NULL) is told.
 */
json_t *store_list(struct store *store, const char *kind,
		   void (*complain)(void *self, const char *text), void *self);

/* One definition. NULL with a text: -ENOENT and others are not told apart. */
json_t *store_get(struct store *store, const char *kind, const char *id, struct error *err);

/* Under the lock. Nothing changed when they fail. -errno with a text. */
int store_put(struct store *store, const char *kind, const char *id, const json_t *definition,
	      struct error *err);
int store_delete(struct store *store, const char *kind, const char *id, struct error *err);

/* A new random identifier (a GUID in lower case with dashes). */
#define STORE_ID_SIZE 37
void store_make_id(char id[STORE_ID_SIZE]);

#endif
