"""GitHub Apps on the test forge: signed requests, installations and their tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import forge_bodies as bodies
import forge_shapes as shapes
from forge_api import Answer
from forge_model import Model, Refused, Token, now

RIGHTS = {"contents": "write", "pull_requests": "write", "metadata": "read"}
#: Seconds ahead that a signed request may expire.
LONGEST_JWT = 600


@dataclass
class App:
    """An app: ``public_key`` in PEM; installation -> account."""

    id: int
    slug: str
    public_key: str
    permissions: Mapping[str, str] = field(default_factory=lambda: dict(RIGHTS))
    installations: dict[int, str] = field(default_factory=dict)


@cache
def key_pair() -> tuple[str, str]:
    """A private and a public key, made once, in PEM."""
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.TraditionalOpenSSL, forms.NoEncryption())
    public = key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def signer(apps: Mapping[int, App], signed: str) -> App:
    """The app that signed a request; raises :class:`Refused` where none did, or not as GitHub wants it."""
    import jwt

    undecoded = Refused(401, "A JSON web token could not be decoded")
    try:
        claims = jwt.decode(signed, options={"verify_signature": False})
        app = apps[int(claims["iss"])]
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        raise undecoded from None
    try:
        claims = jwt.decode(signed, app.public_key, algorithms=["RS256"], options={"require": ["exp", "iat"]})
    except jwt.ExpiredSignatureError:
        words = "must be a numeric value representing the future time at which the assertion expires"
        raise Refused(401, f"'Expiration time' claim ('exp') {words}") from None
    except jwt.ImmatureSignatureError:
        words = "must be an Integer representing the time that the assertion was issued"
        raise Refused(401, f"'Issued at' claim ('iat') {words}") from None
    except jwt.PyJWTError:
        raise undecoded from None
    if claims["exp"] > time.time() + LONGEST_JWT:
        raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
    return app


def answer(model: Model, apps: Mapping[int, App], method: str, path: str, signed: str, body: Any) -> Answer | None:
    """What GitHub tells an app about itself; None where the path is none of these."""
    parts = path.strip("/").split("/")
    known = parts[0] == "app" or (parts[0] == "repos" and parts[3:] == ["installation"])
    if not known:
        return None
    app = signer(apps, signed)
    if (method, parts) == ("GET", ["app"]):
        return Answer(_app(model, app))
    if (method, parts) == ("GET", ["app", "installations"]):
        return Answer([_installation(model, app, number) for number in app.installations])
    if (method, parts[0]) == ("GET", "repos"):
        for number, account in app.installations.items():
            if account.lower() == parts[1].lower() and "/".join(parts[1:3]).lower() in model.repositories:
                return Answer(_installation(model, app, number))
        raise Refused(404, "Not Found")
    if parts[1] != "installations" or not parts[2].isdigit() or int(parts[2]) not in app.installations:
        raise Refused(404, "Not Found")
    number = int(parts[2])
    if (method, parts[3:]) == ("GET", []):
        return Answer(_installation(model, app, number))
    if (method, parts[3:]) != ("POST", ["access_tokens"]):
        raise Refused(404, "Not Found")
    wanted = bodies.check(body or {}, bodies.NEW_TOKEN).get("permissions") or dict(app.permissions)
    if any(app.permissions.get(name) not in (access, "write") for name, access in wanted.items()):
        raise Refused(422, "The permissions requested are not granted to this installation.")
    token = Token(f"ghs_{next(model.ids):036d}", model.user(f"{app.slug}[bot]"), {**wanted, "metadata": "read"}, True)
    model.tokens[token.value] = token
    told = {"token": token.value, "expires_at": shapes.when(now() + timedelta(hours=1))}
    return Answer(told | {"permissions": dict(token.permissions), "repository_selection": "all"}, 201)


def _app(model: Model, app: App) -> dict[str, Any]:
    return {
        "id": app.id,
        "slug": app.slug,
        "node_id": shapes.node("A", app.id),
        "name": app.slug,
        "owner": shapes.user(model.user("ann"), model.url),
        "description": "",
        "external_url": "",
        "html_url": f"{model.url}/apps/{app.slug}",
        "permissions": dict(app.permissions),
        "events": [],
        "installations_count": len(app.installations),
    }


def _installation(model: Model, app: App, number: int) -> dict[str, Any]:
    account = model.user(app.installations[number])
    url = f"{model.url}/api/v3/app/installations/{number}"
    return {
        "id": number,
        "account": shapes.user(account, model.url),
        "app_id": app.id,
        "app_slug": app.slug,
        "target_id": account.id,
        "target_type": account.kind,
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{model.url}/api/v3/installation/repositories",
        "html_url": url,
        "permissions": dict(app.permissions),
        "events": [],
        "repository_selection": "all",
        "suspended_at": None,
    }
