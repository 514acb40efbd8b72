"""Bring a repository's pull requests into line with a plan: open, update, leave alone or close.

What is on the forge already decides, so that a run that was cut off is mended by the next, and a second one sends
nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pyro_fix.bot import body, memory
from pyro_fix.bot.forge import Forge, ForgeError, Pull
from pyro_fix.bot.git import Raced, Remote, Tip, fits
from pyro_fix.bot.memory import Memory
from pyro_fix.bot.plan import Group, GroupBy, Plan
from pyro_fix.bot.settings import Settings
from pyro_fix.bot.without import without

UNVERIFIED = "unverified"
#: Characters that a body needs besides its memory.
ROOM = 4000
CLOSING = "Nothing of this is left to fix on the base branch, so this is closed. It counts as no refusal."

What = Literal["opened", "updated", "unchanged", "closed", "left alone"]


@dataclass(frozen=True)
class Outcome:
    """What became of one pull request."""

    what: What
    branch: str
    words: str = ""
    """Why, where that is not plain."""
    url: str = ""


def branch_of(prefix: str, group_by: GroupBy, key: str) -> str:
    """The stable branch of a group; whatever the key is, it begins with ``prefix`` and git allows it."""
    if group_by == "all":
        return f"{prefix}all"
    words = re.sub(r"[^A-Za-z0-9]+", "-", key)[-60:].strip("-").lower()
    if group_by == "rule":
        return f"{prefix}rule-{words}"
    return f"{prefix}file-{words}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def publish(plan: Plan, forge: Forge, settings: Settings, tell: Callable[[Outcome], None]) -> list[Outcome]:
    """Bring the pull requests into line, and ``tell`` what becomes of each as it does.

    Raises :class:`ForgeError` where the forge refuses; what was done until then stands, and the next run goes on.
    """
    repository = forge.repository()
    base = settings.base or repository.default_branch
    if base.startswith(settings.branch_prefix):
        raise ForgeError(
            f"the base branch {base} begins with {settings.branch_prefix}, which is kept for the bot's own"
        )
    pulls = forge.pulls(settings.branch_prefix)
    with Remote(repository.url, forge.header()) as git:
        heads = git.heads(base, f"{settings.branch_prefix}*")
        if base not in heads:
            raise ForgeError(f"{repository.url} has no branch {base}")
        run = _Run(plan, forge, settings, git, base, heads, pulls)
        told = []
        for outcome in run.outcomes():
            tell(outcome)
            told.append(outcome)
    return told


class _Run:
    def __init__(
        self,
        plan: Plan,
        forge: Forge,
        settings: Settings,
        git: Remote,
        base: str,
        heads: dict[str, str],
        pulls: Sequence[Pull],
    ) -> None:
        self._plan = plan
        self._forge = forge
        self._settings = settings
        self._git = git
        self._base = base
        self._heads = heads
        self._refused = memory.refused(pulls)
        self._open = {pull.branch: pull for pull in reversed(pulls) if pull.state == "open" and pull.base == base}
        self._count = len(self._open)

    def outcomes(self) -> Iterable[Outcome]:
        """Work, and say of each pull request what became of it."""
        groups = {
            branch_of(self._settings.branch_prefix, self._plan.group_by, group.key): group
            for group in self._plan.groups
        }
        wanted = [self._heads[branch] for branch in {**groups, **self._open} if branch in self._heads]
        self._git.fetch(self._heads[self._base], *wanted)
        # First what goes, so that it does not count against the limit.
        kept = {b for b, g in groups.items() if any(fix.fingerprint not in self._refused for fix in g.fixes)}
        for branch in [branch for branch in self._open if branch not in kept]:
            yield self._superfluous(branch)
        for branch, group in groups.items():
            yield self._bring(branch, group)

    # --- what is wanted

    def _bring(self, branch: str, group: Group) -> Outcome:
        left = without(group, self._refused)
        if left is None:
            why = "some of its fixes were refused, and the others cannot be told apart: plan again with --refused"
            return Outcome("left alone", branch, why)
        if not left.fixes:
            return Outcome("left alone", branch, "people have refused all of it")
        tip = self._tip(branch)
        if tip is not None and not tip.ours:
            return Outcome("left alone", branch, "somebody has pushed to it", self._url(branch))
        onto = self._heads[self._base]
        if not fits(left.files, self._git.blobs(onto, [file.path for file in left.files])):
            return Outcome("left alone", branch, f"{self._base} has changed since the plan was made: plan again")
        pull = self._open.get(branch)
        if pull is None and self._count >= self._settings.limit:
            return Outcome("left alone", branch, f"{self._count} pull requests are open already, as many as may be")
        if len(memory.spelled(memory.of(left.fixes, onto))) > self._forge.longest_body - ROOM:
            why = f"{len(left.fixes)} fixes are too many for one pull request: plan with --group-by file"
            return Outcome("left alone", branch, why)
        commit = self._git.commit(onto, left.files, body.commit_message(left))
        if tip is not None and self._still_right(tip, commit, onto, pull):
            commit = tip.commit
        else:
            try:
                self._git.push(commit, branch, tip.commit if tip is not None else "")
            except Raced:
                return Outcome("left alone", branch, "somebody was faster, and nothing was overwritten: run again")
        return self._show(branch, left, commit, pull, pushed=tip is None or commit != tip.commit)

    def _still_right(self, tip: Tip, commit: str, onto: str, pull: Pull | None) -> bool:
        """Whether merging the branch as it is gives what is wanted: a base that has only moved needs no new commit."""
        if tip.commit == commit:
            return True
        return pull is not None and self._git.merged(tip.parent, onto, tip.commit) == self._git.tree(commit)

    def _show(self, branch: str, group: Group, commit: str, pull: Pull | None, pushed: bool) -> Outcome:
        """Open the pull request, or have it say what is in it now."""
        unverified = not all(fix.verified for fix in group.fixes)
        labels = (*self._settings.labels, *([UNVERIFIED] if unverified else []))
        now = memory.of(group.fixes, commit)
        title = body.title(group)
        told = body.body(group, self._plan.version, now, self._forge.longest_body)
        if pull is None:
            self._count += 1
            made = self._forge.open(branch, self._base, title, told.text, unverified, labels)
            known = memory.read(made.body)
            if known != now:  # it was there already: an answer of the forge got lost
                self._forge.update(made.number, title, told.text, unverified, labels, ())
            self._attach(made.number, told.rest)
            return Outcome("opened", branch, url=made.url)
        if memory.read(pull.body) == now:
            return Outcome("updated" if pushed else "unchanged", branch, url=pull.url)
        gone = () if unverified else (UNVERIFIED,)
        self._forge.update(pull.number, title, told.text, unverified, labels, gone)
        self._attach(pull.number, told.rest)
        return Outcome("updated", branch, url=pull.url)

    def _attach(self, number: int, rest: Sequence[str]) -> None:
        """What the body has no room for, in comments that are written anew in place."""
        present = [comment for comment in self._forge.comments(number) if body.is_rest(comment.body)]
        for comment, words in zip(present, rest, strict=False):
            if comment.body.strip() != words.strip():
                self._forge.edit_comment(number, comment.id, words)
        for words in rest[len(present) :]:
            self._forge.comment(number, words)
        for comment in present[len(rest) :]:
            self._forge.delete_comment(number, comment.id)

    # --- what is not

    def _superfluous(self, branch: str) -> Outcome:
        """Close what holds nothing any more; what could not be judged this time stays."""
        pull = self._open[branch]
        tip = self._tip(branch)
        if tip is not None and not tip.ours:
            return Outcome("left alone", branch, "somebody has pushed to it", pull.url)
        held = memory.read(pull.body) or Memory()
        if any(self._plan.found.get(fingerprint) == "unverified" for fingerprint in held.fixes):
            return Outcome("left alone", branch, "its fixes could not be verified this time", pull.url)
        self._forge.close(pull.number, memory.forgotten(pull.body), CLOSING)
        if tip is not None:
            self._forge.delete_branch(branch)
        self._count -= 1
        return Outcome("closed", branch, "nothing of it is left", pull.url)

    def _tip(self, branch: str) -> Tip | None:
        return self._git.tip(self._heads[branch]) if branch in self._heads else None

    def _url(self, branch: str) -> str:
        return self._open[branch].url if branch in self._open else ""
