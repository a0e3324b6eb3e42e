# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from charmed_lab import image

INDEX = [
    "http://mirror.invalid/debian/|Debian|bookworm|main",
    "http://mirror.invalid/debian/|Debian|bookworm-updates|main",
    "http://other.invalid/security|Debian|bookworm-security|main",
]


def test_the_hosts_mirrors_serve_another_release():
    assert image.sources(INDEX, "trixie") == [
        "deb http://mirror.invalid/debian trixie main",
        "deb http://mirror.invalid/debian trixie-updates main",
        "deb http://other.invalid/security trixie-security main",
    ]


def test_a_host_without_security_suite_gets_none():
    assert image.sources(INDEX[:1], "bookworm") == [
        "deb http://mirror.invalid/debian bookworm main"
    ]


def test_what_is_not_debians_main_is_left_out():
    index = [
        "http://mirror.invalid/debian|Debian|bookworm-backports|main",
        "http://mirror.invalid/debian|Debian|bookworm|contrib",
        "https://node.invalid/x|Node Source|nodistro|main",
        "file:/srv/repo|Debian|bookworm|main",
        "http://ubuntu.invalid/|Ubuntu|noble|main",
        "http://never.updated.invalid/||bookworm|main",
    ]
    assert image.sources(index, "trixie") == []


def test_a_mirror_that_is_named_twice_is_used_once():
    assert len(image.sources([INDEX[0], INDEX[0]], "trixie")) == 1


def test_only_proxies_of_the_apt_configuration_are_taken_over():
    dump = (
        'Acquire "";\nAcquire::http::Proxy "http://proxy.invalid:3128";\n'
        'Acquire::https::Proxy "";\nAcquire::Retries "3";\n'
    )
    assert image.proxies(dump) == 'Acquire::http::Proxy "http://proxy.invalid:3128";\n'
