# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The options of maas-region's subcommands, as MAAS describes them."""

import argparse
import typing

from maas_standin import VERSION, data, local_config

DESCRIPTIONS = data.load("region_commands.json")
LOCAL = "local_config"


class _Formatter(argparse.HelpFormatter):
    """Writes `-v {0,1}, --verbosity {0,1}`, which newer Pythons shorten."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        arguments = self._format_args(action, self._get_default_metavar_for_optional(action))
        return ", ".join(f"{option} {arguments}" for option in action.option_strings)


class _Refuse(argparse.Action):
    """Refuses Django's own options: the stand-in has no Django to hand them to."""

    def __call__(self, parser: argparse.ArgumentParser, *_: typing.Any) -> None:
        parser.error(f"the stand-in has no {'/'.join(self.option_strings)}")


def parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of a subcommand."""
    description = DESCRIPTIONS["commands"][name]
    found = argparse.ArgumentParser(
        prog=f"maas-region {name}",
        description=description["help"],
        formatter_class=_Formatter,
    )
    found.register("action", "refuse", _Refuse)
    is_local = name.startswith(LOCAL)
    for option in sorted(local_config.OPTIONS if is_local else [], key=lambda option: option.flag):
        action = "store" if name == f"{LOCAL}_set" else "store_true"
        found.add_argument(f"--{option.flag}", action=action, help=option.help)
    checks = [] if is_local else DESCRIPTIONS["checks"]
    for *flags, keywords in [*description["arguments"], *DESCRIPTIONS["common"], *checks]:
        if keywords.get("action") == "version":
            keywords = {**keywords, "version": VERSION}
        found.add_argument(*flags, **typing.cast("dict[str, typing.Any]", keywords))
    return found


def is_absent(name: str) -> bool:
    """Tell a subcommand that MAAS has and the stand-in only names."""
    return any(name in names for names in DESCRIPTIONS["absent"].values())


def overview() -> str:
    """Return what maas-region says about itself."""
    hint = "Type 'maas-region help <subcommand>' for help on a specific subcommand."
    text = f"\n{hint}\n\nAvailable subcommands:\n"
    for section, absent in DESCRIPTIONS["absent"].items():
        own = DESCRIPTIONS["commands"] if section == "maasserver" else []
        names = "".join(f"    {name}\n" for name in sorted([*absent, *own]))
        text += f"\n[{section}]\n{names}"
    return text
