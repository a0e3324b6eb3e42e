# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Juju's agents on this machine: which other units are there, too."""

from pathlib import Path

AGENTS = Path("/var/lib/juju/agents")


def is_here(unit: str) -> bool:
    """Tell whether a unit has its agent on this machine."""
    return (AGENTS / f"unit-{unit.replace('/', '-')}").is_dir()
