"""Canonical names of the libraries: ``pyro.infer.svi.SVI`` and ``pyro.infer.SVI`` are one thing."""

from __future__ import annotations

from functools import lru_cache

from pyro_fix.analysis import distributions

#: Libraries whose files are never read as part of a project.
ROOTS = frozenset({"pyro", "torch", "numpy", "tqdm"})

#: Where pyro re-exports what its inner modules define: (prefix of the inner name, public prefix).  First match wins.
_PUBLIC = (
    ("pyro.infer.autoguide.", "pyro.infer.autoguide."),
    ("pyro.contrib.autoguide.", "pyro.infer.autoguide."),
    ("pyro.infer.", "pyro.infer."),
    ("pyro.optim.", "pyro.optim."),
    ("pyro.poutine.", "pyro.poutine."),
    ("pyro.nn.", "pyro.nn."),
    ("pyro.primitives.", "pyro."),
    ("torch.optim.", "torch.optim."),
)

#: What ``from pyro import *`` binds of what matters.
_STARRED = frozenset(
    {"param", "sample", "plate", "module", "poutine", "enable_validation", "validation_enabled", "settings"}
)


#: Functions that people reach by their inner module.
_ALIASES = {
    "pyro.infer.enum.config_enumerate": "pyro.infer.config_enumerate",
    "pyro.poutine.condition": "pyro.condition",
    "pyro.nn.module.pyro_method": "pyro.nn.pyro_method",
    "pyro.contrib.easyguide.easyguide.EasyGuide": "pyro.contrib.easyguide.EasyGuide",
    "pyro.contrib.easyguide.easyguide.easy_guide": "pyro.contrib.easyguide.easy_guide",
}


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """The public name of a dotted name; distributions and constraints of torch and pyro become one."""
    for prefix in ("pyro.distributions.", "torch.distributions."):
        if name.startswith(prefix):
            last = name.rpartition(".")[2]
            if last == "constraints":
                return "pyro.distributions.constraints"
            if ".constraints." in name:
                return f"pyro.distributions.constraints.{last}"
            return f"pyro.distributions.{last}" if distributions.lookup(last) else name
    if name in _ALIASES:
        return _ALIASES[name]
    if name == "torch.distributions":
        return "pyro.distributions"
    if name in ("pyro.infer.autoguide", "pyro.contrib.autoguide"):
        return "pyro.infer.autoguide"
    last = name.rpartition(".")[2]
    if last[:1].isupper() or name.startswith(("pyro.primitives.", "pyro.poutine.handlers.")):
        for prefix, public in _PUBLIC:
            if name.startswith(prefix):
                if prefix == "pyro.infer." and last.startswith("Auto"):
                    return f"pyro.infer.autoguide.{last}"
                return public + last
    if name.startswith("tqdm."):
        if last in ("trange", "tnrange"):
            return "tqdm.trange"
        return "tqdm.tqdm" if last in ("tqdm", "tqdm_notebook") else name
    return name


def star_exports(module: str, name: str) -> str | None:
    """The canonical name of ``name`` after ``from module import *``; ``None`` when it may come from elsewhere."""
    if module in ("pyro.distributions", "torch.distributions") and name in distributions.NAMES:
        return f"pyro.distributions.{name}"
    if module == "pyro.distributions" and name == "constraints":
        return "pyro.distributions.constraints"
    if module == "pyro.distributions.constraints" and name in distributions.CONSTRAINT_NAMES:
        return f"{module}.{name}"
    if module == "pyro.optim" and name in distributions.OPTIMIZERS:
        return f"pyro.optim.{name}"
    if module in ("pyro.infer.autoguide", "pyro.contrib.autoguide") and name in distributions.AUTOGUIDES:
        return f"pyro.infer.autoguide.{name}"
    if module == "pyro.infer" and (name in ("SVI", "config_enumerate") or name in distributions.ELBOS):
        return f"pyro.infer.{name}"
    if module == "pyro.nn" and name in ("PyroModule", "PyroParam", "PyroSample"):
        return f"pyro.nn.{name}"
    if module == "pyro" and name in _STARRED:
        return f"pyro.{name}"
    return None
