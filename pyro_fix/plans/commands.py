"""Commands that the project itself uses: tests, CI files, Makefile and documents name a script with arguments.

Nothing of what is found is run by a shell: a command counts only where :mod:`pyro_fix.runner.target` reads it as a
Python program, and where the files that it names exist.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pyro_fix.plans.tree import Tree, dotted
from pyro_fix.runner import target
from pyro_fix.runner.model import Target

_CI = (
    ".github/workflows/*.yml",
    ".github/workflows/*.yaml",
    ".travis.yml",
    ".gitlab-ci.yml",
    ".circleci/config.yml",
    "azure-pipelines.yml",
    "tox.ini",
    "noxfile.py",
    "Makefile",
    "makefile",
    "justfile",
    "scripts/*.sh",
    "*.sh",
)
#: What ends a command inside a line, where it is not quoted.
_END = re.compile(r"[`;&|>#)\"'\n]|\s#")
#: Placeholders, variables and globs: only a person or a shell knows what they stand for.
_OPEN = re.compile(r"[<{}$\[\]*]|\.\.\.|…")
#: Machines and downloads that a short run on the user's machine should not ask for.
_UNWANTED = re.compile(
    r"(?<!\S)--?(?:cuda|gpus?|tpu|jit|horovod|download|help|version)\b|(?<!-no-)\bcuda\b|(?:^| )-h\b"
)
#: A script that cannot do without arguments, as far as its text tells.
_NEEDS = re.compile(
    rb"sys\.argv\[|required\s*=\s*True|add_argument\(\s*['\"][^-'\"]|docopt\(|fire\.Fire\(|@hydra\.main"
)
_DATA = re.compile(r"\.(?:csv|tsv|json|jsonl|jsonlines|txt|npz|npy|pkl|pickle|pt|pth|h5|h5ad|ya?ml|gz)$")
_LIST_ITEM = re.compile(r"\s*,\s*(?:'([^'\n]*)'|\"([^\"\n]*)\")")
_DOCUMENTS = 2
#: Larger texts are data.
_MOST_BYTES = 500_000


def naming(script: Path, tree: Tree) -> list[Target]:
    """How the project itself runs ``script`` with arguments, the command to be preferred first."""
    ranked: list[tuple[int, int, int, Target]] = []
    needed = _NEEDS.search(tree.text(script)) is not None
    for rank, path in _texts(tree, script):
        if rank >= _DOCUMENTS and not needed:
            break  # the defaults will do, and are quicker than what a reader is asked to run
        for found in _in_text(path, script, tree):
            ranked.append((rank, _size(found.args), len(ranked), found))
    unique: dict[tuple[str, ...], Target] = {}
    for _, _, _, found in sorted(ranked, key=lambda item: item[:3]):
        unique.setdefault(found.args, found)
    return list(unique.values())


def _texts(tree: Tree, script: Path) -> Iterator[tuple[int, Path]]:
    """Where to look, and in what order: tests and CI ask for small runs, documents for real ones."""
    yield from ((0, path) for path in tree.tests)
    yield from ((1, path) for pattern in _CI for path in sorted(tree.root.glob(pattern)))
    yield from ((_DOCUMENTS, path) for path in tree.documents)
    yield _DOCUMENTS + 1, script


def _in_text(path: Path, script: Path, tree: Tree) -> Iterator[Target]:
    data = tree.text(path)
    name = dotted(script)
    if len(data) > _MOST_BYTES or not (script.name.encode() in data or name.encode() in data):
        return
    text = re.sub(r"\\\r?\n\s*", " ", data.decode("utf-8", "replace"))
    where = path.relative_to(tree.root).as_posix() if path.is_relative_to(tree.root) else path.name
    pattern = rf"(?P<path>(?<![\w./-])[\w./-]*\b{re.escape(script.name)})(?![\w/])"
    if "." in name:
        pattern += rf"|(?P<module>-m\s+{re.escape(name)})(?![\w.])"
    for match in re.finditer(pattern, text):
        rest = text[match.end() : match.end() + 400]
        if match["path"] is None:
            words, named = _arguments(rest, plain=False), None
        else:
            named = match["path"]
            if not str(script).endswith(str(Path("/", named))):
                continue
            before = text[max(match.start() - 40, 0) : match.start()].rpartition("\n")[2]
            if before[-1:] in ("'", '"') and rest[:1] == before[-1:]:
                items = _items(rest[1:])
                # One string with the whole command ends with its quote, a list goes on with the next string.
                words = items if items is not None else []
            else:
                words = _arguments(rest, plain=not re.search(r"python[\d.]*\s+(?:-\w+\s+)*$", before))
        if not words or _unfit(words, tree.root, script):
            continue
        yield from _target(script, name if named is None else None, words, tree.root, where)


def _items(text: str) -> list[str] | None:
    """The strings that follow in a list: ``, "--num-steps", "2"]``."""
    found, at = [], 0
    while match := _LIST_ITEM.match(text, at):
        found.append(match[1] if match[1] is not None else match[2])
        at = match.end()
    return found or None


def _arguments(rest: str, *, plain: bool) -> list[str] | None:
    """The words up to the end of the command; in running text (``plain``) only options make it one."""
    end = _END.search(rest)
    try:
        words = shlex.split(rest[: end.start()] if end else rest)
    except ValueError:
        return None
    if not words or not rest[:1].isspace() or (not words[0].startswith("-") and (plain or not _is_value(words[0]))):
        return None
    return words


def _is_value(word: str) -> bool:
    """Whether a first word that is no option looks like an argument and not like the next word of a sentence."""
    return "/" in word or word.isdigit() or bool(_DATA.search(word)) or "=" in word


def _unfit(words: list[str], root: Path, script: Path) -> bool:
    line = " ".join(words)
    if _OPEN.search(line) or _UNWANTED.search(line) or len(words) > 30:
        return True
    paths = [word.rpartition("=")[2] for word in words if _DATA.search(word)]
    return not any(all((folder / path).exists() for path in paths) for folder in (root, script.parent))


def _target(script: Path, module: str | None, words: list[str], root: Path, where: str) -> Iterator[Target]:
    paths = [word.rpartition("=")[2] for word in words if _DATA.search(word)]
    cwd = root if module or all((root / path).exists() for path in paths) else script.parent
    program = ["-m", module] if module else [str(script.relative_to(cwd))]
    try:
        found = target.parse(shlex.join(["python", *program, *words]), cwd)
    except ValueError:
        return
    yield replace(found, origin=f"{where} runs it so")


def _size(words: tuple[str, ...]) -> int:
    """How much a command asks for, by the greatest number in it."""
    return max(
        (int(number) for word in words for number in re.findall(r"\d+", word)[:4] if len(number) < 10), default=0
    )
