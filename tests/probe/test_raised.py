"""Which sample site an exception belongs to."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from pyro_fix.probe import raised

NESTED = """\
def guide():
    z = pyro.sample("z", dist.Normal(
        loc,
        scale))
    pyro.sample(f"w_{i}", dist.Normal(loc, scale))
    outside()
"""


def error_of(work):
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def test_the_statement_that_was_running():
    def model():
        pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("p", 3):
            pyro.sample("b", dist.Normal(torch.zeros(4), 1.0))

    assert raised.site(error_of(poutine.trace(model).get_trace), "", 0) == "b"


def test_what_the_message_says():
    assert raised.site(ValueError("Error while computing log_prob at site 'obs':\nboo"), "", 0) == "obs"
    assert raised.site(ValueError("Shape mismatch at line 3"), "", 0) == ""


@pytest.mark.parametrize(("line", "site"), [(2, "z"), (3, "z"), (4, "z"), (5, ""), (6, ""), (99, "")])
def test_what_the_source_spells(tmp_path, line, site):
    path = tmp_path / "guide.py"
    path.write_text(NESTED)
    assert raised.site(ValueError("boo"), str(path), line) == site


def test_a_source_that_does_not_parse(tmp_path):
    path = tmp_path / "guide.py"
    path.write_text("def (")
    assert raised.site(ValueError("boo"), str(path), 1) == ""


def test_the_end_of_a_message_is_kept_however_long_it_is() -> None:
    places = pytest.importorskip("pyro_fix.probe.places")
    words = places.cut(f"Expected scale {'0.1, ' * 100_000} since 'tau' is -1")
    assert len(words) == places.MOST_LETTERS and words.startswith("Expected scale 0.1")
    assert words.endswith("since 'tau' is -1")
