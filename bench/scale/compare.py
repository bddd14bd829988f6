#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the simulation says of maps that were measured: predicted and measured
efficiency, side by side.

Usage: compare.py SIMULATE COSTS.json BENCH.json

SIMULATE is bench/scale/simulate; COSTS.json what bench/scale/costs printed, and
BENCH.json what bench/run --json wrote, both on the same machine.
"""
import json
import subprocess
import sys

# Items of each workload; a sweep's point has what makes it last as long as w2.
ITEMS = {"w2": 10**6, "w3-uniform": 10**4}
NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
SWEEP_NS = 1e9


def medians(benchmarks):
    """The median entries by (workload, peer, workers)."""
    found = {}
    for b in benchmarks:
        if b.get("run_type") == "aggregate" and b.get("aggregate_name") == "median":
            found[b["workload"], b["peer"], b["workers"]] = b
    return found


def body_ns(serial, items):
    """An item's own time, as the serial loop took it."""
    if serial.get("unit") == "ns/item":
        return serial["value"]
    return serial["real_time"] * NS[serial["time_unit"]] / items


def predicted(simulate, costs, ns, items, workers):
    out = subprocess.run([simulate, "--costs", costs, "--json", "--item", repr(ns),
                          "--items", str(items), "--workers", str(workers)],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)["efficiency"]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    simulate, costs, path = sys.argv[1:]
    with open(path, encoding="utf-8") as f:
        found = medians(json.load(f)["benchmarks"])
    print(f"{'workload':<14} {'workers':>7} {'item ns':>10} {'measured':>9} {'predicted':>9} {'difference':>10}")
    for (workload, peer, workers), entry in sorted(found.items()):
        serial = found.get((workload, "serial", workers))
        grain = entry.get("group") == "grain" and entry.get("x")
        items = ITEMS.get(workload) or (max(1000, int(SWEEP_NS / entry["x"])) if grain else 0)
        if peer != "forkpool" or not serial or not items or entry.get("oversubscribed"):
            continue
        ns = body_ns(serial, items)
        # The workload's own figure, or what it comes from.
        measured = entry.get("efficiency") or serial["real_time"] / (entry["real_time"] * workers)
        said = predicted(simulate, costs, ns, items, workers)
        print(f"{workload:<14} {workers:>7} {ns:>10.1f} {measured:>9.3f} {said:>9.3f} {said - measured:>+10.3f}")


if __name__ == "__main__":
    main()
