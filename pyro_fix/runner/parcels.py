"""Parameters that runs leave (``RunRequest.save_states``), as bytes that can be sent from one machine to another."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path

from pyro_fix import regular

#: What the probe writes: ``SEED/svi-ORDINAL-MOMENT.pt``, and the same within the folder of one seed.
_NAME = re.compile(r"([0-9]+/)?svi-[0-9]+-(first|last|(late|way)-[0-9]+)\.pt")
#: Bytes of all files of a folder.
MOST = 1 << 30
#: Names of a folder that are looked at.
_MOST_NAMES = 100_000


class ParcelError(Exception):
    """A folder that cannot be sent; the message says why."""


def pack(folder: Path) -> dict[str, bytes]:
    """The files of parameters in ``folder``.  The program could write there: links are none of them."""
    parcel = {}
    left = MOST
    for name in _names(folder):
        try:
            parcel[name] = regular.read(folder / name, left + 1)
        except OSError:
            continue
        left -= len(parcel[name])
        if left < 0:
            raise ParcelError(f"the parameters of a run take more than {MOST >> 20} MiB, too much to be sent")
    return parcel


def _names(folder: Path) -> list[str]:
    """What is called like parameters in a folder, and in the folders of seeds in it, and no deeper."""
    found: list[str] = []
    for where in ("", *(name for name in _entries(folder) if name.isdecimal())):
        if where and (folder / where).is_symlink():
            continue
        found += filter(_NAME.fullmatch, (f"{where}/{name}" if where else name for name in _entries(folder / where)))
    return found


def _entries(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in itertools.islice(entries, _MOST_NAMES))
    except OSError:
        return []


def unpack(parcel: Mapping[str, bytes], folder: Path) -> None:
    """Write the files into ``folder``, whatever else the sender has named them."""
    for name, data in parcel.items():
        if _NAME.fullmatch(name):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
