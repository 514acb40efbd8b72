"""Judges fixes by running the user's programs: promises, scheduling, cache."""

from pyro_fix.verify.cache import default_folder
from pyro_fix.verify.lab import Run
from pyro_fix.verify.options import RunPlan, VerifyOptions
from pyro_fix.verify.verifier import Verifier, laboratory

__all__ = ["Run", "RunPlan", "Verifier", "VerifyOptions", "default_folder", "laboratory"]
