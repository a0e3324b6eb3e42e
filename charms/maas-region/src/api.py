# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's HTTP API, as far as the charm uses it: controllers, VLANs with DHCP, MAAS's settings."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import requests
import requests_oauthlib

import accounts
import refusal
import region
from charmed_maas import words

KINDS = {"region": "regioncontrollers", "rack": "rackcontrollers"}
KEY_FIELDS = ("consumer_key", "token_key", "token_secret")
HERE = "127.0.0.1"
TIMEOUT_S = 60.0
# What MAAS says of a rackd that works, fully or in part.
RUNNING = ("running", "degraded")
REFUSED = requests.codes.bad_request
Answer = TypeVar("Answer")

# At DEBUG, which Juju keeps, they log each request with its signature: in PLAINTEXT the secret.
for name in ("oauthlib", "requests_oauthlib"):
    logging.getLogger(name).setLevel(logging.INFO)


class APIError(Exception):
    """MAAS does not answer, or refuses; the message is MAAS's own, in one line."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(words.one_line(message, refusal.MAX_LENGTH))
        self.status = status


@dataclass(frozen=True)
class Controller:
    """A controller as MAAS lists it; status is rackd's own, "" for a region.

    links are its addresses with the ID of the VLAN in which each one is.
    """

    kind: str
    system_id: str
    hostname: str
    status: str
    links: tuple[tuple[int, str], ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses in all VLANs."""
        return tuple(address for _, address in self.links)

    def describe(self) -> str:
        """Return one line for people."""
        return " ".join(part for part in (self.hostname, self.system_id, self.status) if part)


@dataclass(frozen=True)
class VLAN:
    """A VLAN that MAAS's DHCP serves, and the IDs of its racks, "" for none."""

    name: str
    id: int = 0
    path: str = ""
    primary: str = ""
    secondary: str = ""

    @property
    def racks(self) -> tuple[str, ...]:
        """The IDs of its racks, the primary first."""
        return tuple(one for one in (self.primary, self.secondary) if one)


@dataclass(frozen=True)
class Subnet:
    """A subnet, and the VLAN that it is on."""

    cidr: str
    vlan: VLAN


