"""The script that the runner starts: ``python boot.py --program`` runs the program of the run's description, recorded.

``--warm DESCRIPTOR`` loads what programs need and waits for them (``warm.py``); ``--script PATH ARGS`` runs one patched
script, for a process that the program itself started.
"""

import importlib.util
import json
import os
import sys
from types import ModuleType

#: The probe's name in the child: nobody else's.
PACKAGE = "_pyro_fix_probe"


def load() -> ModuleType:
    """Load the probe from this folder under its own name, with nothing put on ``sys.path``."""
    if PACKAGE not in sys.modules:
        folder = os.path.dirname(os.path.abspath(__file__))
        spec = importlib.util.spec_from_file_location(
            PACKAGE, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[PACKAGE] = module
        spec.loader.exec_module(module)
    return sys.modules[PACKAGE]


def enter() -> None:
    """What ``sitecustomize`` calls in every Python process of the run."""
    load()
    with open(os.environ["PYRO_FIX_SPEC"], encoding="utf-8") as file:
        spec = json.load(file)
    from _pyro_fix_probe import overlay  # type: ignore[import-not-found]

    overlay.enter(spec)


if __name__ == "__main__":
    del sys.path[0]  # this script's folder, which must not hide modules of the user's
    lacking = json.loads(os.environ.pop("PYRO_FIX_LACKING", "[]"))  # lock.py's word
    if sys.argv[1] == "--warm":
        load()
        importlib.import_module(PACKAGE + ".overlay")
        early = frozenset(sys.modules)
        importlib.import_module(PACKAGE + ".warm").serve(int(sys.argv[2]), early)
        del early, sys.modules[PACKAGE + ".warm"]
    elif not hasattr(load(), "overlay_of_run"):
        os.environ.pop("PYRO_FIX_INSIDE", None)
        enter()
    from _pyro_fix_probe import session

    if sys.argv[1] == "--script":
        session.script(sys.argv[2], sys.argv[3:])
    else:
        session.run(lacking, forked=sys.argv[1] == "--warm")
