# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Decisions about a cluster that has no primary: who goes on. Plain values, no I/O.

Patroni lets none but the last primary and its synchronous replica lead, for the others may lack
acknowledged rows. Where neither comes back, only the operator can give those rows up.
"""

from collections.abc import Collection, Mapping, Sequence

import cluster
from charmed_maas import addresses


def awaited(
    spec: cluster.Spec, in_step: Collection[str], members: Sequence[cluster.Member]
) -> list[str]:
    """Return the units that alone have every acknowledged row, while none of them runs.

    Of units that are gone as well. [] where Patroni needs nobody's help: this unit is one of
    them, another one runs or is on its way, or etcd has not told yet who they are.
    """
    there = {one.name for one in members if one.is_running or one.state in cluster.ON_THE_WAY}
    if spec.me.member_name in in_step or there & set(in_step):
        return []
    return [unit_name(one) for one in in_step]


def unit_name(member_name: str) -> str:
    """Return the name of a member's unit, also of one that is gone."""
    return "/".join(member_name.rsplit("-", 1))


def newest(places: Mapping[str, tuple[int, ...]]) -> str:
    """Return the unit whose data goes furthest, "" of none; every unit names the same one.

    Of equals it is the one with the lowest number: two that went on would be two clusters.
    """
    return max(places, key=lambda one: (places[one], -addresses.unit_number(one)), default="")
