"""What pull requests and reviews say.  All that comes from the repository goes through ``escape.py``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pyro_fix import catalogue
from pyro_fix.bot import escape, memory, plot, proofs, runs
from pyro_fix.bot.memory import Memory
from pyro_fix.bot.plan import Fix, Group
from pyro_fix.bot.runs import Run
from pyro_fix.report import rules
from pyro_fix.report.chart import number
from pyro_fix.report.curves import beyond
from pyro_fix.transform import Transform

#: Characters of a title; of a path, sentence or diff of which more would only be in the way.
LONGEST_TITLE, LONGEST_PATH, LONGEST_DIFF = 120, 60, 8000
#: Comments beside a body: each is a mail to everybody who watches.
MOST_REST = 10
#: Things that the machine lacked, of which it is told what took their place.
MOST_LACKING = 5
_REST = re.compile(r"<!-- pyro-fix: rest \d+ -->")
_SIGNATURE = re.compile(r"<!-- pyro-fix: fix ([0-9a-f]{24}-\d+-\d+) -->\s*\Z")


@dataclass(frozen=True)
class Body:
    """What is said of a pull request."""

    text: str
    """Its body."""
    rest: tuple[str, ...]
    """Comments for what the body has no room for."""


def title(group: Group) -> str:
    """One line: how many fixes, and of what; of the repository's own words at most a path, without signs."""
    count = _many(len(group.fixes), "fix", "fixes")
    codes = sorted({fix.code for fix in group.fixes})
    paths = sorted({fix.path for fix in group.fixes})
    if len(codes) == 1:
        what = f"{codes[0]} {group.fixes[0].name}"
        return f"pyro-fix: {what}: {count} in {_many(len(paths), 'file')}"[:LONGEST_TITLE]
    if len(paths) == 1:
        path = re.sub(r"[^\w./-]+|(?<=GH)-(?=\d)", "_", paths[0], flags=re.ASCII | re.IGNORECASE)
        path = path if len(path) <= LONGEST_PATH else f"...{path[-LONGEST_PATH:]}"
        return f"pyro-fix: {count} in {path}"[:LONGEST_TITLE]
    return f"pyro-fix: {count} in {_many(len(paths), 'file')}"[:LONGEST_TITLE]


def commit_message(group: Group) -> str:
    """Counts, codes and tips: a function of the fixes alone, since the commit's id depends on it."""
    counts = Counter((fix.code, fix.name, fix.tip) for fix in group.fixes)
    lines = [
        f"{code} {name}{f' (tip {tip})' if tip else ''}{f', {count} times' if count > 1 else ''}"
        for (code, name, tip), count in sorted(counts.items())
    ]
    files = _many(len(group.files), "file")
    intro = "Found and fixed with pyro-fix; the pull request has the evidence."
    return f"Fix {_many(len(group.fixes), 'SVI problem')} in {files}\n\n{intro}\n\n" + "\n".join(lines) + "\n"


def body(group: Group, version: str, kept: Memory, longest: int) -> Body:
    """The body, of at most ``longest`` characters, and comments of as many for what it has no room for."""
    head, foot = _head(group), _foot(version, kept)
    budget = longest - len(foot) - 200
    text = head
    rows = list(map(_row, group.fixes))
    shown = 0
    if len(text) + len(_TABLE) < budget:
        text += _TABLE
        while shown < len(rows) and len(text) + len(rows[shown]) < budget:
            text += rows[shown]
            shown += 1
    if shown < len(rows):
        text += f"\n… and {_many(len(rows) - shown, 'more fix', 'more fixes')}.\n"
    proven = proofs.told(group.proofs)
    if len(text) + len(proven) < budget:
        text += proven
    rest: list[str] = []
    open_body, left = True, 0
    for index, fix in enumerate(group.fixes):
        part = _within(_details(fix), longest - 200)
        if open_body and len(text) + len(part) < budget:
            text += part
            continue
        open_body = False
        if not rest or len(rest[-1]) + len(part) > longest - 100:
            if len(rest) == MOST_REST:
                left = len(group.fixes) - index
                break
            rest.append(f"<!-- pyro-fix: rest {len(rest) + 1} -->\nMore of what was found:\n")
        rest[-1] += part
    if rest:
        beyond = f", and those of {_many(left, 'fix', 'fixes')} in the plan's report alone" if left else ""
        text += f"\nThe other details are in {_many(len(rest), 'comment')} below{beyond}.\n"
    return Body(text + foot, tuple(rest))


def is_rest(comment: str) -> bool:
    """Whether a comment is one of :attr:`Body.rest`."""
    return _REST.match(comment) is not None


