/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of definitions: see ctl/store.h. */
#include "ctl/store.h"

#include "ctl/path.h"
#include "ctl/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_MODE          0700
#define FILE_MODE            0600
#define SUFFIX               ".json"
#define DEFINITION_MAX_BYTES (4 * MIB)

struct store {
	char *root;
	char *run;
	int lock;        /* descriptor; -1: not held */
	unsigned locked; /* how deep */
};

/* --- folders --- */

static int make_one(const char *path, struct error *err)
{
	struct stat st;

	if (!mkdir(path, FOLDER_MODE) || errno == EEXIST) {
		if (!stat(path, &st) && S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	return error_set(err, -errno, "folder '%s': %s", path, strerror(errno));
}

/* A folder and those above it. */
static int make_folder(const char *path, struct error *err)
{
	char *part = text_copy(path);
	int ret = 0;

	for (char *p = strchr(part + 1, '/'); p && !ret; p = strchr(p + 1, '/')) {
		*p = 0;
		ret = make_one(part, err);
		*p = '/';
	}
	free(part);
	return ret ? ret : make_one(path, err);
}

static char *usual_root(void)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (data && *data == '/')
		return text_format("%s/nidus", data);
	return text_format("%s/.local/share/nidus", home && *home ? home : "");
}

/* /tmp belongs to everybody: a folder there is ours only if nobody else made it. */
static int check_owner(const char *path, struct error *err)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		return 0;
	return error_set(err, -EPERM,
			 "folder '%s': it belongs to another user; set XDG_RUNTIME_DIR", path);
}

static int open_usual_run(struct store *store, struct error *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int ret;

	if (runtime && *runtime == '/') {
		store->run = text_format("%s/nidus", runtime);
		return make_folder(store->run, err);
	}
	store->run = text_format("/tmp/nidus-%u", (unsigned)geteuid());
	ret = make_folder(store->run, err);
	return ret ? ret : check_owner(store->run, err);
}

int store_open(struct store **out, const char *root, struct error *err)
{
	struct store *store = alloc_zeroed(sizeof(*store));
	int ret;

	if (!root || !*root)
		root = getenv("NIDUS_ROOT");
	store->lock = -1;
	store->root = root && *root ? path_absolute(root) : usual_root();
	ret = make_folder(store->root, err);
	if (!ret && root && *root) {
		store->run = text_format("%s/run", store->root);
		ret = make_folder(store->run, err);
	} else if (!ret) {
		ret = open_usual_run(store, err);
	}
	if (ret)
		store_close(store);
	else
		*out = store;
	return ret;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	if (store->lock >= 0)
		close(store->lock);
	free(store->root);
	free(store->run);
	free(store);
}

const char *store_root(const struct store *store)
{
	return store->root;
}

const char *store_run_root(const struct store *store)
{
	return store->run;
}

static char *folder_in(const char *parent, const char *name, struct error *err)
{
	char *path = text_format("%s/%s", parent, name);

	if (!make_folder(path, err))
		return path;
	free(path);
	return NULL;
}

char *store_folder(struct store *store, const char *name, struct error *err)
{
	return folder_in(store->root, name, err);
}

char *store_run_folder(struct store *store, const char *id, struct error *err)
{
	return folder_in(store->run, id, err);
}

/* --- the lock --- */

int store_lock(struct store *store, struct error *err)
{
	char *path;
	int ret = 0;

	if (store->locked++)
		return 0;
	path = text_format("%s/lock", store->root);
	store->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
	while (store->lock >= 0 && flock(store->lock, LOCK_EX)) {
		if (errno != EINTR)
			break;
	}
	if (store->lock < 0) {
		ret = error_set(err, -errno, "store '%s': cannot be locked: %s", store->root,
				strerror(errno));
		store->locked--;
	}
	free(path);
	return ret;
}

void store_unlock(struct store *store)
{
	if (--store->locked)
		return;
	close(store->lock);
	store->lock = -1;
}

/* --- definitions --- */

static char *path_of(const struct store *store, const char *kind, const char *id)
{
	return text_format("%s/%s/%s" SUFFIX, store->root, kind, id);
}

