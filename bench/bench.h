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
	BENCH_FORKS = 1 << 12,		/* starts a process for each item: only where fork_div is */
	BENCH_MEMCPY = 1 << 16,		/* copies and no more: only where a workload asks for it */
	BENCH_ONE_RUNTIME = 1 << 17,	/* its threads are the program's: no pools beside each other */
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
extern const struct bench_peer bench_socket_item, bench_socket_chunk;
extern const struct bench_peer bench_shm_item, bench_shm_chunk, bench_fork;
extern const struct bench_peer bench_mqueue_item, bench_mqueue_chunk;
extern const struct bench_peer bench_condvar_item, bench_condvar_chunk;
extern const struct bench_peer bench_glib_item, bench_glib_chunk;
extern const struct bench_peer bench_omp_static, bench_omp_dynamic, bench_omp_guided;
extern const struct bench_peer bench_omp_chunks, bench_omp_tasks;
extern const struct bench_peer bench_omp_nested;
extern const struct bench_peer bench_tbb, bench_tbb_static, bench_tbb_nested;
extern const struct bench_peer bench_memcpy;
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

/* After a map of bench_memcpy, untimed: the results, from what it has copied. */
void bench_memcpy_finish(void *pool, const struct bench_job *job);

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
extern const struct bench_task_peer bench_pipe_task, bench_socket_task, bench_mqueue_task;
extern const struct bench_task_peer bench_shm_task, bench_fork_task, bench_condvar_task;
extern const struct bench_task_peer bench_glib_task;
extern const struct bench_task_peer bench_omp_task;
extern const struct bench_task_peer bench_tbb_group, bench_tbb_window, bench_tbb_enqueue;
extern const struct bench_task_peer bench_py_pool_task, bench_py_executor_task;
extern const struct bench_task_peer bench_joblib_task, bench_mpi_task;
extern const struct bench_task_peer bench_spin_bare, bench_futex_wake, bench_futex_bare;

/* The stream of forkpool's peers, with options for each task; NULL: none. */
int bench_forkpool_stream(struct forkpool *pool, const struct bench_stream *stream,
			  const struct forkpool_job_opts *opts);

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
	int scales;		/* --scale runs it with 1, 2, 4 ... CPUs */
	/* A loop ... */
	forkpool_fn *fn;
	forkpool_fn *answer;	/* gives the same results sooner; NULL = fn */
	forkpool_range_fn *range;
	void (*fill)(void *in, size_t count);
	size_t in_size, out_size, count;
	unsigned quick_div;	/* --quick has count / quick_div items */
	unsigned per_item_div;	/* BENCH_PER_ITEM peers have count / per_item_div */
	unsigned fork_div;	/* BENCH_FORKS peers have count / fork_div; 0 = they're left out */
	unsigned slow_div;	/* BENCH_SLOW peers divide by this, too; 0 = they are left out */
	unsigned batch;		/* maps timed as one; 0 = 1 */
	unsigned rounds_max;	/* where the command line names no number; 0 = what is usual */
	int once;		/* a single round, whatever is asked for */
	int cold;		/* no warm-up: the workload isn't about the pool's speed */
	/* ... or something else, run for each number of workers. */
	int (*run)(const struct bench_workload *workload, unsigned workers);
	int on_request;		/* not part of the default set */
	int nested;		/* with BENCH_NESTED peers, too; count is a cube */
	/* Single tasks. */
	unsigned submitters;
	int64_t idle;		/* ns of sleep before each round trip */
	int apart;		/* the submitter on one CPU, all else on another */
	unsigned pools;		/* so many at once, one for each submitter; 0 = one for all */
	unsigned only;		/* BENCH_ flags: peers of none of these kinds are left out; 0 = none are */
	int dirty;		/* MiB of dirty private memory beside the pool */
	/* Whether the serial answer is right, where more is known of it; NULL = it is. */
	int (*check)(const void *answer, size_t count);
	/* Whole commands. */
	uint64_t steps;		/* of work in each */
};

/* The one of this number, in the order in which they run; NULL behind the last. */
const struct bench_workload *bench_workload(unsigned index);

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
int bench_recovery_run(const struct bench_workload *workload, unsigned workers);
int bench_cost_run(const struct bench_workload *workload, unsigned workers);
int bench_billion_run(const struct bench_workload *workload, unsigned workers);
int bench_commands_run(const struct bench_workload *workload, unsigned workers);

/*
 * Starts and stops the pool of the peer NAME in this very program, beside
 * DIRTY MiB of dirty memory, and prints plain numbers: what w7 runs.
 */
int bench_life_main(const char *name, unsigned workers, int dirty);

/* ---- The run --------------------------------------------------------------- */

