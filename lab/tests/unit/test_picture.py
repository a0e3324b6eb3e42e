# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from charmed_lab import console, picture, picture_parts, picture_sheet

# What a Juju 4.0.15 said after a machine's agent was killed, the rest of the model cut away.
RECORDED = """{"model":{"name":"shop","type":"iaas","controller":"probe","cloud":"unmanaged",
"version":"4.0.15","model-status":{"current":"available","since":"22 Nov 2026 23:05:22Z"}},
"machines":{"2":{"juju-status":{"current":"down","message":"agent is not communicating with the
server","since":"22 Nov 2026 23:00:43Z","life":"alive"},"hostname":"jj4","dns-name":"10.77.0.14",
"ip-addresses":["10.77.0.14"],"instance-id":"manual:10.77.0.14","machine-status":{"current":
"running","message":"Manually provisioned machine","since":"22 Nov 2026 23:00:41Z","life":"alive"},
"modification-status":{},"base":{"name":"ubuntu","channel":"24.04"}}},
"applications":{"green":{"charm":"local:probe-b-1","base":{"name":"ubuntu","channel":"24.04"},
"charm-origin":"local","charm-name":"probe-b","charm-rev":1,"exposed":false,"life":"alive",
"application-status":{"current":"unknown"},"relations":{"peers":[{"related-application":"green",
"interface":"probe-peers","scope":"global"}],"source":[{"related-application":"red","interface":
"probe","scope":"global"}]},"units":{"green/0":{"workload-status":{"current":"unknown","message":
"agent lost, see `juju debug-logs` or `juju show-status-log` for more information","since":
"22 Nov 2026 23:01:48Z"},"juju-status":{"current":"lost","message":"agent is not communicating with
the server","since":"22 Nov 2026 23:03:16Z","version":"4.0.15"},"machine":"2","public-address":
"10.77.0.14"}},"version":"1.2.3","endpoint-bindings":{"":"alpha","peers":"alpha"}}},"storage":{},
"controller":{"timestamp":"23:05:22Z"}}""".replace("\n", " ")

SVG = "{http://www.w3.org/2000/svg}"
Entity = dict[str, Any]


def unit(machine: str, message: str = "", current: str = "active", **more: Any) -> Entity:
    status = {"workload-status": {"current": current, "message": message}}
    return status | {"juju-status": {"current": "idle"}, "machine": machine} | more


def machine(current: str = "started", **more: Any) -> Entity:
    status = {"juju-status": {"current": current}, "machine-status": {"current": "running"}}
    return status | {"dns-name": "10.0.0.9", "instance-id": "i-9"} | more


def app(units: Entity | None = None, **related: tuple[str, str]) -> Entity:
    ends = {
        end: [{"related-application": other, "interface": interface, "scope": "global"}]
        for end, (other, interface) in related.items()
    }
    status = {"application-status": {"current": "active"}, "charm-rev": 1}
    return status | {"units": units or {}, "relations": ends}


def report(apps: Entity | None = None, machines: Entity | None = None, **more: Any) -> Entity:
    model = {"name": "maas", "controller": "here", "cloud": "a", "version": "3.6.9"}
    return {"model": model, "applications": apps or {}, "machines": machines or {}} | more


MAAS = report(
    {
        "haproxy-vip": app(
            {
                "haproxy-vip/0": unit("0", "VIP holder, 3/3 regions up"),
                "haproxy-vip/1": unit("1", "ready to take 10.0.0.100", leader=True),
            },
            api=("maas-region", "maas_api"),
            peers=("haproxy-vip", "haproxy_vip_peers"),
        ),
        "maas-region": app(
            {"maas-region/0": unit("0", "serving")},
            api=("haproxy-vip", "maas_api"),
            db=("postgresql-ha", "postgresql_client"),
        ),
        "postgresql-ha": app(
            {
                "postgresql-ha/2": unit("0", "replica"),
                "postgresql-ha/10": unit("1", "primary; two members"),
                "postgresql-ha/11": unit("2", "primary, lost", current="unknown"),
            },
            db=("maas-region", "postgresql_client"),
        ),
    },
    {"0": machine(), "1": machine(), "2": machine("down")},
)


