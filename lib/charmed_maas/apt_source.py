# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The apt source that MAAS comes from, and the installing of packages that are missing.

A source is a PPA (`ppa:maas/3.7`), a one-line apt source (`deb …`), or a deb822 stanza, which
may carry its key in `Signed-By`.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from charmed_maas import commands, files

SOURCE_PARTS = Path("/etc/apt/sources.list.d")
# One file a charm, for two that share a machine may have different sources.
PREFIX = "charmed-"
SUFFIXES = (".list", ".sources")
HEADER = "# Managed by the charm; changes are overwritten.\n"
APT_GET = "/usr/bin/apt-get"
APT_CACHE = "/usr/bin/apt-cache"
ADD_APT_REPOSITORY = "/usr/bin/add-apt-repository"
PPA = re.compile(r"ppa:[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")
ONE_LINE = re.compile(r"deb(\s+\[[^\]]+\])?\s+[a-z0-9+]+:\S+\s+\S.*")
STANZA_FIELDS = {"types", "uris", "suites"}
BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
COMMENT = re.compile(r"^#.*\n?", re.MULTILINE)
# What apt-cache prints for a version that there is not.
NO_VERSION = "(none)"
LOCK_TIMEOUT_S = 300
LOCK = ("-o", f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}")
# apt waits for dpkg's lock alone: the one of the lists, which apt-daily takes too, and an apt-get
# that a killed hook left, it refuses to wait for.
LOCKED = "Could not get lock"
LOCK_RETRY_S = 2.0
# The source that apt refused last, why and when, so that not each hook of a machine holds its lock
# until a mirror that cannot be reached has timed out; a reboot forgets it.
REFUSED = Path("/run")
RETRY_S = 900.0
UPDATE_TIMEOUT_S = 300.0
INSTALL_TIMEOUT_S = 1800.0


# Up to the last @ of the authority: an unquoted one may stand in a password.
LOGIN = re.compile(r"//[^/\s]*@")

logger = logging.getLogger(__name__)


class SourceError(Exception):
    """An apt source cannot be used, or a package not installed; fit for a status message.

    A mirror's login in a URI is left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_redacted(message))


def ensure(source: str, charm: str) -> bool:
    """Make apt use this source for a charm instead of the one before; returns whether it changed.

    The source before stays in force when apt refuses the new one, which it is asked again after
    a quarter of an hour only; without one before, it is each time. Raises SourceError.
    """
    suffix, text = render(source)
    path = SOURCE_PARTS / f"{PREFIX}{charm}{suffix}"
    other = [part for part in _parts(charm) if part != path]
    note, digest = REFUSED / f"{PREFIX}{charm}-refused.json", _digest(text)
    if path.is_file() and path.read_text() == text and not other:
        files.ensure_absent(note)
        return _write(path, text)
    before = {part: part.read_text() for part in (path, *other) if part.is_file()}
    if before and (words := _refused(note, digest)):
        raise SourceError(words)
    try:
        _replace(path, text, other)
    except (commands.CommandError, OSError) as error:
        _restore(path, before)
        refusal = SourceError(f"source {_redacted(source.strip())[:80]!r}: {error}")
        refused = {"source": digest, "words": str(refusal), "at": time.time()}
        files.ensure_file(note, json.dumps(refused), mode=0o600)
        raise refusal from error
    return True


def remove(charm: str) -> bool:
    """Take away a charm's source with the login in it; a PPA stays, as the packages do."""
    files.ensure_absent(REFUSED / f"{PREFIX}{charm}-refused.json")
    return any([files.ensure_absent(path) for path in _parts(charm)])


def render(source: str) -> tuple[str, str]:
    """Return the file's suffix and text for a source; raises SourceError when it is none."""
    source = source.strip().replace("\r\n", "\n")
    lines = source.split("\n")
    is_text = all(line.replace("\t", " ").isprintable() for line in lines)
    if PPA.fullmatch(source):
        return ".list", f"{HEADER}# {source}\n"
    if is_text and len(lines) == 1 and ONE_LINE.fullmatch(source):
        return ".list", f"{HEADER}{source}\n"
    stanzas = BLANK_LINES.split(COMMENT.sub("", source).strip())
    if is_text and all(_fields(one) >= STANZA_FIELDS for one in stanzas):
        return ".sources", f"{HEADER}{source}\n"
    raise SourceError(
        f"source {_redacted(source)[:80]!r} is neither ppa:owner/name,"
        " nor an apt line (deb URI suite …), nor a deb822 stanza"
    )


def install(packages: Sequence[str], *, may_remove: bool = True) -> bool:
    """Install those packages that are missing, without recommends; never upgrade one.

    Returns whether any was missing. Raises SourceError, without may_remove also where an installed
    package would have to go for them.
    """
    installed = _installed(packages)
    if not (missing := [package for package in packages if package not in installed]):
        return False
    argv = [APT_GET, "install", "--yes", "--no-install-recommends", "--no-upgrade", *LOCK]
    argv += ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
    argv += [] if may_remove else ["--no-remove"]
    try:
        try:
            _apt([*argv, *missing], INSTALL_TIMEOUT_S)
        except commands.CommandError:
            # The lists may be old or missing, or a killed hook left dpkg half way.
            with contextlib.suppress(commands.CommandError):
                # It refuses a half unpacked package, which apt-get unpacks again below.
                _apt(["/usr/bin/dpkg", "--configure", "-a"], INSTALL_TIMEOUT_S)
            _apt([APT_GET, "update", *LOCK], UPDATE_TIMEOUT_S)
            _apt([*argv, *missing], INSTALL_TIMEOUT_S)
    except commands.CommandError as error:
        names = ", ".join(missing)
        raise SourceError(f"{names} cannot be installed: {error}") from error
    return True


