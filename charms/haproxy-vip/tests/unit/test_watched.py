# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import haproxy
import keepalived
import watched


def test_both_daemons_are_watched_while_they_are_this_charms():
    found = {one.name: one.condition for one in watched.SERVICES}
    assert found == {
        haproxy.SERVICE: str(haproxy.DROP_IN),
        keepalived.SERVICE: str(keepalived.DROP_IN),
    }
    assert str(haproxy.SOCKET) == watched.SOCKET


def test_an_idle_keepalived_runs_every_second():
    """Its check of its own address does; only then may the watchdog count on it."""
    assert [one.ticks for one in watched.SERVICES] == [False, True]
    text = (keepalived.TEMPLATES / "keepalived.conf.j2").read_text()
    check = text.partition("vrrp_script own_address {")[2].partition("\n}")[0]
    assert "interval 1\n" in check
