#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""findings.py HARNESS TREE

Check HARNESS/findings: does each row name a run of HARNESS/runs, a program (or KUnit
suite) that this run starts, and a case which the program's source in TREE has? A case
is written as results print it: fixture.case or fixture.variant.case. And does each id
of the line "# ids: X-1..X-9 ..." have a row? Prints what is wrong; prints nothing and
exits with 0 if all is well.
"""

import os
import re
import sys

SELFTESTS = "tools/testing/selftests/iommu"
KUNIT_FOLDERS = ("drivers/iommu", "drivers/vfio", "drivers/pci", "drivers/acpi", "mm", "lib")
INCLUDE = re.compile(r'^#include "([^"/]+)"', re.M)
CASE = re.compile(r"^TEST_\w+\(\s*(\w+),\s*(\w+)", re.M)
LONE_CASE = re.compile(r"^TEST(?:_SIGNAL)?\(\s*(\w+)", re.M)
VARIANT = re.compile(r"^FIXTURE_VARIANT_ADD\(\s*(\w+),\s*(\w+)", re.M)
KUNIT_CASE = re.compile(r"\bKUNIT_CASE\w*\(\s*(\w+)")
IDS = re.compile(r"^# ids: *(.*)", re.M)
ID_RANGE = re.compile(r"(\w+)-(\d+)(?:\.\.\w+-(\d+))?")
KUNIT_SUITE = re.compile(r'\.name\s*=\s*"([^"]+)"')


def rows(path):
    """The fields of each line of a table, and the line's number."""
    with open(path, encoding="utf-8") as table:
        for number, line in enumerate(table, 1):
            if line.strip() and line[0] != "#":
                yield number, [field.strip() for field in line.split("|")]


def read(path):
    with open(path, encoding="utf-8", errors="replace") as source:
        return source.read()


def all_ids(path):
    """What the table is to answer."""
    for line in IDS.findall(read(path)):
        for part, first, last in ID_RANGE.findall(line):
            for number in range(int(first), int(last or first) + 1):
                yield "%s-%d" % (part, number)


class Run:
    """What a row of the table of runs starts."""

    def __init__(self, line):
        words = line.split()
        tests = [word[len("tests="):] for word in words if word.startswith("tests=")]
        self.kunit = "kunit.enable=1" in words
        # program -> the arguments of each of its calls
        self.programs = {}
        for test in ",".join(tests).split(","):
            name, *arguments = test.split(":")
            self.programs.setdefault(name, []).append(arguments)


def chosen(arguments, fixture, variant, case):
    """Does a program with these arguments run the case? As kselftest_harness.h has it:
    -f, -v and -t take fixtures, variants and cases, -r takes a whole name; -F, -V and -T
    leave out. The first that matches decides, or else whether there are only capitals."""
    whole = ".".join(part for part in (fixture, variant, case) if part)
    names = {"f": fixture, "v": variant, "t": case, "r": whole}
    wanted = [(option[1:], value) for option, value in zip(arguments[::2], arguments[1::2])
              if option[1:].lower() in names]
    for option, value in wanted:
        if names[option.lower()] == value:
            return option.islower()
    return not any(option.islower() for option, _ in wanted)


class Source:
    """The cases of a selftest: its file and the headers beside it."""

    def __init__(self, folder, program):
        self.text, self.seen, self.folder = "", set(), folder
        name = program + ".c"
        if not os.path.exists(os.path.join(folder, name)):
            # built once more from the nested_ file, for the other API
            name = re.sub("^viommu_", "nested_", name)
        self.add(name)

    def add(self, name):
        path = os.path.join(self.folder, name)
        if name in self.seen or not os.path.exists(path):
            return
        self.seen.add(name)
        text = read(path)
        self.text += text
        for header in INCLUDE.findall(text):
            self.add(header)

    def cases(self):
        """(fixture, variant, case) of each."""
        variants = {}
        for fixture, variant in VARIANT.findall(self.text):
            variants.setdefault(fixture, []).append(variant)
        for fixture, case in CASE.findall(self.text):
            for variant in variants.get(fixture, [""]):
                yield fixture, variant, case
        for case in LONE_CASE.findall(self.text):
            yield "global", "", case


def kunit_cases(tree):
    """(suite, case) of each in the tree."""
    for folder in KUNIT_FOLDERS:
        for path, _, names in os.walk(os.path.join(tree, folder)):
            for name in names:
                if name.endswith(".c"):
                    text = read(os.path.join(path, name))
                    if "KUNIT_CASE" in text:
                        for suite in KUNIT_SUITE.findall(text):
                            yield from ((suite, case) for case in KUNIT_CASE.findall(text))


class Checker:
    def __init__(self, harness, tree):
        self.tree = tree
        self.runs = {fields[0]: Run(fields[4]) for _, fields in rows(os.path.join(harness, "runs"))}
        self.kunit = None

    def complaint(self, fields):
        """What is wrong with a row, or None."""
        if len(fields) != 3 or not all(fields):
            return "is not 'id | program or suite: case | run' or 'id | none | reason'"
        if fields[1] == "none":
            return None
        program, colon, case = (part.strip() for part in fields[1].partition(":"))
        if not colon or not case:
            return "names no case: 'program or suite: case'"
        if fields[2] not in self.runs:
            return "harness/runs has no run %s" % fields[2]
        return self.missing(self.runs[fields[2]], program, case)

    def missing(self, run, program, case):
        if program in run.programs:
            source = Source(os.path.join(self.tree, SELFTESTS), program)
            found = [c for c in source.cases() if ".".join(part for part in c if part) == case]
            if not found:
                return "%s has no case %s" % (program, case)
            if not any(chosen(arguments, *found[0]) for arguments in run.programs[program]):
                return "the run leaves the case %s out" % case
            return None
        if not run.kunit:
            return "the run does not start %s" % program
        if self.kunit is None:
            self.kunit = set(kunit_cases(self.tree))
        if (program, case) not in self.kunit:
            return "no KUnit suite %s has a case %s" % (program, case)
        return None


def main():
    harness, tree = sys.argv[1:]
    checker = Checker(harness, tree)
    table = os.path.join(harness, "findings")
    wrong = 0
    answered = set()
    for number, fields in rows(table):
        answered.add(fields[0])
        complaint = checker.complaint(fields)
        if complaint:
            wrong += 1
            print("harness/findings:%d: %s: %s" % (number, fields[0], complaint))
    for missing in all_ids(table):
        if missing not in answered:
            wrong += 1
            print("harness/findings: %s has no row" % missing)
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
