# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""How the API key is renewed, against a server that answers as MAAS does."""

import http.server
import json
import logging
import re
import threading
import urllib.parse
from collections.abc import Iterator

import pytest

import accounts
import api
import region

OPERATION = re.compile(r"/MAAS/api/2\.0/account/\?op=(\w+)")


class Account(http.server.BaseHTTPRequestHandler):
    """The user's keys: they open the door, are listed, made and deleted."""

    keys: list[str]
    dies_at: str

    def log_message(self, format: str, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        found = OPERATION.fullmatch(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        data = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        token = re.search(r'oauth_token="(\w+)"', self.headers["Authorization"])
        signature = re.search(r'oauth_signature="%26(\w+)"', self.headers["Authorization"])
        given = f":{token and token[1]}:{signature and signature[1]}"
        if not any(one.endswith(given) for one in self.keys):
            self._answer(401, f"Invalid signature. Expected signature base string: &{given}")
        elif found and found[1] != self.dies_at:
            self._answer(*getattr(self, f"_{found[1]}")(data))
        else:
            self._answer(503, "down")

    do_POST = do_GET

    def _list_authorisation_tokens(self, _: dict[str, str]) -> tuple[int, str]:
        return 200, json.dumps([{"name": "MAAS consumer", "token": one} for one in self.keys])

    def _create_authorisation_token(self, _: dict[str, str]) -> tuple[int, str]:
        self.keys.append("new:newt:news")
        made = {"consumer_key": "new", "token_key": "newt", "token_secret": "news", "name": "x"}
        return 200, json.dumps(made)

    def _delete_authorisation_token(self, data: dict[str, str]) -> tuple[int, str]:
        self.keys[:] = [one for one in self.keys if one.split(":")[1] != data["token_key"]]
        return 204, ""

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Account]]:
    """Return a running MAAS whose user has a key of before and one that was left over."""
    handler = type("Handler", (Account,), {"keys": ["a:b:c", "l:left:over"], "dies_at": ""})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(region, "PORT", server.server_address[1])
        yield handler
        server.shutdown()
        thread.join()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the keys that this unit kept, the one of before first."""
    kept = ["a:b:c"]
    monkeypatch.setattr(accounts, "internal_api_key", lambda: kept[-1])
    monkeypatch.setattr(accounts, "keep", kept.append)
    return kept


def test_a_new_key_is_kept_before_every_other_is_deleted(account: type[Account], kept: list[str]):
    assert api.renew_key() == "new:newt:news"
    assert account.keys == ["new:newt:news"]
    assert kept == ["a:b:c", "new:newt:news"]


@pytest.mark.parametrize("operation", ["list_authorisation_tokens", "delete_authorisation_token"])
def test_one_that_ends_in_between_leaves_a_key_that_works_and_is_done_again(
    account: type[Account], kept: list[str], operation: str
):
    account.dies_at = operation
    with pytest.raises(api.APIError):
        api.renew_key()
    assert kept[-1] in account.keys
    account.dies_at = ""
    api.renew_key()
    assert set(account.keys) == {kept[-1]}


def test_a_refusal_of_the_key_repeats_nothing_of_it(account: type[Account]):
    with pytest.raises(api.APIError) as refused:
        api.Client("a:b:wrong").api_keys()
    assert str(refused.value) == "MAAS refuses the API key"
    assert refused.value.status == 401


@pytest.mark.usefixtures("account")
def test_no_secret_of_a_request_is_logged(kept: list[str], caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    kept.append("consumer:token:verysecretword")
    with pytest.raises(api.APIError):
        api.renew_key()
    assert "op=" in caplog.text, "nothing was logged at all"
    assert "verysecretword" not in caplog.text
