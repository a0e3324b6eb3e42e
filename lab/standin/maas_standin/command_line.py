# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Help texts and options that MAAS's commands share."""

import argparse
import typing


class Formatter(argparse.HelpFormatter):
    """Writes `-v {0,1}, --verbosity {0,1}`, which newer Pythons shorten."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        arguments = self._format_args(action, self._get_default_metavar_for_optional(action))
        return ", ".join(f"{option} {arguments}" for option in action.option_strings)


def region_parser(name: str, text: str) -> argparse.ArgumentParser:
    """Return a parser for a subcommand of maas-region."""
    return argparse.ArgumentParser(
        prog=f"maas-region {name}", description=text, formatter_class=Formatter
    )


class _Settings(argparse.Action):
    """Refuses Django's own options: the stand-in has no Django to hand them to."""

    def __call__(self, parser: argparse.ArgumentParser, *_: typing.Any) -> None:
        parser.error(f"the stand-in has no {'/'.join(self.option_strings)}")


def add_common_arguments(
    parser: argparse.ArgumentParser, version: str, *, has_checks: bool
) -> None:
    """Add the options that every subcommand of maas-region lists last."""
    parser.add_argument(
        "--version",
        action="version",
        version=version,
        help="Show program's version number and exit.",
    )
    parser.add_argument(
        "-v",
        "--verbosity",
        type=int,
        choices=[0, 1, 2, 3],
        action=_Settings,
        help="Verbosity level; 0=minimal output, 1=normal output, 2=verbose output,"
        " 3=very verbose output",
    )
    parser.add_argument(
        "--settings",
        action=_Settings,
        help='The Python path to a settings module, e.g. "myproject.settings.main". If this'
        " isn't provided, the DJANGO_SETTINGS_MODULE environment variable will be used.",
    )
    parser.add_argument(
        "--pythonpath",
        action=_Settings,
        help='A directory to add to the Python path, e.g. "/home/djangoprojects/myproject".',
    )
    flags = [
        ("--traceback", "Raise on CommandError exceptions."),
        ("--no-color", "Don't colorize the command output."),
        ("--force-color", "Force colorization of the command output."),
    ]
    if has_checks:
        flags.append(("--skip-checks", "Skip system checks."))
    for flag, text in flags:
        parser.add_argument(flag, action=_Settings, nargs=0, help=text)


def region_help(commands: list[str]) -> str:
    """Return what maas-region says about itself."""
    lines = ["", "Type 'maas-region help <subcommand>' for help on a specific subcommand.", ""]
    return "\n".join(
        [
            *lines,
            "Available subcommands:",
            "",
            "[maasserver]",
            *(f"    {name}" for name in sorted(commands)),
        ]
    )
