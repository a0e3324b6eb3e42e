# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""One Linux machine that rehearses charmed MAAS: LXD machines under a small stand-in of Juju."""
