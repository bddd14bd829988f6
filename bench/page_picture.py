# SPDX-License-Identifier: MIT
"""The one picture: forkpool beside what else one would take, on a ground of its own."""
import collections

from page_charts import label_text, workers_text
from page_data import BadInput, workers_main
from page_peers import Styles, family_of, figure, speed_key, time_of, time_text
from page_plots import (
    BOLD, CARD, CHAR, GRID, SOFT, Bar, axis_log, bar_plot, bar_set,
    colours_fixed, gnuplot_run, head, label_set, margins_set, number, svg_mend, tics_set)

Panel = collections.namedtuple('Panel', 'workload title words')

PANELS = (
    Panel('w1', 'Tiny items: one hash each', 'time per item'),
    Panel('w2', 'Small items: 1 \u00b5s each', 'time of the whole map'),
    Panel('w4', 'Single tasks, submitted one by one', 'time per task'),
    Panel('w5-hot', 'One round trip', 'median time'),
)
# Whose best is shown: families, and what a reader knows them by.
KINDS = (
    (('ours',), 'forkpool'),
    (('omp', 'tbb', 'threads', 'glib'), 'threads'),
    (('pipe',), 'pipes'),
    (('python',), 'Python'),
)
ROLES = {'ink': '#1c2024', 'soft': '#565f68', 'grid': '#e3e6ea', 'shade': '#f6f7f8',
         'card': '#ffffff'}
WIDTH = 800
MARGIN = 20
TOP, BOTTOM = 66, 34
PANEL_HEAD, PANEL_FOOT = 26, 16
ROW = 24
FONTS = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'


def panel_entries(results, panel):
    """(label, entry) for each kind that was measured, forkpool's first."""
    entries = results.workload(panel.workload)
    if not any(e.peer == 'forkpool' for e in entries):
        return []
    count = workers_main(entries)
    entries = [e for e in entries if e.workers == count and time_of(e, e.value)]
    rows = []
    for families, label in KINDS:
        mine = [e for e in entries if family_of(e.peer).key in families and
                (label != 'forkpool' or e.peer == 'forkpool')]
        if mine:
            best = min(mine, key=lambda e: speed_key([e]))
            rows.append((label, best))
    return rows


def panel_bars(rows):
    bars, mine = [], time_of(rows[0][1], rows[0][1].value)
    for label, e in rows:
        value = time_of(e, e.value)
        ends = [time_of(e, v) or value for v in (e.lower, e.upper)]
        name = label if label == e.peer else '%s (%s)' % (label, label_text(e.peer))
        text = time_text(value)
        if label != 'forkpool':
            text += ', %s\u00d7' % figure(value / mine)
        bars.append(Bar(name, e.peer, value, min(ends), max(ends), text))
    return bars


def panel_height(rows):
    return PANEL_HEAD + len(rows) * ROW + PANEL_FOOT


def panel_script(panel, rows, top, size, labels, texts, styles):
    """One panel, TOP from the upper edge; LABELS and TEXTS are the room beside all bars."""
    bars = panel_bars(rows)
    values = [v for b in bars for v in (b.lower, b.upper)]
    x = axis_log('', values, time_text, floor=min(values) / 3)
    count = rows[0][1].workers
    words = '%s: %s, %s' % (panel.title, panel.words, workers_text(count))
    script = ['unset label', 'unset object']
    script += margins_set(size[0], size[1], MARGIN + labels, MARGIN + texts, top + PANEL_HEAD,
                          size[1] - top - panel_height(rows) + PANEL_FOOT)
    script += [
        'set xrange [%s:%s]' % (number(x.low), number(x.place(max(values)))),
        'set yrange [%s:0.5]' % number(0.5 - len(bars)),
        tics_set('x', [(place, '') for place, _ in x.tics]),
        label_set(words, at(MARGIN, top + PANEL_HEAD / 2, size), BOLD)]
    script += bar_set(x, bars, styles, 10 ** x.low)
    return script + [bar_plot()]


def at(left, top, size):
    return 'screen %s, screen %s' % (number(left / size[0]), number(1 - top / size[1]))


def picture_script(results, panels, styles):
    bars = [bar for _, rows in panels for bar in panel_bars(rows)]
    labels = 14 + CHAR * max(len(b.label) for b in bars)
    texts = 16 + CHAR * max(len(b.text) for b in bars)
    size = WIDTH, TOP + sum(panel_height(rows) for _, rows in panels) + BOTTOM
    script = head(*size) + ['set grid noy', 'unset ytics', 'set multiplot']
    first = ["set object rectangle from screen 0,0 to screen 1,1 behind fillcolor rgb '%s' "
             "fillstyle solid border lc rgb '%s'" % (CARD, GRID),
             label_set('forkpool and the best pool of each other kind', at(MARGIN, 22, size), BOLD),
             label_set('Shorter is better; every scale is logarithmic; n\u00d7: times as long '
                       'as forkpool', at(MARGIN, 44, size), SOFT),
             label_set(machine_text(results), at(MARGIN, size[1] - 20, size), SOFT)]
    top = TOP
    for panel, rows in panels:
        part = panel_script(panel, rows, top, size, labels, texts, styles)
        part[2:2] = first
        script += part
        first, top = [], top + panel_height(rows)
    return script + ['unset multiplot']


def machine_text(results):
    context = results.context
    words = [str(context.get(k)) for k in ('machine', 'date') if context.get(k)]
    rounds = context.get('rounds')
    if rounds:
        words.append('medians of %s rounds' % rounds)
    if context.get('quick') is True:
        words.append('a quick run')
    return ''.join(c if c.isprintable() else ' ' for c in '; '.join(words))[:100]


def picture_make(results):
    panels = [(p, panel_entries(results, p)) for p in PANELS]
    panels = [(p, rows) for p, rows in panels if rows]
    if not panels:
        raise BadInput('none of %s with forkpool in it, so no picture' %
                       ', '.join(p.workload for p in PANELS))
    root = gnuplot_run(picture_script(results, panels, Styles(results.peers)))
    words = '. '.join('%s: %s' % (p.title, ', '.join(
        '%s %s' % (bar.label, bar.text) for bar in panel_bars(rows))) for p, rows in panels)
    return svg_mend(root, 'picture', 'forkpool beside other pools', words,
                    colours_fixed(ROLES), fonts=FONTS) + '\n'
