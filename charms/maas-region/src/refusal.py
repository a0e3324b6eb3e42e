# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's own words where it refuses, for a status and an action's result."""

import json

import requests

# Its longest known refusal has 214 characters.
MAX_LENGTH = 220


def reason(answer: requests.Response) -> str:
    """Return MAAS's words without the JSON around them, or what nginx in front of it says.

    Each sentence once: of a range MAAS says the same of its start and of its end.
    """
    if answer.text.lstrip().startswith("<"):
        return f"MAAS answers {answer.status_code} {answer.reason}"
    try:
        given: object = json.loads(answer.text)
    except ValueError:
        return answer.text
    reasons = list(given.values()) if isinstance(given, dict) else [given]
    told = [" ".join(map(str, one)) if isinstance(one, list) else str(one) for one in reasons]
    return " ".join(dict.fromkeys(told))
