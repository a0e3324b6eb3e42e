# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The lab's command line on a daemon of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from local import Juju, LocalMachines, pack, start

from charmed_lab import daemon


@pytest.fixture
def juju(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Juju]:
    monkeypatch.setattr(daemon, "POLL_S", 0.05)
    monkeypatch.delenv("JUJU_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)
    machines = LocalMachines(tmp_path)
    # Nothing runs: what is tested here is what the client says.
    machines.off = {str(number) for number in range(9)}
    made = start(tmp_path, machines)
    for name in ("probe", "probe-a", "probe-b"):
        pack(tmp_path, name)
    found = Juju(made, capsys)
    assert found("add-model", "m")[0] == 0
    yield found
    made.stop()
