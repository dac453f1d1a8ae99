#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""bench-report.py RECORDED WHOSE SVG FIRST SECOND [LOAD]

Print the figures of nested_bench (console logs FIRST and SECOND, of the same
run made twice) and nested_bench_load (LOAD) as tables, beside those of WHOSE
kernel in the file RECORDED. Write a chart of the invalidations to SVG.
"""

import math
import os
import re
import sys

from console import lines

BATCHES = [1, 8, 64, 512, 4096]
SHADOWING = "shadowing, map + unmap"
PATTERNS = ["adjacent", "scattered"]
FIGURE = re.compile(r"> figure (\S+) (\d+)$")
VERSION = re.compile(r"Linux version (\S+)")


def read_log(path):
    """The figures of a console log, and the kernel's version."""
    figures, version = {}, "?"
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in lines(log):
            figure, found = FIGURE.match(line), VERSION.match(line)
            if figure:
                figures[figure[1]] = int(figure[2])
            elif found:
                version = found[1]
    return figures, version


def read_recorded(path):
    with open(path, encoding="utf-8") as table:
        rows = [line.split() for line in table if line.strip() and line[0] != "#"]
    return {name: int(value) for name, value in rows}


def number(value):
    """Three digits matter, and a thousand is easier to read with a space."""
    if value is None:
        return "-"
    if value < 100:
        return "%.1f" % value
    return "{:,.0f}".format(value).replace(",", " ")


def ratio(value, reference):
    return "%.2f" % (value / reference) if value and reference else "-"


def table(head, rows):
    width = max(len(row[0]) for row in rows + [head])
    for row in [head] + rows:
        print("  " + row[0].ljust(width) + "".join(cell.rjust(11) for cell in row[1:]))


def doors(figures):
    """The ways into the kernel that were measured."""
    return list(dict.fromkeys(name.split("/")[1] for name in figures
                              if name.startswith("invalidate/")))


def series(figures, recorded, whose):
    """Label -> {batch: instructions per command}: all that have batches."""
    result = {}
    for door in doors(figures):
        for pattern in PATTERNS:
            result["%s, %s" % (door, pattern)] = {
                n: figures["invalidate/%s/%s/%d" % (door, pattern, n)] / n for n in BATCHES}
    theirs = {n: recorded.get("invalidate/%d" % n) for n in BATCHES}
    result[whose] = {n: v for n, v in theirs.items() if v}
    shadow = {n: figures.get("map-unmap/shadow/%d" % n) for n in BATCHES}
    result[SHADOWING] = {n: v / n for n, v in shadow.items() if v}
    return result


def print_invalidations(lines_of, whose):
    references = [whose, SHADOWING]
    print("\nInvalidation of pages, instructions per command in a call of N")
    head = ["N"] + [str(n) for n in BATCHES]
    table(head, [[label] + [number(values.get(n)) for n in BATCHES]
                 for label, values in lines_of.items()])
    for reference in references:
        print("\n... as a ratio to %s" % reference)
        table(head, [[label] + [ratio(values.get(n), lines_of[reference].get(n)) for n in BATCHES]
                     for label, values in lines_of.items() if label not in references])


def print_calls(figures, recorded, whose):
    names = {
        "refused": "a call refused for a bad id",
        "attach-pair": "attach another table, and the first again: ",
        "replace": "make a table, attach it, destroy the old one: ",
        "visit": "make a table, attach it, go back, destroy it: ",
        "msi-bind-unbind": "bind an MSI doorbell and unbind it",
        "map-unmap/shadow/1": "shadowing: map a page and unmap it",
        "map-unmap/stage2/1": "map a page in stage 2 and unmap it",
        "map-unmap/stage2/512": "the same with 512 pages",
    }
    theirs = dict(recorded, **{"map-unmap/shadow/1": recorded.get("map-unmap/1")})
    shadow = figures["map-unmap/shadow/1"]
    rows = []
    for name, value in figures.items():
        kind, _, door = name.partition("/")
        text = names.get(name) or (names[kind] + door if kind in names else None)
        if text:
            reference = theirs.get(name, theirs.get(kind))
            rows.append([text, number(value), number(reference), ratio(value, reference),
                         ratio(value, shadow)])
    reference = theirs["invalidate/1"] - theirs["refused"] if "refused" in theirs else None
    for door in doors(figures):
        alone = figures["invalidate/%s/adjacent/1" % door] - figures["refused"]
        rows.append(["one command, beyond a refused call: " + door, number(alone),
                     number(reference), ratio(alone, reference), ratio(alone, shadow)])
    print("\nCalls, instructions")
    table(["", "here", whose.removeprefix("the ").split()[0], "ratio", "/shadowing"], rows)


