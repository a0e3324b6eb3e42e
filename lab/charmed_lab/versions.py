# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""What differs between the Jujus that a stage may have: 4.0 as recorded, 3.6 as its source reads.

No 3.6 was recorded. Where its source, release notes and documentation are silent, it does here
what 4.0.15 was recorded to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

TRACES = ("CA_CERT", "GRPC", "HTTP")


@dataclass(frozen=True, kw_only=True)
class Version:
    """One Juju, by what it does unlike the others; below each, how it is known."""

    number: str

    variables: Mapping[str, str]
    """4.0: recorded. 3.6: HookVars in uniter/runner/context/context.go; the statuses of SLA and
    meter are never set here. JUJU_TARGET_BASE is there only while a machine changes its series."""

    departs_at_once: bool
    """3.6 runs relation-departed in all related units, peers too, as soon as a unit is to go
    (cleanupDyingUnit in state/cleanup.go); 4.0 when it has left, and in no peer (recording 61)."""

    tells_leader_settings: bool
    """3.6 runs leader-settings-changed in every agent that starts without being the leader, or
    stops being it (uniter/leadership/resolver.go); 4.0's resolver has it no more."""

    writes_private_address: bool
    """3.6 EnterScope (apiserver/facades/agent/uniter); gone by the release notes of 4.0.0."""

    tells_config_twice: bool
    """4.0 runs config-changed twice for new options and never for a reset (recordings 20 and 74);
    3.6 once when their hash changed (uniter/resolver.go)."""

    allows_extra_parameters: bool
    """What an action takes that says nothing of additionalProperties: release notes of 4.0.0."""

    mixes_goals: bool
    """4.0 lists every related application under every endpoint (recording 61); 3.6 each under
    its own (goalStateRelations in apiserver/facades/agent/uniter)."""

    prints_null_state: bool
    """state-get of no state: 4.0 prints null (juju#22523), 3.6 an empty map."""

    shows_own_data: bool
    """What show-unit calls application-data: in 4.0 the unit's own (recording 13), in 3.6 the
    other side's."""

    sets_bundle_options: bool
    """Deploying a bundle again sets changed options in 3.6 (setOptions in bundlehandler.go); 4.0
    fails at them, and at a default-base (recordings 70, 71 and 76)."""

    sla: str
    """3.6 shows it in status (juju#21195); 4.0 does not (recorded)."""


VERSIONS = {
    "4.0": Version(
        number="4.0.15",
        variables={f"JUJU_CHARM_TRACE_CONFIG_{name}": "" for name in TRACES},
        departs_at_once=False,
        tells_leader_settings=False,
        writes_private_address=False,
        tells_config_twice=True,
        allows_extra_parameters=False,
        mixes_goals=True,
        prints_null_state=True,
        shows_own_data=True,
        sets_bundle_options=False,
        sla="",
    ),
    "3.6": Version(
        number="3.6.28",
        variables={
            "JUJU_METER_INFO": "not set",
            "JUJU_METER_STATUS": "AMBER",
            "JUJU_SLA": "unsupported",
        },
        departs_at_once=True,
        tells_leader_settings=True,
        writes_private_address=True,
        tells_config_twice=False,
        allows_extra_parameters=True,
        mixes_goals=False,
        prints_null_state=False,
        shows_own_data=False,
        sets_bundle_options=True,
        sla="unsupported",
    ),
}
DEFAULT = "4.0"
