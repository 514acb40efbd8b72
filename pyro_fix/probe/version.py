"""Run programs past their assertions on Pyro's version: ``assert pyro.__version__.startswith("1.3")``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .journal import Journal

#: How the notes on such a program begin; those that verify look for it.
ASKS = "the program asks for Pyro"


def disguise(pyro: Any, journal: Journal, every: bool) -> None:
    """Let the program's Pyro answer for the other releases of its major version, or for ``every`` version.

    The text itself stays: who parses the version, prints it or takes it apart gets the true one.
    """
    real = str(pyro.__version__)
    told: set[str] = set()

    def tell(wanted: str, end: str) -> None:
        text = f"{ASKS} {wanted} and {end} {real}"
        if text not in told:
            told.add(text)
            journal.write("note", text=text)

    def passes(wanted: str) -> bool:
        """Whether to say yes to what is not so."""
        if every or wanted.split(".")[0] == real.split(".")[0]:
            tell(wanted, "was run with")
            return True
        tell(wanted, "would run with")
        return False

    class Version(str):
        """Pyro's version, which says that it is what it is asked for."""

        __hash__ = str.__hash__

        def startswith(self, prefix: Any, *args: Any) -> bool:
            found = real.startswith(prefix, *args)
            if found or args or not isinstance(prefix, (str, tuple)) or not prefix:
                return found
            return any(passes(str(one)) for one in ([prefix] if isinstance(prefix, str) else prefix))

    def comparison(name: str) -> Callable[[Any, Any], Any]:
        plain = getattr(str, name)

        def compare(self: Any, other: Any) -> Any:
            found = plain(self, other)
            # Words that are no version are compared as words.
            if found is NotImplemented or not isinstance(other, str) or not re.match(r"\d+\.\d", other):
                return found
            if name in ("__ne__", "__eq__"):
                same = str.__eq__(self, other) or (passes(other) if every else False)
                if not same and not every:
                    tell(other, "would run with")
                return same if name == "__eq__" else not same
            if every and not found:
                tell(other, "was run with")
                return True
            return found

        return compare

    for name in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
        setattr(Version, name, comparison(name))
    pyro.__version__ = Version(real)
