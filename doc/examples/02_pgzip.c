/* SPDX-License-Identifier: MIT */
/*
 * A parallel gzip: the main job of this library on real input.
 *
 * The input is cut into blocks, each deflated by a worker.  A block is primed
 * with the bytes before it, so that it compresses as if the blocks were one
 * stream, and ends on a byte boundary, so that the pieces, put one after the
 * other, are one stream: any gunzip reads it.
 *
 * Blocks travel in windows.  A window lies in the pool's shared memory: the
 * reader reads the file straight into it, the workers deflate in place, and
 * the writer writes straight from it.  A few windows go round, so the memory is
 * bounded for input of any size, and all four stages work at once:
 *
 *	reader ---> packer, packer ---> writer ---> reader ...
 *
 * Each packer is a thread in forkpool_map() with one window.  There are two of
 * them, so that a worker that finds no block left in one window goes on with
 * the next one and never waits for the slowest block.
 *
 * Errors end the program on the spot, wherever they are found: the workers
 * leave when the program is gone, and the unfinished output is removed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <zlib.h>

#include <forkpool.h>

enum {
	BLOCK_SIZE = 128 << 10,
	HISTORY_SIZE = 32 << 10,	/* as far back as deflate can refer */
	BLOCKS_PER_WORKER = 8,		/* in a window */
	WINDOWS = 4,			/* one being read, two packed, one written */
	PACKERS = 2,
	FLUSH_ROOM = 16,		/* for the mark that Z_SYNC_FLUSH leaves */
	RAW_DEFLATE = -15,		/* window bits, negative: without a header */
	MEMORY_LEVEL = 8,		/* zlib's default */
	MAX_WORKERS = 1024,
	BAR_WIDTH = 40,
};

#define BAR_INTERVAL	0.1		/* seconds between two looks of the bar */

/* ---- Ending in error -------------------------------------------------------- */

static const char *const program = "pgzip";

/* The output file while it is unfinished, else NULL. */
static const char *volatile unfinished;

static _Noreturn __attribute__((format(printf, 1, 2)))
void die(const char *format, ...)
{
	va_list ap;

	if (unfinished)
		unlink(unfinished);
	fprintf(stderr, "%s: ", program);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(EXIT_FAILURE);	/* not exit(): other threads are still at work */
}

static _Noreturn void die_errno(const char *name)
{
	die("%s: %s", name, strerror(errno));
}

