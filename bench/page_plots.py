# SPDX-License-Identifier: MIT
"""Plots: a description in, gnuplot draws, an SVG that stands in a page comes out.

gnuplot gets plain coordinates: logarithms are taken here, and every tic is
given with its text.  So axes may show 0 beside a logarithmic scale, and units
that people read.  Colours go through gnuplot as numbers and come out as CSS
variables, so that a page follows the reader's light or dark scheme; ids get a
prefix, since several SVGs in one page share their names.
"""
import collections
import math
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

from page_peers import FAMILIES, OURS

SVG = 'http://www.w3.org/2000/svg'
XLINK = 'http://www.w3.org/1999/xlink'
ET.register_namespace('', SVG)
ET.register_namespace('xlink', XLINK)

# Colours that aren't a peer's: as gnuplot gets them, and their CSS variables.
# BOLD is ink in bold type, of which this terminal of gnuplot knows nothing.
INK, SOFT, GRID, SHADE, CARD, BOLD = (
    '#010203', '#010204', '#010205', '#010206', '#010207', '#010208')
ROLES = ((INK, 'ink'), (SOFT, 'soft'), (GRID, 'grid'), (SHADE, 'shade'), (CARD, 'card'),
         (BOLD, 'ink'))

FONT = 14
CHAR = 7.6		# about the width of a character of that font
LINE_SIZE = 480, 320
BAR_WIDTH = 500
BAR_ROW = 23
GNUPLOT_LIMIT = 60	# seconds

# tip is what a reader who points at it sees.
Point = collections.namedtuple('Point', 'x y lower upper tip')
Line = collections.namedtuple('Line', 'peer points')
Bar = collections.namedtuple('Bar', 'label peer value lower upper text')
# y is a value on the y axis.
Guide = collections.namedtuple('Guide', 'y text')


class PlotError(Exception):
    """gnuplot is missing or failed."""


# ---- Axes ----------------------------------------------------------------------

class Axis:
    """From values to places on the paper; tics are (place, text)."""

    def __init__(self, title, place, low, high, tics):
        self.title, self.place, self.low, self.high, self.tics = title, place, low, high, tics


def nice_step(span, parts):
    raw = span / parts
    size = 10 ** math.floor(math.log10(raw))
    return next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= raw * 0.9999)


def axis_linear(title, low, high, text, parts=5):
    step = nice_step((high - low) or 1, parts)
    first = math.ceil(low / step - 1e-9)
    tics = [(k * step, text(k * step)) for k in range(first, int(high / step + 1e-9) + 1)]
    return Axis(title, float, low, high, tics)


