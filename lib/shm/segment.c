/* SPDX-License-Identifier: MIT */
/*
 * What.  Makes the segment: an object without a name, mapped before the fork,
 * so at one address in every process.
 *
 * Usage.  fp_segment_create() by the host at create; children inherit the
 * handle.  fp_segment_take_slot() by the host before a slot's first job.
 *
 * Invariants.
 * I1 The object has no name at any time that a crash could leave behind:
 *    O_TMPFILE in /dev/shm, else a shm object unlinked before it is mapped, else
 *    a memfd whose size is sealed.
 * I2 Nothing in it is touched before its room has been taken in the file, so a
 *    full file system is an error here and never a SIGBUS later.
 * I3 Offsets come from the most workers alone; the copy in the header is for
 *    those who look on from outside and is never read back.
 *
 * If the owner dies.  The object goes with its last mapping.
 */
#include "shm/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <forkpool.h>

#include "os/sys.h"
#include "os/wait.h"

#define HUGE		((size_t)2 << 20)
#define SHM_DIR		"/dev/shm"
#define OWN_SUBS	4u	/* sub-regions of a worker; half of it for very many */
#define SPARES_BASE	64u
#define SPARES_EACH	2u
#define TASKS_SHARE	4u	/* of the largest file, at most, */
#define PAGES_LEAST	64u	/* but so many pages at least */
#define HOST_SLEEPERS	64u	/* threads of the host that sleep at the same time, where that takes room */

static size_t place(size_t *end, size_t size)
{
	size_t off = fp_round_up(*end, FP_LINE);

	*end = off + size;
	return off;
}

/* Addresses for the slots of tasks: a part of what a file may have, where that is little. */
static uint32_t pages_within_limit(void)
{
	struct rlimit lim;

	if (fp_sys.getrlimit(RLIMIT_FSIZE, &lim))
		return FP_TASK_PAGES;
	return (uint32_t)fp_max(fp_min(lim.rlim_cur / TASKS_SHARE / FP_PAGE, FP_TASK_PAGES), PAGES_LEAST);
}

void fp_geometry_init(struct fp_geometry *geo, uint32_t workers)
{
	size_t end = 0, subs;

	memset(geo, 0, sizeof(*geo));
	geo->workers = workers;
	geo->tops = workers > 64 ? workers : 64;
	geo->own = workers > FP_WORKERS_MAX / 2 ? OWN_SUBS / 2 : OWN_SUBS;
	geo->spares = (uint32_t)fp_min(SPARES_BASE + SPARES_EACH * workers,
			FP_IDS_MAX - 1 - geo->tops - geo->own * workers);
	subs = geo->own * workers + geo->spares;
	geo->ids = (uint32_t)(1 + geo->tops + subs);

	place(&end, sizeof(struct fp_job));
	geo->region_off = place(&end, geo->ids * sizeof(struct fp_region));
	geo->root_off = place(&end, geo->tops * sizeof(fp_a64));
	geo->top_off = fp_round_up(end, FP_LINE);
	end = geo->top_off + subs * FP_SUB_WORDS * sizeof(fp_a64);
	geo->slot_stride = fp_round_up(end + FP_TOP_WORDS * sizeof(fp_a64), FP_PAGE);
	geo->nest_stride = fp_round_up(end + FP_NEST_WORDS * sizeof(fp_a64), FP_PAGE);

	end = 0;
	place(&end, sizeof(struct fp_ctl));
	/* Right behind it: fp_ctl_worker(). */
	geo->worker_off = place(&end, workers * sizeof(struct fp_worker));
	geo->lot_off = place(&end, fp_lot_size(workers + HOST_SLEEPERS));
	geo->slot_off = fp_round_up(end, FP_PAGE);
	geo->nest_off = geo->slot_off + FP_SLOTS * geo->slot_stride;
	geo->frame_off = geo->nest_off + FP_NESTED * geo->nest_stride;
	end = geo->frame_off + (size_t)workers * FP_DEPTH * sizeof(struct fp_frame);
	geo->lane_off = fp_round_up(end, FP_PAGE);
	end = geo->lane_off + (FP_HOST_LANES + FP_PRIOS * (size_t)workers) * sizeof(struct fp_lane);
	geo->owner_off = fp_round_up(end, FP_PAGE);
	geo->pages = pages_within_limit();
	geo->page_off = fp_round_up(geo->owner_off + geo->pages * sizeof(fp_a32), FP_PAGE);
	geo->ctl_size = geo->page_off + (size_t)geo->pages * FP_PAGE;
}

