/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -AsJob, Get-Job, Receive-Job, Wait-Job, Remove-Job. A job is done by the time its cmdlet returns:
 * what it gave is kept until somebody asks for it. So scripts that wait for jobs work as written.
 */
#include "ctl/job.h"

#include "ctl/nouns.h"
#include "ctl/shell.h"

#define OUTPUT "@output" /* of a job: never shown */

void job_keep(struct call *call, size_t before)
{
	json_t *jobs = call->shell->jobs, *job = value_object("Job"), *kept = json_array();
	json_int_t id = ++call->shell->last_job;

	while (json_array_size(call->output) > before) {
		json_array_append(kept, json_array_get(call->output, before));
		json_array_remove(call->output, before);
	}
	json_object_set_new(job, "Id", json_integer(id));
	json_object_set_new(job, "Name", value_format("Job%lld", (long long)id));
	json_object_set_new(job, "PSJobTypeName", json_string("VirtualizationJob"));
	json_object_set_new(job, "State", json_string(call->failed ? "Failed" : "Completed"));
	json_object_set_new(job, "HasMoreData", json_boolean(json_array_size(kept)));
	json_object_set_new(job, "Location", json_string("localhost"));
	json_object_set_new(job, "Command", json_string(call->name));
	json_object_set_new(job, OUTPUT, kept);
	json_array_append(jobs, job);
	call_emit(call, job);
}

/* --- which jobs --- */

static bool is_selected(const struct call *call, const json_t *job)
{
	json_t *ids = call_value(call, "Id"), *names = call_value(call, "Name");
	json_t *objects = call_value(call, "Job"), *one;
	bool hit = !ids && !names && !objects;
	size_t i;

	json_array_foreach(ids, i, one) hit |= !value_compare(json_object_get(job, "Id"), one);
	json_array_foreach(objects, i, one) hit |=
		!value_compare(json_object_get(job, "Id"), json_object_get(one, "Id"));
	json_array_foreach(names, i, one) hit |=
		value_like(value_text_of(job, "Name"), json_string_value(one));
	return hit;
}

/* The jobs that the arguments select, as an array; an error where these fit none. */
static json_t *select_jobs(struct call *call)
{
	json_t *chosen = json_array(), *job;
	size_t i;

	json_array_foreach(call->shell->jobs, i, job)
	{
		if (is_selected(call, job))
			json_array_append(chosen, job);
	}
	if (!json_array_size(chosen) && (call_has(call, "Id") || call_has(call, "Job")))
		call_error_as(call, "ObjectNotFound", "JobWithSpecifiedSessionNotFound", "",
			      "The command cannot find the job.");
	return chosen;
}

static int emit_jobs(struct call *call)
{
	call_emit(call, select_jobs(call));
	return call->failed ? -1 : 0;
}

/* What a job gave goes out once, unless it is kept. Jobs that others hold are left as they are. */
static void receive(struct call *call, size_t at)
{
	json_t *job = json_array_get(call->shell->jobs, at), *drained;

	value_spread(call->output, json_object_get(job, OUTPUT));
	if (call_switch(call, "Keep"))
		return;
	drained = json_copy(job);
	json_object_set_new(drained, OUTPUT, json_array());
	json_object_set_new(drained, "HasMoreData", json_false());
	json_array_set_new(call->shell->jobs, at, drained);
}

static int receive_jobs(struct call *call)
{
	json_decref(select_jobs(call));
	for (size_t i = 0; i < json_array_size(call->shell->jobs); i++) {
		if (is_selected(call, json_array_get(call->shell->jobs, i)))
			receive(call, i);
	}
	return call->failed ? -1 : 0;
}

static int remove_jobs(struct call *call)
{
	json_t *jobs = call->shell->jobs;

	json_decref(select_jobs(call));
	for (size_t i = json_array_size(jobs); i--;) {
		const json_t *job = json_array_get(jobs, i);

		if (is_selected(call, job) &&
		    call_should(call, "remove the job \"%s\".", value_text_of(job, "Name")))
			json_array_remove(jobs, i);
	}
	return call->failed ? -1 : 0;
}

/* --- the table --- */

#define PARAM_JOB(place)                                                              \
	{                                                                             \
		"Job", NULL, PARAM_OBJECT, "Job", .position = place, .sets = SET(2),  \
						  .flags = REQUIRED | MANY | BY_VALUE \
	}
#define PARAM_JOB_ID                                                                          \
	{                                                                                     \
		"Id", NULL, PARAM_INT, .position = POSITION(0), .sets = SET(0), .flags = MANY \
	}
#define PARAM_JOB_NAME                                                               \
	{                                                                            \
		"Name", NULL, PARAM_STRING, .sets = SET(1), .flags = REQUIRED | MANY \
	}

static const struct param get_params[] = {
	PARAM_JOB_ID,
	PARAM_JOB_NAME,
	PARAM_JOB(POSITION(0)),
	PARAM_END,
};

static const struct param wait_params[] = {
	PARAM_JOB_ID, PARAM_JOB_NAME, PARAM_JOB(POSITION(0)), { "Timeout", NULL, PARAM_INT },
	PARAM_END,
};

static const struct param remove_params[] = {
	PARAM_JOB_ID, PARAM_JOB_NAME, PARAM_JOB(POSITION(0)), { "Force", NULL, PARAM_SWITCH },
	PARAM_END,
};

static const struct param receive_params[] = {
	PARAM_JOB_ID,
	PARAM_JOB_NAME,
	PARAM_JOB(POSITION(0)),
	{ "Keep", NULL, PARAM_SWITCH },
	{ "Wait", NULL, PARAM_SWITCH },
	PARAM_END,
};

#define SETS "SessionId Name Job"

static const struct cmdlet cmdlets[] = {
	{ "Get-Job", "gjb", "Gets the jobs of this session.", get_params, SETS, 0, emit_jobs },
	{ "Wait-Job", "wjb", "Waits for jobs.", wait_params, SETS, 0, emit_jobs },
	{ "Receive-Job", "rcjb", "Gets what jobs gave.", receive_params, SETS, 0, receive_jobs },
	{ "Remove-Job", "rjb", "Forgets jobs.", remove_params, SETS, CMDLET_CHANGES, remove_jobs },
	{ NULL },
};

static const struct column columns[] = {
	{ "Id" },          { "Name" },     { "PSJobTypeName" }, { "State" },
	{ "HasMoreData" }, { "Location" }, { "Command" },       { NULL },
};

static const struct view views[] = { { "Job", columns }, { NULL } };

const struct noun noun_job = { cmdlets, views };
