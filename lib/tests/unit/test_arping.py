# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path
from unittest import mock

import pytest

from charmed_maas import apt_source, arping


def test_it_is_installed_only_where_it_is_missing_and_removes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    program, install = tmp_path / "arping", mock.Mock(return_value=True)
    monkeypatch.setattr(arping, "ARPING", str(program))
    monkeypatch.setattr(apt_source, "install", install)
    program.touch()
    assert not arping.install()
    install.assert_not_called()
    program.unlink()
    assert arping.install()
    install.assert_called_once_with(["iputils-arping"], may_remove=False)
