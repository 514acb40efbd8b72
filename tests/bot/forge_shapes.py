"""The test forge's objects as GitHub's JSON: the fields that PyGithub knows and a bot could ask for."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from forge_git import Changed, Commit
from forge_model import LineNote, Note, Pull, Repo, Review, User

Shape = dict[str, Any]


def when(time: datetime | None) -> str | None:
    """A time as GitHub spells it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


def node(kind: str, number: int) -> str:
    """The id that GraphQL knows an object by."""
    return f"{kind}_{base64.urlsafe_b64encode(str(number).encode()).decode().rstrip('=')}"


def api(repo: Repo) -> str:
    return f"{repo.forge.url}/api/v3/repos/{repo.name}"


def page(repo: Repo) -> str:
    return f"{repo.forge.url}/{repo.name}"


def user(who: User, url: str) -> Shape:
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node("U", who.id),
        "type": who.kind,
        "site_admin": False,
        "url": f"{url}/api/v3/users/{who.login}",
        "html_url": f"{url}/{who.login}",
        "avatar_url": "",
        "gravatar_id": "",
    }


def repository(repo: Repo, permissions: dict[str, bool] | None = None) -> Shape:
    shape = {
        "id": repo.id,
        "node_id": node("R", repo.id),
        "name": repo.short,
        "full_name": repo.name,
        "private": repo.private,
        "visibility": "private" if repo.private else "public",
        "owner": user(repo.forge.user(repo.owner), repo.forge.url),
        "html_url": page(repo),
        "url": api(repo),
        "clone_url": repo.url,
        "git_url": repo.url.replace("http://", "git://"),
        "default_branch": repo.default_branch,
        "description": None,
        "fork": repo.parent is not None,
        "archived": False,
        "disabled": False,
        "has_issues": True,
        "allow_merge_commit": True,
        "allow_squash_merge": True,
        "delete_branch_on_merge": False,
        "created_at": when(repo.made),
        "updated_at": when(repo.made),
        "pushed_at": when(repo.made),
    }
    return shape | ({"permissions": permissions} if permissions is not None else {})


def label(repo: Repo, name: str) -> Shape:
    number, colour, description = repo.labels[name]
    return {
        "id": number,
        "node_id": node("LA", number),
        "url": f"{api(repo)}/labels/{name}",
        "name": name,
        "color": colour,
        "default": False,
        "description": description or None,
    }


def pull(one: Pull, whole: bool = True) -> Shape:
    """``whole`` as GitHub answers for one pull request; in lists some fields are missing."""
    repo, url = one.repo, f"{api(one.repo)}/pulls/{one.number}"
    shape = {
        "id": one.id,
        "node_id": node("PR", one.id),
        "number": one.number,
        "state": one.state,
        "locked": False,
        "title": one.title,
        "body": one.body,
        "user": user(one.user, repo.forge.url),
        "labels": [label(repo, name) for name in one.labels],
        "draft": one.draft,
        "url": url,
        "html_url": f"{page(repo)}/pull/{one.number}",
        "issue_url": f"{api(repo)}/issues/{one.number}",
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "comments_url": f"{api(repo)}/issues/{one.number}/comments",
        "diff_url": f"{page(repo)}/pull/{one.number}.diff",
        "created_at": when(one.made),
        "updated_at": when(one.updated),
        "closed_at": when(one.closed),
        "merged_at": when(one.merged),
        "merge_commit_sha": one.merge_commit,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "milestone": None,
        "author_association": "CONTRIBUTOR",
        "auto_merge": None,
        "head": _end(one.source, one.branch, one.head),
        "base": _end(repo, one.base, one.start),
        "_links": {"self": {"href": url}, "html": {"href": f"{page(repo)}/pull/{one.number}"}},
    }
    return shape | _more(one) if whole else shape


def _end(repo: Repo, branch: str, commit: str) -> Shape:
    return {
        "label": f"{repo.owner}:{branch}",
        "ref": branch,
        "sha": commit,
        "user": user(repo.forge.user(repo.owner), repo.forge.url),
        "repo": repository(repo),
    }


def _more(one: Pull) -> Shape:
    changed = one.changed()
    fits = one.repo.git.merged_tree(one.start, one.head) is not None if one.state == "open" else None
    state = "unknown" if fits is None else "dirty" if not fits else "draft" if one.draft else "clean"
    return {
        "merged": one.merged is not None,
        "merged_by": user(one.merger, one.repo.forge.url) if one.merger else None,
        "mergeable": fits,
        "mergeable_state": state,
        "rebaseable": fits,
        "comments": len(one.notes),
        "review_comments": len(one.line_notes),
        "commits": len(one.commits()),
        "additions": sum(file.additions for file in changed),
        "deletions": sum(file.deletions for file in changed),
        "changed_files": len(changed),
        "maintainer_can_modify": one.may_be_modified and one.source is not one.repo,
    }


