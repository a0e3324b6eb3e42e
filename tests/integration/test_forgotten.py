# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""After all that came and went: told late, for MAAS lets a controller go only minutes later."""

import pytest
from maas import MAAS


@pytest.mark.parametrize("app", ["maas-region", "maas-rack"])
def test_maas_has_forgotten_who_left(maas: MAAS, app: str):
    maas.wait_forgotten(app)
