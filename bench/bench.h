/* SPDX-License-Identifier: MIT */
/*
 * The bench runner: what a peer is, what a workload is, and what the files of
 * the runner share.
 *
 * Each workload runs in a child process of its own, so that no pool, thread or
 * dirty page of one workload weighs on the next.  Inside it all peers stand
 * ready at once, and each round measures every peer in turn: what disturbs the
 * machine then disturbs all of them alike.  So ratios count, not times.
 */
#ifndef BENCH_H
#define BENCH_H

#include <forkpool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_ROUNDS_MAX	200
#define BENCH_PEERS_MAX		16
#define BENCH_SWEEP_MAX		16
/* A pool's time to start that no peer ever needs, in ns: then it has failed. */
#define BENCH_START_LIMIT	INT64_C(5000000000)

/* ---- Peers ---------------------------------------------------------------- */

/* One loop: either fn over every item, or range (the user's own loop) over parts of it. */
struct bench_job {
	forkpool_fn *fn;
	forkpool_range_fn *range;
	void *arg;		/* for range, arg_size bytes */
	size_t arg_size;
	const char *in;
	size_t in_size;
	char *out;
	size_t out_size;
	size_t count;
};

/* What a peer is; a workload names the kinds that it leaves out. */
enum {
	BENCH_OURS = 1 << 0,
	BENCH_SERIAL = 1 << 1,
	BENCH_PROCESSES = 1 << 2,
	BENCH_VARIANT = 1 << 3,		/* another way to use the pool of the peer before it */
	BENCH_PER_ITEM = 1 << 4,	/* pays per item: small items get fewer of them */
	BENCH_COPIES = 1 << 5,		/* arrays in private memory, copied to workers */
	BENCH_RANGES = 1 << 6,		/* can run bench_job.range */
	BENCH_NESTED = 1 << 7,		/* runs a cube of items as maps inside items, three levels deep */
};

struct bench_peer {
	const char *name;
	unsigned flags;
	int variant;		/* for the peer's own file */
	/*
	 * Makes a pool whose workers have all answered; SHARED is how many bytes
	 * alloc will be asked for.  NULL with a word on stderr when it can't.
	 */
	void *(*start)(const struct bench_peer *peer, unsigned workers, size_t shared);
	int (*map)(void *pool, const struct bench_job *job);
	/* Memory for arrays, gone with the pool; NULL when private memory does. */
	void *(*alloc)(void *pool, size_t size);
	void (*stop)(void *pool);
};

/* All that were built, serial first, NULL at the end. */
extern const struct bench_peer *const bench_peers[];

extern const struct bench_peer bench_serial;
extern const struct bench_peer bench_forkpool, bench_forkpool_copy, bench_forkpool_nested;
extern const struct bench_peer bench_pipe_item, bench_pipe_chunk;
extern const struct bench_peer bench_shm_item, bench_shm_chunk;
extern const struct bench_peer bench_omp_static, bench_omp_dynamic, bench_omp_guided;
extern const struct bench_peer bench_omp_nested;
extern const struct bench_peer bench_tbb, bench_tbb_nested;

/* How the chunked peers cut their loops: this many chunks for each worker. */
#define BENCH_CHUNKS		4

/* Items in each such chunk, at least 1. */
size_t bench_chunk(size_t count, unsigned workers);

/* The width of the largest cube of items that is not more than COUNT. */
size_t bench_width(size_t count);

/* Runs items FIRST ... of a job in this process. */
void bench_items_run(const struct bench_job *job, size_t first, size_t count);

/*
 * Forks a worker that dies with its parent and is called "bench-worker"; it
 * runs FN(ARG) and exits.  Returns its pid or a negative error.
 */
pid_t bench_worker_fork(void (*fn)(void *arg), void *arg);

/* ---- Workloads ------------------------------------------------------------ */

enum bench_unit {
	BENCH_NS_PER_ITEM,
	BENCH_US_PER_MAP,
	BENCH_MS_PER_MAP,
	BENCH_GB_PER_S,
};

