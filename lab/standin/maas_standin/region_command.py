# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command maas-region."""

import argparse
import contextlib
import getpass
import json
import os
import sys
import typing

import psycopg2
import yaml

from maas_standin import (
    command_line,
    database,
    dbupgrade,
    dns,
    local_config,
    named,
    users,
)

Config = dict[str, typing.Any]


class CommandError(Exception):
    """A mistake of the caller; the text is MAAS's."""


class AlreadyExistingUser(Exception):  # noqa: N818  MAAS's own name, which it prints.
    """A user of that name or email exists."""


def _transaction(work: typing.Callable[[database.Cursor], typing.Any]) -> typing.Any:
    """Call work(cursor) in the database that regiond.conf names."""
    connection = database.connect(local_config.read_region(), "maas-region")
    with connection, connection.cursor() as cursor:
        return work(cursor)


def _dbupgrade(_: argparse.Namespace) -> None:
    dbupgrade.run(local_config.read_region())


def _ask(prompt: str, ask: typing.Callable[[str], str] = input) -> str:
    """Return a non-empty answer."""
    while True:
        try:
            if answer := ask(prompt):
                return answer
        except EOFError as error:
            raise CommandError("End of input.") from error


def _ask_password() -> str:
    password = _ask("Password: ", getpass.getpass)
    if password != _ask("Again: ", getpass.getpass):
        raise CommandError("Passwords do not match")
    return password


def _createadmin(options: argparse.Namespace) -> None:
    is_complete = options.username and options.password and options.email
    username = options.username or _ask("Username: ")
    password = options.password or _ask_password()
    email = options.email or _ask("Email: ")
    keys = options.ssh_import
    if keys is None and not is_complete:
        keys = input("Import SSH keys [] (lp:user-id or gh:user-id): ")
    if keys:
        raise CommandError("The stand-in imports no SSH keys.")

    def work(cursor: database.Cursor) -> None:
        if users.exists(cursor, username, email):
            raise AlreadyExistingUser(f"A user with the email {email} already exists.")
        users.create_admin(cursor, username, email, password)

    _transaction(work)


def _apikey(options: argparse.Namespace) -> None:
    if not options.username:
        raise CommandError("You must provide a username with --username.")
    if sum(map(bool, (options.generate, options.delete, options.update))) > 1:
        raise CommandError("Specify one of --generate or --delete or --update.")
    if options.update and not options.api_key_name:
        raise CommandError("You must provide a new name with --name.")

    def work(cursor: database.Cursor) -> list[tuple[str, str]]:
        user_id = users.find(cursor, options.username)
        if user_id is None:
            raise CommandError("User does not exist.")
        return _change_keys(cursor, user_id, options)

    for key, name in _transaction(work):
        print(f"{key} {name}" if options.with_names else key)


def _change_keys(
    cursor: database.Cursor, user_id: int, options: argparse.Namespace
) -> list[tuple[str, str]]:
    """Do what an apikey command asks for and return the keys to print."""
    name = options.api_key_name or users.CONSUMER_NAME
    if options.generate:
        return [(users.create_key(cursor, user_id, name), name)]
    found = True
    if options.delete:
        found = users.delete_key(cursor, user_id, options.delete)
    elif options.update:
        found = users.rename_key(cursor, user_id, options.update, name)
    else:
        return users.keys(cursor, user_id)
    if not found:
        raise CommandError("No matching api key found.")
    return []


def _local_config_set(options: argparse.Namespace) -> None:
    changes = {}
    for option in local_config.OPTIONS:
        text = getattr(options, option.name)
        if text is None:
            continue
        try:
            changes[option.name] = option.parse(text)
        except local_config.InvalidValueError as error:
            raise CommandError(f"{option.flag}: {error}") from error
    local_config.update_region(changes)


def _chosen(options: argparse.Namespace) -> tuple[str, ...]:
    names = (option.name for option in local_config.OPTIONS)
    return tuple(name for name in names if getattr(options, name))


def _local_config_get(options: argparse.Namespace) -> None:
    values = local_config.read_region()
    chosen = {name: values[name] for name in _chosen(options)}
    if options.format == "json":
        print(json.dumps(chosen))
    elif options.format == "plain":
        for value in chosen.values():
            print(value)
    else:
        print(yaml.safe_dump(chosen, default_flow_style=False), end="")


def _local_config_reset(options: argparse.Namespace) -> None:
    local_config.update_region({}, removed=_chosen(options))


def _edit_named_options(options: argparse.Namespace) -> None:
    try:
        found = named.parse(options.config_path)
    except named.NamedError as error:
        raise CommandError(str(error)) from error
    if found.is_managed and not options.force:
        return
    if options.dry_run:
        if found.forwarders:
            print(f"// Append to MAAS forwarders: {' '.join(found.forwarders)}")
        if found.dnssec_validation:
            print(f"// Set MAAS dnssec_validation to: {found.dnssec_validation}")
        # MAAS shows the forwarders although it would take them out.
        print(found.without("dnssec-validation").render(options.config_path), end="")
        return
    # At installation there is no database yet; BIND's file is changed all the same.
    with contextlib.suppress(psycopg2.Error):
        _transaction(lambda cursor: dns.migrate(cursor, found))
    if not found.is_managed:
        named.edit(options.config_path, found)


RUN: dict[str, typing.Callable[[argparse.Namespace], None]] = {
    "apikey": _apikey,
    "createadmin": _createadmin,
    "dbupgrade": _dbupgrade,
    "edit_named_options": _edit_named_options,
    "local_config_get": _local_config_get,
    "local_config_reset": _local_config_reset,
    "local_config_set": _local_config_set,
}


def _describe(error: psycopg2.Error) -> str:
    """Return a database's error as the last line of MAAS's traceback has it."""
    kinds = (kind for kind in type(error).__mro__ if psycopg2.DatabaseError in kind.__bases__)
    kind = next(kinds, type(error)).__name__
    library = "django.db.utils" if kind == "OperationalError" else "sqlalchemy.exc"
    return f"{library}.{kind}: {error}"


def _run(name: str, arguments: list[str]) -> int:
    options = command_line.parser(name).parse_args(arguments)
    try:
        RUN[name](options)
    except (CommandError, AlreadyExistingUser) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except psycopg2.Error as error:
        print(_describe(error), file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Run maas-region."""
    if os.geteuid() != 0:
        print("This utility may only be run as root.", file=sys.stderr)
        return 1
    name, arguments = (sys.argv[1:] or ["help"])[0], sys.argv[2:]
    if name in ("help", "--help", "-h"):
        if not arguments:
            print(command_line.overview(), end="")
            return 0
        name, arguments = arguments[0], ["--help"]
    if name in RUN:
        return _run(name, arguments)
    if command_line.is_absent(name):
        print(f"The stand-in has no {name}.", file=sys.stderr)
    else:
        print(f"Unknown command: '{name}'", file=sys.stderr)
        print("Type 'maas-region help' for usage.", file=sys.stderr)
    return 1
