# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The YAML files of one controller: regiond.conf and rackd.conf."""

import dataclasses
import os
import pathlib
import tempfile
import typing
import urllib.parse

import yaml

from maas_standin import data

REGIOND_CONF = "/etc/maas/regiond.conf"
RACKD_CONF = "/etc/maas/rackd.conf"
DEFAULT_URL = "http://localhost:5240/MAAS"


class InvalidValueError(ValueError):
    """A value that an option does not take; the text is MAAS's."""


def parse_integer(text: str, low: int, high: int | None = None) -> int:
    """Return an integer within bounds."""
    try:
        number = int(text)
    except ValueError as error:
        raise InvalidValueError("Please enter an integer value.") from error
    if number < low:
        raise InvalidValueError(f"Please enter a number that is {low} or greater.")
    if high is not None and number > high:
        raise InvalidValueError(f"Please enter a number that is {high} or smaller.")
    return number


def parse_boolean(text: str) -> bool:
    """Return the boolean that MAAS writes as true or false."""
    if text.lower() not in ("true", "false"):
        raise InvalidValueError("Value should be 'true' or 'false'.")
    return text.lower() == "true"


def parse_url(text: str) -> str:
    """Return an HTTP URL, with its scheme added where there is none."""
    url = text if "://" in text else f"http://{text}"
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in url:
        raise InvalidValueError("That is not a valid URL.")
    return url


@dataclasses.dataclass(frozen=True)
class Option:
    """One key of regiond.conf."""

    name: str
    kind: str
    default: typing.Any
    help: str

    @property
    def flag(self) -> str:
        """Return the key as commands write it."""
        return self.name.replace("_", "-")

    def parse(self, text: str) -> typing.Any:
        """Return the value that a text stands for."""
        return PARSERS[self.kind](text)


PARSERS: dict[str, typing.Callable[[str], typing.Any]] = {
    "text": str,
    "url": parse_url,
    "boolean": parse_boolean,
    "seconds": lambda text: parse_integer(text, 0),
    "count": lambda text: parse_integer(text, 1),
    "port": lambda text: parse_integer(text, 1, 65535),
}
OPTIONS = [Option(*row) for row in data.load("regiond_options.json")]


def _load(path: str) -> dict[str, typing.Any]:
    try:
        return yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}


def write_atomically(path: str, text: str, mode: int = 0o640) -> None:
    """Replace a file, keeping the mode and owner that it has."""
    target = pathlib.Path(path)
    old = target.stat() if target.exists() else None
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(temporary, old.st_mode & 0o7777 if old else mode)
        new = os.stat(temporary)  # Its group may be the directory's.
        if old and (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.chown(temporary, old.st_uid, old.st_gid)
        os.replace(temporary, target)
    except BaseException:
        # An interrupted write, too, leaves nothing behind.
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def _dump(path: str, values: dict[str, typing.Any]) -> None:
    text = yaml.safe_dump(values, default_flow_style=False) if values else ""
    write_atomically(path, text)


def region_path() -> str:
    """Return where regiond.conf lies."""
    return os.environ.get("MAAS_REGION_CONFIG", REGIOND_CONF)


def read_region() -> dict[str, typing.Any]:
    """Return every key of regiond.conf, defaults filled in."""
    stored = _load(region_path())
    return {option.name: stored.get(option.name, option.default) for option in OPTIONS}


def update_region(changes: dict[str, typing.Any], removed: tuple[str, ...] = ()) -> None:
    """Write keys to regiond.conf and take others out; create the file if there is none."""
    values = _load(region_path()) | changes
    _dump(region_path(), {name: values[name] for name in values if name not in removed})


def read_rack() -> dict[str, typing.Any]:
    """Return rackd.conf with maas_url as a list."""
    values = {"maas_url": [DEFAULT_URL], "debug": False} | _load(rack_path())
    if isinstance(values["maas_url"], str):
        values["maas_url"] = [values["maas_url"]]
    return values


def rack_path() -> str:
    """Return where rackd.conf lies."""
    return os.environ.get("MAAS_CLUSTER_CONFIG", RACKD_CONF)


def update_rack(changes: dict[str, typing.Any]) -> None:
    """Write keys to rackd.conf; create the file if there is none."""
    _dump(rack_path(), _load(rack_path()) | changes)
