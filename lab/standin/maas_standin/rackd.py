# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The daemon of a rack: finds the regions, connects to every worker, tells of itself."""

import concurrent.futures
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import urllib.request

from maas_standin import dhcpd, host, local_config, rpc

logger = logging.getLogger(__name__)

STATE = host.VAR / "rpc.state"
SECRET_WAIT_S = 300
TIMEOUT_S = 5
CHECK_S = 5
PING_S = 5
SERVICES_EVERY = 6

# "host:pid=N" to (address, port) pairs.
EventLoops = dict[str, list[tuple[str, int]]]


def _fetch(url: str) -> EventLoops:
    """Return the workers that a region lists, none if it does not answer."""
    try:
        # The URL is the operator's own.
        address = f"{url.rstrip('/')}/rpc/"
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:  # noqa: S310
            loops = json.load(response)["eventloops"]
    except (OSError, ValueError, KeyError) as error:
        logger.debug("%s: %s", url, error)
        return {}
    return {name: [(host_, port) for host_, port in loops[name]] for name in loops}


def _fetch_best(urls: list[str]) -> EventLoops:
    """Ask all URLs at once and return the longest answer."""
    if not urls:
        return {}
    with concurrent.futures.ThreadPoolExecutor(len(urls)) as executor:
        return max(executor.map(_fetch, urls), key=len, default={})


def find_regions() -> EventLoops:
    """Return every worker of every region, by the URLs given or else those seen last."""
    urls = local_config.read_rack()["maas_url"]
    loops = _fetch_best(urls) or _fetch_best(host.read(STATE).splitlines())
    if not loops:
        logger.info("Region not available. (While requesting RPC info at %s).", ", ".join(urls))
    return loops


def _save_state(loops: EventLoops) -> None:
    """Keep the regions' own URLs for a start at which no given URL works."""
    addresses = sorted({ends[0][0] for ends in loops.values() if ends})
    text = "".join(f"http://{address}:5240/MAAS\n" for address in addresses)
    if host.read(STATE) != text.strip():
        local_config.write_atomically(str(STATE), text, 0o644)


class Rack:
    """The connections to the regions and what came of them."""

    def __init__(self, secret: str) -> None:
        # MAAS's rackd, too, goes on with the one that it was started with.
        self._secret = secret
        self._lock = threading.Lock()
        self._channels: dict[str, rpc.Channel | None] = {}
        self._dhcpd = dhcpd.Service()
        self.is_dismissed = threading.Event()

    def connect(self, loops: EventLoops) -> None:
        """Connect to the workers that are new, drop those that are gone."""
        with self._lock:
            gone = [name for name in self._channels if name not in loops]
            new = [name for name in loops if name not in self._channels]
            for name in gone:
                if channel := self._channels[name]:
                    channel.close()
            self._channels.update(dict.fromkeys(new))
        if new:
            logger.info("Making connections to event-loops: %s", ", ".join(sorted(new)))
        for name in new:
            arguments = (name, loops[name])
            threading.Thread(target=self._keep, args=arguments, daemon=True).start()

    def _keep(self, name: str, ends: list[tuple[str, int]]) -> None:
        """Serve one connection until it breaks."""
        channel = None
        try:
            channel = self._open(ends)
            with self._lock:
                if name not in self._channels:
                    return
                self._channels[name] = channel
            rpc.authenticate_region(channel, self._secret)
            self._register(channel)
            logger.info("Event-loop '%s' connected.", name)
            self._serve(channel)
        except rpc.AuthenticationError:
            logger.info("Event-loop '%s' FAILED authentication; dropping connection.", name)
        except (OSError, rpc.ChannelError) as error:
            logger.info("Event-loop '%s' lost: %s", name, error)
        finally:
            if channel:
                channel.close()
            with self._lock:
                self._channels.pop(name, None)

    def _open(self, ends: list[tuple[str, int]]) -> rpc.Channel:
        """Connect to the first address of a worker that answers."""
        failure: OSError = ConnectionError("no address")
        for address, port in ends:
            try:
                return rpc.Channel(socket.create_connection((address, port), TIMEOUT_S))
            except OSError as error:
                failure = error
        raise failure

    def _register(self, channel: rpc.Channel) -> None:
        """Become known to the region and learn our own name."""
        hello = {"system_id": host.read(host.MAAS_ID), "facts": host.describe()}
        channel.send(hello)
        answer = channel.receive()
        with self._lock:
            host.write(host.MAAS_ID, str(answer["system_id"]))
            host.write(host.MAAS_UUID, str(answer["uuid"]))

    def _serve(self, channel: rpc.Channel) -> None:
        """Answer the region while telling it regularly that we are alive."""
        threading.Thread(target=self._report, args=[channel], daemon=True).start()
        while True:
            message = channel.receive()
            if message.get("command") == "configure_dhcp":
                self._dhcpd.configure(message["dhcpd"], message["dhcpd_interfaces"])
                channel.send({"command": "ping", **self._describe()})
            elif message.get("command") == "disassociate":
                logger.info("This rack was deleted; forgetting the secret and restarting.")
                host.SECRET.unlink(missing_ok=True)
                self.is_dismissed.set()

    def _describe(self) -> rpc.Message:
        """Return what the regions are told of this rack's services and network."""
        # There is no DHCP for IPv6 here.
        services = {"dhcpd": self._dhcpd.check(), "dhcpd6": ("off", "")}
        return {"services": services, "interfaces": host.interfaces()}

    def _report(self, channel: rpc.Channel) -> None:
        count = 0
        try:
            while True:
                message: rpc.Message = {"command": "ping"}
                if count % SERVICES_EVERY == 1:
                    message |= self._describe()
                channel.send(message)
                count += 1
                time.sleep(PING_S)
        except rpc.ChannelError:
            pass  # The thread that receives tells why.


def _wait_for_secret() -> bool:
    """Wait for the secret as long as MAAS does; tell whether it came."""
    deadline = time.monotonic() + SECRET_WAIT_S
    while not host.read(host.SECRET):
        if time.monotonic() > deadline:
            logger.error("No secret in %s; restart maas-rackd once it is there.", host.SECRET)
            return False
        time.sleep(1)
    return True


def main() -> None:
    """Run a rack until systemd stops it."""
    level = logging.DEBUG if local_config.read_rack()["debug"] else logging.INFO
    logging.basicConfig(stream=sys.stdout, level=level, format="%(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if not _wait_for_secret():
        signal.pause()
    rack = Rack(host.read(host.SECRET))
    while True:
        if loops := find_regions():
            _save_state(loops)
            rack.connect(loops)
        # With no region's list at hand the connections that work are kept.
        if rack.is_dismissed.wait(CHECK_S):
            sys.exit(1)  # systemd starts us again, then we wait for a new secret.
