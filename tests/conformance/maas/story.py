# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What happened between the recordings: the order is that of 22 November 2026."""

import time
from concurrent.futures import ThreadPoolExecutor

from world import GONE_TIMEOUT_S, World

DAY = "2026-11-22T"
# From here on the region that was killed is gone.
LOSS = f"{DAY}15:39:45.000Z"
NAMED_OPTIONS = (
    'options {\\n\\tdirectory "/var/cache/bind";\\n\\tforwarders { ADDRESS; };\\n'
    "\\tdnssec-validation auto;\\n\\tlisten-on-v6 { any; };\\n};\\n"
)


def begin(world: World) -> None:
    """Give the hosts their names and nothing but installed packages."""
    for host, name in world.cast.hosts.items():
        world.run(
            host,
            "systemctl stop maas-rackd maas-regiond maas-http 2>/dev/null;"
            f" hostname {name}; echo {name} >/etc/hostname;"
            " ip link delete eth1 2>/dev/null;"  # The recorded machines had one interface.
            " rm -f /etc/maas/* /var/lib/maas/maas_* /var/lib/maas/secret /var/lib/maas/rpc.state;"
            " rm -rf /var/lib/maas/http/*; true",
        )


def give_to_maas(world: World) -> None:
    """Own the file as the deb's postinst does."""
    world.run("r1", "chown maas:maas /etc/maas/regiond.conf")


def take_from_maas(world: World) -> None:
    """Own the file as an operator might."""
    world.run("r1", "chown root:root /etc/maas/regiond.conf; chmod 600 /etc/maas/regiond.conf")


def make_database(world: World) -> None:
    """Make the empty database and the files that name it."""
    world.run("r1", "systemctl start postgresql")
    cast = world.cast
    # Machines that an interrupted run left behind are used again.
    for database in (cast.database, "racedb"):
        world.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    world.sql("DROP ROLE IF EXISTS maas")
    world.sql(f"CREATE ROLE maas LOGIN PASSWORD '{cast.password}'")
    for database in (cast.database, "racedb"):
        world.sql(f"CREATE DATABASE {database} OWNER maas")
    for region in ("r1", "r2"):
        world.write_region_conf(region)
        world.run(
            region, f"sed 's/{cast.database}/racedb/' /etc/maas/regiond.conf >/etc/maas/race.conf"
        )


def start_first_region(world: World) -> None:
    """Start the first region and watch it come up."""
    with world.watch("first region", lambda: _status(world, "r1")):
        world.run("r1", "systemctl start maas-regiond")
        world.wait(lambda: world.loops("r1"), {world.cast.hosts["r1"]})
        time.sleep(0.5)
    world.read_id("r1")
    files = "cd /var/lib/maas && stat -c '%n %a %U %G %s' secret maas_id maas_uuid"
    world.observed["files"] = sorted(world.run("r1", files).splitlines())


def _status(world: World, region: str) -> int:
    found = world.loops(region)
    return 200 if isinstance(found, set) else found


def start_second_region(world: World) -> None:
    """Start the second region and wait until the first lists it."""
    world.run("r2", "systemctl start maas-regiond")
    both = {world.cast.hosts["r1"], world.cast.hosts["r2"]}
    for region in ("r1", "r2"):
        world.wait(lambda region=region: world.loops(region), both)
    world.read_id("r2")


def start_rack(world: World, rack: str) -> None:
    """Give a rack the URL and the secret, start it, and watch it become known."""
    secret = world.run("r1", "cat /var/lib/maas/secret").strip()
    url = f"http://{world.address('r1')}:5240/MAAS"
    world.run(
        rack,
        f"rm -f /etc/maas/rackd.conf; maas-rack config --region-url {url};"
        f" echo {secret} | maas-rack install-shared-secret;"
        " chown maas:maas /etc/maas/rackd.conf /var/lib/maas/secret",
    )
    with world.watch(f"rack {rack}", lambda: world.rackd(rack)):
        world.run(rack, "systemctl start maas-rackd")
        world.wait(lambda: world.rackd(rack), "running")
        time.sleep(0.5)
    world.read_id(rack)


def count_connections(world: World, name: str) -> None:
    """Note under a name how many connections each region holds."""
    rows = world.sql(
        "SELECT host(client_addr), application_name, count(*) FROM pg_stat_activity"
        f" WHERE datname = '{world.cast.database}' GROUP BY 1, 2"
    )
    world.observed[name] = {(row[0], row[1]): int(row[2]) for row in rows}


def start_second_rack(world: World) -> None:
    """Start the other rack, then count connections."""
    start_rack(world, "k1")
    count_connections(world, "connections")


