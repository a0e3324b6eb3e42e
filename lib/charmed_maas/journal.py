# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Why a service does not do its work: the first cause that its journal has.

An operator would look through regiond.log, maas.log and syslog; since MAAS 3.5 all of it is in
the journal, as `module: [error] text` or as Python's tracebacks.
"""

import json
import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

from charmed_maas import commands, systemd, words

logger = logging.getLogger(__name__)

JOURNALCTL = "/usr/bin/journalctl"
# systemd stops a service that dies over and over: older lines are about another trouble.
RECENT_S = 600
LINES = 5000
MAX_LENGTH = 160
ERROR = 3  # syslog(3)
# The levels of zap, etcd's logger, that mark an error: it writes each line as a JSON object.
ZAP_ERRORS = ("error", "dpanic", "panic", "fatal")
LOGIN = re.compile(r"://\S*@")
SECRET = re.compile(
    r"""(?i)(\s-p|\bpass\w*|--?pass\w*|\btoken|\bsecret|\bkey)([\s=:'",]+)(?!for\b|auth)\S+"""
)
# What only a human can mend, in the words of libc, PostgreSQL and systemd. Whatever else is
# logged beside it follows from it.
GRAVE = re.compile(
    r"No space left on device|Read-only file system|Too many open files|Input/output error"
    r"|Address already in use|Permission denied|Cannot allocate memory|killed by the OOM killer"
    r"|MemoryError|password authentication failed|no pg_hba.conf entry|too many clients"
    r"|remaining connection slots|(?:role|database) \".*\" does not exist|No module named"
    r"|certificate (?:verify failed|has expired)",
    re.IGNORECASE,  # Go says it in small letters.
)
# The last line of a traceback, and how Twisted, Python, Go and nginx mark an error.
EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Failure|Timeout)\b: ?\S")
MARKED = re.compile(
    r"\[(?:error|crit(?:ical)?|alert|emerg)\]|\b(?:ERROR|CRITICAL|FATAL)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Line:
    """One line of a journal, and syslog's priority of it, 0 to 7."""

    identifier: str
    message: str
    priority: int = 6


def first_cause(
    services: Iterable[str], *, recent: bool = False, but: re.Pattern[str] | None = None
) -> str:
    """Return why services fail, as "who: what", "" where their journals do not tell.

    Looked through are the lines of the last minutes, or since the start of those that run; recent
    takes those that both hold for, where all run: what was mended since does not count. Lines that
    match but are left out.
    """
    names = list(services)
    units = [word for name in names for word in ("--unit", name)]
    argv = [JOURNALCTL, "--quiet", "--no-pager", "--output=json", f"--lines={LINES}"]
    try:
        ages = list(map(systemd.age_s, names))
        start_s = max(ages, default=0.0)
        window_s = (min if recent and all(ages) else max)(RECENT_S, start_s)
        argv.append(f"--since=@{int(time.time() - window_s)}")
        text = commands.run([*argv, *units]).stdout
    except (commands.CommandError, systemd.SystemdError) as error:
        # The trouble that is looked for is told in any case.
        logger.info("%s", error)
        return ""
    return cause_of(line for line in parse(text) if not (but and but.search(line.message)))


def is_grave(cause: str) -> bool:
    """Tell whether only a human can mend what first_cause returned."""
    return bool(GRAVE.search(cause))


def parse(text: str) -> list[Line]:
    """Return the lines of what `journalctl --output=json` prints."""
    return [line for row in text.splitlines() if (line := _line(row))]


def cause_of(lines: Iterable[Line]) -> str:
    """Return the gravest of the lines, the first of its kind, "" when none tells of trouble."""
    told = list(lines)
    for kind in (_is_grave, _is_exception, _is_error):
        if found := next((line for line in told if kind(line)), None):
            return f"{found.identifier}: {_shorten(found.message)}"
    return ""


def _is_grave(line: Line) -> bool:
    return bool(GRAVE.search(line.message)) and (_is_exception(line) or _is_error(line))


def _is_exception(line: Line) -> bool:
    return bool(EXCEPTION.match(line.message.strip()))


def _is_error(line: Line) -> bool:
    return line.priority <= ERROR or bool(MARKED.search(line.message))


def _line(row: str) -> Line | None:
    try:
        found = json.loads(row)
        # What is not text comes as a list of bytes.
        message = found["MESSAGE"]
        text = bytes(message).decode(errors="replace") if isinstance(message, list) else message
        identifier = str(found.get("SYSLOG_IDENTIFIER") or found.get("_COMM") or "")
        priority = int(found.get("PRIORITY", 6))
    except (ValueError, KeyError, TypeError):
        return None
    return _zap(identifier, str(text)) or Line(identifier, str(text), priority)


def _zap(identifier: str, text: str) -> Line | None:
    """Return what a line of zap's says, None for one that is not."""
    if not text.startswith('{"level":'):
        return None
    try:
        found = json.loads(text)
        said = [str(found[key]) for key in ("msg", "error") if found.get(key)]
        priority = ERROR if found["level"] in ZAP_ERRORS else ERROR + 1
    except (ValueError, RecursionError):
        return None
    return Line(identifier, ": ".join(said), priority)


def _shorten(text: str) -> str:
    line = words.one_line(text)
    return words.one_line(SECRET.sub(r"\1\2…", LOGIN.sub("://", line)), MAX_LENGTH)
