from __future__ import annotations

import random
import re
from html import unescape
from typing import Any

import pytest
from markdown_it import MarkdownIt

from pyro_fix.bot import escape

GAP = "\u200b"
#: What is markup, a mention, a reference or a beginning of something to GitHub or GitLab, and what stands next to it.
MARKS = (
    "` `` ``` | || \\ < <!-- --> <b> </details> @ann #1 !5 &6 %7 $x$ $ ~ ~~ ~l * ** _ __ [ ] ( ) ![ [a](b) [^1] :tada: == ++ "
    "^x^ > - + 1. 1) # --- === a b1 &amp; &lt; &#64; {+ +} [- -] [vulnerability:1] [x] %% ::: 0 é “ . : / /close h "
    "http://a.bc www.a.bc a@b.cc mailto:a@b.cc ftp://x.yz :// GH-1 AB2-3 ann/demo#1 7 0123456789abcdef org/x@0123456 "
    "*iteration:1 %{x} $` `$ <span> \u200b \u2028 \u202e \x0b"
)
PIECES = [*re.split(" ", MARKS), "\n", "\r", "\r\n", "\t", " ", "    ", "[a]: b\n", "\n\n"]
#: What a forge finds in text that is shown.
FOUND = re.compile(
    r"@\w|(?<![&\w])#\d|\w(?<!\de)-\d|[!~&%$]\w|://|www\.|mailto:\w|[0-9a-f]{7}|:[\w+-]+:|[{\[][+-]|\[[a-z_]+:"
    r"|\*iteration:|%\{|~\"",
    re.IGNORECASE,
)


def _words(seed: int) -> str:
    draw = random.Random(seed)
    return "".join(draw.choice(PIECES) for _ in range(draw.randint(1, 9)))


def _document(words: str) -> tuple[str, dict[str, int]]:
    """Everything that escape makes, in all places that it may stand in, and how many tags that may give."""
    text, code, cell = escape.text(words), escape.code(words), escape.code(words, cell=True)
    lines = (
        f"x {text} y", f"| a | b |\n| --- | --- |\n| {text} | {cell} |\n| {code and cell} {text} | x |",
        f"**Z**: {text}.", f"- {text}: x", text, f"{text}.", f"x {code} y", code, escape.block(words, "diff"),
        f"<details>\n<summary>{escape.html(words)}</summary>\n\nend\n\n</details>",
    )  # fmt: skip
    codes = 4 if code else 0
    counts = {"table": 1, "td": 4, "strong": 1, "li": 1, "code": codes + 1, "pre": 1, "summary": 1, "details": 1}
    return "\n\n".join(lines) + "\n", counts


def _check(html: str, counts: dict[str, int]) -> None:
    html = re.sub(r"<span>(\$|&#36;)</span>", "$", html)
    for tag, count in counts.items():
        assert len(re.findall(rf"<{tag}[ >]", html)) == count, (tag, html)
    tags = set(re.findall(r"<[/!]?(\w*)", html))
    assert tags <= {*counts, "thead", "tbody", "tr", "th", "ul", "p"}, (tags, html)
    shown = re.sub(r"<code.*?</code>", " ", html, flags=re.DOTALL)
    shown = unescape(re.sub(r"<[^>]*>", " ", shown))
    assert not FOUND.search(shown), (FOUND.search(shown), shown)


@pytest.mark.parametrize("batch", range(20))
def test_nothing_is_more_than_text(batch: int) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for seed in range(100 * batch, 100 * batch + 100):
        document, counts = _document(_words(seed))
        _check(parser.render(document), counts)


@pytest.mark.parametrize("batch", range(20))
def test_nothing_is_more_than_text_to_githubs_own_parser(batch: int) -> None:
    github: Any = pytest.importorskip("cmarkgfm")
    unsafe = pytest.importorskip("cmarkgfm.cmark").Options.CMARK_OPT_UNSAFE
    for seed in range(100 * batch, 100 * batch + 100):
        document, counts = _document(_words(seed))
        _check(github.github_flavored_markdown_to_html(document, unsafe), counts)


@pytest.mark.parametrize("seed", range(200))
def test_text_is_shown_as_it_is(seed: int) -> None:
    words = _words(seed)
    parser = MarkdownIt("commonmark")
    shown = unescape(re.sub("</?(p|span)>", "", parser.render(f"x{escape.text(words)}y")))
    expected = escape._line(words)
    assert shown.strip().replace(GAP, "") == f"x{expected}y".replace(GAP, "")


def test_readable_words_stay_readable() -> None:
    said = "param 's' has no constraint, but it is Normal's scale (0.5 <= 1e-05, loss -12.3 at step 3)."
    assert escape.text(said) == said.replace("<", "\\<")
    assert escape.html("src/a-b.py, line 3") == "src/a-b.py, line 3"
    assert escape.code("src/a_b.py:3") == "`src/a_b.py:3`"


def test_code() -> None:
    assert escape.code("a`b``c") == "```a`b``c```"
    assert escape.code("`a") == "`` `a ``"
    assert escape.code("a|b", cell=True) == "`a\\|b`"
    assert escape.code("\n") == ""
    assert escape.block("```\nx", "diff") == "````diff\n```\nx\n````"
    assert escape.block("a\r\nb\rc\x1b[0m\ud800\n") == "```\na\nb\\rc\\x1b[0m\\ud800\n```"


@pytest.mark.parametrize("make", [escape.text, escape.html, escape.code, escape.block])
def test_what_hides_is_seen(make: Any) -> None:
    for sign in "\x00\x1b\x7f\x9b\xad\u061c\u180e\u200b\u200f\u202e\u2066\u2060\u3164\ufeff\ud800\U000e0041":
        made = make(f"a{sign}b")
        assert sign not in made.replace(GAP, "") and f"{ord(sign):x}b" in made.replace(GAP, ""), made


@pytest.mark.parametrize("make", [escape.text, escape.html, escape.code, escape.block])
def test_no_comment_of_the_bots_own_can_be_forged(make: Any) -> None:
    for comment in ('<!-- pyro-fix: {"fixes":[]} -->', "<!--pyro-fix: rest 1 -->", "<!-- PYRO-FIX: fix 1-0-0 -->"):
        assert not re.search(r"<!--\s*pyro-fix", make(comment), re.IGNORECASE)