def kill_second_region(world: World) -> None:
    """Kill every process of the second region; its nginx lives on."""
    start = time.monotonic()
    world.run(
        "r2",
        "mkdir -p /run/systemd/system/maas-regiond.service.d;"
        " printf '[Service]\\nRestart=no\\n'"
        " >/run/systemd/system/maas-regiond.service.d/no-restart.conf; systemctl daemon-reload;"
        " systemctl kill --signal=KILL maas-regiond",
    )

    def wait() -> None:
        world.wait(lambda: world.loops("r1"), {world.cast.hosts["r1"]}, GONE_TIMEOUT_S)
        world.observed["gone after"] = time.monotonic() - start

    world.loss = ThreadPoolExecutor(1).submit(wait)
    world.wait(lambda: world.loops("r2"), 502)


def lose_second_region(world: World) -> None:
    """Wait until the first region has dropped the one that was killed."""
    world.loss.result()
    time.sleep(1)
    count_connections(world, "connections then")
    world.observed["racks then"] = [world.rackd(rack) for rack in ("k1", "k2")]


def return_second_region(world: World) -> None:
    """Start the region again that was deleted."""
    before = world.run("r2", "cat /var/lib/maas/maas_id").strip()
    world.run(
        "r2",
        "rm -r /run/systemd/system/maas-regiond.service.d; systemctl daemon-reload;"
        " systemctl start maas-regiond",
    )
    both = {world.cast.hosts["r1"], world.cast.hosts["r2"]}
    world.wait(lambda: world.loops("r2"), both)
    world.observed["ids of a deleted region"] = (before, world.read_id("r2"))


def write_variant(world: World, key: str, value: str) -> None:
    """Write a copy of regiond.conf with one key changed."""
    world.run(
        "r1", f"sed 's/^{key}:.*/{key}: {value}/' /etc/maas/regiond.conf >/etc/maas/var.conf"
    )


def stop_database(world: World) -> None:
    """Stop PostgreSQL while the regions run."""
    world.run("r1", "systemctl stop postgresql 'postgresql@*.service'")


def start_database(world: World) -> None:
    """Start PostgreSQL and wait until both regions answer again."""
    regions = ("r1", "r2")
    both = {world.cast.hosts[region] for region in regions}

    def look() -> dict[str, int]:
        return {region: _status(world, region) for region in regions}

    with world.watch("outage", look) as seen:
        world.wait(lambda: bool(seen), wanted=True)  # The outage itself is a part of it.
        start = time.monotonic()
        world.run("r1", "systemctl start postgresql")
        for region in regions:
            world.wait(lambda region=region: world.loops(region), both)
        world.observed["back after"] = time.monotonic() - start
        world.wait(lambda: seen[-1][1], dict.fromkeys(regions, 200))
    for rack in ("k1", "k2"):
        world.wait(lambda rack=rack: world.rackd(rack), "running")


def note_rack_files(world: World) -> None:
    """Note what a deleted rack that ran has left of its identity."""
    listing = "sleep 3; ls /var/lib/maas"
    world.observed["files of a deleted rack"] = world.run("k1", listing).split()


def write_named_options(world: World) -> None:
    """Write BIND's options as they were before MAAS changed them."""
    gateway = world.names()["10.99.0.1"]
    text = NAMED_OPTIONS.replace("ADDRESS", gateway)
    path = "/etc/bind/named.conf.options"
    world.run("r1", f"rm {path}; printf '{text}' >{path}; chown root:root {path}")


def write_recorded_conf(world: World) -> None:
    """Have only those keys in regiond.conf that were in it at the end."""
    world.run("r1", "rm /etc/maas/regiond.conf")
    world.write_region_conf("r1")


EVENTS = [
    (f"{DAY}15:20:00.000Z", begin),
    (f"{DAY}15:20:12.800Z", give_to_maas),
    (f"{DAY}15:22:32.400Z", take_from_maas),
    (f"{DAY}15:23:00.000Z", make_database),
    (f"{DAY}15:24:21.800Z", start_first_region),
    (f"{DAY}15:27:50.000Z", start_second_region),
    (f"{DAY}15:28:38.600Z", lambda world: start_rack(world, "k2")),
    (f"{DAY}15:33:30.000Z", start_second_rack),
    (f"{DAY}15:34:15.100Z", kill_second_region),
    (LOSS, lose_second_region),
    (f"{DAY}15:40:14.800Z", return_second_region),
    (f"{DAY}15:40:15.000Z", lambda world: write_variant(world, "database_pass", "wrong")),
    (f"{DAY}15:40:20.000Z", lambda world: write_variant(world, "database_port", "5499")),
    (f"{DAY}15:40:30.000Z", lambda world: write_variant(world, "database_name", "nosuchdb")),
    (f"{DAY}15:40:40.000Z", lambda world: write_variant(world, "database_host", "nosuch.invalid")),
    (f"{DAY}15:41:39.000Z", stop_database),
    (f"{DAY}15:41:49.600Z", start_database),
    (f"{DAY}15:43:02.500Z", note_rack_files),
    (f"{DAY}15:52:30.000Z", write_named_options),
    (f"{DAY}15:53:00.000Z", write_recorded_conf),
]