def log_tics(low, high):
    """Values between LOW and HIGH worth a tic: decades, or less where they span few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        values = [f * 10.0 ** d for d in decades for f in factors]
        values = [v for v in values if low <= v <= high]
        if len(values) >= 3:
            return values[::1 + (len(values) - 1) // 7]
    step = nice_step(high - low, 4)
    return [k * step for k in range(math.ceil(low / step), int(high / step) + 1)]


def axis_log(title, values, text, floor=None):
    """Over positive VALUES, with some room at both ends."""
    low, high = min(values), max(values)
    pad = max((high / low) ** 0.06, 1.12)
    low, high = min(low / pad, floor or math.inf), high * pad
    tics = [(math.log10(v), text(v)) for v in log_tics(low, high)]
    return Axis(title, math.log10, math.log10(low), math.log10(high), tics)


def axis_points(title, values, text):
    """A tic at each of VALUES, on a logarithmic scale; 0 stands before the others."""
    values = sorted(set(values))
    positive = [math.log10(v) for v in values if v > 0] or [0.0]
    gap = (positive[-1] - positive[0]) / max(len(positive) - 1, 1) or 0.3
    zero = positive[0] - gap

    def place(value):
        return math.log10(value) if value > 0 else zero

    low, high = place(values[0]), place(values[-1])
    pad = max((high - low) * 0.05, gap * 0.2)
    low, high = low - pad, high + pad
    return Axis(title, place, low, high,
                tics_thin([(place(v), text(v)) for v in values], low, high))


def axis_names(title, names):
    """Names side by side; values are their indexes."""
    return Axis(title, float, -0.4, len(names) - 0.6, list(enumerate(names)))


def tics_thin(tics, low, high):
    """Without the tics whose text would run into the one before."""
    scale = (LINE_SIZE[0] - 90) / (high - low)
    kept, end = [], -math.inf
    for place, text in tics:
        half = len(text) * CHAR / 2
        middle = (place - low) * scale
        if middle - half >= end:
            kept.append((place, text))
            end = middle + half + CHAR
    return kept


# ---- What gnuplot reads ----------------------------------------------------------

def quoted(text):
    """In single quotes gnuplot expands nothing."""
    return "'%s'" % text.replace("'", "''")


def number(value):
    return '%.9g' % value


def head(width, height):
    return [
        "set terminal svg noenhanced dynamic size %d,%d font 'sans,%d'" % (width, height, FONT),
        'unset key',
        'set encoding utf8',
        "set border 0 lc rgb '%s'" % GRID,
        "set grid x y lt 1 lw 1 lc rgb '%s'" % GRID,
        "set tics scale 0 textcolor rgb '%s'" % INK,
    ]


def tics_set(which, tics):
    # A text of a tic is a format, in which only % means something.
    return 'set %stics (%s)' % (which, ', '.join(
        '%s %s' % (quoted(text.replace('%', '%%')), number(place)) for place, text in tics))


def label_set(text, where, colour=INK, align='left'):
    return "set label %s at %s %s textcolor rgb '%s' front" % (
        quoted(text), where, align, colour)


def data_set(name, rows):
    return ['$%s << END_OF_DATA' % name] + [
        ' '.join(number(v) for v in row) for row in rows] + ['END_OF_DATA']


def margins_set(width, height, left, right, top, bottom):
    return ['set %smargin at screen %s' % (side, number(at)) for side, at in (
        ('l', left / width), ('r', 1 - right / width),
        ('t', 1 - top / height), ('b', bottom / height))]


def line_script(x, y, lines, styles, guides, crowded):
    width, height = LINE_SIZE
    left = 14 + CHAR * max(len(text) for _, text in y.tics)
    script = head(width, height) + margins_set(width, height, left, 12, 34, 56)
    script += [
        'set xrange [%s:%s]' % (number(x.low), number(x.high)),
        'set yrange [%s:%s]' % (number(y.low), number(y.high)),
        tics_set('x', x.tics), tics_set('y', y.tics),
        label_set(y.title, 'screen 0.01, screen 0.955', SOFT),
        "set xlabel %s textcolor rgb '%s' offset 0,0.6" % (quoted(x.title), SOFT),
        'set errorbars small' if lines else '',
    ]
    if crowded is not None:
        script += ["set object rectangle from %s, graph 0 to graph 1, graph 1 behind "
                   "fillcolor rgb '%s' fillstyle solid noborder" % (number(crowded), SHADE),
                   label_set('crowded', 'graph 1, screen 0.955', SOFT, 'right')]
    for guide in guides:
        at = number(y.place(guide.y))
        script += ["set arrow from graph 0, first %s to graph 1, first %s nohead "
                   "lc rgb '%s' lw 1.2 dt (4,4) back" % (at, at, SOFT),
                   label_set(guide.text, 'graph 0.01, first %s offset 0,0.45' % at, SOFT)]
    plots = []
    for i, line in enumerate(lines):
        script += data_set('d%d' % i, [
            (x.place(p.x), y.place(p.y), y.place(p.lower), y.place(p.upper))
            for p in line.points])
        plots.append(line_plot('$d%d' % i, line.peer, styles))
    return script + ['plot ' + ', '.join(plots)]


def line_plot(data, peer, styles):
    style = styles[peer]
    filled, hollow, _ = styles.marker(peer)
    return "%s using 1:2:3:4 with yerrorlines lw %s dt %s pt %d ps %s lc rgb '%s'" % (
        data, styles.width(peer), styles.dash(peer)[0],
        hollow if style.variant % 2 else filled,
        '0.75' if peer == 'forkpool' else '0.6', style.family.light)


def bar_room(bars):
    """What the texts at the left and right of BARS take."""
    return (20 + CHAR * max(len(bar.label) for bar in bars),
            14 + CHAR * max(len(bar.text) for bar in bars))


def bar_script(x, bars, styles, base, guide, room):
    width, height = BAR_WIDTH, len(bars) * BAR_ROW + 66
    left, right = room
    script = head(width, height) + margins_set(width, height, left, right, 10, 56)
    script += bar_set(x, bars, styles, base)
    script += ['set xrange [%s:%s]' % (number(x.low), number(x.high)),
               'set yrange [%s:0.5]' % number(0.5 - len(bars)),
               'unset ytics', 'set grid noy', tics_set('x', x.tics),
               "set xlabel %s textcolor rgb '%s' offset 0,0.6" % (quoted(x.title), SOFT)]
    if guide is not None:
        at = number(x.place(guide))
        script.append("set arrow from %s, graph 0 to %s, graph 1 nohead lc rgb '%s' lw 1.5 "
                      'back' % (at, at, INK))
    return script + [bar_plot()]


def bar_set(x, bars, styles, base):
    """The data of bars, from the top, and the text at both ends of each."""
    boxes, whiskers, texts = [], [], []
    for i, bar in enumerate(bars):
        y, at = -i, x.place(bar.value)
        half = 0.4 if styles[bar.peer].family is OURS else 0.32
        colour = int(styles[bar.peer].family.light[1:], 16)
        boxes.append((at, y, min(at, x.place(base)), max(at, x.place(base)),
                      y - half, y + half, colour))
        whiskers.append((at, y, x.place(bar.lower), x.place(bar.upper)))
        ink = BOLD if bar.peer == 'forkpool' else INK
        texts.append(label_set(bar.label, 'graph 0, first %s offset -0.8,0' % number(y), ink,
                               'right'))
        texts.append(label_set(bar.text, 'first %s, first %s offset 0.8,0' % (
            number(max(at, x.place(base), x.place(bar.upper))), number(y)), ink))
    return data_set('boxes', boxes) + data_set('whiskers', whiskers) + texts


def bar_plot():
    return ('plot $boxes using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid noborder '
            "lc rgb variable, $whiskers using 1:2:3:4 with xerrorbars pt 0 ps 0 lw 1.2 lc rgb '%s'"
            % INK)


# ---- What gnuplot writes ----------------------------------------------------------

def gnuplot_find():
    path = shutil.which('gnuplot')
    if not path:
        raise PlotError('gnuplot is missing (Debian: gnuplot-nox)')
    return path


def gnuplot_run(script):
    try:
        done = subprocess.run([gnuplot_find(), '-d'], input='\n'.join(script).encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=GNUPLOT_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as err:
        raise PlotError('gnuplot: %s' % err)
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors='replace').split('\n')
        raise PlotError('gnuplot failed: %s' % ' '.join(said).strip()[:300])
    try:
        return ET.fromstring(done.stdout)
    except ET.ParseError as err:
        raise PlotError('gnuplot wrote no SVG: %s' % err)


def colours_css():
    """gnuplot's colours to CSS variables."""
    named = list(ROLES) + [(f.light, 'f-' + f.key) for f in FAMILIES]
    return {rgb(colour): 'var(--%s)' % name for colour, name in named}


