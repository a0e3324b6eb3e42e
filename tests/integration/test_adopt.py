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
WRITE = f"""
import base64, pathlib
pathlib.Path("{DUMP}").write_bytes(base64.b64decode("{{dump}}"))
"""
RESTORE = f"""
set -e
cd /
runuser -u postgres -- psql -qc "CREATE ROLE maasdb" -c "CREATE DATABASE maasdb OWNER maasdb"
runuser -u postgres -- pg_restore --no-owner --no-privileges --role=maasdb \
  --exit-on-error -d maasdb <{DUMP}
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
    script.write_text(WRITE.format(dump=maas.on_machine(maas.primary(), TAKE).strip()))
    with remote.python(juju, member, script) as process:
        assert process.wait(timeout=60) == 0
    maas.on_machine(member, RESTORE)
    maas.set_setting("ntp-servers", own)
    juju.integrate(f"{REGION}:db", f"{DATABASE}:db")
    maas.wait_settled()

    before = maas.leader("maas-region")
    for path in (SECRET, OF_CHARMED_MAAS):
        assert maas.on_machine(unit, f"cat {path}") == maas.on_machine(before, f"cat {path}")
    listed = str(juju.run(unit, "list-controllers").results)
    assert all(name in listed for name in maas.controllers("rack"))
    # With an administrator's key of before.
    url = f"http://{status.public_address}:5240/MAAS/api/2.0/maas/"
    answer = maas.session.get(url, params={"op": "get_config", "name": "ntp_servers"}, timeout=30)
    assert answer.status_code == requests.codes.ok
    assert answer.json() == "time.example.com"
