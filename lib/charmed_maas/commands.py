# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The one place where charms start processes."""

import logging
import subprocess
from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)


class CommandError(Exception):
    """A command failed; the message has its name, exit code and last words.

    Arguments after the executable's name are left out: they may carry what a log must not.
    """


def run(
    argv: Sequence[str],
    *,
    timeout_s: float = 60.0,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command given as a list with an absolute executable path.

    Raises CommandError when it cannot start, takes longer than timeout_s, or (with check)
    exits with anything but 0.
    """
    name = argv[0].rsplit("/", 1)[-1]
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env=dict(env) if env is not None else None,
            user=user,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{name} did not end within {timeout_s:g} s") from error
    except OSError as error:
        raise CommandError(f"{name} cannot be run: {error.strerror}") from error
    except ValueError as error:
        # No argument can hold a NUL or half a surrogate pair.
        raise CommandError(f"{name} cannot be run: {error}") from error
    if check and done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise CommandError(f"{name} exited with {done.returncode}: {words}")
    return done
