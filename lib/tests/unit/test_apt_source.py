# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import subprocess
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest

from charmed_maas import apt_source, commands

LINE = "deb [trusted=yes] file:/srv/lab-apt ./"
STANZA = """Types: deb
URIs: https://mirror.example/maas
Suites: noble
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----"""


class FakeApt:
    """Package commands that succeed unless told to fail; installed is what dpkg-query knows."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []
        self.failures: dict[str, list[str]] = {}
        self.installed = {"software-properties-common"}

    def run(self, argv: Sequence[str], *, check: bool = True, **_: object):
        name = argv[0].rsplit("/", 1)[-1]
        if name == "dpkg-query":
            known = "".join(f"{one} installed 1.0\n" for one in argv[3:] if one in self.installed)
            return subprocess.CompletedProcess(argv, 1, f"{known}half config-files 1.0\n", "")
        verb = f"{name} {argv[1]}"
        self.ran.append(list(argv))
        if failures := self.failures.get(verb):
            assert not check, "the error is picked from the whole output"
            return subprocess.CompletedProcess(argv, 100, "", failures.pop(0))
        return subprocess.CompletedProcess(argv, 0, "", "")

    def verbs(self) -> list[str]:
        return [f"{argv[0].rsplit('/', 1)[-1]} {argv[1]}" for argv in self.ran]


@pytest.fixture
def apt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> FakeApt:
    fake = FakeApt()
    monkeypatch.setattr(commands, "run", fake.run)
    monkeypatch.setattr(apt_source, "SOURCE_PARTS", tmp_path)
    monkeypatch.setattr(apt_source, "REFUSED", tmp_path_factory.mktemp("run"))
    monkeypatch.setattr("charmed_maas.files.os.fchown", lambda *_: None)
    monkeypatch.setattr("charmed_maas.files.os.chown", lambda *_: None)
    return fake


def test_a_line_is_written_once_and_only_its_lists_are_fetched(apt: FakeApt, tmp_path: Path):
    assert apt_source.ensure(LINE, "maas-region")
    assert not apt_source.ensure(LINE, "maas-region")
    path = tmp_path / "charmed-maas-region.list"
    assert path.read_text().splitlines()[1] == LINE
    assert apt.verbs() == ["apt-get update"]
    assert f"Dir::Etc::sourcelist={path}" in apt.ran[0]


def test_a_stanza_replaces_a_line(apt: FakeApt, tmp_path: Path):
    apt_source.ensure(LINE, "maas-region")
    assert apt_source.ensure(STANZA, "maas-region")
    assert [path.name for path in tmp_path.iterdir()] == ["charmed-maas-region.sources"]
    assert "-----BEGIN PGP" in (tmp_path / "charmed-maas-region.sources").read_text()


def test_a_refused_source_leaves_the_one_before(apt: FakeApt, tmp_path: Path):
    apt_source.ensure(LINE, "maas-region")
    apt.failures["apt-get update"] = [
        "Reading\nE: The repository 'x' has no Release file.\nE: " + "x" * 999
    ]
    with pytest.raises(apt_source.SourceError, match=r"The repository 'x' has no Release file$"):
        apt_source.ensure(STANZA, "maas-region")
    assert [path.name for path in tmp_path.iterdir()] == ["charmed-maas-region.list"]
    assert not apt_source.ensure(LINE, "maas-region")


def _refuse(apt: FakeApt, source: str) -> str:
    apt.failures["apt-get update"] = ["E: Connection timed out"]
    apt.ran.clear()
    with pytest.raises(apt_source.SourceError) as caught:
        apt_source.ensure(source, "maas-region")
    return str(caught.value)


def test_a_source_that_cannot_be_reached_is_not_asked_in_every_hook(
    apt: FakeApt, monkeypatch: pytest.MonkeyPatch
):
    now = [1000.0]
    monkeypatch.setattr(apt_source.time, "time", lambda: now[0])
    apt_source.ensure(LINE, "maas-region")
    words = _refuse(apt, LOGINS[0])
    assert words.endswith("Connection timed out")
    assert _refuse(apt, LOGINS[0]) == words
    assert not apt.ran
    (note,) = apt_source.REFUSED.iterdir()
    assert "s3cret" not in note.read_text()

    _refuse(apt, STANZA)
    assert apt.verbs() == ["apt-get update"], "another source"
    now[0] += apt_source.RETRY_S - 1
    _refuse(apt, STANZA)
    assert not apt.ran
    now[0] += 1
    _refuse(apt, STANZA)
    assert apt.ran
    now[0] = 5.0
    _refuse(apt, STANZA)
    assert apt.ran, "the clock was ahead"

    apt_source.ensure(LINE, "maas-region")
    _refuse(apt, STANZA)
    assert apt.ran, "the operator tries it anew"
    apt_source.remove("maas-region")
    assert not list(apt_source.REFUSED.iterdir())


def test_what_is_to_be_installed_needs_its_first_source_at_once(apt: FakeApt):
    _refuse(apt, LINE)
    _refuse(apt, LINE)
    assert apt.ran
    apt.failures.clear()
    assert apt_source.ensure(LINE, "maas-region")


def test_a_refused_first_source_leaves_nothing(apt: FakeApt, tmp_path: Path):
    apt.failures["apt-get update"] = ["E: no"]
    with pytest.raises(apt_source.SourceError):
        apt_source.ensure(LINE, "maas-region")
    assert not list(tmp_path.iterdir())


def test_charms_on_one_machine_have_their_own_sources(apt: FakeApt, tmp_path: Path):
    assert apt_source.ensure(LINE, "maas-region")
    assert apt_source.ensure(STANZA, "maas-rack")
    assert not apt_source.ensure(LINE, "maas-region")
    assert not apt_source.ensure(STANZA, "maas-rack")
    assert apt_source.remove("maas-region")
    assert [path.name for path in tmp_path.iterdir()] == ["charmed-maas-rack.sources"]
    assert not apt_source.remove("maas-region")


def test_a_ppa_that_another_charm_uses_stays(apt: FakeApt):
    apt_source.ensure("ppa:maas/3.6", "maas-region")
    apt_source.ensure("ppa:maas/3.6", "maas-rack")
    apt_source.ensure("ppa:maas/3.7", "maas-region")
    assert not [argv for argv in apt.ran if "--remove" in argv]
    apt_source.ensure("ppa:maas/3.7", "maas-rack")
    assert [argv[-1] for argv in apt.ran if "--remove" in argv] == ["ppa:maas/3.6"]


LOGINS = (
    "deb https://user:s3cret@mirror.example/maas noble main",
    "deb https://user:s3cret@t@mirror.example/maas noble main",
    STANZA.replace("https://", "https://user:s3cret@"),
)


@pytest.mark.parametrize("source", LOGINS, ids=["line", "an @ in it", "stanza"])
def test_a_mirrors_login_is_roots_alone_and_in_no_message(
    apt: FakeApt, tmp_path: Path, source: str
):
    words = f"E: The repository '{'x' * 150} https://user:s3cret@mirror.example/maas' has no file"
    apt.failures["apt-get update"] = [words]
    with pytest.raises(apt_source.SourceError) as caught:
        apt_source.ensure(source, "maas-region")
    assert "s3cret" not in str(caught.value)
    assert "//…@mirror.example" in str(caught.value)

    apt_source.ensure(source, "maas-region")
    (path,) = tmp_path.iterdir()
    assert "s3cret" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert apt_source.ensure(source, "maas-region"), "as an earlier revision left it"
    assert path.stat().st_mode & 0o777 == 0o600
    apt_source.ensure(LINE, "maas-region")
    assert path.with_suffix(".list").stat().st_mode & 0o777 == 0o644


def test_what_is_no_source_is_quoted_without_its_login():
    with pytest.raises(apt_source.SourceError, match="is neither") as caught:
        apt_source.render("deb https://user:" + "s3cret" * 20 + "@mirror.example")
    assert "s3cret" not in str(caught.value)


def test_a_package_that_cannot_be_fetched_is_told_without_the_login(apt: FakeApt):
    words = "E: Failed to fetch https://user:s3cret@mirror.example/maas.deb 401"
    apt.failures["apt-get install"] = [words] * 2
    with pytest.raises(apt_source.SourceError, match="//…@mirror") as caught:
        apt_source.install(["bind9"])
    assert "s3cret" not in str(caught.value)


def test_a_ppa_replaces_another(apt: FakeApt, tmp_path: Path):
    apt_source.ensure("ppa:maas/3.6", "maas-region")
    apt.ran.clear()
    assert apt_source.ensure("ppa:maas/3.7", "maas-region")
    assert not apt_source.ensure("ppa:maas/3.7", "maas-region")
    assert [argv[-1] for argv in apt.ran if "add-apt" in argv[0]] == [
        "ppa:maas/3.7",
        "ppa:maas/3.6",
    ]
    assert "--remove" in apt.ran[-1]


def test_a_ppa_that_failed_is_added_again(apt: FakeApt, tmp_path: Path):
    apt.failures["add-apt-repository --yes"] = ["E: no network"]
    with pytest.raises(apt_source.SourceError, match="no network"):
        apt_source.ensure("ppa:maas/3.7", "maas-region")
    assert apt_source.ensure("ppa:maas/3.7", "maas-region")


@pytest.mark.parametrize(
    "source", ["", "maas", "deb", "ppa:maas", "ppa:a/b; rm", "deb-src http://x y", "Types: deb"]
)
def test_what_is_no_source_is_refused_with_a_sentence(source: str):
    with pytest.raises(apt_source.SourceError, match="is neither ppa:owner/name, nor an apt line"):
        apt_source.render(source)


def test_only_missing_packages_are_installed(apt: FakeApt):
    apt.installed |= {"nginx"}
    assert apt_source.install(["nginx", "bind9"])
    assert apt.ran[0][-1] == "bind9"
    assert "nginx" not in apt.ran[0]
    assert {"--no-install-recommends", "--no-upgrade"} <= set(apt.ran[0])


def test_nothing_runs_when_nothing_is_missing(apt: FakeApt):
    assert not apt_source.install(["software-properties-common"])
    assert not apt.ran


def test_a_failed_install_repairs_dpkg_and_lists_and_tries_once_more(apt: FakeApt):
    apt.failures["apt-get install"] = ["E: Unable to locate package bind9"]
    assert apt_source.install(["bind9"])
    assert apt.verbs() == [
        "apt-get install",
        "dpkg --configure",
        "apt-get update",
        "apt-get install",
    ]


def test_a_package_that_a_killed_dpkg_left_half_unpacked_is_unpacked_again(apt: FakeApt):
    apt.failures["apt-get install"] = ["E: dpkg was interrupted"]
    apt.failures["dpkg --configure"] = ["dpkg: package is in a very bad inconsistent state"]
    assert apt_source.install(["bind9"])
    assert apt.verbs()[-1] == "apt-get install"


def test_who_holds_the_lists_is_waited_for(apt: FakeApt, monkeypatch: pytest.MonkeyPatch):
    waited: list[float] = []
    monkeypatch.setattr(apt_source.time, "sleep", waited.append)
    held = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)\n"
    apt.failures["apt-get update"] = [held, held]
    assert apt_source.ensure(LINE, "maas-region")
    assert apt.verbs() == ["apt-get update"] * 3
    assert len(waited) == 2


def test_a_lock_that_is_never_given_back_is_told(apt: FakeApt, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(apt_source, "LOCK_TIMEOUT_S", 0)
    apt.failures["apt-get update"] = ["E: Could not get lock /var/lib/apt/lists/lock.\n"]
    with pytest.raises(apt_source.SourceError, match="Could not get lock"):
        apt_source.ensure(LINE, "maas-region")


def test_an_install_that_fails_twice_says_why(apt: FakeApt):
    apt.failures["apt-get install"] = ["E: Unable to locate package bind9"] * 2
    with pytest.raises(apt_source.SourceError, match="Unable to locate package bind9"):
        apt_source.install(["bind9"])


def test_a_comment_may_stand_before_a_stanza_and_within():
    commented = STANZA.replace("Suites", "# Not jammy.\nSuites")
    assert apt_source.render(f"# The mirror.\n\n{commented}")[0] == ".sources"


@pytest.mark.parametrize(
    ("installed", "candidate", "offered"),
    [
        ("1:3.7.3-1", "1:3.8.0-1", "1:3.8.0-1"),
        ("1:3.7.3-1", "1:3.7.3-1", ""),
        ("(none)", "1:3.8.0-1", ""),
        ("1:3.7.3-1", "(none)", ""),
        (None, None, ""),
    ],
)
def test_what_apt_offers(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, candidate: str | None, offered: str
):
    """As `apt-cache policy` prints it; nothing for a package that no list has."""
    policy = (
        f"maas-rack-controller:\n  Installed: {installed}\n  Candidate: {candidate}\n"
        "  Version table:\n     9:9.9-9 500\n        500 http://example.com trixie/main\n"
    )
    ran: list[tuple[Sequence[str], object]] = []

    def run(argv: Sequence[str], *, env: object = None, **_: object):
        ran.append((argv, env))
        return subprocess.CompletedProcess(argv, 0, policy if installed else "", "")

    monkeypatch.setattr(commands, "run", run)
    assert apt_source.offered("maas-rack-controller") == offered
    argv = ["/usr/bin/apt-cache", "policy", "maas-rack-controller"]
    assert ran == [(argv, {"LC_ALL": "C.UTF-8"})]


def test_an_apt_cache_that_does_not_end_offers_nothing(monkeypatch: pytest.MonkeyPatch):
    error = commands.CommandError("apt-cache did not end within 60 s")
    monkeypatch.setattr(commands, "run", mock.Mock(side_effect=error))
    assert apt_source.offered("maas-rack-controller") == ""


def test_what_must_remove_nothing_says_so_to_apt(apt: FakeApt):
    apt_source.install(["iputils-arping"], may_remove=False)
    (with_,) = apt.ran
    apt_source.install(["iputils-arping"])
    assert with_[:2] == apt.ran[1][:2] == ["/usr/bin/apt-get", "install"]
    assert "--no-remove" in with_
    assert "--no-remove" not in apt.ran[1]
