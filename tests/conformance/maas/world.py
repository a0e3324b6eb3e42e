# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Two regions, two racks and a database, led through the story that was recorded."""

import contextlib
import dataclasses
import http.client
import json
import shlex
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from charmed_lab.machines import Machines

KEY = ("4PRZ78JcLeywKsmVYw", "gkjdWuBH4uLdK2jQmH", "vC7LdQzsDbrjdwPYgPACW5UTSeG7ccKW")
SECOND_KEY = ("Dvgz84raRC2Hr8Mu7C", "GTkbdgk6NXG8KYs5nU", "Sgnedgfws7hrUqCnb8gt48FLxz2kYPk2")
# What the recorded controllers were called by MAAS, in 3.7.3 and (for some answers) 3.4.10.
SYSTEM_IDS = {
    "rc8efe": "r1",
    "dptmfc": "r2",
    "wwtnny": "k1",
    "hsgcck": "k2",
    "wyykb4": "k1",
    "6ewb3w": "k2",
}
GONE_TIMEOUT_S = 120


@dataclasses.dataclass(frozen=True)
class Cast:
    """Who plays whom: names, machines, database and workers of one model."""

    hosts: dict[str, str]
    machines: dict[str, str]
    database: str = "maasdb"
    password: str = "maaspw1"
    admin: str = "admin"
    workers: int = 2
    words: dict[str, str] = dataclasses.field(default_factory=dict)


# Racks have machines between .20 and .30, as when a range across them was asked for.
RECORDED = Cast(
    hosts={name: name for name in ("r1", "r2", "k1", "k2")},
    machines={"r1": "31", "r2": "32", "k1": "13", "k2": "14"},
)
OTHER = Cast(
    hosts={"r1": "south", "r2": "north-2", "k1": "east", "k2": "west"},
    machines={"r1": "34", "r2": "33", "k1": "16", "k2": "15"},
    database="othermaas",
    password="Another1",
    admin="operator",
    workers=3,
    words={"recorded": "renamed", "ntp.example.com": "clock.example.org", "fifty": "half"},
)


