# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path
from typing import Any

import pytest
import yaml

from charmed_lab import juju, up
from charmed_lab.console import StepError
from charmed_lab.stage import REPOSITORY, Stage


def unit(workload: str, agent: str = "idle", message: str = "") -> dict[str, Any]:
    return {
        "machine": "0",
        "workload-status": {"current": workload, "message": message},
        "juju-status": {"current": agent},
    }


def status(**units: dict[str, Any]) -> dict[str, Any]:
    return {"applications": {"a": {"units": {f"a/{n[1:]}": u for n, u in units.items()}}}}


def test_every_unit_that_is_not_active_and_idle_is_named():
    report = status(
        u0=unit("active"),
        u1=unit("blocked", message="set vip"),
        u2=unit("active", "executing"),
        u3=unit("unknown"),
    )
    assert up.unsettled(report) == ["a/1 blocked: set vip", "a/2 executing", "a/3 unknown"]


def test_overlay_sets_what_only_this_site_knows():
    applications = yaml.safe_load(up.overlay(Stage("test")))["applications"]
    assert applications["haproxy-vip"]["options"] == {"vip": "10.89.0.100/24"}
    line = "deb [trusted=yes] file:/srv/lab-apt ./"
    assert applications["maas-region"]["options"] == {"source": line}
    assert applications["maas-rack"]["options"] == {"source": line}


def test_the_readme_shows_what_is_printed():
    readme = (REPOSITORY / "README.md").read_text().replace("\n    ", "\n")
    assert f"\n{up.what_next(Stage())}\n" in readme


def test_waiting_ends_with_the_units_that_did_not_come(monkeypatch: pytest.MonkeyPatch):
    def report(*_: object) -> dict[str, Any]:
        return status(u0=unit("active"), u1=unit("waiting", message="for the database"))

    monkeypatch.setattr(juju, "status", report)
    monkeypatch.setattr(up, "ACTIVE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(up, "POLL_S", 0.01)
    with pytest.raises(StepError, match="a/1 waiting: for the database"):
        up.wait_until_active(Stage())


def test_a_hook_that_keeps_failing_ends_the_waiting_early(monkeypatch: pytest.MonkeyPatch):
    def report(*_: object) -> dict[str, Any]:
        return status(u0=unit("error", message='hook failed: "install"'))

    monkeypatch.setattr(juju, "status", report)
    monkeypatch.setattr(up, "ERROR_TIMEOUT_S", 0.05)
    monkeypatch.setattr(up, "POLL_S", 0.01)
    with pytest.raises(StepError, match="hook failed"):
        up.wait_until_active(Stage())


def test_waiting_ends_when_all_are_active(monkeypatch: pytest.MonkeyPatch):
    reports = iter([{}, status(u0=unit("maintenance")), status(u0=unit("active"))])
    monkeypatch.setattr(juju, "status", lambda *_: next(reports))
    monkeypatch.setattr(up, "POLL_S", 0.01)
    up.wait_until_active(Stage())


class FakeJuju:
    """The lab's juju with one answer to status; it remembers what it was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, applications: list[str] | None) -> None:
        self.told: list[str] = []
        report = {"applications": {name: {} for name in applications or ()}}
        monkeypatch.setattr(juju, "models", lambda _: [] if applications is None else [up.MODEL])
        monkeypatch.setattr(juju, "status", lambda *_: report)
        monkeypatch.setattr(juju, "run", self.run)
        monkeypatch.setattr(up, "place", lambda *_: self.told.append("place"))

    def run(self, _: Stage, *arguments: str, **__: object) -> str:
        named = [word for word in arguments[1:] if word in ("a", "b", "--map-machines=existing")]
        self.told.append(" ".join([arguments[0], *named]))
        return ""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr("charmed_lab.stage.ROOT", tmp_path)
    Stage().state.mkdir()
    return Stage()


CHARMS = {"a": Path("a-1.charm"), "b": Path("b-1.charm")}


def test_a_new_stage_gets_model_and_bundle(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    fake = FakeJuju(monkeypatch, None)
    up.deploy(stage, CHARMS)
    assert fake.told == ["place", "add-model", "deploy"]


def test_a_bundle_of_the_same_charms_is_left_as_it_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    FakeJuju(monkeypatch, None)
    up.deploy(stage, CHARMS)
    fake = FakeJuju(monkeypatch, ["a", "b"])
    up.deploy(stage, CHARMS)
    assert fake.told == []


def test_only_a_changed_charm_is_refreshed(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    FakeJuju(monkeypatch, None)
    up.deploy(stage, CHARMS)
    fake = FakeJuju(monkeypatch, ["a", "b"])
    up.deploy(stage, {**CHARMS, "b": Path("b-2.charm")})
    assert fake.told == ["place", "refresh b"]


def test_a_bundle_that_somebody_removed_is_deployed_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    FakeJuju(monkeypatch, None)
    up.deploy(stage, CHARMS)
    fake = FakeJuju(monkeypatch, [])
    up.deploy(stage, CHARMS)
    assert fake.told == ["place", "deploy"]


def test_a_deploy_that_was_cut_short_is_continued(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    FakeJuju(monkeypatch, None)
    up.deploy(stage, CHARMS)
    FakeJuju(monkeypatch, [])
    monkeypatch.setattr(juju, "run", lambda *_, **__: pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception):
        up.deploy(stage, CHARMS)
    fake = FakeJuju(monkeypatch, ["a"])
    up.deploy(stage, CHARMS)
    assert fake.told == ["place", "deploy --map-machines=existing", "refresh a"]


@pytest.mark.parametrize("asked", ["", "4.0"])
def test_a_stage_goes_on_with_the_juju_that_it_has(monkeypatch: pytest.MonkeyPatch, asked: str):
    monkeypatch.setattr(juju, "run", lambda *_, **__: "4.0.15-ubuntu-amd64\n")
    juju.require_version(Stage(juju=asked))


def test_a_stage_of_another_juju_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(juju, "run", lambda *_, **__: "4.0.15-ubuntu-amd64\n")
    with pytest.raises(StepError) as refused:
        juju.require_version(Stage(juju="3.6"))
    said = "stage lab has Juju 4.0.15: run lab/down first, then lab/up --juju 3.6"
    assert str(refused.value) == said
