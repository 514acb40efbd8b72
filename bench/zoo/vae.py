"""A small variational autoencoder, by minibatches."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
torch.manual_seed(int(sys.argv[1]))
data = (torch.randn(120, 2, generator=generator) @ torch.randn(2, 6, generator=generator)
        + 0.3 * torch.randn(120, 6, generator=generator))
encoder = torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Tanh(), torch.nn.Linear(12, 4))
decoder = torch.nn.Sequential(torch.nn.Linear(2, 12), torch.nn.Tanh(), torch.nn.Linear(12, 6))

def model(x):
    pyro.module("decoder", decoder)
    with pyro.plate("rows", len(x)):
        z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(decoder(z), 0.5).to_event(1), obs=x)

def guide(x):
    pyro.module("encoder", encoder)
    with pyro.plate("rows", len(x)):
        loc, log_scale = encoder(x).chunk(2, -1)
        pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))

svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
for epoch in range(60):
    for batch in data.split(40):
        svi.step(batch)
"""

_STEP = "svi.step(batch)"
_Z = '        pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))'

REWRITES = (
    harmful("an encoder that is not trained", ('    pyro.module("encoder", encoder)\n', "")),
    harmful("a decoder that is not trained", ("decoder(z), 0.5", "decoder(z).detach(), 0.5")),
    harmful("the same batch for ever", (_STEP, "svi.step(data[:40])")),
    harmful(
        "the KL divergence dropped",
        ("        z = pyro.sample", "        with poutine.scale(scale=1e-6):\n            z = pyro.sample"),
        (_Z, "        with poutine.scale(scale=1e-6):\n    " + _Z),
    ),
    harmful("half of each datum", (".to_event(1), obs=x)", ".mask(torch.arange(6) < 3).to_event(1), obs=x)")),
    harmful("codes without noise", ("log_scale.exp()", "1e-3 * torch.ones(())")),
    harmful("a decoder of the mean alone", ("decoder(z), 0.5", "decoder(0.01 * z), 0.5")),
    harmful(
        "codes clamped", ("dist.Normal(loc, log_scale.exp())", "dist.Normal(loc.clamp(-0.5, 0.5), log_scale.exp())")
    ),
    harmful(
        "a pixel counted as an event of its own",
        ("dist.Normal(decoder(z), 0.5).to_event(1)", "dist.Normal(decoder(z), 5.0).to_event(1)"),
    ),
    right("the mean-field ELBO", Promise.SAME_EXPECTATION, ("loss=Trace_ELBO()", "loss=TraceMeanField_ELBO()")),
    right(
        "a scale on both sides",
        Promise.SAME_OBJECTIVE,
        ("SVI(model, guide", "SVI(poutine.scale(model, scale=1 / 40), poutine.scale(guide, scale=1 / 40)"),
    ),
)
