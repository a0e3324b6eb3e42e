# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""keepalived: the VIP's VRRP instance, and the files by which it is told to let go."""

import re
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import config
import haproxy
import network
from charmed_maas import addresses, agents, apt_source, commands, files, given, systemd

SERVICE = "keepalived.service"
KEEPALIVED = "/usr/sbin/keepalived"
IP = "/usr/sbin/ip"
TEMPLATES = Path(__file__).parent / "templates"
CONFIG = Path("/etc/keepalived/keepalived.conf")
DROP_IN = Path("/etc/systemd/system/keepalived.service.d/haproxy-vip.conf")
# What keepalived was last started or reloaded with.
LOADED = haproxy.STATE / "keepalived.loaded"
PAUSED = haproxy.STATE / "paused"
MOVING = haproxy.STATE / "moving"
LEAVING = haproxy.STATE / "leaving"
TAKEOVER_MARGIN_S = 2.0


class KeepalivedError(Exception):
    """keepalived refused a configuration or does not run; fit for a status message."""


@dataclass(frozen=True)
class Group:
    """The VRRP group as this unit sees it; peers are the other units' addresses."""

    unit: str
    vip: str
    prefix: int
    interface: str
    own: str
    peers: Sequence[str]
    vrrp_id: int
    advert_interval_s: float

    @classmethod
    def of(
        cls, unit: str, cfg: config.Config, place: network.Place, peers: Sequence[str]
    ) -> "Group":
        """Return the group that the options describe, for a unit at a place in the network."""
        return cls(
            unit=unit,
            vip=cfg.vip,
            prefix=cfg.prefix,
            interface=place.interface,
            own=place.own,
            peers=peers,
            vrrp_id=cfg.vrrp_id,
            advert_interval_s=cfg.advert_interval_s,
        )

    @property
    def vip_cidr(self) -> str:
        """The VIP with its prefix."""
        return f"{self.vip}/{self.prefix}"

    @property
    def priority(self) -> int:
        """Different for each unit; high, for a low one adds to the time of a takeover."""
        return 254 - addresses.unit_number(self.unit) % 200


def install() -> bool:
    """Install keepalived, idle until it is configured; returns whether it was missing."""
    if not apt_source.install(["keepalived"]):
        return False
    systemd.disable(SERVICE)
    return True


def render_config(group: Group) -> str:
    """Return the configuration."""
    return files.render(
        TEMPLATES / "keepalived.conf.j2",
        router_id=group.unit.replace("/", "-"),
        down=haproxy.DOWN,
        paused=PAUSED,
        moving=MOVING,
        interface=group.interface,
        vrrp_id=group.vrrp_id,
        priority=group.priority,
        advert_interval_s=f"{group.advert_interval_s:g}",
        own=group.own,
        peers=group.peers,
        vip_cidr=group.vip_cidr,
    )


def ensure_config(group: Group) -> bool:
    """Write the configuration and the drop-in; returns whether either changed.

    A running keepalived is not told yet: ensure_running does that. Raises KeepalivedError, also
    when somebody else's configuration stands there.
    """
    if _is_anothers():
        raise KeepalivedError(f"{CONFIG} is not this charm's: move it away, or this unit")
    for flag in (PAUSED, MOVING):
        if not flag.exists():
            files.ensure_file(flag, "0\n")
    drop_in = files.render(
        TEMPLATES / "keepalived.service.conf.j2",
        vip_cidr=group.vip_cidr,
        interface=group.interface,
    )
    text = render_config(group)
    if not CONFIG.is_file() or CONFIG.read_text() != text:
        validate(text)
    changed = files.ensure_file(CONFIG, text)
    try:
        return systemd.ensure_files({DROP_IN: drop_in}) or changed
    except systemd.SystemdError as error:
        raise KeepalivedError(f"keepalived's drop-in: {error}") from error


