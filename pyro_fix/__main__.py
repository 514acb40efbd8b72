"""``python -m pyro_fix`` and the console script."""

import sys

from pyro_fix import interruption


def main() -> int:
    """Run pyro-fix with the command line's arguments; returns the exit code."""
    # First of all: what follows is imported for a while, and may be interrupted as well.
    try:
        interruption.heed()
        from pyro_fix.cli import main as run

        code = run()
    except KeyboardInterrupt:
        code = interruption.told()
    interruption.leaving()
    return code


if __name__ == "__main__":
    sys.exit(main())
