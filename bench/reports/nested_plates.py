# source: pyro-ppl/numpyro#780, forum.pyro.ai/t/data-shape-mismatch-with-nested-plates/2270
# wrong: the sizes of two nested plates are in the wrong order for the data
# tip: 13
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam

torch.manual_seed(0)
scores = torch.tensor([1.0, 2.0, 3.0])[:, None] + 0.5 * torch.randn(3, 25)  # schools, pupils


def model(scores):
    n_schools, n_pupils = scores.shape
    with pyro.plate("schools", n_schools, dim=-1):
        effect = pyro.sample("effect", dist.Normal(0.0, 3.0))
        with pyro.plate("pupils", n_pupils, dim=-2):
            pyro.sample("score", dist.Normal(effect, 0.5), obs=scores)


guide = AutoNormal(model)
svi = SVI(model, guide, Adam({"lr": 0.02}), Trace_ELBO())
for _ in range(500):
    svi.step(scores)
