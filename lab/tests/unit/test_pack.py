# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

from pathlib import Path

import pytest

from charmed_lab import pack

TREE = [
    "pyproject.toml",
    "LICENSE",
    "README.md",
    "lab/pyproject.toml",
    "lab/charmed_lab/up.py",
    "lib/pyproject.toml",
    "lib/charmed_maas/files.py",
    "lib/tests/unit/test_files.py",
    "charms/a/charmcraft.yaml",
    "charms/a/src/charm.py",
    "charms/a/tests/unit/test_charm.py",
    "charms/ab/src/charm.py",
]


def test_a_charm_is_packed_from_itself_and_what_it_shares():
    assert pack.sources("a", TREE) == [
        "LICENSE",
        "charms/a/charmcraft.yaml",
        "charms/a/src/charm.py",
        "lab/pyproject.toml",
        "lib/charmed_maas/files.py",
        "lib/pyproject.toml",
        "pyproject.toml",
    ]


def test_fingerprint_changes_with_content_name_and_mode(tmp_path: Path):
    def mark(name: str = "a", content: str = "x", mode: int = 0o644) -> str:
        path = tmp_path / name
        path.write_text(content)
        path.chmod(mode)
        return pack.fingerprint([name], root=tmp_path)

    first = mark()
    assert mark() == first
    assert len({first, mark(content="y"), mark(mode=0o755), mark(name="b")}) == 4


def test_container_uses_the_hosts_index_but_its_own_certificates():
    environ = {
        "PIP_INDEX_URL": "https://index.invalid/simple",
        "PIP_CERT": "/host/only.pem",
        "PIP_FIND_LINKS": "/host/wheels",
        "UV_CACHE_DIR": "/host/cache",
        "https_proxy": "http://proxy.invalid",
        "HOME": "/root",
    }
    settings = pack.package_settings(environ, ":env:.index-url='https://index.invalid/simple'\n")
    assert settings == {
        "PIP_INDEX_URL": "https://index.invalid/simple",
        "UV_DEFAULT_INDEX": "https://index.invalid/simple",
        "https_proxy": "http://proxy.invalid",
        "PIP_CERT": pack.CA_BUNDLE,
        "SSL_CERT_FILE": pack.CA_BUNDLE,
        "REQUESTS_CA_BUNDLE": pack.CA_BUNDLE,
    }


def test_indexes_of_pips_configuration_file_reach_uv():
    config = "global.index-url='https://a.invalid/'\nglobal.extra-index-url='https://b.invalid/'\n"
    settings = pack.package_settings({}, config)
    assert settings["UV_DEFAULT_INDEX"] == "https://a.invalid/"
    assert settings["UV_INDEX"] == "https://b.invalid/"


def test_an_index_set_for_uv_is_kept():
    environ = {"UV_DEFAULT_INDEX": "https://uv.invalid/"}
    settings = pack.package_settings(environ, "global.index-url='https://pip.invalid/'\n")
    assert settings["UV_DEFAULT_INDEX"] == "https://uv.invalid/"


def test_bundle_is_placed_byte_by_byte_beside_its_charms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "bundle.yaml").write_bytes(b"applications: {}\r\n# as it is\n")
    monkeypatch.setattr(pack, "REPOSITORY", tmp_path)
    packed = tmp_path / "a-1234.charm"
    packed.write_bytes(b"zip")
    bundle = tmp_path / "stage/bundle"
    for _ in range(2):
        pack.place({"a": packed}, bundle)
        assert (bundle / "bundle.yaml").read_bytes() == b"applications: {}\r\n# as it is\n"
        assert (bundle / f"charms/a/a{pack.SUFFIX}").read_bytes() == b"zip"