def colours_fixed(roles):
    """Colours of their own, for a picture that stands alone."""
    named = [(colour, roles[name]) for colour, name in ROLES]
    return {rgb(colour): to for colour, to in named + [(f.light, f.light) for f in FAMILIES]}


def rgb(colour):
    return tuple(int(colour[i:i + 2], 16) for i in (1, 3, 5))


def svg_mend(root, ident, title, text, colours, tips=(), fonts=None):
    """Makes gnuplot's SVG fit for a page: ids, colours, words for those who don't see it."""
    tidy(root)
    names = {e.get('id'): '%s-%s' % (ident, e.get('id'))
             for e in root.iter() if e.get('id')}
    groups = [e for e in root.iter('{%s}g' % SVG)
              if (e.get('id') or '').startswith('gnuplot_plot_')]
    tips_put(groups, tips)
    for element in root.iter():
        colours_put(element, colours)
        link = element.get('{%s}href' % XLINK)
        if link:
            element.set('{%s}href' % XLINK, '#' + names[link[1:]])
        if element.get('id'):
            element.set('id', names[element.get('id')])
    words_put(root, ident, title, text)
    if fonts:
        root.set('font-family', fonts)
    return ET.tostring(root, encoding='unicode')


def tidy(root):
    """Away with what gnuplot always writes and this plot doesn't use."""
    parents = {child: parent for parent in root.iter() for child in parent}
    for element in reversed(list(root.iter())):
        tag = element.tag.split('}')[1]
        element.attrib.pop('font-family', None)
        if tag != 'text':
            element.text = None
        element.tail = None
        if tag in ('title', 'desc', 'filter') or tag == 'g' and not len(element) or \
                tag == 'rect' and element.get('fill') == 'none' and not element.get('id'):
            parents[element].remove(element)
    while True:
        used = {e.get('{%s}href' % XLINK) for e in root.iter()}
        idle = [(defs, e) for defs in root.iter('{%s}defs' % SVG) for e in defs
                if '#' + e.get('id', '') not in used]
        if not idle:
            break
        for defs, element in idle:
            defs.remove(element)


