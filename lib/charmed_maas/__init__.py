# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""What the charms of charmed MAAS share, and nothing that only one of them needs."""
