# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Every option is changed to each kind of legal value and back while requests are served."""

import contextlib
import http.client
import ipaddress
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import charm_options
import jubilant
import pytest
import restarts
from changes import Changes
from each_region import EachRegion
from maas import MAAS, eventually, wait_answered
from prober import Prober, Report
from writers import Writers

Watch = Callable[[], tuple[Prober, Writers]]
Figure = Callable[[str, float], None]
Keep = Callable[[Report], None]
Options = Mapping[str, Any]
VIP_APP = charm_options.VIP_APP
IN_EFFECT_S = 600
RELOADED_S = 60

SYNCHRONOUS = 'cd / && runuser -u postgres -- psql -Atc "SHOW synchronous_standby_names"'
WALRECEIVER = "pkill -{} -f ^postgres:.*walreceiver"

# The MAAS URL that a unit's daemon reads when it starts.
URLS = {
    "maas-region": 'sed -n "s/^maas_url: //p" /etc/maas/regiond.conf',
    "maas-rack": 'grep -o "http[^ ]*" /etc/maas/rackd.conf | head -1',
}
OWN_NAME = "maas.test"

# Where a rack's timer reads after how many seconds a dead rack is replaced, and where those of the
# regions read it, with what each rack told that it goes by.
RACKS_GRACE = "cat /var/lib/maas-rack-charm/dhcp-grace 2>/dev/null || echo none"
REGIONS_GRACE = (
    "cd / && runuser -u postgres -- psql -At maasdb -c "
    '"SELECT present_s FROM charmed_maas.dhcp_grace'
    ' UNION SELECT applied_s FROM charmed_maas.dhcp_grace" 2>/dev/null || true'
)

REPOSITORY = "/srv/charmed-maas-test"
NEWER = "99:0"
OFFER = (
    'printf "Package: {package}\\nVersion: {version}\\nArchitecture: all\\nMaintainer: nobody\\n'
    'Filename: ./none.deb\\nSize: 1\\nSHA256: {digest}\\nDescription: none\\n"'
)
SOURCES = {
    "line": f"deb [trusted=yes] file:{REPOSITORY} ./",
    "stanza": f"Types: deb\nURIs: file:{REPOSITORY}\nSuites: ./\nTrusted: yes",
}


def _there_and_back(maas: MAAS, changes: Sequence[tuple[charm_options.Option, Any]]) -> None:
    """Change options of an application together, see each in effect, and again when set back."""
    app = changes[0][0].app
    config = maas.juju.config(app)
    before = {option: option.shown(maas) for option, _ in changes}
    values = {option.name: value for option, value in changes}
    there = {
        option: dict.fromkeys(before[option], option.shows(value)) for option, value in changes
    }
    for wanted, shown in ((values, there), ({key: config[key] for key in values}, before)):
        maas.juju.config(app, wanted)
        eventually(
            lambda shown=shown: all(option.shown(maas) == shown[option] for option in shown),
            timeout_s=IN_EFFECT_S,
            what=f"{wanted} in effect",
        )
        maas.wait_settled()


def test_options_of_the_vip_are_changed_together_and_back(maas: MAAS, watch: Watch):
    prober, _ = watch()
    _there_and_back(maas, [(option, option.values[0]) for option in charm_options.OF_THE_VIP])
    assert len(_places(maas, maas.vip)) == 1
    prober.assert_no_failed_read()


def test_a_kept_connection_outlives_a_reload(maas: MAAS):
    """A change that is sent over one just when it is closed is lost, and few send it again."""
    url = urlsplit(maas.url)

    def ask(connection: http.client.HTTPConnection) -> tuple[int, str | None]:
        connection.request("GET", f"{url.path}/api/2.0/version/")
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Connection")

    reload = threading.Thread(
        target=maas.on_machine, args=(maas.vip_holder(), "systemctl reload haproxy")
    )
    with contextlib.closing(http.client.HTTPConnection(url.netloc, timeout=30)) as connection:
        assert ask(connection) == (200, None)
        connection.auto_open = 0
        reload.start()
        deadline = time.monotonic() + RELOADED_S
        while (answer := ask(connection)) == (200, None) and time.monotonic() < deadline:
            time.sleep(0.1)
    reload.join()
    assert answer == (200, "close")