def validate(text: str) -> None:
    """Check a configuration as keepalived does; raises KeepalivedError with its complaint."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as candidate:
        candidate.write(text)
        candidate.flush()
        done = commands.run([KEEPALIVED, "--config-test", "-f", candidate.name], check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no reason given"]
        words = re.sub(r"^\(\S+ (Line \d+)\)\s*", "", lines[0])
        raise KeepalivedError(f"keepalived refuses the configuration: {words[:200]}")


def ensure_running() -> bool:
    """Start keepalived, or reload it when its configuration changed; returns whether it did."""
    try:
        if given.is_current(LOADED, CONFIG):
            return systemd.ensure_running(SERVICE)
        with given.noted(LOADED, CONFIG):
            if not systemd.ensure_running(SERVICE):
                systemd.reload(SERVICE)
    except systemd.SystemdError as error:
        raise KeepalivedError(f"keepalived does not run: {error}") from error
    return True


def is_running() -> bool:
    """Tell whether the service is active."""
    return systemd.is_running(SERVICE)


def stop() -> bool:
    """Stop keepalived now and at every boot: another unit takes the VIP at once.

    Returns whether it ran. What runs with somebody else's configuration is left alone.
    """
    if _is_anothers():
        return False
    was_running = systemd.stop(SERVICE)
    systemd.disable(SERVICE)
    return was_running


def ensure_idle() -> bool:
    """Stop keepalived and remove what was configured; returns whether there was anything."""
    if _is_anothers() or (not CONFIG.is_file() and not DROP_IN.exists()):
        return False
    stop()
    systemd.remove_files(DROP_IN)
    for path in (LOADED, CONFIG):
        files.ensure_absent(path)
    return True


def configured_peers() -> list[str]:
    """Return the addresses that the running keepalived advertises to."""
    found = _configured(r"unicast_peer \{([^}]*)\}").split()
    return [address for address in found if address != configured_own()]


def configured_vip() -> str:
    """Return the VIP that keepalived puts on this machine, "" before there is one."""
    return _configured(r"virtual_ipaddress \{\s*([^\s/]+)/")


def configured_own() -> str:
    """Return the address that keepalived advertises from, "" before there is one."""
    return _configured(r"unicast_src_ip (\S+)")


def is_vip_holder(vip: str) -> bool:
    """Tell whether the VIP is on one of this machine's interfaces."""
    found = commands.run([IP, "-o", "address", "show", "to", addresses.host_cidr(vip)])
    return bool(found.stdout.strip())


def set_flag(flag: Path, *, on: bool) -> bool:
    """Tell keepalived to let the VIP go, or that it may take it; returns whether it changed.

    Written in place: keepalived watches the file itself.
    """
    if is_set(flag) == on and flag.exists():
        return False
    flag.parent.mkdir(parents=True, exist_ok=True)
    flag.write_text("1\n" if on else "0\n")
    return True


def is_set(flag: Path) -> bool:
    """Tell whether a flag is on."""
    return flag.is_file() and flag.read_text().strip() == "1"


def other_unit(unit: str) -> str:
    """Return the unit that is on this machine, too, and whose group it serves; "" for none."""
    application, _, number = _configured(r"router_id (\S+)").rpartition("-")
    found = f"{application}/{number}"
    return found if application and found != unit and agents.is_here(found) else ""


def remove() -> None:
    """Remove keepalived's configuration and what is remembered for it."""
    ensure_idle()
    for flag in (PAUSED, MOVING, LEAVING):
        files.ensure_absent(flag)


def move_vip(vip: str, paused: Collection[str]) -> str:
    """Let the VIP go until another unit has it; returns why none has it, "" when one has.

    paused are the addresses of units that cannot take it: to try would leave nobody with it.
    """
    port = haproxy.configured_port()
    able = set(configured_peers()).difference(paused)
    if not any(network.is_alive(one, port) for one in able):
        return "every other unit is off or paused: this one keeps the VIP"
    advert_interval_s = float(_configured(r"advert_int (\S+)") or 1)
    set_flag(MOVING, on=True)
    try:
        deadline = time.monotonic() + 4 * advert_interval_s + TAKEOVER_MARGIN_S
        while time.monotonic() < deadline:
            if not is_vip_holder(vip) and network.answers(vip, port):
                return ""
            time.sleep(0.1)
        return "no other unit took the VIP: this one keeps it"
    finally:
        set_flag(MOVING, on=False)


def _is_anothers() -> bool:
    """Tell whether there is a configuration of somebody else: Debian's package brings none."""
    return CONFIG.is_file() and haproxy.MARK not in CONFIG.read_text()


def _configured(pattern: str) -> str:
    """Return what the pattern's group finds in the charm's configuration, "" for nothing."""
    if not CONFIG.is_file() or _is_anothers():
        return ""
    found = re.search(pattern, CONFIG.read_text())
    return found.group(1) if found else ""
