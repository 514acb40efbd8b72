"""A stand-in for the engine, so that the shell's contract is tested without running Pyro programs.

A line of a Python file that says ``fixme-STATUS``, or ``fixme-STATUS-CODE``, is a finding with that verdict; the fix
makes it ``fixed``.  ``fixme-none`` has no fix; ``fixme-STATUS-SVI022`` promises a gain and no more.  :data:`SITE` puts this module in the engine's place in a child process.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from pyro_fix import fingerprint, rewrite, sources, suppress, watch
from pyro_fix.config import Options
from pyro_fix.diffs import unified
from pyro_fix.result import Change, Finding, Result, Skipped
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Status, Verdict

SITE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import fake_engine
sys.modules["pyro_fix.engine"] = fake_engine
"""


def check(options: Options, progress: watch.Progress) -> Result:
    read: dict[Path, sources.Source] = {}
    skipped: list[Skipped] = []
    findings: list[Finding] = []
    for path in sources.discover(options.paths, lambda path, why: skipped.append(Skipped(path, why))):
        if options.excluded(path):
            continue
        try:
            source = read[path] = sources.read(path)
        except sources.SourceError as error:
            skipped.append(Skipped(path, str(error)))
            continue
        if "hang" in source.text:
            journal = path.with_suffix(".jsonl")
            for event in (
                watch.Round(1),
                watch.Phase("programs as they are", 3),
                watch.TaskDone(),
                watch.RunBegan(1, f"running {path} [/now]", 400),
                watch.RunWrites(1, journal),
            ):
                progress(event)
            journal.write_text('{"event": "step", "seed": 0}\n{"event": "svi"}\n' * 40)
            time.sleep(30)
        if "crash" in source.text:
            raise RuntimeError("two\nlines")
        found = (_finding(source, match, options) for match in re.finditer(r"fixme-(\w+)(?:-(SVI\d+))?", source.text))
        findings += (finding for finding in found if finding and not suppress.suppressed(source, finding.proposal))
    edits = [edit for f in findings if f.included and f.verdict.candidate for edit in f.verdict.candidate.edits]
    patch = rewrite.compose(read, edits)
    changes = tuple(Change(read[path], text) for path, text in patch.texts.items())
    return Result(tuple(findings), changes, tuple(skipped), len(read) + len(skipped))


def _finding(source: sources.Source, match: re.Match[str], options: Options) -> Finding | None:
    line = source.line_of(match.start())
    status, code = Status(match[1]), match[2] or "SVI051"
    known = fingerprint.of(code, source, line)
    if known in options.refused or (options.select and not code.startswith(options.select)):
        return None
    edit = Edit(source.path, match.start(), match.end(), "fixed")
    promise = Promise.BETTER_END if code == "SVI022" else Promise.RUNS_CLEAN
    candidate = Candidate((edit,), promise, "make it fixed")
    proposal = Proposal(
        code=code,
        name="unconstrained-param",
        tip=5,
        path=source.path,
        line=line,
        column=1,
        message="scale [bold]needs[/x] to be positive",
        candidates=() if status is Status.NONE else (candidate,),
        held_back="it is a getter" if status is Status.NONE else "",
        end_line=line,
        only_gain=code == "SVI022",
    )
    if status is Status.NONE:
        return Finding(proposal, Verdict(status, ""), fingerprint=known)
    if not options.verify:
        status = Status.UNVERIFIED
    included = status is Status.VERIFIED or (status is Status.UNVERIFIED and (options.unverified or not options.verify))
    reason = f"reason of {status.value}" if options.verify else "not run"
    evidence = {"loss": float("nan"), "far": [float("inf"), 1.5], "file": source.path} if options.verify else {}
    evidence |= {"seeds": [0]} if options.verify and code == "SVI022" else {}
    new = rewrite.compose({source.path: source}, [edit]).texts[source.path]
    diff = unified(source.text, new, source.path, Path.cwd())
    return Finding(proposal, Verdict(status, reason, evidence, candidate), diff, included, fingerprint=known)
