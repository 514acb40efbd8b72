"""What reading diffs of public repositories taught: every case is retold in our own words."""

from __future__ import annotations

import pytest
from checking import Checked, check_text

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
"""


@pytest.fixture
def say(tmp_path):
    def checked(code: str, text: str) -> Checked:
        return check_text(tmp_path, [code], PREAMBLE + text, {}, named=False)

    return checked


def test_a_value_set_behind_pyros_back(say) -> None:
    """Verification saw it: with a constraint, setting ``.data`` sets something else."""
    outcome = say(
        "SVI051",
        """
def model(x):
    sigma = pyro.param("sigma", torch.tensor(1.0))
    pyro.sample("x", dist.Normal(0.0, sigma), obs=x)

for value in (0.5, 1.0, 2.0):
    pyro.param("sigma").data = torch.tensor(value)
""",
    )
    assert "in place" in outcome.held_back


def test_an_identity_matrix_that_is_merely_positive(say) -> None:
    """Zeros are minus infinity to the transform of ``positive``: the program never gets a finite loss."""
    outcome = say(
        "SVI053",
        """
def guide(x):
    sigma = pyro.param("sigma", torch.eye(3), constraint=constraints.positive)
    pyro.sample("z", dist.MultivariateNormal(torch.zeros(3), sigma))
""",
    )
    assert outcome.added == ['sigma = pyro.param("sigma", torch.eye(3), constraint=constraints.positive_definite)']


def test_weights_that_need_not_sum_to_one(say) -> None:
    """Categorical normalises its probs: a simplex would start elsewhere."""
    outcome = say(
        "SVI051",
        """
def guide(x):
    pyro.sample("z", dist.Categorical(pyro.param("w", torch.ones(4))))
""",
    )
    assert "not known to satisfy" in outcome.held_back


def test_a_param_that_chose_a_sample_does_not_flow_into_it(say) -> None:
    outcome = say(
        "SVI051",
        """
def model(x):
    weights = pyro.param("weights", torch.ones(4) / 4)
    means = torch.arange(4.0)
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(means[z], 1.0), obs=x)
""",
    )
    assert outcome.added == ['weights = pyro.param("weights", torch.ones(4) / 4, constraint=constraints.simplex)']


def test_tests_are_left_alone_unless_named(tmp_path) -> None:
    text = PREAMBLE + "\ndef test_it():\n    pyro.sample('z', dist.Normal(0.0, pyro.param('s', torch.tensor(1.0))))\n"
    file = tmp_path / "test_model.py"
    file.write_text(text)
    from checking import check

    (finding,) = check([tmp_path], ["SVI051"], tmp_path).findings
    assert not finding.proposal.candidates and "a test may rely" in finding.proposal.held_back
    (finding,) = check([file], ["SVI051"], tmp_path).findings
    assert finding.proposal.candidates


def test_a_model_of_an_ab_test_is_no_test(tmp_path) -> None:
    file = tmp_path / "ab_test.py"
    file.write_text(
        PREAMBLE + "\ndef guide():\n    pyro.sample('z', dist.Normal(0.0, pyro.param('s', torch.tensor(1.0))))\n"
    )
    from checking import check

    (finding,) = check([tmp_path], ["SVI051"], tmp_path).findings
    assert finding.proposal.candidates


def test_what_lies_in_a_folder_of_tests_is_left_alone(tmp_path) -> None:
    """Expected outputs of a compiler, for example."""
    from checking import check

    text = PREAMBLE + "\ndef guide():\n    pyro.sample('z', dist.Normal(0.0, pyro.param('s', torch.tensor(1.0))))\n"
    file = tmp_path / "tests" / "expected" / "guide.py"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    (finding,) = check([tmp_path], ["SVI051"], tmp_path).findings
    assert "a test may rely" in finding.proposal.held_back
    for named in (file, tmp_path / "tests"):
        (finding,) = check([named], ["SVI051"], tmp_path).findings
        assert finding.proposal.candidates