def print_load(load):
    print("\nUnder load, per second of wall time; depends on the computer that emulates")
    rows = {}
    for name, value in load.items():
        kind, *where = name.split("/")
        if kind == "calls":
            door, batch, threads = where
            text = "%s, %s per call: calls" % (door, batch)
            rows.setdefault(text, {})[threads] = value
    threads = ["1", "2", "4"]
    table(["threads on one command queue"] + threads,
          [[text] + [number(values.get(n)) for n in threads] for text, values in rows.items()])
    print()
    table(["a disk reads 128 KiB at a time", "reads", "attaches"],
          [["its table stays", number(load["reads/quiet"]), "-"],
           ["its table is replaced by another all the time", number(load["reads/replacing"]),
            number(load["attaches/replacing"])]])


def print_agreement(first, second):
    differences = {name: abs(first[name] - second.get(name, 0)) / first[name] for name in first}
    worst = max(differences, key=differences.get)
    if not differences[worst]:
        print("         two runs gave the same %d figures" % len(first))
    else:
        print("         two runs: %d of %d figures are the same, the others within %.2f %% (%s)"
              % (sum(not d for d in differences.values()), len(first),
                 100 * differences[worst], worst))


class Chart:
    """A log-log chart; x and y are powers of two and of ten."""

    WIDTH, HEIGHT = 860, 520
    LEFT, RIGHT, TOP, BOTTOM = 78, 236, 66, 64
    LABEL = 34  # height of a line's label
    COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]
    REFERENCES = ["#444444", "#999999"]

    def __init__(self, title, subtitle, lines_of, references):
        self.references = dict(zip(references, self.REFERENCES))
        values = [v for line in lines_of.values() for v in line.values()]
        self.low = math.floor(math.log10(min(values)))
        self.high = math.ceil(math.log10(max(values)))
        self.out = []
        self.put('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
                 'width="%d" height="%d" font-family="sans-serif" font-size="13" fill="#222">'
                 % (self.WIDTH, self.HEIGHT, self.WIDTH, self.HEIGHT))
        self.put('<rect width="100%" height="100%" fill="white"/>')
        self.text(self.LEFT, 26, title, size=17, weight="bold")
        self.text(self.LEFT, 46, subtitle, fill="#555")
        self.grid()
        self.draw(lines_of)
        self.put("</svg>")

    def put(self, element):
        self.out.append(element)

    def text(self, x, y, text, anchor="start", size=13, weight="normal", fill="#222", more=""):
        text = text.replace("&", "&amp;").replace("<", "&lt;")
        self.put('<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" font-weight="%s" '
                 'fill="%s"%s>%s</text>' % (x, y, anchor, size, weight, fill, more, text))

    def line(self, x1, y1, x2, y2, colour, width=1.0):
        self.put('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"/>'
                 % (x1, y1, x2, y2, colour, width))

    def x(self, batch):
        span = self.WIDTH - self.LEFT - self.RIGHT
        return self.LEFT + span * math.log2(batch) / math.log2(BATCHES[-1])

    def y(self, value):
        span = self.HEIGHT - self.TOP - self.BOTTOM
        return self.TOP + span * (self.high - math.log10(value)) / (self.high - self.low)

    def grid(self):
        right, bottom = self.WIDTH - self.RIGHT, self.HEIGHT - self.BOTTOM
        for decade in range(self.low, self.high + 1):
            for part in range(1, 10 if decade < self.high else 2):
                y = self.y(part * 10 ** decade)
                self.line(self.LEFT, y, right, y, "#c4c4c4" if part == 1 else "#eeeeee")
            self.text(self.LEFT - 10, self.y(10 ** decade) + 4.5, number(10 ** decade).replace(".0", ""),
                      "end")
        for batch in BATCHES:
            self.line(self.x(batch), self.TOP, self.x(batch), bottom, "#dddddd")
            self.text(self.x(batch), bottom + 20, str(batch), "middle")
        self.line(self.LEFT, self.TOP, self.LEFT, bottom, "#222", 1.2)
        self.line(self.LEFT, bottom, right, bottom, "#222", 1.2)
        self.text((self.LEFT + right) / 2, bottom + 46, "commands in one call", "middle")
        middle = (self.TOP + bottom) / 2
        self.text(22, middle, "instructions per command", "middle",
                  more=' transform="rotate(-90 22 %.1f)"' % middle)

    def label_places(self, lines_of):
        """Where each line's label goes: beside its end, but not over another one."""
        ends = {label: self.y(line[max(line)]) for label, line in lines_of.items()}
        places, limit = {}, self.TOP
        for label in sorted(ends, key=ends.get):
            places[label] = max(ends[label], limit)
            limit = places[label] + self.LABEL
        limit = self.HEIGHT - self.BOTTOM - 10
        for label in sorted(ends, key=ends.get, reverse=True):
            places[label] = min(places[label], limit)
            limit = places[label] - self.LABEL
        return places

    def draw(self, lines_of):
        names = list(dict.fromkeys(label.rsplit(",", 1)[0] for label in lines_of
                                   if label not in self.references))
        places = self.label_places(lines_of)
        for label, line in lines_of.items():
            dash = ""
            if label in self.references:
                colour = self.references[label]
                dash = ' stroke-dasharray="2 4"'
            else:
                colour = self.COLOURS[names.index(label.rsplit(",", 1)[0]) % len(self.COLOURS)]
                if label.endswith(PATTERNS[1]):
                    dash = ' stroke-dasharray="9 4"'
            self.put('<polyline fill="none" stroke="%s" stroke-width="2.4"%s points="%s"/>'
                     % (colour, dash, " ".join("%.1f,%.1f" % (self.x(n), self.y(v))
                                               for n, v in line.items())))
            for n, v in line.items():
                self.put('<circle cx="%.1f" cy="%.1f" r="3.6" fill="%s"><title>%s, %d: %s</title>'
                         '</circle>' % (self.x(n), self.y(v), colour, label, n, number(v)))
            end = max(line)
            left, place = self.WIDTH - self.RIGHT + 16, places[label]
            self.put('<path d="M%.1f %.1f L%.1f %.1f" stroke="%s" stroke-width="0.8" fill="none"/>'
                     % (self.x(end) + 5, self.y(line[end]), left - 3, place, colour))
            self.text(left, place - 1, label, fill=colour, weight="bold")
            self.text(left, place + 14, "%s for one, %s at %d" % (number(line[1]), number(line[end]), end),
                      size=12, fill="#555")


def main():
    path, whose, svg, first, second, *load = sys.argv[1:]
    recorded = read_recorded(path)
    figures, version = read_log(first)
    lines_of = series(figures, recorded, whose)
    print("kernel:  %s here; the figures of %s are those recorded in harness/%s"
          % (version, whose, os.path.basename(path)))
    print("method:  QEMU -icount shift=0, one CPU: a nanosecond of the guest's clock is one")
    print("         instruction of the guest. Best of 48 rounds of up to 16 calls, user space")
    print("         included. The emulated IOMMU takes no time.")
    print_agreement(figures, read_log(second)[0])
    print_invalidations(lines_of, whose)
    print_calls(figures, recorded, whose)
    for log in load:
        print_load(read_log(log)[0])
    chart = Chart("What an invalidation costs the host",
                  "instructions per command, by commands in one call; QEMU counts, Linux %s" % version,
                  lines_of, [whose, SHADOWING])
    with open(svg, "w", encoding="utf-8") as out:
        out.write("\n".join(chart.out) + "\n")


if __name__ == "__main__":
    sys.exit(main())
