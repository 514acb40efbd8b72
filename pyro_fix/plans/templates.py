"""The texts of drivers (see :mod:`pyro_fix.plans.drivers`), for ``str.format``; they run under the user's interpreter.

Both try the values that were made up without a step, so that the runs that are recorded hold nothing of the attempts.
"""

_HEAD = '''\
"""{title}, with values made up from signatures; written by pyro-fix, for one run."""

import importlib
import itertools
import types

import pyro
import pyro.infer.autoguide
import pyro.optim
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO, TraceEnum_ELBO

module = importlib.import_module({module!r})


def given(*args, **kwargs):
    return args, kwargs


#: What is built, and what it is given; all combinations are tried in turn.
BUILT = (
{built}
)
GIVEN = (
{given}
)


def check(model, guide, args, kwargs):
    """Raise where model and guide do not work with these values."""
    guided = poutine.trace(guide).get_trace(*args, **kwargs)
    modelled = poutine.trace(poutine.replay(model, trace=guided)).get_trace(*args, **kwargs)
    if not torch.isfinite(torch.as_tensor(modelled.log_prob_sum() - guided.log_prob_sum())):
        raise ValueError("these values have no finite density")
    if not modelled.observation_nodes:
        raise ValueError("the model observes nothing")


def start(build, values):
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    thing = build()
    return thing, values()


def main():
    error = None
    for case in itertools.product(BUILT, GIVEN):
        try:
            attempt(case)
        except Exception as caught:
            error = error or caught
        else:
            return train(case)
    raise error

'''

TRAINER = (
    _HEAD
    + '''
class Reached(BaseException):
    """A first step would have been made."""


def built(svi, model, guide, optim=None, loss=None, *args, **kwargs):
    svi.model, svi.guide, svi.optim, svi.loss = model, guide, optim, loss


def stepped(svi, *args, **kwargs):
    check(svi.model, svi.guide, args, kwargs)
    raise Reached


def train(case):
    thing, (args, kwargs) = start(*case)
    thing.{name}(*args, **kwargs)


def attempt(case):
    kept = SVI.__init__, SVI.step
    SVI.__init__, SVI.step = built, stepped
    try:
        train(case)
    except Reached:
        return
    finally:
        SVI.__init__, SVI.step = kept
    raise RuntimeError("it made no step")


main()
'''
)

PAIR = (
    _HEAD
    + """
def pair(case):
    thing, values = start(*case)
    model = {model}
    return model, {guide}, values


def attempt(case):
    model, guide, (args, kwargs) = pair(case)
    check(model, guide, args, kwargs)


def train(case):
    model, guide, (args, kwargs) = pair(case)
    svi = SVI(model, guide, pyro.optim.Adam({{"lr": 0.01}}), {elbo}())
    for _ in range(1000):
        svi.step(*args, **kwargs)


main()
"""
)
