#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One page, or one picture, from what bench/run --json wrote.

The page needs nothing but itself: style and plots stand in it.  gnuplot draws
the plots; nothing else but python3 is needed.
"""
import argparse
import html
import os
import re
import statistics
import sys

# Whoever runs this may not write here, and the tree stays clean.
sys.dont_write_bytecode = True

import page_charts as charts_of
from page_data import BadInput, results_load, unique, workers_main
from page_peers import (
    BARE, SERIAL, Styles, family_of, figure, is_rival, palette_css, unit_text)
from page_picture import picture_make
from page_plots import PlotError, gnuplot_find, swatch

COLUMNS_MAX = 12
# What counts as 95 %: ranks of a few rounds don't give it exactly.
COVERAGE = 0.945
NOISY_MANY = 0.25

# What the context says, and how a reader calls it.
FACTS = (
    ('machine', 'Machine'), ('kernel', 'Kernel'), ('compiler', 'Compiler'),
    ('forkpool_version', 'forkpool'), ('commit', 'Commit'), ('date', 'Date'),
    ('cgroup', 'Control group'), ('huge_pages', 'Huge pages'), ('rounds', 'Rounds'),
    ('load_avg', 'Load before'))

# Groups in the order of the page: title, what x is, what it shows.
GROUPS = {
    'grain': ('Grain', 'work in an item',
              'How long an item must be before a pool pays: the same map with items of '
              'growing length.'),
    'payload': ('Payload, in place', 'bytes in an item',
                'Items of growing size, which lie where the workers can read them.'),
    'payload-copy': ('Payload, copied', 'bytes in an item',
                     'The same from private memory: each item is copied to a worker.'),
    'skew': ('Skew', 'dearest item / mean item',
             'The same work in all, unlike shared out: some items are far dearer than others.'),
    'submitters': ('Submitters', 'submitting threads',
                   'The same tasks from more and more threads.'),
    'recovery': ('Recovery', 'workers',
                 'A worker is killed with SIGKILL inside an item: until another works in its '
                 'place.'),
    'recovery-again': ('Recovery of the item', 'workers',
                       'The same, until the lost item has been run again.'),
    'startup': ('Start-up', 'dirty memory of the program',
                'Starting the workers beside a program that has touched so much memory.'),
    'cost': ('Cost of options', '',
             'The same work with retries, a timeout, or a status for each item.'),
}


def text(value):
    """VALUE as text of the page."""
    if isinstance(value, bool):
        value = 'yes' if value else 'no'
    elif isinstance(value, (list, tuple)):
        value = ', '.join(str(v) for v in value)
    plain = ''.join(c if c.isprintable() else ' ' for c in str(value))
    plain = plain.encode('utf-8', 'replace').decode('utf-8')
    return html.escape(plain if len(plain) <= 300 else plain[:300] + '...')


class Page:
    """Collects the sections; anchors are unique."""

    def __init__(self):
        self.parts, self.links, self.anchors = [], [], set()

    def add(self, markup):
        self.parts.append(markup)

    def anchor(self, name):
        base = re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-') or 'part'
        anchor, n = base, 1
        while anchor in self.anchors or re.match(r'plot\d', anchor):
            n += 1
            anchor = 'part-%s-%d' % (base, n)
        self.anchors.add(anchor)
        return anchor

    def section(self, title, words=''):
        anchor = self.anchor(title)
        self.links.append((anchor, title))
        self.add('<h2 id="%s">%s</h2>' % (anchor, text(title)))
        if words:
            self.add('<p>%s</p>' % text(words))

    def subsection(self, title, name):
        words = re.sub(r'\^(\d+)', r'<sup>\1</sup>', text(title))
        if title != name:
            words += ' <small>%s</small>' % text(name)
        self.add('<h3 id="%s">%s</h3>' % (self.anchor(name), words))


# ---- The head -------------------------------------------------------------------

def facts_html(results):
    context = results.context
    rows = [(label, context[key]) for key, label in FACTS
            if context.get(key) not in (None, '', [])]
    cpus, usable = context.get('num_cpus'), context.get('usable_cpus')
    if cpus is not None:
        count = cpus if usable in (None, cpus) else '%s, of which %s usable' % (cpus, usable)
        rows.insert(1, ('CPUs', count))
    rows.append(('Intervals', intervals_text(results.entries)))
    rows.append(('Noise', noise_text(results.entries)))
    return '<dl class="facts">%s</dl>' % ''.join(
        '<div><dt>%s</dt><dd>%s</dd></div>' % (text(k), text(v)) for k, v in rows)


def warnings_html(results):
    words = []
    if results.context.get('quick') is True or results.context.get('smoke') is True:
        words.append('A quick run: few items and few rounds. It shows that all works; its '
                     'figures are not to be cited.')
    noisy, tables = noisy_tables(results.entries)
    if noisy > NOISY_MANY * tables:
        words.append('Others used much of the machine in many tables: measure again.')
    return ''.join('<p class="warn">%s</p>' % w for w in words)


def noisy_tables(entries):
    """How many tables have a noisy peer, and how many there are."""
    return (len({(e.workload, e.workers) for e in entries if e.noisy}),
            len({(e.workload, e.workers) for e in entries}))


def intervals_text(entries):
    """Few rounds give no interval of 95 %: then those shown are of the whole range."""
    least = min(e.coverage for e in entries)
    if least >= COVERAGE:
        return '95\u00a0%'
    return 'too few rounds for 95\u00a0%%; some only %d\u00a0%%' % (100 * least)


def noise_text(entries):
    words = '%d of %d tables noisy' % noisy_tables(entries)
    tables = {(e.workload, e.workers): e for e in entries}
    others = [e.others for e in tables.values() if e.others is not None]
    if others:
        words += '; others took %.1f\u00a0%% of the machine, at most %.0f\u00a0%%' % (
            100 * statistics.median(others), 100 * max(others))
    return words


HOW = '''<ul class="how">
<li>Every number is the median of the rounds; the range beside it is the 95&nbsp;% interval of
that median, and so are the error bars. All pools of a table are measured in turn, round by round:
compare within one table or plot only.</li>
<li><b>&times;&nbsp;best</b> is a pool's time as a multiple of the best pool of another maker:
below 1 is faster. It is taken round by round.</li>
<li><b>Efficiency</b> is the time of the plain loop / (workers &times; time) of the same round:
1 is perfect.</li>
<li><span class="tag">noisy</span> others used much of the machine meanwhile: measure again.
<span class="tag">crowded</span> more workers than CPUs; plots have a grey ground there.</li>
<li>A plot shows forkpool and the best pool of each family, at most eight lines; a family has
one colour on the whole page. The tables have every pool. Point at a marker for its numbers.</li>
</ul>'''


# ---- Tables ------------------------------------------------------------------------

def tag(name, title):
    return '<abbr class="tag" title="%s">%s</abbr>' % (text(title), text(name))


def tags(entries):
    """Marks that all of ENTRIES share."""
    marks = ''
    if entries and all(e.noisy for e in entries):
        marks += tag('noisy', 'others used much of the machine')
    if entries and all(e.oversubscribed for e in entries):
        marks += tag('crowded', 'more workers than CPUs')
    return marks


def interval_html(e):
    return '<small>%s&ndash;%s</small>' % (figure(e.lower), figure(e.upper))


def verdict(mine, best):
    """Where forkpool stands: (class, word); level when the intervals allow that."""
    if mine.best_lower is not None and mine.best_upper is not None:
        level = mine.best_lower <= 1 <= mine.best_upper
    else:
        level = mine.lower <= best.upper and best.lower <= mine.upper
    if level:
        return '', 'level'
    ahead = mine.value > best.value if mine.higher_is_better else mine.value < best.value
    return ('good', 'ahead') if ahead else ('bad', 'behind')


def best_of(entries):
    """The best pool of another maker in one table, or None."""
    rivals = [e for e in entries if is_rival(e.peer)]
    return min(rivals, key=lambda e: e.time, default=None)


def summary_html(results):
    bodies = []
    for name in results.workloads():
        entries = results.workload(name)
        rows = []
        for count in sorted(unique(e.workers for e in entries)):
            here = [e for e in entries if e.workers == count]
            mine = next((e for e in here if e.peer == 'forkpool'), None)
            if mine:
                rows.append(summary_row(count, here, mine))
        if rows:
            rows[0] = '<th class="left" scope="rowgroup" rowspan="%d">%s</th>%s' % (
                len(rows), text(name), rows[0])
            bodies.append('<tbody>%s</tbody>' % ''.join('<tr>%s</tr>' % r for r in rows))
    if not bodies:
        return ''
    return ('<div class="scroll"><table class="glance"><thead><tr><th class="left">workload</th>'
            '<th class="left">workers</th><th>forkpool</th><th>interval</th>'
            '<th class="left">unit</th>'
            '<th class="left">best other pool</th><th></th><th>interval</th>'
            '<th>&times; best</th><th class="left">forkpool is</th>'
            '<th>best pipes</th></tr></thead>' + ''.join(bodies) + '</table></div>')


def summary_row(count, here, mine):
    best, pipe = best_of(here), charts_of.pipe_of(here)
    cells = ['<td class="left">%d%s</td>' % (count, tags(here)),
             '<td class="ours">%s</td><td>%s</td>' % (figure(mine.value), interval_html(mine)),
             '<td class="left">%s</td>' % text(unit_text(mine.unit))]
    if best:
        kind, word = verdict(mine, best)
        ratio = mine.best_ratio
        if ratio is None and best.time > 0:
            ratio = mine.time / best.time
        cells += ['<td class="left">%s</td>' % text(best.peer),
                  '<td>%s</td><td>%s</td>' % (figure(best.value), interval_html(best)),
                  '<td>%s</td>' % ('' if ratio is None else figure(ratio)),
                  '<td class="left %s">%s</td>' % (kind, word)]
    else:
        cells.append('<td class="left soft" colspan="5">no other pool measured</td>')
    cells.append('<td>%s</td>' % (times_text(pipe.time / mine.time)
                                  if pipe and mine.time > 0 else ''))
    return ''.join(cells)


def times_text(ratio):
    return '%s&times; %s' % ((figure(ratio), 'slower') if ratio >= 1 else
                             (figure(1 / ratio), 'faster'))


def table_html(entries, key, head):
    """Peers down, columns of KEY across, named by HEAD; wide ones are cut into several."""
    columns = sorted(unique(key(e) for e in entries))
    return ''.join(table_part(entries, key, head, columns[i:i + COLUMNS_MAX])
                   for i in range(0, len(columns), COLUMNS_MAX))


def table_part(entries, key, head, columns):
    cells = {(e.peer, key(e)): e for e in entries}
    main = columns[-1] if len({e.workers for e in entries}) == 1 else workers_main(entries)
    if main not in columns:
        main = columns[-1]

    def rank(peer):
        e = cells.get((peer, main))
        return (e is None, e.time if e else 0, peer)

    peers = sorted(unique(e.peer for e in entries), key=rank)
    small = '<br>'.join(words for words, on in (
        ('&times; best', any(e.best_ratio is not None for e in entries)),
        ('efficiency', any(e.efficiency is not None for e in entries))) if on)
    heads = ''.join(
        '<th>%s%s</th>%s' % (
            text(head(next(e for e in entries if key(e) == c))),
            tags([e for e in entries if key(e) == c]),
            small and '<th><small>%s</small></th>' % small) for c in columns)
    rows = ''.join('<tr%s><th scope="row">%s</th>%s</tr>' % (
        ' class="ours"' if peer == 'forkpool' else '', text(peer),
        ''.join(cell_html(cells.get((peer, c)), small) for c in columns)) for peer in peers)
    unit = ' and '.join(unit_text(u) for u in unique(e.unit for e in entries))
    better = 'more is better' if entries[0].higher_is_better else 'less is better'
    return ('<div class="scroll"><table%s><caption>%s; %s</caption><thead><tr>'
            '<th class="left">peer</th>%s</tr></thead><tbody>%s</tbody></table></div>' % (
                ' class="one"' if len(columns) == 1 else '', text(unit), better, heads, rows))


def cell_html(e, beside):
    """A value, and BESIDE it, if anything is there in its table, ratio and efficiency."""
    if e is None:
        return '<td class="value soft">&ndash;</td>' + ('<td></td>' if beside else '')
    value = '<td class="value">%s%s</td>' % (figure(e.value), interval_html(e))
    if not beside:
        return value
    ratio = figure(e.best_ratio) if e.best_ratio is not None else ''
    if family_of(e.peer) in (SERIAL, BARE):
        ratio = ''
    efficiency = '' if e.efficiency is None else '<small>%.3f</small>' % e.efficiency
    return value + '<td class="ratio">%s%s</td>' % (ratio or '&nbsp;', efficiency)


def crossings_html(rows, x_text):
    if not rows:
        return ''
    heads = ''.join('<th>%g from</th>' % level for level in charts_of.EFFICIENCIES)
    body = ''.join('<tr%s><th scope="row">%s</th>%s</tr>' % (
        ' class="ours"' if peer == 'forkpool' else '', text(peer),
        ''.join('<td>%s</td>' % (text(x_text(at)) if at is not None else
                                 '<span class="soft">not reached</span>') for at in ats))
        for peer, ats in rows)
    return ('<p class="note">The least work in an item from which on a pool has this efficiency; '
            'between two measured lengths by their logarithms.</p>'
            '<div class="scroll"><table><thead><tr><th class="left">efficiency</th>%s</tr></thead>'
            '<tbody>%s</tbody></table></div>' % (heads, body))


# ---- Figures ---------------------------------------------------------------------------

def figures_html(figures, styles, beside=''):
    if not figures:
        return ''
    return '<div class="figures">%s%s</div>' % (
        ''.join(figure_html(f, styles) for f in figures), beside)


def figure_html(f, styles):
    legend = ''.join('<li%s>%s%s</li>' % (
        ' class="ours"' if p == 'forkpool' else '', swatch(p, styles), text(p))
        for p in sorted(f.peers, key=lambda p: p != 'forkpool'))
    note = f.note
    if f.dropped:
        note = (note + ' Not drawn: %s.' % ', '.join(f.dropped)).strip()
    return '<figure><figcaption>%s</figcaption>%s%s%s</figure>' % (
        text(f.title), f.svg, legend and '<ul class="legend">%s</ul>' % legend,
        note and '<p class="note">%s</p>' % text(note))


# ---- Sections -------------------------------------------------------------------------------

def speedup_section(page, charts):
    figures = charts_of.speedup_figures(charts)
    if figures:
        page.section('Speed-up over the pipe pool',
                     'How many times as fast as the best pool on pipes in the same run: forkpool '
                     'and the best pool of each other family. Bars to the left are slower.')
        page.add(figures_html(figures, charts.styles))


def workloads_section(page, charts):
    results = charts.results
    for name in results.workloads():
        if name == results.workloads()[0]:
            page.section('Workloads')
            page.add('<div class="workloads">')
        entries = results.workload(name)
        figures = charts_of.workers_figures(charts, entries)
        page.add('<section%s>' % (' class="full"' if figures else ''))
        title = entries[0].title
        page.subsection(title or name, name)
        table = table_html(entries, lambda e: e.workers,
                           lambda e: charts_of.workers_text(e.workers))
        if len(figures) == 1 and len({e.workers for e in entries}) <= 3:
            page.add(figures_html(figures, charts.styles, beside=table))
        else:
            page.add(figures_html(figures, charts.styles) + table)
        page.add('</section>')
    if results.workloads():
        page.add('</div>')


def latency_section(page, charts):
    figures = charts_of.latency_figures(charts)
    if figures:
        page.section('Latency', 'Single trips of all rounds: the share on the x axis took no '
                                'longer than the time on the y axis.')
        page.add(figures_html(figures, charts.styles))


def group_section(page, charts, group):
    title, x_title, words = GROUPS.get(group, (group, '', ''))
    page.section(title, words)
    for entries in charts_of.group_parts(charts.results.group(group)):
        if charts_of.is_sweep(entries):
            sweep_part(page, charts, group, x_title, entries)
        else:
            page.add(figures_html(charts_of.group_bars(charts, entries), charts.styles))
            for name in unique(e.workload for e in entries):
                here = [e for e in entries if e.workload == name]
                page.add(table_html(here, lambda e: e.workers,
                                    lambda e: '%s, %s' % (
                                        name, charts_of.workers_text(e.workers))))


def sweep_part(page, charts, group, x_title, entries):
    if not entries[0].x_unit.startswith('worker'):
        page.add('<p class="soft">%s%s</p>' % (
            text(charts_of.workers_text(entries[0].workers)), tags(entries)))
    figures = charts_of.sweep_figures(charts, group, x_title, entries)
    page.add(figures_html(figures, charts.styles))
    if group == 'grain':
        x_text = charts_of.X_TEXTS.get(entries[0].x_unit, charts_of.plain_text)
        page.add(crossings_html(charts_of.crossings(entries), x_text))
    by_name = group == 'skew'
    page.add(table_html(entries, lambda e: e.x,
                        lambda e: e.workload if by_name else charts_of.x_text(e)))


def page_make(results, source):
    styles = Styles(results.peers)
    charts = charts_of.Charts(results, styles)
    page = Page()
    summary = summary_html(results)
    if summary:
        page.section('At a glance')
        page.add(summary)
    speedup_section(page, charts)
    workloads_section(page, charts)
    latency_section(page, charts)
    groups = results.groups()
    for group in [g for g in GROUPS if g in groups] + [g for g in groups if g not in GROUPS]:
        group_section(page, charts, group)
    return page_html(page, results, source)


def page_html(page, results, source):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'page.css'),
              encoding='utf-8') as file:
        style = file.read().split('*/', 1)[1].strip()
    style += ('\n:root{%s}\n@media screen and (prefers-color-scheme: dark){:root{%s}}' % (
        palette_css(False), palette_css(True)))
    machine = text(results.context.get('machine') or results.context.get('host_name') or '')
    nav = ''.join('<a href="#%s">%s</a>' % (a, text(t)) for a, t in page.links)
    return '\n'.join((
        '<!DOCTYPE html>', '<html lang="en">', '<head>', '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<title>forkpool bench%s</title>' % (machine and ': ' + machine),
        '<style>\n%s\n</style>' % style, '</head>', '<body>',
        '<h1>forkpool bench</h1>', facts_html(results), warnings_html(results),
        '<nav>%s</nav>' % nav,
        '<h2 id="how">How to read this page</h2>', HOW, '\n'.join(page.parts),
        '<footer>Made by bench/page.py from %s.</footer>' % text(os.path.basename(source)),
        '</body>', '</html>', ''))


# ---- The command -------------------------------------------------------------------------------

def arguments():
    parser = argparse.ArgumentParser(
        description='Makes a self-contained page, or a picture, from what bench/run --json wrote.')
    parser.add_argument('--picture', metavar='OUT.svg',
                        help='the main figures as one picture on a ground of its own')
    parser.add_argument('input', metavar='IN.json')
    parser.add_argument('output', metavar='OUT.html', nargs='?')
    args = parser.parse_intermixed_args()
    if not args.output and not args.picture:
        parser.error('neither OUT.html nor --picture')
    return args


def file_write(path, content):
    try:
        with open(path, 'w', encoding='utf-8') as file:
            file.write(content)
    except OSError as err:
        raise PlotError('%s: %s' % (path, err.strerror or err))


def main():
    args = arguments()
    try:
        results = results_load(args.input)
        gnuplot_find()
        # Nothing is written before all is drawn.
        page = args.output and page_make(results, args.input)
        picture = args.picture and picture_make(results)
        if page:
            file_write(args.output, page)
        if picture:
            file_write(args.picture, picture)
    except BadInput as err:
        sys.exit('page.py: %s: %s' % (args.input, err))
    except PlotError as err:
        sys.exit('page.py: %s' % err)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == '__main__':
    main()
