"""The work that the demo's model does: a small command-line tool, its tests, and a mistake with its correction."""

from __future__ import annotations

GOAL = """\
Write nightshift.py, a command-line tool that merges spans of the day such as 22:30-06:15, and prints each merged \
span with its length, and the total. Spans that overlap or touch become one; a span may run past midnight. What is \
not a span is named on standard error, with exit code 2. Standard library only, with unittest tests and a README.\
"""

PROGRAM = '''\
"""Merge spans of the day, such as working hours, and tell how long they are.

    $ python3 nightshift.py 22:30-06:15 05:00-07:00
    22:30-07:00  8h 30m
    total        8h 30m
"""

import re
import sys

DAY = 24 * 60

SPAN = re.compile(r"(\\d\\d):([0-5]\\d)-(\\d\\d):([0-5]\\d)")


def parse(text):
    """Turn "HH:MM-HH:MM" into pieces (start, end), in minutes after midnight.

    A span that ends before it starts runs past midnight: that gives two pieces.
    """
    match = SPAN.fullmatch(text)
    if not match:
        raise ValueError(f"not a span: {text!r}")
    hours, minutes, end_hours, end_minutes = map(int, match.groups())
    start, end = 60 * hours + minutes, 60 * end_hours + end_minutes
    if start >= DAY or end > DAY:
        raise ValueError(f"no such time: {text!r}")
    if start < end:
        return [(start, end)]
    return [piece for piece in [(start, DAY), (0, end)] if piece[0] < piece[1]]


def merge(pieces):
    """Join the pieces that overlap or touch."""
    merged = []
    for start, end in sorted(pieces):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def length(span):
    """The length of a span in minutes."""
    start, end = span
    return (end - start) % DAY or DAY


def duration(minutes):
    """Turn 510 into "8h 30m"."""
    return f"{minutes // 60}h {minutes % 60:02}m"


def clock(minutes):
    """Turn 390 into "06:30"."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def report(texts):
    """The lines to print for the given spans."""
    spans = merge(piece for text in texts for piece in parse(text))
    lines = [f"{clock(span[0])}-{clock(span[1])}  {duration(length(span))}" for span in spans]
    return [*lines, f"total        {duration(sum(length(span) for span in spans))}"]


def main(arguments):
    """Print the report; return the exit code."""
    if not arguments:
        print("usage: nightshift.py HH:MM-HH:MM ...", file=sys.stderr)
        return 2
    try:
        print("\\n".join(report(arguments)))
    except ValueError as error:
        print(f"nightshift: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
"""The first version. It cuts spans at midnight and never joins them again."""

TESTS = """\
import subprocess
import sys
import unittest

from nightshift import duration, merge, parse, report


class Parse(unittest.TestCase):
    def test_within_a_day(self):
        self.assertEqual(parse("09:00-17:30"), [(540, 1050)])

    def test_until_midnight(self):
        self.assertEqual(parse("22:00-24:00"), parse("22:00-00:00"))

    def test_rejects_nonsense(self):
        for text in ["", "9-17", "09:00", "25:00-26:00", "09:60-10:00"]:
            with self.subTest(text), self.assertRaises(ValueError):
                parse(text)


class Merge(unittest.TestCase):
    def test_overlapping(self):
        self.assertEqual(merge([(540, 660), (600, 720)]), [(540, 720)])

    def test_touching(self):
        self.assertEqual(merge([(600, 720), (540, 600)]), [(540, 720)])

    def test_one_inside_another(self):
        self.assertEqual(merge([(540, 1020), (600, 660)]), [(540, 1020)])


class Report(unittest.TestCase):
    def test_separate_spans(self):
        lines = ["09:00-12:00  3h 00m", "13:00-17:30  4h 30m", "total        7h 30m"]
        self.assertEqual(report(["13:00-17:30", "09:00-12:00"]), lines)

    def test_past_midnight(self):
        lines = ["22:30-07:00  8h 30m", "total        8h 30m"]
        self.assertEqual(report(["22:30-06:15", "05:00-07:00"]), lines)

    def test_around_the_clock(self):
        self.assertEqual(report(["06:00-18:00", "18:00-06:00"])[-1], "total        24h 00m")

    def test_durations(self):
        self.assertEqual([duration(5), duration(510)], ["0h 05m", "8h 30m"])


class CommandLine(unittest.TestCase):
    def run_it(self, *arguments):
        return subprocess.run([sys.executable, "nightshift.py", *arguments], capture_output=True, text=True)

    def test_prints_the_night(self):
        self.assertEqual(self.run_it("23:00-01:00").stdout, "23:00-01:00  2h 00m\\ntotal        2h 00m\\n")

    def test_names_what_it_rejects(self):
        run = self.run_it("09:00-17:00", "teatime")
        self.assertEqual(run.returncode, 2)
        self.assertIn("'teatime'", run.stderr)


if __name__ == "__main__":
    unittest.main()
"""

README = """\
# nightshift

Merges spans of the day and tells how long they are. Python 3 is all it needs.

    $ python3 nightshift.py 22:30-06:15 05:00-07:00
    22:30-07:00  8h 30m
    total        8h 30m

- Spans that overlap or touch become one.
- A span that ends before it starts runs past midnight, and stays one span.
- Anything that is not a span is named on standard error, and the exit code is 2.

Tests: `python3 -m unittest -v test_nightshift`
"""

MISTAKE = """\
            merged.append((start, end))
    return merged
"""

CORRECTION = """\
            merged.append((start, end))
    if len(merged) > 1 and merged[0][0] == 0 and merged[-1][1] == DAY:
        # The day is a circle: what ends at 24:00 goes on at 00:00.
        (_, end), (start, _) = merged.pop(0), merged.pop()
        merged.append((start, end))
    return merged
"""
"""Takes the place of ``MISTAKE``, which occurs once in ``PROGRAM``."""
