# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""BIND's options: which of them are MAAS's, and how they get from BIND's file into MAAS."""

import dataclasses
import datetime
import pathlib
import re
import shutil

from maas_standin import local_config

DIRECTORY = pathlib.Path("/etc/bind/maas")
INSIDE = DIRECTORY / "named.conf.options.inside.maas"
ZONES = DIRECTORY / "named.conf.maas"
OPTIONS = "/etc/bind/named.conf.options"

_HEADER = """\
//
// This file is managed by MAAS. Although MAAS attempts to preserve changes
// made here, it is possible to create conflicts that MAAS can not resolve.
//
// DNS settings available in MAAS (for example, forwarders and
// dnssec-validation) should be managed only in MAAS.
//
// The previous configuration file was backed up at:
//     {backup}
//
"""
_COMMENTS = re.compile(r'("[^"]*")|//[^\n]*|#[^\n]*|/\*.*?\*/', re.DOTALL)


class NamedError(Exception):
    """BIND's file cannot be changed."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The statements of an options block, and what else the file holds."""

    statements: tuple[str, ...]
    outside: str

    @property
    def forwarders(self) -> list[str]:
        """Return the addresses that questions are passed on to."""
        text = self._value("forwarders")
        return re.findall(r"[0-9a-fA-F:.]{2,}", text)

    @property
    def dnssec_validation(self) -> str:
        """Return auto, yes or no, or nothing if it is not set."""
        return self._value("dnssec-validation").strip()

    def _value(self, name: str) -> str:
        for statement in self.statements:
            if statement.split()[0] == name:
                return statement.removeprefix(name)
        return ""

    @property
    def is_managed(self) -> bool:
        """Tell whether the file includes MAAS's options already."""
        return any(str(INSIDE) in statement for statement in self.statements)

    def without(self, *names: str) -> "Options":
        """Return the options with some statements taken out."""
        kept = tuple(text for text in self.statements if text.split()[0] not in names)
        return Options(kept, self.outside)

    def render(self, backup: str) -> str:
        """Return the file with MAAS's include at the end of the block."""
        lines = [*self.statements, f'include "{INSIDE}"']
        block = ";\n".join(" ".join(line.split()) for line in lines)
        return f"{_HEADER.format(backup=backup)}options {{ {block}; }};\n{self.outside}"


def _split(block: str) -> tuple[str, ...]:
    """Return the statements of a block."""
    statements, depth, start = [], 0, 0
    for position, character in enumerate(block):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == ";" and depth == 0:
            statements.append(block[start:position].strip())
            start = position + 1
    return tuple(text for text in statements if text)


def parse(path: str) -> Options:
    """Read BIND's options."""
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NamedError(f"{path} does not exist") from error
    text = _COMMENTS.sub(lambda match: match[1] or "", text)
    if (begin := re.search(r"\boptions\s*{", text)) is None:
        raise NamedError(f"Can't find options {{}} block in {path}, bailing out.")
    depth, end = 1, begin.end()
    while depth and end < len(text):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    if depth:
        raise NamedError(f"Failed to parse {path}: the options block has no end.")
    outside = (text[: begin.start()] + text[end:].lstrip().removeprefix(";")).strip()
    return Options(_split(text[begin.end() : end - 1]), f"{outside}\n" if outside else "")


def edit(path: str, options: Options) -> None:
    """Put MAAS's include into BIND's file, keeping a copy of what was there."""
    now = datetime.datetime.now(datetime.UTC).isoformat()
    backup = f"{path}.{now}"
    shutil.copy2(path, backup)
    ours = options.without("forwarders", "dnssec-validation")
    local_config.write_atomically(path, ours.render(backup), 0o644)


def set_up() -> None:
    """Make the files that BIND includes, where they are not there yet."""
    DIRECTORY.mkdir(mode=0o755, exist_ok=True)
    for path in (INSIDE, ZONES):
        path.touch(mode=0o644)
        shutil.chown(path, "maas", "maas")
    shutil.chown(DIRECTORY, "maas", "maas")
