# source: pyro-ppl/pyro#1983
# wrong: concentrations of a Dirichlet guide that are merely positive go to nothing, draws lie on the boundary
# tip: 16
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch.distributions import constraints

num_topics, num_docs, vocab = 4, 30, 40
torch.manual_seed(1234)
phi_true = torch.distributions.Dirichlet(torch.full((vocab,), 0.1)).sample((num_topics,))
theta_true = torch.distributions.Dirichlet(torch.full((num_topics,), 0.3)).sample((num_docs,))
docs = torch.distributions.Multinomial(60, theta_true @ phi_true).sample()


def model(docs):
    with pyro.plate("topics", num_topics):
        phi = pyro.sample("phi", dist.Dirichlet(torch.ones(vocab) / vocab))
    with pyro.plate("docs", num_docs):
        theta = pyro.sample("theta", dist.Dirichlet(torch.ones(num_topics) / num_topics))
        pyro.sample("words", dist.Multinomial(60, theta @ phi), obs=docs)


def guide(docs):
    phi_q = pyro.param("phi_q", torch.ones(num_topics, vocab) + torch.rand(num_topics, vocab), constraint=constraints.positive)
    theta_q = pyro.param("theta_q", torch.ones(num_docs, num_topics), constraint=constraints.positive)
    with pyro.plate("topics", num_topics):
        pyro.sample("phi", dist.Dirichlet(phi_q))
    with pyro.plate("docs", num_docs):
        pyro.sample("theta", dist.Dirichlet(theta_q))


svi = SVI(model, guide, Adam({"lr": 0.02}), loss=Trace_ELBO())
for step in range(1500):
    loss = svi.step(docs)
    if step % 300 == 0:
        print(step, loss / docs.sum().item())
