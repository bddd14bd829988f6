# SPDX-License-Identifier: MIT
"""What a run of the suite measured, read from its JSON and checked.

Nothing in the file is trusted: numbers are finite, texts are short and have no
control characters, and whoever prints a text escapes it for where it goes.
"""
import collections
import json
import math
import re
import statistics

TEXT_MAX = 200
# Workloads times peers times workers that a page can still show.
ENTRIES_MAX = 20000
# Beyond what anything measured is, and quotients of such numbers are finite.
NUMBER_MIN, NUMBER_MAX = 1e-18, 1e18


class BadInput(Exception):
    """The file is not what the suite writes."""


# One peer in one workload with one number of workers: the median of its rounds.
# others is None where the run did not tell; percentiles are sorted pairs.
Entry = collections.namedtuple(
    'Entry',
    'workload title peer workers group x x_unit unit value lower upper time '
    'higher_is_better best_ratio best_lower best_upper efficiency coverage others noisy '
    'oversubscribed percentiles')


class Results:
    """All entries in the order of the file, and what was said about the run."""

    def __init__(self, context, entries, rounds):
        self.context = context
        self.entries = entries
        self._rounds = rounds
        self.peers = unique(e.peer for e in entries)

    def workloads(self):
        """Names of the workloads that are no points of a sweep."""
        return unique(e.workload for e in self.entries if not e.group)

    def workload(self, name):
        return [e for e in self.entries if e.workload == name and not e.group]

    def groups(self):
        return unique(e.group for e in self.entries if e.group)

    def group(self, name):
        return [e for e in self.entries if e.group == name]

    def round_times(self, entry):
        """Round number: time, for as many rounds as the file has."""
        return self._rounds.get((entry.workload, entry.peer, entry.workers), {})


def unique(items):
    return list(dict.fromkeys(items))


def workers_main(entries):
    """The number of workers to show where only one can be: the most that have a CPU each."""
    good = [e.workers for e in entries if not e.oversubscribed]
    return max(good or [e.workers for e in entries])


def speedup(results, entry, base):
    """How many times faster ENTRY is than BASE: median, lower, upper.

    Pairs of one round are compared, since what disturbs a round disturbs both.
    """
    mine, others = results.round_times(entry), results.round_times(base)
    ratios = [others[i] / mine[i] for i in mine if i in others and mine[i] > 0]
    if len(ratios) < 2:
        middle = base.time / entry.time
        return middle, middle, middle
    ratios.sort()
    below = interval_rank(len(ratios))
    return statistics.median(ratios), ratios[below], ratios[-1 - below]


def interval_rank(count):
    """How many samples lie outside the 95 % interval of the median, at either end."""
    chance, below = 0.5 ** count, 0
    total = chance
    while total <= 0.025:
        below += 1
        chance *= (count - below + 1) / below
        total += chance
    return max(below - 1, 0)


def crossing(points, level):
    """The least x from which on y stays at LEVEL or above, or None.

    POINTS are (x, y) sorted by x; between two of them y is taken to grow
    evenly with log x.
    """
    at = None
    for (x0, y0), (x1, y1) in zip([(None, -math.inf)] + points, points):
        if y1 < level:
            at = None
        elif at is None:
            at = x1
            if x0 is not None and x0 > 0 and y1 > y0:
                part = (level - y0) / (y1 - y0)
                at = math.exp(math.log(x0) + part * math.log(x1 / x0))
    return at


# ---- Reading -----------------------------------------------------------------

def results_load(path):
    try:
        with open(path, encoding='utf-8') as file:
            data = json.load(file, parse_constant=constant_refuse)
    except OSError as err:
        raise BadInput(err.strerror or str(err))
    except (ValueError, RecursionError) as err:
        raise BadInput('not JSON: %s' % err)
    return results_make(data)


def constant_refuse(name):
    raise ValueError('%s is no number' % name)