static json_t *load(const char *path, struct error *err)
{
	json_error_t reason;
	struct stat st;
	json_t *definition;
	FILE *file = fopen(path, "re");

	if (!file) {
		error_set(err, -errno, "'%s': %s", path, strerror(errno));
		return NULL;
	}
	if (fstat(fileno(file), &st) || !S_ISREG(st.st_mode) ||
	    st.st_size > (off_t)DEFINITION_MAX_BYTES) {
		error_set(err, -EINVAL, "'%s': this is no definition", path);
		fclose(file);
		return NULL;
	}
	definition = json_loadf(file, JSON_REJECT_DUPLICATES, &reason);
	fclose(file);
	if (json_is_object(definition) && value_text_of(definition, "Id") &&
	    value_text_of(definition, "Name"))
		return definition;
	if (definition)
		error_set(err, -EINVAL, "'%s': the definition has no Id or no Name", path);
	else
		error_set(err, -EINVAL, "'%s': the definition is corrupt, line %d: %s", path,
			  reason.line, reason.text);
	json_decref(definition);
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	const char *x = value_text_of(*(json_t *const *)a, "Name");
	const char *y = value_text_of(*(json_t *const *)b, "Name");
	int order = strcmp(x, y);

	return order ? order
		     : strcmp(value_text_of(*(json_t *const *)a, "Id"),
			      value_text_of(*(json_t *const *)b, "Id"));
}

static json_t *sorted(json_t *list)
{
	size_t count = json_array_size(list);
	json_t **all = alloc_zeroed(count * sizeof(*all));
	json_t *result = json_array();

	for (size_t i = 0; i < count; i++)
		all[i] = json_array_get(list, i);
	if (count)
		qsort(all, count, sizeof(*all), by_name);
	for (size_t i = 0; i < count; i++)
		json_array_append(result, all[i]);
	free(all);
	json_decref(list);
	return result;
}

static bool is_definition_file(const char *name)
{
	size_t len = strlen(name), suffix = strlen(SUFFIX);

	return *name != '.' && len > suffix && !strcmp(name + len - suffix, SUFFIX);
}

json_t *store_list(struct store *store, const char *kind,
		   void (*complain)(void *self, const char *text), void *self)
{
	char *folder = text_format("%s/%s", store->root, kind);
	DIR *dir = opendir(folder);
	json_t *list = json_array();
	struct error unreadable = { "" };
	struct dirent *entry;

	if (!dir && errno != ENOENT && complain) {
		error_set(&unreadable, -errno, "'%s': %s", folder, strerror(errno));
		complain(self, unreadable.text);
	}
	while (dir && (entry = readdir(dir))) {
		struct error err = { "" };
		json_t *definition;
		char *path;

		if (!is_definition_file(entry->d_name))
			continue;
		path = text_format("%s/%s", folder, entry->d_name);
		definition = load(path, &err);
		if (definition)
			json_array_append_new(list, definition);
		else if (complain)
			complain(self, err.text);
		free(path);
	}
	if (dir)
		closedir(dir);
	free(folder);
	return sorted(list);
}

json_t *store_get(struct store *store, const char *kind, const char *id, struct error *err)
{
	char *path = path_of(store, kind, id);
	json_t *definition = load(path, err);

	free(path);
	return definition;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* A rename lasts only when its folder is on the disk too. */
static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
	int ret;

	if (fd < 0)
		return -errno;
	ret = write_all(fd, text, strlen(text));
	if (!ret && fsync(fd))
		ret = -errno;
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

int store_put(struct store *store, const char *kind, const char *id, const json_t *definition,
	      struct error *err)
{
	char *folder = store_folder(store, kind, err), *path, *beside, *text;
	int ret;

	if (!folder)
		return -EACCES;
	path = path_of(store, kind, id);
	beside = text_format("%s/.new", folder); /* one is enough: the store is locked */
	text = json_dumps(definition, JSON_INDENT(2));
	ret = write_file(beside, text);
	if (!ret && rename(beside, path))
		ret = -errno;
	if (ret)
		unlink(beside);
	else
		ret = sync_folder(folder);
	if (ret)
		error_set(err, ret, "'%s': cannot be written: %s", path, strerror(-ret));
	free(text);
	free(beside);
	free(path);
	free(folder);
	return ret;
}

int store_delete(struct store *store, const char *kind, const char *id, struct error *err)
{
	char *folder = text_format("%s/%s", store->root, kind);
	char *path = path_of(store, kind, id);
	int ret = unlink(path) ? -errno : sync_folder(folder);

	if (ret)
		error_set(err, ret, "'%s': cannot be removed: %s", path, strerror(-ret));
	free(path);
	free(folder);
	return ret;
}

void store_make_id(char id[STORE_ID_SIZE])
{
	uint8_t b[16];

	while (getrandom(b, sizeof(b), 0) != sizeof(b))
		continue;
	b[6] = (b[6] & 0x0f) | 0x40; /* version 4: random */
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(id, STORE_ID_SIZE,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}
