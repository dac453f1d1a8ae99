#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""uncovered.py LEAST EXCUSES TREE <gcovr-json: print per file what the tests
run and the lines that they do not; fail below LEAST percent. EXCUSES lists
lines that need no cover as "file | the line's text | reason"; an excuse for a
line that is covered, or is no more, fails too."""

import json
import os
import sys

least, excuses, tree = float(sys.argv[1]), sys.argv[2], sys.argv[3]
with open(excuses, encoding="utf-8") as table:
    excused = {tuple(part.strip() for part in line.split(" | ")[:2])
               for line in table if line.strip() and line[0] != "#"}
used = set()
lines = hit = 0
for file in json.load(sys.stdin)["files"]:
    name = file["file"]
    with open(os.path.join(tree, name), encoding="utf-8") as source:
        text = [line.strip() for line in source]
    missed = []
    counted = [line for line in file["lines"] if not line.get("gcovr/noncode")]
    for line in counted:
        key = (name, text[line["line_number"] - 1])
        if not line["count"] and key in excused:
            used.add(key)
            hit += 1
        elif line["count"]:
            hit += 1
        else:
            missed.append(line["line_number"])
    lines += len(counted)
    for number in missed:
        print("%s:%d: %s" % (name, number, text[number - 1]))
    print("%s: %d of %d lines" % (name, len(counted) - len(missed), len(counted)))
for name, text in sorted(excused - used):
    print("needless excuse: %s | %s" % (name, text))
percent = 100.0 * hit / lines if lines else 0.0
print("all new files: %.1f %% of %d lines (at least %.0f %%)" % (percent, lines, least))
sys.exit(percent < least or bool(excused - used))
