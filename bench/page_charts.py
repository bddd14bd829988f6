# SPDX-License-Identifier: MIT
"""Which plots a page has, and what stands on their axes."""
import collections
import math

from page_data import crossing, speedup, unique, workers_main
from page_peers import (
    BARE, COMPARED, OURS, SERIAL, bytes_text, family_of, figure, is_rival, mib_text, peers_choose,
    plain_text, rate_of, rate_text, speed_key, time_of, time_text, unit_split, unit_text)
from page_plots import (
    Bar, Guide, Line, Point, axis_linear, axis_log, axis_names, axis_points, bar_room, bar_svg,
    line_svg)

# More lines than these, nobody tells apart; the tables have all.
LINES_MAX = 8
BARS_MAX = 7
UNIT_MAX = 8
LABEL_MAX = 26
EFFICIENCIES = (0.9, 0.5)

# dropped: peers that were measured and have no line.
Figure = collections.namedtuple('Figure', 'svg title note peers dropped')

X_TEXTS = {'ns': time_text, 'bytes': bytes_text, 'B': bytes_text, 'MiB': mib_text,
           'KiB': lambda v: bytes_text(v * 1024)}


def label_text(peer):
    """PEER beside its bar, where there is little room."""
    return peer if len(peer) <= LABEL_MAX else peer[:LABEL_MAX] + '\u2026'


class Charts:
    """Draws figures, each with ids of its own."""

    def __init__(self, results, styles):
        self.results, self.styles, self.count = results, styles, 0

    def ident(self):
        self.count += 1
        return 'plot%d' % self.count

    def lines(self, title, note, x, y, lines, guides=(), crowded=None, dropped=()):
        text = '%s against %s; %s.' % (y.title, x.title, ', '.join(l.peer for l in lines))
        svg = line_svg(self.ident(), title, text, x, y, lines, self.styles, guides, crowded)
        return Figure(svg, title, note, [l.peer for l in lines], dropped)

    def bars(self, title, note, x, bars, base, guide=None, room=None):
        text = '%s: %s.' % (x.title, ', '.join('%s %s' % (b.label, b.text) for b in bars))
        svg = bar_svg(self.ident(), title, text, x, bars, self.styles, base, guide, room)
        return Figure(svg, title, note, [], ())


# ---- What is shared --------------------------------------------------------------

def by_peer(entries, key):
    series = {}
    for e in sorted(entries, key=key):
        series.setdefault(e.peer, []).append(e)
    return series


def chosen(series, also_without_pool=False):
    """The peers to draw, and those left out."""
    pools = {p: es for p, es in series.items()
             if also_without_pool or family_of(p) not in (SERIAL, BARE)}
    peers = peers_choose(pools, LINES_MAX) if pools else []
    return peers, [p for p in pools if p not in peers]


def tip(e, what):
    marks = [w for w, on in (('noisy', e.noisy), ('more workers than CPUs', e.oversubscribed))
             if on]
    return '%s, %s: %s%s' % (e.peer, what, measured(e), marks and ' - ' + ', '.join(marks) or '')


def measured(e):
    return '%s %s (%s to %s)' % (
        figure(e.value), unit_text(e.unit), figure(e.lower), figure(e.upper))


def workers_text(count):
    return '%d worker%s' % (count, '' if count == 1 else 's')


def line_make(peer, entries, x_of, convert):
    """A line of what CONVERT makes of values; entries that it can't show are left out."""
    points = []
    for e in entries:
        y, a, b = convert(e, e.value), convert(e, e.lower), convert(e, e.upper)
        if y is None:
            continue
        a, b = y if a is None else a, y if b is None else b
        points.append(Point(x_of(e), y, min(a, b), max(a, b), tip(e, x_text(e))))
    return Line(peer, points)


def x_text(e):
    if not e.group or e.x_unit.startswith('worker'):
        return workers_text(e.workers)
    text = X_TEXTS.get(e.x_unit)
    if text:
        return text(e.x)
    # A long unit stands on the axis only.
    unit = e.x_unit if len(e.x_unit) <= UNIT_MAX else ''
    return ('%s %s' % (plain_text(e.x), unit)).rstrip()


