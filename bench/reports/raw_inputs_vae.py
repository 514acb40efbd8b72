# source: pyro-ppl/pyro#571
# wrong: inputs of the order of a thousand go into the exp of an encoder's scale: NaN before any training step
# tip: 11
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch import nn

torch.manual_seed(1)
factors = torch.randn(100, 2)
x = 50_000.0 + 20_000.0 * factors @ torch.randn(2, 6) + 500.0 * torch.randn(100, 6)
target = factors @ torch.tensor([1.0, -1.0]) + 0.1 * torch.randn(100)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 8)
        self.loc = nn.Linear(8, 2)
        self.log_scale = nn.Linear(8, 2)

    def forward(self, x):
        h = torch.relu(self.hidden(x))
        return self.loc(h), torch.exp(self.log_scale(h))


encoder, decoder = Encoder(), nn.Linear(2, 1)


def model(x, target):
    pyro.module("decoder", decoder)
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 1.0).to_event(1))
        pyro.sample("target", dist.Normal(decoder(z).squeeze(-1), 0.3), obs=target)


def guide(x, target):
    pyro.module("encoder", encoder)
    with pyro.plate("data", len(x)):
        loc, scale = encoder(x)
        pyro.sample("z", dist.Normal(loc, scale).to_event(1))


svi = SVI(model, guide, Adam({"lr": 0.005}), loss=Trace_ELBO())
for epoch in range(1000):
    loss = svi.step(x, target)
