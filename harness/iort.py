#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Read an IORT from a console log on stdin (see guest/init.c, "dump="), write
it with the memory access flag CANWBS set on its root complex to stdout."""

import struct
import sys

from console import dumps

ROOT_COMPLEX = 2
CPM_DACS = 3
CANWBS = 4

table = bytearray(dumps(sys.stdin)["/sys/firmware/acpi/tables/IORT"])
nodes, offset = struct.unpack_from("<II", table, 36)
changed = 0
for _ in range(nodes):
    kind, length = struct.unpack_from("<BH", table, offset)
    # the access properties follow the node's 16-byte header: a 4-byte
    # attribute, hints, 2 reserved bytes, flags
    if kind == ROOT_COMPLEX and table[offset + 23] == CPM_DACS:
        table[offset + 23] |= CANWBS
        changed += 1
    offset += length
if changed != 1:
    sys.exit("expected one coherent root complex without CANWBS, found %d" % changed)

revision, = struct.unpack_from("<I", table, 24)
struct.pack_into("<I", table, 24, revision + 1)  # the kernel takes newer tables only
table[9] = 0
table[9] = -sum(table) & 0xFF
sys.stdout.buffer.write(table)