@pytest.mark.long
@pytest.mark.parametrize("option", charm_options.OPTIONS, ids=str)
def test_an_option_is_changed_to_each_kind_of_value_and_back(
    maas: MAAS, watch: Watch, option: charm_options.Option
):
    prober, _ = watch()
    for value in option.values:
        before = restarts.last(maas, "maas-region")
        _there_and_back(maas, [(option, value)])
        after = restarts.last(maas, "maas-region")
        if option.name == "num-workers":
            restarts.assert_one_at_a_time(before, after)
        else:
            assert after == before
    maas.wait_whole()
    prober.assert_no_failed_read()


def _has_settings(maas: MAAS, wanted: Options) -> bool:
    return {name: maas.setting(name) for name in wanted} == wanted


@pytest.mark.long
def test_settings_that_an_option_names_are_kept_in_maas_and_others_are_the_operators(maas: MAAS):
    before = {name: maas.setting(name) for name in charm_options.OF_MAAS}
    given = {name: value for name, (value, _) in charm_options.OF_MAAS.items()}
    by_hand = {name: value for name, (_, value) in charm_options.OF_MAAS.items()}
    maas.juju.config("maas-region", given)
    eventually(lambda: _has_settings(maas, given), timeout_s=IN_EFFECT_S, what=f"{given} in MAAS")
    for name, value in by_hand.items():
        maas.set_setting(name, value)
    eventually(lambda: _has_settings(maas, given), timeout_s=IN_EFFECT_S, what="them back in MAAS")
    maas.juju.config("maas-region", {"upstream-dns": "nonsense"})
    refused = "upstream-dns: Invalid IP address: nonsense"
    maas.juju.wait(
        lambda status: any(
            unit.is_blocked and refused in unit.workload_status.message
            for unit in status.apps["maas-region"].units.values()
        )
    )
    maas.juju.config("maas-region", reset=list(charm_options.OF_MAAS))
    maas.wait_settled()
    assert _has_settings(maas, given)
    for name, value in by_hand.items():
        maas.set_setting(name, value)
    maas.juju.exec(
        "JUJU_DISPATCH_PATH=hooks/update-status ./dispatch", unit=maas.leader("maas-region")
    )
    assert _has_settings(maas, by_hand)
    for name, value in before.items():
        maas.set_setting(name, value or "")


@pytest.mark.long
def test_a_region_is_paused_and_resumes(maas: MAAS, watch: Watch):
    """No read fails, nor a change, which nobody sends a second time."""
    prober, _ = watch()
    unit = next(name for name, one in maas.units("maas-region").items() if not one.leader)
    with Changes(maas) as changes:
        maas.juju.run(unit, "pause")
        assert maas.units("maas-region")[unit].workload_status.message.startswith("paused")
        is_active = "systemctl is-active maas-regiond maas-http || true"
        assert set(maas.on_machine(unit, is_active).split()) == {"inactive"}
        others = len(maas.units("maas-region")) - 1
        eventually(lambda: len(maas.rpc()) == others, timeout_s=240, what="MAAS without it")
        maas.juju.run(unit, "resume")
        maas.wait_whole()
    print(f"\n  {changes}", end="")
    changes.assert_none_failed()
    prober.assert_no_failed_read()


@pytest.mark.long
def test_regions_restart_in_turn_and_no_change_fails(maas: MAAS, watch: Watch):
    """Two serve at any time; each drains first, and the next waits until it takes requests."""
    prober, _ = watch()
    before = restarts.last(maas, "maas-region")
    workers = int(str(maas.juju.config("maas-region")["num-workers"]))
    option = next(one for one in charm_options.OPTIONS if one.name == "num-workers")
    with EachRegion(maas) as regions, Changes(maas) as changes:
        maas.juju.config("maas-region", {"num-workers": workers - 1})
        eventually(
            lambda: set(option.shown(maas).values()) == {str(workers - 1)},
            timeout_s=IN_EFFECT_S,
            what="one worker less",
        )
        maas.wait_whole()
    restarts.assert_one_at_a_time(before, restarts.last(maas, "maas-region"))
    print(f"\n  {changes}, {regions}", end="")
    assert regions.least() >= len(before) - 1
    changes.assert_none_failed()
    prober.assert_no_failed_read()
    maas.juju.config("maas-region", {"num-workers": workers})
    maas.wait_whole()


