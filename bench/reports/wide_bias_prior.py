# source: pyro-ppl/pyro#2047
# wrong: the prior of the bias has a spread of 1000, so the autoguide starts hundreds away and 0.03 a step gets nowhere
# tip: 6
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal
from pyro.nn import PyroModule, PyroSample

torch.manual_seed(0)
x = torch.linspace(0.0, 6.0, 80).unsqueeze(-1)
y = 9.0 - 0.6 * x.squeeze(-1) + 0.3 * torch.randn(80)


class BayesianRegression(PyroModule):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.linear = PyroModule[torch.nn.Linear](in_features, out_features)
        self.linear.weight = PyroSample(dist.Normal(0.0, 1.0).expand([out_features, in_features]).to_event(2))
        self.linear.bias = PyroSample(dist.Normal(0.0, 1000.0).expand([out_features]).to_event(1))

    def forward(self, x, y=None):
        sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
        mean = self.linear(x).squeeze(-1)
        with pyro.plate("data", x.shape[0]):
            pyro.sample("obs", dist.Normal(mean, sigma), obs=y)
        return mean


pyro.set_rng_seed(1)
model = BayesianRegression(1, 1)
guide = AutoDiagonalNormal(model)
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.03}), loss=Trace_ELBO())
num_iterations = 1500
for j in range(num_iterations):
    loss = svi.step(x, y)
    if j % 300 == 0:
        print(f"[iteration {j + 1:04d}] loss: {loss / len(x):.4f}")
