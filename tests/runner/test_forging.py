"""Programs that change what is recorded of them, and programs that only look odd."""

import textwrap

import pytest

from pyro_fix.probe.journal import REACHED
from pyro_fix.verify.reach import REACHES, mentioned, noticed

TRAIN = """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for _ in range(4):
    svi.step(data)
"""
FORGERS = {
    "a method that writes": """
        import sys
        Journal = sys.modules["_pyro" + "_fix_probe.journal"].Journal
        real = Journal.step
        Journal.step = lambda self, **told: real(self, **{**told, "loss": 1.0 / (1 + told["step"])})
    """,
    "a function that the recorder uses": """
        import sys
        sys.modules["_pyro" + "_fix_probe.steps"].number = lambda loss: 1.0
    """,
    "a function, before it is loaded": """
        import importlib, math
        importlib.import_module("_pyro" + "_fix_probe.referee")._evaluate = lambda *given: 0.0
    """,
    "the code of a function": """
        import sys
        sys.modules["_pyro" + "_fix_probe.entries"].number.__code__ = (lambda loss: 1.0).__code__
    """,
    "an object's own method, by way of the stack": """
        import sys
        frame = sys._getframe()
        while "recorder" not in frame.f_locals:
            frame = frame.f_back
        recorder = frame.f_locals["recorder"]
        recorder.journal.step = lambda **told: None
    """,
    "by the tree of classes": """
        cls = next(c for c in object.__subclasses__() if c.__name__ == "Steps" and "probe" in c.__module__)
        real = cls._tell
        cls._tell = lambda self, step: real(self, step)
    """,
    "a line in the journal": """
        import json, os
        with open(os.path.dirname(os.environ["TMPDIR"]) + "/journal.jsonl", "a") as file:
            file.write(json.dumps({"event": "hits", "counts": {}}) + chr(10))
    """,
}
FORGERS["steps of its own, by way of the stack"] = """
        import sys
        frame = sys._getframe()
        while "recorder" not in frame.f_locals:
            frame = frame.f_back
        for number in range(4):
            frame.f_locals["recorder"].journal.step(0, 0, number, 1.0, [0.01], None, 0.0, "")
    """
HONEST = {
    "a subclass and a patch of Pyro's own": """
        class Mine(SVI):
            def step(self, *args):
                return super().step(*args) * 1.0
        real = SVI.step
        SVI.step = lambda self, *args, **kwargs: real(self, *args, **kwargs)
        SVI = Mine
    """,
    "a look at the stack and at all modules": """
        import gc, inspect, sys
        inspect.stack()
        [vars(module) for module in list(sys.modules.values()) if hasattr(module, "__dict__")]
        gc.get_objects(), gc.collect()
    """,
    "patches of Python": """
        import builtins, json, os, tempfile, time
        from unittest import mock
        real = builtins.open
        builtins.open = lambda *args, **kwargs: real(*args, **kwargs)
        with tempfile.TemporaryFile() as file, mock.patch("time.time", lambda: 1e9):
            file.write(b"x")
        os.listdir(os.path.dirname(os.environ["TMPDIR"]))
    """,
}


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", FORGERS)
def test_a_program_that_reaches_into_the_recorder_is_noticed(project, normal, name, fresh):
    project.write("p.py", normal + textwrap.dedent(FORGERS[name]) + TRAIN)
    seen = project.run("p.py", fresh=fresh, seeds=(0, 1))
    assert seen.failure is None, project.output
    assert noticed(seen), (seen.warnings, project.output)


def test_also_where_it_puts_everything_back(project, normal):
    around = """
        import sys, time
        Journal = sys.modules["_pyro" + "_fix_probe.journal"].Journal
        real = Journal.step
        def step(self, **told):
            time.sleep(0.11)
            real(self, **{**told, "loss": 1.0})
        Journal.step = step
    """
    project.write("p.py", normal + textwrap.dedent(around) + TRAIN + "Journal.step = real\n")
    assert noticed(project.run("p.py", steps=9))


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_program_is_not(project, normal, name):
    project.write("p.py", normal + textwrap.dedent(HONEST[name]) + TRAIN)
    seen = project.run("p.py", seeds=(0, 1))
    assert seen.failure is None and len(seen.svis[0].trajectories) == 2, project.output
    assert seen.warnings == ()
    assert not mentioned(seen_target(project), seen, {})


def seen_target(project):
    from pyro_fix.runner.target import parse

    return parse("p.py", project.folder)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import _pyro_fix_probe", True),
        ("import os; os.environ['PYRO_FIX_SPEC']", True),
        ("from pyro_fix.probe import journal", True),
        ("# pyro-fix: ignore", False),
        ("from pyro_fix import __version__", False),
        ("pyro_fixed = pyro.fix_me", False),
    ],
)
def test_names_of_the_recorder_are_found_in_the_source(project, normal, line, found):
    project.write("helper.py", f"def unused():\n    {line}\n    return 0\n")
    project.write("p.py", normal + "import helper\n" + TRAIN)
    seen = project.run("p.py")
    words = mentioned(seen_target(project), seen, {})
    assert words.startswith(f"{REACHES}: helper.py:2 has ") if found else not words
    path = project.folder / "helper.py"
    assert not mentioned(seen_target(project), seen, {path: b""}), "what the program sees counts"


def test_both_sides_use_the_same_words():
    assert REACHED == REACHES
