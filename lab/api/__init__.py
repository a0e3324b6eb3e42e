# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The part of a Juju 3.6 controller's websocket API that pytest-operator needs, over the lab."""