struct bench_workload {
	const char *name;
	const char *title;
	enum bench_unit unit;
	unsigned skip;		/* BENCH_ flags: peers of these kinds are left out */
	const char *base;	/* a peer to compare with, beside the best one */
	unsigned workers;	/* 0 = as the command line says */
	/* A loop ... */
	forkpool_fn *fn;
	forkpool_fn *answer;	/* gives the same results sooner; NULL = fn */
	forkpool_range_fn *range;
	void (*fill)(void *in, size_t count);
	size_t in_size, out_size, count;
	unsigned quick_div;	/* --quick has count / quick_div items */
	unsigned per_item_div;	/* BENCH_PER_ITEM peers have count / per_item_div */
	unsigned batch;		/* maps timed as one; 0 = 1 */
	unsigned rounds_max;	/* 0 = as the command line says */
	int cold;		/* no warm-up: the workload isn't about the pool's speed */
	/* ... or something else, run for each number of workers. */
	int (*run)(const struct bench_workload *workload, unsigned workers);
	int on_request;		/* not part of the default set */
	int nested;		/* with BENCH_NESTED peers, too; count is a cube */
};

/* All of them; name NULL at the end. */
extern const struct bench_workload bench_workloads[];

/* The arrays that a range function works on. */
struct bench_arrays {
	const void *in;
	void *out;
};

/* How long the sleeping items sleep: ns of the long and the short ones. */
#define BENCH_SLEEP_LONG	INT64_C(2000000000)
#define BENCH_SLEEP_SHORT	INT64_C(20000000)

/* An item of nothing. */
forkpool_fn bench_empty;

int bench_loop_run(const struct bench_workload *workload, unsigned workers);
int bench_lifecycle_run(const struct bench_workload *workload, unsigned workers);
int bench_dirty_run(const struct bench_workload *workload, unsigned workers);
int bench_heap_run(const struct bench_workload *workload, unsigned workers);
int bench_idle_run(const struct bench_workload *workload, unsigned workers);

/*
 * Starts and stops the pool of the peer NAME in this very program, beside
 * 1 GiB of dirty memory if DIRTY, and prints plain numbers: what w7 runs.
 */
int bench_life_main(const char *name, unsigned workers, int dirty);

/* ---- The run --------------------------------------------------------------- */

struct bench_options {
	const char *workloads;	/* comma lists; NULL = the default set, all peers */
	const char *peers;
	unsigned sweep[BENCH_SWEEP_MAX];
	unsigned sweep_count;	/* numbers of workers given; 0 = each workload's own */
	unsigned rounds;
	int quick;
	const char *life;	/* only this peer's start and stop, for bench_life_main() */
	int dirty;
	int json;		/* descriptor; -1 = none */
};

extern struct bench_options bench_opt;

/* Whether a comma list names NAME; a NULL list names everything. */
int bench_listed(const char *list, const char *name);

/* Whether this run measures PEER in WORKLOAD. */
int bench_chosen(const struct bench_workload *workload, const struct bench_peer *peer);

unsigned bench_rounds(const struct bench_workload *workload);

/* On a terminal: says on stderr what is being measured. */
void bench_progress(const char *workload, const char *peer, unsigned round);

int64_t bench_clock(void);
void bench_sleep(int64_t ns);

/* ---- Results ---------------------------------------------------------------- */

struct bench_series {
	const struct bench_peer *peer;
	double first;			/* with first touch; < 0 = not measured */
	double sample[BENCH_ROUNDS_MAX];	/* the smaller the better */
};

struct bench_table {
	const char *name;	/* for --json */
	char title[128];
	const char *unit;
	const char *base;
	unsigned workers;
	unsigned rounds, count;	/* samples and series in use */
	double scale;		/* shown is sample * scale ... */
	int inverse;		/* ... or scale / sample */
	struct bench_series series[BENCH_PEERS_MAX];
};

void bench_table_print(const struct bench_table *table);
void bench_machine_print(void);
void bench_json_open(void);
void bench_json_close(void);
double bench_median(const double *sample, unsigned count);

/* ---- Processes --------------------------------------------------------------- */

/* PSS in bytes of all workers and nurseries below this process, and what this process has itself. */
int64_t bench_pss_pool(void);
int64_t bench_pss_self(void);

/* Context switches so far of all below this process and of its other threads. */
int64_t bench_switches(void);

/* CPU time that the whole machine has spent so far, ns. */
int64_t bench_machine_busy(void);

#ifdef __cplusplus
}
#endif

#endif
