"""The result as one self-contained page: nothing is loaded from elsewhere, nothing in it needs a script.

The page depends on the result alone: no time of day (unless ``SOURCE_DATE_EPOCH`` gives one), no random names.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pyro_fix import __version__, catalogue, regular
from pyro_fix.diffs import of_change
from pyro_fix.report import proofs, rules, text
from pyro_fix.report.curves import Side, figure
from pyro_fix.report.markup import plain
from pyro_fix.result import Finding, Result
from pyro_fix.transform import Status, Transform

_SIGNS = {Status.VERIFIED: "✓", Status.REJECTED: "✗", Status.UNVERIFIED: "?", Status.NONE: "\u2013"}
_NAMES = {Status.NONE: "no fix"}
_TILES = (
    (Status.VERIFIED, "verified"),
    (Status.REJECTED, "rejected"),
    (Status.UNVERIFIED, "unverified"),
    (Status.NONE, "without a fix"),
)
_CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)


def write(path: Path, page: str) -> None:
    """Put the page at ``path``, whole or not at all, and never through a link; raises :class:`OSError`."""
    regular.write(path, page.encode())


def document(result: Result, cwd: Path, mode: text.Mode, verified: bool) -> str:
    """The whole page."""
    return "\n".join(_Page(result, cwd, mode, verified).parts()) + "\n"


class _Page:
    def __init__(self, result: Result, cwd: Path, mode: text.Mode, verified: bool) -> None:
        self._result = result
        self._cwd = cwd
        self._mode = mode
        self._verified = verified
        self._transforms = {transform.code: transform for transform in catalogue.load()}

    def parts(self) -> Iterator[str]:
        style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
        fixes = [finding for finding in self._result.findings if finding.proposal.candidates]
        advice = [finding for finding in self._result.findings if not finding.proposal.candidates]
        yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
        yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>pyro-fix report</title>'
        yield f"<style>\n{style}</style>\n</head>\n<body>"
        yield from self._head()
        yield '<main class="wide">'
        yield from proofs.section(self._result.proofs, self._text)
        yield from self._index(fixes)
        place = None
        for number, finding in enumerate(fixes, 1):
            if finding.proposal.path != place:
                place = finding.proposal.path
                yield f"<h2>{self._text(text.shown(place, self._cwd))}</h2>"
            yield from self._fix(number, finding)
        yield from self._advice(advice)
        yield from self._gone()
        yield from self._skipped()
        yield from self._changes()
        yield "</main>"
        yield from self._foot()
        yield "</body>\n</html>"

    # --- the page's ends

    def _head(self) -> Iterator[str]:
        statuses = self._result.tally()
        yield '<header class="wide">\n<h1>pyro-fix report</h1>'
        yield f"<p>{self._text(text.summary(self._result, self._mode, self._verified))}.</p>"
        lines = [f"pyro-fix {__version__}", *text.runs(self._result)]
        moment = os.environ.get("SOURCE_DATE_EPOCH", "")
        if moment.isascii() and moment.isdigit():
            with contextlib.suppress(OverflowError, ValueError, OSError):
                lines.append(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(int(moment))))
        yield f'<p class="soft">{"<br>".join(map(self._text, lines))}</p>\n<ul class="tiles">'
        for status, words in _TILES:
            yield f"<li><b>{statuses[status]}</b><span>{words}</span></li>"
        suggestions = self._result.suggestions
        yield f"<li><b>{suggestions}</b><span>suggestion{'s' * (suggestions != 1)}</span></li>"
        yield f"<li><b>{len(self._result.changes)}</b><span>{_FILES[self._mode]}</span></li>\n</ul>\n</header>"

    def _foot(self) -> Iterator[str]:
        yield '<footer class="wide">'
        yield (
            "<p>A verified fix kept its promise in the runs shown here: with these seeds, steps and data, on this "
            "machine. Losses of two different programs are no common measure; where quality is judged, the original "
            "program judges the parameters that both runs ended with. docs/verification.md says how each promise is "
            "measured. Losses are in nats, times the scale that a program gives its ELBO. What a run shows is recorded "
            "in the program's own process, so a program that sets out to deceive can: of code by strangers a verdict "
            "proves nothing (docs/security.md).</p>"
        )
        yield "</footer>"

    def _index(self, fixes: Sequence[Finding]) -> Iterator[str]:
        if not fixes:
            return
        yield '<h2>Fixes</h2>\n<div class="card"><table class="stack">'
        yield "<thead><tr><th>Verdict</th><th>Fix</th><th>Where</th><th>Outcome</th></tr></thead>\n<tbody>"
        for number, finding in enumerate(fixes, 1):
            cells = [
                _badge(finding),
                f'<a href="#fix-{number}">{plain(finding.proposal.code)}</a> {self._text(text.label(finding))}',
                f"<code>{self._text(text.place(finding, self._cwd))}</code>",
                _BECAME[self._mode, finding.included],
            ]
            narrow = (' class="narrow"', "", "", ' class="narrow"')
            yield f"<tr>{''.join(f'<td{kind}>{cell}</td>' for kind, cell in zip(narrow, cells, strict=True))}</tr>"
        yield "</tbody></table></div>"

    # --- one fix

    def _fix(self, number: int, finding: Finding) -> Iterator[str]:
        proposal, verdict = finding.proposal, finding.verdict
        evidence = verdict.evidence
        of_tip = f", tip {proposal.tip}" if proposal.tip else ""
        yield f'<article id="fix-{number}" aria-labelledby="name-{number}">\n<header>'
        yield f'<h3 id="name-{number}">{plain(proposal.code)} {plain(proposal.name)}</h3>'
        yield f"<span>{_badge(finding)}</span>\n</header>"
        yield f'<p class="soft"><code>{self._text(text.place(finding, self._cwd))}</code>{of_tip}</p>'
        yield f"<p>{self._text(_sentence(proposal.message))}</p>"
        became = _BECAME[self._mode, finding.included]
        yield f'<p><span class="fix">Fix: {self._text(text.label(finding))}</span> ({became})</p>'
        yield f"<p>{text.status(finding).capitalize()}: {self._text(verdict.reason)}.</p>"
        yield self._diff(finding.diff, f"Diff of {proposal.code}")
        yield from self._judgements(evidence, verdict.status is Status.VERIFIED)
        sides = (
            Side("original", self._original(evidence)),
            Side("patched", self._patched(finding)),
        )
        for row in _rows(evidence.get("runs")):
            yield figure(row, sides)
        yield from self._details(evidence)
        if "reproduce" in evidence:
            yield "<h4>To come to this verdict again</h4>"
            words = [f"<span>{self._text(word)}</span>" for word in str(evidence["reproduce"]).split(" ")]
            yield f'<pre class="command"><code>{" ".join(words)}</code></pre>'
        transform = self._transforms.get(proposal.code)
        if transform is not None:
            yield from self._tip(transform)
        yield "</article>"

    @staticmethod
    def _original(evidence: Mapping[str, object]) -> str:
        number = evidence.get("round", 1)
        return "" if number == 1 else f"with the fixes of round{'s 1 to' * (number != 2)} {int(str(number)) - 1}"

    def _patched(self, finding: Finding) -> str:
        others = finding.verdict.evidence.get("together with")
        if not isinstance(others, (list, tuple)) or not others:
            return "with this fix alone"
        return f"with this fix and {self._short(', '.join(map(str, others)))}"

    def _judgements(self, evidence: Mapping[str, object], verified: bool) -> Iterator[str]:
        judgements = evidence.get("judgements")
        if not isinstance(judgements, Mapping) or not judgements:
            return
        yield '<h4>What was promised, and measured</h4>\n<table class="stack">'
        yield "<thead><tr><th>Promise</th><th>Outcome</th><th>Measured</th></tr></thead>\n<tbody>"
        for name, judgement in judgements.items():
            kept = {True: "kept", False: "not kept"}.get(judgement.get("kept"), "cannot tell")
            if judgement.get("waits"):
                kept = "kept with the program's other fixes" if verified else "waits for the program's other fixes"
            lines = [f'<span class="measure">{line}</span>' for line in self._measured(judgement)]
            if judgement.get("kept") is not True or not lines:
                lines = [f'<span class="measure">{self._text(judgement["reason"])}</span>', *lines]
            measured = "".join(lines)
            yield f'<tr><th scope="row">{self._text(name)}</th><td>{kept}</td><td>{measured}</td></tr>'
        yield "</tbody></table>"

    def _measured(self, judgement: Mapping[str, object]) -> Iterator[str]:
        limits = judgement.get("kept when")
        limits = limits if isinstance(limits, Mapping) else {}
        for key, value in judgement.items():
            if key in ("kept", "reason", "waits", "kept when") or (_is_table(value) and key not in limits):
                continue
            if key.startswith("svi ") and isinstance(value, Mapping):
                inner = {**value, "kept when": limits}
                yield from (f"{self._text(key)}: {line}" for line in self._measured(inner))
                continue
            wanted = f' <span class="soft">(kept when {self._text(limits[key])})</span>' if key in limits else ""
            yield f"{self._text(key)}: {self._text(_told(value))}{wanted}"

    def _details(self, evidence: Mapping[str, object]) -> Iterator[str]:
        facts = [(name, evidence[key]) for key, name in _FACTS if evidence.get(key) not in (None, "", [], {})]
        if not facts:
            return
        yield '<details>\n<summary>Runs: program, seeds, steps, versions</summary>\n<table class="stack"><tbody>'
        for name, value in facts:
            yield f'<tr><th scope="row">{name}</th><td>{self._text(_told(value))}</td></tr>'
        yield "</tbody></table>"
        yield from self._referee(evidence.get("judgements"))
        for earlier in _rows(evidence.get("earlier candidates")):
            words = f"{earlier.get('candidate')}: {earlier.get('status')}: {earlier.get('reason')}"
            yield f"<p>Tried before: {self._text(words)}</p>"
        yield "</details>"
        if "driver" in evidence:
            yield "<details>\n<summary>The program that was made up to run this</summary>"
            yield f'<pre tabindex="0"><code>{self._text(evidence["driver"])}</code></pre>\n</details>'

    def _referee(self, judgements: object) -> Iterator[str]:
        """What the original program thinks of where both runs ended, seed by seed."""
        for judgement in judgements.values() if isinstance(judgements, Mapping) else ():
            rows = _rows(judgement.get("referee"))
            if rows:
                yield "<h4>The referee: losses by the original program</h4>\n<table><thead><tr>"
                yield f"{''.join(f'<th>{self._text(name)}</th>' for name in rows[0])}</tr></thead>\n<tbody>"
                for row in rows:
                    yield f"<tr>{''.join(f'<td>{self._text(_told(value))}</td>' for value in row.values())}</tr>"
                yield "</tbody></table>"

    def _tip(self, transform: Transform) -> Iterator[str]:
        yield f"<aside>\n<p><b>{plain(rules.heading(transform.tip))}</b></p>"
        for paragraph in rules.section(transform, "Why").split("\n\n"):
            yield f"<p>{_CODE.sub(_as_code, self._text(paragraph))}</p>"
        code = plain(transform.code)
        yield f'<p class="soft">More: <code>pyro-fix explain {code}</code>, docs/rules/{code}.md,'
        yield f'<a href="{rules.TUTORIAL}" rel="noreferrer">Pyro\'s tutorial</a>.</p>\n</aside>'

    # --- the rest

    def _advice(self, findings: Sequence[Finding]) -> Iterator[str]:
        rows = [
            [
                f"<code>{self._text(text.place(f, self._cwd))}</code>",
                self._text(f"{f.proposal.code} {f.proposal.message}"),
                self._text(text.why(f)),
            ]
            for f in findings
        ]
        yield from _table("Findings without a fix", ("Where", "Finding", "Why there is no fix"), rows)

    def _gone(self) -> Iterator[str]:
        lines = list(text.gone(self._result, self._cwd))
        if lines:
            yield '<h2>Mended and withdrawn</h2>\n<div class="card"><ul>'
            yield from (f"<li>{self._text(line)}</li>" for line in lines)
            yield "</ul></div>"

    def _skipped(self) -> Iterator[str]:
        rows = [
            [
                f"<code>{self._text(text.shown(file.path, self._cwd))}</code>",
                "" if file.cell is None else f"cell {file.cell}",
                self._text(file.reason),
            ]
            for file in self._result.skipped
        ]
        yield from _table("Left alone", ("File", "Cell", "Why"), rows)

    def _changes(self) -> Iterator[str]:
        if not self._result.changes:
            return
        yield f"<h2>All changes together</h2>\n<p>What {_CHANGED[self._mode]}, file by file.</p>"
        for change in self._result.changes:
            name = text.shown(change.source.path, self._cwd)
            diff = of_change(change, self._cwd).decode(change.source.encoding, "backslashreplace")
            yield f"<details>\n<summary>{self._text(name)}</summary>\n{self._diff(diff, f'Diff of {name}')}\n</details>"

    def _diff(self, diff: str, name: str) -> str:
        if not diff:
            return ""
        rows = [f"<span{_kind(row)}>{self._text(row) or ' '}</span>" for row in diff.rstrip("\n").split("\n")]
        lines = f'<code class="lines">{"".join(rows)}</code>'
        return f'<pre class="diff" tabindex="0" role="region" aria-label="{self._text(name)}">{lines}</pre>'

    def _text(self, value: object) -> str:
        """Anything as text of the page: what comes from the repository can neither be markup nor hide."""
        return plain(self._short(str(value)))

    def _short(self, words: str) -> str:
        """Paths below the working folder as one would type them."""
        return words.replace(f"{self._cwd}{os.sep}", "")


_FILES: dict[text.Mode, str] = {"list": "files to change", "diff": "files to change", "apply": "files changed"}
_CHANGED: dict[text.Mode, str] = {"list": "would change", "diff": "would change", "apply": "has changed"}
_BECAME: dict[tuple[text.Mode, bool], str] = {
    ("list", True): "would be applied",
    ("list", False): "would be left out",
    ("diff", True): "would be applied",
    ("diff", False): "left out",
    ("apply", True): "applied",
    ("apply", False): "left out",
}
_FACTS = (
    ("command", "program"),
    ("found", "why this one"),
    ("python", "interpreter"),
    ("versions", "versions"),
    ("device", "device"),
    ("substitutes", "in the place of what is missing"),
    ("device memory", "bytes on the device, at most"),
    ("device seconds a step", "seconds a step on the device"),
    ("seeds", "seeds"),
    ("steps", "SVI steps, at most"),
    ("original", "original"),
    ("patched", "patched"),
    ("promise", "promised"),
    ("level", "level"),
    ("round", "round"),
    ("together with", "judged together with"),
    ("files", "sources read"),
)


_KINDS = {"---": "file", "+++": "file", "diff ": "file", "@@": "hunk", "+": "add", "-": "del"}


def _badge(finding: Finding) -> str:
    status = finding.verdict.status
    name, sign, kind = _NAMES.get(status, status.value), _SIGNS[status], status.value
    if finding.suggestion:  # what is left to do for nobody is in the colour of what has no fix
        name, sign, kind = "suggestion", "+", Status.NONE.value
    return f'<span class="badge {kind}"><span aria-hidden="true">{sign}</span> {name}</span>'


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield f'<h2>{title}</h2>\n<div class="card"><table class="stack">'
    yield f"<thead><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr></thead>\n<tbody>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
    yield "</tbody></table></div>"


def _kind(line: str) -> str:
    kind = next((kind for start, kind in _KINDS.items() if line.startswith(start)), "")
    return f' class="{kind}"' if kind else ""


def _as_code(found: re.Match[str]) -> str:
    return f"<code>{found[2]}</code>"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


def _told(value: object) -> str:
    """A value of the evidence in a line."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_told(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        interval = len(value) == 2 and all(isinstance(item, float) for item in value)
        return (" to " if interval else ", ").join(map(_told, value)) or "nothing"
    return str(value)


def _is_table(value: object) -> bool:
    return isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value)


def _rows(value: object) -> list[Mapping[str, object]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, Iterable) else []
