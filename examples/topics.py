"""Sparse Gamma-Poisson factorisation of word counts into topics.

Both the topics' loadings and the documents' scores have sparse Gamma priors (concentration 0.005), so most of them
should be close to nothing. The guide is a Gamma for every entry, with concentration and rate as parameters.
"""

import torch
from torch.distributions import constraints

import pyro
import pyro.distributions as dist
import pyro.optim as optim
from pyro.infer import SVI, Trace_ELBO

NUM_TOPICS = 4
NUM_STEPS = 1500


def simulate(num_documents=40, num_words=30):
    """Counts of words in documents, each document mostly about one topic."""
    gen = torch.Generator().manual_seed(29)
    topic = torch.randint(NUM_TOPICS, (num_documents,), generator=gen)
    loadings = torch.zeros(NUM_TOPICS, num_words)
    for k in range(NUM_TOPICS):
        words = torch.randperm(num_words, generator=gen)[:8]
        loadings[k, words] = 5 * torch.rand(8, generator=gen)
    return torch.poisson(loadings[topic] + 0.05, generator=gen)


def model(counts):
    documents = pyro.plate("documents", counts.shape[0], dim=-2)
    with pyro.plate("topics", NUM_TOPICS, dim=-1):
        with documents:
            scores = pyro.sample("scores", dist.Gamma(0.005, 0.3))
        with pyro.plate("words_of_topics", counts.shape[1], dim=-2):
            loadings = pyro.sample("loadings", dist.Gamma(0.005, 0.3))
    rate = scores @ loadings.T + 1e-3
    with documents, pyro.plate("words", counts.shape[1], dim=-1):
        pyro.sample("counts", dist.Poisson(rate), obs=counts)


def guide(counts):
    num_documents, num_words = counts.shape
    with pyro.plate("topics", NUM_TOPICS, dim=-1):
        with pyro.plate("documents", num_documents, dim=-2):
            concentration = pyro.param(
                "scores_concentration", torch.full((num_documents, NUM_TOPICS), 0.1), constraint=constraints.positive
            )
            rate = pyro.param(
                "scores_rate", torch.full((num_documents, NUM_TOPICS), 0.1), constraint=constraints.positive
            )
            pyro.sample("scores", dist.Gamma(concentration, rate))
        with pyro.plate("words_of_topics", num_words, dim=-2):
            concentration = pyro.param(
                "loadings_concentration", torch.full((num_words, NUM_TOPICS), 0.1), constraint=constraints.positive
            )
            rate = pyro.param(
                "loadings_rate", torch.full((num_words, NUM_TOPICS), 0.1), constraint=constraints.positive
            )
            pyro.sample("loadings", dist.Gamma(concentration, rate))


pyro.set_rng_seed(0)
counts = simulate()
svi = SVI(model, guide, optim.ClippedAdam({"lr": 0.2}), loss=Trace_ELBO())
for step in range(NUM_STEPS):
    loss = svi.step(counts)
    if step % 100 == 0:
        print(f"step {step:4d}  loss {loss:12.2f}")
print("final loss", round(svi.evaluate_loss(counts), 2))