static void signal_caught(int sig)
{
	if (unfinished)
		unlink(unfinished);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void signals_set(void)
{
	static const int deadly[] = { SIGHUP, SIGINT, SIGTERM };

	for (size_t i = 0; i < sizeof(deadly) / sizeof(*deadly); i++)
		if (signal(deadly[i], signal_caught) == SIG_IGN)
			signal(deadly[i], SIG_IGN);	/* as under nohup */
	signal(SIGPIPE, SIG_IGN);	/* write() says EPIPE instead */
}

/* ---- What workers do --------------------------------------------------------- */

/* A block to pack.  Its pointers lead into the segment: the same address there. */
struct block {
	const unsigned char *data;
	size_t size;
	size_t history;		/* bytes before data that prime the compressor */
	unsigned char *room;	/* for the result */
	size_t room_size;
};

/* What became of it. */
struct packed {
	size_t size;
	unsigned long crc;
};

/* Each worker has a compressor of its own, made once and used for every block. */
static int compressor_make(void *level, unsigned id, void **state)
{
	z_stream *z = calloc(1, sizeof(*z));

	(void)id;
	if (!z)
		return -ENOMEM;
	if (deflateInit2(z, *(const int *)level, Z_DEFLATED, RAW_DEFLATE,
			 MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(z);
		return -ENOMEM;
	}
	*state = z;
	return 0;
}

static void compressor_free(void *level, unsigned id, void *state)
{
	(void)level;
	(void)id;
	deflateEnd(state);
	free(state);
}

/* An item of the map: deflates one block. */
static int block_pack(void *arg, const void *in, void *out)
{
	const struct block *block = in;
	struct packed *packed = out;
	z_stream *z = forkpool_worker_state();

	(void)arg;
	deflateReset(z);
	if (block->history)
		deflateSetDictionary(z, block->data - block->history,
				     (uInt)block->history);
	z->next_in = (unsigned char *)block->data;
	z->avail_in = (uInt)block->size;
	z->next_out = block->room;
	z->avail_out = (uInt)block->room_size;
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in || !z->avail_out)
		return 1;
	packed->size = block->room_size - z->avail_out;
	packed->crc = crc32(0, block->data, (uInt)block->size);
	return 0;
}

/* ---- Windows ------------------------------------------------------------------ */

/* The stages of a window; after the last it is empty again, one round later. */
enum stage { EMPTY, FULL, PACKED, STAGES };

struct window {
	/*
	 * All four in one piece of shared memory.  input begins with room for
	 * the history, the end of the window before this one.
	 */
	struct block *blocks;
	struct packed *packed;
	unsigned char *input;
	unsigned char *output;

	size_t count;		/* of blocks */
	size_t size;		/* of the input, without the history */
	size_t step;		/* STAGES x round + stage: see window_take() */
};

struct pipeline {
	struct forkpool *pool;
	int level;
	int in, out;
	const char *in_name, *out_name;
	size_t blocks_max;	/* in a window */
	size_t room_size;	/* for one packed block */
	size_t input_size;	/* to draw the bar; 0: unknown, or nobody looks */

	pthread_mutex_t lock;
	pthread_cond_t moved;		/* some window went on to its next stage */
	struct window windows[WINDOWS];
	size_t turns[STAGES];		/* windows taken so far at each stage */
	size_t end;			/* windows in all; SIZE_MAX: not known yet */
};

/*
 * Takes the next window at this stage, in order, and waits until it is there.
 * NULL: the one before was the last.  A step is reached by one window in one
 * round only, so two threads never hold the same window.
 */
static struct window *window_take(struct pipeline *p, enum stage stage)
{
	struct window *w;
	size_t turn, step;

	pthread_mutex_lock(&p->lock);
	turn = p->turns[stage]++;
	w = &p->windows[turn % WINDOWS];
	step = turn / WINDOWS * STAGES + stage;
	while (w->step != step && turn < p->end)
		pthread_cond_wait(&p->moved, &p->lock);
	if (turn >= p->end)
		w = NULL;
	pthread_mutex_unlock(&p->lock);
	return w;
}

/* Hands a window on to the next stage; the reader says whether it is the last. */
static void window_pass(struct pipeline *p, struct window *w, int last)
{
	pthread_mutex_lock(&p->lock);
	w->step++;
	if (last)
		p->end = p->turns[EMPTY];
	pthread_cond_broadcast(&p->moved);
	pthread_mutex_unlock(&p->lock);
}

/* Memory is taken when a window is first used: small input gets by with one. */
static void window_alloc(struct pipeline *p, struct window *w)
{
	size_t n = p->blocks_max;
	char *memory = forkpool_shm_alloc(p->pool,
			n * (sizeof(*w->blocks) + sizeof(*w->packed)) +
			HISTORY_SIZE + n * BLOCK_SIZE + n * p->room_size);

	if (!memory)
		die_errno("shared memory");
	w->blocks = (struct block *)memory;
	w->packed = (struct packed *)(w->blocks + n);
	w->input = (unsigned char *)(w->packed + n);
	w->output = w->input + HISTORY_SIZE + n * BLOCK_SIZE;
}

/* Describes the blocks of a window that has been read. */
static void window_cut(struct pipeline *p, struct window *w, int first)
{
	size_t left = w->size;

	w->count = (left + BLOCK_SIZE - 1) / BLOCK_SIZE;
	for (size_t i = 0; i < w->count; i++) {
		size_t size = left < BLOCK_SIZE ? left : BLOCK_SIZE;

		w->blocks[i] = (struct block){
			.data = w->input + HISTORY_SIZE + i * BLOCK_SIZE,
			.size = size,
			.history = first && !i ? 0 : HISTORY_SIZE,
			.room = w->output + i * p->room_size,
			.room_size = p->room_size,
		};
		left -= size;
	}
}

/* ---- Reader --------------------------------------------------------------------- */

/* Fewer bytes than asked for: the input ends there. */
static size_t read_all(int fd, void *data, size_t size, const char *name)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, (char *)data + done, size - done);

		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			die_errno(name);
	}
	return done;
}

/* A window that is not full is the last one; it may be empty. */
static void *reader_run(void *arg)
{
	struct pipeline *p = arg;
	struct window *w, *before = NULL;
	size_t full = p->blocks_max * BLOCK_SIZE;
	int last = 0;

	while (!last && (w = window_take(p, EMPTY))) {
		if (!w->blocks)
			window_alloc(p, w);
		if (before)
			memcpy(w->input, before->input + full, HISTORY_SIZE);
		w->size = read_all(p->in, w->input + HISTORY_SIZE, full,
				   p->in_name);
		last = w->size < full;
		window_cut(p, w, !before);
		window_pass(p, w, last);
		before = w;
	}
	return NULL;
}

