"""What a look says of supports and of unpaired sites."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyro_fix.analysis.health import agreements, mismatches, unpaired
from pyro_fix.observation import Dependencies, Look, SiteLook

KNOWN = Dependencies({}, {}, (), True)


def site(distribution: str, support: str, **changes: object) -> SiteLook:
    return replace(SiteLook(distribution, support, False, (), -1.0, 1.0), **changes)  # type: ignore[arg-type]


def look(guide: SiteLook, model: SiteLook, dependencies: Dependencies | None = KNOWN) -> Look:
    return Look({}, {"z": guide}, {"z": model}, (), {}, (), dependencies=dependencies)


OUTSIDE = ("value: 1 of 3 values not positive",)
NORMAL, GAMMA = site("Normal", "real"), site("Gamma", "positive")


@pytest.mark.parametrize(
    ("guide", "model", "answer"),
    [
        (NORMAL, GAMMA, False),
        (GAMMA, NORMAL, True),
        (GAMMA, site("Uniform", "interval(0, 10)"), False),
        (site("Uniform", "interval(0, 1..3)"), GAMMA, True),
        (GAMMA, site("Uniform", "interval(0, 1..3)"), False),
        (site("Uniform", "interval(0, 1..3)"), site("Uniform", "interval(0, 1..3)"), None),
        (site("GeneralizedPareto", "interval(0, inf)"), GAMMA, True),
        (GAMMA, site("GeneralizedPareto", "interval(0, inf)"), True),
        # draws from less than it says
        (site("VonMises", "real"), site("Uniform", "interval(-4, 4)"), None),
        (site("TransformedDistribution", "real"), GAMMA, None),
        # zero is what a Poisson may draw; whether "positive" has it is not told
        (site("Poisson", "nonnegative_integer"), GAMMA, None),
        (site("Delta", "?"), GAMMA, None),
        (site("Delta", "?"), replace(GAMMA, violations=OUTSIDE), None),
        # a draw is proof
        (site("Mine", "?"), replace(GAMMA, violations=OUTSIDE), False),
        (site("TransformedDistribution", "real"), replace(GAMMA, violations=OUTSIDE), False),
        (site("Mine", "?", violations=OUTSIDE), replace(GAMMA, violations=OUTSIDE), None),
        # bounds that another latent moves
        (site("Uniform", "interval(0, 2)", parents=("w",)), GAMMA, None),
        (GAMMA, site("Uniform", "interval(0, 2)", parents=("w",)), False),
        (site("LogNormal", "positive", parents=("w",)), GAMMA, True),
    ],
)
def test_agreements(guide: SiteLook, model: SiteLook, answer: bool | None) -> None:
    assert agreements(look(guide, model)) == {"z": answer}
    assert (list(mismatches(look(guide, model))) == ["z"]) is (answer is False)


def test_a_latent_that_leaves_torch_may_take_another_branch() -> None:
    lost = replace(KNOWN, error="a latent value leaves torch at main.py:3")
    assert agreements(look(GAMMA, NORMAL, lost)) == {"z": None}
    assert agreements(look(NORMAL, GAMMA, lost)) == {"z": False}


def test_bounds_of_unknown_origin() -> None:
    bounded = site("Uniform", "interval(1, 2)")
    assert agreements(look(bounded, GAMMA, None)) == {"z": None}
    assert agreements(look(GAMMA, NORMAL, None)) == {"z": True}


def test_observed_and_unpaired_sites_are_not_compared() -> None:
    assert agreements(look(NORMAL, replace(GAMMA, observed=True))) == {}
    assert agreements(Look({}, {"z": NORMAL}, {"x": GAMMA}, (), {}, ())) == {}


def test_unpaired() -> None:
    guide = {"z": NORMAL, "helper": replace(NORMAL, auxiliary=True), "extra": NORMAL}
    model = {
        "z": NORMAL,
        "x": replace(NORMAL, observed=True),
        "k": replace(NORMAL, enumerable=True),
        "sum": site("Delta", "?"),
        "w": GAMMA,
    }
    assert unpaired(Look({}, guide, model, (), {}, ())) == (("w",), ("extra",))
