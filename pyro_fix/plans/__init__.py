"""What to run: the user's commands, else the project's own programs and tests, else calls made up from signatures."""

from pyro_fix.plans.finder import Finder, found
from pyro_fix.plans.scripts import given

__all__ = ["Finder", "found", "given"]
