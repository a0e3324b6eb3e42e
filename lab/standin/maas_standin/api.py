# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Where every path of the region's HTTP server leads."""

import ipaddress

from maas_standin import VERSION, controllers, networks, settings, users, web

CAPABILITIES = [
    "networks-management",
    "static-ipaddresses",
    "ipv6-deployment-ubuntu",
    "devices-management",
    "storage-deployment-ubuntu",
    "network-deployment-ubuntu",
    "bridging-interface-ubuntu",
    "bridging-automatic-ubuntu",
    "authenticate-api",
]


def _version(_: web.Request) -> web.Response:
    return web.Response({"capabilities": CAPABILITIES, "version": VERSION, "subversion": ""})


def _api_version(_: web.Request) -> web.Response:
    return web.Response("2.0", content_type=web.TEXT)


def _metrics(_: web.Request) -> web.Response:
    return web.Response("", 404, "text/html; charset=utf-8")


def _api_server(_: web.Request) -> web.Response:
    """Say that it is there, as MAAS's does at its root; the resources below it are not."""
    return web.Response({}, content_type=web.JSON)


def _metadata(_: web.Request) -> web.Response:
    """Let nobody in: only a machine that MAAS manages has a key to this."""
    raise web.HTTPError(401, "Forbidden", web.TEXT)


def _machines(_: web.Request) -> web.Response:
    """List the machines: none can be enlisted."""
    return web.Response([])


def _whoami(request: web.Request) -> web.Response:
    return web.Response(networks.render_user(request.user))


def _tokens(request: web.Request) -> web.Response:
    keys = users.keys(request.cursor, request.user["id"])
    return web.Response([{"name": name, "token": key} for key, name in keys])


def _create_token(request: web.Request) -> web.Response:
    name = request.data.get("name") or users.CONSUMER_NAME
    key = users.create_key(request.cursor, request.user["id"], name)
    names = ("consumer_key", "token_key", "token_secret")
    return web.Response(dict(zip(names, key.split(":"), strict=True)) | {"name": name})


def _delete_token(request: web.Request) -> web.Response:
    if not users.delete_token(
        request.cursor, request.user["id"], request.data.get("token_key", "")
    ):
        raise web.not_found("Token")
    return web.Response("", 204, web.TEXT)


def _rpc(request: web.Request) -> web.Response:
    """List every worker of every region, with the addresses that are one region's alone."""
    request.cursor.execute(
        "SELECT n.hostname, p.pid, host(e.address) AS address, e.port, n.id"
        " FROM maasserver_regioncontrollerprocess p JOIN maasserver_node n ON n.id = p.region_id"
        " JOIN maasserver_regioncontrollerprocessendpoint e ON e.process_id = p.id"
        " ORDER BY p.id, e.address, e.port"
    )
    rows = request.cursor.fetchall()
    owners: dict[str, set[int]] = {}
    for row in rows:
        owners.setdefault(row["address"], set()).add(row["id"])
    loops: dict[str, list[list[str | int]]] = {}
    for row in rows:
        if (
            len(owners[row["address"]]) == 1
            and not ipaddress.ip_address(row["address"]).is_loopback
        ):
            name = f"{row['hostname']}:pid={row['pid']}"
            loops.setdefault(name, []).append([row["address"], row["port"]])
    return web.Response({"eventloops": loops}, content_type=web.JSON)


PLAIN: dict[str, web.Handler] = {
    "/MAAS/rpc/": _rpc,
    "/MAAS/api/version/": _api_version,
    "/MAAS/metrics": _metrics,
    "/MAAS/metadata/": _metadata,
    f"{web.API_SERVER}v3/": _api_server,
}

ACCOUNT: dict[tuple[str, str | None], web.Handler] = {
    ("GET", "list_authorisation_tokens"): _tokens,
    ("POST", "create_authorisation_token"): _create_token,
    ("POST", "delete_authorisation_token"): _delete_token,
}

ROUTES: list[tuple[str, web.Resource]] = [
    (r"/version/", web.Resource({("GET", None): _version}, is_public=True)),
    (r"/users/", web.Resource({("GET", "whoami"): _whoami})),
    (r"/account/", web.Resource(ACCOUNT)),
    (r"/machines/", web.Resource({("GET", None): _machines}, has_anonymous=True)),
    *settings.ROUTES,
    *controllers.ROUTES,
    *networks.ROUTES,
]
