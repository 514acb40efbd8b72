# source: pyro-ppl/pyro#3255
# wrong: the hidden coin of every toss is sampled under Trace_ELBO; its probabilities stay far from what they should be
# tip: 14
import pyro
import pyro.distributions as dist
import torch

X = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0])


def model(X):
    with pyro.plate("tosses", X.shape[0]):
        c = pyro.sample("unbiased", dist.Categorical(torch.ones(2) / 2))
        pyro.sample("obs", dist.Bernoulli(torch.tensor([0.05, 0.95])[c]), obs=X)


def guide(X):
    post_p = pyro.param("post_p", torch.ones(X.shape[0], 2) / 2, constraint=torch.distributions.constraints.simplex)
    with pyro.plate("tosses", X.shape[0]):
        pyro.sample("unbiased", dist.Categorical(post_p))


svi = pyro.infer.SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), pyro.infer.Trace_ELBO())
for step in range(70):
    svi.step(X)
print(pyro.param("post_p"))
