import ast
import builtins
import inspect
import json

import pytest

from pyro_fix.probe import marks
from pyro_fix.probe.journal import Journal


@pytest.fixture
def counter(tmp_path):
    found = marks.Counter(Journal(str(tmp_path / "journal")))
    found.install()
    yield found
    delattr(builtins, marks.COUNTER)


def counts(counter, tmp_path):
    counter.flush()
    total = {}
    for line in (tmp_path / "journal").read_text().splitlines():
        for label, count in json.loads(line)["counts"].items():
            total[label] = total.get(label, 0) + count
    return total


def run(counter, text, lines, tmp_path):
    tree = ast.parse(text)
    marks.insert(tree, {line: counter.number(str(line)) for line in lines})
    names = {"__name__": "program"}
    exec(compile(tree, "program.py", "exec"), names)
    return names, counts(counter, tmp_path) if (tmp_path / "journal").exists() else {}


PROGRAM = """\
'''Doc.'''
from __future__ import annotations
from __future__ import division
import functools

@functools.lru_cache(
    maxsize=None
)
def f(
    x,
):
    '''Inner doc.'''
    if x:
        y = (x
             + 1)
    elif x is None:
        y = 2
    else:
        y = 0
    return y

for i in range(3):
    f(i)

class C:
    a = 1
    def g(self): return 2

try:
    f(None)
    raise ValueError
except ValueError:
    z = 1
finally:
    z = 2
"""


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (1, 1),  # a docstring
        (2, 1),  # __future__
        (3, 1),
        (4, 1),
        (5, 1),  # between statements: the next one
        (6, 1),  # a decorator: the def
        (7, 1),
        (9, 1),
        (10, 1),  # a signature
        (12, 4),  # an inner docstring
        (13, 4),
        (14, 2),
        (15, 2),  # the second line of a statement
        (16, 2),  # elif
        (17, 1),
        (18, 2),  # else: belongs to the inner if
        (19, 1),
        (20, 4),
        (22, 1),  # a loop's header
        (23, 3),
        (25, 1),
        (26, 1),
        (29, 1),
        (31, 1),
        (32, 1),  # except: belongs to the try
        (33, 1),
        (35, 1),
        (99, 1),  # behind the end: the last statement
    ],
)
def test_counts_the_innermost_statement(counter, tmp_path, line, count):
    names, found = run(counter, PROGRAM, [line], tmp_path)
    assert found == {str(line): count}
    assert names["__doc__"] == "Doc."
    assert names["f"].__wrapped__.__doc__ == "Inner doc."


def test_several_marks_do_not_disturb_each_other(counter, tmp_path):
    lines = [2, 14, 20, 23, 35, 1]
    _, found = run(counter, PROGRAM, lines, tmp_path)
    assert found == {"1": 1, "2": 1, "14": 2, "20": 4, "23": 3, "35": 1}


def test_a_line_that_never_runs_has_no_count(counter, tmp_path):
    _, found = run(counter, "if False:\n    x = 1\n", [2], tmp_path)
    assert found == {}


def test_tracebacks_name_the_same_lines(counter, tmp_path):
    text = "def f():\n    x = 1\n    raise ValueError(\n        x)\nf()\n"
    tree = ast.parse(text)
    marks.insert(tree, {line: counter.number(str(line)) for line in (2, 3, 5)})
    with pytest.raises(ValueError) as caught:
        exec(compile(tree, "program.py", "exec"), {})
    assert [entry.lineno + 1 for entry in caught.traceback[1:]] == [5, 3]


def test_first_lines_of_functions_stay(counter, tmp_path):
    names, _ = run(counter, PROGRAM, range(1, 36), tmp_path)
    assert names["f"].__wrapped__.__code__.co_firstlineno == 6
    assert inspect.unwrap(names["f"])(1) == 2


def test_the_first_run_is_reported_at_once(counter, tmp_path):
    run(counter, "x = 1\n", [1], tmp_path)
    assert json.loads((tmp_path / "journal").read_text().splitlines()[0])["counts"] == {"1": 1}