def version(package: str) -> str:
    """Return an installed package's version, "" when it is not installed."""
    return _installed([package]).get(package, "")


def offered(package: str) -> str:
    """Return the version that apt would put in an installed package's place, "" for none.

    apt's preferences count: one that they hold back is not offered.
    """
    try:
        done = commands.run([APT_CACHE, "policy", package], env={"LC_ALL": "C.UTF-8"}, check=False)
    except commands.CommandError as error:
        logger.info("what apt offers is not known: %s", error)
        return ""
    found = dict(re.findall(r"^  (Installed|Candidate): (\S+)$", done.stdout, re.MULTILINE))
    installed, candidate = found.get("Installed", NO_VERSION), found.get("Candidate", NO_VERSION)
    return "" if NO_VERSION in (installed, candidate) or installed == candidate else candidate


def _installed(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed and configured."""
    columns = "--showformat=${Package} ${db:Status-Status} ${Version}\n"
    done = commands.run(["/usr/bin/dpkg-query", "--show", columns, *packages], check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[0]: row[2] for row in rows if len(row) == 3 and row[1] == "installed"}


def _refused(note: Path, digest: str) -> str:
    """Return why apt refused this source a moment ago, "" where it is to be asked."""
    try:
        found = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return ""
    is_recent = 0 <= time.time() - found["at"] < RETRY_S
    return found["words"] if is_recent and found["source"] == digest else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _parts(charm: str) -> list[Path]:
    """Return the source files that are a charm's to replace."""
    parts = (SOURCE_PARTS / f"{PREFIX}{charm}{suffix}" for suffix in SUFFIXES)
    return [part for part in parts if part.is_file()]


def _fields(stanza: str) -> set[str]:
    """Return the names of a deb822 stanza's fields; apt does not mind their case."""
    return {line.partition(":")[0].lower() for line in stanza.split("\n") if ":" in line}


def _replace(path: Path, text: str, other: Sequence[Path]) -> None:
    old_ppa = next((ppa for part in (path, *other) if (ppa := _ppa(part))), "")
    if ppa := _ppa_in(text):
        # Recorded last, so that a hook killed half way adds it again.
        install(["software-properties-common"])
        _apt([ADD_APT_REPOSITORY, "--yes", "--no-update", ppa], UPDATE_TIMEOUT_S)
        _apt([APT_GET, "update", *LOCK, "-o", "APT::Update::Error-Mode=any"], UPDATE_TIMEOUT_S)
    for part in other:
        files.ensure_absent(part)
    _write(path, text)
    if not ppa:
        _update_only(path)
    if old_ppa and old_ppa not in (ppa, *_ppas()):
        _apt([ADD_APT_REPOSITORY, "--yes", "--no-update", "--remove", old_ppa], UPDATE_TIMEOUT_S)


def _update_only(path: Path) -> None:
    """Fetch the lists of this source alone: other sources' troubles are not ours to report."""
    only = ["-o", f"Dir::Etc::sourcelist={path}", "-o", "Dir::Etc::sourceparts=-"]
    kept = ["-o", "APT::Get::List-Cleanup=0", "-o", "APT::Update::Error-Mode=any"]
    _apt([APT_GET, "update", *LOCK, *only, *kept], UPDATE_TIMEOUT_S)


def _ppas() -> set[str]:
    """Return the PPAs that charms on this machine use."""
    return {_ppa(path) for path in SOURCE_PARTS.glob(f"{PREFIX}*.list")}


def _ppa(path: Path) -> str:
    return _ppa_in(path.read_text()) if path.is_file() else ""


def _ppa_in(text: str) -> str:
    found = re.search(r"^# (ppa:\S+)$", text, re.MULTILINE)
    return found.group(1) if found else ""


def _restore(path: Path, before: dict[Path, str]) -> None:
    files.ensure_absent(path)
    for part, text in before.items():
        _write(part, text)


def _write(path: Path, text: str) -> bool:
    """Write a source, for root alone when it holds a login: apt reads its sources as root."""
    return files.ensure_file(path, text, mode=0o600 if LOGIN.search(text) else 0o644)


def _redacted(text: str) -> str:
    return LOGIN.sub("//…@", text)


def _apt(argv: Sequence[str], timeout_s: float) -> None:
    """Run a package command with a clean environment and the model's proxies."""
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND": "noninteractive",
        "LC_ALL": "C.UTF-8",
        "HOME": "/root",
    }
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        if value := os.environ.get(f"JUJU_CHARM_{name.upper()}"):
            env[name] = value
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    done = commands.run(argv, timeout_s=timeout_s, env=env, check=False)
    while done.returncode and LOCKED in done.stderr and time.monotonic() < deadline:
        time.sleep(LOCK_RETRY_S)
        done = commands.run(argv, timeout_s=timeout_s, env=env, check=False)
    if done.returncode:
        # apt's own first error says what happened; the ones after it are consequences.
        found = re.search(r"^E: (.+)$", done.stderr, re.MULTILINE)
        words = found.group(1) if found else done.stderr.strip() or f"exit {done.returncode}"
        raise commands.CommandError(_redacted(words.strip().rstrip("."))[:200])
