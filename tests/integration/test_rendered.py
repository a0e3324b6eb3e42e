# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the charms take of drawn input and render, the daemons' own checkers take too.

Two files are not among them. rackd.conf is written by MAAS itself: maas-rack hands URLs and secret
to MAAS's commands, and renders neither. An apt source has no checker but `apt-get update`, which
asks its mirror: the charm runs that, and puts back the source of before when apt refuses the new
one (test_bad_input.py, and test_apt_source.py of lib).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from maas import MAAS

ROOT = Path(__file__).parents[2]
CHECKERS = ROOT / "tests/deployed/checkers.py"
CHARMS = ("haproxy-vip", "maas-region", "postgresql-ha")
SEED = int(os.environ.get("SEED", "1"))
KINDS = {"haproxy", "keepalived", "drop-in", "regiond", "patroni", "etcd", "hba", "gate"}
LEAST = 10


def _render(charm: str, directory: Path) -> None:
    """Render drawn input, in a process of its own: modules of two charms share their names."""
    room = ROOT / "charms" / charm
    paths = (room / "src", room / "tests/unit", ROOT / "lib", ROOT / "lib/tests")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    argv = [sys.executable, room / "tests/unit/rendered.py", str(SEED), directory]
    subprocess.run(argv, check=True, env=env, cwd=room)


def test_what_the_charms_render_of_drawn_input_the_daemons_accept(maas: MAAS, tmp_path: Path):
    rendered = tmp_path / "rendered"
    for charm in CHARMS:
        _render(charm, rendered)
    unit = maas.leader("maas-region")
    at = maas.on_machine(unit, "mktemp -d /tmp/rendered-XXXX; chmod 777 /tmp/rendered-*").strip()
    try:
        for path in (rendered, CHECKERS):
            maas.juju.scp(path, f"{unit}:{at}/{path.name}", scp_options=["-r"])
        command = f"unshare --net python3 {at}/checkers.py {at}/rendered"
        found = json.loads(maas.on_machine(unit, command))
    finally:
        maas.on_machine(unit, f"rm -rf {at} /run/rendered-postgresql /run/rendered-units")
    print(f"\n  seed {SEED}: {found['checked']}")
    assert found["refused"] == {}
    assert set(found["checked"]) == KINDS
    assert min(found["checked"].values()) >= LEAST