struct bench_options {
	const char *workloads;	/* comma lists; NULL = the default set, all peers */
	const char *peers;
	unsigned sweep[BENCH_SWEEP_MAX];
	unsigned sweep_count;	/* numbers of workers given; 0 = each workload's own */
	unsigned rounds;	/* as --rounds says; 0 = each workload's own */
	unsigned seed;		/* of the order of peers in each round */
	int quick;
	const char *life;	/* only this peer's start and stop, for bench_life_main() */
	int dirty;		/* MiB, for it */
	int smoke;		/* quick, and smaller still: results count, times don't */
	int scale;		/* some workloads with 1, 2, 4 ... workers */
	int pin;		/* a pool of N workers gets N CPUs */
	const char *json, *html, *compare;	/* files; NULL = none */
};

extern struct bench_options bench_opt;

/* Returns 0 to go on, 1 when all is said, or a negative error that has been told. */
int bench_options_parse(int argc, char **argv);

/* The numbers of workers that TEXT names, with USABLE CPUs: how many, or a negative error. */
int bench_sweep_parse(const char *text, unsigned usable, unsigned sweep[BENCH_SWEEP_MAX]);

/* A number from 1 to MOST, else an error that has been told. */
int bench_number_parse(const char *text, unsigned most, unsigned *ret);

/* Whether a comma list names NAME. */
int bench_listed(const char *list, const char *name);

/* Prints the names of workloads and peers; each peer is tried, and says why it can't. */
void bench_list_print(void);

/* Peers that were not built, and why; names NULL at the end. */
struct bench_missing {
	const char *names, *why;
};

extern const struct bench_missing bench_missing[];

/* Whether this run measures PEER in WORKLOAD. */
int bench_chosen(const struct bench_workload *workload, const struct bench_peer *peer);

/* PEER has the items of WORKLOAD divided by this, and its times multiplied. */
unsigned bench_div(const struct bench_workload *workload, const struct bench_peer *peer);

/* Rounds where neither the command line nor the workload names a number. */
unsigned bench_rounds_usual(void);

unsigned bench_rounds(const struct bench_workload *workload);

/* How many items this run has of a workload: all, or with --quick and --smoke fewer. */
size_t bench_count(const struct bench_workload *workload);

/*
 * Says before each sample what is measured: round 0 is the first touch, sample
 * I of a series is round I + 1.  From here to the next such call, what others do
 * to the machine is put down to this sample; on a terminal the bar on stderr
 * moves on.  With NULL the bar goes away.
 */
void bench_progress(const char *workload, const char *peer, unsigned round);

/* Before a workload's process is forked: so many of so many are done. */
void bench_progress_plan(unsigned done, unsigned all, unsigned rounds);

int64_t bench_clock(void);
void bench_sleep(int64_t ns);

/* Before a sample: for pools measured before it to go to sleep; not with --smoke. */
void bench_settle(int64_t ns);

/* ---- Results ---------------------------------------------------------------- */

