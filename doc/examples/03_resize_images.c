/* SPDX-License-Identifier: MIT */
/*
 * Scales every JPEG and PNG of a directory: what a decoder does with a picture
 * from somewhere is its own business, and costs that picture only.
 *
 * Each picture is an item.  The worker reads it, scales it down to fit a box,
 * and writes it under the same name to another directory.  A file that is no
 * picture, a broken one, one that crashes the decoder and one that never comes
 * to an end are named in the report, with the reason; all others are there.
 *
 * libjpeg and libpng run as they are, in processes that a crash may take: no
 * signal handler, no thread that hangs for ever.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>

#include <forkpool.h>

enum {
	JPEG_QUALITY = 85,
	PIXELS_MAX = 100 * 1000 * 1000,
	BAR_WIDTH = 40,
	CHANNELS_MAX = 4,
};

#define NS_PER_S	INT64_C(1000000000)
/* With --faults, a JPEG with such a comment does what it says. */
#define FAULT_CRASH	"forkpool: crash"
#define FAULT_HANG	"forkpool: hang"

/* Why a picture was left: what an item returns. */
enum reason { DONE, UNREADABLE, UNKNOWN, BROKEN, TOO_LARGE, NO_MEMORY, UNWRITABLE, REASONS };

static const char *const reason_text[REASONS] = {
	[UNREADABLE] = "can't be read",
	[UNKNOWN] = "neither a JPEG nor a PNG",
	[BROKEN] = "broken",
	[TOO_LARGE] = "too large",
	[NO_MEMORY] = "not enough memory",
	[UNWRITABLE] = "the result can't be written",
};

/* What all items need to know; copied into the pool's memory. */
struct settings {
	char from[PATH_MAX], to[PATH_MAX];
	unsigned width, height;		/* of the box */
	int faults;
};

struct picture {
	char name[NAME_MAX + 1];
};

struct result {
	size_t size_before, size_after;	/* bytes of the files */
};

/* ---- Pictures in memory ---------------------------------------------------------- */

struct bitmap {
	unsigned width, height, channels;	/* of 8 bits each */
	unsigned char *pixels;			/* rows without gaps */
};

static int bitmap_make(struct bitmap *b, unsigned width, unsigned height, unsigned channels)
{
	if (!width || !height || (uint64_t)width * height > PIXELS_MAX)
		return TOO_LARGE;
	*b = (struct bitmap){ width, height, channels,
			      malloc((size_t)width * height * channels) };
	return b->pixels ? DONE : NO_MEMORY;
}

/* The mean of the source pixels that a pixel of the result covers. */
static void pixel_mean(const struct bitmap *src, unsigned x0, unsigned x1, unsigned y0,
		       unsigned y1, unsigned char *ret)
{
	uint64_t sum[CHANNELS_MAX] = { 0 }, count = (uint64_t)(x1 - x0) * (y1 - y0);

	for (unsigned y = y0; y < y1; y++) {
		const unsigned char *p = src->pixels +
			((size_t)y * src->width + x0) * src->channels;

		for (unsigned x = x0; x < x1; x++)
			for (unsigned c = 0; c < src->channels; c++)
				sum[c] += *p++;
	}
	for (unsigned c = 0; c < src->channels; c++)
		ret[c] = (unsigned char)((sum[c] + count / 2) / count);
}

/* The edge of pixel i, where n pixels stand for `of`. */
static unsigned edge(unsigned i, unsigned n, unsigned of)
{
	return (unsigned)((uint64_t)i * of / n);
}

static void bitmap_scale(const struct bitmap *src, struct bitmap *dst)
{
	unsigned char *p = dst->pixels;

	for (unsigned y = 0; y < dst->height; y++)
		for (unsigned x = 0; x < dst->width; x++, p += dst->channels)
			pixel_mean(src, edge(x, dst->width, src->width),
				   edge(x + 1, dst->width, src->width),
				   edge(y, dst->height, src->height),
				   edge(y + 1, dst->height, src->height), p);
}

/* Scaled down to fit the box, never up; the source is freed. */
static int bitmap_fit(struct bitmap *b, const struct settings *s)
{
	unsigned width = b->width, height = b->height;
	struct bitmap small;
	int err;

	if (width > s->width) {
		height = (unsigned)((uint64_t)height * s->width / width);
		width = s->width;
	}
	if (height > s->height) {
		width = (unsigned)((uint64_t)width * s->height / height);
		height = s->height;
	}
	if (width == b->width && height == b->height)
		return DONE;
	err = bitmap_make(&small, width ? width : 1, height ? height : 1, b->channels);
	if (err)
		return err;
	bitmap_scale(b, &small);
	free(b->pixels);
	*b = small;
	return DONE;
}

/* ---- JPEG ----------------------------------------------------------------------------- */

