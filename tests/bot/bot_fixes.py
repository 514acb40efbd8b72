"""Two fixes that tests of the bot speak of."""

from __future__ import annotations

from dataclasses import replace

from pyro_fix.bot.plan import Fix

FIX = Fix(
    fingerprint="ab" * 12,
    code="SVI051",
    name="unconstrained-param",
    tip=5,
    path="src/a.py",
    cell=None,
    line=3,
    message="param 's' has no constraint",
    label="add constraints.positive",
    verified=True,
    reason="same start: 2 parameters equal exactly",
    diff="--- a/src/a.py\n+++ b/src/a.py\n@@ -3 +3 @@\n-old\n+new\n",
    evidence={"seeds": [0, 1]},
)
OTHER = replace(FIX, fingerprint="cd" * 12, code="SVI021", name="optimizer-without-momentum", tip=2, line=9)
