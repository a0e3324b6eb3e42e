# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The job of a charm's watchdog timer: a daemon that hangs is killed and started again.

systemd starts what has died; what neither answers nor ends it takes for running. Every ten
seconds a run asks each daemon of the charm on this machine for a sign of life. One that gives
none for 30 s in a row is killed, and its unit starts it again. No Juju takes part. A run that
finds all well asks systemd nothing and imports next to nothing.
"""

import os
import time
from collections.abc import Callable, Sequence

from charmed_maas import probes

HUNG_S = 30.0
# Who has failed is asked again so soon, by the same run: 30 s are not to become 40.
AGAIN_S = 2.0
# After a longer pause between two looks (a frozen machine) a failed one is the first again.
GAP_S = 30.0
GRACE_S = 30.0
RUN = "/run"
SYSTEMCTL = "/usr/bin/systemctl"
# Values of Restart= with which systemd starts a killed service again.
RESTARTS = ("always", "on-failure", "on-abnormal", "on-abort")


def _no_question() -> bool:
    return True


class Service:
    """A service and its signs of life.

    answers asks it something; ticks: its processes run every second, whatever happens. For
    grace_s after a start it is left alone, and killed after hung_s without a sign. main_only:
    its other processes outlive it, and are neither looked at nor killed. Without the file that
    condition names it is not the charm's.
    """

    def __init__(
        self,
        name: str,
        answers: Callable[[], bool] = _no_question,
        *,
        ticks: bool = False,
        grace_s: float = GRACE_S,
        hung_s: float = HUNG_S,
        main_only: bool = False,
        condition: str = "/",
    ) -> None:
        self.name = name
        self.answers = answers
        self.ticks = ticks
        self.grace_s = grace_s
        self.hung_s = hung_s
        self.main_only = main_only
        self.condition = condition


class Seen:
    """What the looks before saw of a service, in seconds of the monotonic clock; 0 is never.

    It has failed since, was last seen failing, and was killed then; switches is for ticks.
    """

    def __init__(
        self, since: float = 0, last: float = 0, killed: float = 0, switches: int = 0
    ) -> None:
        self.since = since
        self.last = last
        self.killed = killed
        self.switches = switches


class Unit:
    """What systemd says of a service: active since (0: not active), and whether it restarts."""

    def __init__(self, active_since: float, *, restarts: bool) -> None:
        self.active_since = active_since
        self.restarts = restarts


def main(charm: str, services: Sequence[Service]) -> int:
    """Look at each service until none fails; what was seen is kept where a reboot forgets it."""
    path = f"{RUN}/{charm}-watchdog"
    seen = _recall(path)
    while True:
        seen = {one.name: look(one, seen.get(one.name, Seen())) for one in services}
        lines = [f"{name} {s.since} {s.last} {s.killed} {s.switches}" for name, s in seen.items()]
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines))
        kills = [since + one.hung_s for one in services if (since := seen[one.name].since)]
        if not kills:
            return 0
        time.sleep(_pause_s(min(kills)))


def _pause_s(kill_at: float) -> float:
    """Return for how long to wait, not beyond the time of the next kill."""
    return max(0.0, min(AGAIN_S, kill_at - time.monotonic()))


def look(service: Service, seen: Seen) -> Seen:
    """Ask a service for a sign of life; kill it when it has given none for long enough."""
    now = time.monotonic()
    pids = probes.processes(service.name) if os.path.exists(service.condition) else []
    switches = probes.switches(pids) if service.ticks else 0
    quiet = Seen(killed=seen.killed, switches=switches)
    problem = _problem(service, pids, has_moved=not pids or switches != seen.switches)
    if not problem:
        return quiet
    unit = _ask(service.name)
    if not unit.active_since or now - max(unit.active_since, seen.killed) < service.grace_s:
        return quiet
    since = seen.since if seen.since and now - seen.last <= GAP_S else now
    if now - since < service.hung_s:
        return Seen(since, now, seen.killed, switches)
    _kill(service, unit, f"{problem} for {time.monotonic() - since:.0f} s")
    return Seen(killed=now)


def _problem(service: Service, pids: Sequence[int], *, has_moved: bool) -> str:
    """Return what a service does not do that a living one does, "" for nothing."""
    if not pids:
        return ""
    if not service.main_only and probes.any_stopped(pids):
        return "has been stopped"
    if service.ticks and not has_moved:
        return "has not run"
    return "" if service.answers() else "has not answered"


def _ask(name: str) -> Unit:
    wanted = "--property=ActiveState,ActiveEnterTimestampMonotonic,Restart"
    lines = _systemctl("show", wanted, name).splitlines()
    found = {key: value for key, _, value in (line.partition("=") for line in lines)}
    is_active = found.get("ActiveState") in ("active", "reloading")
    since_us = int(found.get("ActiveEnterTimestampMonotonic") or 0)
    return Unit(since_us / 1e6 if is_active else 0, restarts=found.get("Restart") in RESTARTS)


def _kill(service: Service, unit: Unit, why: str) -> None:
    _warn(f"{service.name} {why}: it is killed and started again")
    whom = "main" if service.main_only else "all"
    _systemctl("kill", "--signal=KILL", f"--kill-whom={whom}", service.name)
    if not unit.restarts:
        _systemctl("restart", "--no-block", service.name)


def _systemctl(*arguments: str) -> str:
    """Return what systemctl prints, "" when it fails: the next run tries again."""
    # Here, for only a run that finds something wrong needs it.
    from charmed_maas import commands

    try:
        return commands.run([SYSTEMCTL, *arguments]).stdout
    except commands.CommandError as error:
        _warn(str(error))
        return ""


def _warn(text: str) -> None:
    # The prefix makes it a warning: sd-daemon(3).
    print(f"<4>{text}", flush=True)


def _recall(path: str) -> dict[str, Seen]:
    """Return what the run before saw, {} when there was none or it was cut short."""
    try:
        with open(path, encoding="ascii") as file:
            rows = [line.split() for line in file]
        return {
            name: Seen(float(since), float(last), float(killed), int(switches))
            for name, since, last, killed, switches in rows
        }
    except (OSError, ValueError):
        return {}
