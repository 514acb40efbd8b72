"""Journals that programs have written themselves: they cost that run, and nothing else."""

import json
import math
import os
import random
import sys
import time
from pathlib import Path

import pytest

from pyro_fix.analysis.seen import Seen
from pyro_fix.observation import Observation
from pyro_fix.report.progress import _Journal as Followed
from pyro_fix.runner import identity, read, schema
from pyro_fix.runner.model import RunRequest, Target
from pyro_fix.runner.process import End
from pyro_fix.verify.cache import Cache

STEP = {
    "event": "step",
    "seed": 0,
    "svi": 0,
    "step": 0,
    "loss": 1.0,
    "rates": [0.1],
    "norm": 1.0,
    "cpu": 0.1,
    "nonfinite": "",
}


@pytest.fixture
def request_(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "p.py").touch()
    target = Target("script", "p.py", (), tmp_path / "project", "--run")
    return RunRequest(target, Path(sys.executable), steps=4, seeds=(0, 1))


def observed(journal, request):
    """What ``process.run`` makes of a journal."""
    began = time.monotonic()
    try:
        found = read.events(journal, request)
        roots = [str(request.target.cwd)]
        return read.observation(request, found, End(status=0), {}, 0.0, roots)
    except read.JournalError as error:
        assert "\n" not in str(error)
        return None
    finally:
        assert time.monotonic() - began < 20


def write(tmp_path, *events):
    path = tmp_path / "journal"
    path.write_text("".join(event if isinstance(event, str) else json.dumps(event) + "\n" for event in events))
    return path


@pytest.mark.parametrize("kind", ["fifo", "zero", "folder", "link", "device"])
def test_what_is_no_file_is_no_journal(tmp_path, request_, kind):
    path = tmp_path / "journal"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "secret").write_text(json.dumps(STEP))
        path.symlink_to(tmp_path / "secret")
    else:
        path.symlink_to("/dev/zero" if kind == "zero" else "/dev/tty")
    assert read.events(path, request_) == []
    assert Followed(path).count() == 0
    assert identity.file_hash(path) == ("" if kind != "link" else identity.file_hash(tmp_path / "secret"))


def test_steps_beyond_what_was_asked_are_no_steps(tmp_path, request_):
    path = write(tmp_path, STEP, {**STEP, "step": 50_000_000}, {**STEP, "step": 4}, {**STEP, "step": 3})
    (trajectory,) = observed(path, request_).svis[0].trajectories
    assert len(trajectory.losses) == 4


@pytest.mark.parametrize(
    "event",
    [
        {**STEP, "step": 5e7},
        {**STEP, "step": -1},
        {**STEP, "step": True},
        {**STEP, "svi": -1},
        {**STEP, "svi": [0]},
        {**STEP, "seed": {}},
        {**STEP, "seed": None},
        {**STEP, "rates": ["x"]},
        {**STEP, "rates": [10**400]},
        {**STEP, "loss": "nan"},
        {**STEP, "loss": 10**400},
        {**STEP, "nonfinite": 3},
        {"event": "step"},
        {"event": "svi", "svi": {}},
        {"event": "end", "seed": 0, "svi": 0, "reason": "", "ranges": {"a": [1]}, "seconds": []},
        {"event": "look", "svi": 0, "params": {"a": {}}},
        {"event": "look", "svi": 0, "guide": []},
        {"event": "look", "svi": 0, "gradients": {"a": [1]}},
        {"event": "facts", "svi": 0, "sites": {"guide": 3}},
        {"event": "facts", "svi": 0, "dependencies": {"prior": 3}},
        {"event": "hits", "counts": {"p.py:1": -3}},
        {"event": "loaded", "path": "a\0b"},
        {"event": "loaded", "path": ["/dev/zero"]},
        {"event": "loaded", "path": "x" * 5000},
        {"event": "device", "device": {}, "memory": None},
        {"event": "referee", "svi": 0, "label": [], "losses": []},
        {"event": "lost", "seed": 0, "why": None},
        {"event": "note", "text": 3},
    ],
)
def test_an_event_that_cannot_be_is_the_end_of_its_run_alone(tmp_path, request_, event):
    assert observed(write(tmp_path, STEP, event), request_) is None


@pytest.mark.parametrize(
    "line",
    [
        "[" * 200_000 + "\n",
        "[1, 2]\n",
        '{"event": []}\n',
        '{"event": {"a": 1}}\n',
        '{"event": "of nobody", "svi": []}\n',
        "\\ud800\n",
        "\0\0\0\n",
        '{"event": "step", "seed": ' + "9" * 100_000 + "}\n",
        '{"event": "st',
    ],
)
def test_a_line_that_says_nothing_is_passed_over(tmp_path, request_, line):
    assert len(observed(write(tmp_path, STEP, line), request_).svis) == 1


def test_texts_can_be_printed_and_places_lead_somewhere(tmp_path, request_):
    svi = {"event": "svi", "svi": 0, "elbo": "a\ud800\0b", "optimizer": "x" * 100_000, "particles": 1}
    svi |= {"vectorized": False, "guide": "", "where": "p\0.py:3"}
    path = write(tmp_path, svi, {**svi, "svi": 1, "where": "p.py:²"}, {**svi, "svi": 2, "where": "p.py:12"}, STEP)
    first, second, third = observed(path, request_).svis
    assert (first.elbo, len(first.optimizer)) == ("a\ufffd\ufffdb", 1 << 16)
    assert [svi.where for svi in (first, second, third)] == ["p\ufffd.py:3", "", "p.py:12"]
    Seen([observed(path, request_)])


