/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of engines and the choice among them: see vm/engines.h. */
#include "vm/engines.h"

/* In the order in which they are tried. */
static const struct {
	const struct engine_ops *ops;
	bool is_automatic; /* may be taken where none was asked for */
} table[] = {
	{ &engine_kvm, true },
	{ &engine_soft, true },
	{ &engine_interp, false },
	{ &engine_check, false },
};

_Static_assert(ARRAY_SIZE(table) <= ENGINES_MAX, "callers keep an array of names");

const struct engine_ops *engines_at(unsigned i)
{
	return i < ARRAY_SIZE(table) ? table[i].ops : NULL;
}

int engines_probe(const struct engine_ops *ops, const struct config *config,
		  enum cpu_vendor *vendor, struct error *err)
{
	const struct engine_wish wish = { config->vendor, config->any_vendor, config->nested };

	return ops->probe(&wish, vendor, err);
}

static int probe(const struct engine_ops *ops, struct config *config, struct error *err)
{
	enum cpu_vendor vendor;
	int ret = engines_probe(ops, config, &vendor, err);

	if (!ret) {
		config->engine = ops;
		config->vendor = vendor;
	}
	return ret;
}

static int check_asked(struct config *config, struct error *why, struct error *err)
{
	struct error reason = { "" };
	int ret = probe(config->engine, config, &reason);

	if (ret)
		return error_set(err, ret, "--engine %s: %s", config->engine->name, reason.text);
	error_set(why, 0, "as asked for");
	return 0;
}

int engines_choose(struct config *config, struct error *why, struct error *err)
{
	struct error reason = { "" };
	int ret = 0;

	if (config->engine)
		return check_asked(config, why, err);
	error_set(why, 0, "the first choice, and it can run this machine");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!table[i].is_automatic)
			continue;
		ret = probe(table[i].ops, config, &reason);
		if (!ret)
			return 0;
		error_set(why, 0, "%s cannot run this machine: %s", table[i].ops->name,
			  reason.text);
	}
	return error_set(err, ret, "%s", reason.text);
}
