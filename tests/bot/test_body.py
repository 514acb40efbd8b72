from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from bot_fixes import FIX, OTHER
from markdown_it import MarkdownIt

from pyro_fix.bot import body, memory
from pyro_fix.bot.plan import Fix, Group

KEPT = memory.of([FIX, OTHER], "1" * 40)
EVIDENCE: Mapping[str, Any] = {
    "reproduce": "pyro-fix --diff --no-cache src/a.py",
    "command": "python src/a.py",
    "versions": {"python": "3.11.7", "torch": "2.13.0", "pyro": "1.9.2"},
    "device": "cpu",
    "seeds": [0, 1],
    "steps": 30,
    "judgements": {
        "same start": {"kept": True, "reason": "same start: 2 parameters equal exactly"},
        "runs clean": {"kept": True, "reason": "runs clean"},
        "falls": {"kept": False, "reason": "it rose"},
    },
    "runs": [
        {
            "svi": 0,
            "original": {
                "trajectories": [
                    {"seed": 0, "steps": 30, "end": "", "losses": [100.0 - n for n in range(30)]},
                    {"seed": 1, "steps": 3, "end": "ValueError at step 3", "losses": [90.0, 80.0, "nan"]},
                ]
            },
            "patched": {
                "trajectories": [
                    {"seed": seed, "steps": 30, "end": "", "losses": [100.0 - 2 * n - seed for n in range(30)]}
                    for seed in (0, 1)
                ]
            },
            "gradient at step 0": {"original": {"noise": 0.5}, "patched": {"noise": 0.25}},
        }
    ],
}
#: What somebody could write into a repository to have a say in a pull request.
HOSTILE = [
    "@ann and @org/team, #12, ann/demo#3, GH-4, !5, ~label, &6, %7, $8",
    "https://github.com/ann/demo/issues/1 www.example.com mailto:a@example.com a@example.com",
    "<img src=x onerror=alert(1)> <!-- pyro-fix: {\"fixes\":[],\"commit\":\"\",\"told\":\"\"} -->",
    "--> <script>alert(1)</script> </details>",
    "[a link](http://example.com) ![an image](http://example.com/x.png) <http://example.com>",
    "a | b | c\n| d |\n\n# heading\n\n/close\n/assign @ann",
    "```\n\n````\n@ann\n`code` ``more``",
    "\u202eevil\u202c \x1b[31mred\x00 \ud800",
    "- item", "1. one", "1", ":tada", ":+1:", "www.a.bc://", "0123456 0123456789abcdef", "+ x", "> quote", "\\", "`", "*a* _b_ ~~c~~", "a\r\nb\rc\x0bd\u2028e",
    "<!-- pyro-fix: fix " + "ef" * 12 + "-0-0 -->",
]  # fmt: skip


def _group(*fixes: Fix) -> Group:
    return Group("all", fixes or (FIX, OTHER), ())


def _all(told: body.Body) -> str:
    return "\n\n".join([told.text, *told.rest])


def test_what_a_body_says() -> None:
    fix = replace(FIX, evidence=EVIDENCE)
    text = body.body(_group(fix, OTHER), "0.1.0", KEPT, 65_536).text
    for words in (
        "2 places in 1 file",
        "| `src/a.py:3` | `SVI051` param 's' has no constraint | add constraints.positive | verified |",
        "[Tip 5: Constrain parameters that need it](https://pyro.ai/",
        "raises an error in the middle of training",  # from the transform's own documentation
        "- same start: kept; 2 parameters equal exactly\n- runs clean: kept\n- falls: not kept; it rose\n",
        "| 0 | 100 | 75.5 | 100 | 51 |",
        "| 1 | 90 | ValueError at step 3 | 99 | 50 |",
        "0.5 before, 0.25 after",
        "xychart-beta",
        "original  ",
        "ran `python src/a.py`; seeds 0, 1; 30 steps; python 3.11.7, torch 2.13.0, pyro 1.9.2; cpu",
        "```console\npyro-fix --diff --no-cache src/a.py\n```",
        "```diff\n--- a/src/a.py",
        "close the pull request",
    ):
        assert words in text, words
    assert memory.read(text) == KEPT
    assert "not verified" not in text and "fixes them here. It ran the program" in text


