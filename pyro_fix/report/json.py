"""The result as one JSON document, for other programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from pyro_fix.proof import Proof, Side
from pyro_fix.report.text import shown
from pyro_fix.result import Finding, Gone, Result
from pyro_fix.transform import Status

#: A list of numbers as ``indent`` writes it: no string holds a line break that is not escaped.
_NUMBERS = re.compile(r'\[(?:\n *(?:-?\d[\d.eE+-]*|"nan"|"-?inf(?:inity)?"),?)+\n *\]')


def document(result: Result, cwd: Path, applied: bool) -> str:
    """Strict JSON: a number that JSON cannot hold becomes the string ``nan``, ``inf`` or ``-inf``."""
    statuses = result.tally()
    return dumps(
        {
            "findings": [of_finding(finding, cwd) for finding in result.findings],
            "gone": [_of_gone(one, cwd) for one in result.gone],
            "proofs": [of_proof(proof) for proof in result.proofs],
            "summary": {
                "files": result.files,
                "findings": len(result.findings),
                **{status.value: statuses[status] for status in Status},
                "included": sum(finding.included for finding in result.findings),
                "suggestions": result.suggestions,
                "changed": [shown(change.source.path, cwd) for change in result.changes],
                "applied": applied,
                "skipped": [
                    {"path": shown(file.path, cwd), "cell": file.cell, "reason": file.reason} for file in result.skipped
                ],
            },
        }
    )


def of_finding(finding: Finding, cwd: Path) -> dict[str, object]:
    """One finding as plain data."""
    proposal, verdict = finding.proposal, finding.verdict
    return {
        "code": proposal.code,
        "name": proposal.name,
        "tip": proposal.tip,
        "path": shown(proposal.path, cwd),
        "cell": finding.cell,
        "line": proposal.line,
        "column": proposal.column,
        "message": proposal.message,
        "source": proposal.source,
        "fingerprint": finding.fingerprint,
        "fix": {
            "status": verdict.status.value,
            "included": finding.included,
            "reason": verdict.reason or proposal.held_back,
            "suggestion": finding.suggestion,
            "evidence": verdict.evidence,
            "diff": finding.diff,
        },
    }


def of_proof(proof: Proof) -> dict[str, object]:
    """One proof as plain data; gains and losses are in nats."""
    told = {
        "program": proof.program,
        "svi": proof.svi,
        "seeds": proof.seeds,
        "verdict": proof.verdict,
        "reason": proof.reason,
        "judge": proof.judge,
        "data": proof.data,
        "reached": proof.reached,
    }
    if proof.gain is not None:
        mean, low, high = proof.gain
        per_datum = {"per datum": mean / proof.data} if proof.data else {}
        told["gain"] = {"mean": mean, "95 % interval": [low, high], **per_datum}
    return told | {name: _of_side(side) for name, side in (("before", proof.before), ("after", proof.after)) if side}


def _of_side(side: Side) -> dict[str, object]:
    return {
        "steps": side.steps,
        "losses": _by_seed(side.losses),
        "endings": _by_seed(side.endings),
        "way": [{"step": point.step, "losses": _by_seed(point.losses)} for point in side.way],
        "step seconds": side.step_seconds,
        "still rises": None if side.rise is None else {"nats": side.rise[0], "steps": side.rise[1]},
        "gradient noise": side.gradient_noise,
        "khat": side.khat,
        "khat missing": side.khat_missing,
    }


def _by_seed(values: Mapping[int, object]) -> dict[str, object]:
    return {str(seed): value for seed, value in sorted(values.items())}


def _of_gone(gone: Gone, cwd: Path) -> dict[str, object]:
    told = of_finding(gone.finding, cwd)
    named = {key: told[key] for key in ("code", "name", "path", "cell", "line", "column", "message")}
    return {"how": gone.how, "reason": gone.reason, **named}


def dumps(value: object) -> str:
    """Any value as strict, indented JSON; lists of numbers are lines, since a column of losses is nothing to read."""
    text = json.dumps(_plain(value), indent=2, allow_nan=False)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[0][1:-1].split())}]", text)


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        # Half a surrogate pair, as in the name of a file that is not UTF-8, is no text for most readers of JSON.
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=str)
    return _plain(str(value))
