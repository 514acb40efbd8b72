"""SVI052."""

from __future__ import annotations

from pyro_fix_transforms.svi051_unconstrained_param import UnconstrainedParam


class UnconstrainedPyroParam(UnconstrainedParam):
    """Constrain the parameters of a `PyroModule` that need it.

    ## What it does
    The same as SVI051 for `PyroParam` attributes: one without a constraint that is used, unchanged, as a
    distribution's argument that has one, gets it.

    ## Why
    A `PyroParam` is moved by the optimiser like any parameter; without a constraint a scale can cross zero (tip 5).

    ## Example
    ```python
    class Model(PyroModule):
        def __init__(self):
            super().__init__()
            self.scale = PyroParam(torch.tensor(0.1))

        def forward(self, x):
            return pyro.sample("y", dist.Normal(x, self.scale))
    ```
    becomes
    ```python
    class Model(PyroModule):
        def __init__(self):
            super().__init__()
            self.scale = PyroParam(torch.tensor(0.1), constraint=dist.constraints.positive)

        def forward(self, x):
            return pyro.sample("y", dist.Normal(x, self.scale))
    ```

    ## Holds back when
    - the same cases as SVI051: a value that is made valid on its way, changed in place, or starts outside;
    - the attribute is assigned in several places.

    ## Promise
    Same start (every parameter begins at its old value, the first losses agree), and the patched program runs clean.
    """

    code, name = "SVI052", "unconstrained-pyro-param"
    kind = "PyroParam"