def tips_put(groups, tips):
    """TIPS: for each plot, one text for each of its markers or boxes."""
    for group, texts in zip(groups, tips):
        marks = [e for e in group.iter() if e.tag in ('{%s}use' % SVG, '{%s}polygon' % SVG)]
        for mark, text in zip(marks, texts):
            title = ET.SubElement(mark, '{%s}title' % SVG)
            title.text = text


def colours_put(element, colours):
    style = []
    for name in ('stroke', 'fill', 'color'):
        value = element.get(name)
        match = re.match(r'rgb\(\s*(\d+),\s*(\d+),\s*(\d+)\s*\)$', value or '')
        if not match:
            continue
        colour = tuple(int(v) for v in match.groups())
        to = colours.get(colour)
        if colour == rgb(BOLD):
            element.set('font-weight', 'bold')
        if to and to.startswith('var'):
            del element.attrib[name]
            style.append('%s:%s' % (name, to))
        elif to:
            element.set(name, to)
    if style:
        element.set('style', ';'.join(style))


def words_put(root, ident, title, text):
    root.set('role', 'img')
    root.set('aria-labelledby', '%s-title %s-desc' % (ident, ident))
    for i, (tag, words) in enumerate((('title', title), ('desc', text))):
        element = ET.Element('{%s}%s' % (SVG, tag), {'id': '%s-%s' % (ident, tag)})
        element.text = words
        root.insert(i, element)


# ---- Plots for a page ---------------------------------------------------------------

def line_svg(ident, title, text, x, y, lines, styles, guides=(), crowded=None):
    """LINES over two axes; forkpool's is drawn last, over the others."""
    lines = sorted(lines, key=lambda line: line.peer == 'forkpool')
    root = gnuplot_run(line_script(x, y, lines, styles, guides, crowded))
    tips = [[p.tip for p in line.points] for line in lines]
    return svg_mend(root, ident, title, text, colours_css(), tips)


def bar_svg(ident, title, text, x, bars, styles, base, guide=None, room=None):
    """BARS from BASE on; a line across at GUIDE; ROOM as bar_room() has it."""
    room = room or bar_room(bars)
    root = gnuplot_run(bar_script(x, bars, styles, base, guide, room))
    tips = ['%s: %s' % (bar.peer, bar.text) for bar in bars]
    return svg_mend(root, ident, title, text, colours_css(), [tips])


def swatch(peer, styles):
    """Line and marker of PEER as a legend shows them."""
    style = styles[peer]
    dash = styles.dash(peer)[1]
    fill = 'var(--card)' if style.variant % 2 else 'currentColor'
    return ('<svg class="swatch" viewBox="0 0 34 10" aria-hidden="true" '
            'style="color:var(--f-%s)"><path d="M0 5h34" stroke="currentColor" '
            'stroke-width="%s"%s/><g transform="translate(12)" fill="%s" stroke="currentColor" '
            'stroke-width="1.2">%s</g></svg>' % (
                style.family.key, styles.width(peer),
                dash and ' stroke-dasharray="%s"' % dash, fill, styles.marker(peer)[2]))
