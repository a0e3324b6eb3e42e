# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import stat
from pathlib import Path
from unittest import mock

import pytest

import accounts
import region
from charmed_maas import commands

# Asks as maas-region createadmin does: passwords with getpass, on the terminal, without echo.
CREATEADMIN = """#!/usr/bin/env python3
import getpass, os, sys, time
if sys.argv[1] == "apikey":
    known = os.path.exists(STORE)
    print("a:b:c" if known else "CommandError: User does not exist.",
          file=sys.stdout if known else sys.stderr)
    sys.exit(0 if known else 1)
if "--email" not in sys.argv:
    input("Email: ")
one = getpass.getpass("Password: ")
two = getpass.getpass("Again: ")
input("Import SSH keys [] (lp:user-id or gh:user-id): ")
if one != two:
    sys.exit("CommandError: Passwords do not match.")
if os.path.exists(STORE):
    print("AlreadyExistingUser: A user with the email a@b.c already exists.", file=sys.stderr)
    sys.exit(1)
with open(STORE, "w") as out:
    out.write(one + "\\n" + " ".join(sys.argv[1:]))
if os.path.exists(STORE + ".hangs"):
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a command in maas-region's place that writes what it was told into a file."""
    path = tmp_path / "store"
    command = tmp_path / "maas-region"
    command.write_text(CREATEADMIN.replace("STORE", repr(str(path))))
    command.chmod(0o755)
    monkeypatch.setattr(region, "MAAS_REGION", str(command))
    monkeypatch.setattr(region, "OURS", tmp_path)
    monkeypatch.setattr(accounts, "API_KEY", tmp_path / "api-key")
    return path


def test_the_password_goes_over_a_terminal_and_into_no_command_line(store: Path):
    accounts.create_admin("admin", "a@b.c", "pässword-1")
    password, argv = store.read_text().splitlines()
    assert password == "pässword-1"
    assert argv == "createadmin --username admin --email a@b.c"


def test_maas_own_words_are_told_without_the_password(store: Path):
    accounts.create_admin("admin", "a@b.c", "hunter2")
    with pytest.raises(accounts.AccountError) as caught:
        accounts.create_admin("admin", "a@b.c", "hunter2")
    assert str(caught.value) == "A user with the email a@b.c already exists."


def test_a_made_password_is_left_in_a_private_file(store: Path):
    path = accounts.create_admin_with_file("admin", "a@b.c")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() == store.read_text().splitlines()[0]
    before = path.read_text()
    with pytest.raises(accounts.AccountError):
        accounts.create_admin_with_file("admin", "a@b.c")
    assert path.read_text() == before
    assert [one.name for one in path.parent.glob("password-of-*")] == [path.name]


def test_a_password_that_maas_may_have_taken_is_kept(store: Path, monkeypatch: pytest.MonkeyPatch):
    """MAAS has made the user, and its command does not end."""
    hangs = store.with_name("store.hangs")
    hangs.touch()
    monkeypatch.setattr(accounts, "TIMEOUT_S", 6.0)
    candidate = region.OURS / "password-of-admin.new"
    with pytest.raises(accounts.AccountError, match=f"^{candidate} .*: createadmin did not end"):
        accounts.create_admin_with_file("admin", "a@b.c")
    assert candidate.read_text().strip() == store.read_text().splitlines()[0]

    hangs.unlink()
    with pytest.raises(accounts.AccountError, match=f"^{candidate} .*: A user with .* already"):
        accounts.create_admin_with_file("admin", "a@b.c")
    assert candidate.read_text().strip() == store.read_text().splitlines()[0]


def test_a_password_of_a_run_that_was_killed_is_used(store: Path):
    candidate = region.OURS / "password-of-admin.new"
    candidate.write_text("made before\n")
    path = accounts.create_admin_with_file("admin", "a@b.c")
    assert path.read_text() == "made before\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.read_text().splitlines()[0] == "made before"
    assert not candidate.exists()


@pytest.mark.parametrize("username", ["", "-rf", "a b", "a/b", "x" * 151, "../../etc"])
def test_what_can_be_no_username_is_refused(store: Path, username: str):
    with pytest.raises(accounts.AccountError, match="is no username"):
        accounts.create_admin(username, "a@b.c", "x")
    assert not store.exists()


@pytest.mark.parametrize("email", ["", "a", "a@b", "a b@c.d", "-a@b.c", "a@b c.d"])
def test_what_can_be_no_address_is_refused(store: Path, email: str):
    with pytest.raises(accounts.AccountError, match="is no email address"):
        accounts.create_admin("admin", email, "x")
    assert not store.exists()


def test_the_internal_user_is_made_once(store: Path):
    assert accounts.internal_api_key() == "a:b:c"
    assert f"--username {accounts.INTERNAL_USER}" in store.read_text()
    assert stat.S_IMODE(accounts.API_KEY.stat().st_mode) == 0o600
    store.unlink()
    assert accounts.internal_api_key() == "a:b:c"
    assert not store.exists()
    accounts.forget()
    assert accounts.internal_api_key() == "a:b:c"
    assert store.exists()


def test_a_user_that_is_there_already_is_adopted_with_its_key(store: Path):
    store.write_text("another's password\nof a restored MAAS")
    assert accounts.internal_api_key() == "a:b:c"
    assert store.read_text() == "another's password\nof a restored MAAS"


def test_a_key_that_is_kept_is_private_and_used(store: Path):
    accounts.keep("d:e:f")
    assert stat.S_IMODE(accounts.API_KEY.stat().st_mode) == 0o600
    assert accounts.internal_api_key() == "d:e:f"
    assert not store.exists()


def test_an_administrator_that_another_region_makes_at_the_same_time_is_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    there: list[str] = []

    def keys(_: str) -> list[str]:
        if not there:
            raise accounts.AccountError("User does not exist.")
        return there

    def create(*_: str):
        there.append("a:b:c")
        raise accounts.AccountError("Key (username)=(charmed-maas) already exists.")

    monkeypatch.setattr(accounts, "API_KEY", tmp_path / "api-key")
    monkeypatch.setattr(accounts, "api_keys", keys)
    monkeypatch.setattr(accounts, "create_admin", create)
    assert accounts.internal_api_key() == "a:b:c"


def test_an_administrator_that_cannot_be_made_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def refused(*_: str):
        raise accounts.AccountError("no")

    monkeypatch.setattr(accounts, "API_KEY", tmp_path / "api-key")
    monkeypatch.setattr(accounts, "api_keys", refused)
    monkeypatch.setattr(accounts, "create_admin", refused)
    with pytest.raises(accounts.AccountError, match=r"^no$"):
        accounts.internal_api_key()


def test_a_maas_that_does_not_answer_is_told_and_asked_for_no_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    no_answer = commands.CommandError("maas-region did not end within 120 s")
    create = mock.Mock()
    monkeypatch.setattr(accounts, "API_KEY", tmp_path / "api-key")
    monkeypatch.setattr("charmed_maas.commands.run", mock.Mock(side_effect=no_answer))
    monkeypatch.setattr(accounts, "create_admin", create)
    for ask in (lambda: accounts.api_keys("admin"), accounts.internal_api_key):
        with pytest.raises(accounts.AccountError, match="did not end within 120 s"):
            ask()
    create.assert_not_called()


def test_an_unknown_users_keys_fail_with_maas_own_words():
    with pytest.raises(accounts.AccountError, match=r"^User does not exist\.$"):
        accounts.api_keys("nobody")
