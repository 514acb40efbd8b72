"""The two mutations of GitHub's GraphQL that the test forge knows: drafts, which REST cannot change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import forge_bodies as bodies
import forge_shapes as shapes
from forge_api import Answer
from forge_model import Model, Refused, Token, now


def graphql(model: Model, token: Token | None, body: Any) -> Answer:
    """What GitHub would say: errors come with the status 200."""
    told = bodies.check(body, bodies.QUERY)
    found = re.search(r"\b(convertPullRequestToDraft|markPullRequestReadyForReview)\s*\(\s*input:", told["query"])
    given = (told.get("variables") or {}).get("input")
    if token is None:
        raise Refused(401, "Requires authentication")
    if found is None or not isinstance(given, dict) or given.keys() - {"clientMutationId", "pullRequestId"}:
        raise Refused(418, "The test forge knows two mutations of GraphQL, with pullRequestId")
    name = found[1]
    wanted = [
        pull
        for repo in model.repositories.values()
        for pull in repo.pulls.values()
        if shapes.node("PR", pull.id) == given.get("pullRequestId")
    ]
    if not wanted:
        words = f"Could not resolve to a node with the global id of '{given.get('pullRequestId')}'"
        return Answer(_failed(name, "NOT_FOUND", words))
    (pull,) = wanted
    if not (token.may("pull_requests", "write") and token.may("contents", "write")):
        kind = "integration" if token.installation else "personal access token"
        return Answer(_failed(name, "FORBIDDEN", f"Resource not accessible by {kind}"))
    draft = name == "convertPullRequestToDraft"
    if draft and (pull.state != "open" or not pull.repo.drafts):
        return Answer(_failed(name, "UNPROCESSABLE", "Draft pull requests are not supported in this repository."))
    pull.draft, pull.updated = draft, now()
    return Answer({"data": {name: {"clientMutationId": None, "pullRequest": {"isDraft": pull.draft}}}})


def _failed(name: str, kind: str, message: str) -> Mapping[str, Any]:
    error = {"type": kind, "path": [name], "locations": [{"line": 2, "column": 3}], "message": message}
    return {"data": {name: None}, "errors": [error]}
