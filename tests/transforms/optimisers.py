"""Programs that build an optimiser and step an SVI, for the tests of tips 2 and 3."""

from __future__ import annotations

PREAMBLE = """
import argparse
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import *
from torch.utils.data import DataLoader
from tqdm import tqdm, trange

def model(data):
    z = pyro.sample("z", dist.Normal(0., 1.))

def guide(data):
    pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))

"""

STEP = "for _ in range(1000):\n    svi.step(data)\n"


def build(optimizer: str) -> str:
    return f"svi = SVI(model, guide, {optimizer}, Trace_ELBO())\n"


def program(optimizer: str, steps: str = STEP, before: str = "") -> str:
    return PREAMBLE + before + build(optimizer) + steps


def stepped(optimizer: str, loop: str, before: str = "num_steps = 500\n") -> str:
    """A script whose only open question is how many steps ``loop`` makes."""
    return PREAMBLE + before + f"optimizer = {optimizer}\n" + build("optimizer") + loop
