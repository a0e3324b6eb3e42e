# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""Write what is rendered from drawn input, for the daemons' own checks: SEED DIRECTORY."""

import dataclasses
import json
import sys
from pathlib import Path

import garbage
from hypothesis import strategies as st
from test_charm import DATABASE
from test_properties import URLS

import db_proxy
import region
from charmed_maas import addresses
from charmed_maas.interfaces import db

NUMBER = 100


def main(seed: int, directory: Path) -> None:
    """Write what HAProxy and a YAML parser are to look at."""
    ends = st.builds(addresses.join_host_port, garbage.hosts, st.integers(1, 65535))
    lists = st.lists(ends, max_size=5).map(
        lambda found: {**DATABASE, "members": json.dumps(found)}
    )
    bags = garbage.databags(DATABASE) | lists
    given = [
        found
        for bag in garbage.draw(bags, NUMBER, seeded=seed)
        if (found := garbage.parse(db.ProviderAppData.from_databag, bag))
    ]
    proxies: dict[str, str] = {}
    for one in given:
        members = db_proxy.Members.of(one.primary, one.members, one.health_port, one.health_ca)
        text = db_proxy.render_config(members)
        proxies[text.replace(str(db_proxy.HEALTH_CA), "@CA@")] = members.health_ca
    for number, (text, ca) in enumerate(proxies.items()):
        garbage.write(directory, {f"haproxy/db-{number}": text, f"ca/db-{number}": ca})
    texts = garbage.texts | st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1)
    logins = st.tuples(
        URLS,
        garbage.hosts,
        st.sampled_from([one.database for one in given]),
        *(texts, texts),
        st.integers(0, 10),
    )
    for number, drawn in enumerate(garbage.draw(logins, NUMBER, seeded=seed)):
        url, host, database, username, password, workers = drawn
        if login := db.Credentials.parse({"username": username, "password": password}):
            settings = region.Settings(
                *(url, host, db_proxy.ADDRESS, db_proxy.PORT, database),
                *(login.username, login.password, workers),
            )
            wanted = json.dumps(dataclasses.asdict(settings))
            text = region.render_config(settings, {})
            named = {f"regiond/{number}": text, f"wanted/{number}": wanted}
            garbage.write(directory, named)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
