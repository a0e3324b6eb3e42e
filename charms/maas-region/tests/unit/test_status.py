# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from dataclasses import replace
from typing import Any

import ops
import pytest

import health
import serving
import status
from serving import Outcome, Stage
from status import Situation

WHOLE = Situation(
    has_database_relation=True,
    has_database=True,
    has_url=True,
    outcome=Outcome(Stage.SERVING),
    regions=3,
)


def _worst(situation: Situation) -> ops.StatusBase:
    order = (ops.BlockedStatus, ops.MaintenanceStatus, ops.WaitingStatus, ops.ActiveStatus)
    return min(status.ladder(situation), key=lambda one: order.index(type(one)))


def test_three_regions_serve():
    assert _worst(WHOLE) == ops.ActiveStatus("serving, 3 regions")


def test_a_url_without_haproxy_vip_is_told():
    kept = replace(WHOLE, kept_url="http://10.0.0.100/MAAS")
    assert _worst(kept) == ops.ActiveStatus(
        "serving, 3 regions; keeps http://10.0.0.100/MAAS without haproxy-vip"
    )


def test_one_region_says_what_it_is_not():
    assert _worst(replace(WHOLE, regions=1)).message == "serving, 1 region: no high availability"


def test_what_an_operator_must_fix_shows_although_it_serves():
    assert _worst(replace(WHOLE, problem="source 'x'")) == ops.BlockedStatus("source 'x'")
    nonsense = replace(WHOLE, databag_problems=("haproxy-vip sent url: 'x' is not a URL",))
    assert isinstance(_worst(nonsense), ops.BlockedStatus)


def test_steps_on_the_way_up():
    bare = Situation()
    assert _worst(bare) == ops.BlockedStatus("integrate db with postgresql-ha")
    related = replace(bare, has_database_relation=True)
    assert isinstance(_worst(related), ops.WaitingStatus)
    assert "MAAS URL" in _worst(replace(related, has_database=True)).message


@pytest.mark.parametrize(
    "why", [{"is_paused": True}, {"has_database_relation": False}, {"dhcp": ("pxe: no",)}]
)
def test_a_command_that_failed_is_told_whatever_was_wished(why: dict[str, Any]):
    outcome = Outcome(Stage.FAILED, "systemctl exited with 1", cause="regiond: OSError: x")
    (first, *rest) = status.ladder(replace(WHOLE, outcome=outcome, **why))
    assert first == ops.BlockedStatus("systemctl exited with 1; regiond: OSError: x")
    assert first not in rest


@pytest.mark.parametrize("field", ["problem", "refusals", "refused_by_systemd", "dhcp", "outcome"])
def test_whatever_is_told_is_one_line_and_keeps_its_end(field: str):
    words = "systemctl exited with 1:\n" + "alert\n" * 200 + "the end"
    failed = Outcome(Stage.FAILED, words)
    given = {"problem": words, "outcome": failed}.get(field, (words,))
    message = _worst(replace(WHOLE, **{field: given})).message
    assert message.isprintable()
    assert len(message) <= 300
    assert message.endswith("alert the end")


def test_a_tls_that_nobody_but_an_operator_turns_off_is_blocked_and_ends_with_how():
    outcome = Outcome(Stage.UNHEALTHY, health.OWN_TLS, cause="regiond: OSError: of another day")
    worst = _worst(replace(WHOLE, outcome=outcome))
    assert isinstance(worst, ops.BlockedStatus)
    assert worst.message.endswith(": run `sudo maas-region config_tls disable` on a region")


def test_what_only_a_human_can_mend_is_blocked_and_what_may_pass_is_not():
    full = "regiond: OSError: [Errno 28] No space left on device"
    outcome = Outcome(Stage.UNHEALTHY, "MAAS answers 502", cause=full)
    assert _worst(replace(WHOLE, outcome=outcome)) == ops.BlockedStatus(
        f"mend what keeps MAAS from serving: MAAS answers 502; {full}"
    )
    other = replace(outcome, cause="regiond: OSError: x")
    assert _worst(replace(WHOLE, outcome=other)) == ops.MaintenanceStatus(
        "starting: MAAS answers 502; regiond: OSError: x"
    )


def test_a_leaving_unit_says_nothing_else():
    assert list(status.ladder(replace(WHOLE, is_leaving=True, problem="x"))) == [
        ops.MaintenanceStatus("leaving")
    ]


@pytest.mark.parametrize("stage", list(serving.Stage))
def test_every_stage_has_a_status(stage: Stage):
    found = _worst(replace(WHOLE, outcome=Outcome(stage, "why")))
    assert not isinstance(found, ops.ActiveStatus), "a region that serves tells why, too"
    assert found.message
