# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""An operator's own name for the VIP: taken once it leads there, and not let go by a bad hour."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Workload
from ops import testing
from test_charm import DATABASE, LOGIN, OTHER, OWN

import charm
import own_url

Context = testing.Context[charm.MAASRegionCharm]
NAMED = "http://maas.test:8080/MAAS"
BY_ADDRESS = "http://10.0.0.100:8080/MAAS"
THROUGH_VIP = {"vip": "10.0.0.100", "url": BY_ADDRESS}
# This machine's own says what it knows; of one name it knows what no resolver tells a test.
GETENT = """#!/bin/sh
[ "$3" != maas.test ] && exec /usr/bin/getent "$@"
printf 'fd00::64        STREAM maas.test\\n'
for type in STREAM DGRAM RAW; do printf '10.0.0.100      %s\\n' $type; done
"""


@pytest.fixture(autouse=True)
def _resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    getent = tmp_path / "getent"
    getent.write_text(GETENT)
    getent.chmod(0o755)
    monkeypatch.setattr(own_url, "GETENT", str(getent))


def _tell(
    context: Context,
    option: str,
    *,
    api: dict[str, str] | None = None,
    last: str = "",
    leader: bool = True,
) -> testing.State:
    relations: set[Any] = {
        testing.PeerRelation(
            "peers",
            peers_data={1: OTHER},
            local_app_data={"maas-url": BY_ADDRESS} | ({"own-url": last} if last else {}),
        ),
        testing.Relation("db", remote_app_data=DATABASE),
        testing.Relation("rpc", remote_app_name="maas-rack"),
        testing.Relation("api", remote_app_data=THROUGH_VIP if api is None else api),
    }
    state = testing.State(
        leader=leader, relations=relations, secrets={LOGIN}, config={"maas-url": option}
    )
    return context.run(context.on.update_status(), state)


def _served(workload: Workload) -> str:
    return workload.serving.ensure.call_args.args[0].maas_url


def _published(out: testing.State, endpoint: str) -> Mapping[str, str]:
    return out.get_relations(endpoint)[0].local_app_data


@pytest.mark.parametrize("url", [NAMED, f"{NAMED}/", BY_ADDRESS])
def test_regions_go_by_the_name_and_racks_by_the_vip(
    context: Context, workload: Workload, url: str
):
    out = _tell(context, url)

    assert _served(workload) == url
    assert _published(out, "peers")["own-url"] == url
    assert _published(out, "peers")["maas-url"] == BY_ADDRESS
    assert _published(out, "rpc")["maas-url"] == BY_ADDRESS
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")


def test_followers_take_the_name_without_a_look_of_their_own(context: Context, workload: Workload):
    out = _tell(context, "http://elsewhere.invalid:8080/MAAS", last=NAMED, leader=False)

    assert _served(workload) == NAMED
    assert out.unit_status == testing.ActiveStatus("serving, 2 regions")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://no-such-name.invalid:8080/MAAS", "no-such-name.invalid is nowhere, not the VIP"),
        ("http://localhost:8080/MAAS", "localhost is 127.0.0.1, not the VIP 10.0.0.100"),
        ("http://-x:8080/MAAS", "-x is nowhere, not the VIP"),
        ("https://maas.test:8080/MAAS", "set it to http://NAME:8080/MAAS"),
        ("http://maas.test/MAAS", "set it to http://NAME:8080/MAAS"),
        ("http://maas.test:8080/", "set it to http://NAME:8080/MAAS"),
        ("http://maas.test:8080/MAAS?x=1", "set it to http://NAME:8080/MAAS"),
        ("localhost", "'localhost' is not a URL: set it to http://NAME:8080/MAAS"),
        ("http://maas\n.test:8080/MAAS", "control characters: set it to http://NAME:8080/MAAS"),
        ("http://[::1:8080/MAAS", "is not a URL: set it to http://NAME:8080/MAAS"),
    ],
)
def test_a_name_that_does_not_lead_to_the_vip_is_refused_and_the_vip_stays(
    context: Context, workload: Workload, url: str, words: str
):
    out = _tell(context, url)

    assert _served(workload) == BY_ADDRESS
    assert "own-url" not in _published(out, "peers")
    assert isinstance(out.unit_status, testing.BlockedStatus)
    assert out.unit_status.message.startswith("maas-url: ")
    assert words in out.unit_status.message


def test_a_name_that_was_taken_stays_while_it_leads_elsewhere(
    context: Context, workload: Workload
):
    moved = {"vip": "10.0.0.9", "url": "http://10.0.0.9:8080/MAAS"}
    out = _tell(context, NAMED, api=moved, last=NAMED)

    assert _served(workload) == NAMED
    assert _published(out, "rpc")["maas-url"] == moved["url"]
    assert out.unit_status == testing.BlockedStatus(
        "maas-url: maas.test is 10.0.0.100, not the VIP 10.0.0.9: mend its name"
    )


def test_a_typo_restarts_nothing(context: Context, workload: Workload):
    typo = "http://no-such-name.invalid:8080/MAAS"
    out = _tell(context, typo, last=NAMED)

    assert _served(workload) == NAMED
    assert _published(out, "peers")["own-url"] == NAMED
    assert "no-such-name.invalid is nowhere" in out.unit_status.message


def test_without_the_option_the_vip_is_back(context: Context, workload: Workload):
    out = _tell(context, "", last=NAMED)

    assert _served(workload) == BY_ADDRESS
    assert "own-url" not in _published(out, "peers")


def test_a_silent_haproxy_vip_takes_no_name_away(context: Context, workload: Workload):
    out = _tell(context, NAMED, api={}, last=NAMED)

    assert _served(workload) == NAMED
    assert out.unit_status == testing.BlockedStatus(
        "maas-url: there is no VIP to go by it: integrate api with haproxy-vip"
    )


@pytest.mark.parametrize("last", ["", NAMED])
def test_a_haproxy_vip_that_tells_a_url_alone_is_no_vip_to_go_by(
    context: Context, workload: Workload, last: str
):
    out = _tell(context, f"{NAMED}/", api={"url": BY_ADDRESS}, last=last)

    assert _served(workload) == (last or BY_ADDRESS)
    assert out.unit_status == testing.BlockedStatus(
        "maas-url: there is no VIP to go by it: integrate api with haproxy-vip"
    )


def test_a_vip_that_is_given_up_takes_the_name_with_it(context: Context, workload: Workload):
    _tell(context, NAMED, api={"no-vip": "true"}, last=NAMED)

    assert _served(workload) == f"http://{OWN}:5240/MAAS"
