"""What stand-ins do, statement by statement, in a child that has them installed; no torch is needed for that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

CHILD = """
import ast, json, linecache, sys
sys.path.insert(0, {repository!r})
from pyro_fix.probe import asking, ledger, missing, outward
from pyro_fix.probe.files import View
told = []
class Journal:
    def write(self, event, **fields):
        told.append((event, fields))
ledger = ledger.Ledger(Journal(), View({{}}, [{project!r}], "/nowhere", Journal()), {project!r})
missing.Missing(ledger, [{project!r}]).install()
answers = []
for number, text in enumerate(json.load(sys.stdin)):
    told.clear()
    path = {project!r} + f"/p{{number}}.py"
    linecache.cache[path] = len(text), None, text.splitlines(True), path
    tree = ast.parse(text)
    asking.insert(tree)
    try:
        exec(compile(tree, path, "exec"), {{"__name__": "p"}})
        error = ""
    except Exception as raised:
        error = repr(raised)
    reached = [f"{{f['how']}} in line {{f['where'].rpartition(':')[2]}}" for event, f in told if event == "reached"]
    answers.append([reached, error])
print("\\n" + json.dumps(answers))
"""

#: What a program does -> what is told of it.
CASES = {
    "a, b = ns.f()\n(c, (d, e)), *f = ns.g()": [],
    "for i, (x, y) in enumerate([ns.p, ns.q]):\n    x.plot(y)": [],
    "fig, ax = ns.subplots()\nfor a in ax:\n    a.plot(1)": [],
    "for a in ns.all():\n    b = 3": ["the turns of a loop in line 2"],
    "print(f'{ns.x:.2f}', int(ns.y), '%d' % ns.z)": [],
    "x = f'{ns.x}'": ["a text in line 2"],
    "with ns.a() as b, ns.c(int(b)) as d:\n    x = 3": [],
    "if ns.a > 3:\n    ns.plot()\nelse:\n    print(3)": [],
    "if ns.a > 3:\n    x = 3": ["an if in line 2"],
    "x = 1 if ns.a is None else 2": ["is in line 2"],
    "x = not ns.a": ["an if in line 2"],
    "class A(ns.B, ns.C):\n    pass": [],
    "class A(ns.B):\n    pass\nA()": ["an object of A, which inherits from it, in line 4"],
    "@ns.deco\ndef f():\n    return 3": [],
    "@ns.deco(3)\ndef f():\n    return 3\nassert f() == 3": ["f(), which it decorates, in line 5"],
    "import pickle\nx = pickle.loads(pickle.dumps({'a': ns.x}))['a']\nx.plot()": [],
    "x = [ns.x, ns.y]\nx[0].plot()": [],
    "x = sum([ns.x, ns.y])\nns.plot(x, float(x))": [],
    "import asyncio\nasync def f():\n    async with ns.s() as s:\n        return await s.get()\nasyncio.run(f()).plot()": [],
    "from typing import *\ndef f(a: Optional[ns.A], b: Union[int, ns.B], c: 'ns.X' = None) -> List[ns.C]: pass": [],
    "ns.plot(\n    float(ns.x),\n    title=f'{ns.y}',\n)": [],
    "x = (\n  3 +\n  int(ns.x)\n)": ["int() in line 4"],
    "ns.a.b.c = 3; ns.d['x'] = 4; del ns.a.b": [],
    "d = {ns.a: 3}\nx = d[ns.a]": ["a key in line 2", "a key in line 3"],
    "x = [a for a in ns.b]": ["the turns of a loop in line 2"],
    "x = ns.a and 3": ["an if in line 2"],
    "while ns.a > 3:\n    pass": [],
    "from nonesuch import *": [],
    "import nonesuch.x.y, nonesuch.z as z\nfrom nonesuch.q import r as s, t\ns.t(t)": [],
    "import importlib\nx = importlib.import_module('nonesuch.z').y": [],
    "try:\n    import other\nexcept ImportError:\n    x = 3\nassert x == 3": [],
    "def f():\n    import other\n    return 4\ntry:\n    f()\nexcept Exception:\n    x = 3\nassert x == 3": [],
    "x = type('A', (), {})\nassert x().__class__ is x\nassert isinstance(3, (int, str)) and not (3 is None)": [],
    "x = lambda: ns.a\nns.b(x)": ["a call that is given a function, a network or an optimiser in line 3"],
    "x = 0\nfor i in range(3):\n    if ns.stop(i):\n        break": ["an if in line 4"],
    "for i in range(3):\n    for a in ns.b():\n        if a.x:\n            break\n        a.plot(i)": [],
    "x = ns.a[1:2, ..., None] @ ns.b ** -ns.c\nx += 1": [],
    "i = 3\nprint(i)\nfor i, a in enumerate(ns.all()):\n    a.plot(i)": ["the turns of a loop in line 4"],
    "for i in [3]:\n    print(i)\nfor i, a in enumerate(ns.all()):\n    a.plot(i)": [],
    "for i in range(len(ns.axes)):\n    ns.axes[i].plot([i for i in range(3)])": [],
    "assert ns.__version__ >= '3.4'\nassert ns.a.b(3)": [],
    "for i in [3]:\n    for i, a in enumerate(ns.all()):\n        a.plot(i)\n    x = i": [
        "the turns of a loop in line 3"
    ],
    "assert not ns.a > 3": ["an if in line 2"],
    "assert ns.f(x := 3)": ["an if in line 2"],
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    child = CHILD.format(repository=str(REPOSITORY), project=str(tmp_path_factory.mktemp("project")))
    texts = [f"import nonesuch as ns\n{text}\n" for text in CASES]
    done = subprocess.run([sys.executable, "-c", child], input=json.dumps(texts), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("text", CASES)
def test_a_statement(answers, text):
    reached, error = answers[text]
    assert not error
    assert reached == CASES[text]