def spread(lines):
    return [v for line in lines for p in line.points for v in (p.lower, p.upper)]


def positive(lines):
    """For logarithmic axes: without points at 0, and intervals cut off above it."""
    kept = []
    for line in lines:
        points = [p._replace(lower=p.lower if p.lower > 0 else p.y)
                  for p in line.points if p.y > 0]
        if points:
            kept.append(line._replace(points=points))
    return kept


def axis_values(title, lines, text):
    """Logarithmic where values differ much, else from 0."""
    values = spread(lines)
    low, high = min(values), max(values)
    if low > 0 and high / low > 4:
        return axis_log(title, values, text)
    return axis_linear(title, min(low, 0), max(high * 1.08, 0) or 1, text)


# ---- Against workers ----------------------------------------------------------------

def workers_figures(charts, entries):
    """Throughput (or the time, where no item is counted) and efficiency."""
    counts = unique(e.workers for e in entries)
    if len(counts) < 2:
        return []
    series = by_peer(entries, lambda e: e.workers)
    x = axis_points('workers', counts, plain_text)
    crowded = crowded_from(x, entries)
    peers, dropped = chosen(series)
    figures = [f for f in (
        rate_figure(charts, series, peers, dropped, x, crowded),
        efficiency_figure(charts, series, x, crowded, 'Efficiency')) if f]
    return figures


def crowded_from(x, entries):
    """The place between the last number of workers that have a CPU each and the next."""
    counts = sorted(unique(e.workers for e in entries))
    over = {e.workers for e in entries if e.oversubscribed}
    first = next((i for i, n in enumerate(counts) if n in over), None)
    if first is None:
        return None
    if not first:
        return x.low
    return (x.place(counts[first - 1]) + x.place(counts[first])) / 2


def rate_figure(charts, series, peers, dropped, x, crowded):
    sample = series[peers[0]][0] if peers else None
    if not sample:
        return None
    counted = sample.higher_is_better or any(
        e.efficiency is not None for es in series.values() for e in es)
    rate = rate_of(sample)
    if rate and (counted or (unit_split(sample.unit) or ('', ''))[1]):
        def convert(e, value):
            if e.higher_is_better:
                return value * rate[0]
            return rate[0] / value if value > 0 else None
        title, name, text = '%s per second (more is better)' % rate[1], 'Throughput', rate_text
    else:
        convert, title, text = value_axis(sample)
        name = 'Time' if unit_split(sample.unit) else 'Value'
    lines = positive([line_make(p, series[p], lambda e: e.workers, convert) for p in peers])
    if not lines:
        return None
    return charts.lines(name, '', x, axis_values(title, lines, text), lines,
                        crowded=crowded, dropped=dropped)


def value_axis(sample):
    """How to show values as they are: convert, title, text of tics."""
    better = 'more is better' if sample.higher_is_better else 'less is better'
    if unit_split(sample.unit) and not sample.higher_is_better:
        per = unit_split(sample.unit)[1]
        return time_of, 'time%s (%s)' % (per and ' per ' + per, better), time_text
    return lambda e, value: value, '%s (%s)' % (unit_text(sample.unit), better), plain_text


def efficiency_figure(charts, series, x, crowded, name, x_of=lambda e: e.workers):
    with_it = {p: [e for e in es if e.efficiency is not None] for p, es in series.items()}
    peers, dropped = chosen({p: es for p, es in with_it.items() if es})
    lines = [efficiency_line(p, with_it[p], x_of) for p in peers]
    lines = [line for line in lines if len(line.points) > 1]
    if not lines:
        return None
    top = max(1.05, min(max(spread(lines)) * 1.03, 2))
    y = axis_linear('time of the plain loop / (workers \u00d7 time)', 0, top, plain_text)
    return charts.lines(name, '', x, y, lines, [Guide(1.0, '')], crowded, dropped)


