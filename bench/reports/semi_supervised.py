# source: pyro-ppl/pyro#2673
# wrong: the labels that are known are not handed to the model's site by obs=; it is drawn from its prior
# tip: 4
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

torch.manual_seed(0)
labels = (torch.arange(90) % 3).long()
genes = torch.tensor([-2.0, 0.0, 3.0])[labels] + 0.5 * torch.randn(90)


class SCANVI:
    def __init__(self, num_labels):
        self.num_labels = num_labels

    def model(self, x, y=None):
        locs = pyro.sample("locs", dist.Normal(torch.zeros(self.num_labels), 3.0).to_event(1))
        with pyro.plate("batch", len(x)):
            y = pyro.sample("y", dist.Categorical(logits=x.new_zeros(self.num_labels)))
            pyro.sample("x", dist.Normal(locs[y], 0.5), obs=x)

    def guide(self, x, y=None):
        loc = pyro.param("loc", torch.zeros(self.num_labels))
        scale = pyro.param("scale", 0.1 * torch.ones(self.num_labels), constraint=constraints.positive)
        pyro.sample("locs", dist.Normal(loc, scale).to_event(1))


scanvi = SCANVI(num_labels=3)
svi = SVI(scanvi.model, scanvi.guide, Adam({"lr": 0.01}), Trace_ELBO())
for epoch in range(800):
    svi.step(genes, labels)
