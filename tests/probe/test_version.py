"""What a program is told of Pyro's version."""

from types import SimpleNamespace

import pytest

from pyro_fix.probe.version import disguise


class Journal:
    def __init__(self):
        self.notes = []

    def write(self, event, **fields):
        self.notes.append(fields["text"])


def told(every, real="1.9.2"):
    pyro, journal = SimpleNamespace(__version__=real), Journal()
    disguise(pyro, journal, every)
    return pyro.__version__, journal.notes


def test_releases_of_the_same_major_version_pass():
    version, notes = told(every=False)
    assert version.startswith("1.3")
    assert version.startswith("1.3.")
    assert not version.startswith("0.5")
    assert version != "1.3.0"
    assert notes == [
        "the program asks for Pyro 1.3 and was run with 1.9.2",
        "the program asks for Pyro 1.3. and was run with 1.9.2",
        "the program asks for Pyro 0.5 and would run with 1.9.2",
        "the program asks for Pyro 1.3.0 and would run with 1.9.2",
    ]


def test_every_version_passes_when_asked_for():
    version, notes = told(every=True)
    assert version.startswith("0.3")
    assert version.startswith(("0.2", "0.4"))
    assert version == "1.3.0"
    assert not version != "1.3.0"  # noqa: SIM202
    assert version < "1.2"
    assert version <= "1.2"
    assert version > "2.0"
    assert version >= "2.0"
    assert len(notes) == 5  # once a version that was asked for


@pytest.mark.parametrize("every", [True, False])
def test_the_text_stays_true(every):
    version, notes = told(every)
    assert str(version) == f"{version}" == "1.9.2"
    assert version.split(".") == ["1", "9", "2"]
    assert version == "1.9.2"
    assert version.startswith("1.9")
    assert version >= "1.8"
    assert {version: 1}["1.9.2"] == 1
    assert version != "unknown"
    assert version != 3
    assert notes == []


def test_packaging_reads_the_true_version():
    parse = pytest.importorskip("packaging.version").parse
    version, notes = told(every=True)
    assert parse(version) == parse("1.9.2")
    assert parse(version) < parse("1.10")
    assert notes == []
