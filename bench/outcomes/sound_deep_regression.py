"""A Bayesian neural network in one dimension: PyroModule, PyroSample, minibatches handed over by a generator."""

import torch
from torch import nn

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal
from pyro.nn import PyroModule, PyroSample
from pyro.optim import Adam

gen = torch.Generator().manual_seed(14)
x = torch.linspace(-2, 2, 240).unsqueeze(-1)
y = torch.sin(3 * x).squeeze(-1) + 0.1 * torch.randn(240, generator=gen)


class Net(PyroModule):
    def __init__(self, hidden=12):
        super().__init__()
        self.first = PyroModule[nn.Linear](1, hidden)
        self.second = PyroModule[nn.Linear](hidden, 1)
        for layer in (self.first, self.second):
            layer.weight = PyroSample(dist.Normal(0.0, 2.0).expand(layer.weight.shape).to_event(2))
            layer.bias = PyroSample(dist.Normal(0.0, 2.0).expand(layer.bias.shape).to_event(1))

    def forward(self, x, y):
        mean = self.second(torch.tanh(self.first(x))).squeeze(-1)
        with pyro.plate("data", size=240, subsample_size=len(x)):
            pyro.sample("y", dist.Normal(mean, 0.1), obs=y)


def batches(size=60):
    order = torch.randperm(240)
    for start in range(0, 240, size):
        rows = order[start : start + size]
        yield x[rows], y[rows]


pyro.set_rng_seed(0)
net = Net()
svi = SVI(net, AutoDiagonalNormal(net, init_scale=0.02), Adam({"lr": 0.01}), Trace_ELBO())
for epoch in range(500):
    for inputs, targets in batches():
        loss = svi.step(inputs, targets)
print(loss)
