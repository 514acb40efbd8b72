"""The zoo of ``bench``: what is in it fits, and what is asked of it is what transforms promise."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from pyro_fix.transform import Promise

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(autouse=True)
def bench_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    yield
    for name in [name for name in sys.modules if name in ("shipped", "zoo") or name.startswith("zoo.")]:
        sys.modules.pop(name)


def test_every_rewrite_fits_its_program_and_is_python():
    for kind in importlib.import_module("zoo").kinds():
        for rewrite in kind.rewrites:
            compile(rewrite.applied(kind.program), f"{kind.name}: {rewrite.name}", "exec")
        names = [rewrite.name for rewrite in kind.rewrites]
        assert len(set(names)) == len(names), kind.name
        assert not kind.reference or kind.reference in names


def test_there_are_enough_of_them():
    kinds = importlib.import_module("zoo").kinds()
    harmful = [rewrite for kind in kinds for rewrite in kind.rewrites if rewrite.harmful]
    right = [rewrite for kind in kinds for rewrite in kind.rewrites if not rewrite.harmful]
    assert len(kinds) >= 10 and len(harmful) >= 60 and len(right) >= 20


def test_right_ones_promise_what_a_transform_promises():
    shipped = set(importlib.import_module("shipped").combinations())
    kinds = importlib.import_module("zoo").kinds()
    assert {rewrite.promise for kind in kinds for rewrite in kind.rewrites if rewrite.promise} <= shipped


def test_combinations_are_those_of_the_catalogue_smaller_ones_first():
    shipped = importlib.import_module("shipped")
    found = shipped.combinations()
    assert Promise.RUNS_CLEAN in found and Promise.SAME_START | Promise.BETTER_END in found
    sizes = [len(shipped.parts(promise)) for promise in found]
    assert sizes == sorted(sizes) and sizes[0] == 1
    assert not shipped.worth_trying(Promise.RUNS_CLEAN | Promise.NO_WORSE, [Promise.RUNS_CLEAN])
    assert shipped.worth_trying(Promise.SAME_START | Promise.BETTER_END, [Promise.RUNS_CLEAN])
