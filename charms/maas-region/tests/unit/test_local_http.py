# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import http.server
import threading
import urllib.error

import pytest

import local_http


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/ok": 200, "/moved": 301}.get(self.path, 502))
        self.send_header("Location", "/ok")
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_this_machine_is_asked_past_the_models_proxy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert local_http.get(server.server_port, "/ok") == b"body"
        for path, code in (("/bad", 502), ("/moved", 301)):
            with pytest.raises(urllib.error.HTTPError, match=str(code)) as caught:
                local_http.get(server.server_port, path)
            caught.value.close()
        server.shutdown()
    with pytest.raises(OSError, match="refused"):
        local_http.get(9, "/ok")