def results_make(data):
    if not isinstance(data, dict):
        raise BadInput('not a result of the suite: no object')
    context, benchmarks = data.get('context'), data.get('benchmarks')
    if not isinstance(context, dict):
        raise BadInput('no "context"')
    if not isinstance(benchmarks, list) or not benchmarks:
        raise BadInput('no "benchmarks"')
    entries, rounds = {}, {}
    for i, item in enumerate(benchmarks):
        item_take(Fields(item, 'benchmarks[%d]' % i), entries, rounds)
    if not entries:
        raise BadInput('no median among the "benchmarks"')
    if len(entries) > ENTRIES_MAX:
        raise BadInput('more than %d medians' % ENTRIES_MAX)
    return Results({text_clean(k): v for k, v in context.items()},
                   list(entries.values()), rounds)


class Fields:
    """An object of the file, whose fields are checked as they are taken."""

    def __init__(self, item, where):
        if not isinstance(item, dict):
            raise BadInput('%s is no object' % where)
        self.item, self.where = item, where

    def bad(self, name, what):
        return BadInput('%s: "%s" is %s' % (self.where, name, what))

    def text(self, name, default=None):
        value = self.item.get(name, default)
        if value is None:
            raise self.bad(name, 'missing')
        if not isinstance(value, str):
            raise self.bad(name, 'no text')
        return text_clean(value)

    def number(self, name, default=None, needed=False):
        value = self.item.get(name)
        if value is None:
            if needed:
                raise self.bad(name, 'missing')
            return default
        return number_check(value, lambda what: self.bad(name, what))

    def count(self, name):
        value = self.number(name, needed=True)
        if not 0 < value < 1e6 or value != int(value):
            raise self.bad(name, 'no count')
        return int(value)

    def flag(self, name):
        return self.item.get(name) is True

    def percentiles(self):
        given = self.item.get('percentiles')
        if given is None:
            return ()
        if not isinstance(given, dict):
            raise self.bad('percentiles', 'no object')

        def bad(what):
            return self.bad('percentiles', what)

        pairs = []
        for key, value in given.items():
            if not re.match(r'\d{1,3}(\.\d{1,6})?$', key) or float(key) > 100:
                raise bad('without percents')
            pairs.append((float(key), number_check(value, bad)))
        return tuple(sorted(pairs))


def number_check(value, bad):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad('no number')
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value) or value and not NUMBER_MIN < abs(value) < NUMBER_MAX:
        raise bad('out of range')
    return value


def text_clean(value):
    text = ''.join(c if c.isprintable() else ' ' for c in value)
    return text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + '...'


def item_take(f, entries, rounds):
    kind = f.text('run_type')
    if kind == 'iteration':
        key = f.text('workload'), f.text('peer'), f.count('workers')
        rounds.setdefault(key, {})[f.number('repetition_index', 0)] = \
            f.number('real_time', needed=True)
    elif kind == 'aggregate' and f.text('aggregate_name', '') == 'median':
        entry = entry_make(f)
        key = entry.workload, entry.peer, entry.workers
        if key in entries:
            raise BadInput('%s: %s is there twice' % (f.where, '/'.join(map(str, key))))
        entries[key] = entry


def entry_make(f):
    value = f.number('value', needed=True)
    time = f.number('real_time', needed=True)
    return Entry(
        workload=f.text('workload'), title=f.text('title', ''), peer=f.text('peer'),
        workers=f.count('workers'), group=f.text('group', ''),
        x=f.number('x', 0.0), x_unit=f.text('x_unit', ''), unit=f.text('unit'),
        value=value, lower=min(f.number('lower', value), value),
        upper=max(f.number('upper', value), value), time=time,
        higher_is_better=f.flag('higher_is_better'),
        best_ratio=f.number('best_ratio'), efficiency=f.number('efficiency'),
        best_lower=f.number('best_ratio_lower'), best_upper=f.number('best_ratio_upper'),
        coverage=f.number('coverage', 0.95), others=f.number('others'), noisy=f.flag('noisy'),
        oversubscribed=f.flag('oversubscribed'), percentiles=f.percentiles())
