# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command maas-rack."""

import argparse
import os
import pathlib
import subprocess
import sys
import typing

from maas_standin import data, host, local_config, named, secret

NO_URL = (
    "MAAS region controller URL must be given when supplying the shared secret via stdin with"
    " a non-interactive shell."
)


class CommandError(Exception):
    """A mistake of the caller; the text is MAAS's."""


def _parse_options(options: argparse.Namespace) -> dict[str, typing.Any]:
    """Return the keys that a config command sets."""
    changes: dict[str, typing.Any] = {}
    try:
        if options.region_url:
            changes["maas_url"] = [local_config.parse_url(url) for url in options.region_url]
        if options.tftp_port:
            if not options.tftp_port.isdecimal():
                raise local_config.InvalidValueError("Please enter a number")
            changes["tftp_port"] = local_config.parse_integer(options.tftp_port, 0, 65535)
        if options.tftp_root:
            if not pathlib.Path(options.tftp_root).is_dir():
                reason = f"'{options.tftp_root}' does not exist or is not a directory"
                raise local_config.InvalidValueError(reason)
            changes["tftp_root"] = options.tftp_root
        if options.debug:
            changes["debug"] = local_config.parse_boolean(options.debug)
    except local_config.InvalidValueError as error:
        raise CommandError(f"formencode.api.Invalid: {error}") from error
    return changes


def _config(options: argparse.Namespace) -> None:
    local_config.update_rack(_parse_options(options))


def _install_shared_secret(_: argparse.Namespace) -> None:
    _install(secret.read_input())


def _install(text: str) -> None:
    try:
        secret.install(text)
    except secret.SecretError as error:
        raise CommandError(str(error)) from error
    print(f"Secret installed to {host.SECRET}.")


def _systemctl(*arguments: str) -> None:
    subprocess.run(["/usr/bin/systemctl", *arguments], check=True, timeout=120)


def _register(options: argparse.Namespace) -> int:
    urls = options.url
    if not urls:
        if not sys.stdin.isatty():
            print(NO_URL)
            return 1
        urls = [input("MAAS region controller URL: ")]
        print(f"MAAS region controller URL saved as {urls[0]}")
    text = options.secret or secret.read_input()
    _systemctl("stop", "maas-rackd")
    host.MAAS_ID.unlink(missing_ok=True)
    try:
        local_config.update_rack({"maas_url": [local_config.parse_url(url) for url in urls]})
    except local_config.InvalidValueError as error:
        raise CommandError(f"formencode.api.Invalid: {error}") from error
    _install(text)
    _systemctl("enable", "maas-rackd")
    _systemctl("start", "maas-rackd")
    return 0


def _setup_dns(_: argparse.Namespace) -> None:
    named.set_up()


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--region-url",
        action="append",
        help="Change the URL where cluster controllers can reach the MAAS region controller. Use"
        " parameter multiple times to connect to multiple region controllers.",
    )
    parser.add_argument("--tftp-port", help="The root directory for TFTP resources.")
    parser.add_argument("--tftp-root", help="The root directory for TFTP resources.")
    parser.add_argument("--debug", help="Enable or disable debug mode.")


def _add_register(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = data.read("register_help.txt")
    parser.add_argument(
        "--url",
        action="append",
        help="URL of the region controller where to connect this rack controller.",
    )
    parser.add_argument(
        "--secret",
        help="The shared secret required to connect to the region controller. You can find it on"
        " /var/lib/maas/secret on the region. The secret must be hex/base16 encoded.",
    )


def _add_nothing(_: argparse.ArgumentParser) -> None:
    pass


ACTIONS: dict[str, tuple[typing.Any, typing.Any]] = {
    "config": (_config, _add_config),
    "install-shared-secret": (_install_shared_secret, _add_nothing),
    "register": (_register, _add_register),
    "setup-dns": (_setup_dns, _add_nothing),
}
# What MAAS's own has: those without an entry above are named and refused.
HELP: dict[str, str] = data.load("rack_actions.json")


def _parser() -> argparse.ArgumentParser:
    indent = " " * len("usage: maas-rack ")
    parser = argparse.ArgumentParser(
        prog="maas-rack",
        # Pythons from 3.13 on would break the lines elsewhere.
        usage=f"maas-rack [-h]\n{indent}{{{','.join(HELP)}}}\n{indent}...",
        description="Command-line interface for the MAAS provisioning component.",
    )
    actions = parser.add_subparsers(title="actions", prog=parser.prog)
    for name, text in HELP.items():
        action = actions.add_parser(name, help=text)
        if name in ACTIONS:
            run, add_arguments = ACTIONS[name]
            add_arguments(action)
            action.set_defaults(run=run)
    return parser


def _check_action(parser: argparse.ArgumentParser, name: str) -> None:
    """Refuse what is no action, and what is one of MAAS's only."""
    if name not in HELP:
        # Pythons from 3.13 on would not quote the choices.
        choices = ", ".join(map(repr, HELP))
        parser.error(
            f"argument {{{','.join(HELP)}}}: invalid choice: {name!r} (choose from {choices})"
        )
    if name not in ACTIONS:
        raise CommandError(f"The stand-in has no {name}.")


def main() -> int:
    """Run maas-rack."""
    if os.geteuid() != 0:
        print("This utility may only be run as root.", file=sys.stderr)
        return 1
    parser = _parser()
    try:
        if sys.argv[1:] and not sys.argv[1].startswith("-"):
            _check_action(parser, sys.argv[1])
        options = parser.parse_args()
        if not hasattr(options, "run"):
            parser.error("Choose a sub-command.")
        return options.run(options) or 0
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
