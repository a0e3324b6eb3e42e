# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Asking services of this machine and its peers over HTTP, past whatever proxy the model has."""

import http.client
import urllib.request


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Where another answer is to be had is an answer, too."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def get(port: int, path: str, *, timeout_s: float = 5.0) -> bytes:
    """Return the body of this machine's 200; raises as fetch does."""
    return fetch(f"http://127.0.0.1:{port}{path}", timeout_s=timeout_s)


def fetch(url: str, *, timeout_s: float) -> bytes:
    """Return the body of a 200; raises urllib.error.HTTPError for others, OSError otherwise."""
    try:
        with _OPENER.open(url, timeout=timeout_s) as answer:
            return answer.read()
    except http.client.HTTPException as error:
        # No HTTP, or an answer that breaks off: urllib lets these two through.
        raise OSError(f"answers nonsense: {type(error).__name__}") from error
