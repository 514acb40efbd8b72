from __future__ import annotations

import re
from types import ModuleType

import pytest

from pyro_fix import catalogue
from pyro_fix.transform import Promise, Transform


def test_our_transforms_are_found_by_their_entry_point():
    codes = [transform.code for transform in catalogue.load()]
    assert codes == sorted(codes)
    assert {int(code[3:5]) for code in codes} == set(range(17))
    assert len(codes) >= 28


@pytest.mark.parametrize("transform", catalogue.load(), ids=lambda t: t.code)
def test_a_transform_says_what_it_is(transform: Transform):
    assert re.fullmatch(r"SVI\d{3}", transform.code)
    assert int(transform.code[3:5]) == transform.tip and 0 <= transform.tip <= 16
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", transform.name)
    assert transform.promise in Promise(sum(p.value for p in Promise)) and transform.promise
    module = type(transform).__module__.rpartition(".")[2]
    assert module == f"{transform.code.lower()}_{transform.name.replace('-', '_')}"


def codes(select: list[str], ignore: list[str] | None = None) -> list[str]:
    return [t.code for t in catalogue.select(catalogue.load(), select, ignore or [])]


def test_default_is_everything_that_is_on():
    assert codes([]) == [t.code for t in catalogue.load() if t.default]


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        (["SVI051"], [], ["SVI051"]),
        (["svi051"], [], ["SVI051"]),
        (["SVI05"], [], ["SVI051", "SVI052", "SVI053", "SVI054"]),
        (["SVI05"], ["SVI052"], ["SVI051", "SVI053", "SVI054"]),
        (["SVI051", "SVI161"], [], ["SVI051", "SVI161"]),
        (["SVI05"], ["SVI05"], []),
        (["SVI053", "SVI05"], [], ["SVI051", "SVI052", "SVI053", "SVI054"]),
    ],
)
def test_prefixes(select: list[str], ignore: list[str], expected: list[str]):
    assert codes(select, ignore) == expected


def test_extend_adds_what_is_off_by_default():
    off = [t.code for t in catalogue.load() if not t.default]
    extended = [t.code for t in catalogue.select(catalogue.load(), [], [], off[:1])]
    assert extended == [t.code for t in catalogue.load() if t.default or t.code in off[:1]]


def test_thresholds_are_set_on_copies():
    (plain,) = catalogue.select(catalogue.load(), ["SVI072"], [])
    (changed,) = catalogue.select(catalogue.configure(catalogue.load(), {"SVI072": {"widest": 2.0}}), ["SVI072"], [])
    assert (plain.widest, changed.widest) == (0.1, 2.0)
    assert type(plain).thresholds()["widest"].default == 0.1


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"SVI999": {}}, "there is no transform 'SVI999'"),
        ({"SVI072": {"width": 1.0}}, "SVI072 has no threshold 'width': it has widest"),
        ({"SVI052": {"width": 1.0}}, "it has none"),
    ],
)
def test_a_threshold_that_there_is_not(thresholds, message: str):
    with pytest.raises(ValueError, match=message):
        catalogue.configure(catalogue.load(), thresholds)


@pytest.mark.parametrize(("select", "ignore"), [(["SVI999"], []), ([], ["XYZ"]), ([""], []), (["SVI051 "], [])])
def test_a_code_that_matches_nothing(select: list[str], ignore: list[str]):
    with pytest.raises(ValueError, match="no transform has a code that begins with"):
        codes(select, ignore)


def test_the_nearest_code_is_named():
    with pytest.raises(ValueError, match=r"did you mean SVI05[1234]"):
        codes(["SVI055"])


class _Other(Transform):
    code, name, tip, promise = "SVI051", "other", 5, Promise.RUNS_CLEAN

    def propose(self, program):
        yield from ()


def test_two_packages_that_claim_one_code(monkeypatch):
    first = catalogue.load()[0]
    rival = type("Rival", (_Other,), {"code": first.code})()
    entries = [type("Entry", (), {"value": value}) for value in ("pyro_fix_transforms", "somebody_elses")]
    monkeypatch.setattr(catalogue, "entry_points", lambda group: entries)
    real = catalogue._in_package
    monkeypatch.setattr(
        catalogue, "_in_package", lambda package: real(package) if package != "somebody_elses" else [rival]
    )
    with pytest.raises(ValueError, match=f"somebody_elses: the code {first.code} is taken"):
        catalogue.load.__wrapped__()


def test_a_class_that_a_file_only_imports_is_not_its_own(monkeypatch):
    package, inner = ModuleType("plugin"), ModuleType("plugin.rule")
    package.__path__ = []
    own = type("Own", (_Other,), {"__module__": "plugin.rule"})
    inner.Base, inner.Own, inner.number = _Other, own, 3
    monkeypatch.setattr(catalogue.importlib, "import_module", {"plugin": package, "plugin.rule": inner}.__getitem__)
    infos = [type("Info", (), {"name": name}) for name in ("rule", "_private")]
    monkeypatch.setattr(catalogue.pkgutil, "iter_modules", lambda _: infos)
    assert [type(t) for t in catalogue._in_package("plugin")] == [own]
