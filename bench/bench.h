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
#define BENCH_PEERS_MAX		40
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
	BENCH_BARE = 1 << 8,		/* no pool: what the machine itself takes for it */
	BENCH_SPINS = 1 << 9,		/* its worker never sleeps while it is measured */
	BENCH_FOREIGN = 1 << 10,	/* programs of other makers; one that won't start is left out */
	BENCH_SLOW = 1 << 11,		/* only where a workload asks for it, and with fewer items */
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
extern const struct bench_peer bench_py_pool, bench_py_executor, bench_joblib, bench_mpi;

/* How the chunked peers cut their loops: this many chunks for each worker. */
#define BENCH_CHUNKS		4

/* What runs whole commands; NULL at the end. */
extern const struct bench_peer *const bench_command_peers[];

/* Items in each such chunk, at least 1. */
size_t bench_chunk(size_t count, unsigned workers);

/* The width of the largest cube of items that is not more than COUNT. */
size_t bench_width(size_t count);

/* Runs items FIRST ... of a job in this process. */
void bench_items_run(const struct bench_job *job, size_t first, size_t count);

/* ---- Peers that take single tasks --------------------------------------------- */

/* Unfinished tasks that a submitter may have. */
#define BENCH_WINDOW		1024
#define BENCH_SUBMITTERS_MAX	16

/* A task's argument; its result is a uint64_t. */
struct bench_task {
	uint64_t a, b;
};

/* The tasks of one submitter, in the order in which it submits them. */
struct bench_stream {
	forkpool_fn *fn;
	const struct bench_task *in;
	uint64_t *out;
	size_t count;
};

/* Round trips that a pool in another program makes, and times, by itself. */
struct bench_trips {
	forkpool_fn *fn;
	const struct bench_task *in;
	const uint64_t *answer;
	uint32_t *ns;		/* how long each took */
	size_t count;		/* the most to make; afterwards, how many were */
	size_t warm;		/* so many before them, which nobody times */
	int64_t idle;		/* ns of sleep before each */
	int64_t limit;		/* ns after which no other begins; 0 = none */
};

/* What a submitting thread does; submitters count from 0 on. */
typedef void bench_submitter(void *arg, unsigned submitter);

struct bench_task_peer {
	struct bench_peer peer;		/* the name, flags and variant only */
	unsigned submitters;		/* 0 = as many as the workload has */
	/*
	 * Makes a pool for so many submitting threads beside the workers; for 0 the
	 * caller is one of the workers, where it works at all.
	 */
	void *(*start)(const struct bench_task_peer *peer, unsigned workers, unsigned submitters);
	void (*stop)(void *pool);
	/* Runs BODY on so many threads that may submit; NULL: any thread may. */
	void (*run)(void *pool, unsigned submitters, bench_submitter *body, void *arg);
	/*
	 * Submits each task by itself, and collects it: at most BENCH_WINDOW are
	 * unfinished.  NULL where there are round trips only.
	 */
	int (*stream)(void *pool, unsigned submitter, const struct bench_stream *stream);
	/* One task, and the wait for its result; NULL: it is a stream of one. */
	int (*call)(void *pool, forkpool_fn *fn, const struct bench_task *in, uint64_t *out);
	/* Fibonacci by naive recursion, each call a task; NULL where tasks can't submit. */
	int (*fib)(void *pool, uint64_t n, uint64_t *ret);
	/*
	 * Round trips of a pool that is a program: it has one submitter, and what it
	 * takes to ask the program is no part of a trip.  -EIO: a wrong result.
	 */
	int (*trips)(void *pool, struct bench_trips *trips);
};

/* All that were built, NULL at the end. */
extern const struct bench_task_peer *const bench_task_peers[];

extern const struct bench_task_peer bench_forkpool_task, bench_forkpool_alone;
extern const struct bench_task_peer bench_pipe_task, bench_socket_task;
extern const struct bench_task_peer bench_shm_task, bench_condvar_task;
extern const struct bench_task_peer bench_omp_task;
extern const struct bench_task_peer bench_tbb_group, bench_tbb_window, bench_tbb_enqueue;
extern const struct bench_task_peer bench_py_pool_task, bench_py_executor_task;
extern const struct bench_task_peer bench_joblib_task, bench_mpi_task;
extern const struct bench_task_peer bench_spin_bare, bench_futex_wake, bench_futex_bare;

