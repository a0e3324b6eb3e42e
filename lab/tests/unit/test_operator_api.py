# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The API that pytest-operator speaks: asked over TLS, answered by a controller of directories."""

import asyncio
import contextlib
import json
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import websockets.exceptions
import yaml
from local import Lab, LocalMachines, start
from websockets.asyncio.client import ClientConnection, connect

from api import facades, login, server, translation, watcher
from charmed_lab import client, daemon

VERSION = "3.6.12"
PASSWORD = "a password of this run"


class Refused(Exception):  # noqa: N818 - as a test says it
    """What the API answered instead of a response."""


class Client:
    """One connection to the API, which numbers its requests as libjuju does."""

    def __init__(self, runner: asyncio.Runner, link: ClientConnection) -> None:
        self._runner, self.link, self._number = runner, link, 0

    def __call__(self, facade: str, name: str, *, id: str = "", **params: Any) -> Any:
        self._number += 1
        keys = {key.replace("_", "-"): value for key, value in params.items()}
        request: dict[str, Any] = {"request-id": self._number, "type": facade, "request": name}
        request |= {"version": facades.VERSIONS.get(facade, 1), "params": keys}
        answer = self._runner.run(self._exchange(request | ({"Id": id} if id else {})))
        assert answer["request-id"] == self._number
        if "error" in answer:
            raise Refused(answer["error"], answer["error-code"])
        return answer["response"]

    async def _exchange(self, request: dict[str, Any]) -> Any:
        await self.link.send(json.dumps(request))
        return json.loads(await asyncio.wait_for(self.link.recv(), 60))

    def log_in(self, password: str = PASSWORD) -> Any:
        return self("Admin", "Login", auth_tag="user-admin", credentials=password)

    def deltas(self, watcher_id: str) -> dict[tuple[str, str], Any]:
        told = self("AllWatcher", "Next", id=watcher_id)["deltas"]
        return {(kind, data.get("name", data.get("id", ""))): data for kind, _, data in told}


@dataclass
class Served:
    """A controller with an API before it."""

    lab: Lab
    files: Path
    runner: asyncio.Runner
    links: contextlib.AsyncExitStack

    @property
    def uuid(self) -> str:
        return self.lab.daemon.ask({"method": "models", "params": {}})["result"][0]["uuid"]

    def connect(self, path: str = "/api") -> Client:
        controller = yaml.safe_load((self.files / "controllers.yaml").read_text())
        about = controller["controllers"][controller["current-controller"]]
        trusted = ssl.create_default_context(cadata=about["ca-cert"])
        # What Python demands from 3.13 on.
        trusted.verify_flags |= ssl.VERIFY_X509_STRICT
        [address] = about["api-endpoints"]
        opened = connect(f"wss://{address}{path}", ssl=trusted, server_hostname="127.0.0.1")
        return Client(self.runner, self.runner.run(self.links.enter_async_context(opened)))

    def model(self) -> Client:
        made = self.connect(f"/model/{self.uuid}/api")
        made.log_in()
        return made


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(daemon, "POLL_S", 0.05)
    monkeypatch.setattr(watcher, "POLL_S", 0.05)
    machines = LocalMachines(tmp_path)
    # Nothing runs: what is tested here is what the API says.
    machines.off = {str(number) for number in range(9)}
    lab = start(tmp_path, machines)
    monkeypatch.setattr(client.Session, "ask", _asking_a_3_6(lab))
    lab.daemon.ask({"method": "add_model", "params": {"name": "m", "config": {}}})
    files, loop = tmp_path / "client", asyncio.new_event_loop()
    ready, end = threading.Event(), asyncio.Event()

    async def serve() -> None:
        certificate, key = login.certificate()
        api = server.API(lab.daemon._stage, PASSWORD)
        async with api.listen(login.context(certificate, key), "127.0.0.1") as listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            login.write_files(files, port, "some-uuid", VERSION, certificate, PASSWORD)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(60)
    with asyncio.Runner() as runner:
        links = contextlib.AsyncExitStack()
        yield Served(lab, files, runner, links)
        runner.run(links.aclose())
    loop.call_soon_threadsafe(end.set)
    thread.join(60)
    loop.close()
    lab.stop()


