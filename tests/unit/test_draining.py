# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What a draining region and HAProxy must have in common, of two charms."""

import re
from pathlib import Path

CHARMS = Path(__file__).parents[2] / "charms"
DRAINING = CHARMS / "maas-region/src/draining.py"
HAPROXY = CHARMS / "haproxy-vip/src/templates/haproxy.cfg.j2"


def test_a_drain_outlasts_the_connections_that_a_reload_leaves():
    noticed = re.search(r"^NOTICED_S = ([\d.]+)$", DRAINING.read_text(), re.MULTILINE)
    kept = re.search(r"timeout http-keep-alive (\d+)s$", HAPROXY.read_text(), re.MULTILINE)
    assert noticed
    assert kept
    assert float(noticed[1]) >= float(kept[1]) + 1
