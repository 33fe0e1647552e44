#!/usr/bin/env python3
"""plot_throughput.py: draws docs/throughput.svg from the table "Requests in flight" of docs/performance.md.

    plot_throughput.py            writes the picture
    plot_throughput.py --check    fails if the picture in docs/ is not what the table gives

The table's columns: requests in flight, this program, then one column a peer; tok/s generated, with thousands commas;
empty where nothing was measured or published. A column's heading is its name in the picture.
"""
import math
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE, PICTURE = os.path.join(ROOT, "docs/performance.md"), os.path.join(ROOT, "docs/throughput.svg")

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 24, 56  # margins of the plot's frame
COLORS = ["#c2410c", "#57534e", "#0369a1", "#4d7c0f"]  # readable on white and on dark grey
LABEL_GAP = 16  # least distance between two labels of lines, pixels


def read_table(text):
    """(column headings, rows of numbers or None) of the first table after the heading."""
    section = text.split("### Requests in flight", 1)[1]
    lines = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)[0].splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    number = lambda cell: float(cell.replace(",", "")) if cell else None
    return cells[0], [[number(c) for c in row] for row in cells[2:]]


class Scale:
    """A logarithmic axis: values to pixels."""

    def __init__(self, low, high, first, last):
        self.low, self.high, self.first, self.last = low, high, first, last

    def __call__(self, value):
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.first + share * (self.last - self.first)


def text(x, y, words, anchor="middle", color="#78716c", weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-weight="{weight}">{words}</text>'


def grid(x, y, in_flight):
    yield (f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}" '
           f'fill="none" stroke="#a8a29e"/>')
    for n in in_flight:
        yield text(x(n), HEIGHT - BOTTOM + 18, f"{n:,.0f}")
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "requests in flight on one GPU")
    value = 100
    while value <= y.high:
        if value >= y.low:
            yield (f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
                   f'stroke="#a8a29e" stroke-opacity="0.35"/>')
            yield text(LEFT - 8, y(value) + 4, f"{value:,}", "end")
        value = value * 5 if str(value)[0] == "1" else value * 2
    yield (f'<g transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)">' +
           text(0, 0, "tok/s generated") + "</g>")


def curves(x, y, names, rows):
    """Lines with points, and the name of each at its end, moved apart where two would touch."""
    labels = []
    for i, name in enumerate(names):
        points = [(x(row[0]), y(row[i + 1])) for row in rows if row[i + 1]]
        color = COLORS[i % len(COLORS)]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{3 if i == 0 else 2}"/>'
        yield from (f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{4 if i == 0 else 3}" fill="{color}"/>'
                    for px, py in points)
        labels.append([points[-1][1] + 4, points[-1][0], name, color, i])
    labels.sort()
    for above, label in zip(labels, labels[1:]):
        label[0] = max(label[0], above[0] + LABEL_GAP)
    for py, px, name, color, i in labels:
        inside = px > WIDTH - RIGHT - 8 * len(name)
        at, anchor = (px - 8, "end") if inside else (px + 8, "start")
        yield text(at, py - 12 if inside else py + 14, name, anchor, color, "bold" if i == 0 else "normal")


def draw(markdown):
    headings, rows = read_table(markdown)
    values = [v for row in rows for v in row[1:] if v]
    x = Scale(rows[0][0], rows[-1][0], LEFT + 24, WIDTH - RIGHT - 24)
    y = Scale(min(values) * 0.7, max(values) * 1.6, HEIGHT - BOTTOM, TOP)
    parts = [*grid(x, y, [row[0] for row in rows]), *curves(x, y, headings[1:], rows)]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            'font-family="system-ui, sans-serif" font-size="13">\n' + "\n".join(parts) + "\n</svg>\n")


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    with open(TABLE, encoding="utf-8") as f:
        picture = draw(f.read())
    if sys.argv[1:]:
        with open(PICTURE, encoding="utf-8") as f:
            if f.read() != picture:
                sys.exit("docs/throughput.svg: expected what tools/plot_throughput.py draws from docs/performance.md")
        return
    with open(PICTURE, "w", encoding="utf-8") as f:
        f.write(picture)


if __name__ == "__main__":
    main()
