# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The cables of a stage's machines: which frames the host drops, kept in one table of nft."""

import json
import subprocess
from typing import Any

from .console import StepError
from .machines import nic_names
from .stage import Stage

NFT = "/usr/sbin/nft"
IP = "/usr/sbin/ip"
# What is over the limit is dropped; a burst must hold the 64 KiB that a veth hands over at once.
SLOW = "limit rate over 250 kbytes/second burst 128 kbytes"
TABLE = f"""\
table bridge {{table}}
delete table bridge {{table}}
table bridge {{table}} {{{{
  set sent {{{{ type ifname; }}}}
  set received {{{{ type ifname; }}}}
  set silent {{{{ type ifname; }}}}
  set pairs {{{{ type ifname . ifname; }}}}
  set slow {{{{ type ifname; {SLOW}; }}}}
  chain before {{{{
    type filter hook prerouting priority -300; policy accept;
    iifname @sent drop
    iifname @silent drop
    iifname @slow drop
  }}}}
  chain between {{{{
    type filter hook forward priority -300; policy accept;
    iifname . oifname @pairs drop
  }}}}
  chain after {{{{
    type filter hook postrouting priority 300; policy accept;
    oifname @received drop
    oifname @silent drop
    oifname @slow drop
  }}}}
}}}}
"""
# Who sends and who receives what is dropped, by their numbers; one of the two may be ALL.
ALL = "all"


def drop(stage: Stage, sender: str, receiver: str) -> None:
    """Drop every frame from one machine to another, also after either is powered on again."""
    if not _nft(f"list set bridge {_table(stage)} slow"):
        _nft(TABLE.format(table=_table(stage)), must=True)
    _elements(stage, "add", *_dropped(stage, sender, receiver), must=True)


def let_through(stage: Stage, sender: str, receiver: str) -> None:
    """Undo `drop`."""
    _elements(stage, "delete", *_dropped(stage, sender, receiver))


def mark(stage: Stage, kind: str, number: str) -> None:
    """Make a machine `silent`, which drops all of its frames, or `slow`."""
    if not _nft(f"list set bridge {_table(stage)} slow"):
        _nft(TABLE.format(table=_table(stage)), must=True)
    _elements(stage, "add", kind, list(nic_names(stage, number)), must=True)


def unmark(stage: Stage, kind: str, number: str) -> None:
    """Undo `mark`."""
    _elements(stage, "delete", kind, list(nic_names(stage, number)))


def dropped(stage: Stage) -> set[tuple[str, str]]:
    """Return whose frames to whom are dropped."""
    sets = _sets(stage)
    found = {(number, ALL) for number in sets.get("sent", ())}
    found |= {(ALL, number) for number in sets.get("received", ())}
    return found | {
        (one, other) for one, _, other in (p.partition(" ") for p in sets.get("pairs", ()))
    }


def marked(stage: Stage, kind: str) -> set[str]:
    """Return the machines that are `silent` or `slow`."""
    return _sets(stage).get(kind, set())


def forget(stage: Stage) -> None:
    """Let all frames of a stage through, at full speed."""
    _nft(f"delete table bridge {_table(stage)}")


def unplug(stage: Stage, number: str) -> None:
    """Let a machine fall silent before its processes die; it gets new NICs when it starts.

    The kernel of a container outlives its processes and would refuse connections in their stead,
    which tells clients sooner than a machine without power does.
    """
    for nic in nic_names(stage, number):
        # A machine that is off has no NIC.
        subprocess.run([IP, "link", "set", nic, "down"], capture_output=True, check=False)


def _table(stage: Stage) -> str:
    return f"maaslab_{stage.name}"


def _dropped(stage: Stage, sender: str, receiver: str) -> tuple[str, list[str]]:
    """Return the set, and its elements, that make the host drop."""
    if receiver == ALL:
        return "sent", list(nic_names(stage, sender))
    if sender == ALL:
        return "received", list(nic_names(stage, receiver))
    both = zip(nic_names(stage, sender), nic_names(stage, receiver), strict=True)
    return "pairs", [f'{one}" . "{other}' for one, other in both]


def _elements(stage: Stage, verb: str, kind: str, names: list[str], *, must: bool = False) -> None:
    quoted = ", ".join(f'"{name}"' for name in names)
    _nft(f"{verb} element bridge {_table(stage)} {kind} {{ {quoted} }}", must=must)


def _sets(stage: Stage) -> dict[str, set[str]]:
    """Return the machines in each set, the two of a pair with a space between."""
    argv = [NFT, "-j", "list", "table", "bridge", _table(stage)]
    listed = subprocess.run(argv, capture_output=True, check=False).stdout or b'{"nftables": []}'
    sets = [entry["set"] for entry in json.loads(listed)["nftables"] if "set" in entry]
    prefix = stage.machine_name("")
    return {
        one["name"]: {
            " ".join(name.removeprefix(prefix).rpartition("-")[0] for name in _names(element))
            for element in one.get("elem", ())
        }
        for one in sets
    }


def _names(element: Any) -> list[str]:
    if isinstance(element, str):
        return [element]
    return element["concat"] if "concat" in element else [element["elem"]["val"]]


def _nft(script: str, *, must: bool = False) -> bool:
    argv = [NFT, *script.split()] if script.startswith("list") else [NFT, "-f", "-"]
    done = subprocess.run(argv, input=script.encode(), capture_output=True, check=False)
    if must and done.returncode != 0:
        raise StepError(f"nft refused: {done.stderr.decode().strip()}")
    return done.returncode == 0
