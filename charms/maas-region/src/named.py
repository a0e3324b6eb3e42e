# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""bind, which MAAS's DNS is: its options include MAAS's."""

from pathlib import Path

import region
from charmed_maas import commands, files, journal

SERVICE = "named.service"
OPTIONS = Path("/etc/bind/named.conf.options")
OPTIONS_SEEN = region.OURS / "named-options-seen"


def ensure_options() -> bool:
    """Let MAAS put its include into bind's options, and what conflicts into its database."""
    before, seen = _read(OPTIONS), _read(OPTIONS_SEEN)
    if before is None or seen == region.digest(before):
        return False
    # Empty where a hook was killed after the edit and before the restart.
    was_cut_short = seen == ""
    files.ensure_file(OPTIONS_SEEN, "")
    argv = [region.MAAS_REGION, "edit_named_options", "--migrate-conflicting-options"]
    _run([*argv, "--config-path", str(OPTIONS)], env=region.ENV)
    after = _read(OPTIONS) or ""
    if after != before or was_cut_short:
        _run([region.SYSTEMCTL, "restart", SERVICE])
    files.ensure_file(OPTIONS_SEEN, region.digest(after))
    return True


def first_cause() -> str:
    """Return why bind does not run, in its own words; "" where its journal does not tell."""
    return journal.first_cause([SERVICE])


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _run(argv: list[str], env: dict[str, str] | None = None) -> None:
    try:
        commands.run(argv, timeout_s=120, env=env)
    except commands.CommandError as error:
        raise region.RegionError(str(error)) from error
