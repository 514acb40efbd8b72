# source: forum.pyro.ai/t/traceenum-elbo-reference/1110 (its guide's constraint)
# wrong: the probabilities of a Categorical have the constraint unit_interval; after a step they sum to something else; torch divides by the sum, so it trains
# tip: 5
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate

words = torch.tensor([0, 2, 2, 1, 2, 0, 2, 2, 2, 1, 2, 0])


@config_enumerate
def model(words):
    emit = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    share = pyro.sample("share", dist.Beta(2.0, 2.0))
    with pyro.plate("words", len(words)):
        topic = pyro.sample("topic", dist.Categorical(torch.stack([1 - share, share], -1)))
        pyro.sample("word", dist.Categorical(emit[topic]), obs=words)


@config_enumerate
def guide(words):
    a = pyro.param("a", torch.tensor(5.0), constraint=constraints.greater_than(0.01))
    b = pyro.param("b", torch.tensor(5.0), constraint=constraints.greater_than(0.01))
    pyro.sample("share", dist.Beta(a, b))
    probs = pyro.param("probs", torch.ones(len(words), 2) / 2, constraint=constraints.unit_interval)
    with pyro.plate("words", len(words)):
        pyro.sample("topic", dist.Categorical(probs))


svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), TraceEnum_ELBO(max_plate_nesting=1))
for step in range(600):
    svi.step(words)
