# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from unittest import mock

import pytest

import accounts
import api
import settings


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> mock.MagicMock:
    """Replace the API client; MAAS has NTP servers and nothing else."""
    client = mock.create_autospec(api.Client, instance=True)
    client.get_config.side_effect = {"ntp_servers": "a.example, b.example"}.get
    monkeypatch.setattr(api, "Client", lambda _: client)
    monkeypatch.setattr(accounts, "internal_api_key", lambda: "a:b:c")
    return client


def test_what_differs_is_set_and_what_is_equal_is_not(client: mock.MagicMock):
    wanted = {"upstream-dns": "10.0.0.1 10.0.0.2", "ntp-servers": "a.example b.example"}
    assert settings.ensure(wanted) == ()
    assert client.set_config.call_args_list == [mock.call("upstream_dns", "10.0.0.1 10.0.0.2")]


def test_without_an_option_maas_is_not_even_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(api, "ask", lambda _: pytest.fail("asked"))
    assert settings.ensure({}) == ()


def test_what_maas_refuses_is_told_in_its_words_and_the_rest_is_set(client: mock.MagicMock):
    words = "Invalid IP address: not; provide a list of space-separated IP addresses"
    client.set_config.side_effect = [api.APIError(words, 400), api.APIError("Bad", 400), None]
    wanted = {"upstream-dns": "not an ip", "ntp-servers": "x", "http-proxy": "http://p:3128"}
    assert settings.ensure(wanted) == (
        f"upstream-dns: {words}",
        "ntp-servers: Bad",
    )
    assert client.set_config.call_args == mock.call("http_proxy", "http://p:3128")


def test_what_maas_fails_at_is_told_unless_its_database_is_away(client: mock.MagicMock):
    client.set_config.side_effect = api.APIError("'end_ip'", 500)
    assert settings.ensure({"http-proxy": "x"}) == ("http-proxy: 'end_ip'",)
    client.get_config.side_effect = [None, api.APIError("the database is away", 500)]
    assert settings.ensure({"http-proxy": "x"}) == ()


@pytest.mark.parametrize(
    "error", [api.APIError("MAAS does not answer"), accounts.AccountError("no user")]
)
def test_a_maas_that_does_not_answer_refuses_nothing(client: mock.MagicMock, error: Exception):
    client.get_config.side_effect = error
    assert settings.ensure({"http-proxy": "http://p:3128"}) == ()
