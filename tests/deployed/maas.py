# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the stories ask the deployed bundle."""

import contextlib
import functools
import ipaddress
import json
import os
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jubilant
import requests
import requests_oauthlib
import yaml
from prober import Prober
from writers import SITE_PACKAGES, TABLE

BUNDLE = Path(os.environ.get("BUNDLE", "bundle.yaml")).resolve()
READ_ROWS = f"""
import glob, sys, json
sys.path[:0] = glob.glob("{SITE_PACKAGES}")
import psycopg2, yaml
c = yaml.safe_load(open("/etc/maas/regiond.conf"))
d = psycopg2.connect(host=c["database_host"], port=c["database_port"], dbname=c["database_name"],
    user=c["database_user"], password=c["database_pass"], connect_timeout=10)
k = d.cursor(); k.execute("SELECT writer, number FROM {TABLE}"); print(json.dumps(k.fetchall()))
"""

UPDATE_STATUS = "update-status-hook-interval"
GONE_S = 900
# For so long reads may fail without a primary. The lease of 20 s runs out first; 18 to 24 s were
# measured (docs/faults.md), this is for noise.
FAILOVER_S = 60
# By the number of members: docs/scale.md.
VOTERS = {1: 1, 2: 1, 3: 3, 4: 3, 5: 5}
# A second synchronous standby from five members on, where two may be lost.
SYNCHRONOUS = {0: 0, 1: 0, 2: 1, 3: 1, 4: 1, 5: 2}
# What Patroni calls a leader, and a replica that follows one; another version says `running`.
RUNNING = ("running", "streaming")
TLS = "/etc/postgresql-ha/tls"
ETCD_MEMBERS = (
    f"ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert={TLS}/ca.crt"
    f" --cert={TLS}/unit.crt --key={TLS}/unit.key member list"
)
HOOK_FAILED = re.compile(r'^unit-(\S+): .* hook "([a-z-]+)" .*failed: ', re.MULTILINE)
LOCK_HOLDER = (
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = \\$\\$advisory\\$\\$ AND granted AND (classid, objid) = (1668112737, {})"
)


def eventually(ready: Callable[[], bool], *, timeout_s: float, what: str) -> float:
    """Wait until a condition holds; returns the seconds it took. Errors of HTTP count as no."""
    start = time.monotonic()
    while time.monotonic() < start + timeout_s:
        try:
            if ready():
                return time.monotonic() - start
        except (requests.RequestException, KeyError, jubilant.CLIError):
            pass
        time.sleep(1)
    raise AssertionError(f"not within {timeout_s:g} s: {what}")


