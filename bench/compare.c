/* SPDX-License-Identifier: MIT */
/*
 * compare-runs OLD NEW: what is better or worse in one result of `run --json` than in
 * another.  A median differs when its interval and the other one don't meet;
 * anything less may be chance.  compare-runs OLD: whether that can be compared.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORSE_STATUS	3
#define FAILED_STATUS	2

enum verdict { SAME, BETTER, WORSE, VERDICTS };

/* What the median of one entry says. */
struct entry {
	const char *name, *unit, *peer;
	double value, lower, upper, time, coverage;
	int higher_is_better, noisy;
};

struct tally {
	unsigned count[VERDICTS];
	unsigned only_old, only_new;
	unsigned ours_worse, unsure;
};

/* ---- Reading ---------------------------------------------------------------------------- */

static json_t *file_read(const char *path)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);

	if (!root)
		fprintf(stderr, "%s:%d: %s\n", path, error.line, error.text);
	else if (!json_is_array(json_object_get(root, "benchmarks"))) {
		fprintf(stderr, "%s: no list of benchmarks\n", path);
		json_decref(root);
		root = NULL;
	}
	return root;
}

static const char *text_get(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static double number_get(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* Returns whether it is a median that this program knows. */
static int entry_read(const json_t *one, struct entry *ret)
{
	if (strcmp(text_get(one, "aggregate_name"), "median") ||
	    !json_is_number(json_object_get(one, "lower")) ||
	    !json_is_number(json_object_get(one, "upper")))
		return 0;
	*ret = (struct entry){
		.name = text_get(one, "run_name"), .unit = text_get(one, "unit"),
		.peer = text_get(one, "peer"), .value = number_get(one, "value"),
		.lower = number_get(one, "lower"), .upper = number_get(one, "upper"),
		.time = number_get(one, "real_time"), .coverage = number_get(one, "coverage"),
		.higher_is_better = json_is_true(json_object_get(one, "higher_is_better")),
		.noisy = json_is_true(json_object_get(one, "noisy")),
	};
	return 1;
}

/* The median of the same name in ROOT, in the same unit. */
static int entry_find(const json_t *root, const struct entry *like, struct entry *ret)
{
	const json_t *list = json_object_get(root, "benchmarks");
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
		if (entry_read(json_array_get(list, i), ret) && !strcmp(ret->name, like->name) &&
		    !strcmp(ret->unit, like->unit))
			return 1;
	return 0;
}

/* ---- Whether the two can be compared ------------------------------------------------------ */

static int flag_differs(const json_t *old, const json_t *new, const char *key)
{
	return json_is_true(json_object_get(old, key)) != json_is_true(json_object_get(new, key));
}

static void text_warn(const json_t *old, const json_t *new, const char *key)
{
	if (strcmp(text_get(old, key), text_get(new, key)))
		printf("Mind: another %s: %s, then %s\n", key, text_get(old, key),
		       text_get(new, key));
}

/* Other sizes are other workloads; another machine or compiler is only worth a word. */
static int contexts_check(const json_t *old, const json_t *new)
{
	static const char *const sizes[] = { "quick", "smoke" };
	static const char *const words[] = { "machine", "kernel", "compiler", "cgroup" };
	unsigned i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (flag_differs(old, new, sizes[i])) {
			fprintf(stderr, "only one of the two was measured with --%s\n", sizes[i]);
			return -1;
		}
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		text_warn(old, new, words[i]);
	if (number_get(old, "usable_cpus") != number_get(new, "usable_cpus"))
		printf("Mind: another number of CPUs: %.0f, then %.0f\n",
		       number_get(old, "usable_cpus"), number_get(new, "usable_cpus"));
	if (flag_differs(old, new, "pin"))
		printf("Mind: only one of the two was measured with --pin\n");
	return 0;
}

/* ---- Comparing ------------------------------------------------------------------------------ */

static enum verdict entries_judge(const struct entry *old, const struct entry *new)
{
	if (new->lower > old->upper)
		return new->higher_is_better ? BETTER : WORSE;
	if (new->upper < old->lower)
		return new->higher_is_better ? WORSE : BETTER;
	return SAME;
}

static int is_ours(const struct entry *e)
{
	return !strncmp(e->peer, "forkpool", strlen("forkpool"));
}

static void difference_print(const struct entry *old, const struct entry *new,
			     enum verdict verdict)
{
	char was[48], is[48];

	snprintf(was, sizeof(was), "%.4g (%.4g..%.4g)", old->value, old->lower, old->upper);
	snprintf(is, sizeof(is), "%.4g (%.4g..%.4g)", new->value, new->lower, new->upper);
	printf("  %-38s %-8s %-28s %-28s %7.3f  %s%s\n", new->name, new->unit, was, is,
	       old->time > 0 ? new->time / old->time : 0,
	       verdict == BETTER ? "better" : is_ours(new) ? "WORSE" : "worse",
	       old->noisy || new->noisy ? ", noisy" : "");
}

static void entry_compare(const json_t *old_root, const struct entry *new, struct tally *tally)
{
	struct entry old;
	enum verdict verdict;

	if (!entry_find(old_root, new, &old)) {
		tally->only_new++;
		return;
	}
	verdict = entries_judge(&old, new);
	tally->count[verdict]++;
	tally->unsure += old.coverage < 0.95 || new->coverage < 0.95;
	tally->ours_worse += verdict == WORSE && is_ours(new);
	if (verdict != SAME)
		difference_print(&old, new, verdict);
}

static unsigned entries_missing(const json_t *old_root, const json_t *new_root)
{
	const json_t *list = json_object_get(old_root, "benchmarks");
	struct entry old, new;
	unsigned count = 0;
	size_t i;

	for (i = 0; i < json_array_size(list); i++)
		if (entry_read(json_array_get(list, i), &old))
			count += !entry_find(new_root, &old, &new);
	return count;
}

static void tally_print(const struct tally *t)
{
	printf("%u the same within their intervals, %u better, %u worse, %u of these forkpool's\n",
	       t->count[SAME], t->count[BETTER], t->count[WORSE], t->ours_worse);
	if (t->only_old || t->only_new)
		printf("%u only in the old file, %u only in the new one\n", t->only_old,
		       t->only_new);
	if (t->unsure)
		printf("%u intervals cover less than 95 %%: at least 6 rounds are needed\n",
		       t->unsure);
}

static int roots_compare(const json_t *old, const json_t *new)
{
	const json_t *list = json_object_get(new, "benchmarks");
	struct tally tally;
	struct entry entry;
	size_t i;

	if (contexts_check(json_object_get(old, "context"), json_object_get(new, "context")))
		return FAILED_STATUS;
	memset(&tally, 0, sizeof(tally));
	printf("\n  %-38s %-8s %-28s %-28s %7s\n", "medians that differ", "unit", "old", "new",
	       "time");
	for (i = 0; i < json_array_size(list); i++)
		if (entry_read(json_array_get(list, i), &entry))
			entry_compare(old, &entry, &tally);
	tally.only_old = entries_missing(old, new);
	tally_print(&tally);
	return tally.ours_worse ? WORSE_STATUS : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	json_t *old = NULL, *new = NULL;
	int status = FAILED_STATUS;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: compare-runs OLD.json [NEW.json]\n"
			"Exits with 3 when a median of forkpool is worse beyond both intervals.\n");
		return FAILED_STATUS;
	}
	old = file_read(argv[1]);
	new = old && argc == 3 ? file_read(argv[2]) : NULL;
	if (new)
		status = roots_compare(old, new);
	else if (old && argc == 2)
		status = EXIT_SUCCESS;
	json_decref(old);
	json_decref(new);
	return status;
}
