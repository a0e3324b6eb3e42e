# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""A MAAS is restored from a dump into an application of its own, as docs/adopt.md says."""

from collections.abc import Iterator
from pathlib import Path

import jubilant
import pytest
import remote
import requests
from maas import MAAS, charm_of

DATABASE, REGION = "adopted-postgresql", "adopted-region"
SECRET = "/var/lib/maas/secret"
DUMP = "/root/maasdb.dump"
TAKE = "cd / && runuser -u postgres -- pg_dump -Fc maasdb | base64 -w0"
# By standard input: an argument has room for 128 KiB, and MAAS's dump grows.
WRITE = f"""
import base64, pathlib, sys
pathlib.Path("{DUMP}").write_bytes(base64.b64decode(sys.stdin.readline()))
"""
RESTORE = f"""
set -e
cd /
runuser -u postgres -- psql -qc "CREATE ROLE maasdb" -c "CREATE DATABASE maasdb OWNER maasdb"
runuser -u postgres -- pg_restore --no-owner --no-privileges --role=maasdb \
  --exit-on-error -d maasdb <{DUMP}
"""
# As in the dump of a MAAS that no charm has led: no schema of the charms, nor their administrator,
# who may have made ranges.
BY_NO_CHARM = r"""
set -e
cd /
runuser -u postgres -- psql -qd maasdb -v ON_ERROR_STOP=1 -c "DROP SCHEMA charmed_maas CASCADE" \
  -c "UPDATE maasserver_iprange SET user_id = NULL" \
  -c "DELETE FROM auth_user WHERE username = \$\$charmed-maas\$\$"
"""
# The cluster's ID and version, and how many administrators of the charms there are.
MARKS = r"""
cd / && runuser -u postgres -- psql -d maasdb -Atc "SELECT id, version,
  (SELECT count(*) FROM auth_user WHERE username = \$\$charmed-maas\$\$) FROM charmed_maas.cluster"
"""
OF_CHARMED_MAAS = "/var/lib/charmed-maas/api-key"


@pytest.fixture
def nothing_left(maas: MAAS) -> Iterator[None]:
    """Remove both applications, whatever came of them."""
    yield
    maas.remove_applications(REGION, DATABASE)


@pytest.mark.long
@pytest.mark.usefixtures("nothing_left")
def test_a_maas_that_was_restored_from_a_dump_is_taken_over(maas: MAAS, tmp_path: Path):
    _take_over(maas, tmp_path, by_no_charm=False)


@pytest.mark.long
@pytest.mark.usefixtures("nothing_left")
def test_of_a_maas_that_no_charm_has_led_what_the_charms_keep_is_made(maas: MAAS, tmp_path: Path):
    _take_over(maas, tmp_path, by_no_charm=True)


def _take_over(maas: MAAS, tmp_path: Path, *, by_no_charm: bool) -> None:
    """Adopt the dump of a MAAS with what the charms keep in it, which is made where it lacks."""
    juju = maas.juju
    own = str(maas.setting("ntp-servers") or "")
    maas.set_setting("ntp-servers", "time.example.com")
    source = {"source": juju.config("maas-region")["source"]}
    juju.deploy(charm_of("postgresql-ha"), DATABASE)
    juju.deploy(charm_of("maas-region"), REGION, config=source)
    juju.wait(
        lambda status: (
            jubilant.all_active(status, DATABASE)
            and jubilant.all_blocked(status, REGION)
            and jubilant.all_agents_idle(status)
        ),
        error=jubilant.any_error,
    )
    ((unit, status),) = maas.units(REGION).items()
    (member,) = maas.units(DATABASE)
    script = tmp_path / "write_dump.py"
    script.write_text(WRITE)
    with remote.python(juju, member, script) as process:
        assert process.stdin
        print(maas.on_machine(maas.primary(), TAKE).strip(), file=process.stdin, flush=True)
        assert process.wait(timeout=60) == 0
    maas.on_machine(member, RESTORE)
    marks = maas.on_machine(member, MARKS).strip()
    if by_no_charm:
        maas.on_machine(member, BY_NO_CHARM)
    maas.set_setting("ntp-servers", own)
    juju.integrate(f"{REGION}:db", f"{DATABASE}:db")
    maas.wait_settled()

    listed = str(juju.run(unit, "list-controllers").results)
    assert all(name in listed for name in maas.controllers("rack"))
    before = maas.leader("maas-region")
    for path, is_adopted in ((SECRET, True), (OF_CHARMED_MAAS, not by_no_charm)):
        same = maas.on_machine(unit, f"cat {path}") == maas.on_machine(before, f"cat {path}")
        assert same is is_adopted, path
    cluster, *others = marks.split("|")
    found, *made = maas.on_machine(member, MARKS).strip().split("|")
    assert (found == cluster) is not by_no_charm
    assert made == others
    # With an administrator's key of before.
    url = f"http://{status.public_address}:5240/MAAS/api/2.0/maas/"
    answer = maas.session.get(url, params={"op": "get_config", "name": "ntp_servers"}, timeout=30)
    assert answer.status_code == requests.codes.ok
    assert answer.json() == "time.example.com"
