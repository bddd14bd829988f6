/* SPDX-License-Identifier: MIT */
/*
 * compare-runs OLD NEW: what is better or worse in one result of `run --json` than in
 * another, and which peers have changed places.  A median differs when its interval and
 * the other one don't meet; anything less may be chance, and so may be all that rests on
 * intervals that cover less than 95 %.  What is noisy is shown and decides nothing.
 * compare-runs OLD: whether that can be compared.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVERTED_STATUS	4
#define WORSE_STATUS	3
#define FAILED_STATUS	2
#define COVERAGE	0.95

/* FEW: rounds, so that nothing can be said. */
enum verdict { SAME, BETTER, WORSE, FEW, VERDICTS };

/* What the median of one entry says. */
struct entry {
	const char *name, *unit, *peer, *workload;
	double workers, value, lower, upper, time, coverage;
	int higher_is_better, noisy;
};

/* The medians of a file, which stays open: texts are its. */
struct run {
	json_t *root;
	struct entry *entry;
	size_t count;
};

struct tally {
	unsigned count[VERDICTS];
	unsigned only_old, only_new;
	unsigned ours_worse, ours_noisy;	/* those that decide, and those that don't */
};

/* Pairs of peers in both files. */
struct inversions {
	unsigned pairs, few, inverted, noisy;
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
		.peer = text_get(one, "peer"), .workload = text_get(one, "workload"),
		.workers = number_get(one, "workers"), .value = number_get(one, "value"),
		.lower = number_get(one, "lower"), .upper = number_get(one, "upper"),
		.time = number_get(one, "real_time"), .coverage = number_get(one, "coverage"),
		.higher_is_better = json_is_true(json_object_get(one, "higher_is_better")),
		.noisy = json_is_true(json_object_get(one, "noisy")),
	};
	return 1;
}

/* Returns 0 or -1 when that has been told. */
static int run_read(const char *path, struct run *ret)
{
	json_t *root = file_read(path), *list = json_object_get(root, "benchmarks");
	size_t i;

	*ret = (struct run){ .root = root };
	if (!root)
		return -1;
	ret->entry = calloc(json_array_size(list) + 1, sizeof(*ret->entry));
	if (!ret->entry) {
		perror(path);
		return -1;
	}
	for (i = 0; i < json_array_size(list); i++)
		ret->count += (size_t)entry_read(json_array_get(list, i),
						 &ret->entry[ret->count]);
	return 0;
}

static void run_free(struct run *run)
{
	free(run->entry);
	json_decref(run->root);
}

