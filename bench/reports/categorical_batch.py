# source: pyro-ppl/pyro#2787
# wrong: the dimensions of the observed sequences are declared by no plate and no event dim
# tip: 13
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal
from pyro.optim import Adam
from torch import nn

torch.manual_seed(0)
n_seq, max_len, n_letters = 12, 6, 4
pattern = torch.tensor([0, 1, 2, 3, 0, 1])
sequences = torch.where(torch.rand(n_seq, max_len) < 0.8, pattern, torch.randint(0, n_letters, (n_seq, max_len)))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, max_len * n_letters)

    def forward(self, z):
        return self.linear(z).reshape(n_seq, max_len, n_letters)


decoder = Decoder()


def model(sequences):
    pyro.module("decoder", decoder)
    with pyro.plate("tree", n_seq):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
    logits = decoder(z.unsqueeze(-1))
    pyro.sample("sequences", dist.Categorical(logits=logits), obs=sequences)


guide = AutoDiagonalNormal(model)
svi = SVI(model, guide, Adam({"lr": 0.01}), loss=Trace_ELBO())
for step in range(600):
    svi.step(sequences)