def test_only_files_of_the_project_are_hashed(tmp_path, request_):
    folder = request_.target.cwd
    paths = [
        "/dev/zero",
        "/etc/passwd",
        str(folder / ".." / "journal"),
        str(folder / "p.py"),
        "p.py",
        str(folder) + "2",
    ]
    path = write(tmp_path, STEP, *({"event": "loaded", "path": name} for name in paths))
    seen = observed(path, request_)
    assert seen.loaded == (str(folder / "p.py"), "p.py")
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    Cache(tmp_path / "cache").put("key", seen, [folder / "pipe", folder / "zero", folder / "a\0b"])
    assert Cache(tmp_path / "cache").get("key") == seen


def test_marks_are_counted_and_others_are_not(tmp_path, request_):
    from dataclasses import replace

    marked = replace(request_, marks={Path("p.py"): (3,)})
    path = write(
        tmp_path, {"event": "hits", "counts": {"p.py:3": 2, "else": 5}}, {"event": "hits", "counts": {"p.py:3": 1}}
    )
    assert observed(path, marked).hits == {"p.py:3": 3}


def test_many_objects_take_linear_time(tmp_path, request_):
    svi = {
        "event": "svi",
        "where": "p.py:1",
        "elbo": "",
        "optimizer": "",
        "particles": 1,
        "vectorized": False,
        "guide": "",
    }
    path = write(tmp_path, *({**svi, "svi": number} for number in range(20_000)))
    began = time.process_time()
    assert len(observed(path, request_).svis) == schema.MOST_SVIS
    assert time.process_time() - began < 5


def test_a_journal_that_is_too_long_is_not_read(tmp_path, request_, monkeypatch):
    note = {"event": "note", "text": "x"}
    monkeypatch.setattr(read, "_MOST_EVENTS", 100)
    assert observed(write(tmp_path, STEP, *[note] * 100), request_) is not None
    assert observed(write(tmp_path, STEP, *[note] * 101), request_) is None
    monkeypatch.setattr(read, "_LONGEST", 1000)
    assert observed(write(tmp_path, "x" * 100_000), request_) is None


def test_no_more_tails_are_read_than_there_can_be(tmp_path, request_, monkeypatch):
    monkeypatch.setattr(read, "_MOST_TAILS", 20)
    for number in range(100):
        os.mkfifo(tmp_path / f"journal.{number}")
    assert len(read._tails(tmp_path / "journal")) == 20
    assert read.events(tmp_path / "journal", request_) == []


ODD = [None, True, -1, 0, 1, 5e7, 10**30, 1e999, math.nan, "", "x", "\0", "\ud800", "p.py:1", [], [[]], {}, {"": None}]


def mutated(value, dice):
    """Something like ``value``, with a few things in it replaced, dropped or added."""
    if dice.random() < 0.02:
        return dice.choice(ODD)
    if isinstance(value, dict):
        items = [(key, mutated(item, dice)) for key, item in value.items() if dice.random() > 0.01]
        if dice.random() < 0.05:
            items.append((str(dice.choice(ODD)), dice.choice(ODD)))
        return dict(items)
    if isinstance(value, list):
        return [mutated(item, dice) for item in value if dice.random() > 0.01] * dice.choice([1] * 50 + [3])
    return value


@pytest.fixture(scope="module")
def real(shared, normal):
    """The lines of a journal that a run has written, with looks and facts."""
    from pyro_fix.runner.model import Deep

    shared.write(
        "p.py",
        normal + "svi = SVI(model, guide, Adam({'lr': 0.01}), Trace_ELBO())\nfor _ in range(4): svi.step(data)\n",
    )
    kept = []
    events = read.events

    def keep(journal, request):
        kept.extend(path.read_bytes() for path in (journal, *map(Path, read._tails(journal))))
        return events(journal, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "events", keep)
        seen = shared.run("p.py", seeds=(0, 1), deep=Deep(facts=True))
    assert seen.failure is None, seen.failure
    assert seen.svis[0].look.dependencies is not None
    return [json.loads(line) for line in kept[0].splitlines()]


def test_whatever_becomes_of_a_real_journal_it_is_read_or_refused(tmp_path, request_, real):
    names = {event["event"] for event in real}
    assert {"start", "svi", "step", "look", "facts", "end", "device"} <= names, "the control"
    assert observed(write(tmp_path, *real), request_).svis[0].look is not None
    dice = random.Random(0)
    refused = 0
    for _ in range(300):
        events = [mutated(event, dice) for event in real]
        dice.shuffle(events)
        lines = [json.dumps(event) + "\n" for event in events]
        text = "".join(lines).encode()
        for _ in range(dice.choice([0, 0, 3])):  # and bytes that are nobody's
            place = dice.randrange(len(text))
            text = text[:place] + bytes(dice.randrange(256) for _ in range(3)) + text[place + dice.randrange(20) :]
        (tmp_path / "journal").write_bytes(text)
        began = time.process_time()
        seen = observed(tmp_path / "journal", request_)
        assert time.process_time() - began < 1
        refused += seen is None
        if seen is not None:
            assert isinstance(seen, Observation)
            repr(seen).encode("utf-8")
            Seen([seen])
            Cache(tmp_path / "cache").put("key", seen, [])
            assert repr(Cache(tmp_path / "cache").get("key")) == repr(seen)
    assert 0 < refused < 300
