# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Keep what was played, for whoever works on the comparison."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A directory: what was played is kept in it, and read from it where it is there already.
KEPT = "KEPT_CHAPTERS"


def kept(name: str, make: Callable[[], Any]) -> Any:
    """Return what was played under a name before, or play it now."""
    if not (directory := os.environ.get(KEPT)):
        return make()
    path = Path(directory) / f"{name}.pickle"
    if not path.exists():
        path.write_bytes(pickle.dumps(make()))
    return pickle.loads(path.read_bytes())
