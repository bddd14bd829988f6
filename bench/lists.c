/* SPDX-License-Identifier: MIT */
/* What the command line says, and the lists of names and of numbers in it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define WORKERS_MAX	1024

struct bench_options bench_opt;

int bench_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list) {
		if (!strncmp(list, name, len) && (!list[len] || list[len] == ','))
			return 1;
		list = strchr(list, ',');
		if (list)
			list++;
	}
	return 0;
}

int bench_number_parse(const char *text, unsigned most, unsigned *ret)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (end == text || *end || errno || !value || value > most) {
		fprintf(stderr, "'%s' is not a number from 1 to %u\n", text, most);
		return -EINVAL;
	}
	*ret = (unsigned)value;
	return 0;
}

struct sweep {
	unsigned *workers;
	unsigned count;
};

/* The same number of workers twice would be two tables of one name. */
static int sweep_add(struct sweep *s, unsigned workers)
{
	unsigned i;

	for (i = 0; i < s->count; i++)
		if (s->workers[i] == workers)
			return 0;
	if (s->count == BENCH_SWEEP_MAX) {
		fprintf(stderr, "more than %d numbers of workers\n", BENCH_SWEEP_MAX);
		return -EINVAL;
	}
	s->workers[s->count++] = workers;
	return 0;
}

/* The powers of two below the CPUs, the CPUs, and one point beyond. */
static int sweep_fill(struct sweep *s, unsigned usable)
{
	unsigned workers;
	int err = 0;

	for (workers = 1; workers < usable && !err; workers *= 2)
		err = sweep_add(s, workers);
	if (!err)
		err = sweep_add(s, usable);
	return err ? err : sweep_add(s, 2 * usable);
}

static int sweep_word(struct sweep *s, const char *word, unsigned usable)
{
	unsigned workers;
	int err;

	if (!strcmp(word, "max"))
		return sweep_add(s, usable);
	if (!strcmp(word, "sweep"))
		return sweep_fill(s, usable);
	err = bench_number_parse(word, WORKERS_MAX, &workers);
	return err ? err : sweep_add(s, workers);
}

int bench_sweep_parse(const char *text, unsigned usable, unsigned workers[BENCH_SWEEP_MAX])
{
	char *copy = strdup(text), *rest = copy, *word;
	struct sweep s = { workers, 0 };
	int err = copy ? 0 : -ENOMEM;

	while (!err && (word = strsep(&rest, ",")))
		err = sweep_word(&s, word, usable);
	free(copy);
	return err ? err : (int)s.count;
}
