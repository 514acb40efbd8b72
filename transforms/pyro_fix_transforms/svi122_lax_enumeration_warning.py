"""SVI122."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix import edits
from pyro_fix.analysis.pairing import side
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.reach import surely_runs
from pyro_fix.analysis.values import Const, Made
from pyro_fix.transform import Candidate, Promise, Proposal, Transform
from pyro_fix_transforms._losses import is_enumerable

#: ELBOs that look at the argument.
ENUMERATING = frozenset({"TraceEnum_ELBO", "JitTraceEnum_ELBO", "TraceTMC_ELBO"})


class LaxEnumerationWarning(Transform):
    """Keep the warnings about enumeration.

    ## What it does
    Removes `strict_enumeration_warning=False` from an ELBO that enumerates.

    ## Why
    `TraceEnum_ELBO` warns when no site is configured for enumeration, which mostly means that `config_enumerate` was
    forgotten and the discrete latents are sampled after all. Switched off, that goes unseen (tip 12).

    ## Example
    ```python
    def model(data):
        z = pyro.sample("z", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(z, 1.0), obs=data)

    elbo = pyro.infer.TraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)
    ```
    becomes
    ```python
    def model(data):
        z = pyro.sample("z", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(z, 1.0), obs=data)

    elbo = pyro.infer.TraceEnum_ELBO(max_plate_nesting=1)
    ```

    ## Holds back when
    - a run shows that nothing is enumerated: then the warning is right, and the finding says so;
    - the argument is no literal `False` at the call.

    It says nothing where there may be nothing to enumerate at some steps: labels that are given now and then, a model
    that is anybody's. There the warning would be wrong.

    ## Promise
    Runs clean.
    """

    code, name, tip = "SVI122", "lax-enumeration-warning", 12
    promise = Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an ELBO."""
        met = set()
        for made in program.made:
            kind = made.name.rpartition(".")[2]
            given = made.keywords.get("strict_enumeration_warning")
            if (
                kind not in ENUMERATING
                or not isinstance(given, Const)
                or given.value is not False
                or id(made.node) in met
            ):
                continue
            if all(keyword.arg != "strict_enumeration_warning" for keyword in made.node.keywords):
                continue
            met.add(id(made.node))
            nothing = _enumerates_nothing(program, made)
            if not nothing and not _has_always_some(program, made):
                continue
            message = f"{kind} keeps quiet about enumeration that does not happen"
            if nothing:
                message += ", and in this run none happens"
            yield self.finding(
                made.module,
                made.node,
                message,
                (
                    Candidate(
                        (edits.remove_keyword(made.module, made.node, "strict_enumeration_warning"),),
                        self.promise,
                        "without strict_enumeration_warning=False",
                        needs_run=True,
                    ),
                ),
                "nothing is enumerated: config_enumerate is missing, or Trace_ELBO is what is wanted"
                if nothing
                else "",
                source="seen" if nothing else "static",
            )


def _has_always_some(program: Program, made: Made) -> bool:
    """Whether every SVI object has a discrete latent at every step: labels that are given now and then leave none."""
    sides = [side(program, svi.model) for svi in program.makers_of(made)]
    return bool(sides) and all(
        one is not None
        and any(
            is_enumerable(site) and any(surely_runs(function.node, site.call) for function in one.functions)
            for site in one.sites
        )
        for one in sides
    )


def _enumerates_nothing(program: Program, made: Made) -> bool:
    """Whether every run that was looked at enumerates no site."""
    looks = [seen.svi.look for svi in program.makers_of(made) for seen in program.seen.svi(svi)]
    known = [look for look in looks if look is not None and look.model and not look.error]
    return bool(known) and not any(
        site.enumerated for look in known for sites in (look.model, look.guide) for site in sites.values()
    )
