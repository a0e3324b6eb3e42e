# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""From a bare machine to the bundle with every unit active: `lab/up`."""

import argparse
import dataclasses
import functools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import apt_repo, console, faults, host, image, juju, pack, versions
from .console import StepError
from .stage import Stage

MODEL = "maas"
REQUIREMENTS = ("PyYAML",)
ACTIVE_TIMEOUT_S = 900
ERROR_TIMEOUT_S = 120
POLL_S = 3.0
# The socket of the lab's Juju is root's alone.
JUJU = "sudo lab/bin/juju"


def prepare(stage: Stage) -> dict[str, Path]:
    """Bring the host to where machines can be made; return the packed charms."""
    host.require_root()
    host.require_disk()
    with console.alone("prepare"):
        return _prepare(stage)


def _prepare(stage: Stage) -> dict[str, Path]:
    host.ensure_packages()
    host.ensure_lxd()
    host.ensure_kernel_limits()
    host.ensure_pool()
    host.ensure_build_network()
    host.ensure_networks(stage)
    stage.hooks.mkdir(parents=True, exist_ok=True)
    charms = pack.plan(stage)
    if not charms:
        raise StepError("there is no charms/*/charmcraft.yaml: run this from a full checkout")
    with ThreadPoolExecutor() as pool:
        venv = pool.submit(host.ensure_venv, host.VENV, REQUIREMENTS)
        others = [pool.submit(apt_repo.ensure, stage)]
        image.ensure_base(stage)
        if not all(path.exists() for path in charms.values()):
            pack.ensure_builder_copy(stage)
        others.append(pool.submit(image.ensure_workloads, stage))
        venv.result()
        pack.ensure_charms(stage, charms)
        for other in others:
            other.result()
    return charms


def overlay(stage: Stage) -> str:
    """Return what only this site knows, as an overlay of the bundle."""
    source = {"options": {"source": apt_repo.LINE}}
    vip = {"options": {"vip": f"{stage.vip}/{stage.subnet.prefixlen}"}}
    applications = {"haproxy-vip": vip, "maas-region": source, "maas-rack": source}
    # JSON is YAML, too; the Python that runs this may have no other.
    return json.dumps({"applications": applications}, indent=2) + "\n"


def place(stage: Stage, charms: dict[str, Path]) -> None:
    """Put bundle, charms and overlay where the stage deploys from."""
    pack.place(charms, stage.bundle)
    (stage.bundle / "overlay.yaml").write_text(overlay(stage))


def deploy(stage: Stage, charms: dict[str, Path]) -> None:
    """Deploy the bundle; of one that is deployed, refresh the applications whose charm changed.

    Juju 4.0 refuses to deploy a bundle again of which an option has changed.
    """
    mark = stage.state / "deployed"
    before = dict(line.split() for line in mark.read_text().splitlines()) if mark.exists() else {}
    wanted = {charm: path.name for charm, path in charms.items()}
    run = functools.partial(juju.run, stage, cwd=stage.bundle)
    is_new = MODEL not in juju.models(stage)
    deployed = {} if is_new else juju.status(stage, MODEL).get("applications") or {}
    if deployed and before == wanted:
        return
    place(stage, charms)
    if is_new:
        run("add-model", MODEL, otherwise="the model cannot be made")
    if not (deployed and before):
        # Without its mark a deploy was cut short: once more adds what is missing.
        mark.unlink(missing_ok=True)
        existing = ["--map-machines=existing"] if deployed else []
        with console.step("deploying bundle.yaml"):
            argv = ["deploy", "-m", MODEL, "./bundle.yaml", "--overlay", "overlay.yaml"]
            run(*argv, *existing, otherwise="the bundle cannot be deployed")
    for charm in sorted(set(charms) & set(deployed)):
        if before.get(charm) != wanted[charm]:
            with console.step(f"refreshing {charm}"):
                path = f"./charms/{charm}/{charm}{pack.SUFFIX}"
                argv = ["refresh", "-m", MODEL, charm, "--path", path]
                run(*argv, otherwise=f"{charm} cannot be refreshed")
    mark.write_text("".join(f"{charm} {name}\n" for charm, name in sorted(wanted.items())))


def wait_until_active(stage: Stage) -> None:
    """Wait until every unit is active and idle; say what changes meanwhile."""
    deadline = time.monotonic() + ACTIVE_TIMEOUT_S
    erring_since: float | None = None
    said = ""
    while True:
        report = juju.status(stage, MODEL)
        units = juju.units(report)
        left = unsettled(report)
        line = f"{len(units) - len(left)} of {len(units)} units active"
        if line != said:
            console.say(line)
            said = line
        if units and not left:
            return
        erring = any(unit["workload-status"]["current"] == "error" for unit in units.values())
        erring_since = (erring_since or time.monotonic()) if erring else None
        now = time.monotonic()
        if now > deadline or (erring_since and now - erring_since > ERROR_TIMEOUT_S):
            raise StepError(
                f"not every unit became active: {'; '.join(left) or 'no unit is there'} "
                f"({JUJU} debug-log and {stage.state}/daemon.log say more)"
            )
        time.sleep(POLL_S)


def unsettled(report: dict[str, Any]) -> list[str]:
    """Return the units of a status that are not active and idle, each with its status."""
    left: list[str] = []
    for name, unit in sorted(juju.units(report).items()):
        for which, settled in (("workload-status", "active"), ("juju-status", "idle")):
            status = unit[which]
            if status["current"] != settled:
                left.append(f"{name} {status['current']}: {status.get('message', '')}".strip(": "))
                break
    return left


def bring_up(stage: Stage) -> None:
    """Do all that `lab/up` does, for one stage."""
    charms = prepare(stage)
    juju.ensure_daemon(stage)
    juju.require_version(stage)
    faults.heal_all(stage)
    deploy(stage, charms)
    with console.step("waiting until every unit is active"):
        wait_until_active(stage)


def what_next(stage: Stage) -> str:
    """Return what the operator may do with a stage that is up."""
    admin = "run maas-region/leader create-admin username=admin email=admin@example.com"
    return (
        f"MAAS:            http://{stage.vip}/MAAS/ (the stand-in of MAAS, see lab/README.md)\n"
        f"the first admin: {JUJU} {admin}\n"
        f"juju:            {JUJU} status; break things with sudo lab/bin/fault"
    )


def command() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser("lab/up", description=__doc__)
    what = "the Juju of a new stage: 4.0 as recorded (the default), 3.6 as its source reads"
    parser.add_argument("--juju", choices=versions.VERSIONS, help=what)
    asked, stage = parser.parse_args().juju, Stage.current()
    stage = dataclasses.replace(stage, juju=asked or stage.juju)
    bring_up(stage)
    print(juju.run(stage, "status", "-m", MODEL, otherwise="juju status failed"))
    print(what_next(stage))
    console.say("all units are active")
    return 0


if __name__ == "__main__":
    console.main(command)
