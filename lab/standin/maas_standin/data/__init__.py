# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""MAAS's own words and defaults, apart from the code that uses them."""

import functools
import json
import pathlib
import typing


def read(name: str) -> str:
    """Return a file of this directory."""
    return pathlib.Path(__file__).with_name(name).read_text(encoding="utf-8")


@functools.cache
def load(name: str) -> typing.Any:
    """Return a JSON file of this directory; it is shared, so it is not to be changed."""
    return json.loads(read(name))