/* BODY on so many threads at once, this one among them. */
void bench_submitters_run(unsigned submitters, bench_submitter *body, void *arg);

/* One turn of a loop that spins: with a single CPU the other side gets its turn, too. */
void bench_spin(unsigned turn);

/* A futex that processes may share. */
void bench_word_wait(const uint32_t *word, uint32_t value);
void bench_word_wake(const uint32_t *word);

/* ---- Processes of peers ---------------------------------------------------------- */

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
	const char *group;	/* a sweep that this is a point of, chosen by that name, too; or NULL */
	double x;		/* where in the sweep, in x_unit */
	const char *x_unit;
	enum bench_unit unit;
	unsigned skip;		/* BENCH_ flags: peers of these kinds are left out */
	const char *base;	/* a peer to compare with, beside the best one */
	unsigned workers;	/* 0 = as the command line says ... */
	unsigned sweep[2];	/* ... and where that says nothing; 0 = the CPUs */
	/* A loop ... */
	forkpool_fn *fn;
	forkpool_fn *answer;	/* gives the same results sooner; NULL = fn */
	forkpool_range_fn *range;
	void (*fill)(void *in, size_t count);
	size_t in_size, out_size, count;
	unsigned quick_div;	/* --quick has count / quick_div items */
	unsigned per_item_div;	/* BENCH_PER_ITEM peers have count / per_item_div */
	unsigned slow_div;	/* BENCH_SLOW peers divide by this, too; 0 = they are left out */
	unsigned batch;		/* maps timed as one; 0 = 1 */
	unsigned rounds_max;	/* 0 = as the command line says */
	int cold;		/* no warm-up: the workload isn't about the pool's speed */
	/* ... or something else, run for each number of workers. */
	int (*run)(const struct bench_workload *workload, unsigned workers);
	int on_request;		/* not part of the default set */
	int nested;		/* with BENCH_NESTED peers, too; count is a cube */
	/* Single tasks. */
	unsigned submitters;
	int64_t idle;		/* ns of sleep before each round trip */
	int apart;		/* the submitter on one CPU, all else on another */
	/* Whole commands. */
	uint64_t steps;		/* of work in each */
};

/* All of them; name NULL at the end. */
extern const struct bench_workload bench_workloads[];

/* The body of the workload NAME: how programs that load this code find it. */
forkpool_fn *bench_body(const char *name);

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
int bench_stream_run(const struct bench_workload *workload, unsigned workers);
int bench_trip_run(const struct bench_workload *workload, unsigned workers);
int bench_fib_run(const struct bench_workload *workload, unsigned workers);
int bench_commands_run(const struct bench_workload *workload, unsigned workers);

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

/* PEER has a workload's items / this. */
unsigned bench_div(const struct bench_workload *workload, const struct bench_peer *peer);

/* On a terminal: says on stderr what is being measured. */
void bench_progress(const char *workload, const char *peer, unsigned round);

int64_t bench_clock(void);
void bench_sleep(int64_t ns);

/* ---- Results ---------------------------------------------------------------- */

struct bench_series {
	const struct bench_peer *peer;
	double first;			/* with first touch; < 0 = not measured */
	double sample[BENCH_ROUNDS_MAX];	/* the smaller the better */
	double p99, max;		/* of all rounds together, where the table has tails */
};

struct bench_table {
	const char *name;	/* for --json */
	const char *group;	/* as in the workload, with x */
	double x;
	const char *x_unit;
	char title[128];
	const char *unit;
	const char *base;
	unsigned workers;
	unsigned rounds, count;	/* samples and series in use */
	double scale;		/* shown is sample * scale ... */
	int inverse;		/* ... or scale / sample */
	int tails;
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

/*
 * Puts this process's main thread on one CPU, and its other threads and all
 * processes below it on another.  Returns -1 where there is no second one.
 */
int bench_place_apart(void);

/* CPU time that the whole machine has spent so far, ns. */
int64_t bench_machine_busy(void);

#ifdef __cplusplus
}
#endif

#endif