def _asking_a_3_6(lab: Lab) -> Callable[..., Any]:
    def ask(_: client.Session, method: str, **params: Any) -> Any:
        answer = lab.daemon.ask({"method": method, "params": params})
        if "error" in answer:
            raise client.ClientError(answer["error"])
        found = answer["result"]
        for one in {"controller": [found], "models": found}.get(method, []):
            one["version"] = VERSION
        return found

    return ask


def test_the_clients_files_are_their_owners_alone(served: Served):
    files = [path for path in served.files.rglob("*") if path.is_file()]
    names = {"accounts.yaml", "controllers.yaml", "models.yaml", "lab.json"}
    assert {path.name for path in files} == names
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_login_tells_the_version_and_what_there_is(served: Served):
    found = served.connect().log_in()
    assert found["server-version"] == VERSION
    assert "model-tag" not in found
    names = {one["name"] for one in found["facades"]}
    assert "ModelManager" in names
    assert "Application" not in names
    found = served.connect(f"/model/{served.uuid}/api").log_in()
    assert found["model-tag"] == f"model-{served.uuid}"
    assert "Application" in {one["name"] for one in found["facades"]}


def test_login_is_refused_without_the_password_or_the_model(served: Served):
    with pytest.raises(Refused, match="invalid entity name or password"):
        served.connect().log_in("another")
    with pytest.raises(Refused, match="unknown model"):
        served.connect("/model/00000000-0000-0000-0000-000000000000/api").log_in()


