# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Juju's secrets: who may read which revision, and which events that brings; no I/O."""

import base64
import datetime
import itertools
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import yaml

from .model import Consumer, Hook, JujuError, Model, Revision, Secret, Unit, seconds

HOUR, DAY = 3600.0, 86400.0
ROTATION = {
    "never": 0.0,
    "hourly": HOUR,
    "daily": DAY,
    "weekly": 7 * DAY,
    "monthly": 30 * DAY,
    "quarterly": 91 * DAY,
    "yearly": 365 * DAY,
}
ALPHABET = "0123456789abcdefghijklmnopqrstuv"
KEY = re.compile(r"[a-z](-?[a-z0-9]){2,}")
ID = re.compile(r"(?:secret:)?(?://[0-9a-f-]{36}/)?([0-9a-v]{20})")


def parse_id(text: str) -> str:
    """Return the bare ID of a secret's URI."""
    if found := ID.fullmatch(text):
        return found.group(1)
    raise JujuError(f'secret URI "{text}" not valid')


def new_id() -> str:
    """Return a fresh secret ID."""
    return "".join(random.SystemRandom().choices(ALPHABET, k=20))


def parse_content(words: Sequence[str], listed: str, read: Callable[[str], str]) -> dict[str, str]:
    """Return the keys and values given: key=value, key#base64=…, key#file=…, or in YAML."""
    found = yaml.safe_load(listed) or {}
    if not isinstance(found, dict):
        raise JujuError("a secret's file must hold a YAML map of its keys")
    content = {str(key): str(value) for key, value in found.items()}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise JujuError(f'key value "{word}" not valid')
        key, _, kind = key.partition("#")
        if kind == "file":
            value = read(value)
        elif kind == "base64":
            value = _decoded(key, value)
        content[key] = value
    for key in content:
        if not KEY.fullmatch(key):
            raise JujuError(f'key "{key}" not valid')
    return content


