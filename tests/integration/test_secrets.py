# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""MAAS's shared secret and the charms' API key are changed while requests are served."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator

import jubilant
import pytest
import requests
import requests_oauthlib
import restarts
from arguments import Arguments
from maas import MAAS, eventually
from prober import Prober
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
APPS = ("maas-region", "maas-rack")
SECRET = "/var/lib/maas/secret"
KEY = "/var/lib/charmed-maas/api-key"
# Of MAAS's user in the database.
PASSWORD = 'sed -n "s/^database_pass: //p" /etc/maas/regiond.conf'
FOLLOWED_S = 900
# At most from one look at the racks to the next, on average: a rack is away for longer.
LOOK_S = 5
ROTATE = "JUJU_DISPATCH_PATH=hooks/secret-rotate JUJU_SECRET_ID={} JUJU_SECRET_LABEL={} ./dispatch"
BEFORE = "/root/secret-of-before"


class Racks:
    """What MAAS says of the racks while something changes, asked all the time."""

    def __init__(self, maas: MAAS) -> None:
        self._maas = maas
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks = self.most_away = 0
        self._began = self._lasted_s = 0.0

    def __enter__(self) -> "Racks":
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._lasted_s = time.monotonic() - self._began
        self._stopping.set()
        self._thread.join()

    def assert_one_away_at_most(self) -> None:
        """Assert that no two racks were away at once, on looks enough to have seen it."""
        assert self.looks >= self._lasted_s / LOOK_S - 1, f"in {self._lasted_s:.0f} s"
        assert self.most_away <= 1

    def _look(self) -> None:
        while not self._stopping.wait(0.5):
            try:
                states = self._maas.racks_connected().values()
            except (requests.RequestException, KeyError, StopIteration):
                continue
            self.looks += 1
            away = sum(state not in ("running", "degraded") for state in states)
            self.most_away = max(self.most_away, away)


@pytest.fixture
def before(maas: MAAS) -> Iterator[str]:
    """Keep the shared secret of before in a file of the regions and racks; returns it."""
    maas.wait_complete()
    units = [unit for app in APPS for unit in maas.units(app)]
    for unit in units:
        maas.on_machine(unit, f"install -m 600 {SECRET} {BEFORE}")
    yield maas.on_machine(units[0], f"cat {SECRET}").strip()
    for unit in units:
        maas.on_machine(unit, f"rm -f {BEFORE}")


def _on_all(maas: MAAS, path: str, *apps: str) -> set[str]:
    """What a file has on each unit's machine."""
    return {
        maas.on_machine(unit, f"cat {path}").strip() for app in apps for unit in maas.units(app)
    }


def _wait_followed(maas: MAAS, before: str) -> str:
    """Wait until every region and rack has the same new secret; returns it."""

    def have_followed() -> bool:
        found = _on_all(maas, SECRET, *APPS)
        return len(found) == 1 and before not in found

    eventually(have_followed, timeout_s=FOLLOWED_S, what="one new secret on all machines")
    maas.wait_complete()
    (new,) = _on_all(maas, SECRET, *APPS)
    return new


def _assert_told_nowhere(maas: MAAS, task: jubilant.Task, *words: str) -> None:
    log = maas.juju.debug_log()
    journals = "".join(
        maas.on_machine(unit, "journalctl --no-pager -o cat --since -1h")
        for app in APPS
        for unit in maas.units(app)
    )
    databags = "".join(
        maas.juju.cli("show-unit", unit) for app in APPS for unit in maas.units(app)
    )
    for word in words:
        assert word not in str(task.results) + str(task.log)
        assert word not in log
        assert word not in journals
        assert word not in databags


def _is_admitted(maas: MAAS, key: str) -> bool:
    consumer, token, secret = key.split(":")
    session = requests_oauthlib.OAuth1Session(
        consumer,
        resource_owner_key=token,
        resource_owner_secret=secret,
        signature_method="PLAINTEXT",
    )
    answer = session.get(f"{maas.url}/api/2.0/users/?op=whoami", timeout=30)
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


