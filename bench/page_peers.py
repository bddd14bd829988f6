# SPDX-License-Identifier: MIT
"""How a peer looks in every plot, and how numbers are written.

A colour is a family of peers (pools on pipes, OpenMP ...); its members differ
in dashes and markers.  The eight families met most often have colours that the
colour-blind tell apart; markers and dashes serve everyone, also on paper.
"""
import collections
import math
import re

# Colours on white and on black; shape is an index into SHAPES.
Family = collections.namedtuple('Family', 'key pattern label light dark shape')

FAMILIES = (
    Family('ours', r'forkpool|with-', 'forkpool', '#d55e00', '#ff8a2b', 0),
    Family('serial', r'serial', 'the plain loop', '#8a8a8a', '#9a9a9a', 0),
    Family('bare', r'(spin|futex|memcpy)\b', 'no pool', '#70757c', '#a8adb4', 5),
    Family('pipe', r'pipe', 'pipes', '#0072b2', '#4fa8e8', 1),
    Family('socket', r'socket', 'sockets', '#5b4fb5', '#a79bf0', 3),
    Family('queue', r'mq|queue', 'message queues', '#2f9d8f', '#5fd0c0', 4),
    Family('shm', r'shm|sem', 'shared memory, locks', '#009e73', '#2fce9c', 2),
    Family('threads', r'condvar|pthread|thread', 'threads, condvars', '#c2649c', '#eb9fca', 5),
    Family('omp', r'omp|openmp', 'OpenMP', '#222629', '#e8eaed', 3),
    Family('tbb', r'tbb', 'oneTBB', '#b58900', '#f0cb3c', 4),
    Family('glib', r'glib|gthread', 'GLib', '#882255', '#e07aa5', 2),
    Family('python', r'py|joblib|executor', 'Python', '#3d9be0', '#8fd0ff', 1),
    Family('mpi', r'(open)?mpi', 'MPI', '#7f7f1c', '#c9c955', 3),
    Family('commands', r'xargs|parallel', 'whole commands', '#6b4f3a', '#c9a585', 4),
    Family('fork', r'fork', 'fork per task', '#8c5a2b', '#dca267', 5),
    Family('other', r'', 'others', '#5c6670', '#b4bcc6', 5),
)
OURS, SERIAL, BARE = FAMILIES[:3]
# Drawn in every plot where they were measured.
COMPARED = ('pipe', 'python')

# gnuplot's filled and open marker, and the same within 10 x 10.
SHAPES = (
    (7, 6, '<circle cx="5" cy="5" r="4"/>'),
    (5, 4, '<path d="M1.5 1.5h7v7h-7z"/>'),
    (9, 8, '<path d="M5 .8 9 8.2H1z"/>'),
    (13, 12, '<path d="M5 .4 9.6 5 5 9.6 .4 5z"/>'),
    (11, 10, '<path d="M5 9.2 9 1.8H1z"/>'),
    (15, 14, '<path d="M5 .6 9.4 3.8 7.7 9H2.3L.6 3.8z"/>'),
)
# For gnuplot and for SVG, alike; the first is a full line.
DASHES = (('1', ''), ('(8,4)', '8 4'), ('(2,3)', '2 3'), ('(10,3,2,3)', '10 3 2 3'))

Style = collections.namedtuple('Style', 'family variant')


def family_of(peer):
    name = peer.lower()
    for family in FAMILIES:
        if re.match(family.pattern, name):
            return family
    return FAMILIES[-1]


def is_rival(peer):
    """Whether PEER is a pool of another maker: what forkpool is compared with."""
    return family_of(peer) not in (OURS, SERIAL, BARE)


class Styles:
    """The same style for the same peer in all plots of one page."""

    def __init__(self, peers):
        self._style, members = {}, {}
        for peer in peers:
            family = family_of(peer)
            first = 1 if family is OURS and peer != 'forkpool' else 0
            variant = members.get(family, first)
            members[family] = variant + 1
            self._style[peer] = Style(family, variant)

    def __getitem__(self, peer):
        return self._style[peer]

    def marker(self, peer):
        return SHAPES[self[peer].family.shape]

    def dash(self, peer):
        style = self[peer]
        if style.family in (SERIAL, BARE):
            return DASHES[2]
        return DASHES[style.variant % len(DASHES)]

    def width(self, peer):
        return 3.5 if peer == 'forkpool' else 2 if self[peer].family is OURS else 1.6


