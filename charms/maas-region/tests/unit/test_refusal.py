# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import json
from pathlib import Path

import pytest
import requests

import accounts
import api
import refusal

# As MAAS 3.7.3 answered.
RECORDINGS = Path(__file__).parents[4] / "tests/conformance/maas/recordings/http/vlan"
PAGE = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body></html>\r\n"


def _answer(text: str, status: int = 400, reason: str = "Bad Request") -> requests.Response:
    answer = requests.Response()
    answer.status_code, answer.reason, answer.encoding = status, reason, "utf-8"
    answer._content = text.encode()
    return answer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # As MAAS 3.7.3 answered.
        (
            '{"upstream_dns": ["Invalid IP address: not; provide a list of IP addresses"]}',
            "Invalid IP address: not; provide a list of IP addresses",
        ),
        ('{"__all__": ["One.", "Two."], "x": "Three."}', "One. Two. Three."),
        ('["One.", 2]', "One. 2"),
        ('"One."', "One."),
        (
            "Unable to delete r2 as it's currently running.",
            "Unable to delete r2 as it's currently running.",
        ),
        ("{not JSON", "{not JSON"),
    ],
)
def test_maas_refuses_in_its_own_words(text: str, words: str):
    assert refusal.reason(_answer(text)) == words


@pytest.mark.parametrize("name", ["06-iprange-includes-a-rack-address", "08-iprange-overlap"])
def test_what_maas_says_of_two_fields_is_told_once(name: str):
    recorded = json.loads((RECORDINGS / f"{name}.json").read_text())["response"]
    assert len(recorded["json"]) == 2
    answer = _answer(json.dumps(recorded["json"]), recorded["status"])
    assert refusal.reason(answer) == (
        "Requested dynamic range conflicts with an existing IP address or range."
    )


def test_a_page_of_nginxs_is_no_reason():
    assert refusal.reason(_answer(PAGE, 502, "Bad Gateway")) == "MAAS answers 502 Bad Gateway"


@pytest.mark.parametrize("error", [api.APIError, accounts.AccountError])
def test_what_maas_says_is_told_in_one_line(error: type[Exception]):
    assert str(error("Traceback:\r\n\x1b[31m  no\x00")) == "Traceback: [31m no"
    assert len(str(error("word " * 100))) <= refusal.MAX_LENGTH + 2


def test_a_long_refusal_is_read_before_it_is_cut(monkeypatch: pytest.MonkeyPatch):
    answer = _answer(f'{{"x": ["{"no " * 200}"]}}')
    monkeypatch.setattr("requests.Session.request", lambda *_, **__: answer)
    with pytest.raises(api.APIError, match=r"^no no .* …$") as refused:
        api.Client("a:b:c").racks()
    assert refused.value.status == api.REFUSED
