# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Whether a MAAS URL by a name of the operator's own leads to the VIP."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from charmed_maas import commands, databag

OPTION = "maas-url"
GETENT = "/usr/bin/getent"
RESOLVED_S = 5.0
HTTP_PORT = 80


def problem(own: str, through_vip: str, vip: str) -> str:
    """Return why a URL is not the VIP's by another name, "" when it is; a status message."""
    try:
        databag.url({OPTION: own}, OPTION)
    except databag.DatabagError as error:
        return f"{error}: set it to {_like(through_vip)}"
    return _form(own, through_vip) or _place(own, vip)


def _form(own: str, through_vip: str) -> str:
    """Return in what a URL differs from the VIP's, besides the host."""
    parts, wanted = urlsplit(own), urlsplit(through_vip)
    found = parts.scheme, parts.port or HTTP_PORT, parts.path.rstrip("/")
    if found == (wanted.scheme, wanted.port or HTTP_PORT, wanted.path) and not parts.query:
        return ""
    return f"{OPTION}: set it to {_like(through_vip)}, as the VIP serves it"


def _like(through_vip: str) -> str:
    """Return the VIP's URL by a name that is still to be given."""
    parts = urlsplit(through_vip)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://NAME{port}{parts.path}"


def _place(own: str, vip: str) -> str:
    """Return where a URL's host leads, "" for the VIP."""
    name = urlsplit(own).hostname or ""
    try:
        argv = [GETENT, "ahosts", "--", name]
        lines = commands.run(argv, timeout_s=RESOLVED_S, check=False).stdout.splitlines()
    except commands.CommandError as error:
        return f"{OPTION}: {name}: {error}"
    found = {ip_address(line.split()[0].partition("%")[0]) for line in lines if line.strip()}
    wanted = ip_address(vip)
    leads = sorted(str(one) for one in found if one.version == wanted.version)
    if leads == [str(wanted)]:
        return ""
    return f"{OPTION}: {name} is {', '.join(leads) or 'nowhere'}, not the VIP {vip}: mend its name"
