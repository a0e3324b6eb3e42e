# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The deployed bundle that the stories share, in the order they are told.

Stories are in integration/, in faults/ and in scale/; every file of them is named in ORDER.

Environment: JUJU names the juju binary, BUNDLE the bundle file, OVERLAY an overlay for it (the
VIP, after which the next address must be free as well, and the apt source), MODEL a model to use
instead of a new one, KEEP_MODEL=1 leaves it in place, FAULT a command
`FAULT poweroff|poweron MACHINE` that cuts a machine's power, and
`FAULT controller-down|controller-up` that takes Juju's controller away. FIGURES names a JSON file
to which the run's figures are added.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import figures
import jubilant
import pytest
from maas import BUNDLE, MAAS, UPDATE_STATUS
from prober import Prober, Report
from writers import Writers

ORDER = (
    "test_deploy.py",
    "test_health.py",
    "test_bad_input.py",
    "test_rendered.py",
    "test_cost.py",
    "test_scaling.py",
    "test_relations.py",
    "test_other_database.py",
    "test_adopt.py",
    "test_configuration.py",
    "test_secrets.py",
    "test_controllers.py",
    "test_enable_dhcp.py",
    "test_refresh.py",
    "test_hooks.py",
    "test_processes.py",
    "test_dhcp.py",
    "test_machines.py",
    "test_behind.py",
    "test_address.py",
    "test_forgotten.py",
    "test_never_lost.py",
    "test_migration.py",
)
DEPLOY_TIMEOUT_S = 20 * 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell the stories in order: the later ones break more. Other tests stay where they are."""
    items.sort(key=lambda item: ORDER.index(item.path.name) if item.path.name in ORDER else -1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep what came of each story, and how long it took, for the figures."""
    report = yield
    # Not of tests/faults/test_fault.py, which is about the lab.
    if item.path.name in ORDER:
        run.outcome(item.nodeid, report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what each file of stories adds to the run."""
    if not run.took_s:
        return
    terminalreporter.section("seconds by file")
    for name, seconds in {**run.took_s, "all stories": sum(run.took_s.values())}.items():
        terminalreporter.write_line(f"{name:44} {seconds:5.0f} s")


def pytest_sessionfinish() -> None:
    """Add the run's figures to the file that FIGURES names."""
    if path := os.environ.get("FIGURES"):
        run.add_to(Path(path))


run = figures.Run()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Keep and print a figure of the test: what was measured, in seconds."""

    def keep(what: str, seconds: float) -> None:
        print(f"\n  {what}: {seconds:.1f} s", end="", flush=True)
        run.case(request.node.nodeid).measured[what] = round(seconds, 2)

    return keep


@pytest.fixture(scope="session")
def juju() -> Iterator[jubilant.Juju]:
    """A model, new unless MODEL names one."""
    juju = jubilant.Juju(cli_binary=os.environ.get("JUJU", "juju"), wait_timeout=15 * 60)
    if model := os.environ.get("MODEL"):
        juju.model = model
        yield juju
        return
    juju.add_model(f"maas-{time.time():.0f}")
    yield juju
    if os.environ.get("KEEP_MODEL") != "1" and juju.model:
        juju.destroy_model(juju.model, destroy_storage=True, force=True)


@pytest.fixture(scope="session")
def maas(juju: jubilant.Juju) -> Iterator[MAAS]:
    """The bundle, deployed and active; no hook fails but those that a story has fail itself."""
    if not juju.status().apps:
        overlay = os.environ.get("OVERLAY")
        juju.deploy(BUNDLE, overlays=[overlay] if overlay else [])
    # A unit whose daemon came up after its last hook says so at the next update-status.
    juju.model_config({UPDATE_STATUS: "1m"})
    maas = MAAS(juju)
    before = maas.failed_hooks()
    maas.wait_settled(timeout_s=DEPLOY_TIMEOUT_S)
    yield maas
    failed = maas.failed_hooks()[len(before) :]
    assert not [(unit, hook) for unit, hook in failed if unit not in maas.to_fail]


@pytest.fixture
def write(maas: MAAS, request: pytest.FixtureRequest) -> Iterator[Writers]:
    """Writers around the test; afterwards nothing acknowledged may be missing."""
    with Writers(maas.juju, maas.units("maas-region")) as writers:
        yield writers
        writers.wait_for_a_row_from_each(maas.units("maas-region"))
    print(f"\n  {writers}")
    lost = writers.lost(maas.rows())
    run.case(request.node.nodeid).wrote(writers, len(lost))
    assert not lost, f"{len(lost)} acknowledged rows are lost, as {sorted(lost)[:3]}"


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Callable[[Report], None]:
    """Keep and print what a prober saw of the test."""

    def read(report: Report) -> None:
        print(f"\n  {report}", end="", flush=True)
        run.case(request.node.nodeid).read(report)

    return read


@pytest.fixture
def watch(
    maas: MAAS, write: Writers, keep: Callable[[Report], None], tmp_path: Path
) -> Iterator[Callable[[], tuple[Prober, Writers]]]:
    """A prober and writers around the test."""
    prober = Prober(f"{maas.url}/api/2.0/version/", tmp_path / "reads.jsonl")
    try:
        with prober:
            yield lambda: (prober, write)
    finally:
        keep(prober.report)


@pytest.fixture
def power() -> Iterator[Callable[..., None]]:
    """Cut or restore the power of a machine, given what to do and its number.

    Everything is given back after a story that failed: the next ones shall not fail for it.
    """
    command = os.environ.get("FAULT")
    if not command:
        pytest.skip("FAULT names no command that cuts a machine's power")

    def run(what: str, *machine: str) -> None:
        subprocess.run([command, what, *machine], check=True, timeout=60)

    yield run
    run("heal", "all")
