# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The environment of an event: exactly what Juju gives, nothing inherited."""

from .model import Hook, Model, Task, Unit, tag

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EMPTY = (
    "CLOUD_API_VERSION JUJU_AVAILABILITY_ZONE JUJU_CHARM_FTP_PROXY JUJU_HOOK_NAME "
    "JUJU_PRINCIPAL_UNIT"
)


def base(home: str, gateway: str, model: Model, unit: Unit) -> dict[str, str]:
    """Return what every event's environment has: nothing else is in it."""
    agent, tools = f"{home}/agents/{tag(unit.name)}", f"{home}/tools/{tag(unit.name)}"
    env = dict.fromkeys(EMPTY.split(), "") | dict(model.version.variables)
    env |= {
        "APT_LISTCHANGES_FRONTEND": "none",
        "CHARM_DIR": f"{agent}/charm",
        "DEBIAN_FRONTEND": "noninteractive",
        "JUJU_AGENT_SOCKET_ADDRESS": f"{agent}/agent.socket",
        "JUJU_AGENT_SOCKET_NETWORK": "unix",
        "JUJU_API_ADDRESSES": f"{gateway}:17070",
        "JUJU_CHARM_DIR": f"{agent}/charm",
        "JUJU_CHARM_HTTPS_PROXY": model.option("juju-https-proxy"),
        "JUJU_CHARM_HTTP_PROXY": model.option("juju-http-proxy"),
        "JUJU_CHARM_NO_PROXY": model.option("juju-no-proxy"),
        "JUJU_MACHINE_ID": unit.machine,
        "JUJU_MODEL_NAME": model.name,
        "JUJU_MODEL_UUID": model.uuid,
        "JUJU_UNIT_NAME": unit.name,
        "JUJU_VERSION": model.version.number,
        "LANG": "C.UTF-8",
        "PATH": f"{tools}:{PATH}",
        "TERM": "tmux-256color",
    }
    for name in ("http-proxy", "https-proxy"):
        if value := model.option(name):
            env |= dict.fromkeys((name.replace("-", "_"), name.replace("-", "_").upper()), value)
            env |= dict.fromkeys(("no_proxy", "NO_PROXY"), model.option("no-proxy"))
    return env


def of_hook(hook: Hook) -> dict[str, str]:
    """Return what an event's environment says of it."""
    env = {"JUJU_HOOK_NAME": hook.name, "JUJU_DISPATCH_PATH": f"hooks/{hook.name}"}
    if hook.relation is not None:
        env["JUJU_RELATION"] = hook.endpoint
        env["JUJU_RELATION_ID"] = f"{hook.endpoint}:{hook.relation}"
        env["JUJU_REMOTE_APP"], env["JUJU_REMOTE_UNIT"] = hook.remote_app, hook.remote_unit
    if hook.departing:
        env["JUJU_DEPARTING_UNIT"] = hook.departing
    if hook.secret:
        told = hook.kind in ("secret-changed", "secret-rotate")
        env["JUJU_SECRET_ID"] = f"secret:{hook.secret}" if told else hook.secret
        env["JUJU_SECRET_LABEL"] = hook.label
    if hook.revision:
        env["JUJU_SECRET_REVISION"] = str(hook.revision)
    return env


def of_task(task: Task) -> dict[str, str]:
    """Return what the environment of an action or command says of it."""
    env = {"JUJU_ACTION_NAME": task.name, "JUJU_ACTION_UUID": task.id}
    if not task.is_exec:
        env["JUJU_DISPATCH_PATH"] = f"actions/{task.name}"
    return env | {"JUJU_ACTION_TAG": f"action-{task.id}"}
