"""The pull-request bot: ``plan`` runs programs and knows no token, ``publish`` has a token and runs no code.

    checkout ── make ──▶ Plan         findings, verdicts and new files, by pull request; a folder (``plan.py``)
    Plan, Forge ── publish ──▶ pull requests

A plan was made by a job that ran code of the repository, so ``publish`` trusts nothing in it: what a pull request is
called, where its branch lies and what may change are decided on the side that has the token.
"""