def issue(one: Pull) -> Shape:
    """A pull request as the issue that it is too."""
    url = f"{api(one.repo)}/issues/{one.number}"
    whole = pull(one, whole=False)
    kept = ("number", "state", "locked", "title", "body", "user", "labels", "html_url", "created_at", "updated_at")
    kept += ("closed_at", "assignee", "assignees", "milestone", "author_association", "draft")
    links = {name: whole[name] for name in ("url", "html_url", "diff_url", "merged_at")}
    return {name: whole[name] for name in kept} | {
        "id": one.id,
        "node_id": whole["node_id"],
        "url": url,
        "repository_url": api(one.repo),
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "comments": len(one.notes),
        "closed_by": None,
        "state_reason": None,
        "pull_request": links,
    }


def file(one: Pull, changed: Changed, longest_patch: int) -> Shape:
    """A changed file; patches of more than ``longest_patch`` lines are left out, as are those of binary files."""
    shape = {
        "sha": changed.blob,
        "filename": changed.path,
        "status": changed.status,
        "additions": changed.additions,
        "deletions": changed.deletions,
        "changes": changed.additions + changed.deletions,
        "blob_url": f"{page(one.repo)}/blob/{one.head}/{changed.path}",
        "raw_url": f"{page(one.repo)}/raw/{one.head}/{changed.path}",
        "contents_url": f"{api(one.repo)}/contents/{changed.path}?ref={one.head}",
    }
    if changed.patch and changed.patch.count("\n") < longest_patch:
        shape["patch"] = changed.patch
    if changed.status == "renamed":
        shape["previous_filename"] = changed.previous
    return shape


def note(one: Pull, said: Note) -> Shape:
    return {
        "id": said.id,
        "node_id": node("IC", said.id),
        "url": f"{api(one.repo)}/issues/comments/{said.id}",
        "html_url": f"{page(one.repo)}/pull/{one.number}#issuecomment-{said.id}",
        "issue_url": f"{api(one.repo)}/issues/{one.number}",
        "user": user(said.user, one.repo.forge.url),
        "body": said.body,
        "created_at": when(said.made),
        "updated_at": when(said.updated),
        "author_association": "CONTRIBUTOR",
        "performed_via_github_app": None,
    }


def line_note(one: Pull, said: LineNote) -> Shape:
    first, last = one.lines_now(said)
    url = f"{api(one.repo)}/pulls/comments/{said.id}"
    shape = {
        "id": said.id,
        "node_id": node("PRRC", said.id),
        "pull_request_review_id": said.review,
        "url": url,
        "html_url": f"{page(one.repo)}/pull/{one.number}#discussion_r{said.id}",
        "pull_request_url": f"{api(one.repo)}/pulls/{one.number}",
        "user": user(said.user, one.repo.forge.url),
        "body": said.body,
        "path": said.path,
        "diff_hunk": said.hunk,
        "commit_id": one.head if last else said.commit,
        "original_commit_id": said.commit,
        "line": last,
        "start_line": first,
        "original_line": said.last,
        "original_start_line": said.first,
        "side": said.side,
        "start_side": said.side if said.first else None,
        "position": 1 if last else None,  # GitHub counts lines of the diff here; what matters is whether it is null
        "original_position": 1,
        "subject_type": "line",
        "created_at": when(said.made),
        "updated_at": when(said.updated),
        "author_association": "CONTRIBUTOR",
        "_links": {"self": {"href": url}},
    }
    return shape | ({"in_reply_to_id": said.reply_to} if said.reply_to else {})


def review(one: Pull, said: Review) -> Shape:
    return {
        "id": said.id,
        "node_id": node("PRR", said.id),
        "user": user(said.user, one.repo.forge.url),
        "body": said.body,
        "state": said.state,
        "commit_id": said.commit,
        "html_url": f"{page(one.repo)}/pull/{one.number}#pullrequestreview-{said.id}",
        "pull_request_url": f"{api(one.repo)}/pulls/{one.number}",
        "submitted_at": when(said.made),
        "author_association": "CONTRIBUTOR",
        "_links": {},
    }


def commit(repo: Repo, told: Commit) -> Shape:
    url = f"{api(repo)}/commits/{told.sha}"
    return {
        "sha": told.sha,
        "node_id": node("C", int(told.sha[:8], 16)),
        "url": url,
        "html_url": f"{page(repo)}/commit/{told.sha}",
        "commit": {
            "message": told.message,
            "author": {"name": told.author, "email": told.email, "date": told.date},
            "committer": {"name": told.committer, "email": told.committer_email, "date": told.date},
            "tree": {"sha": told.tree, "url": f"{api(repo)}/git/trees/{told.tree}"},
            "url": f"{api(repo)}/git/commits/{told.sha}",
            "comment_count": 0,
        },
        "author": None,
        "committer": None,
        "parents": [{"sha": parent, "url": f"{api(repo)}/commits/{parent}"} for parent in told.parents],
    }


def ref(repo: Repo, branch: str, sha: str) -> Shape:
    return {
        "ref": f"refs/heads/{branch}",
        "node_id": node("REF", int(sha[:8], 16)),
        "url": f"{api(repo)}/git/refs/heads/{branch}",
        "object": {"type": "commit", "sha": sha, "url": f"{api(repo)}/git/commits/{sha}"},
    }


def branch(repo: Repo, name: str, told: Commit) -> Shape:
    return {"name": name, "commit": commit(repo, told), "protected": False, "protection_url": "", "_links": {}}