# --- reviews


def review(count: int) -> str:
    """What stands above a review's comments."""
    return (
        f"pyro-fix has {_many(count, 'suggestion')} for lines that this pull request changes; each was tried in a run "
        "of the program."
    )


def remark(fix: Fix, change: str, part: int, parts: int) -> str:
    """A comment at lines; ``change`` is Markdown that shows or suggests the change."""
    if part > 1:
        return f"{escape.code(fix.code)}, part {part} of {parts}: take all of them together.\n\n{change}"
    said = f"**{_status(fix).capitalize()}**: {escape.text(runs.cut(fix.reason))}."
    lines = [f"{escape.code(fix.code)} {escape.text(runs.cut(fix.message))} ({_tip(fix)}).", "", said]
    if parts > 1:
        lines += ["", f"Part 1 of {parts}: take all of them together."]
    lines += ["", change]
    command = runs.words(fix.evidence.get("reproduce"))
    if command and len(command) <= runs.LONGEST_WORDS:
        lines += ["", f"To come to this verdict again: {escape.code(command)}"]
    return "\n".join(lines)


def diff(fix: Fix) -> str:
    """The change of one fix."""
    if len(fix.diff) > LONGEST_DIFF:
        return f"The diff has {len(fix.diff)} characters: see the plan's patch."
    return escape.block(fix.diff, "diff")


def signature(key: str) -> str:
    """The hidden line by which a comment at lines is found again; ``key``: fingerprint, part, number of lines."""
    return f"<!-- pyro-fix: fix {key} -->"


def signed(comment: str) -> str | None:
    """The key of a comment at lines; None in one that the bot did not make."""
    found = _SIGNATURE.search(comment)
    return found[1] if found is not None else None


# --- parts of a body

_TABLE = "\n| where | what is wrong | fix | verdict |\n| --- | --- | --- | --- |\n"


def _head(group: Group) -> str:
    fixes = group.fixes
    unverified = sum(not fix.verified for fix in fixes)
    files = len({fix.path for fix in fixes})
    ran = "ran the program as it is and with the fixes, briefly and with the same seeds, and compared the two. "
    ran += "A program that sets out to deceive its recorder can: read a stranger's code before you trust what it shows."
    lines = [
        f"[pyro-fix](https://pypi.org/project/pyro-fix/) has found {_many(len(fixes), 'place')} in "
        f"{_many(files, 'file')} that go against [Pyro's tips for SVI]({rules.TUTORIAL}), and fixes them here. "
        f"{'Where it could, it' if unverified else 'It'} {ran}",
    ]
    if unverified:
        which = "None of the fixes is" if unverified == len(fixes) else f"{unverified} of {len(fixes)} fixes are not"
        lines += ["", f"> **{which} verified**, so this is a draft: look at what is marked below with care."]
    return "\n".join(lines) + "\n"


def _row(fix: Fix) -> str:
    where = escape.code(_place(fix), cell=True)
    wrong = escape.text(runs.cut(fix.message))
    done = escape.text(runs.cut(fix.label))
    return f"| {where} | {escape.code(fix.code)} {wrong} | {done} | {_status(fix)} |\n"


def _details(fix: Fix) -> str:
    """Everything about one fix, folded."""
    evidence = fix.evidence
    parts = [
        f"\n<details>\n<summary>{_status(fix)}: {escape.html(f'{fix.code} {fix.name}, {_place(fix)}')}</summary>\n",
        f"{escape.text(runs.cut(fix.message))}.\n",
        f"{_tip(fix)}. {_why(fix.code)}\n",
        f"**{_status(fix).capitalize()}**: {escape.text(runs.cut(fix.reason))}.\n",
        *_judgements(fix),
    ]
    for run in runs.of(evidence):
        parts += _run(run)
    parts.append(f"{diff(fix)}\n")
    facts = _facts(fix)
    if facts:
        parts.append(f"{facts}\n")
    command = runs.words(evidence.get("reproduce"))
    if command:
        parts.append(f"To come to this verdict again, on the base branch:\n\n{escape.block(command, 'console')}\n")
    return "\n".join([*parts, "</details>\n"])


def _judgements(fix: Fix) -> Iterator[str]:
    told = runs.table(fix.evidence.get("judgements"))
    lines = []
    for name, judgement in told.items():
        answer = runs.table(judgement).get("kept")
        kept = "kept" if answer is True else "not kept" if answer is False else "cannot tell"
        reason = runs.words(runs.table(judgement).get("reason"))
        more = "" if reason in ("", name) else f"; {escape.text(runs.cut(reason.removeprefix(f'{name}: ')))}"
        lines.append(f"- {escape.text(runs.cut(name))}: {kept}{more}")
    if lines:
        yield "What the fix promises, and what was measured:\n\n" + "\n".join(lines[:20]) + "\n"


