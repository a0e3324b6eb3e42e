# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A stand-in for MAAS 3.7: what charms see of it, backed by a real database."""

VERSION = "3.7.3"
