# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""Draw a model from what `juju status --format json` tells, the lab's or a controller's."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from . import console, picture_sheet
from .console import StepError
from .picture_parts import Entity
from .stage import REPOSITORY

HELP = """Draws the model of the stage that LAB_STAGE names, as SVG; as a page if FILE ends in
.html. With `-` it draws what another Juju says: juju status --format json | picture - FILE"""
TIMEOUT_S = 30


def page(svg: str, name: str, every_s: int | None) -> str:
    """Return a page with a picture; it reloads itself while somebody watches."""
    reload = f'<meta http-equiv="refresh" content="{every_s}">' if every_s else ""
    head = f'<meta charset="utf-8">{reload}<title>{picture_sheet.escape(name)}</title>'
    return f"<!doctype html>{head}\n{svg}"


def read_live(model: str | None) -> Entity:
    """Return what the lab's juju says."""
    argv = [REPOSITORY / "lab/bin/juju", "status", "--format", "json"]
    # Not by console.run: that would log every look at a model that is watched.
    try:
        done = subprocess.run(
            [*argv, *(["-m", model] if model else [])],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StepError(f"juju status has not answered for {TIMEOUT_S} s") from error
    if done.returncode:
        raise StepError(done.stderr.strip().removeprefix("ERROR "))
    return parse(done.stdout)


def parse(text: str) -> Entity:
    """Return a status that was printed as JSON."""
    try:
        report = json.loads(text)
    except ValueError as error:
        raise StepError(f"that is not what `juju status --format json` prints: {error}") from error
    if not isinstance(report, dict) or "model" not in report:
        raise StepError("that is not what `juju status --format json` prints: no model in it")
    return report


def write(file: Path | None, svg: str, every_s: int | None = None) -> None:
    """Put a picture where it is wanted, at once: whoever reads meanwhile gets old or new."""
    if not file:
        sys.stdout.write(svg)
        return
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        text = page(svg, file.stem, every_s) if file.suffix == ".html" else svg
        new.write_text(text, encoding="utf-8")
        new.replace(file)
    except OSError as error:
        raise StepError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)


def watch(file: Path, model: str | None, every_s: int) -> None:
    """Draw anew every few seconds; the last answer stays while Juju gives none."""
    report: Entity = {}
    while True:
        note = ""
        try:
            report = read_live(model)
        except StepError as error:
            if not report:
                raise
            note = f"no answer at {time.strftime('%H:%M:%S')}, this is the last one: {error}"
        write(file, picture_sheet.draw(report, note), every_s)
        time.sleep(every_s)


def command() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser("picture", description=HELP)
    parser.add_argument("words", nargs="*", metavar="[-] [FILE]")
    parser.add_argument("-m", "--model", help="a model of the lab; else its current one")
    parser.add_argument("--watch", action="store_true", help="draw anew until interrupted")
    parser.add_argument("--every", type=int, default=3, metavar="S", help="seconds between (3)")
    args = parser.parse_args()
    piped = args.words[:1] == ["-"]
    files = [Path(word) for word in args.words[piped:]]
    if len(files) > 1 or (args.watch and (piped or not files)) or args.every < 1:
        parser.error("--watch needs a FILE and no `-`" if args.watch else "one FILE at most")
    if args.watch:
        with contextlib.suppress(KeyboardInterrupt):
            watch(files[0], args.model, args.every)
        return 0
    report = parse(sys.stdin.read()) if piped else read_live(args.model)
    write(files[0] if files else None, picture_sheet.draw(report))
    return 0


if __name__ == "__main__":
    console.main(command)