def test_login_needs_a_juju_that_libjuju_takes(served: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(globals(), "VERSION", "4.0.15")
    with pytest.raises(Refused, match=r"needs a model of --juju 3.6; this one is 4\.0\.15"):
        served.connect().log_in()


def test_nothing_is_answered_before_login(served: Served):
    stranger = served.connect(f"/model/{served.uuid}/api")
    with pytest.raises(Refused, match=r"method Client\(8\)\.FullStatus is not implemented"):
        stranger("Client", "FullStatus")


@pytest.mark.parametrize(
    ("facade", "name"), [("Spaces", "ListSpaces"), ("Unheard", "Of"), ("Application", "Deploy")]
)
def test_what_is_missing_is_refused_by_name(served: Served, facade: str, name: str):
    version = facades.VERSIONS.get(facade, 1)
    with pytest.raises(Refused) as caught:
        served.model()(facade, name)
    missing = f"no such request - method {facade}({version}).{name} is not implemented"
    assert caught.value.args == (missing, "not implemented")


def test_other_paths_are_refused_by_name(served: Served):
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        served.connect(f"/model/{served.uuid}/log")
    assert caught.value.response.status_code == 404
    assert b"/log is not implemented" in caught.value.response.body


def test_the_controller_lists_its_models(served: Served):
    asked = served.connect()
    asked.log_in()
    [found] = asked("ModelManager", "ListModelSummaries")["results"]
    assert (found["result"]["name"], found["result"]["uuid"]) == ("m", served.uuid)
    [found] = asked("ModelManager", "ModelInfo", entities=[{"tag": f"model-{served.uuid}"}])[
        "results"
    ]
    assert found["result"]["agent-version"] == VERSION
    [found] = asked("Controller", "AllModels")["user-models"]
    assert found["model"]["uuid"] == served.uuid
    assert list(asked("Cloud", "Clouds")["clouds"]) == ["cloud-lab"]
    with pytest.raises(Refused, match="permission denied"):
        asked("ModelManager", "ModelInfo", entities=[{"tag": "model-x"}])


def test_status_and_options_are_told(served: Served):
    served.lab.deploy(count=2)
    model = served.model()
    status = model("Client", "FullStatus", patterns=None)
    assert status["applications"]["probe"]["units"].keys() == {"probe/0", "probe/1"}
    assert status["machines"].keys() == {"0", "1"}
    [peers] = status["relations"]
    assert (peers["key"], peers["endpoints"][0]["role"]) == ("probe:peers", "peer")
    some = model("Client", "FullStatus", patterns=["probe/1"])
    assert some["applications"]["probe"]["units"].keys() == {"probe/1"}
    config = model("Application", "Get", application="probe")["config"]
    assert config["number"]["value"] == 7
    model("ModelConfig", "ModelSet", config={"update-status-hook-interval": "10s"})
    found = model("ModelConfig", "ModelGet")["config"]["update-status-hook-interval"]
    assert found == {"value": "10s", "source": "model"}


def test_units_come_and_go_before_a_watcher(served: Served):
    served.lab.deploy()
    model = served.model()
    watching = model("Client", "WatchAll")["watcher-id"]
    first = model.deltas(watching)
    assert ("unit", "probe/0") in first
    assert first["application", "probe"]["charm-url"] == "local:probe-0"
    placed = [{"scope": "#", "directive": "0"}]
    added = model("Application", "AddUnits", application="probe", num_units=1, placement=placed)
    assert added == {"units": ["probe/1"]}
    assert model.deltas(watching)["unit", "probe/1"]["machine-id"] == "0"
    units = [{"unit-tag": "unit-probe-1", "force": True, "dry-run": False, "max-wait": None}]
    assert model("Application", "DestroyUnit", units=units) == {"results": [{"info": {}}]}
    told = model("AllWatcher", "Next", id=watching)["deltas"]
    assert ("unit", "remove") in {(kind, change) for kind, change, _ in told}
    with pytest.raises(Refused, match="not implemented"):
        model("Application", "AddUnits", application="probe", placement=[{"scope": "lxd"}])
    model("AllWatcher", "Stop", id=watching)
    with pytest.raises(Refused, match="watcher was stopped"):
        model.deltas(watching)


def test_actions_are_begun_told_and_refused(served: Served):
    served.lab.deploy()
    model = served.model()
    asked = {"tag": "application-probe"}
    [known] = model("Action", "ApplicationsCharmsActions", entities=[asked])["results"]
    assert known["actions"]["call"]["description"] == "Run hook tools."
    wanted = [{"name": name, "receiver": "unit-probe-0"} for name in ("call", "unheard")]
    begun, refused = model("Action", "EnqueueOperation", actions=wanted)["actions"]
    assert refused["error"]["code"] == "not found"
    tag = begun["action"]["tag"]
    [found] = model("Action", "Actions", entities=[{"tag": tag}])["results"]
    assert (found["status"], found["action"]["receiver"]) == ("pending", "unit-probe-0")
    first = model.deltas(model("Client", "WatchAll")["watcher-id"])
    assert first["action", "call"]["id"] == tag.removeprefix("action-")
    ran = model("Action", "Run", commands="true", units=["probe/0"], applications=["probe"])
    assert [one["action"]["name"] for one in ran["actions"]] == ["juju-exec"] * 2


def test_a_defect_is_told_to_who_waits(served: Served):
    with pytest.raises(KeyError, match="application"):
        facades.call(_logged_in(served), {"type": "Application", "request": "Get", "version": 20})
    made = server.respond(
        _logged_in(served), {"type": "Application", "request": "Get", "version": 20}
    )
    assert "KeyError" in made["error"]


def _logged_in(served: Served) -> facades.Connection:
    session = client.Session(stage=served.lab.daemon._stage)
    return facades.Connection(session, PASSWORD, {}, served.uuid, "m", is_open=True)


def test_changes_are_what_is_new_other_or_gone():
    before = {("unit", "a/0"): {"x": 1}, ("unit", "a/1"): {"x": 1}}
    now = {("unit", "a/0"): {"x": 2}, ("unit", "a/2"): {"x": 1}}
    assert watcher.changes(before, now) == [
        ["unit", "remove", {"x": 1}],
        ["unit", "change", {"x": 2}],
        ["unit", "change", {"x": 1}],
    ]
    assert watcher.changes(now, now) == []


def test_times_are_gos():
    assert translation.since({"since": "23 Nov 2026 10:01:07Z"}) == "2026-11-23T10:01:07Z"
    assert translation.since({}) is None
    assert translation.moment(0) == "0001-01-01T00:00:00Z"


def test_tags_name_units_with_dashes():
    assert facades.name_of("unit-maas-region-0") == "maas-region/0"
    assert facades.tag_of("maas-region/0") == "unit-maas-region-0"
    assert facades.tag_of("3") == "machine-3"
