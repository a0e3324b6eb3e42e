# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The command line that each method of jubilant sends: taken, or refused by name."""

from collections.abc import Callable

import jubilant
import pytest

from charmed_lab import client
from charmed_lab.stage import Stage

METHODS: dict[str, Callable[[jubilant.Juju], object]] = {
    "add_machine": lambda juju: juju.add_machine(base="ubuntu@24.04", num_machines=2),
    "add_model": lambda juju: juju.add_model("m", config={"logging-config": "<root>=INFO"}),
    "add_secret": lambda juju: juju.add_secret("s", {"a": "b"}, info="about"),
    "add_unit": lambda juju: juju.add_unit("a", num_units=2, to=["0", "1"]),
    "cli": lambda juju: juju.cli("status"),
    "config": lambda juju: juju.config("a", {"b": 1}, reset=["c"]),
    "debug_log": lambda juju: juju.debug_log(limit=9),
    "deploy": lambda juju: juju.deploy(
        "./a.charm",
        "a",
        base="ubuntu@24.04",
        config={"b": True},
        force=True,
        num_units=3,
        overlays=["o.yaml"],
        to="0",
        trust=True,
    ),
    "destroy_model": lambda juju: juju.destroy_model("m", destroy_storage=True, force=True),
    "exec": lambda juju: juju.exec("ls", "-l", unit="a/0", wait=9),
    "grant_secret": lambda juju: juju.grant_secret("s", ["a", "b"]),
    "integrate": lambda juju: juju.integrate("a:x", "b:y"),
    "model_config": lambda juju: juju.model_config({"a": 1}, reset="b"),
    "refresh": lambda juju: juju.refresh("a", path="./a.charm", force=True, config={"b": 1}),
    "remove_application": lambda juju: juju.remove_application("a", "b", force=True),
    "remove_relation": lambda juju: juju.remove_relation("a:x", "b:y", force=True),
    "remove_secret": lambda juju: juju.remove_secret("s", revision=1),
    "remove_unit": lambda juju: juju.remove_unit("a/0", "a/1", force=True),
    "run": lambda juju: juju.run("a/0", "act", {"b": {"c": 1}}, wait=9),
    "scp": lambda juju: juju.scp("a/0:/f", "f"),
    "secrets": lambda juju: juju.secrets(owner="a"),
    "show_model": lambda juju: juju.show_model("m"),
    "show_secret": lambda juju: juju.show_secret("s", reveal=True),
    "show_unit": lambda juju: juju.show_unit("a/0"),
    "ssh": lambda juju: juju.ssh("a/0", "ls", "-l", user="ubuntu"),
    "status": lambda juju: juju.status(),
    "trust": lambda juju: juju.trust("a", remove=True),
    "update_secret": lambda juju: juju.update_secret("s", {"a": "b"}, auto_prune=True),
    "version": lambda juju: juju.version(),
    "wait": lambda juju: juju.wait(jubilant.all_active),
}
# What of Juju the lab leaves out whole.
REFUSED: dict[str, Callable[[jubilant.Juju], object]] = {
    "add_cloud": lambda juju: juju.add_cloud("c", {"type": "lxd"}, client=True),
    "add_credential": lambda juju: juju.add_credential("c", {"k": "v"}, client=True),
    "add_ssh_key": lambda juju: juju.add_ssh_key("ssh-ed25519 AAAA me"),
    "bootstrap": lambda juju: juju.bootstrap("lxd", "c"),
    "consume": lambda juju: juju.consume("m.a"),
    "model_constraints": lambda juju: juju.model_constraints(),
    "offer": lambda juju: juju.offer("a", endpoint="x"),
    "remove_ssh_key": lambda juju: juju.remove_ssh_key("me"),
    "update_cloud": lambda juju: juju.update_cloud("c", {"type": "lxd"}, client=True),
}


class SentError(Exception):
    """A command line that would have been run."""


class Recorder(jubilant.Juju):
    def _cli(self, *args: str, include_model: bool = True, **_: object) -> tuple[str, str]:
        model = ["--model", "m"] if include_model else []
        raise SentError(args[0], *model, *args[1:])


def sent_by(call: Callable[[jubilant.Juju], object]) -> list[str]:
    with pytest.raises(SentError) as caught:
        call(Recorder())
    return [str(word) for word in caught.value.args]


def test_no_method_is_forgotten():
    public = {name for name in vars(jubilant.Juju) if not name.startswith("_")}
    attributes = {"model", "wait_timeout", "cli_binary"}
    assert public - attributes == METHODS.keys() | REFUSED.keys()


@pytest.mark.parametrize("method", METHODS)
def test_what_jubilant_sends_is_understood(method: str):
    assert client.execute(Stage(), ["help"]) == 0  # The commands register.
    name, *rest = sent_by(METHODS[method])
    session = client.parse(Stage(), name, rest)
    assert session.command == name


@pytest.mark.parametrize("method", REFUSED)
def test_what_the_lab_leaves_out_is_refused_by_name(
    method: str, capsys: pytest.CaptureFixture[str]
):
    argv = sent_by(REFUSED[method])
    assert client.execute(Stage(), argv) == 2
    assert f'"{argv[0]}" is not part of the lab\'s juju' in capsys.readouterr().err