@pytest.mark.long
def test_who_replaces_a_dead_rack_and_after_how_long_is_changed_and_back(maas: MAAS, watch: Watch):
    prober, _ = watch()
    before = {app: restarts.last(maas, app) for app in restarts.DAEMONS}
    assert _graces(maas) == {"120"}
    for options, shown in (
        ({"dhcp-ha": False}, "none"),
        ({"dhcp-ha": True, "dhcp-ha-grace": 3600}, "3600"),
        ({"dhcp-ha-grace": 120}, "120"),
    ):
        maas.juju.config("maas-region", options)
        eventually(
            lambda shown=shown: _graces(maas) == {shown},
            timeout_s=IN_EFFECT_S,
            what=f"a grace of {shown} everywhere",
        )
        maas.wait_settled()
    assert {app: restarts.last(maas, app) for app in restarts.DAEMONS} == before
    prober.assert_no_failed_read()


def _graces(maas: MAAS) -> set[str]:
    """What the timers of regions and racks go by."""
    regions = set(maas.on_machine(maas.primary(), REGIONS_GRACE).split())
    return (regions or {"none"}) | {
        maas.on_machine(unit, RACKS_GRACE).strip() for unit in maas.units("maas-rack")
    }


def _places(maas: MAAS, address: str) -> dict[str, str]:
    """On which units' machines an address is: its interface, and the address with its prefix."""
    command = f"ip -o address show to {address}"
    shown = {unit: maas.on_machine(unit, command).split() for unit in maas.units(VIP_APP)}
    return {unit: f"{words[1]} {words[3]}" for unit, words in shown.items() if words}


@pytest.mark.long
def test_the_vip_has_another_prefix_and_its_interface_is_named(maas: MAAS, watch: Watch):
    prober, _ = watch()
    vip, good = maas.vip, maas.juju.config(VIP_APP)
    (before,) = _places(maas, vip).values()
    interface, cidr = before.split()
    prefix = 32 if str(good["vip"]).count("/") else 24
    steps: tuple[tuple[Options, str], ...] = (
        ({"vip": f"{vip}/{prefix}"}, f"{interface} {vip}/{prefix}"),
        ({"vip": good["vip"], "interface": interface}, f"{interface} {cidr}"),
        ({"interface": good["interface"]}, f"{interface} {cidr}"),
    )
    named = charm_options.KEEPALIVED.format("Interface")
    for options, place in steps:
        maas.juju.config(VIP_APP, options)
        eventually(
            lambda place=place: list(_places(maas, vip).values()) == [place],
            timeout_s=IN_EFFECT_S,
            what=f"the VIP once, as {place}",
        )
        maas.wait_settled()
        shown = {maas.on_machine(unit, named).strip() for unit in maas.units(VIP_APP)}
        assert shown == {interface}
    prober.assert_no_failed_read()


def _elsewhere(maas: MAAS) -> Options:
    machines = maas.juju.status().machines.values()
    taken = {maas.vip, *(machine.ip_addresses[0] for machine in machines)}
    _, slash, prefix = str(maas.juju.config(VIP_APP)["vip"]).partition("/")
    return {"vip": f"{max(map(ipaddress.ip_address, taken)) + 21}{slash}{prefix}"}


# With each of these the MAAS URL changes, and with it what every region and rack runs with.
MOVES: dict[str, Callable[[MAAS], Options]] = {
    "address": _elsewhere,
    "port": lambda _: {"port": 8080},
}


@pytest.mark.parametrize("option", ["address", pytest.param("port", marks=pytest.mark.long)])
def test_maas_moves_to_another_url_and_back(
    maas: MAAS, write: Writers, keep: Keep, figure: Figure, tmp_path: Path, option: str
):
    """Regions and racks follow one at a time; at the new URL no read fails from the first on.

    With three regions never fewer than two serve meanwhile, each asked at its own address.
    """
    config = maas.juju.config(VIP_APP)
    there = MOVES[option](maas)
    for name, wanted in (("there", there), ("back", {key: config[key] for key in there})):
        before = {app: restarts.last(maas, app) for app in restarts.DAEMONS}
        keep(_move(maas, wanted, figure, tmp_path / name))
        for app in restarts.DAEMONS:
            restarts.assert_one_at_a_time(before[app], restarts.last(maas, app))
        assert len(_places(maas, maas.vip)) == 1
        maas.wait_whole()
        maas.wait_racks_connected(no_others=True)
    assert not _places(maas, str(there.get("vip", "192.0.2.1")).partition("/")[0])


