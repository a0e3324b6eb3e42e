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
    played = [*scenarios]
    listed = [
        f"{one['scenario']} {pattern}"
        for one in json.loads(KNOWN.read_text())[of]
        if one["scenario"] in played
        for pattern in (*map(re.escape, one.get("exactly", [])), *one.get("patterns", []))
    ]
    wrong, occurred = list[str](), set[str]()
    for difference in found:
        matching = [one for one in listed if re.fullmatch(one, difference, re.DOTALL)]
        occurred.update(matching)
        if not matching:
            wrong.append(difference)
    return wrong + [f"no longer: {one}" for one in listed if one not in occurred]
