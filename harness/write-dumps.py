#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""write-dumps.py PREFIX <console-log: write the files that init dumped from
below PREFIX to their paths on this machine (gcov's counts name them)."""

import sys

from console import dumps

prefix = sys.argv[1]
for path, content in dumps(sys.stdin).items():
    target = path[len(prefix):]
    if path.startswith(prefix + "/") and target.endswith(".gcda"):
        with open(target, "wb") as file:
            file.write(content)
