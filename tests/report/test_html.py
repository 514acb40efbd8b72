"""The page: what is on it, that nothing from a repository can be markup, and how it looks in a real browser."""

from __future__ import annotations

import math
import re
import stat
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from browser import CHROMIUM, browser

from pyro_fix.observation import Failure, Look, Observation, SviObservation, Trajectory
from pyro_fix.report import chart, html
from pyro_fix.report.chart import Curve, Series, number, share_an_axis
from pyro_fix.report.text import runs
from pyro_fix.result import Change, Finding, Result, Skipped
from pyro_fix.sources import from_bytes
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Status, Verdict
from pyro_fix.verify.fix import Fix
from pyro_fix.verify.judgement import Judgement

CWD = Path("/work place/<b>")
EVIL = "<script>alert(1)</script>&\"'\x1b[31m\u202e"


def observation(side: str, losses: list[tuple[float, ...]], failure: Failure | None = None) -> Observation:
    trajectories = tuple(
        Trajectory(seed, row, ((),) * len(row), row, 0.0, None, failure) for seed, row in enumerate(losses)
    )
    gradients = {"loc": tuple((3.0 + (-1) ** seed * (1.0 if side == "original" else 0.2),) for seed in range(4))}
    look = Look({}, {}, {}, (1.0,) * 4, gradients, (3.0,) * 4)
    svi = SviObservation(0, "train.py:9", "Trace_ELBO", "Adam", 1, trajectories, look, guide=f"guide {EVIL}")
    return Observation("python train.py", "/usr/bin/python3", {"torch": "2.13"}, "cpu", (svi,), {}, (), None, (), 1.0)


def finding(name: str = "train.py", status: Status = Status.VERIFIED, **changes: object) -> Finding:
    path = CWD / name
    candidate = Candidate((Edit(path, 0, 0, ""),), Promise.SAME_START, f"constraint {EVIL}")
    proposal = Proposal("SVI051", "unconstrained-param", 5, path, 3, 1, f"scale {EVIL} is bare", (candidate,))
    fix = Fix(proposal)
    fix.original = observation("original", [(100.0, 50.0, 40.0), (90.0, math.nan)], Failure("ValueError", EVIL, step=3))
    fix.patched = fix.alone = observation("patched", [(100.0, 60.0, 30.0), (95.0, 70.0, 35.0)])
    fix.ordinals = (0,)
    fix.judgements = {"same start": Judgement(True, f"equal {EVIL}", {"relative error of values": 1e-7})}
    pair = {"seed": 7, "start": 1234.5, "original": math.nan, "patched": 99.25}
    fix.judgements["no worse"] = Judgement(None, "weak", {"pairs": 1, "referee": [pair]})
    fix.decide(status, f"reason {EVIL}", {"reproduce": "pyro-fix --diff 'a b.py'", "together with": []})
    assert fix.verdict is not None
    diff = f"--- a/{name}\n+++ b/{name}\n@@ -1,2 +1,2 @@\n context {EVIL}\n-old <b>\n+new {'long ' * 60}\n"
    return replace(Finding(proposal, fix.verdict, diff, status is Status.VERIFIED), **changes)  # type: ignore[arg-type]


def advice() -> Finding:
    proposal = Proposal("SVI101", "unnormalized-elbo", 10, CWD / "train.py", 9, 1, "too large", (), f"held {EVIL}")
    return Finding(proposal, Verdict(Status.NONE, ""))


def result() -> Result:
    source = from_bytes(CWD / "train.py", b"old\n")
    findings = (finding(), finding(status=Status.REJECTED), finding("b.py", Status.UNVERIFIED), advice())
    return Result(findings, (Change(source, "new\n"),), (Skipped(CWD / "c.py", f"no Python {EVIL}", 4),), 3)


