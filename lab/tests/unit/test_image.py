# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_lxd import FakeLXD

from charmed_lab import image, pack
from charmed_lab.console import StepError
from charmed_lab.stage import Stage

INDEX = [
    "http://mirror.invalid/debian/|Debian|bookworm|main",
    "http://mirror.invalid/debian/|Debian|bookworm-updates|main",
    "http://other.invalid/security|Debian|bookworm-security|main",
]


def test_the_hosts_mirrors_serve_another_release():
    assert image.sources(INDEX, "trixie") == [
        "deb http://mirror.invalid/debian trixie main",
        "deb http://mirror.invalid/debian trixie-updates main",
        "deb http://other.invalid/security trixie-security main",
    ]


def test_a_host_without_security_suite_gets_none():
    assert image.sources(INDEX[:1], "bookworm") == [
        "deb http://mirror.invalid/debian bookworm main"
    ]


def test_what_is_not_debians_main_is_left_out():
    index = [
        "http://mirror.invalid/debian|Debian|bookworm-backports|main",
        "http://mirror.invalid/debian|Debian|bookworm|contrib",
        "https://node.invalid/x|Node Source|nodistro|main",
        "file:/srv/repo|Debian|bookworm|main",
        "http://ubuntu.invalid/|Ubuntu|noble|main",
        "http://never.updated.invalid/||bookworm|main",
    ]
    assert image.sources(index, "trixie") == []


def test_a_mirror_that_is_named_twice_is_used_once():
    assert len(image.sources([INDEX[0], INDEX[0]], "trixie")) == 1


def test_only_proxies_of_the_apt_configuration_are_taken_over():
    dump = (
        'Acquire "";\nAcquire::http::Proxy "http://proxy.invalid:3128";\n'
        'Acquire::https::Proxy "";\nAcquire::Retries "3";\n'
    )
    assert image.proxies(dump) == 'Acquire::http::Proxy "http://proxy.invalid:3128";\n'


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLXD]:
    monkeypatch.setattr(image, "IMAGES", tmp_path)
    monkeypatch.setattr(image, "_bootstrap", lambda _, tar: tar.touch())
    monkeypatch.setattr(image, "_import", lambda *_: None)
    monkeypatch.setattr(image, "execute", lambda *_, **__: "")
    fake = FakeLXD(monkeypatch)
    yield fake
    for instance in list(fake.inits):
        fake.power_off(instance)


def killed(*_: object, **__: object) -> str:
    raise StepError("killed")


def test_a_golden_container_that_was_cut_short_is_made_again(
    fake: FakeLXD, monkeypatch: pytest.MonkeyPatch
):
    golden = Stage().golden
    image.ensure_base(Stage())
    with monkeypatch.context() as patch:
        patch.setattr(image, "execute", killed)
        with pytest.raises(StepError):
            image.ensure_workloads(Stage())
    assert fake.instances[golden]["status"] == "Stopped"
    fake.calls.clear()
    image.ensure_base(Stage())
    assert fake.calls[:2] == ["delete", "POST"]
    image.ensure_workloads(Stage())
    fake.calls.clear()
    image.ensure_base(Stage())
    image.ensure_workloads(Stage())
    assert set(fake.calls) == {"GET"}


def test_a_build_container_that_was_cut_short_is_made_again(
    fake: FakeLXD, monkeypatch: pytest.MonkeyPatch
):
    stage, charms = Stage(), {"a": Path("missing.charm")}
    image.ensure_base(stage)
    image.ensure_workloads(stage)
    monkeypatch.setattr(pack, "_pack", killed)
    for ready in (False, True):
        fake.calls.clear()
        pack.ensure_builder_copy(stage)
        assert ("POST" in fake.calls) != ready
        pack._ensure_tools(stage.builder)
    pack.ensure_builder_copy(stage)
    with pytest.raises(StepError):
        pack.ensure_charms(stage, charms)
    assert fake.instances[stage.builder]["status"] == "Stopped"
    fake.instances[stage.builder]["config"]["user.ready"] = "of other pins"
    fake.calls.clear()
    pack.ensure_builder_copy(stage)
    assert fake.calls == ["delete", "POST"]
