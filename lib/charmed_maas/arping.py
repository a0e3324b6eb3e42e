# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The program that asks a network by ARP who has an address."""

from pathlib import Path

from charmed_maas import apt_source

ARPING, PACKAGE = "/usr/bin/arping", "iputils-arping"


def is_installed() -> bool:
    """Tell whether it is there."""
    return Path(ARPING).exists()


def install() -> bool:
    """Install it when it is missing; returns whether it was. Raises apt_source.SourceError.

    Another author's `arping`, which an operator may have, is left: the two packages conflict.
    """
    return not is_installed() and apt_source.install([PACKAGE], may_remove=False)
