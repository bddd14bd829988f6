# SPDX-License-Identifier: MIT
"""Python's pools as peers of the bench runner; foreign.h has the protocol.

Each item is one call of the runner's own C body through ctypes.  Items of eight
bytes are Python's integers, others are bytes; a list of them is made when a loop
runs for the first time, which counts for nothing, so that what a loop costs is
what it costs who has such a list: pickling, pipes, and the pool itself.
"""
import array
import ctypes
import functools
import importlib
import mmap
import os
import signal
import sys
import time

REQUESTS, ANSWERS, MEMORY = 3, 4, 5
# A byte for each item of the start, at the start of the memory.
MARKS = 4096
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
LIBC = ctypes.CDLL(None)

# ---- In workers ------------------------------------------------------------------


def die_with_parent():
    """Not SIGKILL: those that clean up after a pool ignore this one, and end by themselves."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@functools.lru_cache(maxsize=None)
def body(name, in_size, out_size):
    """The C function as one of Python's, looked up once in each process."""
    module = ctypes.CDLL(os.environ["BENCH_BODIES"])
    module.bench_body.restype = ctypes.c_void_p
    address = module.bench_body(name.encode())
    if not address:
        raise ValueError(f"no body is called {name}")
    pointer = ctypes.c_void_p
    function = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, pointer)(address)
    result = ctypes.c_uint64() if out_size == 8 else ctypes.create_string_buffer(out_size)
    result_ref = ctypes.byref(result)
    cell = ctypes.c_uint64()
    cell_ref = ctypes.byref(cell)

    def call_number(value):
        cell.value = value
        function(None, cell_ref, result_ref)

    def call_bytes(value):
        function(None, value, result_ref)

    call = call_number if in_size == 8 else call_bytes

    def run(value):
        call(value)
        if out_size == 8:
            return result.value
        return result.raw if out_size else None

    return run


def item(name, in_size, out_size, value):
    return body(name, in_size, out_size)(value)


class Body:
    """For maps: what a worker gets of it, once for many items, is the body itself."""

    def __init__(self, *words):
        self.words = words

    def __reduce__(self):
        return body, self.words


@functools.lru_cache(maxsize=None)
def settle(driver):
    """Once in each worker: the marks, and room for which of them is its own."""
    # For those too that some other process forked.
    die_with_parent()
    LIBC.prctl(PR_SET_NAME, b"bench-worker")
    try:
        fd = os.open(f"/proc/{driver}/fd/{MEMORY}", os.O_RDWR)
    except OSError:
        os._exit(1)
    marks = mmap.mmap(fd, MARKS)
    os.close(fd)
    return marks, []


def meet(driver, workers, patience, index):
    """This worker has answered; ends when all have, or after so many seconds."""
    marks, own = settle(driver)
    if not own:
        own.append(index)
        marks[index] = 1
    until = time.monotonic() + patience
    while marks[:].count(1) < workers and time.monotonic() < until:
        time.sleep(0.0002)


# ---- Pools -------------------------------------------------------------------------


class Multiprocessing:
    PATIENCE = 30

    def __init__(self, workers):
        self.pool = importlib.import_module("multiprocessing").Pool(workers)

    def meet(self, function, items):
        self.pool.map(function, items, chunksize=1)

    def map(self, function, items):
        # Its own chunks: the loop in 4 pieces for each worker.
        return self.pool.map(function, items)

    def submit(self, function, value):
        return self.pool.apply_async(function, (value,)).get

    def stop(self):
        self.pool.close()
        self.pool.join()


