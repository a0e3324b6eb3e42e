# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Asking services on this machine over HTTP, past whatever proxy the model has."""

import urllib.request

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(port: int, path: str, *, timeout_s: float = 5.0) -> bytes:
    """Return the body of a 200; raises urllib.error.HTTPError for others, OSError otherwise."""
    with _OPENER.open(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as answer:
        return answer.read()
