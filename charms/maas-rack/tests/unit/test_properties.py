# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whatever a region, a peer or an operator writes, rackd goes on and the status names it."""

import dataclasses
import re
from pathlib import Path
from unittest import mock

import garbage
from hypothesis import example, given
from hypothesis import strategies as st
from ops import testing
from test_charm import (
    MARK,
    OLD,
    REGION_URLS,
    SECRET,
    VIP_URL,
    peer,
    replaced,
    rpc,
    state,
    untouched,
)

import charm
import peers
import rack
from charmed_maas import apt_source, commands, databag
from charmed_maas.interfaces import maas_rpc

GOOD = maas_rpc.ProviderAppData(VIP_URL, REGION_URLS, SECRET.id, 120).to_databag()


@garbage.EVENT
@given(garbage.databags(GOOD), garbage.databags({"maas-url": VIP_URL, "secret-mark": "0a1b2c3d"}))
@example({**GOOD, "maas-url": "http://[fe80::1%eth0]/MAAS"}, {})
@example({**GOOD, "secret-id": "\U0001f600" * 40_000}, {})
@example({**GOOD, "dhcp-grace": "1"}, {})
@example({**GOOD, "region-urls": '["http://h/' + "x" * 60_000 + '"]'}, {})
def test_an_event_names_the_offender_or_goes_on(app: dict[str, str], other: dict[str, str]):
    relation = dataclasses.replace(rpc(), remote_app_data=app)
    before = state(relation, dataclasses.replace(peer(), peers_data={0: other}))
    context = testing.Context(charm.MAASRackCharm, unit_id=5)
    with replaced() as workload:
        after = context.run(context.on.config_changed(), before)
    message = after.unit_status.message
    garbage.assert_fit(message)
    workload.leave.assert_not_called()
    if after.unit_status.name == "blocked":
        untouched(workload)
        fields = "maas-url|region-urls|secret-id|dhcp-grace"
        assert re.search(rf"\bremote sent ({fields}): ", message)
    else:
        # Peers are read only while they take turns.
        assert garbage.parse(maas_rpc.ProviderAppData.from_databag, app), app
    for call in workload.ensure_config.call_args_list:
        assert all(len(url) <= 1024 and url.isprintable() for url in call.args[0])


GOOD_PEER = {"maas-url": "http://old/MAAS", "secret-mark": "0a1b2c3d"}
PEER = garbage.databags(GOOD_PEER)


@garbage.EVENT
@given(PEER, st.booleans())
@example({"maas-url": "http://old/MAAS\n"}, True)
@example({"maas-url": VIP_URL, "secret-mark": "0A1B2C3D"}, True)
@example({"maas-url": "http://old/MAAS", "secret-mark": "0a1b2c3d"}, False)
def test_a_peer_that_cannot_be_read_is_named_and_not_waited_for(
    other: dict[str, str], leader: bool
):
    relation = dataclasses.replace(rpc(), local_app_data={"secret-mark": OLD} if leader else {})
    bags = dataclasses.replace(peer(), peers_data={0: other})
    context = testing.Context(charm.MAASRackCharm, unit_id=5)
    with replaced() as workload:
        workload.is_current.return_value = False
        workload.turns.waited_long.return_value = False
        after = context.run(context.on.config_changed(), state(relation, bags, leader=leader))
    message = after.unit_status.message
    garbage.assert_fit(message)
    started = garbage.parse(peers.Started.from_databag, other)
    if started:
        goes_first = not started.is_as(peers.Started(VIP_URL, MARK))
        assert workload.restart.called == (not goes_first)
        assert after.unit_status.name == ("maintenance" if goes_first else "active")
        return
    workload.restart.assert_called_once()
    assert after.unit_status.name == "blocked"
    assert re.match("maas-rack/0 sent (maas-url|secret-mark): ", message)
    assert message.endswith(": bring maas-rack/0 to this unit's revision of the charm")
    assert "secret-mark" not in after.get_relations("rpc")[0].local_app_data


def assert_peer(found: peers.Started) -> None:
    """Assert that what a peer wrote is a URL and a mark, and the same when it is read again."""
    assert len(found.url) <= databag.MAX_URL
    assert found.url.isprintable()
    assert re.fullmatch("([0-9a-f]{8}|lost)?", found.mark)
    assert peers.Started.from_databag(garbage.written(found)) == found


@garbage.FAST
@given(PEER)
@example({"secret-mark": rack.LOST})
def test_a_peers_databag_is_valid_or_named(bag: dict[str, str]):
    if found := garbage.parse(peers.Started.from_databag, bag):
        assert_peer(found)


def test_each_field_of_a_peer_of_each_known_kind_is_valid_or_named():
    for found in garbage.read_each(peers.Started.from_databag, GOOD_PEER):
        assert_peer(found)


@garbage.EVENT
@given(garbage.values)
@example("deb http://a\ndeb http://b c")
@example("\ud800")
def test_a_source_is_installed_from_or_named(source: str):
    context = testing.Context(charm.MAASRackCharm)
    with replaced() as workload:
        workload.install.side_effect = apt_source.render
        after = context.run(context.on.config_changed(), state(config={"source": source}))
    workload.ensure_config.assert_called_once()
    garbage.assert_fit(after.unit_status.message)
    assert after.unit_status.name == "active" or after.unit_status.message.startswith("source ")


@garbage.FAST
@given(
    st.dictionaries(
        st.sampled_from(["r/0", "r/1", "r/7"]),
        st.builds(peers.Started, garbage.values, garbage.values),
    ),
    st.builds(peers.Started, garbage.values, garbage.values),
)
def test_whose_turn_it_is_can_always_be_told(
    started: dict[str, peers.Started], wanted: peers.Started
):
    ahead = peers.ahead(started, "r/5", wanted)
    assert set(ahead) <= {"r/0", "r/1"}
    assert not peers.ahead(dict.fromkeys(started, wanted), "r/5", wanted)


@garbage.FAST
@given(garbage.values)
@example("00ff\n")
@example("٣٣")
def test_a_secret_is_hexadecimal_or_refused(secret: str):
    with (
        mock.patch.object(commands, "run", autospec=True) as run,
        mock.patch.object(rack, "SECRET", Path("/nonexistent/secret")),
        mock.patch.object(rack, "_ensure_owner", autospec=True, return_value=False),
    ):
        try:
            rack.ensure_secret(secret)
        except rack.RackError as error:
            garbage.assert_fit(str(error))
            run.assert_not_called()
            return
    assert re.fullmatch(r"[0-9a-fA-F]+\n", run.call_args.kwargs["stdin"])


@garbage.FAST
@given(
    garbage.values.map(lambda value: {**GOOD, "maas-url": value, "region-urls": f'["{value}"]'})
)
def test_the_hosts_of_what_a_region_wrote_can_always_be_told(bag: dict[str, str]):
    found = garbage.parse(maas_rpc.ProviderAppData.from_databag, bag)
    for host in rack.hosts((found.maas_url, *found.region_urls)) if found else ():
        assert host.isprintable()


@garbage.FAST
@given(garbage.values)
def test_what_ss_prints_is_parsed_or_passed_over(text: str):
    assert all(isinstance(one, str) for one in rack.parse_connected(text))