def _decoded(key: str, value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except UnicodeDecodeError:
        raise JujuError(f'"{key}" is no text: a secret of bytes is not part of the lab') from None
    except ValueError:
        raise JujuError(f'value of "{key}" is not base64') from None


def parse_expiry(text: str, now: float) -> float:
    """Return the time that an RFC 3339 time or a duration means."""
    try:
        if text[-1:] in "hms":
            return now + seconds(text)
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise JujuError(f'expire time or duration "{text}" not valid') from None


def manages(model: Model, unit: str, secret: Secret) -> bool:
    """Tell whether a unit may change a secret: its own, or as leader its application's."""
    if secret.owner == unit:
        return True
    return secret.owner == unit.partition("/")[0] and model.is_leader(unit)


def may_read(unit: str, secret: Secret) -> bool:
    """Tell whether a unit may read a secret."""
    who = {unit, unit.partition("/")[0]}
    return secret.owner in who or bool(who & set(secret.grants))


def label_for(unit: str, secret: Secret) -> str:
    """Return the label that a unit knows a secret by."""
    if secret.owner in (unit, unit.partition("/")[0]):
        return secret.label
    consumer = secret.consumers.get(unit)
    return consumer.label if consumer else ""


def managed(model: Model, unit: str) -> list[Secret]:
    """Return the secrets that a unit may change."""
    return [one for _, one in sorted(model.secrets.items()) if manages(model, unit, one)]


def find(model: Model, unit: str, label: str) -> Secret | None:
    """Return the secret that a unit means by a label."""
    for secret in model.secrets.values():
        if label and label_for(unit, secret) == label:
            return secret
    return None


def read(model: Model, unit: str, secret: Secret, *, label: str, peek: bool) -> Revision:
    """Return the revision that a unit sees; the first read pins it."""
    consumer = secret.consumers.setdefault(unit, Consumer(notified=secret.latest))
    if label and secret.owner not in (unit, unit.partition("/")[0]):
        consumer.label = label
    if not may_read(unit, secret):
        raise JujuError(f'"{unit}" is not allowed to read this secret')
    if peek:
        return secret.revisions[str(secret.latest)]
    if str(consumer.revision) not in secret.revisions:
        consumer.revision = consumer.notified = secret.latest
    return secret.revisions[str(consumer.revision)]


def track(secret: Secret, unit: str) -> None:
    """Move what a unit tracks to the latest revision."""
    consumer = secret.consumers.setdefault(unit, Consumer())
    consumer.revision = consumer.notified = secret.latest


def add(model: Model, secret_id: str, owner: str, changes: dict[str, Any], now: float) -> Secret:
    """Create a secret."""
    label = changes.get("label")
    if label and label in [one.label for one in model.secrets.values() if one.owner == owner]:
        raise JujuError(f'secret with {"label" if owner else "name"} "{label}" already exists')
    secret = Secret(secret_id, owner, created=now, updated=now)
    model.secrets[secret_id] = secret
    update(secret, changes, now)
    return secret


def update(secret: Secret, changes: dict[str, Any], now: float) -> None:
    """Change a secret; content that is the same makes no new revision."""
    for key in ("label", "description", "auto_prune"):
        if key in changes:
            setattr(secret, key, changes[key])
    if "rotate" in changes:
        secret.rotate = changes["rotate"]
        secret.rotate_at = now + ROTATION[secret.rotate] if ROTATION[secret.rotate] else 0.0
    content = changes.get("content")
    latest = secret.revisions.get(str(secret.latest))
    if content and (latest is None or latest.content != content):
        secret.latest += 1
        latest = secret.revisions[str(secret.latest)] = Revision(content, now)
        secret.updated = now
    if latest and "expires" in changes:
        latest.expires = changes["expires"]
    for number in obsolete(secret) if secret.auto_prune else []:
        del secret.revisions[str(number)]


def obsolete(secret: Secret) -> list[int]:
    """Return the revisions that are not the latest and that nobody tracks."""
    tracked = {consumer.revision for consumer in secret.consumers.values()} | {secret.latest}
    return sorted(int(number) for number in secret.revisions if int(number) not in tracked)


def remove(model: Model, secret: Secret, revision: int) -> None:
    """Remove one revision, or with 0 the whole secret."""
    secret.revisions.pop(str(revision), None)
    if not revision or not secret.revisions:
        del model.secrets[secret.id]


def forget_unit(model: Model, unit: str) -> None:
    """Drop what a removed unit owned, tracked and was granted."""
    model.secrets = {key: one for key, one in model.secrets.items() if one.owner != unit}
    for secret in model.secrets.values():
        secret.consumers.pop(unit, None)
        secret.grants.pop(unit, None)


def next_hook(model: Model, unit: Unit, now: float) -> Hook | None:
    """Return the secret event that a unit must run: expired, rotate, changed, remove."""
    mine = managed(model, unit.name)
    return next(itertools.chain(_timed(mine, unit, now), _caused(model, mine, unit)), None)


def _timed(mine: list[Secret], unit: Unit, now: float) -> Iterator[Hook]:
    for secret in mine:
        for number, one in sorted(secret.revisions.items()):
            is_told = f"{secret.id}/{number}" in unit.expired_told
            if one.expires and one.expires <= now and not is_told:
                yield _hook("secret-expired", unit, secret, int(number))
    for secret in mine:
        if secret.rotate_at and secret.rotate_at <= now:
            yield _hook("secret-rotate", unit, secret)


def _caused(model: Model, mine: list[Secret], unit: Unit) -> Iterator[Hook]:
    for _, secret in sorted(model.secrets.items()):
        consumer = secret.consumers.get(unit.name)
        if consumer and consumer.notified < secret.latest:
            hook = _hook("secret-changed", unit, secret)
            hook.version = secret.latest
            yield hook
    for secret in mine:
        for number in obsolete(secret):
            if not secret.revisions[str(number)].obsolete_told:
                yield _hook("secret-remove", unit, secret, number)


def _hook(kind: str, unit: Unit, secret: Secret, revision: int = 0) -> Hook:
    label = label_for(unit.name, secret)
    return Hook(kind, secret=secret.id, label=label, revision=revision)


def finish_hook(model: Model, unit: Unit, hook: Hook, now: float) -> None:
    """Note that a secret event was told."""
    secret = model.secrets.get(hook.secret)
    if not secret:
        return
    revision = secret.revisions.get(str(hook.revision))
    if hook.kind == "secret-changed":
        if consumer := secret.consumers.get(unit.name):
            consumer.notified = max(consumer.notified, hook.version)
    elif hook.kind == "secret-rotate":
        secret.rotate_at = now + ROTATION[secret.rotate] if ROTATION[secret.rotate] else 0.0
    elif hook.kind == "secret-expired":
        # What has expired stays until the charm removes it (recordings 30 and 34).
        unit.expired_told.append(f"{secret.id}/{hook.revision}")
    elif revision:
        revision.obsolete_told = True