/* The median of the same name in RUN, in the same unit; or NULL. */
static const struct entry *entry_find(const struct run *run, const struct entry *like)
{
	size_t i;

	for (i = 0; i < run->count; i++)
		if (!strcmp(run->entry[i].name, like->name) &&
		    !strcmp(run->entry[i].unit, like->unit))
			return &run->entry[i];
	return NULL;
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

/* What the second is, beside the first. */
static enum verdict entries_judge(const struct entry *old, const struct entry *new)
{
	if (old->coverage < COVERAGE || new->coverage < COVERAGE)
		return FEW;
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

static void entry_compare(const struct run *old_run, const struct entry *new,
			  struct tally *tally)
{
	const struct entry *old = entry_find(old_run, new);
	enum verdict verdict;

	if (!old) {
		tally->only_new++;
		return;
	}
	verdict = entries_judge(old, new);
	tally->count[verdict]++;
	if (verdict == WORSE && is_ours(new)) {
		if (old->noisy || new->noisy)
			tally->ours_noisy++;
		else
			tally->ours_worse++;
	}
	if (verdict == BETTER || verdict == WORSE)
		difference_print(old, new, verdict);
}

static void tally_print(const struct tally *t)
{
	printf("%u the same within their intervals, %u better, %u worse, %u of these forkpool's\n",
	       t->count[SAME], t->count[BETTER], t->count[WORSE], t->ours_worse + t->ours_noisy);
	if (t->ours_noisy)
		printf("%u of forkpool's are worse but noisy, which decides nothing: run it again\n",
		       t->ours_noisy);
	if (t->only_old || t->only_new)
		printf("%u only in the old file, %u only in the new one\n", t->only_old,
		       t->only_new);
	if (t->count[FEW])
		printf("%u with too few rounds: nothing is said of intervals that cover less than "
		       "95 %%, which takes 6 rounds\n", t->count[FEW]);
}

/* ---- Peers that change places --------------------------------------------------------------- */

static int tables_equal(const struct entry *a, const struct entry *b)
{
	return a->workers == b->workers && !strcmp(a->workload, b->workload) &&
	       !strcmp(a->unit, b->unit);
}

/* Two peers of one table. */
struct pair {
	const struct entry *a, *b;
};

static void pair_print(const char *when, const struct pair *p)
{
	printf("    %-5s%s %.4g (%.4g..%.4g), %s %.4g (%.4g..%.4g)\n", when, p->a->peer,
	       p->a->value, p->a->lower, p->a->upper, p->b->peer, p->b->value, p->b->lower,
	       p->b->upper);
}

/* [0] is as it was in the old file, [1] in the new one. */
static void pair_compare(const struct pair p[2], struct inversions *ret)
{
	const enum verdict was = entries_judge(p[0].a, p[0].b), is = entries_judge(p[1].a, p[1].b);
	const int noisy = p[0].a->noisy || p[0].b->noisy || p[1].a->noisy || p[1].b->noisy;

	ret->pairs++;
	if (was == FEW || is == FEW) {
		ret->few++;
	} else if (was != SAME && is != SAME && was != is) {
		ret->inverted += !noisy;
		ret->noisy += (unsigned)noisy;
		printf("  %s, %.0f worker%s, %s%s:\n", p[0].a->workload, p[0].a->workers,
		       p[0].a->workers == 1 ? "" : "s", p[0].a->unit, noisy ? ", noisy" : "");
		pair_print("was", &p[0]);
		pair_print("is", &p[1]);
	}
}

/* Each entry of the new file with each one behind it of the same table. */
static void inversions_find(const struct run *old, const struct run *new,
			    struct inversions *ret)
{
	const struct entry *a = new->entry, *end = a + new->count, *b, *old_a, *old_b;

	for (; a < end; a++) {
		old_a = entry_find(old, a);
		for (b = a + 1; old_a && b < end; b++) {
			old_b = tables_equal(a, b) ? entry_find(old, b) : NULL;
			if (old_b)
				pair_compare((const struct pair[]){ { old_a, old_b }, { a, b } },
					     ret);
		}
	}
}

/* Returns how many there are that are not noisy. */
static unsigned inversions_tell(const struct run *old, const struct run *new)
{
	struct inversions found = { 0 };

	printf("\n  pairs of peers whose order differs beyond both intervals\n");
	inversions_find(old, new, &found);
	printf("%u inversion%s among %u pairs", found.inverted, found.inverted == 1 ? "" : "s",
	       found.pairs);
	if (found.noisy)
		printf(", and %u with noisy medians, which decide nothing", found.noisy);
	if (found.few)
		printf("; %u of the pairs have too few rounds", found.few);
	putchar('\n');
	return found.inverted;
}

/* ---- The program ----------------------------------------------------------------------------- */

/* Median by median. */
static int medians_tell(const struct run *old, const struct run *new)
{
	struct tally tally = { .only_old = 0 };
	size_t i;

	printf("\n  %-38s %-8s %-28s %-28s %7s\n", "medians that differ", "unit", "old", "new",
	       "time");
	for (i = 0; i < new->count; i++)
		entry_compare(old, &new->entry[i], &tally);
	for (i = 0; i < old->count; i++)
		tally.only_old += !entry_find(new, &old->entry[i]);
	tally_print(&tally);
	return tally.ours_worse ? WORSE_STATUS : EXIT_SUCCESS;
}

/* With ORDER only the order of peers is looked at, and decides. */
static int runs_compare(const struct run *old, const struct run *new, int order)
{
	int status = EXIT_SUCCESS;

	if (contexts_check(json_object_get(old->root, "context"),
			   json_object_get(new->root, "context")))
		return FAILED_STATUS;
	if (!order)
		status = medians_tell(old, new);
	if (inversions_tell(old, new) && order)
		status = INVERTED_STATUS;
	return status;
}

static void usage_print(FILE *file)
{
	fprintf(file,
"usage: compare-runs [-i | --inversions] OLD.json [NEW.json]\n"
"Tells which medians of two runs differ, and which pairs of peers have changed places:\n"
"in one run the interval of the first lies on the better side of the second's, in the\n"
"other run on the worse side.  With --inversions only the latter.\n"
"Intervals that cover less than 95 %% (fewer than 6 rounds) tell nothing; a noisy median\n"
"is shown, and decides nothing.\n"
"Exits with 3 when a median of forkpool is worse, beyond both intervals; with\n"
"--inversions with 4 when a pair has changed places; with 2 when files can't be compared.\n");
}

/* Returns 1 to go on, 0 when all is said, or -1 for what makes no sense. */
static int options_take(int argc, char **argv, int *order)
{
	static const struct option known[] = {
		{ "inversions", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "ih", known, NULL)) != -1) {
		if (option == 'h') {
			usage_print(stdout);
			return 0;
		}
		if (option != 'i')
			return -1;
		*order = 1;
	}
	return argc - optind == 1 || argc - optind == 2 ? 1 : -1;
}

int main(int argc, char **argv)
{
	struct run old = { NULL, NULL, 0 }, new = { NULL, NULL, 0 };
	int status = FAILED_STATUS, order = 0, go = options_take(argc, argv, &order);

	if (go <= 0) {
		if (go < 0)
			usage_print(stderr);
		return go < 0 ? FAILED_STATUS : EXIT_SUCCESS;
	}
	if (run_read(argv[optind], &old) == 0) {
		if (argc - optind == 1)
			status = EXIT_SUCCESS;
		else if (run_read(argv[optind + 1], &new) == 0)
			status = runs_compare(&old, &new, order);
	}
	run_free(&old);
	run_free(&new);
	return status;
}