def test_suggestions_are_counted_by_themselves() -> None:
    """A gain that no run has shown, and one that is held back, are neither unverified nor without a fix."""
    gain, held = finding(status=Status.UNVERIFIED), advice()
    findings = [replace(one, proposal=replace(one.proposal, only_gain=True)) for one in (gain, held)]
    words = Reader(page(replace(result(), findings=(*findings, finding(status=Status.UNVERIFIED))))).words
    assert "0verified\n0rejected\n1unverified\n0without a fix\n2suggestions" in words
    assert words.count("+ suggestion") == 2, "in the list, and over the fix"
    assert "a suggestion: held" in words


def test_what_a_verdict_is_worth_is_said() -> None:
    assert "a program that sets out to deceive can: of code by strangers a verdict proves nothing" in page()


def page(told: Result | None = None) -> str:
    return html.document(told or result(), CWD, "diff", True)


class Reader(HTMLParser):
    """Words and tags; every tag is closed in its turn."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_everything_is_on_it() -> None:
    words = Reader(page()).words
    for text in (
        *(
            "✓ verified",
            "✗ rejected",
            "? unverified",
            "1without a fix",
            "train.py:3:1",
            "same start",
            "kept when <= 1e-05",
        ),
        *(
            "pyro-fix --diff 'a b.py'",
            "Tip 5: Constrain parameters that need it",
            "pyro-fix explain SVI051",
            "c.py",
            "cell 4",
        ),
        *(
            "Gradient noise at step 0, 4 common seeds",
            "original, seeds 0, 1: ValueError at step 3",
            "71234nan99.25",
            "All changes together",
        ),
    ):
        assert text in words, text


def test_nothing_from_the_repository_is_markup_or_hides() -> None:
    text = page()
    read = Reader(text)
    assert "script" not in {tag for tag, _ in read.seen}
    assert read.words.count("<script>alert(1)</script>&\"'\\x1b[31m\\u202e") >= 20
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_what_a_device_gave_is_on_it_and_in_the_line_on_what_ran() -> None:
    told = finding()
    more = {
        "command": "python train.py",
        "device": "cuda:0 (A card)",
        "device memory": {"original": 5 << 20, "patched": 7 << 20},
        "device seconds a step": {"svi 0": {"original": 0.25, "patched": 0.125}},
    }
    told = replace(told, verdict=replace(told.verdict, evidence={**told.verdict.evidence, **more}))
    assert list(runs(Result((told,), (), (), 1))) == [
        "python train.py (torch 2.13, cuda:0 (A card), at most 7 MiB there)"
    ]
    words = page(Result((told,), (), (), 1))
    assert "cuda:0 (A card)" in words and "bytes on the device, at most" in words
    assert "svi 0 original 0.25, patched 0.125" in words


def test_nothing_is_loaded_and_no_script_runs() -> None:
    for tag, attributes in Reader(page()).seen:
        assert not {name for name in attributes if name.startswith("on")} and "src" not in attributes
        assert tag in ("a",) or "href" not in attributes
    assert "url(" not in page() and "@import" not in page() and "default-src 'none'" in page()


def test_equal_results_give_equal_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    first = page()
    assert first == page() and not re.search(r"20\d\d-\d\d-\d\d", first)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert "2023-11-14 22:13 UTC" in page()


def test_a_listing_without_runs_has_diffs_and_no_curves() -> None:
    bare = replace(finding(), verdict=Verdict(Status.UNVERIFIED, "not run"), included=False)
    told = html.document(Result((bare,), (), (), 1), CWD, "list", False)
    assert "<svg" not in told and "What was promised" not in told and 'class="add"' in told
    assert "nothing to do" in html.document(Result((), (), (), 1), CWD, "list", False)


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        html.write(path, "half \ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    link = tmp_path / "link.html"
    link.symlink_to(path)
    with pytest.raises(OSError, match="is a link"):
        html.write(link, "new")
    assert link.is_symlink() and path.read_text() == "old"
    html.write(path, "new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


# Charts.


def curve(*losses: float, end: str = "") -> Curve:
    return Curve(0, tuple(enumerate(losses)), end)


def drawn(*series: Series) -> ET.Element:
    return ET.fromstring(chart.draw(series, "losses & more").replace("&minus;", "-"))


def test_a_chart_has_axes_seeds_a_median_and_where_they_ended() -> None:
    svg = drawn(Series("original", (curve(9, 5, 4), curve(7, math.inf, math.nan, end="NaN or infinity at step 1"))))
    assert svg.attrib["role"] == "img" and svg.attrib["aria-label"] == "losses & more"
    kinds = [element.attrib.get("class") for element in svg]
    assert "original median" in kinds and kinds.count("original cross") == 1 and kinds.count("original seed") == 1
    assert kinds.count("original seed dot") == 1, "one finite point is a dot"
    assert {"SVI step", "loss (-ELBO)", "9", "2"} <= {element.text for element in svg}
    median = next(element for element in svg if element.attrib.get("class") == "original median")
    heights = [float(point.split(",")[1]) for point in median.attrib["points"].split()]
    assert heights == sorted(heights), "a loss that falls is drawn falling"


def test_losses_that_explode_get_a_symmetric_logarithm() -> None:
    svg = drawn(Series("original", (curve(-300.0, 200.0, 300.0, 310.0, 280.0, 3e27),)))
    assert "loss (-ELBO), symmetric log" in {element.text for element in svg}
    ticks = [element for element in svg if element.attrib.get("text-anchor") == "end"]
    heights = sorted(float(tick.attrib["y"]) for tick in ticks)
    assert len(ticks) >= 3 and all(b - a > 10 for a, b in pairwise(heights)), "labels stand apart"


def test_programs_share_an_axis_where_both_can_be_seen() -> None:
    wide = Series("original", (curve(900, 500, 300),))
    assert share_an_axis([wide, Series("patched", (curve(800, 400, 310),))])
    assert not share_an_axis([wide, Series("patched", (curve(0.9, 0.5, 0.3),))])
    assert not share_an_axis([Series("original", (curve(9, 9, 9, 9e9),)), Series("patched", (curve(9, 8, 7),))])
    assert share_an_axis([wide, Series("patched", (curve(math.nan),))])
    assert chart.draw([Series("patched", (curve(math.nan),))], "") == ""
    assert drawn(Series("patched", (curve(5.0, 5.0),))) is not None, "a flat line has no height"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (-2.5, "\u22122.5"), (40000, "40000"), (1e27, "10²⁷"), (-1e6, "\u221210⁶"), (2.5e-7, "2.5·10⁻⁷")],
)
def test_numbers_of_axes(value: float, shown: str) -> None:
    assert number(value) == shown


# A real browser.


def luminance(color: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


#: Every element with words of its own: what they are, their colour, and the first colour behind them.
_COLOURS = """
[...document.querySelectorAll('body *')].filter(e => e.checkVisibility()
    && [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())).map(e => {
  let behind = e;
  while (getComputedStyle(behind).backgroundColor == 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  const style = getComputedStyle(e);
  return [e.textContent.slice(0, 40), e.namespaceURI.endsWith('svg') ? style.fill : style.color,
          getComputedStyle(behind).backgroundColor];
})"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH")
def test_it_looks_right_in_chromium(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    html.write(path, page())
    backgrounds = set()
    with browser(tmp_path / "profile") as tab:
        for width in (1200, 400):
            for dark in (False, True):
                tab.open(path, width=width, dark=dark)
                assert tab.ask("document.documentElement.scrollWidth") <= width, (
                    "the page itself never scrolls sideways"
                )
                requests = [
                    e["params"]["request"]["url"] for e in tab.events if e.get("method") == "Network.requestWillBeSent"
                ]
                assert requests == [path.as_uri()]
                told = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
                assert not [event for event in tab.events if event.get("method") in told]
                backgrounds.add(tab.ask("getComputedStyle(document.body).backgroundColor"))
                assert tab.ask("document.querySelectorAll('svg.chart').length") >= 3
                assert tab.ask("document.querySelector('svg.chart').getBoundingClientRect().height") > 120
                for words, ink, behind in tab.ask(_COLOURS):
                    low, high = sorted((luminance(ink), luminance(behind)))
                    assert (high + 0.05) / (low + 0.05) >= 4.5, (words, ink, behind, dark)
    assert len(backgrounds) == 2
