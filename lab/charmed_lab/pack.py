# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Pack the charms for the lab's base, in a container of that base.

The same charmcraft and the same files as for production; only os-release is Ubuntu's, and the
manifest says that the lab packed it, for its compiled wheels must never reach an Ubuntu unit.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import console, host, image, lxd
from .console import StepError
from .stage import REPOSITORY, ROOT, Stage

PLATFORM = "ubuntu@24.04:amd64"
SUFFIX = "_ubuntu@24.04-amd64.charm"
OS_RELEASE = 'NAME=Ubuntu\nID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n'
# With python3-dev there, charmcraft has nothing to install, so that two can pack at once.
TOOLS = "python3-venv python3-dev python3-apt git"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# What says where and how this host reaches package indexes.
PASSED = ("PIP_", "UV_", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY")
NOT_PASSED = ("CERT", "FIND_LINKS", "CACHE", "PYTHON", "FROZEN")
# Another stage may be about to deploy one that was packed before.
KEPT = 3
SKIPPED = ("tests", "__pycache__", ".venv", "parts", "stage", "prime", "overlay")


def charm_names() -> list[str]:
    """Return the names of the charms in this repository."""
    return sorted(path.parent.name for path in REPOSITORY.glob("charms/*/charmcraft.yaml"))


def package_settings(environ: Mapping[str, str], pip_config: str) -> dict[str, str]:
    """Return the environment in which a container reaches the indexes that the host uses.

    `pip_config` is what `pip config list` says; uv gets pip's indexes unless it has its own.
    """
    settings = {
        key: value
        for key, value in environ.items()
        if key.startswith(PASSED) and not any(word in key for word in NOT_PASSED)
    }
    for line in pip_config.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if uv_name := {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX"}.get(name):
            index = " ".join(value.strip("'").split("\\n")).strip()
            settings.setdefault(uv_name, index)
            settings.setdefault(f"PIP_{name.upper().replace('-', '_')}", index)
    bundles = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    return {**settings, **dict.fromkeys(bundles, CA_BUNDLE)}


def sources(charm: str, files: Iterable[str]) -> list[str]:
    """Return the files of the tree from which a charm is packed, sorted."""
    tops = (f"charms/{charm}/", "lib/")
    chosen = {"pyproject.toml", "LICENSE", "lab/pyproject.toml"}
    for name in files:
        skipped = any(part in SKIPPED for part in Path(name).parts)
        if name in chosen or (name.startswith(tops) and not skipped):
            chosen.add(name)
    return sorted(chosen)


def fingerprint(names: Iterable[str], *, root: Path = REPOSITORY) -> str:
    """Return a hash of the names, modes and content of files."""
    digest = hashlib.sha256()
    for name in names:
        path = root / name
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        executable = os.access(path, os.X_OK)
        digest.update(f"{name}\0{executable}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def plan(stage: Stage) -> dict[str, Path]:
    """Return where each charm lies, or will lie, that is packed from the present sources."""
    files = _files()
    directory = ROOT / "charms" / stage.release
    marks = {charm: fingerprint(sources(charm, files)) for charm in charm_names()}
    return {charm: directory / f"{charm}-{mark}.charm" for charm, mark in marks.items()}


def ensure_builder_copy(stage: Stage) -> None:
    """Make the build container, still empty, while the golden one lies still."""
    if not _is_ready(stage.builder):
        lxd.delete_instance(stage.builder)
        source = {"type": "copy", "source": stage.golden}
        image.create(stage.builder, source, lxd.NOT_READY)


def ensure_charms(stage: Stage, charms: Mapping[str, Path]) -> None:
    """Pack the charms of a plan that are not there yet."""
    missing = {charm: path for charm, path in charms.items() if not path.exists()}
    if not missing:
        return
    files = _files()
    with image.running(stage.builder):
        _ensure_tools(stage.builder)
        with console.step(f"packing {', '.join(missing)}"), ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda item: _pack(stage, files, *item), missing.items()))


def _tools() -> str:
    """Return the mark of a build container that has all its tools."""
    return hashlib.sha256("\n".join([TOOLS, OS_RELEASE, *host.pins()]).encode()).hexdigest()


def _is_ready(builder: str) -> bool:
    found = lxd.get(f"/instances/{builder}")
    return bool(found) and found["config"].get("user.ready") == _tools()


def _ensure_tools(name: str) -> None:
    """Install charmcraft and uv in the build container and make it look as they want it."""
    if _is_ready(name):
        return
    with console.step("installing charmcraft in the build container"):
        lxd.push(name, "/root/constraints.txt", "\n".join(host.pins()).encode())
        lxd.push(name, "/root/os-release", OS_RELEASE.encode())
        script = f"set -e; apt-get update -q; apt-get install -qy --no-install-recommends {TOOLS}"
        image.execute(name, script, otherwise="the build container cannot reach the apt mirror")
        script = (
            "set -e; python3 -m venv --system-site-packages /opt/charmcraft; "
            "/opt/charmcraft/bin/pip install -q -c /root/constraints.txt charmcraft uv; "
            "rm -f /etc/os-release; cp /root/os-release /etc/os-release; touch /.dockerenv"
        )
        otherwise = "pip cannot install charmcraft in the build container: check its index"
        image.execute(name, _exports() + script, otherwise=otherwise)
        lxd.request("PATCH", f"/instances/{name}", {"config": {"user.ready": _tools()}})


def place(charms: Mapping[str, Path], bundle: Path) -> None:
    """Put a copy of bundle.yaml and the packed charms where the bundle expects them."""
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir(parents=True)
    shutil.copyfile(REPOSITORY / "bundle.yaml", bundle / "bundle.yaml")
    for charm, path in charms.items():
        target = bundle / "charms" / charm / f"{charm}{SUFFIX}"
        target.parent.mkdir(parents=True)
        os.link(path, target)


def _pack(stage: Stage, files: list[str], charm: str, target: Path) -> None:
    name = stage.builder
    tree = f"/build/{charm}"
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for file in sources(charm, files):
            archive.add(REPOSITORY / file, arcname=file, filter=_owned_by_root)
    unpack = f"rm -rf {tree}; mkdir -p {tree}; tar -x -C {tree}"
    if lxd.run(name, ["sh", "-c", unpack], stdin=tar.getvalue()).returncode != 0:
        raise StepError("the build container is full")
    marker = json.dumps({"lab": stage.base})
    script = (
        f"set -e; cd {tree}/charms/{charm}; export PATH=/opt/charmcraft/bin:$PATH HOME=/root "
        "CHARMCRAFT_EXPERIMENTAL_MONOREPO=1; "
        f"export CHARMCRAFT_IMAGE_INFO='{marker}'; "
        f"charmcraft pack --destructive-mode --platform={PLATFORM}"
    )
    image.execute(name, _exports() + script, otherwise=f"charmcraft cannot pack {charm}")
    packed = f"{tree}/charms/{charm}/{charm}{SUFFIX}"
    done = lxd.run(name, ["cat", packed])
    if done.returncode != 0:
        raise StepError(f"charmcraft packed {charm} under another name than {packed}")
    target.parent.mkdir(parents=True, exist_ok=True)
    packed_before = target.parent.glob(f"{charm}-{'?' * 16}.charm")
    for old in sorted(packed_before, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink()
    partial = target.with_suffix(".partial")
    partial.write_bytes(done.stdout)
    partial.rename(target)


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    return member


def _files() -> list[str]:
    """Return the names of the working tree's files, without what git ignores."""
    listing = ["git", "-c", f"safe.directory={REPOSITORY}", "-C", str(REPOSITORY), "ls-files"]
    done = subprocess.run(
        [*listing, "-co", "--exclude-standard", "-z"], capture_output=True, check=False
    )
    if done.returncode == 0:
        names = sorted(set(done.stdout.decode().split("\0")) - {""})
    else:
        paths = REPOSITORY.rglob("*")
        names = sorted(str(path.relative_to(REPOSITORY)) for path in paths if path.is_file())
    return [name for name in names if (REPOSITORY / name).is_file()]


def _exports() -> str:
    pip_config = ""
    if (host.VENV / "bin/pip").exists():
        argv = [host.VENV / "bin/pip", "config", "list"]
        pip_config = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    settings = package_settings(os.environ, pip_config)
    quoted = (f"export {key}='{value}'; " for key, value in settings.items() if "'" not in value)
    return "".join(quoted)