class Client:
    """Requests to a region, this machine's unless told another, signed with an API key."""

    def __init__(self, api_key: str, *, address: str = HERE, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        consumer_key, token_key, token_secret = api_key.split(":")
        self._base = f"{region.url(address)}/api/2.0"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = requests_oauthlib.OAuth1(
            consumer_key,
            resource_owner_key=token_key,
            resource_owner_secret=token_secret,
            signature_method="PLAINTEXT",
        )

    def controllers(self) -> list[Controller]:
        """Return every region and rack, each kind in the order of host names."""
        return [one for kind in KINDS for one in self._list(kind)]

    def racks(self) -> list[Controller]:
        """Return every rack, in the order of host names."""
        return self._list("rack")

    def vlans_with_dhcp(self) -> list[VLAN]:
        """Return the VLANs on which MAAS serves DHCP."""
        fabrics: object = self._request("GET", "fabrics/").json()
        vlans = [vlan for fabric in _objects(fabrics) for vlan in _objects(fabric.get("vlans"))]
        return [_vlan(one) for one in vlans if one.get("dhcp_on") is True]

    def subnets(self) -> list[Subnet]:
        """Return every subnet."""
        found = _objects(self._request("GET", "subnets/").json())
        vlans = [cast("dict[str, object]", one.get("vlan") or {}) for one in found]
        return [
            Subnet(str(one.get("cidr")), _vlan(vlan))
            for one, vlan in zip(found, vlans, strict=True)
        ]

    def create_range(self, start: str, end: str) -> int:
        """Have addresses for DHCP to hand out; returns the range's ID."""
        data = {"type": "dynamic", "start_ip": start, "end_ip": end}
        made: object = self._request("POST", "ipranges/", data=data).json()
        return _number(cast("dict[str, object]", made).get("id"))

    def delete_range(self, number: int) -> None:
        """Take a range of addresses away."""
        self._request("DELETE", f"ipranges/{number}/")

    def turn_dhcp_on(self, vlan: VLAN, primary: str, secondary: str) -> None:
        """Have racks serve DHCP on a VLAN."""
        data = {"dhcp_on": "true", "primary_rack": primary}
        self._request(
            "PUT", vlan.path, data=data | ({"secondary_rack": secondary} if secondary else {})
        )

    def set_racks(self, vlan: VLAN, primary: str, secondary: str) -> None:
        """Give a VLAN its racks. MAAS takes a change of both in two steps only."""
        if primary != vlan.primary:
            self._request("PUT", vlan.path, data={"primary_rack": primary})
        self._request("PUT", vlan.path, data={"secondary_rack": secondary})

    def delete(self, kind: str, system_id: str, *, force: bool = False) -> bool:
        """Delete a controller; returns whether it was still there.

        Forced, MAAS lets also the last rack of a VLAN with DHCP go; never a region that runs.
        """
        params = {"force": "true"} if force else None
        try:
            self._request("DELETE", f"{KINDS[kind]}/{system_id}/", params)
        except APIError as error:
            if error.status == requests.codes.not_found:
                return False
            raise
        return True

    def get_config(self, name: str) -> object:
        """Return a setting of MAAS's own, None where it has none."""
        return self._request("GET", "maas/", {"op": "get_config", "name": name}).json()

    def set_config(self, name: str, value: str) -> None:
        """Set a setting of MAAS's own."""
        self._request("POST", "maas/", {"op": "set_config"}, {"name": name, "value": value})

    def api_keys(self) -> list[str]:
        """Return every API key of the user whose key this is."""
        params = {"op": "list_authorisation_tokens"}
        answer: object = self._request("GET", "account/", params).json()
        return [str(one.get("token", "")) for one in _objects(answer)]

    def create_api_key(self) -> str:
        """Make another API key for the same user."""
        params = {"op": "create_authorisation_token"}
        made: object = self._request("POST", "account/", params).json()
        fields = cast("dict[str, object]", made)
        return ":".join(str(fields[name]) for name in KEY_FIELDS)

    def delete_api_key(self, api_key: str) -> None:
        """Delete an API key of the same user."""
        params, token = {"op": "delete_authorisation_token"}, api_key.split(":")[1]
        self._request("POST", "account/", params, {"token_key": token})

    def _list(self, kind: str) -> list[Controller]:
        answer: object = self._request("GET", f"{KINDS[kind]}/").json()
        found = [_controller(kind, one) for one in _objects(answer)]
        return sorted(found, key=lambda one: one.hostname)

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> requests.Response:
        url = f"{self._base}/{path}"
        try:
            answer = self._session.request(
                method, url, params=params, data=data, timeout=self._timeout_s
            )
        except requests.RequestException as error:
            raise APIError(f"MAAS does not answer: {type(error).__name__}") from error
        if answer.status_code == requests.codes.unauthorized:
            # MAAS's own words may have the key's secret in them.
            raise APIError("MAAS refuses the API key", answer.status_code)
        if not answer.ok:
            raise APIError(refusal.reason(answer), answer.status_code)
        return answer


def ask(question: Callable[[Client], Answer]) -> Answer:
    """Ask MAAS as the charms' own administrator; raises APIError or accounts.AccountError.

    Where MAAS refuses the key, for its database was replaced or restored, it is fetched anew.
    """
    try:
        return question(Client(accounts.internal_api_key()))
    except APIError as error:
        if error.status != requests.codes.unauthorized:
            raise
        accounts.forget()
        return question(Client(accounts.internal_api_key()))


def renew_key() -> str:
    """Make another API key for the charms' own administrator; every one of before is deleted.

    A region that has an old one is refused with it, and fetches the new one. Raises as ask().
    """
    new = ask(lambda client: client.create_api_key())
    # Before the others go: from here on whatever ends this leaves a key that works.
    accounts.keep(new)
    client = Client(new)
    for old in client.api_keys():
        if old != new:
            client.delete_api_key(old)
    return new


def _controller(kind: str, item: dict[str, object]) -> Controller:
    # Of a machine that is a rack as well, the region's entry has its rackd, too.
    services = cast("list[dict[str, str]]", item.get("service_set", []) if kind == "rack" else [])
    rackd = [one.get("status", "") for one in services if one.get("name") == "rackd"]
    return Controller(
        kind,
        str(item["system_id"]),
        str(item.get("hostname", "")),
        rackd[0] if rackd else "",
        _links(item),
    )


def _links(item: dict[str, object]) -> tuple[tuple[int, str], ...]:
    return tuple(
        (_number(cast("dict[str, object]", one.get("vlan") or {}).get("id")), str(address))
        for one in _objects(item.get("interface_set"))
        for link in _objects(one.get("links"))
        if (address := link.get("ip_address"))
    )


def _vlan(item: dict[str, object]) -> VLAN:
    return VLAN(
        f"{item.get('fabric', '')} {item.get('name', '')}".strip(),
        _number(item.get("id")),
        f"fabrics/{item.get('fabric_id')}/vlans/{item.get('vid')}/",
        str(item.get("primary_rack") or ""),
        str(item.get("secondary_rack") or ""),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _objects(answer: object) -> list[dict[str, object]]:
    """Return the objects of a list."""
    items = cast("list[object]", answer) if isinstance(answer, list) else []
    return [cast("dict[str, object]", one) for one in items if isinstance(one, dict)]
