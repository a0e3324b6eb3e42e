# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's users: administrators and API keys, by MAAS's own commands.

A password stands in no command line: createadmin asks for it on a terminal, so it gets one.
"""

import os
import pty
import re
import select
import signal
import time
from pathlib import Path

import refusal
import region
from charmed_maas import commands, files, secrets, words

INTERNAL_USER = "charmed-maas"
INTERNAL_EMAIL = "charmed-maas@localhost.localdomain"
API_KEY = region.OURS / "api-key"
USERNAME = re.compile(r"[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]{0,149}")
EMAIL = re.compile(r"[^@\s-][^@\s]*@[^@\s]+\.[^@\s]+")
TIMEOUT_S = 120.0
PASSWORD_PROMPT = re.compile(r"(password|again)[^\n]*: ?$", re.IGNORECASE)
SSH_PROMPT = re.compile(r"ssh keys[^\n]*: ?$", re.IGNORECASE)
OTHER_PROMPT = re.compile(r"(username|email)[^\n]*: ?$", re.IGNORECASE)


class AccountError(Exception):
    """MAAS refuses; the message is its own, in one line, fit for the operator."""

    def __init__(self, message: str) -> None:
        super().__init__(words.one_line(message, refusal.MAX_LENGTH))


class ExistsError(AccountError):
    """MAAS has such a user already: it has made none."""


class NoAnswerError(AccountError):
    """MAAS's command does not run, or does not end: what there is is not known."""


def check(username: str, email: str) -> None:
    """Raise AccountError with a sentence when a name or address cannot be one."""
    if not USERNAME.fullmatch(username):
        raise AccountError(
            f"{username[:60]!r} is no username: letters, digits and _ . @ + - only, not - first"
        )
    if not EMAIL.fullmatch(email):
        raise AccountError(f"{email[:60]!r} is no email address")


def create_admin(username: str, email: str, password: str) -> None:
    """Create an administrator; raises AccountError with MAAS's words."""
    check(username, email)
    argv = [region.MAAS_REGION, "createadmin", "--username", username, "--email", email]
    code, output = _converse(argv, password)
    if code != 0:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"createadmin exited with {code}"
        kind = ExistsError if "already exists" in reason else AccountError
        raise kind(reason.partition(": ")[2] or reason)


def create_admin_with_file(username: str, email: str) -> Path:
    """Create an administrator with a random password; returns the 0600 file that holds it."""
    check(username, email)
    path = region.OURS / f"password-of-{username}"
    # Kept before the user is made, so that a kill in between loses no password; under another
    # name, so that a refused user costs nobody the present file.
    candidate = path.with_name(f"{path.name}.new")
    # A run that was killed, or did not end in time, may have made the user with it.
    kept = candidate.read_text().strip() if candidate.is_file() else ""
    password = kept or secrets.new_password()
    files.ensure_file(candidate, f"{password}\n", mode=0o600)
    try:
        create_admin(username, email, password)
    except AccountError as error:
        if isinstance(error, ExistsError) and not kept:
            files.ensure_absent(candidate)
            raise
        raise AccountError(f"{candidate} may have the password of {username}: {error}") from error
    return candidate.replace(path)


def api_keys(username: str) -> list[str]:
    """Return a user's API keys; MAAS makes one when there is none."""
    if not USERNAME.fullmatch(username):
        raise AccountError(f"{username[:60]!r} is no username")
    argv = [region.MAAS_REGION, "apikey", "--username", username]
    try:
        done = commands.run(argv, timeout_s=TIMEOUT_S, env=region.ENV, check=False)
    except commands.CommandError as error:
        raise NoAnswerError(str(error)) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["apikey failed"]
        raise AccountError(lines[-1].removeprefix("CommandError: "))
    return done.stdout.split()


def internal_api_key() -> str:
    """Return the API key of the charms' own administrator, who is made when missing."""
    if API_KEY.is_file():
        return API_KEY.read_text().strip()
    try:
        keys = api_keys(INTERNAL_USER)
    except NoAnswerError:
        raise
    except AccountError:
        keys = _make_internal_user()
    keep(keys[0])
    return keys[0]


def _make_internal_user() -> list[str]:
    """Make the charms' own administrator, unless another region does now; returns the keys."""
    try:
        create_admin(INTERNAL_USER, INTERNAL_EMAIL, secrets.new_password())
    except AccountError as error:
        try:
            return api_keys(INTERNAL_USER)
        except AccountError:
            raise error from None
    return api_keys(INTERNAL_USER)


def keep(api_key: str) -> None:
    """Keep the internal API key where this unit's timers find it, with no Juju too."""
    files.ensure_file(API_KEY, f"{api_key}\n", mode=0o600)


def forget() -> None:
    """Forget the internal API key, as when MAAS refuses it: it is fetched anew when needed."""
    files.ensure_absent(API_KEY)


def _converse(argv: list[str], password: str) -> tuple[int, str]:
    """Run a command on a terminal and answer its prompts; returns exit code and output."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, region.ENV)  # noqa: S606 - the argument list never passes a shell
    try:
        output = _answer_prompts(terminal, password)
    except BaseException:
        # Whatever ends this, the command must not live on with its terminal.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), output.replace(password, "…")


def _answer_prompts(terminal: int, password: str) -> str:
    output, answered = "", 0
    end = time.monotonic() + TIMEOUT_S
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            raise AccountError("createadmin did not end in time")
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # EIO: the other side of the terminal is closed.
            chunk = b""
        if not chunk:
            return output
        output += chunk.decode(errors="replace")
        if answer := _answer(output[answered:], password):
            answered = len(output)
            os.write(terminal, answer)


def _answer(prompt: str, password: str) -> bytes:
    """Return the answer to a prompt, b"" when nothing is asked yet."""
    if PASSWORD_PROMPT.search(prompt):
        return f"{password}\n".encode()
    if SSH_PROMPT.search(prompt):
        return b"\n"
    if OTHER_PROMPT.search(prompt):
        raise AccountError(f"createadmin asks {prompt.strip()[-60:]!r}")
    return b""
