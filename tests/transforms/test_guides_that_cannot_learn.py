"""What SVI061 tells of guides that run and cannot learn: local latents in one vector, latents drawn from their prior."""

from __future__ import annotations

from pathlib import Path

import pytest
from shown import check_shown, site_look, svi_at, trajectory

from pyro_fix.observation import Look, PlateLook
from pyro_fix.transform import Promise

CODE = "SVI061"

HEAD = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal, AutoMultivariateNormal, AutoNormal
from pyro.optim import Adam

"""
TAIL = "svi = SVI(model, guide, Adam({}), Trace_ELBO())\nfor _ in range(1000):\n    svi.step(data)\n"

LOCAL = """\
def model(data, size=100):
    centre = pyro.sample("centre", dist.Normal(0.0, 1.0))
    with pyro.plate("items", PLATE) as ind:
        item = pyro.sample("item", dist.Normal(centre, 1.0))
        pyro.sample("x", dist.Normal(item, 1.0), obs=data[ind])


"""


def packed(
    plate: str = "len(data), subsample_size=10", guide: str = "AutoDiagonalNormal(model)", more: str = ""
) -> str:
    return f"{HEAD}{LOCAL.replace('PLATE', plate)}guide = {guide}\n{TAIL}{more}"


def check(folder: Path, text: str, *svis: object):
    return check_shown(folder, CODE, text, *svis)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("guide", "wanted"),
    [
        ("AutoDiagonalNormal(model)", "AutoNormal(model, "),
        ("AutoMultivariateNormal(model, init_scale=0.05)", "AutoNormal(model, init_scale=0.05, "),
        ("pyro.infer.autoguide.AutoDiagonalNormal(model)", "pyro.infer.autoguide.AutoNormal(model, "),
    ],
)
def test_local_latents_in_one_vector(tmp_path: Path, guide: str, wanted: str):
    outcome = check(tmp_path, packed(guide=guide))
    plates = 'create_plates=lambda data, size=100: pyro.plate("items", len(data), subsample_size=10))'
    assert f"guide = {wanted}{plates}" in outcome.text
    proposal = outcome.finding.proposal
    assert "'item' in plate 'items' belongs to other data" in proposal.message
    (candidate,) = proposal.candidates
    assert candidate.needs_run and candidate.promise == Promise.RUNS_CLEAN | Promise.BETTER_END
    assert candidate.steps == 1000


def test_a_run_shows_that_the_plate_takes_a_part(tmp_path: Path):
    text = packed("len(data), subsample_size=size")

    def shown(subsample: int):
        plates = (PlateLook("items", -1, 100, subsample),)
        look = Look({}, {}, {"item": site_look(text, '"item"', plates=plates)}, (), {}, ())
        return svi_at(text, "svi = SVI", trajectory(3.0, 2.0), look=look)

    assert check(tmp_path, text, shown(10)).finding.proposal.source == "seen"
    assert check(tmp_path, text, shown(100)).findings == ()


@pytest.mark.parametrize(
    "text",
    [
        packed("len(data)"),
        packed("100, subsample_size=100"),
        packed("len(data), subsample_size=None"),
        packed(guide="AutoNormal(model)"),
        packed().replace("item = pyro.sample", "item = centre  # pyro.sample"),  # no latent of theirs
    ],
)
def test_no_local_latents_or_no_vector(tmp_path: Path, text: str):
    assert check(tmp_path, text).findings == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (packed(more="print(guide.get_posterior())\n"), "other names"),
        (packed(more='print(pyro.param("AutoDiagonalNormal.loc"))\n'), "other names"),
        (packed(guide="AutoDiagonalNormal(model, **options)"), "does not have"),
        (packed("n, subsample_size=10").replace("    centre =", "    n = len(data)\n    centre ="), "works out"),
    ],
)
def test_what_is_not_written(tmp_path: Path, text: str, why: str):
    outcome = check(tmp_path, text.replace("def model", "options = load()\n\n\ndef model"))
    assert why in outcome.held_back and "create_plates" in outcome.held_back


PRIOR = """\
def model(data):
    mean = pyro.sample("mean", dist.Normal(0.0, 5.0))
    for i in range(3):
        own = pyro.sample(f"own_{i}", MODEL)
        pyro.sample(f"x_{i}", dist.Normal(SEEN, 0.3), obs=data[i])


def guide(data):
    loc = pyro.param("loc", torch.tensor(0.0))
    mean = pyro.sample("mean", dist.Normal(loc, 0.1))
    width = pyro.param("width", torch.tensor(0.1))
    for i in range(3):
        pyro.sample(f"own_{i}", GUIDE)


"""


def prior(guide: str = "dist.Normal(mean, 1.0)", model: str = "dist.Normal(mean, 1.0)", seen: str = "2 * own") -> str:
    return HEAD + PRIOR.replace("GUIDE", guide).replace("MODEL", model).replace("SEEN", seen) + TAIL


@pytest.mark.parametrize(
    "both", ["dist.Normal(mean, 1.0)", "dist.Normal(0.0, 1.0)", "dist.Normal(mean, torch.ones(2)).to_event(1)"]
)
def test_a_latent_that_is_drawn_from_its_prior(tmp_path: Path, both: str):
    outcome = check(tmp_path, prior(both, both))
    assert "'own_{}' from just what the model draws it from" in outcome.finding.proposal.message
    assert outcome.held_back.startswith("give 'own_{}' parameters of its own")


@pytest.mark.parametrize(
    "text",
    [
        prior("dist.Normal(mean, 0.5)"),  # another spread, which somebody has thought of
        prior("dist.Normal(mean, width)", "dist.Normal(mean, width)").replace(
            "def model", "width = 1.0\n\n\ndef model"
        ),
        prior("dist.Normal(net(data), 1.0)", "dist.Normal(net(data), 1.0)"),
        prior(seen="mean"),  # the data say nothing of it
        prior("dist.Categorical(torch.ones(2))", "dist.Categorical(torch.ones(2))"),
        prior("dist.Normal(mean, self.width)", "dist.Normal(mean, self.width)"),
    ],
)
def test_a_latent_that_is_not(tmp_path: Path, text: str):
    assert check(tmp_path, text).findings == ()


def test_a_plate_is_not_written_where_its_size_is_something_else(tmp_path: Path):
    """What the model reads is the file's; the function that makes the guide has a variable of that name."""
    text = packed("rows, subsample_size=10").replace("def model", "rows = 100\n\n\ndef model", 1)
    assert "create_plates=" in check(tmp_path, text).text
    head, _, main = text.partition("guide = ")
    inner = "".join(f"    {line}\n" for line in f"guide = {main}".splitlines())
    finding = check(tmp_path, f"{head}def train(rows):\n{inner}train(3)\n").finding
    assert "'rows', with which the plate is made, is something else" in finding.proposal.held_back
