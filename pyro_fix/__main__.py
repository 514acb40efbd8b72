"""``python -m pyro_fix`` and the console script."""

import sys

from pyro_fix.cli import main

if __name__ == "__main__":
    sys.exit(main())
