# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Write what is rendered from drawn input, for the daemons' own checks: SEED DIRECTORY."""

import sys
from pathlib import Path

import garbage
from hypothesis import strategies as st
from test_patroni import DATA
from test_properties import specs

import etcd
import gate
import patroni

NUMBER = 100


def main(seed: int, directory: Path) -> None:
    """Write what Patroni, PostgreSQL, etcd and nft are to look at."""
    states, ports = st.sampled_from(["new", "existing"]), st.integers(1, 65535)
    drawn = st.tuples(specs(), st.booleans(), st.booleans(), states, ports)
    for number, one in enumerate(garbage.draw(drawn, NUMBER, seeded=seed)):
        spec, bootstrap, strict, state, port = one
        initial = ",".join(f"{unit.member_name}={unit.peer_url}" for unit in spec.units)
        texts = {
            "patroni": patroni.render_config(spec, DATA, bootstrap=bootstrap, strict=strict),
            "hba": "\n".join(patroni.pg_hba(spec)) + "\n",
            "etcd": etcd.render_config(spec.me, initial, state, etcd.CLUSTER),
            "gate": gate.RULES.lstrip() % port,
        }
        named = {f"{kind}/{number}": text for kind, text in texts.items()}
        garbage.write(directory, named)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