@pytest.mark.long
def test_both_secrets_are_changed_and_one_rack_at_a_time_is_away(
    maas: MAAS, watch: Watch, before: str
):
    eventually(
        lambda: len(_on_all(maas, KEY, "maas-region")) == 1,
        timeout_s=300,
        what="one API key on all regions",
    )
    (old_key,) = _on_all(maas, KEY, "maas-region")
    prober, _ = watch()
    regions = restarts.last(maas, "maas-region")
    with Arguments(maas) as arguments:
        with Racks(maas) as racks:
            task = maas.juju.run(maas.leader("maas-region"), "rotate-secrets")
            new = _wait_followed(maas, before)
        racks.assert_one_away_at_most()
        restarts.assert_one_at_a_time(regions, restarts.last(maas, "maas-region"))
        eventually(
            lambda: len(found := _on_all(maas, KEY, "maas-region")) == 1 and old_key not in found,
            timeout_s=300,
            what="one new API key on all regions",
        )
        (new_key,) = _on_all(maas, KEY, "maas-region")
        assert _is_admitted(maas, new_key)
        assert not _is_admitted(maas, old_key)
        words = {part for key in (old_key, new_key) for part in key.split(":")[2:]}
        words |= {before, new, *_passwords(maas)}
        arguments.assert_without(*words)
    _assert_told_nowhere(maas, task, *words)
    prober.assert_no_failed_read()


def _passwords(maas: MAAS) -> set[str]:
    """The passwords by which the regions log in to the database."""
    units = maas.units("maas-region")
    return {maas.on_machine(unit, PASSWORD).strip().strip("'") for unit in units}


@pytest.mark.long
def test_the_password_of_an_administrator_comes_by_a_secret_and_is_told_nowhere(maas: MAAS):
    name, password = f"clerk-{secrets.token_hex(4)}", secrets.token_hex(16)
    secret = maas.juju.add_secret(name, {"password": password})
    maas.juju.grant_secret(name, "maas-region")
    asked = {"username": name, "email": f"{name}@example.com", "password-secret": str(secret)}
    try:
        with Arguments(maas) as arguments:
            task = maas.juju.run(maas.leader("maas-region"), "create-admin", asked)
            threading.Event().wait(LOOK_S)
            arguments.assert_without(password, *_passwords(maas))
    finally:
        maas.juju.remove_secret(name)
    _assert_told_nowhere(maas, task, password, *_passwords(maas))


@pytest.mark.long
def test_a_rack_with_the_secret_of_before_is_refused(maas: MAAS, before: str):
    maas.juju.run(maas.leader("maas-region"), "rotate-secrets")
    _wait_followed(maas, before)
    unit = next(name for name, one in maas.units("maas-rack").items() if not one.leader)
    host = maas.on_machine(unit, "hostname -s").strip()
    try:
        maas.on_machine(unit, f"cp {SECRET} {BEFORE}.new; systemctl stop maas-rackd")
        # The owner and the mode stay.
        maas.on_machine(unit, f"cat {BEFORE} > {SECRET}; systemctl start maas-rackd")
        eventually(
            lambda: maas.racks_connected()[host] == "dead", timeout_s=240, what="the rack refused"
        )
        with Racks(maas) as racks:
            threading.Event().wait(20)
        racks.assert_one_away_at_most()
        assert maas.racks_connected()[host] == "dead"
    finally:
        maas.on_machine(
            unit, f"cat {BEFORE}.new > {SECRET}; rm {BEFORE}.new; systemctl restart maas-rackd"
        )
    maas.wait_complete()


@pytest.mark.long
def test_juju_rotates_them_as_well(maas: MAAS, watch: Watch, before: str):
    maas.juju.config("maas-region", {"secret-rotation": "yearly"})
    try:
        _assert_juju_rotates(maas, watch, before)
    finally:
        maas.juju.config("maas-region", reset="secret-rotation")
    maas.wait_settled()


def _assert_juju_rotates(maas: MAAS, watch: Watch, before: str) -> None:
    labels = {"shared-secret", "internal-api-key"}

    def found() -> dict[str, jubilant.Secret]:
        secrets = maas.juju.secrets(owner="maas-region")
        return {one.label: one for one in secrets if one.label in labels}

    eventually(
        lambda: [one.rotation for one in found().values()] == ["yearly"] * 2,
        timeout_s=300,
        what="both to be rotated yearly",
    )
    (old_key,) = _on_all(maas, KEY, "maas-region")
    prober, _ = watch()
    leader = maas.leader("maas-region")
    with Racks(maas) as racks:
        for label, secret in found().items():
            # What Juju runs in a year.
            maas.juju.exec(ROTATE.format(secret.uri, label), unit=leader)
        _wait_followed(maas, before)
    racks.assert_one_away_at_most()
    assert not _is_admitted(maas, old_key)
    prober.assert_no_failed_read()
