"""The rewrites whose verdicts ``verdicts.py`` counts: for every promise one that changes nothing or is right, and some
that do harm.  Each program takes the seed of its data from the command line, so that a repetition is another data set.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyro_fix.transform import Promise, Rate

_IMPORTS = """\
import sys
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.optim import Adam, ClippedAdam

generator = torch.Generator().manual_seed(int(sys.argv[1]))
"""
_LOOP = """
for step in range(1000):
    svi.step(data)
"""

#: A Normal with unknown location and scale, from a poor start.
PLAIN = f"""{_IMPORTS}
data = torch.randn(50, generator=generator) * 2 + 3

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, sigma), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("loc", dist.Normal(m, s))
    k = pyro.param("k", torch.tensor(0.0))
    t = pyro.param("t", torch.tensor(0.3))
    pyro.sample("sigma", dist.LogNormal(k, t))

svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
{_LOOP}"""

#: Groups of data in a plate, and particles one after the other.
PARTICLES = f"""{_IMPORTS}
data = torch.randn(20, 5, generator=generator) + 1

def model(data):
    level = pyro.sample("level", dist.Normal(0.0, 1.0))
    with pyro.plate("groups", 5, dim=-1):
        effect = pyro.sample("effect", dist.Normal(level, 1.0))
        with pyro.plate("rows", 20, dim=-2):
            pyro.sample("obs", dist.Normal(effect, 1.0), obs=data)

def guide(data):
    loc = pyro.param("loc", torch.zeros(6))
    level = pyro.sample("level", dist.Normal(loc[0], 0.1))
    with pyro.plate("groups", 5, dim=-1):
        pyro.sample("effect", dist.Normal(loc[1:], 0.1))

svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO(num_particles=4))
{_LOOP}"""

#: Two latents that the guide makes depend on each other, in the order that the mean-field ELBO needs or in the other.
CHAIN = f"""{_IMPORTS}
data = torch.randn(30, generator=generator) + 2

def model(data):
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(a, 1.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(b, 1.0), obs=data)

def guide(data):
    w = pyro.param("w", torch.tensor([0.1, 0.8, 0.2]))
    pyro.sample("a", dist.Normal(w[0], 0.4))
    pyro.sample("b", dist.Normal(w[2], 0.4))

svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
{_LOOP}"""
_INDEPENDENT = 'pyro.sample("a", dist.Normal(w[0], 0.4))\n    pyro.sample("b", dist.Normal(w[2], 0.4))'
_BACKWARDS = 'b = pyro.sample("b", dist.Normal(w[2], 0.4))\n    pyro.sample("a", dist.Normal(w[0] + w[1] * b, 0.4))'
#: The mean-field condition fails: the parent of ``b`` in the model is its descendant in the guide.
REVERSED = CHAIN.replace(_INDEPENDENT, _BACKWARDS)

#: A learning rate that throws the parameters out of what float32 can hold.
HOT = PLAIN.replace('"lr": 0.01', '"lr": 60.0').replace(
    "torch.tensor(0.3))", "torch.tensor(0.3), constraint=constraints.positive)"
)

#: A guide that starts ten times as wide as its posterior will be.
WIDE = PLAIN.replace("torch.tensor(0.5)", "torch.tensor(5.0)")


@dataclass(frozen=True)
class Case:
    """One rewrite of one program, and what it promises."""

    name: str
    program: str
    promise: Promise
    changes: tuple[tuple[str, str], ...]
    harmful: bool
    rate: Rate | None = None


def _scaled(model: str, guide: str) -> tuple[tuple[str, str], ...]:
    def one(name: str, scale: str) -> str:
        return f"poutine.scale({name}, scale={scale})" if scale else name

    return (("SVI(model, guide", f"SVI({one('model', model)}, {one('guide', guide)}"),)


def _start(value: str) -> tuple[tuple[str, str], ...]:
    return (('pyro.param("m", torch.tensor(0.0))', f'pyro.param("m", {value})'),)


_SAME = (('"lr": 0.01', '"lr": 0.010'),)
_POSITIVE = "torch.tensor(0.3), constraint=constraints.positive)"
_WIDE = (("torch.tensor(0.5)", "torch.tensor(50.0)"),)
_MEAN_FIELD = (("loss=Trace_ELBO()", "loss=TraceMeanField_ELBO()"),)
_VECTORIZED = (("num_particles=4", "num_particles=4, vectorize_particles=True"),)
_HOTTER = (('"lr": 0.01', '"lr": 1.0'),)
_WRONG_SUPPORT = (("dist.LogNormal(k, t)", "dist.Normal(k, t)"),)
#: What changes the optimiser alone promises.
_OPTIMISER = Promise.SAME_START | Promise.NO_WORSE
#: Seen from the parameter, the model's log-density falls where it should rise.
_WRONG_SIGN = (
    ('pyro.sample("obs", dist.Normal(loc, sigma), obs=data)', 'pyro.sample("obs", dist.Normal(-loc, sigma), obs=data)'),
)

CASES: tuple[Case, ...] = (
    Case("a number written otherwise", PLAIN, Promise.RUNS_CLEAN, _SAME, False),
    Case("a guide with the wrong support", PLAIN, Promise.RUNS_CLEAN, _WRONG_SUPPORT, True),
    Case("a number written otherwise", PLAIN, Promise.SAME_START, _SAME, False),
    Case("a constraint", PLAIN, Promise.SAME_START, (("torch.tensor(0.3))", _POSITIVE),), False),
    Case(
        "a constraint, and another start",
        PLAIN,
        Promise.SAME_START,
        (("torch.tensor(0.3))", _POSITIVE.replace("0.3", "0.301")),),
        True,
    ),
    Case("a number written otherwise", PLAIN, Promise.SAME_OBJECTIVE, _SAME, False),
    Case("a scale on both sides", PLAIN, Promise.SAME_OBJECTIVE, _scaled("1 / 50", "1 / 50"), False),
    Case("a scale on the model alone", PLAIN, Promise.SAME_OBJECTIVE, _scaled("1 / 50", ""), True),
    Case("a gradient of the wrong sign", PLAIN, Promise.SAME_OBJECTIVE, _WRONG_SIGN, True),
    Case(
        "particles in a plate",
        PARTICLES,
        Promise.SAME_SITES_SLICED,
        _VECTORIZED,
        False,
    ),
    Case(
        "particles in a plate, and another model",
        PARTICLES,
        Promise.SAME_SITES_SLICED,
        (*_VECTORIZED, ("dist.Normal(level, 1.0)", "dist.Normal(level.mean(), 1.0)")),
        True,
    ),
    Case("a number written otherwise", CHAIN, Promise.SAME_EXPECTATION, _SAME, False),
    Case("mean field where it holds", CHAIN, Promise.SAME_EXPECTATION, _MEAN_FIELD, False),
    Case("mean field where it fails", REVERSED, Promise.SAME_EXPECTATION, _MEAN_FIELD, True),
    Case("a narrower start", WIDE, Promise.LESS_VARIANCE, (("torch.tensor(5.0)", "torch.tensor(0.1)"),), False),
    Case("a wider start", PLAIN, Promise.LESS_VARIANCE, _WIDE, True),
    Case("a number written otherwise", PLAIN, Promise.DECLARED_RATE, _SAME, False, Rate(0.01, 1.0)),
    Case("rate times 100", PLAIN, Promise.DECLARED_RATE, _HOTTER, True, Rate(0.01, 1.0)),
    Case("a sane rate", HOT, Promise.STABLE, (("60.0", "0.01"),), False),
    Case("hot all the same", HOT, Promise.STABLE, (("60.0", "50.0"),), True),
    Case("a number written otherwise", PLAIN, Promise.NO_WORSE, _SAME, False),
    Case(
        "the guide's sites in another order",
        CHAIN,
        Promise.NO_WORSE,
        ((_INDEPENDENT, "\n    ".join(reversed(_INDEPENDENT.split("\n    ")))),),
        False,
    ),
    Case("a start 100 times as wide", PLAIN, Promise.NO_WORSE, _WIDE, True),
    Case("a gradient of the wrong sign", PLAIN, Promise.NO_WORSE, _WRONG_SIGN, True),
    Case("a start at the data's mean", PLAIN, Promise.BETTER_START, _start("data.mean()"), False),
    Case("a start far off", PLAIN, Promise.BETTER_START, _start("torch.tensor(-20.0)"), True),
    Case("another optimiser", PLAIN, _OPTIMISER, (("guide, Adam(", "guide, ClippedAdam("),), False),
    Case("a scale on the model alone", PLAIN, _OPTIMISER, _scaled("1 / 50", ""), True),
)
