"""Fit the two-parameter logistic model to simulated answers: `python -m irt.train` from the folder above."""

import argparse

import torch

import pyro
from pyro.infer import SVI, Trace_ELBO

from .data import simulate
from .model import TwoParameterLogistic


def main():
    parser = argparse.ArgumentParser(prog="irt.train", description=__doc__.split(":")[0])
    parser.add_argument("--students", type=int, default=100)
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--num-steps", type=int, default=600)
    parser.add_argument("--lr", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    pyro.set_rng_seed(args.seed)
    student, item, solved, true_ability = simulate(args.students, args.items)
    irt = TwoParameterLogistic(args.students, args.items)
    optimizer = pyro.optim.Adam({"lr": args.lr, "betas": (0.95, 0.999)})
    svi = SVI(irt.model, irt.guide, optimizer, loss=Trace_ELBO())

    losses = []
    for step in range(args.num_steps):
        losses.append(svi.step(student, item, solved))
        if step % 100 == 0:
            print(f"step {step:4d}  loss {losses[-1]:12.1f}")

    tail = torch.tensor(losses[-100:])
    print(f"final loss {tail.mean():.1f} +- {tail.std():.1f}")
    ability = pyro.param("ability_loc").detach()
    correlation = torch.corrcoef(torch.stack([ability, true_ability]))[0, 1]
    print(f"correlation of estimated and true ability: {correlation:.2f}")


if __name__ == "__main__":
    main()