def efficiency_line(peer, entries, x_of):
    """Its interval is that of the value, as the plain loop's own is far smaller."""
    points = []
    for e in entries:
        ends = [min(e.efficiency * (v / e.value if e.higher_is_better else e.value / v), 2)
                for v in (e.lower, e.upper) if v > 0 and e.value > 0] or [e.efficiency]
        y = min(e.efficiency, 2)
        points.append(Point(x_of(e), y, min(ends + [y]), max(ends + [y]),
                            '%s, %s: %.3f' % (peer, x_text(e), e.efficiency)))
    return Line(peer, points)


# ---- Sweeps ----------------------------------------------------------------------------

def group_parts(entries):
    """Parts of a group that fit on one pair of axes."""
    parts = {}
    for e in entries:
        over_workers = e.x_unit.startswith('worker')
        parts.setdefault((e.unit, e.x_unit, 0 if over_workers else e.workers), []).append(e)
    return list(parts.values())


def is_sweep(entries):
    keys = [(e.peer, e.x) for e in entries]
    return len(set(keys)) == len(keys) and len({e.x for e in entries}) > 1


def sweep_figures(charts, group, x_title, entries):
    """ENTRIES of one part of GROUP, against x."""
    series = by_peer(entries, lambda e: e.x)
    x = axis_points(x_title or entries[0].x_unit, {e.x for e in entries},
                    X_TEXTS.get(entries[0].x_unit, plain_text))
    convert, y_title, text = value_axis(entries[0])
    peers, dropped = chosen(series, also_without_pool=group == 'startup')
    lines = [line_make(p, series[p], lambda e: e.x, convert) for p in peers]
    figures = []
    if any(line.points for line in lines):
        y = axis_values(y_title, lines, text)
        if y.place is math.log10:
            lines = positive(lines)
        name = y_title.split(' (')[0]
        figures.append(charts.lines(name[:1].upper() + name[1:], '', x, y, lines,
                                    crowded=crowded_sweep(x, entries), dropped=dropped))
    efficiency = efficiency_figure(charts, series, x, None, 'Efficiency', lambda e: e.x)
    return figures + [efficiency] if efficiency else figures


def crowded_sweep(x, entries):
    if entries[0].x_unit.startswith('worker'):
        return crowded_from(x, entries)
    return None


def crossings(entries):
    """[(peer, x or None for each of EFFICIENCIES)], the least first."""
    rows = []
    for peer, es in by_peer(entries, lambda e: e.x).items():
        points = [(e.x, e.efficiency) for e in es if e.efficiency is not None]
        if len(points) > 1 and family_of(peer) not in (SERIAL, BARE):
            rows.append((peer, [crossing(points, level) for level in EFFICIENCIES]))
    rows.sort(key=lambda row: [math.inf if at is None else at for at in row[1]])
    return rows


def group_bars(charts, entries):
    """A group whose points are no numbers: bars, a plot for each workload."""
    figures = []
    for name, count in unique((e.workload, e.workers) for e in entries):
        here = [e for e in entries if (e.workload, e.workers) == (name, count)]
        convert, x_title, text = value_axis(here[0])
        bars = []
        for e in here:
            value = convert(e, e.value)
            if value and value > 0:
                low = convert(e, e.lower)
                bars.append(Bar(label_text(e.peer), e.peer, value,
                                low if low and low > 0 else value,
                                convert(e, e.upper), text(value)))
        if bars:
            bars.sort(key=lambda b: b.value, reverse=here[0].higher_is_better)
            figures.append(group_figure(charts, '%s, %s' % (name, workers_text(count)), x_title,
                                        text, bars_cut(bars)))
    return figures


def group_figure(charts, title, x_title, text, bars):
    values = [v for b in bars for v in (b.lower, b.upper)]
    if max(values) / min(values) > 4:
        x = axis_log(x_title, values, text, floor=min(values) / 2)
        return charts.bars(title, '', x, bars, 10 ** x.low)
    x = axis_linear(x_title, 0, max(values) * 1.02, text, parts=4)
    return charts.bars(title, '', x, bars, 0.0)