struct jpeg_trouble {
	struct jpeg_error_mgr base;
	jmp_buf back;
};

static void jpeg_on_error(j_common_ptr info)
{
	longjmp(((struct jpeg_trouble *)info->err)->back, 1);
}

/* Warnings are counted by libjpeg; nothing is printed. */
static void jpeg_on_message(j_common_ptr info)
{
	(void)info;
}

static struct jpeg_error_mgr *jpeg_trouble_set(struct jpeg_trouble *t)
{
	jpeg_std_error(&t->base);
	t->base.error_exit = jpeg_on_error;
	t->base.output_message = jpeg_on_message;
	return &t->base;
}

/* For demonstrations and tests: decoders do such things by themselves. */
static void fault_play(const struct jpeg_decompress_struct *info)
{
	const struct jpeg_marker_struct *m = info->marker_list;

	for (; m; m = m->next) {
		if (m->data_length == strlen(FAULT_CRASH) &&
		    !memcmp(m->data, FAULT_CRASH, m->data_length))
			raise(SIGSEGV);
		while (m->data_length == strlen(FAULT_HANG) &&
		       !memcmp(m->data, FAULT_HANG, m->data_length))
			;
	}
}

static int jpeg_decode(struct jpeg_decompress_struct *info, struct bitmap *b, int faults)
{
	int err;

	if (faults)
		jpeg_save_markers(info, JPEG_COM, 64);
	jpeg_read_header(info, TRUE);
	if (faults)
		fault_play(info);
	info->out_color_space = JCS_RGB;
	jpeg_start_decompress(info);
	err = bitmap_make(b, info->output_width, info->output_height, 3);
	while (!err && info->output_scanline < info->output_height) {
		JSAMPROW row = b->pixels + (size_t)info->output_scanline * b->width * 3;

		jpeg_read_scanlines(info, &row, 1);
	}
	if (err)
		return err;
	jpeg_finish_decompress(info);
	return info->err->num_warnings ? BROKEN : DONE;
}

static int jpeg_read(FILE *f, struct bitmap *b, int faults)
{
	struct jpeg_decompress_struct info;
	struct jpeg_trouble trouble;
	int err;

	info.err = jpeg_trouble_set(&trouble);
	if (setjmp(trouble.back)) {
		err = BROKEN;
	} else {
		jpeg_create_decompress(&info);
		jpeg_stdio_src(&info, f);
		err = jpeg_decode(&info, b, faults);
	}
	jpeg_destroy_decompress(&info);
	return err;
}

static void jpeg_encode(struct jpeg_compress_struct *info, const struct bitmap *b)
{
	info->image_width = b->width;
	info->image_height = b->height;
	info->input_components = 3;
	info->in_color_space = JCS_RGB;
	jpeg_set_defaults(info);
	jpeg_set_quality(info, JPEG_QUALITY, TRUE);
	jpeg_start_compress(info, TRUE);
	while (info->next_scanline < b->height) {
		JSAMPROW row = b->pixels + (size_t)info->next_scanline * b->width * 3;

		jpeg_write_scanlines(info, &row, 1);
	}
	jpeg_finish_compress(info);
}

static int jpeg_write(FILE *f, const struct bitmap *b)
{
	struct jpeg_compress_struct info;
	struct jpeg_trouble trouble;

	info.err = jpeg_trouble_set(&trouble);
	if (setjmp(trouble.back)) {
		jpeg_destroy_compress(&info);
		return UNWRITABLE;
	}
	jpeg_create_compress(&info);
	jpeg_stdio_dest(&info, f);
	jpeg_encode(&info, b);
	jpeg_destroy_compress(&info);
	return DONE;
}

/* ---- PNG ------------------------------------------------------------------------------- */

static int png_read(FILE *f, struct bitmap *b)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	int err;

	if (!png_image_begin_read_from_stdio(&image, f))
		return BROKEN;
	image.format = PNG_FORMAT_RGBA;
	err = bitmap_make(b, image.width, image.height, 4);
	if (!err && !png_image_finish_read(&image, NULL, b->pixels, 0, NULL))
		err = BROKEN;
	png_image_free(&image);
	return err;
}

static int png_write(FILE *f, const struct bitmap *b)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = b->width,
		.height = b->height,
		.format = PNG_FORMAT_RGBA,
	};

	return png_image_write_to_stdio(&image, f, 0, b->pixels, 0, NULL) ? DONE : UNWRITABLE;
}

/* ---- What workers do ------------------------------------------------------------------- */

enum kind { NO_PICTURE, JPEG, PNG };

static enum kind kind_of(FILE *f)
{
	unsigned char head[8];
	size_t n = fread(head, 1, sizeof(head), f);

	rewind(f);
	if (n == sizeof(head) && !png_sig_cmp(head, 0, sizeof(head)))
		return PNG;
	return n >= 3 && head[0] == 0xff && head[1] == 0xd8 && head[2] == 0xff ? JPEG : NO_PICTURE;
}

