#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""results.py RUN ROUNDS TESTS ABSENT-FEATURES <console-log

Judge one boot. Prints a line per test and at last "N passed, N failed"; exits
with 1 on any failure. Besides the tests' own results these are failures: a
program that exits with an error, ends before its plan is done or tests nothing;
a skipped test that ABSENT-FEATURES does not list; a listed one that was not
skipped; a kernel complaint; a boot that did not reach its end; an emulator that
failed or did not end, at the end too.
"""

import collections
import fnmatch
import re
import sys

from console import lines

# Said by the kernel, each of these is a bug found.
SPLAT = re.compile(
    r"\bWARNING:|\bBUG:|KASAN:|UBSAN:|\bOops\b|Kernel panic|ODEBUG:|refcount_t:|"
    r"possible (circular|recursive) locking|inconsistent lock|suspicious RCU|"
    r"INFO: (task|rcu|possible|trying|lockdep)|list_(add|del) corruption|"
    r"^unreferenced object|[Cc]all [Tt]race:|"
    r"CMDQ (error|timeout)|CMD_SYNC timeout|unexpected global error|"
    r"VT-d detected Invalidation")
# VT-d tells of faults by these bits: primary faults, their overflow, their index.
STATUS = re.compile(r"DMAR: DRHD: handling fault status reg (?P<status>[0-9a-f]+)$")
STATUS_BITS = 0xff03
# ... and of invalidations that were not answered, in time or at all. A program says
# so if it has devices that do not answer.
UNANSWERED_BITS = 0x60
UNANSWERED = re.compile(r"VT-d detected Invalidation (Time-out|Completion) Error: SID (?P<sid>[0-9a-f]+)$")
EXPECT_UNANSWERED = re.compile(r"^> # .*invalidations are not answered$")
# A device that a test drives may fault. Others must not, and no interrupt may.
FAULT = re.compile(r"DMAR: \[(?P<kind>[^\]]*)\] Request device \[(?P<device>[^\]]*)\]")
BOUND = re.compile(r"# bind \S+ 0000:(?P<device>\S+): Success$|"
                   r"vfio-pci \S+ Captured SR-IOV VF 0000:(?P<vf>\S+) driver_override$")
# Fault injection shows each failure that it forces with a trace.
INJECTED = re.compile(r"FAULT_INJECTION: forcing a failure")
INJECTED_TRACE_WITHIN = 8  # lines
RESULT = re.compile(r"^(?P<indent> *)(?P<not>not )?ok (?P<number>\d+)(?: -)? *(?P<name>[^#]*?) *"
                    r"(?:# *(?P<skip>SKIP\b.*)|#.*)?$")
PLAN = re.compile(r"^(?P<indent> *)1\.\.(?P<count>\d+)")
# What the scripts note below the console
EMULATOR_FAILED = re.compile(r"QEMU exits with \d+$")
# Shown of the console of a machine that stopped
LAST_LINES = 20


def kept(log, last):
    """The lines of the log, the emulator's own words too, the last of which are kept."""
    for line in log:
        last.append(line)
        yield line


class Tap:
    """Counts the leaves of (nested) TAP."""

    def __init__(self, report):
        self.report = report
        self.below = {}  # indent -> results seen there since the last one above
        self.plans = {}  # indent -> results still to come

    def feed(self, line):
        plan, result = PLAN.match(line), RESULT.match(line)
        if plan:
            self.plans[len(plan["indent"])] = int(plan["count"])
        if not result:
            return
        depth = len(result["indent"])
        inner = [d for d in self.below if d > depth]
        name = result["name"] or result["number"]
        self.end_plans(depth + 1, name)
        if depth in self.plans:
            self.plans[depth] -= 1
        failed = bool(result["not"])
        # a parent repeats its children's verdict, unless it failed by itself
        if not inner or (failed and not any(self.below[d] for d in inner)):
            self.report(name, "skip" if result["skip"] else "fail" if failed else "pass",
                        result["skip"] or "")
        for d in inner:
            del self.below[d]
        self.below[depth] = self.below.get(depth, 0) + failed

    def end_plans(self, depth, name):
        """What is planned at this depth or deeper must have come."""
        for d in [d for d in self.plans if d >= depth]:
            missing = self.plans.pop(d)
            if missing:
                self.report(name, "fail", "%d planned results are missing" % missing)


