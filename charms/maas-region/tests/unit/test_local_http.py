# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import http.server
import socket
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


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_answer_that_is_no_http_or_breaks_off_is_none(answer: bytes):
    def serve() -> None:
        with server.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(OSError, match="answers nonsense"):
            local_http.get(server.getsockname()[1], "/")
        thread.join()