def _move(maas: MAAS, wanted: Options, figure: Figure, log: Path) -> Report:
    """Change MAAS's URL; returns what was read at the new one since it first answered."""
    old = maas.url
    changed = time.time()
    at_old = Prober(f"{old}/api/2.0/version/", log.with_suffix(".old"))
    with at_old, EachRegion(maas) as regions:
        wait_answered(at_old, timeout_s=60)
        maas.juju.config(VIP_APP, wanted)
        changed = time.time()
        new = maas.url
        with Prober(f"{new}/api/2.0/version/", log.with_suffix(".new")) as at_new:
            eventually(
                lambda: _all_follow(maas, new), timeout_s=IN_EFFECT_S, what=f"all follow {new}"
            )
            maas.wait_settled()
            figure(f"settled at {new}", time.time() - changed)
            wait_answered(at_new, timeout_s=60)
    assert regions.least() >= len(maas.units("maas-region")) - 1
    answers = [read for read in at_old.report.reads if not read.failed]
    first = next(read for read in at_new.report.reads if not read.failed)
    figure(f"first answer at {new}", first.ended - changed)
    figure(f"last answer at {old}", answers[-1].began - changed)
    since = at_new.report.since(first.began)
    print(f"\n  {new}: {since}\n  {old}: {at_old.report}\n  {regions}", end="")
    since.assert_no_failed_read()
    return since


def _all_follow(maas: MAAS, url: str) -> bool:
    """Tell whether every region's and every rack's file has the URL."""
    return all(_urls(maas, app) == {url} for app in URLS)


def _urls(maas: MAAS, app: str) -> set[str]:
    return {maas.on_machine(unit, URLS[app]).strip() for unit in maas.units(app)}


@pytest.mark.long
def test_regions_go_by_an_own_name_that_leads_to_the_vip(maas: MAAS, watch: Watch):
    """Racks go on by the VIP; a name that leads elsewhere is refused, and nothing restarts."""
    prober, _ = watch()
    url, app, units = maas.url, "maas-region", maas.units("maas-region")
    own = url.replace(maas.vip, OWN_NAME)
    racks = restarts.last(maas, "maas-rack")
    for unit in units:
        maas.on_machine(unit, f"echo {units[unit].public_address} {OWN_NAME} >>/etc/hosts")
    before = restarts.last(maas, app)
    maas.juju.config(app, {"maas-url": own})
    refused = f"not the VIP {maas.vip}"
    maas.juju.wait(
        lambda status: any(
            refused in unit.workload_status.message for unit in status.apps[app].units.values()
        )
    )
    assert restarts.last(maas, app) == before
    for unit in units:
        maas.on_machine(unit, f'sed -i "s/.* {OWN_NAME}$/{maas.vip} {OWN_NAME}/" /etc/hosts')
    for wanted, options in ((own, {"maas-url": own}), (url, {"maas-url": ""})):
        maas.juju.config(app, options)
        eventually(
            lambda wanted=wanted: _urls(maas, app) == {wanted},
            timeout_s=IN_EFFECT_S,
            what=f"regions go by {wanted}",
        )
        maas.wait_whole()
        after = restarts.last(maas, app)
        restarts.assert_one_at_a_time(before, after)
        before = after
    for unit in units:
        maas.on_machine(unit, f'sed -i "/ {OWN_NAME}$/d" /etc/hosts')
    assert restarts.last(maas, "maas-rack") == racks
    prober.assert_no_failed_read()


