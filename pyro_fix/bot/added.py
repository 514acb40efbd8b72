"""Which lines of the new file a unified diff adds: the only ones that a remark may stand at."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HUNK = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")


def added(patch: str) -> Iterator[int]:
    """The 1-based lines that ``patch``, the hunks of one file, adds or changes."""
    line = 0
    for row in patch.split("\n"):
        start = _HUNK.match(row)
        if start is not None:
            line = int(start[1])
        elif row.startswith("+"):
            yield line
            line += 1
        elif not row.startswith(("-", "\\")):
            line += 1
