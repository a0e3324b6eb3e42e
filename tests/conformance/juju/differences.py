# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The differences that are known and stay: each has a reason, and each must still be there."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

KNOWN = Path(__file__).parent / "differences.json"


def check(of: str, found: Iterable[str], scenarios: Iterable[str]) -> list[str]:
    """Return differences that nobody listed, and listed ones that no longer occur."""
    played = tuple(scenarios)
    listed = [one for one in json.loads(KNOWN.read_text())[of] if one["scenario"] in played]
    wrong, occurred = list[str](), set[str]()
    for difference in found:
        matching = [
            one["difference"]
            for one in listed
            if difference.startswith(one["scenario"]) and re.search(one["difference"], difference)
        ]
        occurred.update(matching)
        if not matching:
            wrong.append(difference)
    # Some depend on which unit came first.
    gone = [one for one in listed if not one.get("sometimes")]
    gone = [one for one in gone if one["difference"] not in occurred]
    return wrong + [f"{one['scenario']}: no longer: {one['difference']}" for one in gone]
