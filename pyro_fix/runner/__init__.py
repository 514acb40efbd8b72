"""Start, watch and stop children that run the user's program."""

from pyro_fix.runner.process import run, stop_all

__all__ = ["run", "stop_all"]