def texts(svg: str) -> list[str]:
    """Return what stands in a picture, in the order in which it was drawn."""
    return [node.text or "" for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def drawn(status: Entity, title: str) -> list[str]:
    """Return what stands in the box whose title begins so."""
    for group in ElementTree.fromstring(picture_sheet.draw(status)).iter(f"{SVG}g"):
        if (group.findtext(f"{SVG}title") or "").startswith(title):
            return [node.text or "" for node in group.iter(f"{SVG}text")]
    raise AssertionError(f"nothing is called {title}")


def test_every_machine_unit_and_application_is_there_with_its_status():
    found = texts(picture_sheet.draw(MAAS))
    for name in ("machine 0", "machine 1", "machine 2", "haproxy-vip", "postgresql-ha"):
        assert found.count(name) == 1
    for name in picture_parts.units(MAAS["applications"]):
        assert found.count(name) == 1
    assert "down" in found
    assert drawn(MAAS, "postgresql-ha/11:")[1] == "unknown"


def test_what_juju_4_said_of_a_lost_machine_is_drawn():
    found = texts(picture_sheet.draw(json.loads(RECORDED)))
    assert {"shop", "machine 2", "down", "10.77.0.14 · manual:10.77.0.14", "lost"} <= set(found)
    assert drawn(json.loads(RECORDED), "green/0:")[:3] == ["green/0", "unknown", "lost"]
    assert drawn(json.loads(RECORDED), "green:")[:3] == ["green", "unknown", "1 unit"]


def test_what_matters_most_is_said_in_words_too():
    found = texts(picture_sheet.draw(MAAS))
    assert "6 units: 5 active, 1 unknown" in found
    assert "VIP holder: haproxy-vip/0, primary: postgresql-ha/10" in found


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("haproxy-vip/0", "VIP holder"),
        ("haproxy-vip/1", "★ leader"),
        ("postgresql-ha/10", "primary"),
    ],
)
def test_a_mark_stands_on_its_unit_alone(name: str, mark: str):
    having = [one for one in picture_parts.units(MAAS["applications"]) if mark in drawn(MAAS, one)]
    assert having == [name]


def test_units_stand_on_their_machine_and_in_the_order_of_their_numbers():
    found = texts(picture_sheet.draw(MAAS))
    at = [found.index(name) for name in ("machine 1", "haproxy-vip/1", "machine 2")]
    assert at == sorted(at)
    assert list(picture_parts.by_number({"a/10": {}, "a/2": {}})) == ["a/2", "a/10"]


def test_relations_are_told_once_and_peers_are_none():
    assert drawn(MAAS, "haproxy-vip, maas-region: api (maas_api)") == ["api"]
    assert len(picture_parts.relations(MAAS["applications"])) == 2
    two = {"a": app(sink=("b", "x")), "b": app(source=("a", "x"))}
    assert drawn(report(two), "a, b:") == ["sink / source"]


def test_related_applications_are_near_and_their_lines_apart():
    pairs = [("api", "vip"), ("api", "db"), ("api", "rack")]
    row = picture_parts.order(["rack", "vip", "db", "api"], pairs)
    assert row.index("api") in (1, 2)
    assert picture_parts.lanes([(0, 1), (1, 2), (0, 2), (0, 1)]) == [0, 0, 2, 1]


def test_containers_stand_in_their_machine_with_their_units():
    inside = {"0": machine(containers={"0/lxd/1": machine("pending")}), "1": machine()}
    found = texts(picture_sheet.draw(report({"a": app({"a/0": unit("0/lxd/1")})}, inside)))
    at = [found.index(name) for name in ("machine 0", "0/lxd/1", "a/0", "machine 1")]
    assert at == sorted(at)
    assert "no machine" not in found


def test_subordinates_follow_their_principal():
    log = {"workload-status": {"current": "blocked", "message": "no place"}, "juju-status": {}}
    apps = {"a": app({"a/0": unit("0", subordinates={"log/0": log})}), "log": app()}
    found = texts(picture_sheet.draw(report(apps, {"0": machine()})))
    assert found.index("log/0") == found.index("a/0") + 3
    assert drawn(report(apps, {"0": machine()}), "log/0:")[1] == "blocked"


def test_a_unit_that_has_no_machine_yet_is_shown():
    found = texts(picture_sheet.draw(report({"a": app({"a/0": unit("", current="waiting")})})))
    assert {"no machine", "a/0", "waiting"} <= set(found)


