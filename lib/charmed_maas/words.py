# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What others say, fit for a status, a log and an action's result."""


def one_line(text: str, max_length: int) -> str:
    """Return a text in one line, without control characters, and not much longer than that."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    words = " ".join(printable.split())
    return words if len(words) <= max_length else f"{words[:max_length]} …"
