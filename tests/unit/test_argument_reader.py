# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The one who looks at arguments sees a word in them, of a process that has ended by then too."""

import json
import subprocess
import sys
import time

import arguments


def test_a_word_in_the_arguments_of_a_process_is_seen_and_no_other():
    with subprocess.Popen(
        [sys.executable, "-c", arguments.READER.read_text()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        time.sleep(0.3)
        subprocess.run(["/bin/sh", "-c", "sleep 0.5 # opensesame"], check=True)
        time.sleep(0.3)
        out, _ = reader.communicate(json.dumps(["never-written-anywhere", "opensesame"]) + "\n")
    looks, found = json.loads(out)
    assert looks > 1
    assert found == ["/bin/sh -c sleep 0.5 # opensesame "]