class Run:
    def __init__(self, name, rounds, tests, absent):
        self.passed = self.failed = 0
        self.name = name
        self.expected = [test.split(":")[0] for test in tests.split(",") if test] * rounds
        self.absent = absent
        self.absent_seen = set()
        self.bound = set()  # devices that tests drive
        self.unanswered = False  # are invalidations to be unanswered?

    def fail(self, what):
        self.failed += 1
        print("not ok %s: %s" % (self.name, what))

    def result(self, name, verdict, why):
        if verdict == "skip":
            for pattern in self.absent:
                if fnmatch.fnmatch(name, pattern):
                    self.absent_seen.add(pattern)
                    return
            self.fail("%s was skipped: %s" % (name, why))
        elif verdict == "fail":
            self.fail("%s %s" % (name, why))
        else:
            self.passed += 1
            print("ok %s: %s" % (self.name, name))

    def stray_fault(self, line):
        status, fault = STATUS.fullmatch(line), FAULT.search(line)
        allowed = STATUS_BITS | (UNANSWERED_BITS if self.unanswered else 0)
        if status and int(status["status"], 16) & ~allowed:
            return True
        return fault and (fault["kind"] == "INTR-REMAP" or fault["device"] not in self.bound)

    def is_expected(self, line):
        unanswered = UNANSWERED.search(line)
        if not self.unanswered or not unanswered:
            return False
        sid = int(unanswered["sid"], 16)  # 0 where the hardware does not tell
        return not sid or "%02x:%02x.%d" % (sid >> 8, sid >> 3 & 31, sid & 7) in self.bound

    def judge(self, log):
        program = tap = None
        kernel_tap = Tap(self.result)
        injected = started = done = 0
        ran = []
        last = collections.deque(maxlen=LAST_LINES)
        for line in lines(kept(log, last)):
            injected = INJECTED_TRACE_WITHIN if INJECTED.search(line) else injected - 1
            if line.startswith("> "):
                if EXPECT_UNANSWERED.match(line):
                    self.unanswered = True
                if tap:
                    tap.feed(line[2:])
                continue
            if line.startswith("# run "):
                program, before = line.split()[2], self.passed + self.failed
                ran.append(program)
                tap = Tap(self.result)
            elif line.startswith("# exit "):
                tap.end_plans(0, program)
                status = line.split()[3]
                if status != "0":
                    self.fail("%s exits with %s" % (program, status))
                if self.passed + self.failed == before:
                    self.fail("%s tested nothing" % program)
                tap = None
                self.unanswered = False
            elif line.startswith("# harness start"):
                started = 1
            elif line.startswith("# harness done"):
                done = 1
            elif BOUND.match(line):
                self.bound.add(BOUND.match(line)["device"] or BOUND.match(line)["vf"])
            elif re.match(r"# bind .*: ", line):
                self.fail(line)
            elif SPLAT.search(line) and not self.is_expected(line):
                if line.lower().strip() != "call trace:" or injected <= 0:
                    self.fail("kernel: %s" % line)
            elif self.stray_fault(line):
                self.fail("kernel: %s" % line)
            else:
                kernel_tap.feed(line)
        kernel_tap.end_plans(0, "KUnit")
        if any(EMULATOR_FAILED.match(line.rstrip()) for line in last):
            self.fail("the emulator failed, or did not end")
        if not started:
            self.fail("the machine did not boot")
        elif not done:
            for line in last:
                print("# console: %s" % line.rstrip())
            self.fail("the machine stopped in the middle of %s" % (ran[-1] if ran else "the boot"))
        elif ran != self.expected:
            self.fail("ran %s instead of %s" % (ran, self.expected))
        if not self.passed and not self.failed:
            self.fail("nothing was tested")
        for pattern in set(self.absent) - self.absent_seen:
            self.fail("%s is listed as absent, but was not skipped" % pattern)


def absent_features(path, run):
    """Patterns of the tests that this run may skip."""
    with open(path, encoding="utf-8") as table:
        rows = [line.split(None, 2) for line in table if line.strip() and line[0] != "#"]
    return [row[1] for row in rows if row[0] == run]


def main():
    name, rounds, tests, table = sys.argv[1:]
    run = Run(name, int(rounds), tests, absent_features(table, name))
    run.judge(sys.stdin)
    print("%d passed, %d failed" % (run.passed, run.failed))
    return run.failed > 0


if __name__ == "__main__":
    sys.exit(main())