def bars_cut(bars):
    """The best of BARS, not more than a reader takes in; some stay in any case."""
    def order(bar):
        return (bar.peer != 'forkpool', family_of(bar.peer).key not in COMPARED)

    kept = sorted(bars, key=order)[:BARS_MAX]
    return [b for b in bars if b in kept]


# ---- Latency -------------------------------------------------------------------------------

def percentile_text(percent):
    return 'max' if percent == 100 else 'p%g' % percent


def latency_figures(charts):
    figures = []
    entries = [e for e in charts.results.entries if e.percentiles and unit_split(e.unit)]
    points = [(e.workload, e.workers) for e in entries if not e.group]
    # Of a sweep, one point.
    for group in unique(e.group for e in entries if e.group):
        here = [e for e in entries if e.group == group]
        count = workers_main(here)
        points.append(next((e.workload, e.workers) for e in here if e.workers == count))
    for name, count in unique(points):
        here = [e for e in entries if (e.workload, e.workers) == (name, count)]
        figures.append(latency_figure(charts, name, count, here))
    return [f for f in figures if f]


def latency_figure(charts, name, count, entries):
    percents = sorted({p for e in entries for p, _ in e.percentiles})
    series = {e.peer: [e] for e in entries}
    peers, dropped = chosen(series, also_without_pool=True)
    lines = []
    for peer in peers:
        e = series[peer][0]
        points = []
        for percent, value in e.percentiles:
            ns = value * unit_split(e.unit)[0]
            points.append(Point(percents.index(percent), ns, ns, ns, '%s, %s: %s' % (
                peer, percentile_text(percent), time_text(ns))))
        lines.append(Line(peer, points))
    lines = positive(lines)
    if not lines or len(percents) < 2:
        return None
    return charts.lines(
        '%s, %s' % (name, workers_text(count)), '',
        axis_names('share of all trips that took no longer',
                   [percentile_text(p) for p in percents]),
        axis_log('time of a trip (less is better)', spread(lines), time_text), lines,
        dropped=dropped)


# ---- Against the pipe pool -----------------------------------------------------------------

def pipe_of(entries):
    """The fastest pool on pipes among ENTRIES, or None."""
    pipes = [e for e in entries if family_of(e.peer).key == 'pipe' and e.time > 0]
    return min(pipes, key=lambda e: e.time, default=None)


def speedup_figures(charts):
    """A plot for each workload that pools on pipes ran; all have the same axis."""
    results, tables, values = charts.results, [], [1.0]
    for name in results.workloads():
        entries = results.workload(name)
        count = workers_main(entries)
        entries = [e for e in entries if e.workers == count and unit_is_speed(e)]
        base = pipe_of(entries)
        if base and any(e.peer == 'forkpool' for e in entries):
            bars = speedup_bars(results, entries, base)
            tables.append(('%s, %s; 1 is %s' % (name, workers_text(count), base.peer), bars))
            values += [v for b in bars for v in (b.lower, b.upper)]
    x = axis_log('times as fast as the best pool on pipes', values,
                 lambda v: plain_text(v) + '\u00d7')
    room = bar_room([b for _, bars in tables for b in bars]) if tables else None
    return [charts.bars(title, '', x, bars, 1.0, 1.0, room) for title, bars in tables]


def unit_is_speed(e):
    return e.time > 0 and (rate_of(e) is not None)


def speedup_bars(results, entries, base):
    """forkpool and the best of each other family, the fastest first; pipes but the base."""
    pools = {e.peer: [e] for e in entries if e is not base and is_speed_peer(e.peer)}
    best = {}
    for peer in sorted(pools, key=lambda p: (p != 'forkpool', speed_key(pools[p]))):
        best.setdefault(family_of(peer), peer)
    bars = []
    for peer in best.values():
        middle, low, high = speedup(results, pools[peer][0], base)
        bars.append(Bar(label_text(peer), peer, middle, low, high, figure(middle) + '\u00d7'))
    bars.sort(key=lambda b: -b.value)
    return bars_cut(bars)


def is_speed_peer(peer):
    return is_rival(peer) or family_of(peer) is OURS
