# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Runs on a machine with a unit of each charm but maas-rack, as root: DIRECTORY.

Has the daemons themselves check the files in the directory's folders, and prints as JSON how many
of each kind there were and what was refused. It works in a network of its own, in which every
address is this machine's, for Patroni wants to reach what it is to speak to.
"""

import glob
import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import traceback
from typing import Any

ETCD_PORT = 2379
ANY_ADDRESS = (
    "ip link set lo up",
    # The interface that keepalived is told of.
    "ip link add eth0 type veth peer name eth1",
    "ip route add local 0.0.0.0/0 dev lo",
    "ip -6 route add local ::/0 dev lo",
)
# The server that reads the rules has no TLS itself, and says so of each hostssl.
HBA_ERRORS = (
    "SELECT line_number, error FROM pg_hba_file_rules"
    " WHERE error IS NOT NULL AND error NOT LIKE '%SSL is disabled'"
)
# The daemon takes a configuration without these, as that of every unit but the first is; the check
# before 3.1 wants more of them.
NO_BOOTSTRAP = re.compile(r"bootstrap\.(dcs|initdb|pg_hba)  is not defined\.")
# etcd gets as far as its listeners only with what it has accepted.
ETCD_ACCEPTED = ("/nonexistent/", "bind: cannot assign requested address")


def run(*argv: str, **more: Any) -> str:
    """Run a command; returns what it said when it failed, "" otherwise."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **more)
    return (done.stdout + done.stderr).strip() or "failed" if done.returncode else ""


def haproxy(path: str) -> str:
    """Have HAProxy check a configuration, with the CA that belongs to it in its place."""
    with open(path) as file:
        text = file.read()
    ca = path.replace("/haproxy/", "/ca/")
    with open(path, "w") as file:
        file.write(text.replace("@CA@", ca))
    return run("haproxy", "-c", "-q", "-f", path)


def keepalived(path: str) -> str:
    """Have keepalived check a configuration."""
    return run("keepalived", "--config-test", "-f", path)


def drop_ins(paths: list[str]) -> dict[str, str]:
    """Have systemd check keepalived's service with each of the drop-ins, in one go."""
    units, services = "/run/rendered-units", list[str]()
    shutil.rmtree(units, ignore_errors=True)
    for number, path in enumerate(paths):
        services.append(f"{units}/keepalived-{number}.service")
        os.makedirs(f"{services[-1]}.d")
        shutil.copy("/usr/lib/systemd/system/keepalived.service", services[-1])
        shutil.copy(path, f"{services[-1]}.d/haproxy-vip.conf")
    env = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"}
    argv = ["systemd-analyze", "verify", "--man=no", *services]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    # Of what it ignores it only warns.
    said = done.stdout + done.stderr
    return {"keepalived.service": said} if said or done.returncode else {}


def regiond(path: str) -> str:
    """Read regiond.conf as MAAS does, and compare it with what it was to say."""
    yaml = importlib.import_module("yaml")
    with open(path) as file, open(path.replace("/regiond/", "/wanted/")) as wanted:
        found, settings = yaml.safe_load(file), json.load(wanted)
    settings["broadcast_address"] = settings.pop("address")
    if not settings["num_workers"]:
        del settings["num_workers"]
    return "" if found == settings else f"{found} instead of {settings}"


def patroni(path: str) -> str:
    """Have Patroni check a configuration, with this machine's data."""
    yaml, validator = map(importlib.import_module, ("yaml", "patroni.validator"))
    with open(path) as file:
        config = yaml.safe_load(file)
    with open("/etc/postgresql-ha/patroni.yml") as file:
        here = yaml.safe_load(file)["postgresql"]
    config["postgresql"].update({key: here[key] for key in ("data_dir", "bin_dir")})
    return "; ".join(one for one in validator.schema(config) if not NO_BOOTSTRAP.fullmatch(one))


def etcd(path: str) -> str:
    """Have etcd check a configuration: with it accepted it fails at the keys that it lacks."""
    with open(path) as file:
        text = file.read().replace("/etc/postgresql-ha/tls", "/nonexistent")
    with open(path, "w") as file:
        file.write(text.replace("/var/lib/postgresql-ha/etcd", f"{path}.data"))
    said = run("etcd", "--config-file", path, timeout=20)
    is_accepted = any(words in said for words in ETCD_ACCEPTED)
    return "" if is_accepted else said or "ran without its keys"


def hba(paths: list[str]) -> dict[str, str]:
    """Have a PostgreSQL of its own read all rules in one file; returns what it refused."""
    home = "/run/rendered-postgresql"
    shutil.rmtree(home, ignore_errors=True)
    os.mkdir(home)
    shutil.chown(home, "postgres", "postgres")
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    as_postgres = ("runuser", "-u", "postgres", "--")
    data, rules = f"{home}/data", f"{home}/data/pg_hba.conf"
    failed = run(*as_postgres, f"{binaries}/initdb", "--no-sync", "-A", "trust", data)
    options = f"-c listen_addresses= -c unix_socket_directories={home} -c ssl=off"
    ctl = (*as_postgres, f"{binaries}/pg_ctl", "-D", data, "-l", f"{home}/log")
    failed = failed or run(*ctl, "-w", "-o", options, "start", stdin=subprocess.DEVNULL)
    if failed:
        return {"initdb": failed}
    with open(rules, "w") as file:
        for path in paths:
            with open(path) as one:
                file.write(one.read())
    psql = (*as_postgres, "psql", "-h", home, "-XAt", "-c", HBA_ERRORS)
    # Before 16 psql complains of a directory that it may not enter.
    done = subprocess.run(psql, capture_output=True, text=True, check=False, cwd=home)
    run(*ctl, "-m", "immediate", "stop")
    said = done.stdout + done.stderr
    return {"pg_hba.conf": said} if said or done.returncode else {}


def gate(path: str) -> str:
    """Have nft check rules, in a network that has none; nothing of them stays."""
    return run("nft", "--check", "--file", path)


def answer(server: socket.socket) -> None:
    """Take every connection, and drop it."""
    while True:
        server.accept()[0].close()


def main(directory: str) -> None:
    """Check everything, in a network in which every address answers."""
    for command in ANY_ADDRESS:
        subprocess.run(command.split(), check=True)
    server = socket.create_server(
        ("::", ETCD_PORT), family=socket.AF_INET6, backlog=64, dualstack_ipv6=True
    )
    threading.Thread(target=answer, args=(server,), daemon=True).start()
    kinds = {
        "haproxy": haproxy,
        "keepalived": keepalived,
        "regiond": regiond,
        "patroni": patroni,
        "gate": gate,
    }
    checked: dict[str, int] = {}
    refused: dict[str, str] = {}
    for kind, check in kinds.items():
        paths = sorted(glob.glob(f"{directory}/{kind}/*"))
        checked[kind] = len(paths)
        for path in paths:
            try:
                said = check(path)
            except Exception:
                said = traceback.format_exc()
            if said:
                refused[path] = said
    server.close()
    paths = sorted(glob.glob(f"{directory}/etcd/*"))
    checked["etcd"] = len(paths)
    refused.update({path: said for path in paths if (said := etcd(path))})
    for kind, check_all in (("drop-in", drop_ins), ("hba", hba)):
        paths = sorted(glob.glob(f"{directory}/{kind}/*"))
        checked[kind] = len(paths)
        refused.update(check_all(paths))
    print(json.dumps({"checked": checked, "refused": refused}))


if __name__ == "__main__":
    main(sys.argv[1])
