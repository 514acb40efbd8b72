"""Programs that assert an old version of Pyro, run past it."""

import pytest
from programs import NORMAL

from pyro_fix.verify.trouble import broken_baseline

PROGRAM = (
    NORMAL
    + """
assert pyro.__version__.startswith("0.4")
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(4):
    svi.step(data)
"""
)


@pytest.mark.parametrize("any_version", [True, False])
def test_an_assertion_on_the_version(project, any_version):
    project.write("old.py", PROGRAM)
    observation = project.run("old.py", any_version=any_version)
    assert not observation.versions["pyro"].startswith("0.4")  # what is reported is true
    reason = broken_baseline(observation, 60, 4)
    if any_version:
        assert observation.failure is None
        assert any(note.startswith("the program asks for Pyro 0.4 and was run with") for note in observation.warnings)
        assert reason == ""
    else:
        assert observation.failure.kind == "AssertionError"
        assert reason.endswith("which --any-pyro-version hides from it")
