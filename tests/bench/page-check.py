#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is wrong with a page of bench/page.py, a line each: page.py PAGE HEADING..."""
import html.parser
import sys

VOID = {'meta', 'br', 'link', 'img', 'hr', 'input'}
# What a page that needs no network has no use for.
OUTSIDE = ('src', 'srcset', 'action', 'data', 'poster')


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.used, self.bad = [], set(), set(), []
        self.headings, self.heading, self.svgs = [], None, []

    def handle_starttag(self, tag, attributes):
        self.attributes_look(tag, dict(attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ('h1', 'h2'):
            self.heading = ''
        if tag == 'svg' and 'role' in dict(attributes):
            self.svgs.append(set())
        if self.svgs and 'svg' in self.open[:-1]:
            self.svgs[-1].add(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes_look(tag, dict(attributes))

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            self.bad.append('</%s> within %s' % (tag, '/'.join(self.open)))
        else:
            self.open.pop()
        if tag in ('h1', 'h2'):
            self.headings.append(self.heading)
            self.heading = None

    def handle_data(self, data):
        if self.heading is not None:
            self.heading += data

    def attributes_look(self, tag, attributes):
        if tag in ('script', 'link', 'iframe', 'object'):
            self.bad.append('a <%s>' % tag)
        if 'id' in attributes:
            if attributes['id'] in self.ids:
                self.bad.append('id %s is there twice' % attributes['id'])
            self.ids.add(attributes['id'])
        for name in ('href', 'xlink:href'):
            link = attributes.get(name, '#')
            if link[:1] == '#':
                self.used.add(link[1:])
            else:
                self.bad.append('a link to %s' % link)
        self.used.update(attributes.get('aria-labelledby', '').split())
        for name in attributes:
            if name in OUTSIDE or name.startswith('on'):
                self.bad.append('<%s> with %s' % (tag, name))


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        text = file.read()
    page = Page()
    page.feed(text)
    page.close()
    bad = page.bad + ['<%s> is not closed' % tag for tag in page.open]
    bad += ['nothing has the id %s' % i for i in sorted(page.used - page.ids - {''})]
    bad += ['no section %s' % h for h in sys.argv[2:] if h not in page.headings]
    bad += ['a plot without words' for tags in page.svgs if not {'title', 'desc'} <= tags]
    bad += ['a plot without a line or bar' for tags in page.svgs if not tags & {'use', 'polygon'}]
    if len(page.svgs) < 2:
        bad.append('%d plots' % len(page.svgs))
    print('\n'.join(bad), end='\n' if bad else '')
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
