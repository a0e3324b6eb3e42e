# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The command maas: MAAS's API from a shell, with a key kept under a profile's name."""

import argparse
import contextlib
import json
import os
import pathlib
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

PROFILES = pathlib.Path("~/.maascli.json").expanduser()
# Commands of the region's administrator that MAAS also offers here.
ADMIN = ("apikey", "createadmin")
# Resource to its path; what stands in braces is taken from the command line.
PATHS = {
    "version": "version/",
    "maas": "maas/",
    "users": "users/",
    "account": "account/",
    "rack-controllers": "rackcontrollers/",
    "rack-controller": "rackcontrollers/{system_id}/",
    "region-controllers": "regioncontrollers/",
    "region-controller": "regioncontrollers/{system_id}/",
    "fabrics": "fabrics/",
    "fabric": "fabrics/{id}/",
    "vlans": "fabrics/{fabric_id}/vlans/",
    "vlan": "fabrics/{fabric_id}/vlans/{vid}/",
    "subnets": "subnets/",
    "subnet": "subnets/{id}/",
    "ipranges": "ipranges/",
    "iprange": "ipranges/{id}/",
}
METHODS = {"read": "GET", "create": "POST", "update": "PUT", "delete": "DELETE"}
OPERATIONS = {
    "get-config": "GET",
    "set-config": "POST",
    "whoami": "GET",
    "list-authorisation-tokens": "GET",
}


def _load() -> dict[str, dict[str, str]]:
    return json.loads(PROFILES.read_text(encoding="utf-8")) if PROFILES.exists() else {}


def _save(profiles: dict[str, dict[str, str]]) -> None:
    PROFILES.touch(mode=0o600)
    PROFILES.write_text(json.dumps(profiles), encoding="utf-8")


def _authorization(key: str) -> str:
    consumer, token, secret = key.split(":")
    fields = {
        "oauth_version": "1.0",
        "oauth_signature_method": "PLAINTEXT",
        "oauth_consumer_key": consumer,
        "oauth_token": token,
        "oauth_signature": f"%26{secret}",
        "oauth_nonce": uuid.uuid4().hex,
        "oauth_timestamp": str(int(time.time())),
    }
    return "OAuth " + ", ".join(f'{name}="{value}"' for name, value in fields.items())


def _request(
    profile: dict[str, str], method: str, path: str, values: dict[str, str]
) -> tuple[int, str]:
    """Return the status and body of MAAS's answer."""
    data = urllib.parse.urlencode(values)
    in_query = method in ("GET", "DELETE") and data
    url = f"{profile['url']}/{path}"
    if in_query:
        url += ("&" if "?" in url else "?") + data
    request = urllib.request.Request(  # noqa: S310  The URL is the operator's own.
        url,
        method=method,
        data=None if in_query or method == "GET" else data.encode(),
        headers={"Authorization": _authorization(profile["key"])},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _login(name: str, url: str, key: str) -> int:
    base = re.sub(r"(/api/2\.0)?/*$", "/api/2.0", url)
    status, body = _request({"url": base, "key": key}, "GET", "users/?op=whoami", {})
    if status != 200:
        print(body, file=sys.stderr)
        return 2
    _save(_load() | {name: {"url": base, "key": key}})
    print(f"\nYou are now logged in to the MAAS server at {base}/ with the profile name '{name}'.")
    return 0


def _logout(name: str) -> int:
    profiles = _load()
    if profiles.pop(name, None) is None:
        print(f"'{name}' is not an active session.", file=sys.stderr)
        return 2
    _save(profiles)
    return 0


def _list() -> int:
    for name, profile in sorted(_load().items()):
        print(name, f"{profile['url']}/", profile["key"])
    return 0


def _fill(resource: str, words: list[str]) -> tuple[str, list[str]]:
    """Return a resource's path with its names filled in, and the words that are left."""
    path = PATHS[resource]
    for name in re.findall(r"{(\w+)}", path):
        if not words:
            raise SystemExit(f"{resource}: {name} is missing")
        path = path.replace(f"{{{name}}}", urllib.parse.quote(words[0]), 1)
        words = words[1:]
    return path, words


def _call(profile: dict[str, str], words: list[str]) -> int:
    """Run `maas PROFILE RESOURCE OPERATION [NAME ...] [KEY=VALUE ...]`."""
    parser = argparse.ArgumentParser(prog="maas PROFILE")
    parser.add_argument("resource", choices=PATHS)
    parser.add_argument("operation", choices=[*METHODS, *OPERATIONS])
    parser.add_argument("words", nargs="*")
    options = parser.parse_args(words)
    path, rest = _fill(options.resource, options.words)
    if options.operation in OPERATIONS:
        method = OPERATIONS[options.operation]
        path += f"?op={options.operation.replace('-', '_')}"
    else:
        method = METHODS[options.operation]
    pairs = (word.partition("=") for word in rest)
    values = {name: value for name, _, value in pairs}
    status, body = _request(profile, method, path, values)
    with contextlib.suppress(ValueError):  # Some answers are plain text.
        body = json.dumps(json.loads(body), indent=4)
    print(body)
    return 0 if status < 400 else 2


def main() -> int:
    """Run maas."""
    command, words = (sys.argv[1:] or ["--help"])[0], sys.argv[2:]
    if command in ADMIN:
        os.execv("/usr/sbin/maas-region", ["maas-region", command, *words])  # noqa: S606
    profiles = _load()
    if command in profiles:
        return _call(profiles[command], words)
    parser = argparse.ArgumentParser(prog="maas")
    actions = parser.add_subparsers(title="actions", required=True, dest="action")
    login = actions.add_parser("login", help="Log in to a remote API, keeping its key.")
    for name in ("profile_name", "url", "credentials"):
        login.add_argument(name)
    actions.add_parser("logout", help="Forget a profile.").add_argument("profile_name")
    actions.add_parser("list", help="List the profiles.")
    options = parser.parse_args()
    if options.action == "login":
        return _login(options.profile_name, options.url, options.credentials)
    return _logout(options.profile_name) if options.action == "logout" else _list()
