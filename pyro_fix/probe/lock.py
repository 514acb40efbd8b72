"""Locks itself in, and becomes another program: ``python -I -S lock.py ORDER.json COMMAND ...``.

The interpreter of pyro-fix runs this, and becomes the project's: whatever that one runs when it starts (``.pth`` files,
``sitecustomize``, a ``torch.py`` that lies in the way, or the interpreter itself) is the project's code like any other.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from functools import partial

#: Tells ``boot.py`` what could not be enforced; not set where nothing is missing.
LACKING = "PYRO_FIX_LACKING"


def main() -> None:
    """Enter the order's policy, and become the command; or end, where the policy has to be enforced and cannot be."""
    with open(sys.argv[1], encoding="utf-8") as file:
        order = json.load(file)
    command = sys.argv[2:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    package = importlib.import_module("boot").load().__name__
    del sys.path[0]
    sandbox = importlib.import_module(package + ".sandbox")
    at_end = partial(tidy, order["home"], os.getppid()) if order["home"] else None
    missing = sandbox.enter(order["policy"], at_end)
    if missing and order["policy"]["required"]:
        words = sandbox.words(missing)
        if order["journal"]:
            journal = importlib.import_module(package + ".journal").Journal(order["journal"])
            journal.write("broke", kind="sandbox", message=words, where="")
        sys.exit(words)
    os.setsid()  # the program is the first of its session, as one that is forked
    if missing:
        os.environ[LACKING] = json.dumps(missing)
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


def tidy(home: str, runner: int) -> None:
    """Remove the folder that a runner has left behind, when it is gone and no run is left."""
    if os.getppid() != runner:
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(home, "runs"))
            trees = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "runner", "trees.py")
            os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-I", "-S", trees, home])


if __name__ == "__main__":
    main()
