"""What the bot has to remember lies in a hidden comment at the end of its own pull requests' bodies.

A pull request that people closed without merging refuses every fix in it; one that the bot closes forgets its fixes
first.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pyro_fix.bot.forge import Pull
from pyro_fix.bot.plan import Fix

_COMMENT = re.compile(r"<!-- pyro-fix: (\{[^\n]*\}) -->")
_FINGERPRINT = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True)
class Memory:
    """What a pull request holds, and what it said of it."""

    fixes: tuple[str, ...] = ()
    """Fingerprints, sorted."""
    commit: str = ""
    """The commit that the branch was set to."""
    told: str = ""
    """A digest of the fixes and their verdicts: the body is written anew when it changes."""


def of(fixes: Iterable[Fix], commit: str) -> Memory:
    """The memory of a pull request with ``fixes``."""
    states = sorted((fix.fingerprint, fix.verified) for fix in fixes)
    told = hashlib.sha256(repr(states).encode()).hexdigest()[:24]
    return Memory(tuple(sorted({fingerprint for fingerprint, _ in states})), commit, told)


def spelled(memory: Memory) -> str:
    """The hidden comment; it holds nothing from the repository."""
    told = {"fixes": memory.fixes, "commit": memory.commit, "told": memory.told}
    return f"<!-- pyro-fix: {json.dumps(told, separators=(',', ':'))} -->"


def read(body: str) -> Memory | None:
    """The memory in a body, the last one where it holds several; None where there is none that can be read."""
    found = _COMMENT.findall(body)
    if not found:
        return None
    try:
        told = json.loads(found[-1])
        fixes = tuple(sorted(f for f in told["fixes"] if _FINGERPRINT.fullmatch(f)))
        return Memory(fixes, str(told["commit"]), str(told["told"]))
    except (ValueError, KeyError, TypeError):
        return None


def forgotten(body: str) -> str:
    """The body without memory: a pull request that is closed with it refuses nothing."""
    return f"{_COMMENT.sub('', body).rstrip()}\n\n{spelled(Memory())}"


def refused(pulls: Iterable[Pull]) -> frozenset[str]:
    """Fingerprints of the fixes that people have refused by closing a pull request."""
    memories = (read(pull.body) for pull in pulls if pull.state == "closed")
    return frozenset(fingerprint for memory in memories if memory is not None for fingerprint in memory.fixes)
