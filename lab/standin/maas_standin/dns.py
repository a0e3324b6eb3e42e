# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""BIND's options in MAAS's settings."""

from maas_standin import database, host, local_config, named


def migrate(cursor: database.Cursor, options: named.Options) -> None:
    """Take over into MAAS's settings what BIND's file says."""
    known = (database.get_setting(cursor, "upstream_dns") or "").split()
    added = [address for address in options.forwarders if address not in known]
    if added:
        database.put_setting(cursor, "upstream_dns", " ".join(known + added))
    if options.dnssec_validation:
        database.put_setting(cursor, "dnssec_validation", options.dnssec_validation)


class Writer:
    """Keeps BIND's forwarders and DNSSEC as MAAS's settings say."""

    def __init__(self, pool: database.Pool) -> None:
        self._pool = pool

    def __call__(self, _: str) -> None:
        """Write the options if they differ and have BIND read them."""
        text = self._pool.run(_render_inside)
        if named.INSIDE.exists() and named.INSIDE.read_text(encoding="utf-8") != text:
            local_config.write_atomically(str(named.INSIDE), text, 0o644)
            host.systemctl("reload", "bind9")


def _render_inside(cursor: database.Cursor) -> str:
    forwarders = (database.get_setting(cursor, "upstream_dns") or "").split()
    validation = database.get_setting(cursor, "dnssec_validation", "auto")
    lines = [f"    {address};\n" for address in forwarders]
    block = f"forwarders {{\n{''.join(lines)}}};\n" if forwarders else ""
    return f"{block}dnssec-validation {validation};\n"