/* A result has this name until it is whole; the host removes what a dead worker left. */
static int part_name(char *ret, size_t size, const struct settings *s, const char *name)
{
	return snprintf(ret, size, "%s/.%s.part", s->to, name) < (int)size ? 0 : -1;
}

static int picture_write(const struct settings *s, const char *name, enum kind kind,
			 const struct bitmap *b, size_t *size)
{
	char part[2 * PATH_MAX], whole[2 * PATH_MAX];
	int err = UNWRITABLE;
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/%s", s->to, name);
	if (part_name(part, sizeof(part), s, name))
		return UNWRITABLE;
	f = fopen(part, "wb");
	if (!f)
		return UNWRITABLE;
	err = kind == JPEG ? jpeg_write(f, b) : png_write(f, b);
	*size = (size_t)ftell(f);
	if (fclose(f))
		err = UNWRITABLE;
	if (!err && rename(part, whole))
		err = UNWRITABLE;
	if (err)
		unlink(part);
	return err;
}

static int picture_read(const struct settings *s, const char *name, enum kind *kind,
			struct bitmap *b, size_t *size)
{
	char path[2 * PATH_MAX];
	struct stat st;
	int err = UNREADABLE;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", s->from, name);
	f = fopen(path, "rb");
	if (!f)
		return UNREADABLE;
	if (!fstat(fileno(f), &st)) {
		*size = (size_t)st.st_size;
		*kind = kind_of(f);
		err = *kind == JPEG ? jpeg_read(f, b, s->faults) :
		      *kind == PNG ? png_read(f, b) : UNKNOWN;
	}
	fclose(f);
	return err;
}

/* An item of the map. */
static int picture_resize(void *arg, const void *in, void *out)
{
	const struct settings *s = arg;
	const struct picture *picture = in;
	struct result *result = out;
	struct bitmap b = { 0 };
	enum kind kind;
	int err;

	err = picture_read(s, picture->name, &kind, &b, &result->size_before);
	if (!err)
		err = bitmap_fit(&b, s);
	if (!err)
		err = picture_write(s, picture->name, kind, &b, &result->size_after);
	free(b.pixels);
	return err;
}

/* ---- The program ------------------------------------------------------------------------ */

struct options {
	unsigned workers;
	double limit;		/* seconds for one picture */
	struct settings settings;
};

static int usage(FILE *f)
{
	fprintf(f, "usage: 03_resize_images [-p WORKERS] [-s WIDTHxHEIGHT] [-t SECONDS]\n"
		   "                        [--faults] FROM TO\n"
		   "Scales each JPEG and PNG in the directory FROM down to fit a box (default\n"
		   "320x240) and writes it to the directory TO.  A picture that takes longer than\n"
		   "SECONDS (default 10) is left.  --faults: obey the comments of make_images.\n"
		   "Exits with 0 when all were scaled, 1 when some were left, 2 in trouble.\n");
	return f == stdout ? 0 : 2;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct picture *)a)->name, ((const struct picture *)b)->name);
}

/* All files of a directory that are not hidden.  How many, or -1. */
static ssize_t pictures_list(const char *dir, struct picture **ret)
{
	struct picture *list = NULL, *more;
	size_t count = 0, room = 0;
	struct dirent *entry;
	DIR *d = opendir(dir);

	if (!d)
		return -1;
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.' || entry->d_type == DT_DIR)
			continue;
		if (count == room) {
			room = room ? 2 * room : 64;
			more = realloc(list, room * sizeof(*list));
			if (!more)
				break;
			list = more;
		}
		strcpy(list[count++].name, entry->d_name);
	}
	closedir(d);
	if (entry) {
		free(list);
		return -1;
	}
	if (count)
		qsort(list, count, sizeof(*list), by_name);
	*ret = list;
	return (ssize_t)count;
}

static void bar_draw(size_t done, size_t count, void *user)
{
	int full = (int)(count ? done * BAR_WIDTH / count : BAR_WIDTH);

	(void)user;
	fprintf(stderr, "\r[%.*s%*s] %zu of %zu", full,
		"########################################", BAR_WIDTH - full, "", done, count);
	if (done == count)
		fputc('\n', stderr);
}

static void line_print(const struct picture *p, const struct forkpool_status *st, double limit)
{
	printf("  %-24s ", p->name);
	switch (st->outcome) {
	case FORKPOOL_ITEM_FAILED:
		puts(st->code > DONE && st->code < REASONS ? reason_text[st->code] : "?");
		break;
	case FORKPOOL_ITEM_CRASHED:
		printf("crashed the decoder: %s\n", strsignal(st->code));
		break;
	case FORKPOOL_ITEM_EXITED:
		printf("the decoder ended its process with status %d\n", st->code);
		break;
	case FORKPOOL_ITEM_TIMED_OUT:
		printf("took longer than %g s\n", limit);
		break;
	default:
		puts("was not reached");
	}
}