struct bench_series {
	const struct bench_peer *peer;
	double first;			/* with first touch; < 0 = not measured */
	double sample[BENCH_ROUNDS_MAX];	/* the smaller the better */
	double p99, max;		/* of all rounds together, where the table has tails */
	double p50, p90, p999;		/* the same; 0 = not known */
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

/* What a table has from its workload; no series has been measured. */
void bench_table_setup(struct bench_table *table, const struct bench_workload *workload,
		       unsigned workers);

/* One sample of the series INDEX, the smaller the better; -EIO: a wrong result. */
typedef int bench_sample(void *arg, unsigned index, unsigned round, double *ret);

/*
 * Takes the samples of the rounds FROM, 0 or 1, to the table's last, of each series in
 * turn; those of round 0 are kept apart, as first.  An error ends it, and has been told.
 */
int bench_rounds_run(struct bench_table *table, unsigned from, bench_sample *sample, void *arg);

/* The turns of a round: ORDER gets the numbers below COUNT in an order by chance. */
void bench_order(const struct bench_table *table, unsigned round, unsigned count,
		 unsigned order[BENCH_PEERS_MAX]);

/* Sorts COUNT single times, and sets the percentiles of a series to theirs. */
void bench_percentiles_set(struct bench_series *series, uint32_t *ns, size_t count);
/* Of sorted ones, the least that so many in 1,000 of them are not longer than. */
double bench_percentile(const uint32_t *ns, size_t count, size_t permille);
int bench_ns_compare(const void *a, const void *b);

/* ---- Statistics --------------------------------------------------------------- */

struct bench_interval {
	double lower, upper;
	double coverage;	/* how probable it is that the true median lies within */
};

double bench_median(const double *sample, unsigned count);

/* The median distance from the median. */
double bench_mad(const double *sample, unsigned count);

/* The narrowest pair of samples around the median that covers 95 %; else least and greatest. */
struct bench_interval bench_interval(const double *sample, unsigned count);

/* A median and its interval; the median is NAN where there is none. */
struct bench_estimate {
	double median;
	struct bench_interval interval;
};

/* What there is to say of one series, in the unit of its table. */
struct bench_summary {
	struct bench_estimate value;
	double mad, first;			/* first NAN: not measured */
	struct bench_estimate best, base;	/* ratios of times */
	double efficiency;			/* NAN without a serial peer */
};

void bench_summary_make(const struct bench_table *table, const struct bench_series *series,
			struct bench_summary *ret);

/* A sample as the table shows it. */
double bench_shown(const struct bench_table *table, double sample);

/* The series of this name, or NULL; NAME may be NULL. */
const struct bench_series *bench_series_find(const struct bench_table *table,
					     const char *name);

/* Takes one series out; those behind it move up. */
void bench_series_drop(struct bench_table *table, unsigned index);

/* ---- JSON ---------------------------------------------------------------------- */

/* Before the first workload; returns 0 or a negative error. */
int bench_json_open(void);

/* Adds a table, from the process of its workload. */
void bench_json_table(const struct bench_table *table);

/* Writes what there is so far to PATH, which is replaced at once. */
int bench_json_save(const char *path);

/* ---- The machine ------------------------------------------------------------------ */

struct bench_machine {
	char model[128], kernel[160], host[72], date[48], cgroup[192];
	char private_pages[32], shared_pages[32];
	double mhz, load[3];
	int scaling;		/* CPUs may be slowed down: a governor is not "performance" */
	long cpus;
	unsigned usable;
};

void bench_machine_read(struct bench_machine *ret);
void bench_machine_print(const struct bench_machine *machine);

/*
 * The path of a file of this process's control group; CONTROLLER is "" in version 2.
 * -ENOENT: there is none.
 */
int bench_cgroup_file(const char *controller, const char *file, char *ret, size_t size);

/* What the compiler calls itself, and the commit this was built from. */
const char *bench_compiler(void);
const char *bench_commit(void);

/* The machine as it was at the start. */
extern struct bench_machine bench_machine;

/* ---- What others do to it ----------------------------------------------------------- */

struct bench_noise {
	double others;		/* the share of our CPUs that others had, 0 to 1 */
	unsigned noisy, samples;
};

/* A sample of PEER begins. */
void bench_noise_sample(const char *peer, unsigned round);

/* The last sample of a table has ended. */
void bench_noise_close(void);

/* Of the samples of one series, or of all of them if SERIES is NULL; of one round unless it is 0. */
struct bench_noise bench_noise_find(const struct bench_table *table,
				    const struct bench_series *series, unsigned round);

/* More than half of the samples are noisy: the medians are, too. */
int bench_noise_rules(const struct bench_noise *noise);

/* ns from one CPU to another and back for a cache line, at that end; 0 = there is no other. */
double bench_noise_line(void);

/* The CPUs that the runner was given, as they were before any pinning. */
void bench_cpus_save(void);

/* With --pin: this process and all below it get COUNT of these, or all if they are fewer. */
int bench_cpus_pin(unsigned count);

/* ---- Programs around it --------------------------------------------------------------- */

/* The path of a file beside the program, one folder up or down, or in the source; -ENOENT. */
int bench_file_find(const char *name, char *ret, size_t size);

/* Whether --html and --compare can be done; says what is missing. */
int bench_tools_check(void);

/* The page and the comparison; returns an exit status. */
int bench_tools_run(void);
/* Sorts COUNT single times, and sets the percentiles of a series to theirs. */
void bench_percentiles_set(struct bench_series *series, uint32_t *ns, size_t count);
/* Of sorted ones, the least that so many in 1,000 of them are not longer than. */
double bench_percentile(const uint32_t *ns, size_t count, size_t permille);
int bench_ns_compare(const void *a, const void *b);

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

/* CPU time that this process and all below it have spent so far, those that ended too, ns. */
int64_t bench_tree_busy(void);

/* Sends a signal to all below this process; returns how many there were. */
unsigned bench_tree_signal(int signal);

/* ---- Children ------------------------------------------------------------------------ */

/* Before the first fork: from here on, signals that end the run are waited for. */
void bench_children_setup(void);

/* Forks; in the child signals are as they were, and it dies with this process. */
pid_t bench_child_fork(void);

/*
 * Waits for a child, then for all that it left behind, which are killed if they
 * stay.  Returns its wait status, or -1 when a signal has ended the run.
 */
int bench_child_await(pid_t pid);

/* The signal that has ended the run, or 0. */
int bench_children_signal(void);

/* Ends this process as that signal would have. */
void bench_children_die(void);

/*
 * The one folder, below TMPDIR and TMPDIR itself from then on, for what programs of other
 * makers may leave behind; made at the first call.  When they have all ended it is removed.
 */
void bench_folder_make(void);
void bench_folder_remove(void);

#ifdef __cplusplus
}
#endif

#endif
