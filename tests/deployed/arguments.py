# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Which arguments the processes of the regions' machines have around a story."""

import contextlib
import json
from pathlib import Path
from typing import Self

import remote
from maas import MAAS

READER = Path(__file__).with_name("argument_reader.py")
# Some seconds of ten looks each: it was there, and looked.
LEAST_LOOKS = 20


class Arguments:
    """Looked at while entered; asked, within it, for words that none may have had."""

    def __init__(self, maas: MAAS) -> None:
        self._maas = maas
        self._open = contextlib.ExitStack()
        self._readers: dict[str, remote.Process] = {}

    def __enter__(self) -> Self:
        for unit in self._maas.units("maas-region"):
            process = self._open.enter_context(remote.python(self._maas.juju, unit, READER))
            self._open.callback(remote.end, process)
            self._readers[unit] = process
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def assert_without(self, *words: str) -> None:
        """Assert that no process was seen that had one of these in its arguments."""
        assert all(words), "nothing to look for"
        for unit, process in self._readers.items():
            assert process.stdin
            assert process.stdout
            print(json.dumps(words), file=process.stdin, flush=True)
            told = process.stdout.readline()
            assert told, f"{unit}: the one who looks is gone"
            looks, found = json.loads(told)
            print(f"\n  {unit}: {looks} looks at all processes' arguments", end="")
            assert looks >= LEAST_LOOKS, unit
            assert not found, unit