def test_a_machine_that_could_not_be_made_says_why():
    broken = machine("pending") | {
        "machine-status": {"current": "provisioning error", "message": "no such zone"}
    }
    found = texts(picture_sheet.draw(report({}, {"3": broken})))
    assert {"error", "no such zone"} <= set(found)


def test_what_juju_could_not_tell_is_failed():
    status = report({"a": {"status-error": "boom"}}, {"0": {"status-error": "bang"}})
    assert texts(picture_sheet.draw(status)).count("failed") == 2


def test_names_and_messages_cannot_break_the_picture():
    evil = "</text><script>&\x1b\x00\ud800 ]]>"
    apps = {"a<&'\"": app({"a<&'\"/0": unit("0", evil)}, db=("a<&'\"", "x"))}
    svg = picture_sheet.draw(report(apps, {"0": machine()}), note=evil)
    assert "<script" not in svg
    assert "a<&'\"/0" in texts(svg)
    svg.encode()


def test_a_long_message_ends_in_an_ellipsis():
    long = report({"a": app({"a/0": unit("0", "word " * 90)})}, {"0": machine(), "1": machine()})
    lines = drawn(long, "a/0:")
    assert lines[-1].endswith("…")
    assert max(map(len, lines)) < 50


def test_an_empty_model_says_so():
    assert "no applications, no machines" in texts(picture_sheet.draw({"model": {"name": "a"}}))
    nulls = report() | {"machines": None, "applications": None}
    assert "no applications, no machines" in texts(picture_sheet.draw(nulls))


def test_twenty_machines_stand_in_rows():
    svg = picture_sheet.draw(report({}, {str(number): machine() for number in range(20)}))
    root = ElementTree.fromstring(svg)
    places = {
        node.text: (node.get("x"), node.get("y"))
        for node in root.iter(f"{SVG}text")
        if (node.text or "").startswith("machine ")
    }
    assert len(set(places.values())) == 20
    assert len({y for _, y in places.values()}) == 4
    assert float(root.get("width", "0")) < 1500


def piped(monkeypatch: pytest.MonkeyPatch, text: str, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["picture", "-", *words])
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    return picture.command()


def test_a_status_on_standard_input_is_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert piped(monkeypatch, json.dumps(MAAS)) == 0
    assert "haproxy-vip/0" in texts(capsys.readouterr().out)
    piped(monkeypatch, json.dumps(MAAS), str(tmp_path / "a.svg"))
    assert "haproxy-vip/0" in texts((tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.svg"]


@pytest.mark.parametrize("text", ["", "ERROR no", "[]", "{}"])
def test_what_is_no_status_is_refused(text: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(console.StepError, match="juju status --format json"):
        piped(monkeypatch, text)


@pytest.mark.parametrize("words", [["--watch"], ["-", "--watch", "a.svg"], ["a.svg", "b.svg"]])
def test_a_wrong_command_line_is_refused(words: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["picture", *words])
    with pytest.raises(SystemExit, match="2"):
        picture.command()


def test_a_picture_that_cannot_be_written_leaves_the_old_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    file = tmp_path / "a.svg"
    file.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(console.StepError, match="No space left"):
        picture.write(file, "new")
    assert file.read_text() == "old"


def answers(*given: Entity | Exception) -> Callable[[str | None], Entity]:
    left: Iterator[Entity | Exception] = iter(given)

    def read(_: str | None) -> Entity:
        one = next(left)
        if isinstance(one, Exception):
            raise one
        return one

    return read


def test_watching_goes_on_while_juju_is_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    file, seen = tmp_path / "a.html", list[str]()
    silent, stop = console.StepError("refused"), KeyboardInterrupt()
    monkeypatch.setattr(picture, "read_live", answers(MAAS, silent))
    monkeypatch.setattr(sys, "argv", ["picture", "--watch", str(file)])

    def sleep(_: float) -> None:
        seen.append(file.read_text(encoding="utf-8"))
        if len(seen) == 2:
            raise stop

    monkeypatch.setattr(picture.time, "sleep", sleep)
    assert picture.command() == 0
    assert all('http-equiv="refresh" content="3"' in page for page in seen)
    assert "no answer" not in seen[0]
    assert "no answer" in seen[1]
    assert "haproxy-vip/0" in seen[1]


def test_watching_does_not_begin_without_an_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(picture, "read_live", answers(console.StepError("no lab")))
    with pytest.raises(console.StepError, match="no lab"):
        picture.watch(tmp_path / "a.svg", None, 1)