@pytest.mark.long
def test_the_vip_is_taken_away_and_given_back(maas: MAAS, write: Writers):
    """Without it every region carries the URL of the first, and the operator is told."""
    url, config = maas.url, maas.juju.config(VIP_APP)
    before = {app: restarts.last(maas, app) for app in restarts.DAEMONS}
    first = min(maas.units("maas-region").items(), key=lambda item: int(item[0].split("/")[1]))
    maas.juju.config(VIP_APP, {"vip": ""})
    own = f"http://{first[1].public_address}:5240/MAAS"
    eventually(lambda: _all_follow(maas, own), timeout_s=IN_EFFECT_S, what=f"all follow {own}")
    status = maas.juju.wait(
        lambda status: (
            jubilant.all_blocked(status, VIP_APP)
            and jubilant.all_active(status, "maas-region", "maas-rack", "postgresql-ha")
            and jubilant.all_agents_idle(status)
        ),
        error=jubilant.any_error,
    )
    for unit in status.apps[VIP_APP].units.values():
        assert "set vip" in unit.workload_status.message
    assert not _places(maas, url.split("/")[2].partition(":")[0])
    for app in restarts.DAEMONS:
        restarts.assert_one_at_a_time(before[app], restarts.last(maas, app))
    maas.juju.config(VIP_APP, {"vip": config["vip"]})
    eventually(lambda: _all_follow(maas, url), timeout_s=IN_EFFECT_S, what=f"all follow {url}")
    maas.wait_whole()


def _candidate(maas: MAAS, unit: str, package: str) -> str:
    policy = maas.on_machine(unit, f"apt-cache policy {package}")
    return policy.partition("Candidate: ")[2].split()[0]


def _installed(maas: MAAS, unit: str) -> str:
    return maas.on_machine(unit, 'dpkg-query -W "*maas*" | sort')


@pytest.mark.long
@pytest.mark.parametrize("app", charm_options.PACKAGES)
def test_a_source_changes_what_apt_offers_and_nothing_that_is_installed(
    maas: MAAS, watch: Watch, app: str
):
    prober, _ = watch()
    package, good = charm_options.PACKAGES[app], maas.juju.config(app)["source"]
    units = list(maas.units(app))
    offer = OFFER.format(package=package, version=NEWER, digest="0" * 64)
    for unit in units:
        maas.on_machine(unit, f"mkdir -p {REPOSITORY} && {offer} >{REPOSITORY}/Packages")
    before = restarts.last(maas, app)
    installed = {unit: _installed(maas, unit) for unit in units}
    offered = {unit: _candidate(maas, unit, package) for unit in units}
    newer = dict.fromkeys(units, NEWER)
    for source, wanted in (*((one, newer) for one in SOURCES.values()), (good, offered)):
        maas.juju.config(app, {"source": source})
        eventually(
            lambda wanted=wanted: {one: _candidate(maas, one, package) for one in units} == wanted,
            timeout_s=IN_EFFECT_S,
            what=f"apt offers {wanted}",
        )
        maas.wait_settled()
        assert {unit: _installed(maas, unit) for unit in units} == installed
        for unit in maas.units(app).values():
            offers = f"apt offers {NEWER}" in unit.workload_status.message
            assert offers == (wanted == newer), unit.workload_status
    assert restarts.last(maas, app) == before
    for unit in units:
        maas.on_machine(unit, f"rm -r {REPOSITORY}")
    prober.assert_no_failed_read()


@pytest.mark.long
def test_writes_wait_for_a_synchronous_replica_only_where_they_must(
    maas: MAAS, write: Writers, figure: Figure
):
    for strict, shown in ((True, "*"), (False, "")):
        maas.juju.config("postgresql-ha", {"synchronous-mode-strict": strict})
        units = list(maas.units("postgresql-ha"))
        wanted = str(strict).lower()
        eventually(
            lambda wanted=wanted, units=units: (
                {maas.on_machine(unit, charm_options.STRICT).strip() for unit in units} == {wanted}
            ),
            timeout_s=IN_EFFECT_S,
            what=f"synchronous_mode_strict {wanted}",
        )
        primary = maas.primary()
        replicas = [unit for unit in units if unit != primary]
        for unit in replicas:
            maas.on_machine(unit, WALRECEIVER.format("STOP"))
        try:
            eventually(
                lambda primary=primary, shown=shown: (
                    maas.on_machine(primary, SYNCHRONOUS).strip() == shown
                ),
                timeout_s=120,
                what=f"synchronous_standby_names {shown!r}",
            )
            count = len(write.acknowledged)
            time.sleep(10)
            assert (len(write.acknowledged) == count) == strict
        finally:
            for unit in replicas:
                maas.on_machine(unit, WALRECEIVER.format("CONT"))
        maas.wait_replicated()
        write.wait_for_a_row_from_each(maas.units("maas-region"))
        assert maas.primary() == primary
    maas.wait_whole()