def test_what_a_verdict_is_worth_is_said() -> None:
    assert "A program that sets out to deceive its recorder can" in body.body(_group(FIX), "0.1.0", KEPT, 65_536).text


def test_what_a_remark_says() -> None:
    words = body.remark(replace(FIX, evidence=EVIDENCE), body.diff(FIX), 1, 1)
    assert words.startswith("`SVI051` param 's' has no constraint ([Tip 5: Constrain parameters that need it](https://")
    assert "\n**Verified**: same start: 2 parameters equal exactly.\n" in words
    assert words.endswith("```\n\nTo come to this verdict again: `pyro-fix --diff --no-cache src/a.py`")
    assert "verdict again" not in body.remark(replace(FIX, evidence={}), "", 1, 1)
    key = "ef" * 12 + "-0-0"
    assert body.signed(f"{words}\n\n{body.signature(key)}\n") == key and body.signed(words) is None


def test_a_loss_that_is_lost_is_not_hidden_by_a_median() -> None:
    evidence = json.loads(json.dumps(EVIDENCE))
    trajectories = evidence["runs"][0]["patched"]["trajectories"]
    trajectories[0]["losses"][-1] = "nan"
    trajectories[1]["losses"][-3] = "inf"
    text = body.body(_group(replace(FIX, evidence=evidence)), "0.1.0", KEPT, 65_536).text
    assert "| 0 | 100 | 75.5 | 100 | not finite |" in text
    assert "| 1 | 90 | ValueError at step 3 | 99 | 51 |" in text


def test_a_program_that_ended_early_is_told() -> None:
    evidence = json.loads(json.dumps(EVIDENCE))
    assert "made again" not in body.body(_group(replace(FIX, evidence=evidence)), "0.1.0", KEPT, 65_536).text
    for side in ("original", "patched"):
        evidence["runs"][0][side]["trajectories"][0]["own"] = 3
    text = body.body(_group(replace(FIX, evidence=evidence)), "0.1.0", KEPT, 65_536).text
    assert "Mind that the program ended after 3 steps, and its calls were made again" in text


def test_what_took_the_place_of_something_is_told() -> None:
    evidence = {**EVIDENCE, "substitutes": ["seaborn is not installed: a stand-in took its place", 3]}
    text = body.body(_group(replace(FIX, evidence=evidence)), "0.1.0", KEPT, 65_536).text
    assert "; cpu; seaborn is not installed: a stand-in took its place" in text


def test_what_is_unverified_is_said_first() -> None:
    text = body.body(_group(FIX, replace(OTHER, verified=False)), "0.1.0", KEPT, 65_536).text
    assert "1 of 2 fixes are not verified" in text.split("| where")[0]
    assert "Where it could, it ran the program" in text and "<summary>not verified: SVI021" in text
    text = body.body(_group(replace(FIX, verified=False)), "0.1.0", KEPT, 65_536).text
    assert "None of the fixes is verified" in text


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("longest", [65_536, 2_000])
def test_nothing_from_the_repository_has_a_say(words: str, longest: int) -> None:
    evil: dict[str, Any] = json.loads(json.dumps(EVIDENCE))
    evil |= {"reproduce": words, "command": words, "device": words, "versions": {words: words}, "seeds": [words]}
    evil["substitutes"] = [words, 3]
    evil["judgements"] = {words: {"kept": True, "reason": words}}
    evil["runs"][0]["original"]["trajectories"][0]["end"] = words
    fix = replace(FIX, message=words, label=words, reason=words, diff=f"+{words}\n", path="src/a b`|.py", evidence=evil)
    told = body.body(_group(fix), words, KEPT, longest)
    assert memory.read(told.text) == KEPT
    assert body.signed(_all(told)) is None
    _is_harmless(_all(told))
    _is_harmless(body.remark(fix, body.diff(fix), 1, 2))
    for text in (_all(told), body.remark(fix, "", 1, 1)):
        assert not re.search("[\x00-\x08\x0e-\x1f\u202a-\u202e\ud800-\udfff]", text)
        assert not re.search(
            r"^/\w", re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
        )


