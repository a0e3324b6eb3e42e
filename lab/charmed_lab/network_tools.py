# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The hook tools about addresses."""

from typing import Any

from .arguments import UsageError
from .model import JujuError
from .toolcall import Call, Context


class NetworkTools(Context):
    """The unit's addresses, as an endpoint's network and alone."""

    def _do_network_get(self, call: Call) -> Any:
        found = self._network(call)
        asked = [found[key] for key in ("ingress-addresses", "egress-subnets") if call.flag(key)]
        if call.flag("ingress-address"):
            asked.append(found["ingress-addresses"])
        address = found["bind-addresses"][0]["addresses"][0]["value"]
        asked += [[address] for key in ("bind-address", "primary-address") if call.flag(key)]
        if asked:
            return asked[0][0]
        if call.get("format") != "json":
            # Its YAML says some things twice, under older names.
            for link in found["bind-addresses"]:
                for one in link["addresses"]:
                    one["address"] = one["value"]
                link |= {"macaddress": link["mac-address"]}
                link |= {"interfacename": link["interface-name"]}
        return found

    def _network(self, call: Call) -> dict[str, Any]:
        """Return all about the network of an endpoint."""
        binding = call.words[0]
        if binding != "juju-info" and binding not in self.model.charm_of(self.app_name).endpoints:
            raise JujuError(f'no network config found for binding "{binding}"')
        machine = self.model.machines[self.unit.machine]
        address = machine.address
        subnet = ".".join(address.split(".")[:3]) + ".0/24"
        one = {"hostname": address, "value": address, "cidr": subnet}
        link = {"mac-address": machine.mac, "interface-name": "eth0", "addresses": [one]}
        egress = {"egress-subnets": [f"{address}/32"]}
        return {"bind-addresses": [link], **egress, "ingress-addresses": [address]}

    def _do_unit_get(self, call: Call) -> str:
        setting = call.words[0] if call.words else ""
        if setting not in ("private-address", "public-address"):
            raise UsageError(f'unknown setting "{setting}"')
        return self.model.machines[self.unit.machine].address
