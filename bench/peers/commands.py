# SPDX-License-Identifier: MIT
"""commands.py WORKERS COUNT PROGRAM STEPS: runs PROGRAM for each number below COUNT.

As a user of multiprocessing.Pool would, with a subprocess for each item.
"""
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def run(number):
    return subprocess.run(sys.argv[3:] + [str(number)], stdout=subprocess.PIPE,
                          check=True).stdout


def main():
    workers, count = int(sys.argv[1]), int(sys.argv[2])
    os.register_at_fork(after_in_child=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
    with multiprocessing.Pool(workers) as pool:
        for output in pool.map(run, range(count)):
            sys.stdout.buffer.write(output)


if __name__ == "__main__":
    main()