def eventually_some(find: Callable[[], str], *, timeout_s: float) -> str:
    """Wait until something is found and return it; asks five times a second."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(jubilant.CLIError):
            if found := find():
                return found
        time.sleep(0.2)
    raise AssertionError(f"nothing found within {timeout_s:g} s")


def wait_answered(prober: Prober, *, timeout_s: float) -> float:
    """Wait until 20 reads in a row that begin from now on are answered; returns the seconds."""
    now = time.time()

    def are_answered() -> bool:
        last = [read for read in prober.report.reads if read.began >= now][-20:]
        return len(last) == 20 and not any(read.failed for read in last)

    return eventually(are_answered, timeout_s=timeout_s, what="20 reads in a row answered")


class MAAS:
    """The deployed bundle, asked from outside the machines."""

    def __init__(self, juju: jubilant.Juju) -> None:
        self.juju = juju
        # Units whose hooks a story has fail.
        self.to_fail: set[str] = set()
        self._url = ""

    @property
    def vip(self) -> str:
        """The VIP that the operator set."""
        return str(self.juju.config("haproxy-vip")["vip"]).partition("/")[0]

    @property
    def url(self) -> str:
        """The MAAS URL that leads through the VIP, as the options say."""
        if self._url:
            return self._url
        port = int(self.juju.config("haproxy-vip")["port"])
        return f"http://{self.vip}/MAAS" if port == 80 else f"http://{self.vip}:{port}/MAAS"

    @contextlib.contextmanager
    def without_controller(self, power: Callable[..., None]) -> Iterator[None]:
        """Take Juju's controller away meanwhile; MAAS is asked by the URL of before."""
        _, self._url = self.session, self.url
        power("controller-down")
        try:
            yield
        finally:
            power("controller-up")
            self._url = ""

    @contextlib.contextmanager
    def update_status_every(self, interval: str) -> Iterator[None]:
        """Have update-status so often meanwhile."""
        before = self.juju.model_config()[UPDATE_STATUS]
        self.juju.model_config({UPDATE_STATUS: interval})
        yield
        self.juju.model_config({UPDATE_STATUS: before})

    def failed_hooks(self) -> list[tuple[str, str]]:
        """Return the unit and the hook of each failure that Juju has logged, in order."""
        log = self.juju.cli("debug-log", "--replay", "--no-tail", "--level", "ERROR")
        found = HOOK_FAILED.findall(log)
        return [("/".join(tag.rsplit("-", 1)), hook) for tag, hook in found]

    def units(self, app: str) -> dict[str, jubilant.statustypes.UnitStatus]:
        """The units of an application by name."""
        return self.juju.status().apps[app].units

    def free_address(self) -> str:
        """An address of the machines' subnet that neither a machine nor the VIP has."""
        machines = self.juju.status().machines.values()
        # One that is being made has none yet.
        taken = {self.vip, *(one for machine in machines for one in machine.ip_addresses[:1])}
        return str(max(map(ipaddress.ip_address, taken)) + 20)

    def leader(self, app: str) -> str:
        """The name of the leader's unit."""
        return next(name for name, unit in self.units(app).items() if unit.leader)

    def machine(self, unit: str) -> str:
        """The number of a unit's machine."""
        return self.units(unit.partition("/")[0])[unit].machine

    def machines_in_use(self) -> list[str]:
        """The machines that have units: Juju removes the others. By number."""
        apps = self.juju.status().apps.values()
        return sorted({unit.machine for app in apps for unit in app.units.values()}, key=int)

    def machines_without(self, app: str) -> list[str]:
        """The machines in use that have no unit of an application, by number."""
        taken = {unit.machine for unit in self.units(app).values()}
        return [machine for machine in self.machines_in_use() if machine not in taken]

    def wait_settled(self, *, timeout_s: float = 900) -> None:
        """Wait until every unit is active and idle; a hook error fails at once."""
        self._wait(lambda status: not _unsettled(status), timeout_s=timeout_s)

    def wait_others_settled(self, machine: str, *, timeout_s: float = 600) -> None:
        """Wait until every unit that is not on the machine is active and idle."""
        self._wait(lambda status: not _unsettled(status, but_on=machine), timeout_s=timeout_s)

    def wait_whole(self) -> None:
        """Wait until all is settled, replicated, and every region in rpc."""
        self.wait_settled()
        self.wait_replicated()
        regions = len(self.units("maas-region"))
        eventually(lambda: len(self.rpc()) == regions, timeout_s=240, what="every region in rpc")

    def wait_complete(self) -> None:
        """Wait until all is whole, the planned members vote, every rack knows every region."""
        self.wait_whole()
        eventually(self.is_voted, timeout_s=120, what="voters in etcd by the plan")
        self.wait_racks_connected()

    def wait_racks_connected(self, *, no_others: bool = False) -> None:
        """Wait until every rack is connected to every region, and MAAS may list no others."""
        racks = sum(
            len(app.units)
            for app in self.juju.status().apps.values()
            if app.charm_name == "maas-rack"
        )
        eventually(
            lambda: (
                (found := list(self.racks_connected().values())).count("running") == racks
                and not (no_others and len(found) > racks)
            ),
            timeout_s=240,
            what="every rack connected to every region",
        )

    def wait_gone(self, *units: str) -> None:
        """Wait until units are gone and all others are active and idle."""
        self._wait(
            lambda status: (
                not any(unit in status.apps[unit.partition("/")[0]].units for unit in units)
                and not _unsettled(status)
            ),
            timeout_s=GONE_S,
        )

    def remove_applications(self, *apps: str) -> None:
        """Remove those of these that are there, and wait until all others are active."""
        there = [app for app in apps if app in self.juju.status().apps]
        for app in there:
            self.juju.remove_application(app)
        self.juju.wait(
            lambda status: (
                not set(there) & set(status.apps)
                and jubilant.all_active(status)
                and jubilant.all_agents_idle(status)
            ),
            error=jubilant.any_error,
        )

    def _wait(self, ready: Callable[[jubilant.Status], bool], *, timeout_s: float) -> None:
        """Wait until Juju's status is so; a hook error fails at once, as the time does."""
        try:
            self.juju.wait(ready, error=jubilant.any_error, timeout=timeout_s)
        except TimeoutError:
            unsettled = "; ".join(_unsettled(self.juju.status())) or "none at its end"
            raise AssertionError(f"within {timeout_s:g} s not settled: {unsettled}") from None

    def wait_forgotten(self, app: str) -> None:
        """Wait until MAAS knows exactly the controllers whose units Juju knows.

        MAAS lets a controller go only minutes after its processes ended, and a rack stays until
        its DHCP has moved: two minutes until it is dead, the grace, and three more at most.
        """
        if kind := {"maas-region": "region", "maas-rack": "rack"}.get(app):
            machines = self.juju.status().machines
            names = {machines[unit.machine].hostname for unit in self.units(app).values()}
            eventually(
                lambda: set(self.controllers(kind)) == names,
                timeout_s=480,
                what=f"MAAS knows exactly the {kind}s that Juju knows",
            )

    def rpc(self) -> set[str]:
        """The host names of the regions that MAAS lists in /MAAS/rpc/."""
        answer = requests.get(f"{self.url}/rpc/", timeout=10)
        answer.raise_for_status()
        return {name.partition(":")[0] for name in answer.json()["eventloops"]}

    def get(self, path: str) -> Any:
        """GET from the API as an administrator, through the VIP."""
        answer = self.session.get(f"{self.url}/api/2.0/{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    def setting(self, name: str) -> Any:
        """A setting of MAAS's own, by its name with dashes."""
        return self.get(f"maas/?op=get_config&name={name.replace('-', '_')}")

    def change(self, verb: str, path: str, **data: str) -> Any:
        """POST, PUT or DELETE in the API as an administrator; returns the JSON of the answer."""
        answer = self.session.request(verb, f"{self.url}/api/2.0/{path}", data=data, timeout=30)
        answer.raise_for_status()
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else None

    def set_setting(self, name: str, value: str) -> None:
        """Set it as an operator does in MAAS."""
        self.change("POST", "maas/?op=set_config", name=name.replace("-", "_"), value=value)

    @functools.cached_property
    def session(self) -> requests.Session:
        """A session of an administrator's, who is made when missing."""
        region = self.leader("maas-region")
        who = {"username": "tester"}
        try:
            key = self.juju.run(region, "get-api-key", who).results["api-key"]
        except jubilant.TaskError:
            self.juju.run(region, "create-admin", {**who, "email": "tester@example.com"})
            key = self.juju.run(region, "get-api-key", who).results["api-key"]
        consumer, token, secret = key.split(":")
        session = requests_oauthlib.OAuth1Session(
            consumer,
            resource_owner_key=token,
            resource_owner_secret=secret,
            signature_method="PLAINTEXT",
        )
        # A kept connection would outlive the machine at its other end, unnoticed.
        session.headers["Connection"] = "close"
        return session

    def controllers(self, kind: str) -> dict[str, dict[str, Any]]:
        """MAAS's region or rack controllers by host name; kind is region or rack."""
        return {one["hostname"]: one for one in self.get(f"{kind}controllers/")}

    def racks_connected(self) -> dict[str, str]:
        """The state of rackd on each rack; running means connected to every region."""
        return {
            name: next(one["status"] for one in rack["service_set"] if one["name"] == "rackd")
            for name, rack in self.controllers("rack").items()
        }

    def members(self) -> dict[str, str]:
        """Patroni's members by address, and their roles."""
        return {one["host"]: one["role"] for one in self._members()}

    def _members(self) -> list[dict[str, Any]]:
        """What the first member that answers lists of all of them."""
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        for unit in self.units("postgresql-ha").values():
            url = f"https://{unit.public_address}:8008/cluster"
            try:
                with urllib.request.urlopen(url, timeout=5, context=anybody) as answer:
                    return json.load(answer)["members"]
            except OSError:
                continue
        return []

    def primary(self) -> str:
        """The name of the postgresql-ha unit that Patroni calls leader; KeyError without one."""
        return self._member("leader")

    def synchronous(self) -> str:
        """The name of a unit whose replica is synchronous; KeyError without one."""
        return self._member("sync_standby")

    def _member(self, role: str) -> str:
        address = {role: host for host, role in self.members().items()}[role]
        units = self.units("postgresql-ha").items()
        return next(name for name, unit in units if unit.public_address == address)

    def sql(self, query: str) -> str:
        """Return what the primary says of MAAS's database, "" while there is none.

        It passes two shells: a dollar sign in it is to be escaped for both.
        """
        command = f'cd / && runuser -u postgres -- psql -d maasdb -Atc "{query}"'
        try:
            return self.on_machine(self.primary(), command).strip()
        except (jubilant.CLIError, KeyError):
            return ""

    def lock_holder(self, lock: int) -> str:
        """Return the unit of maas-region that has one of its advisory locks, "" if none has."""
        return self.sql(LOCK_HOLDER.format(lock)).rpartition(" ")[2]

    def voters(self) -> set[str]:
        """The units whose etcd members vote, as the primary's machine lists them."""
        lines = self.on_machine(self.primary(), ETCD_MEMBERS).splitlines()
        voting = {line.split(", ")[2] for line in lines if line.endswith(", false")}
        return {"/".join(name.rsplit("-", 1)) for name in voting}

    def is_voted(self) -> bool:
        """As many members vote as docs/scale.md plans; one vote of two stands at the primary."""
        members, voters = set(self.units("postgresql-ha")), self.voters()
        if len(members) == 2 and self.primary() not in voters:
            return False
        return voters <= members and len(voters) == VOTERS[len(members)]

    def is_replicated(self) -> bool:
        """Every unit is a member that runs, with one leader, and as many synchronous standbys."""
        running = {one["host"]: one["role"] for one in self._members() if one["state"] in RUNNING}
        if set(running) != {unit.public_address for unit in self.units("postgresql-ha").values()}:
            return False
        roles, standbys = sorted(running.values()), SYNCHRONOUS[len(running)]
        return [role for role in roles if role != "replica"] == [
            "leader",
            *["sync_standby"] * standbys,
        ]

    def wait_replicated(self) -> None:
        """Wait until it is so."""
        eventually(self.is_replicated, timeout_s=180, what="every synchronous standby")

    def vip_holder(self) -> str:
        """The name of the haproxy-vip unit that has the VIP."""
        for name in self.units("haproxy-vip"):
            task = self.juju.run(name, "show-vip")
            if task.results.get("holder") in (True, "true", "True"):
                return name
        return ""

    def give_vip(self, holder: str) -> None:
        """Have this unit of haproxy-vip hold the VIP."""
        others = self.units("haproxy-vip").keys() - {holder}
        try:
            for other in others:
                self.juju.run(other, "pause")
        finally:
            for other in others:
                self.juju.run(other, "resume")
        assert self.vip_holder() == holder

    def rows(self) -> set[tuple[str, int]]:
        """Every row that the writers' table has, read through a region's own proxy."""
        for unit in self.units("maas-region"):
            try:
                out = self.juju.ssh(unit, f"sudo python3 -c '{READ_ROWS}'")
            except jubilant.CLIError:
                continue
            return {(str(writer), int(number)) for writer, number in json.loads(out)}
        raise AssertionError("no region could read the rows")

    def on_machine(self, unit: str, command: str) -> str:
        """Run a shell command on a unit's machine as root."""
        return self.juju.ssh(unit, f"sudo sh -c '{command}'")


def _unsettled(status: jubilant.Status, *, but_on: str = "") -> list[str]:
    """Return what is not active or not idle, and what it says; but a machine's units."""
    apps = [
        f"{name} {app.app_status.current}"
        for name, app in status.apps.items()
        if app.app_status.current != "active" and not but_on
    ]
    return apps + [
        f"{name} {unit.workload_status.current} {unit.workload_status.message!r},"
        f" agent {unit.juju_status.current} {unit.juju_status.message!r}"
        for app in status.apps.values()
        for name, unit in app.units.items()
        if not (but_on and unit.machine == but_on)
        and (unit.workload_status.current, unit.juju_status.current) != ("active", "idle")
    ]


def charm_of(app: str) -> Path:
    """Return the path of the charm file that the bundle deploys for an application."""
    return (
        BUNDLE.parent / yaml.safe_load(BUNDLE.read_text())["applications"][app]["charm"]
    ).resolve()