def palette_css(dark):
    return ''.join('--f-%s:%s;' % (f.key, f.dark if dark else f.light) for f in FAMILIES)


def speed_key(entries):
    """A mean of times for ranking: geometric, as plots are logarithmic."""
    return sum(math.log(e.time) for e in entries if e.time > 0) / len(entries)


def peers_choose(series, limit):
    """Which peers of {peer: entries} a plot shows, the fastest first.

    forkpool always; then the best of the families that it is most compared
    with; then the best of each other; then whoever is fastest.
    """
    def key(peer):
        return (-len(series[peer]), speed_key(series[peer]))

    ranked = sorted(series, key=key)
    best = {}
    for peer in ranked:
        best.setdefault(family_of(peer), peer)

    def order(peer):
        family = family_of(peer)
        return (peer != 'forkpool', best[family] != peer, family.key not in COMPARED)

    shown = sorted(ranked, key=order)[:limit]
    return [p for p in ranked if p in shown]


# ---- Numbers -------------------------------------------------------------------

NS = {'ns': 1.0, 'us': 1e3, '\u00b5s': 1e3, 'ms': 1e6, 's': 1e9}


def figure(value):
    """Three digits that count, and no exponent where people read one badly."""
    if value == 0:
        return '0'
    size = abs(value)
    if size >= 1e9 or size < 1e-4:
        return '%.2e' % value
    digits = max(0, 2 - math.floor(math.log10(size)))
    text = '{:,.{}f}'.format(value, digits)
    return text


def scaled(value, steps, unit):
    """VALUE with the greatest prefix of STEPS, (factor, prefix) upwards, that it reaches."""
    if value == 0:
        return '0'
    factor, prefix = steps[0]
    for f, p in steps:
        if abs(value) >= f * 0.9999:
            factor, prefix = f, p
    return ('%.3g %s%s' % (value / factor, prefix, unit)).rstrip()


def time_text(ns):
    return scaled(ns, ((1, 'n'), (1e3, '\u00b5'), (1e6, 'm'), (1e9, '')), 's')


def rate_text(value):
    return scaled(value, ((1, ''), (1e3, 'k'), (1e6, 'M'), (1e9, 'G'), (1e12, 'T')), '')


def bytes_text(value):
    return scaled(value, ((1, ''), (1 << 10, 'Ki'), (1 << 20, 'Mi'), (1 << 30, 'Gi')), 'B')


def mib_text(value):
    return bytes_text(value * (1 << 20))


def plain_text(value):
    return '%.4g' % value


def unit_split(unit):
    """A time unit as (ns, per what), else None: 'ns/item' is (1, 'item'), 'us (p50)' (1e3, '')."""
    match = re.match(r'(ns|us|\u00b5s|ms|s)(?:/([A-Za-z]+))?(?: \(.*\))?$', unit)
    return (NS[match.group(1)], match.group(2) or '') if match else None


def unit_text(unit):
    return re.sub(r'\bus\b', '\u00b5s', unit)


def rate_of(entry):
    """(factor from value, noun): what a peer gets done in a second, or None.

    The factor is applied to 1 / value where a smaller value is better.
    """
    if entry.higher_is_better:
        match = re.match(r'([kMG]?) ?([A-Za-z]+)/s$', entry.unit)
        if not match:
            return None
        return {'': 1.0, 'k': 1e3, 'M': 1e6, 'G': 1e9}[match.group(1)], match.group(2)
    parts = unit_split(entry.unit)
    if not parts:
        return None
    return 1e9 / parts[0], (parts[1] or 'run') + 's'


def time_of(entry, value):
    """VALUE of ENTRY as ns for each item or run, or None where it is no time of one."""
    parts = unit_split(entry.unit)
    if parts and not entry.higher_is_better:
        return value * parts[0]
    rate = rate_of(entry)
    if rate and entry.higher_is_better and rate[1] != 'B' and value > 0:
        return 1e9 / (value * rate[0])
    return None