def _is_harmless(markdown: str) -> None:
    """No link, image, HTML, mention or reference but our own, as CommonMark with GitHub's tables reads it."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    ours = re.compile(
        r"</?details>|</?summary>|<summary>.*</summary>|<!-- pyro-fix: (\{.*\}|rest \d+) -->|<details>\n<summary>.*</summary>"
    )
    for token in parser.parse(markdown):
        if token.type == "html_block":
            rest = ours.sub("", token.content)
            assert not re.search(r"[<>]", rest), token.content
            _mentions_nobody(rest)
        for child in token.children or []:
            if child.type == "link_open":
                assert str(child.attrs["href"]).startswith(("https://pyro.ai/", "https://pypi.org/")), child.attrs
            assert child.type not in ("image", "s_open"), child
            assert child.type != "html_inline" or child.content in ("<span>", "</span>"), child  # of a dollar sign
            if child.type == "text":
                _mentions_nobody(child.content)
        assert token.type != "ordered_list_open", token
        assert token.type != "heading_open" or token.markup in ("-", "="), token  # "---" closes nothing of theirs


def _mentions_nobody(text: str) -> None:
    found = re.search(r"@\w|(?<!&)#\d|GH-\d|[!~&%$]\w|://|www\.|mailto:\w|:[\w+-]+:|[0-9a-f]{7}", text)
    assert found is None, (found, text)


#: Far deeper than anything that evidence holds.
DEEP = json.loads("[" * 900 + "]" * 900)


@pytest.mark.parametrize("key", EVIDENCE)
def test_evidence_that_is_deep(key: str) -> None:
    for value in (DEEP, {"a": DEEP}, [DEEP]):
        told = body.body(_group(replace(FIX, evidence={**EVIDENCE, key: value})), "0.1.0", KEPT, 65_536)
        assert not re.search(r"(\[|\\\[|&#91;){2}", told.text) and memory.read(told.text) == KEPT


@pytest.mark.parametrize("seed", range(200))
def test_evidence_of_any_shape(seed: int) -> None:
    draw = random.Random(seed)
    evidence = {key: _mangled(value, draw) for key, value in json.loads(json.dumps(EVIDENCE)).items()}
    fix = replace(FIX, evidence=evidence)
    told = body.body(_group(fix), "0.1.0", KEPT, 65_536)
    assert memory.read(told.text) == KEPT
    _is_harmless(_all(told))


def _mangled(value: Any, draw: random.Random) -> Any:
    """A JSON value with parts of it replaced by others."""
    if draw.random() < 0.12:
        return draw.choice(
            [None, True, -1, 2**70, 1e308, "nan", "x", "", [], {}, [[]], [None], {"a": 1}, [1, "x"], 10**400, DEEP]
        )
    if isinstance(value, dict):
        return {key: _mangled(item, draw) for key, item in value.items()}
    if isinstance(value, list):
        return [_mangled(item, draw) for item in value]
    return value


@pytest.mark.parametrize("longest", [3_000, 8_000, 65_536])
def test_no_part_is_longer_than_the_forge_takes(longest: int) -> None:
    fixes = [replace(FIX, fingerprint=f"{n:024x}", line=n, evidence=EVIDENCE) for n in range(150)]
    told = body.body(_group(*fixes), "0.1.0", memory.of(fixes[:20], "1" * 40), longest)
    assert len(told.text) <= longest and all(len(part) <= longest for part in told.rest)
    assert memory.read(told.text) is not None
    assert all(body.is_rest(part) for part in told.rest)
    shown = _all(told).count("<details>")
    assert shown == _all(told).count("</details>") and len(told.rest) <= body.MOST_REST
    beyond = re.search(
        r"are in \d+ comments below(?:, and those of (\d+) fixes in the plan's report alone)?\.", told.text
    )
    assert beyond is not None and shown + int(beyond[1] or 0) == 150


def test_titles_and_messages_hold_nothing_of_the_repositorys() -> None:
    evil = replace(FIX, path="@ann [skip ci] #1 \u202e/a.py", message="@ann [skip ci]")
    both = (evil, replace(evil, code="SVI021", name="optimizer-without-momentum", tip=2))
    for group in (_group(evil), _group(*both), _group(evil, OTHER)):
        for words in (body.title(group), body.commit_message(group)):
            assert not re.search(r"[@\[\]#\u202e]|skip ci", words), words
        assert len(body.title(group)) <= body.LONGEST_TITLE
        assert all(len(line) <= 72 for line in body.commit_message(group).splitlines())
    assert body.commit_message(_group(*both)) == body.commit_message(
        _group(*(replace(f, reason="other") for f in both))
    )
