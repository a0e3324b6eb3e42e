# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command /usr/lib/maas/maas-common, which installation calls."""

import argparse

from maas_standin import named


def main() -> int:
    """Run maas-common."""
    parser = argparse.ArgumentParser(prog="maas-common")
    actions = parser.add_subparsers(title="actions", required=True)
    actions.add_parser("setup-dns", help="Setup MAAS DNS configuration.")
    parser.parse_args()
    named.set_up()
    return 0
