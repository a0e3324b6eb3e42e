# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The local apt repository with the stand-in's packages, which machines see at /srv/lab-apt."""

import shutil
from pathlib import Path

from . import console, pack
from .console import StepError
from .stage import REPOSITORY, Stage

STANDIN = REPOSITORY / "lab/standin"
LINE = "deb [trusted=yes] file:/srv/lab-apt ./"


def ensure(stage: Stage) -> None:
    """Build the stand-in's packages and their index, unless they are those of these sources."""
    names = [str(path.relative_to(REPOSITORY)) for path in _sources()]
    wanted = pack.fingerprint(names)
    mark = stage.apt / "sources"
    if mark.exists() and mark.read_text() == wanted:
        return
    with console.step("building the MAAS stand-in's packages"):
        fresh = stage.apt.with_name(f"{stage.apt.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        console.run([STANDIN / "build", fresh], otherwise="the stand-in cannot be built")
        if not list(fresh.glob("*.deb")):
            raise StepError(f"{STANDIN}/build made no package")
        scan = ["dpkg-scanpackages", "-m", "."]
        index = console.run(scan, otherwise="dpkg-scanpackages failed", cwd=fresh)
        (fresh / "Packages").write_text(index)
        # The directory stays: running machines have it mounted.
        stage.apt.mkdir(parents=True, exist_ok=True)
        mark.unlink(missing_ok=True)
        for old in stage.apt.iterdir():
            old.unlink()
        for path in fresh.iterdir():
            path.rename(stage.apt / path.name)
        fresh.rmdir()
        mark.write_text(wanted)


def _sources() -> list[Path]:
    skipped = ("__pycache__", "tests")
    paths = (p for p in STANDIN.rglob("*") if p.is_file() and not set(p.parts) & set(skipped))
    return sorted(paths)