class World:
    """The machines in the state that a moment of the recorded story found them in."""

    def __init__(self, machines: Machines, cast: Cast) -> None:
        self.machines = machines
        self.cast = cast
        self.observed: dict[str, Any] = {}
        # What waits for the region that was killed to be gone.
        self.loss: Future[None] = Future()
        self._addresses: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        self._keys: list[tuple[str, ...]] = []
        self._events = iter(_story(self))
        self._next = next(self._events)

    # --- the machines

    def run(self, host: str, command: str, *, check: bool = True, **options: Any) -> str:
        """Run a shell command on a host and return its output."""
        done = self.machines.exec(self.cast.machines[host], ["sh", "-c", command], **options)
        if check and done.returncode:
            raise AssertionError(
                f"{host}: {command}: {done.stderr.decode()}{done.stdout.decode()}"
            )
        return done.stdout.decode()

    def address(self, host: str) -> str:
        """Return a host's address, which stays as it is."""
        if host not in self._addresses:
            self._addresses[host] = self.machines.address(self.cast.machines[host])
        return self._addresses[host]

    def names(self) -> dict[str, str]:
        """Return what each recorded name, address and key is here."""
        prefix = self.address("r1").rpartition(".")[0]
        found = {f"10.99.0.{n}": f"{prefix}.{n}" for n in range(256)}
        found |= {"10.99.0.11": self.address("r1"), "10.99.0.12": self.address("r2")}
        found |= {"10.99.0.21": self.address("k1"), "10.99.0.22": self.address("k2")}
        found |= {"10.99.0.5": self.address("r1")}
        found |= self.cast.hosts | self.cast.words
        found |= {f"{old}.maas": f"{new}.maas" for old, new in self.cast.hosts.items()}
        found |= {"maasdb": self.cast.database, "maaspw1": self.cast.password}
        found |= {"admin": self.cast.admin, "wrongpw": "wrong"}
        for recorded, host in SYSTEM_IDS.items():
            if host in self._ids:
                found[recorded] = self._ids[host]
        for recorded, live in zip((KEY, SECOND_KEY), self._keys, strict=False):
            found |= dict(zip(recorded, live, strict=True))
        return found

    # --- the story

    def advance(self, moment: str) -> None:
        """Let everything happen that had happened before a moment of the recording."""
        while self._next[0] <= moment:
            event = self._next[1]
            self._next = next(self._events, ("9999", lambda: None))
            event()

    def learn(self, output: str) -> None:
        """Note the keys that a command printed."""
        for line in output.splitlines():
            key = tuple(line.split()[0].split(":"))
            if len(key) == 3 and key not in self._keys:
                self._keys.append(key)

    def read_id(self, host: str) -> str:
        """Return a controller's own ID, once it has one, and remember it."""
        deadline = time.monotonic() + 60
        while not (found := self.run(host, "cat /var/lib/maas/maas_id || :").strip()):
            assert time.monotonic() < deadline, f"{host} got no ID"
            time.sleep(0.5)
        self._ids[host] = found
        return found

    # --- requests

    def request(
        self, host: str, method: str, path: str, body: str | None = None, key: str | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Send a request to a region's nginx; return status, headers, body."""
        headers = {} if key is None else {"Authorization": key}
        if body is not None and method != "GET":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(self.address(host), 5240, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    def sign(self) -> str:
        """Return an Authorization header with the first key."""
        consumer, token, secret = self._keys[0]
        fields = {
            "oauth_version": "1.0",
            "oauth_signature_method": "PLAINTEXT",
            "oauth_consumer_key": consumer,
            "oauth_token": token,
            "oauth_signature": f"%26{secret}",
            "oauth_nonce": uuid.uuid4().hex,
            "oauth_timestamp": str(int(time.time())),
        }
        return "OAuth " + ", ".join(f'{name}="{value}"' for name, value in fields.items())

    def get(self, host: str, path: str) -> Any:
        """Return what the API answers on a path."""
        status, _, body = self.request(host, "GET", f"/MAAS/api/2.0/{path}", None, self.sign())
        assert status == 200, body
        return json.loads(body)

    def loops(self, host: str) -> set[str] | int:
        """Return the hosts in a region's list of workers, or the status if there is no list."""
        try:
            status, _, body = self.request(host, "GET", "/MAAS/rpc/")
        except OSError:
            return 0
        if status != 200:
            return status
        return {name.partition(":")[0] for name in json.loads(body)["eventloops"]}

    def rackd(self, host: str) -> str | None:
        """Return what MAAS says of a rack's rackd, None if it does not know the rack."""
        query = urllib.parse.urlencode({"hostname": self.cast.hosts[host]})
        for rack in self.get("r1", f"rackcontrollers/?{query}"):
            for service in rack["service_set"]:
                if service["name"] == "rackd":
                    return f"{service['status']} {service['status_info']}".strip()
        return None

    @contextlib.contextmanager
    def watch(self, name: str, look: Callable[[], Any]) -> Iterator[list[tuple[float, Any]]]:
        """Note every change of what is seen, with the seconds since now."""
        seen: list[tuple[float, Any]] = []
        done = threading.Event()
        start = time.monotonic()

        def keep_looking() -> None:
            while not done.wait(0.1):
                found = look()
                if not seen or seen[-1][1] != found:
                    seen.append((round(time.monotonic() - start, 1), found))

        watcher = threading.Thread(target=keep_looking)
        watcher.start()
        try:
            yield seen
        finally:
            done.set()
            watcher.join()
        self.observed[name] = seen

    def wait(self, look: Callable[[], Any], wanted: Any, timeout_s: float = 60) -> float:
        """Wait until something is seen; return how long it took."""
        start = time.monotonic()
        while (found := look()) != wanted:
            assert time.monotonic() - start < timeout_s, f"{found!r} instead of {wanted!r}"
            time.sleep(0.3)
        return time.monotonic() - start

    def sql(self, statement: str, database: str = "postgres") -> list[list[str]]:
        """Run SQL as the database's administrator and return its rows."""
        command = (
            f"runuser -u postgres -- psql -AtX -F '|' -d {database} -c {shlex.quote(statement)}"
        )
        return [line.split("|") for line in self.run("r1", command).splitlines()]

    def write_region_conf(self, host: str) -> None:
        """Write the region's file as it was when the daemons ran."""
        own = self.address(host)
        self.run(
            host,
            "maas-region local_config_set"
            f" --maas-url http://{self.address('r1')}:5240/MAAS --broadcast-address {own}"
            f" --database-host {self.address('r1')} --database-name {self.cast.database}"
            f" --database-pass {self.cast.password} --num-workers {self.cast.workers}"
            "; chown maas:maas /etc/maas/regiond.conf; chmod 640 /etc/maas/regiond.conf",
        )


def _story(world: World) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield what happened between the recordings, and when."""
    from story import EVENTS  # The story knows the world.

    for moment, event in EVENTS:
        yield moment, lambda event=event: event(world)
    while True:
        yield "9999", lambda: None
