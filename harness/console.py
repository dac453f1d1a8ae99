# SPDX-License-Identifier: GPL-2.0-only
"""What a test machine's console log holds: see guest/init.c for its format."""

import base64
import re

TIME = re.compile(r"^\[ *\d+\.\d+\](?:\[[ CT\d]+\])? ")


def lines(log):
    """The kernel log's lines without time stamps; firmware output is left out."""
    for line in log:
        # SeaBIOS clears the screen, and the kernel's first line follows
        line = line.rstrip("\r\n").rpartition("\x1b[2J")[2]
        stamp = TIME.match(line)
        if stamp:
            yield line[stamp.end():]


def dumps(log):
    """The files that init dumped: path -> content."""
    files, path, text = {}, None, []
    for line in lines(log):
        if line.startswith("# dump "):
            path, text = line[len("# dump "):], []
        elif line.startswith("# dumped "):
            files[path] = base64.b64decode("".join(text))
            path = None
        elif path and re.fullmatch(r"[A-Za-z0-9+/=]+", line):
            text.append(line)
    return files
