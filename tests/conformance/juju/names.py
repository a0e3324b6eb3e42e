# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Put names for what has to differ: addresses, identifiers, times, tasks and secrets."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from recorded import Call, Dispatch

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
SUBNET = re.compile(r"10\.\d+\.0\.0/24")
GATEWAY = re.compile(r"10\.\d+\.0\.\d+(?=:17070)")
TIMES = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?Z|[+-]\d\d:?\d\d( [A-Z]+)?)?"
    r"|\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)"
)
# Something else on the recorded host gave its bridge an IPv6 address half-way through.
IPV6 = re.compile(r"  - hostname: fd77\S*\n( {4}\w.*\n)*")
CONTEXT = re.compile(r"(?<=-)[0-9a-f]{32}$")
TASK = ("JUJU_ACTION_UUID", "JUJU_ACTION_TAG")


class Names:
    """The names of one log: the recording's, or the lab's in the recording's words."""

    def __init__(
        self, log: Iterable[Dispatch], secrets: Mapping[str, str], units: Mapping[str, str]
    ) -> None:
        self._secrets, self._units = secrets, units
        self._address: dict[str, str] = {}
        self._machine: dict[str, str] = {}
        self._known: dict[tuple[str, str], str] = {}
        self._calls: dict[tuple[int, str], list[Call]] = {}
        for one in log:
            self._machine[one.unit] = one.env["JUJU_MACHINE_ID"]
            for call in one.calls:
                if call.tool == "network-get" and isinstance(call.out, dict):
                    for address in call.out.get("ingress-addresses", []):
                        self._address[one.unit] = address
                    break

    def text(self, text: str, about: str = "") -> str:
        """Return a text; an address in it is named after the unit that it is about."""
        if (text, about) not in self._known:
            self._known[text, about] = self._text(text, about)
        return self._known[text, about]

    def _text(self, text: str, about: str) -> str:
        text = UUID.sub("<uuid>", IPV6.sub("", text))
        text = SUBNET.sub("<subnet>", MAC.sub("<mac>", TIMES.sub("<time>", text)))
        text = GATEWAY.sub("<controller>", text)
        if address := self._address.get(about):
            text = re.sub(rf"(?<![\d.]){re.escape(address)}(?![\d.])", "<address>", text)
        for secret, name in self._secrets.items():
            text = text.replace(secret, name)
        return self.units(text)

    def units(self, text: str) -> str:
        """Return a text with the units of the recording."""
        if not self._units:
            return text
        both = dict(self._units) | {
            a.replace("/", "-"): b.replace("/", "-") for a, b in self._units.items()
        }
        words = "|".join(re.escape(name) for name in both)
        return re.sub(rf"(?<![\w-])((?:unit-)?)({words})(?!\d)", lambda m: m[1] + both[m[2]], text)

    def value(self, value: Any, about: str = "") -> Any:
        """Return a value with names in all its texts."""
        if isinstance(value, str):
            return self.text(value, about)
        if isinstance(value, list):
            return [self.value(one, about) for one in value]
        if isinstance(value, dict):
            return {self.value(k, about): self.value(v, about) for k, v in value.items()}
        return value

    def call(self, one: Dispatch, call: Call) -> Call:
        """Return a call with names; what a databag holds is about its owner."""
        # The call is kept, so that no other one gets its number.
        known = self._calls.setdefault((id(call), one.unit), [])
        if not known:
            known += [self._call(one, call), call]
        return known[0]

    def _call(self, one: Dispatch, call: Call) -> Call:
        about = one.unit
        if call.tool == "relation-get" and "--app" not in call.args and "/" in call.args[-1]:
            about = call.args[-1]
        args = self.value(call.args)
        if call.tool == "action-set" and args[-1].startswith("calls="):
            # The probe's own report of the calls before.
            args[-1] = "calls=…"
        out = call.out
        if call.tool == "action-get" and isinstance(out, dict) and "calls" in out:
            out = out | {"calls": "…"}
        if call.tool == "secret-ids" and isinstance(out, list):
            # They are sorted by what stands for them here.
            return Call(args, call.rc, sorted(self.value(out)), self.text(call.err))
        return Call(
            args,
            call.rc,
            self.value(out, about),
            self.text(call.err, about),
            self.text(call.stdin),
        )

    def environment(self, one: Dispatch) -> dict[str, str]:
        """Return an environment with names."""
        env = {key: self.text(CONTEXT.sub("<context>", value)) for key, value in one.env.items()}
        for key in TASK:
            if key in env:
                env[key] = re.sub(r"\d+", "<task>", env[key])
        # Where the unit is was checked when it was placed: here it must only stay there.
        env["JUJU_MACHINE_ID"] = str(one.env["JUJU_MACHINE_ID"] == self._machine[one.unit])
        env["JUJU_MODEL_NAME"] = "<model>"
        return dict(sorted(env.items()))

    def surroundings(self, one: Dispatch) -> dict[str, str]:
        """Return all that an event was run with, and how it ended."""
        found = {"exit": str(one.exit), "uid": str(one.uid), "cwd": self.text(one.cwd)}
        return self.environment(one) | found

    def key(self, one: Dispatch) -> str:
        """Return what an event is, whom it is about, and whether it failed.

        Waiting actions of a unit come in any order: their parameters tell them apart.
        """
        asked = [call for call in one.calls if call.tool == "action-get" and one.is_action]
        given = [self.call(one, call).out for call in asked[:1]]
        return self.text(json.dumps([*one.key, bool(one.exit), *given], sort_keys=True))