static int report(const struct options *o, const struct picture *pictures,
		  const struct result *results, const struct forkpool_status *status, size_t count)
{
	size_t before = 0, after = 0, left = 0, i;

	for (i = 0; i < count; i++) {
		if (status[i].outcome != FORKPOOL_ITEM_OK) {
			left++;
			continue;
		}
		before += results[i].size_before;
		after += results[i].size_after;
	}
	printf("%zu of %zu pictures now fit %ux%u: %.1f MB became %.1f MB\n", count - left, count,
	       o->settings.width, o->settings.height, (double)before / 1e6, (double)after / 1e6);
	if (left)
		puts("left:");
	for (i = 0; i < count; i++)
		if (status[i].outcome != FORKPOOL_ITEM_OK)
			line_print(&pictures[i], &status[i], o->limit);
	return left ? 1 : 0;
}

/* What workers were writing when they died. */
static void parts_remove(const struct settings *s, const struct picture *pictures,
			 const struct forkpool_status *status, size_t count)
{
	char part[2 * PATH_MAX];

	for (size_t i = 0; i < count; i++)
		if (status[i].outcome != FORKPOOL_ITEM_OK &&
		    !part_name(part, sizeof(part), s, pictures[i].name))
			unlink(part);
}

static int map_all(struct forkpool *pool, const struct options *o, const struct picture *pictures,
		   struct result *results, struct forkpool_status *status, size_t count,
		   int64_t timeout)
{
	return FORKPOOL_MAP(pool, picture_resize, pictures, results, count,
			    .arg = (void *)&o->settings, .arg_size = sizeof(o->settings),
			    .status = status, .timeout = timeout,
			    .on_progress = isatty(STDERR_FILENO) ? bar_draw : NULL);
}

static int resize_all(const struct options *o, const struct picture *pictures, size_t count)
{
	FORKPOOL_OPTS(pool_opts, .workers = o->workers);
	struct forkpool_status *status = calloc(count + 1, sizeof(*status));
	struct result *results = calloc(count + 1, sizeof(*results));
	struct forkpool *pool = NULL;
	int err = status && results ? forkpool_create(&pool, &pool_opts) : -ENOMEM;

	if (!err) {
		err = map_all(pool, o, pictures, results, status, count,
			      (int64_t)(o->limit * NS_PER_S));
		/* FORKPOOL_MODE says that nothing is to run in a process that can be killed. */
		if (err == -ENOTSUP)
			err = map_all(pool, o, pictures, results, status, count, 0);
		forkpool_destroy(pool);
	}
	switch (err) {
	case 0:
	case -FORKPOOL_EFAILED:
	case -FORKPOOL_ECRASHED:
	case -FORKPOOL_ETIMEDOUT:
		parts_remove(&o->settings, pictures, status, count);
		err = report(o, pictures, results, status, count);
		break;
	default:
		fprintf(stderr, "03_resize_images: %s\n", forkpool_strerror(err));
		err = 2;
	}
	free(results);
	free(status);
	return err;
}

/* The options; 0, or the status to exit with, plus 1. */
static int options_read(struct options *o, int argc, char **argv)
{
	struct settings *s = &o->settings;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--help"))
			return 1 + usage(stdout);
		if (!strcmp(argv[i], "--faults"))
			s->faults = 1;
		else if (i + 1 == argc)
			return 1 + usage(stderr);
		else if (!strcmp(argv[i], "-p"))
			o->workers = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "-t"))
			o->limit = strtod(argv[++i], NULL);
		else if (strcmp(argv[i], "-s") ||
			 sscanf(argv[++i], "%ux%u", &s->width, &s->height) != 2)
			return 1 + usage(stderr);
	}
	if (argc - i != 2 || !s->width || !s->height || !(o->limit > 0 && o->limit < 1e6) ||
	    strlen(argv[i]) >= sizeof(s->from) || strlen(argv[i + 1]) >= sizeof(s->to))
		return 1 + usage(stderr);
	strcpy(s->from, argv[i]);
	strcpy(s->to, argv[i + 1]);
	return 0;
}

int main(int argc, char **argv)
{
	static struct options o = { .limit = 10, .settings = { .width = 320, .height = 240 } };
	struct picture *pictures = NULL;
	int status = options_read(&o, argc, argv);
	ssize_t count;

	if (status)
		return status - 1;
	count = pictures_list(o.settings.from, &pictures);
	if (count < 0) {
		fprintf(stderr, "03_resize_images: %s: %s\n", o.settings.from, strerror(errno));
		return 2;
	}
	status = resize_all(&o, pictures, (size_t)count);
	free(pictures);
	return status;
}