size_t fp_arena_default(uint32_t workers)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	size_t quarter = pages > 0 ? (size_t)pages / 4 * (size_t)sysconf(_SC_PAGESIZE)
				   : (size_t)1 << 30;
	struct fp_geometry geo;
	struct rlimit lim;
	size_t room;

	fp_geometry_init(&geo, workers);
	if (fp_sys.getrlimit(RLIMIT_FSIZE, &lim) == 0) {
		room = lim.rlim_cur > geo.ctl_size ? lim.rlim_cur - geo.ctl_size : 0;
		quarter = fp_min(quarter, room / 2);
	}
	return fp_round_up(fp_max(quarter / FP_PAGE, 1) * FP_PAGE, FP_PAGE);
}

/* ---- The object --------------------------------------------------------------- */

static bool has_room(int fd, size_t size)
{
	struct statfs fs;

	return fp_sys.statfs(fd, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >= size;
}

static int open_posix(size_t arena_size)
{
	char name[64];
	int fd = fp_sys.tmpfile(SHM_DIR);

	if (fd < 0) {
		snprintf(name, sizeof(name), "/forkpool-%d-%llx", (int)getpid(),
			 (unsigned long long)fp_sys.clock());
		fd = fp_sys.shm_open(name);
	}
	if (fd >= 0 && !has_room(fd, arena_size)) {
		fp_sys.close(fd);
		return -ENOSPC;
	}
	return fd;
}

/* ftruncate() beyond RLIMIT_FSIZE would send SIGXFSZ to the caller. */
static int check_limit(size_t size)
{
	struct rlimit lim;

	if (fp_sys.getrlimit(RLIMIT_FSIZE, &lim) == 0 && lim.rlim_cur < size)
		return -EFBIG;
	return 0;
}

static int open_object(size_t size, size_t arena_size, int backing, bool *memfd)
{
	int err = check_limit(size), fd = err;

	*memfd = false;
	if (!err && backing != FORKPOOL_BACKING_MEMFD)
		fd = open_posix(arena_size);
	if (!err && (backing == FORKPOOL_BACKING_MEMFD ||
		     (fd < 0 && backing == FORKPOOL_BACKING_AUTO))) {
		fd = fp_sys.memfd("forkpool");
		*memfd = true;
	}
	if (fd >= 0)
		fd = fp_sys.above_stdio(fd);
	if (fd < 0)
		return fd;
	err = fp_sys.truncate(fd, (off_t)size);
	if (!err && *memfd)
		err = fp_sys.seal(fd);
	if (err < 0) {
		fp_sys.close(fd);
		return err;
	}
	return fd;
}

/* ---- The mapping ---------------------------------------------------------------- */

static void describe(struct fp_segment *seg)
{
	struct fp_ctl *ctl = seg->ctl;

	ctl->layout = FP_LAYOUT;
	ctl->workers = seg->geo.workers;
	ctl->worker_off = seg->geo.worker_off;
	ctl->slot_off = seg->geo.slot_off;
	ctl->slot_stride = seg->geo.slot_stride;
	ctl->nest_off = seg->geo.nest_off;
	ctl->nest_stride = seg->geo.nest_stride;
	ctl->frame_off = seg->geo.frame_off;
	ctl->arena_off = seg->geo.ctl_size;
	ctl->arena_size = seg->arena_size;
	fp_store_rlx(&ctl->crew, seg->geo.workers);
	ctl->magic = FP_MAGIC;
}

/* At a multiple of align: a unit of the heap, and a huge page, begin at a multiple of their size. */
static int map_aligned(void **ret, size_t size, size_t align, int fd)
{
	char *raw, *base;
	void *p;
	int err = fp_sys.map(&p, NULL, size + align, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (err)
		return err;
	raw = p;
	base = raw + (-(uintptr_t)raw & (align - 1));
	err = fp_sys.map(ret, base, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
	if (err) {
		fp_sys.unmap(raw, size + align);
		return err;
	}
	if (base > raw)
		fp_sys.unmap(raw, (size_t)(base - raw));
	fp_sys.unmap(base + size, align - (size_t)(base - raw));
	return 0;
}

/* Sizes and places; *align is what the whole and the arena are multiples of. */
static int plan(struct fp_segment *seg, size_t arena_size, size_t *size, size_t *align)
{
	struct fp_geometry *geo = &seg->geo;

	seg->arena_size = fp_round_up(arena_size, FP_PAGE);
	if (seg->arena_size < arena_size || seg->arena_size > (size_t)INT64_MAX / 2)
		return -ENOMEM;
	*align = seg->arena_size >= HUGE ? HUGE : fp_units_size(seg->arena_size);
	geo->heap_off = geo->ctl_size;
	geo->ctl_size = fp_round_up(geo->heap_off + fp_units_ctl_size(seg->arena_size), *align);
	*size = geo->ctl_size + seg->arena_size;
	return *size > (size_t)INT64_MAX - *align ? -ENOMEM : 0;
}

int fp_segment_create(struct fp_segment *seg, uint32_t workers, size_t arena_size,
		      const struct fp_backing *backing)
{
	size_t size, align;
	void *base;
	int err;

	memset(seg, 0, sizeof(*seg));
	seg->event.fd = -1;
	fp_geometry_init(&seg->geo, workers);
	err = plan(seg, arena_size, &size, &align);
	if (err)
		return err;
	seg->fd = open_object(size, seg->arena_size,
			      backing ? backing->kind : FORKPOOL_BACKING_AUTO, &seg->memfd);
	if (seg->fd < 0)
		return seg->fd;
	err = fp_sys.allocate(seg->fd, 0, (off_t)seg->geo.slot_off);
	if (!err)
		err = map_aligned(&base, size, align, seg->fd);
	if (err) {
		fp_sys.close(seg->fd);
		return err;
	}
	seg->ctl = base;
	seg->arena = (char *)base + seg->geo.ctl_size;
	/* Advice: a kernel, or a file system, without huge pages does without. */
	if (backing && backing->huge)
		fp_sys.advise(seg->arena, seg->arena_size, MADV_HUGEPAGE);
	describe(seg);
	err = fp_segment_settle(seg);
	if (err)
		fp_segment_destroy(seg);
	return err;
}

static struct fp_lot lot_of(const struct fp_segment *seg)
{
	return (struct fp_lot){
		.mem = (char *)seg->ctl + seg->geo.lot_off,
		.sleepers = seg->geo.workers + HOST_SLEEPERS,
		.base = seg->ctl,
		.size = seg->geo.ctl_size,
	};
}

int fp_segment_settle(const struct fp_segment *seg)
{
	const struct fp_lot lot = lot_of(seg);

	return fp_lot_open(&lot);
}

void fp_segment_share(const struct fp_segment *seg, const fp_a32 *word)
{
	const struct fp_lot lot = lot_of(seg);

	fp_lot_share(&lot, word);
}

void fp_segment_bury(const struct fp_segment *seg, pid_t pid)
{
	const struct fp_lot lot = lot_of(seg);

	fp_lot_bury(&lot, pid);
}

static void unmap(struct fp_segment *seg, void *from, size_t size)
{
	if (!seg->ctl)
		return;
	fp_sys.unmap(from, size);
	if (seg->fd >= 0)
		fp_sys.close(seg->fd);
	seg->ctl = NULL;
	seg->fd = -1;
}

void fp_segment_destroy(struct fp_segment *seg)
{
	struct fp_lot lot;

	if (seg->ctl) {
		lot = lot_of(seg);
		fp_lot_close(&lot);
	}
	unmap(seg, seg->ctl, seg->geo.ctl_size + seg->arena_size);
}

void fp_segment_forget(struct fp_segment *seg)
{
	unmap(seg, seg->arena, seg->arena_size);
}

int fp_segment_take_room(const struct fp_segment *seg, const void *at, size_t size, bool host)
{
	size_t from = (size_t)((const char *)at - (char *)seg->ctl) & ~(size_t)(FP_PAGE - 1);
	size_t to = fp_round_up((size_t)((const char *)at - (char *)seg->ctl) + size, FP_PAGE);

	if (host)
		return fp_sys.allocate(seg->fd, (off_t)from, (off_t)(to - from));
	return fp_sys.advise((char *)seg->ctl + from, to - from, MADV_POPULATE_WRITE);
}

int fp_segment_take_slot(struct fp_segment *seg, uint32_t slot)
{
	return fp_sys.allocate(seg->fd,
			(off_t)(seg->geo.slot_off + slot * seg->geo.slot_stride),
			(off_t)seg->geo.slot_stride);
}

/* ---- Finding things ----------------------------------------------------------- */

struct fp_slot fp_segment_slot(const struct fp_segment *seg, uint32_t slot)
{
	const struct fp_geometry *geo = &seg->geo;
	bool nested = slot >= FP_SLOTS;
	size_t words = nested ? FP_NEST_WORDS : FP_TOP_WORDS;
	char *base = (char *)seg->ctl +
		     (nested ? geo->nest_off + (slot - FP_SLOTS) * geo->nest_stride
			     : geo->slot_off + slot * geo->slot_stride);

	return (struct fp_slot){
		.job = (struct fp_job *)base,
		.regions = (struct fp_region *)(base + geo->region_off),
		.root = (fp_a64 *)(base + geo->root_off),
		.top = (fp_a64 *)(base + geo->top_off),
		.sub = (fp_a64 *)(base + geo->top_off) + words,
		.words = (uint32_t)words,
		.index = slot,
	};
}

struct fp_worker *fp_segment_worker(const struct fp_segment *seg, uint32_t id)
{
	return fp_ctl_worker(seg->ctl, id);
}

struct fp_frame *fp_segment_frame(const struct fp_segment *seg, uint32_t id, uint32_t d)
{
	struct fp_frame *frames = (struct fp_frame *)((char *)seg->ctl + seg->geo.frame_off);

	return d ? frames + (size_t)id * FP_DEPTH + d : &fp_segment_worker(seg, id)->base;
}

uint32_t fp_segment_depth(const struct fp_segment *seg, uint32_t id)
{
	/* NEST-D1: with it the frames below it as they were before they were used; pairs with NEST-D2. */
	uint32_t depth = fp_load_acq(&fp_segment_worker(seg, id)->depth);

	return depth && depth <= FP_DEPTH ? depth : 1;
}

FP_TRIP uint32_t fp_segment_crew(const struct fp_segment *seg)
{
	uint32_t n = fp_load_rlx(&seg->ctl->crew);

	return n && n <= seg->geo.workers ? n : seg->geo.workers;
}

struct fp_heap_place fp_segment_heap(const struct fp_segment *seg, bool host)
{
	return (struct fp_heap_place){
		.limit = &seg->ctl->heap_limit,
		.ctl = (char *)seg->ctl + seg->geo.heap_off,
		.base = seg->arena,
		.size = seg->arena_size,
		.fd = host ? seg->fd : -1,
		.ctl_off = (off_t)seg->geo.heap_off,
		.off = (off_t)seg->geo.ctl_size,
	};
}

bool fp_segment_owns(const struct fp_segment *seg, const void *ptr, size_t size)
{
	return fp_inside(seg->arena, seg->arena_size, ptr, size);
}

fp_a64 *fp_slot_log(const struct fp_segment *seg, const struct fp_slot *slot,
		    uint32_t id, uint32_t tops, uint32_t *words)
{
	const struct fp_geometry *geo = &seg->geo;

	if (id >= geo->ids || tops == 0 || tops > geo->tops)
		return NULL;
	if (id == 0) {
		*words = tops;
		return slot->root;
	}
	if (id > geo->tops) {
		*words = FP_SUB_WORDS;
		return slot->sub + (size_t)(id - 1 - geo->tops) * FP_SUB_WORDS;
	}
	if (id > tops)
		return NULL;
	*words = slot->words / tops;
	return slot->top + (size_t)(id - 1) * *words;
}

uint32_t fp_first_sub(const struct fp_geometry *geo, uint32_t id)
{
	return 1 + geo->tops + id * geo->own;
}