class Executor:
    CHUNKS, PATIENCE = 4, 30

    def __init__(self, workers):
        futures = importlib.import_module("concurrent.futures")
        self.workers = workers
        self.pool = futures.ProcessPoolExecutor(workers)

    def meet(self, function, items):
        list(self.pool.map(function, items))

    def map(self, function, items):
        # Without a size it sends each item by itself.
        chunk = max(1, len(items) // (self.workers * self.CHUNKS))
        return list(self.pool.map(function, items, chunksize=chunk))

    def submit(self, function, value):
        return self.pool.submit(function, value).result

    def stop(self):
        self.pool.shutdown()


class Joblib:
    # With few CPUs it does not run as many items at once as it has workers.
    PATIENCE = 0.02

    def __init__(self, workers):
        if workers < 2:
            raise ValueError("a single worker is the caller itself")
        self.joblib = importlib.import_module("joblib")
        self.loky = importlib.import_module("joblib.externals.loky")
        self.workers = workers
        # As in `with Parallel(...)`: the workers stay between calls.
        self.pool = self.parallel().__enter__()
        self.single = self.parallel(batch_size=1).__enter__()

    def parallel(self, **options):
        return self.joblib.Parallel(n_jobs=self.workers, backend="loky", max_nbytes=None,
                                    **options)

    def calls(self, function, items):
        delayed = self.joblib.delayed(function)
        return (delayed(value) for value in items)

    def meet(self, function, items):
        everyone = self.parallel(batch_size=1, pre_dispatch="all")
        everyone(self.calls(function, items))

    def map(self, function, items):
        # Its own batches, which grow while items are cheap.
        return self.pool(self.calls(function, items))

    def stream(self, function, items, window):
        self.single.pre_dispatch = window
        return self.single(self.calls(function, items))

    def call(self, function, value):
        return self.single(self.calls(function, [value]))[0]

    def stop(self):
        self.single.__exit__(None, None, None)
        self.pool.__exit__(None, None, None)
        self.loky.get_reusable_executor().shutdown(wait=True)


KINDS = {"multiprocessing": Multiprocessing, "executor": Executor, "joblib": Joblib}


def pool_stream(pool, function, items, window):
    """Each item is submitted and collected by itself, at most WINDOW unfinished."""
    if hasattr(pool, "stream"):
        return pool.stream(function, items, window)
    waits, results = [], []
    for value in items:
        if len(waits) - len(results) == window:
            results.append(waits[len(results)]())
        waits.append(pool.submit(function, value))
    results.extend(wait() for wait in waits[len(results):])
    return results


def pool_call(pool, function, value):
    if hasattr(pool, "call"):
        return pool.call(function, value)
    return pool.submit(function, value)()


# ---- Requests ----------------------------------------------------------------------


class Loop:
    """What a request says about items and results."""

    def __init__(self, words):
        self.name = words[0]
        self.in_size, self.out_size, self.count, self.at, self.to = map(int, words[1:6])
        self.function = functools.partial(item, self.name, self.in_size, self.out_size)

    def items_read(self, memory):
        if not self.in_size:
            return [None] * self.count
        end = self.at + self.count * self.in_size
        if self.in_size == 8:
            return array.array("Q", memory[self.at:end]).tolist()
        return [memory[i:i + self.in_size] for i in range(self.at, end, self.in_size)]

    def results_write(self, memory, results):
        if len(results) != self.count:
            raise ValueError(f"{len(results)} results of {self.count}")
        if self.out_size:
            data = array.array("Q", results).tobytes() if self.out_size == 8 \
                else b"".join(results)
            memory[self.to:self.to + len(data)] = data


class Driver:
    def __init__(self):
        self.pool = self.memory = None
        self.lists = {}     # by where the items lie and how big they are

    def start(self, kind, workers, size):
        workers = int(workers)
        if workers > MARKS:
            raise ValueError(f"no more than {MARKS} workers")
        # A module that can't be loaded shows here, rather than in workers.
        ctypes.CDLL(os.environ["BENCH_BODIES"])
        self.memory = mmap.mmap(MEMORY, int(size))
        self.memory[:MARKS] = bytes(MARKS)
        self.pool = KINDS[kind](workers)
        function = functools.partial(meet, os.getpid(), workers, self.pool.PATIENCE)
        first = 0
        while self.memory[:MARKS].count(1) < workers:
            if first + workers > MARKS:
                raise TimeoutError("not all workers answered")
            self.pool.meet(function, range(first, first + workers))
            first += workers

    def items(self, loop):
        key = loop.at, loop.in_size
        items = self.lists.get(key, [])
        if len(items) < loop.count:
            items = self.lists[key] = loop.items_read(self.memory)
        return items if len(items) == loop.count else items[:loop.count]

    def map(self, *words):
        loop = Loop(words)
        function = Body(loop.name, loop.in_size, loop.out_size)
        loop.results_write(self.memory, self.pool.map(function, self.items(loop)))

    def stream(self, *words):
        loop = Loop(words)
        results = pool_stream(self.pool, loop.function, loop.items_read(self.memory),
                              int(words[6]))
        loop.results_write(self.memory, results)

    def trips(self, *words):
        loop = Loop(words)
        at, warm, idle, limit = map(int, words[6:10])
        items, results, took = loop.items_read(self.memory), [], array.array("I")
        for value in items[:warm]:
            pool_call(self.pool, loop.function, value)
        start = end = time.monotonic_ns()
        for value in items:
            if limit and end - start >= limit:
                break
            begin = end
            if idle:
                time.sleep(idle / 1e9)
                begin = time.monotonic_ns()
            results.append(pool_call(self.pool, loop.function, value))
            end = time.monotonic_ns()
            took.append(min(end - begin, 2**32 - 1))
        loop.count = len(results)
        loop.results_write(self.memory, results)
        self.memory[at:at + took.itemsize * len(took)] = took.tobytes()
        return len(took)

    def stop(self):
        self.pool.stop()
        self.memory.close()
        self.lists.clear()


def answer(text):
    os.write(ANSWERS, (" ".join(text.split()) + "\n").encode())


def main():
    for fd in REQUESTS, ANSWERS, MEMORY:
        os.set_inheritable(fd, False)
    os.register_at_fork(after_in_child=die_with_parent)
    driver = Driver()
    with os.fdopen(REQUESTS) as requests:
        for line in requests:
            what, *words = line.split()
            if what == "quit":
                break
            try:
                value = getattr(driver, what)(*words)
            except Exception as error:
                answer(f"error {type(error).__name__}: {error}"[:200])
            else:
                answer("ok" if value is None else f"ok {value}")


if __name__ == "__main__":
    # Under its own name, so that workers import what they are to run, rather than
    # being sent it with every item.
    sys.modules["pool"] = importlib.import_module("pool")
    sys.modules["pool"].main()
