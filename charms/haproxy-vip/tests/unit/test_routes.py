# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import pytest

import routes
from charmed_maas.interfaces.maas_api import Backend, Service

MAAS = Service("maas", 5240, 0, "http", "/MAAS/api/2.0/version/")
TEMPORAL = Service("temporal", 5271, 5271, "tcp")
REGIONS = [
    Backend("maas-region/0", "10.0.0.11", True),
    Backend("maas-region/9", "10.0.0.19", True),
]


def build(*services: Service, backends: list[Backend] = REGIONS) -> list[routes.Route]:
    return routes.build(services, backends, vip="10.0.0.100", port=80)


def test_servers_have_their_units_names_and_numbers():
    (route,) = build(MAAS)
    assert route.bind == "10.0.0.100:80"
    assert route.servers == (
        routes.Server("maas-region-0", "10.0.0.11:5240", 1),
        routes.Server("maas-region-9", "10.0.0.19:5240", 10),
    )


def test_a_tcp_service_leans_on_the_http_checks():
    http, tcp = build(MAAS, TEMPORAL)
    assert http.track == ""
    assert (tcp.bind, tcp.track) == ("10.0.0.100:5271", "maas-regions")
    assert build(TEMPORAL)[0].track == ""


def test_a_region_that_is_not_ready_gets_nothing():
    leaving = [REGIONS[0], Backend("maas-region/1", "10.0.0.12", False)]
    (route,) = build(MAAS, backends=leaving)
    assert [server.name for server in route.servers] == ["maas-region-0"]


def test_with_no_region_ready_the_health_checks_decide():
    (route,) = build(MAAS, backends=[Backend("maas-region/1", "10.0.0.12", False)])
    assert [server.name for server in route.servers] == ["maas-region-1"]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (Service("other", 5240, 0, "http"), "twice for port 80"),
        (Service("maas", 5240, 81, "http"), "twice for name maas"),
    ],
)
def test_services_that_clash_are_refused(second: Service, words: str):
    with pytest.raises(routes.RouteError, match=words):
        build(MAAS, second)


def test_a_tcp_service_is_left_to_the_region_on_this_machine():
    found = build(MAAS, TEMPORAL)
    served = routes.bindable(found, {}, backends=REGIONS, here={"10.0.0.11"})
    assert [route.name for route in served] == ["maas"]


def test_a_tcp_service_is_left_to_whoever_has_its_port():
    found = build(MAAS, TEMPORAL)
    served = routes.bindable(found, {5271: "x"}, backends=REGIONS, here={"10.0.0.50"})
    assert [route.name for route in served] == ["maas"]
    assert routes.bindable(found, {}, backends=REGIONS, here={"10.0.0.50"}) == found


def test_a_held_http_port_is_refused_naming_its_holder():
    with pytest.raises(routes.RouteError, match="port 80 is held by nginx: set port"):
        routes.bindable(build(MAAS), {80: "is held by nginx"}, backends=REGIONS, here=())
