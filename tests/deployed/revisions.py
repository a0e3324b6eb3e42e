# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Other revisions of a packed charm, made from its file."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

DISPATCH = "dispatch"
# Every charm writes its databags through the one function of this module.
DATABAG = "/charmed_maas/databag.py"
ADDED = "told-by-a-newer-revision"
NEWER_DATABAG = """

_write = write


def write(databag, values):
    return _write(databag, {**values, ADDED: "[1]", LACKING: ""})
"""
# What maas-region writes for MAAS, from this module: MAAS restarts where it differs.
REGIOND_CONF = "/src/region.py"
ONE_WORKER_LESS = """

import dataclasses

_render_config = render_config


def render_config(settings, present):
    less = dataclasses.replace(settings, num_workers=settings.num_workers - 1)
    return _render_config(less, present)
"""
UPGRADE = "hooks/upgrade-charm"

Edit = Callable[[str], str]


def newer(charm: Path, target: Path, *, lacking: str) -> Path:
    """Make a revision that writes a field which this one does not know, and never one it does."""
    added = NEWER_DATABAG.replace("LACKING", repr(lacking)).replace("ADDED", repr(ADDED))
    return _edited(charm, target, {DATABAG: lambda text: text + added})


def restarting(charm: Path, target: Path) -> Path:
    """Make a revision of maas-region that gives MAAS one worker less, so that it restarts."""
    return _edited(charm, target, {REGIOND_CONF: lambda text: text + ONE_WORKER_LESS})


def failing(charm: Path, target: Path, unit: str) -> Path:
    """Make a revision whose first hook fails on one unit; all else it does as this one."""
    line = f'[ "$JUJU_DISPATCH_PATH $JUJU_UNIT_NAME" != "{UPGRADE} {unit}" ] || exit 1\n'
    return _edited(charm, target, {DISPATCH: lambda text: text.replace("\n", f"\n{line}", 1)})


def _edited(charm: Path, target: Path, edits: Mapping[str, Edit]) -> Path:
    """Copy a packed charm with some files, told by the ends of their names, edited."""
    left = dict(edits)
    with zipfile.ZipFile(charm) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            content = old.read(info)
            if end := next((end for end in left if f"/{info.filename}".endswith(end)), None):
                content = left.pop(end)(content.decode()).encode()
            new.writestr(info, content)
    assert not left, f"{charm} has no {', '.join(left)}"
    return target