/* ---- Packers ------------------------------------------------------------------- */

/* A block depends on nothing but its input: one that lost its worker runs again. */
static void *packer_run(void *arg)
{
	struct pipeline *p = arg;
	struct window *w;

	while ((w = window_take(p, FULL))) {
		int err = FORKPOOL_MAP(p->pool, block_pack, w->blocks, w->packed,
				       w->count, .retries = 2);

		if (err)
			die("%s: %s", p->in_name, forkpool_strerror(err));
		window_pass(p, w, 0);
	}
	return NULL;
}

/* ---- Writer ---------------------------------------------------------------------- */

static void write_all(int fd, const void *data, size_t size, const char *name)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			die_errno(name);
	}
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void bar_draw(size_t done, size_t size)
{
	static double next;
	double now = seconds_now();
	double part = done < size ? (double)done / (double)size : 1;
	int filled = (int)(part * BAR_WIDTH);

	if (now < next)
		return;
	next = now + BAR_INTERVAL;
	fprintf(stderr, "\r%3d %% [", (int)(part * 100));
	for (int i = 0; i < BAR_WIDTH; i++)
		fputc(i < filled ? '#' : '.', stderr);
	fputc(']', stderr);
	fflush(stderr);
}

static void bar_clear(void)
{
	fprintf(stderr, "\r%*s\r", BAR_WIDTH + (int)strlen("100 % []"), "");
}

/* Method, no name, no time: the same input gives the same output. */
static void header_write(const struct pipeline *p)
{
	unsigned char best = p->level == Z_BEST_COMPRESSION ? 2 : 0;
	unsigned char fast = p->level == Z_BEST_SPEED ? 4 : 0;
	const unsigned char header[] = {
		0x1f, 0x8b, Z_DEFLATED, 0, 0, 0, 0, 0, best | fast, 3 /* Unix */
	};

	write_all(p->out, header, sizeof(header), p->out_name);
}

/*
 * Blocks don't know that they are the last.  So the stream ends with an empty
 * one that says so, and the output does not depend on where windows end.
 */
static void trailer_write(const struct pipeline *p, unsigned long crc, size_t size)
{
	const unsigned char trailer[] = {
		0x03, 0x00,
		crc, crc >> 8, crc >> 16, crc >> 24,	/* low byte first */
		size, size >> 8, size >> 16, size >> 24
	};

	write_all(p->out, trailer, sizeof(trailer), p->out_name);
}

static void writer_run(struct pipeline *p)
{
	struct window *w;
	unsigned long crc = 0;
	size_t size = 0;

	header_write(p);
	while ((w = window_take(p, PACKED))) {
		for (size_t i = 0; i < w->count; i++) {
			const struct block *block = &w->blocks[i];
			const struct packed *packed = &w->packed[i];

			write_all(p->out, block->room, packed->size, p->out_name);
			crc = crc32_combine(crc, packed->crc, (z_off_t)block->size);
			size += block->size;
		}
		window_pass(p, w, 0);
		if (p->input_size)
			bar_draw(size, p->input_size);
	}
	trailer_write(p, crc, size);
	if (p->input_size)
		bar_clear();
}

/* ---- The whole ------------------------------------------------------------------ */

