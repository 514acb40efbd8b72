"""Parameters that runs leave (``RunRequest.save_states``), as bytes that can be sent from one machine to another."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

#: What the probe writes: ``SEED/svi-ORDINAL-{first,last}.pt``, and the same within the folder of one seed.
_NAME = re.compile(r"([0-9]+/)?svi-[0-9]+-(first|last)\.pt")
#: Bytes of all files of a folder.
MOST = 1 << 30


class ParcelError(Exception):
    """A folder that cannot be sent; the message says why."""


def pack(folder: Path) -> dict[str, bytes]:
    """The files of parameters in ``folder``.  The program could write there: links are none of them."""
    parcel = {}
    left = MOST
    for where, _, names in os.walk(folder):
        for file in names:
            path = Path(where, file)
            name = path.relative_to(folder).as_posix()
            if not _NAME.fullmatch(name):
                continue
            try:
                descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
            except OSError:
                continue
            with os.fdopen(descriptor, "rb") as stream:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    continue
                parcel[name] = stream.read(left + 1)
            left -= len(parcel[name])
            if left < 0:
                raise ParcelError(f"the parameters of a run take more than {MOST >> 20} MiB, too much to be sent")
    return parcel


def unpack(parcel: Mapping[str, bytes], folder: Path) -> None:
    """Write the files into ``folder``, whatever else the sender has named them."""
    for name, data in parcel.items():
        if _NAME.fullmatch(name):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