def _run(run: Run) -> Iterator[str]:
    """First and last losses by seed, the noise of the gradient, and a plot."""
    seeds = sorted({t.seed for t in (*run.original, *run.patched)})[:16]
    if seeds:
        rows = ["| seed | original: first loss | at the end | patched: first loss | at the end |", "| --- " * 5 + "|"]
        for seed in seeds:
            cells = []
            for side in (run.original, run.patched):
                own = next((t for t in side if t.seed == seed), None)
                broke = escape.text(runs.cut(own.end)) if own is not None and own.end else ""
                cells += [_number(own.first), broke or _number(own.last)] if own is not None else ["", ""]
            rows.append(f"| {seed} | {' | '.join(cells)} |")
        yield f"SVI object {run.svi}. Losses are -ELBO; the end is the median of the last {runs.FEW} steps.\n"
        yield "\n".join(rows) + "\n"
    ended = [t.own for t in (*run.original, *run.patched) if t.own is not None]
    if ended:
        yield f"Mind that {beyond(min(ended))}.\n"
    lines = [(name, plot.sparkline(side)) for name, side in (("original", run.original), ("patched", run.patched))]
    if any(line for _, line in lines):
        yield escape.block("\n".join(f"{name:9} {line}" for name, line in lines if line)) + "\n"
    if run.noise is not None:
        before, after = (f"{value:.3g}" for value in run.noise)
        yield (
            f"Noise of the gradient at step 0 (its standard deviation over the seeds, by the length of its mean): "
            f"{before} before, {after} after.\n"
        )
    chart = plot.mermaid(run)
    if chart:
        yield f"{chart}\n"


def _facts(fix: Fix) -> str:
    """Program, seeds, steps, versions and device in one line."""
    evidence = fix.evidence
    seeds, steps = evidence.get("seeds"), evidence.get("steps")
    seeds = ", ".join(str(seed) for seed in seeds if runs.whole(seed)) if isinstance(seeds, list) else ""
    versions = [f"{name} {runs.words(version)}" for name, version in runs.table(evidence.get("versions")).items()]
    command = runs.words(evidence.get("command"))
    lacking = evidence.get("substitutes")
    lacking = lacking if isinstance(lacking, list) else []
    parts = [
        f"ran {escape.code(runs.cut(command))}" if command else "",
        f"seeds {runs.cut(seeds)}" if seeds else "",
        f"{steps} steps" if runs.whole(steps) else "",
        escape.text(runs.cut(", ".join(versions))),
        escape.text(runs.cut(runs.words(evidence.get("device")))),
        *(escape.text(runs.cut(runs.words(sentence))) for sentence in lacking[:MOST_LACKING]),
    ]
    return "; ".join(filter(None, parts))


def _foot(version: str, kept: Memory) -> str:
    return (
        "\n---\n"
        "**If you don't want this**, close the pull request: these fixes will not be offered again, new ones will. "
        f"{escape.code('# pyro-fix: ignore[CODE]')} on a line silences one finding for good. "
        "**If you change it**, push to its branch: the bot then leaves it alone.\n\n"
        "A verdict speaks of the steps, seeds and data that were run, not of the end of a long training. "
        f"Made by pyro-fix {escape.text(version)}.\n\n"
        f"{memory.spelled(kept)}"
    )


def _tip(fix: Fix) -> str:
    return f"[{rules.heading(fix.tip)}]({rules.TUTORIAL})"


def _why(code: str) -> str:
    """Why the tip matters: our own words, from the catalogue."""
    transform = _transforms().get(code)
    return " ".join(rules.section(transform, "Why").split()) if transform is not None else ""


@lru_cache(maxsize=1)
def _transforms() -> dict[str, Transform]:
    return {transform.code: transform for transform in catalogue.load()}


def _place(fix: Fix) -> str:
    return f"{fix.path}:{f'cell {fix.cell}:' if fix.cell is not None else ''}{fix.line}"


def _status(fix: Fix) -> str:
    return "verified" if fix.verified else "not verified"


def _number(value: float) -> str:
    """A number for a table; NaN and infinity in words."""
    return number(value) if value == value and abs(value) < 1e300 else "not finite"


def _within(part: str, longest: int) -> str:
    """A part that is too long for any comment gives way to a word."""
    if len(part) <= longest:
        return part
    return "\nThe details of one fix are too long to be shown here: see the plan's report.\n"


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
