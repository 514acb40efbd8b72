"""``python -m pyro_fix`` and the console script."""

import os
import sys
from pathlib import Path

from pyro_fix import interruption


def main() -> int:
    """Run pyro-fix with the command line's arguments; returns the exit code."""
    # First of all: what follows is imported for a while, and may be interrupted as well.
    try:
        interruption.heed()
        _own_modules_alone()
        from pyro_fix.cli import main as run

        code = run()
    except KeyboardInterrupt:
        code = interruption.told()
    interruption.leaving()
    return code


def _own_modules_alone() -> None:
    """Take off the path what leads into the working folder: there may lie a ``typer.py``, or a plug-in for us.

    ``python -m`` puts that folder there, and ``PYTHONPATH`` may name folders in it, which is meant for the programs.
    Pyro-fix itself may lie there, in a checkout or a virtual environment.
    """
    here = Path.cwd().resolve()
    ours = Path(__file__).resolve().parent.parent
    given = {"", str(here), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    sys.path[:] = [
        entry
        for entry in sys.path
        if not (entry in given or str(Path(entry).resolve()) == str(here))
        or not Path(entry).resolve().is_relative_to(here)
        or Path(entry).resolve() == ours
    ]


if __name__ == "__main__":
    sys.exit(main())
