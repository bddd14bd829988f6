/* SPDX-License-Identifier: MIT */
/* The three Mandelbrot programs but for their loops. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mandelbrot.h"
#include "program.h"

#define ROWS_MAX	65536
#define WORKERS_MAX	1024

struct command {
	unsigned rows, workers;
	const char *file;
};

static int usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [-r ROWS] [-w WORKERS] [-o FILE]\n"
		"  -r ROWS     of %d pixels each (default %d)\n"
		"  -w WORKERS  default: a worker for each CPU\n"
		"  -o FILE     the picture, as a PGM file\n",
		name, MANDELBROT_WIDTH, MANDELBROT_ROWS);
	return PROGRAM_USAGE;
}

static int command_parse(struct command *c, int argc, char **argv)
{
	int option, err = 0;

	while (!err && (option = getopt(argc, argv, "r:w:o:")) != -1) {
		if (option == 'r')
			err = program_number(optarg, ROWS_MAX, &c->rows);
		else if (option == 'w')
			err = program_number(optarg, WORKERS_MAX, &c->workers);
		else if (option == 'o')
			c->file = optarg;
		else
			err = -1;
	}
	return err || optind < argc ? -1 : 0;
}

/* The longer a point stays, the darker. */
static int image_write(const char *path, const struct mandelbrot_pixels *image, size_t rows)
{
	FILE *file = fopen(path, "wb");
	size_t i, k;

	if (!file) {
		perror(path);
		return -1;
	}
	fprintf(file, "P5\n%d %zu\n255\n", MANDELBROT_WIDTH, rows);
	for (i = 0; i < rows; i++)
		for (k = 0; k < MANDELBROT_WIDTH; k++)
			putc(255 * 8 / (8 + image[i].steps[k]), file);
	if (fclose(file)) {
		perror(path);
		return -1;
	}
	return 0;
}

/*
 * The plain loop, over the same image: what every other must come to, and what its
 * time is compared with.
 */
static double plain_loop(const struct mandelbrot_run *run)
{
	double start = program_clock();
	size_t i;

	for (i = 0; i < run->rows; i++)
		mandelbrot_draw(&run->row[i], &run->image[i]);
	return program_clock() - start;
}

/* Runs the loop, and says how long it took and whether it is right. */
static int loop_measure(const char *name, const struct mandelbrot_run *run, mandelbrot_loop *loop)
{
	double start = program_clock(), took, plain;
	uint64_t checksum;
	int right;

	if (loop(run))
		return -1;
	took = program_clock() - start;
	checksum = mandelbrot_checksum(run->image, run->rows);
	right = mandelbrot_symmetric(run->image, run->rows);
	plain = plain_loop(run);
	right &= checksum == mandelbrot_checksum(run->image, run->rows);
	printf("%s: %zu rows, %u workers, %.3f s; a plain loop %.3f s\n", name, run->rows,
	       run->workers, took, plain);
	printf("  checksum %016" PRIx64 "\n  %s\n", checksum,
	       right ? "verified" : "WRONG: not what the plain loop draws");
	return right ? 0 : -1;
}

int mandelbrot_main(int argc, char **argv, mandelbrot_loop *loop)
{
	const char *name = program_name(argv[0]);
	struct command c = { MANDELBROT_ROWS, program_cpus(), NULL };
	struct mandelbrot_pixels *image;
	struct mandelbrot_row *row;
	int err;

	if (command_parse(&c, argc, argv))
		return usage(name);
	row = calloc(c.rows, sizeof(*row));
	image = calloc(c.rows, sizeof(*image));
	err = row && image ? 0 : -1;
	if (!err) {
		mandelbrot_rows(row, c.rows);
		err = loop_measure(name, &(struct mandelbrot_run){ row, image, c.rows, c.workers },
				   loop);
	}
	if (!err && c.file)
		err = image_write(c.file, image, c.rows);
	free(row);
	free(image);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