/* How much a packed block may take, at worst. */
static size_t room_size_find(int level)
{
	z_stream z = { 0 };
	size_t size;

	if (deflateInit2(&z, level, Z_DEFLATED, RAW_DEFLATE, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		die("no memory");
	size = deflateBound(&z, BLOCK_SIZE) + FLUSH_ROOM;
	deflateEnd(&z);
	return size;
}

static void thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	int err = pthread_create(thread, NULL, run, arg);

	if (err)
		die("a thread: %s", strerror(err));
}

static void input_pack(struct pipeline *p, unsigned workers)
{
	FORKPOOL_OPTS(opts, .workers = workers, .worker_init = compressor_make,
		      .worker_exit = compressor_free, .worker_arg = &p->level);
	pthread_t reader, packers[PACKERS];
	int err = forkpool_create(&p->pool, &opts);

	if (err)
		die("%s", forkpool_strerror(err));
	p->blocks_max = (size_t)workers * BLOCKS_PER_WORKER;
	p->room_size = room_size_find(p->level);
	thread_start(&reader, reader_run, p);
	for (int i = 0; i < PACKERS; i++)
		thread_start(&packers[i], packer_run, p);
	writer_run(p);
	pthread_join(reader, NULL);
	for (int i = 0; i < PACKERS; i++)
		pthread_join(packers[i], NULL);
	forkpool_destroy(p->pool);
}

/* ---- Files and options ------------------------------------------------------------ */

struct options {
	unsigned workers;
	int level;
	int to_stdout;
	int keep;
	const char *file;	/* NULL: from stdin to stdout */
};

static void input_open(struct pipeline *p, const struct options *o, struct stat *st)
{
	/* Who is to be replaced by its packed form must be the file itself. */
	int follow = o->keep || o->to_stdout ? 0 : O_NOFOLLOW;

	p->in = o->file ? open(o->file, O_RDONLY | O_CLOEXEC | follow) : STDIN_FILENO;
	p->in_name = o->file ? o->file : "stdin";
	if (p->in < 0 || fstat(p->in, st))
		die_errno(p->in_name);
	if (o->file && !o->to_stdout && !S_ISREG(st->st_mode))
		die("%s: not a regular file", o->file);
	if (S_ISREG(st->st_mode) && isatty(STDERR_FILENO))
		p->input_size = (size_t)st->st_size;
}

/* Never an existing file; nobody else may read it until it is complete. */
static void output_open(struct pipeline *p, const struct options *o)
{
	char *name;

	p->out = STDOUT_FILENO;
	p->out_name = "stdout";
	if (!o->file || o->to_stdout) {
		if (isatty(STDOUT_FILENO))
			die("packed data is not written to a terminal");
		return;
	}
	if (asprintf(&name, "%s.gz", o->file) < 0)
		die("no memory");
	p->out_name = name;
	p->out = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (p->out < 0)
		die_errno(name);
	unfinished = name;
}

/* The output is complete: it gets the input's mode and times, and its place. */
static void output_close(struct pipeline *p, const struct options *o,
			 const struct stat *st)
{
	const struct timespec times[] = { st->st_atim, st->st_mtim };

	if (unfinished && (fchmod(p->out, st->st_mode & 0777) ||
			   futimens(p->out, times)))
		die_errno(p->out_name);
	if (close(p->out))
		die_errno(p->out_name);
	if (!unfinished)
		return;
	unfinished = NULL;
	if (!o->keep && unlink(o->file))
		die_errno(o->file);
}

static void usage_print(FILE *to)
{
	fprintf(to,
		"usage: %s [-1..-9] [-p WORKERS] [-c] [-k] [FILE]\n"
		"Packs FILE to FILE.gz and removes FILE; without FILE, stdin to stdout.\n"
		"  -1..-9      from fastest to smallest (6)\n"
		"  -p WORKERS  worker processes (as many as there are CPUs)\n"
		"  -c          to stdout; FILE stays\n"
		"  -k          FILE stays\n"
		"  -h          this text\n", program);
}

static unsigned workers_parse(const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || !n || n > MAX_WORKERS)
		die("-p %s: not a number from 1 to %d", text, MAX_WORKERS);
	return (unsigned)n;
}

static struct options options_parse(int argc, char **argv)
{
	struct options o = { forkpool_cpu_count(), 6, 0, 0, NULL };
	int c;

	while ((c = getopt(argc, argv, "123456789p:ckh")) != -1) {
		if (c >= '1' && c <= '9')
			o.level = c - '0';
		else if (c == 'p')
			o.workers = workers_parse(optarg);
		else if (c == 'c')
			o.to_stdout = 1;
		else if (c == 'k')
			o.keep = 1;
		else {
			usage_print(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? EXIT_SUCCESS : EXIT_FAILURE);
		}
	}
	if (optind < argc && strcmp(argv[optind], "-"))
		o.file = argv[optind];
	if (argc - optind > 1)
		die("one FILE at a time");
	return o;
}

int main(int argc, char **argv)
{
	static struct pipeline p = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.moved = PTHREAD_COND_INITIALIZER,
		.end = SIZE_MAX,
	};
	struct options o = options_parse(argc, argv);
	struct stat st;

	p.level = o.level;
	input_open(&p, &o, &st);
	output_open(&p, &o);
	signals_set();
	input_pack(&p, o.workers);
	output_close(&p, &o, &st);
	return 0;
}
