# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""DHCP clients on one interface: `dhcp_client.py INTERFACE`, as root.

Each line that it reads has how long to ask in seconds, and wishes: an object of client numbers to
the addresses that they have, "" for none. One with an address asks all servers to renew it, as
after half of a lease's time without an answer; one without discovers a server. For each line it
prints one with an object of client numbers to addresses, "" for who got none.
"""

import json
import random
import socket
import struct
import sys
import time
from dataclasses import dataclass, field

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
BROADCAST = b"\xff" * 6
MAGIC = b"\x63\x82\x53\x63"
AGAIN_S = 4.0
AT_ONCE = 40


@dataclass
class Client:
    """One client: its number makes its MAC address."""

    number: int
    address: str
    wanted: str = ""
    server: bytes = b""
    tried: float = 0
    began: float = 0
    xid: int = field(default_factory=lambda: random.getrandbits(32))

    @property
    def mac(self) -> bytes:
        """Its address, one of those that are nobody's."""
        return struct.pack(">HI", 0x0200, self.number)

    def request(self) -> bytes:
        """Return the next frame that it sends."""
        if self.address:
            return _frame(self, REQUEST, b"", self.address)
        if not self.wanted:
            return _frame(self, DISCOVER, b"")
        options = b"\x32\x04" + socket.inet_aton(self.wanted) + b"\x36\x04" + self.server
        return _frame(self, REQUEST, options)


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _frame(client: Client, kind: int, options: bytes, address: str = "0.0.0.0") -> bytes:
    # By how long it has asked a secondary knows that the primary does not answer it. The flag says
    # that it cannot take an answer to an address that it does not have yet.
    secs = int(time.monotonic() - client.began)
    head = struct.pack(">BBBBIHH", 1, 1, 6, 0, client.xid, secs, 0x8000)
    bootp = head + socket.inet_aton(address) + bytes(12) + client.mac.ljust(16, b"\0") + bytes(192)
    body = bootp + MAGIC + bytes([53, 1, kind]) + options + b"\xff"
    udp = struct.pack(">HHHH", 68, 67, 8 + len(body), 0) + body
    ends = socket.inet_aton(address) + b"\xff" * 4
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
    ip = ip[:10] + struct.pack(">H", _checksum(ip + ends)) + ends
    return BROADCAST + client.mac + b"\x08\x00" + ip + udp


def _answer(frame: bytes) -> tuple[int, int, str, bytes] | None:
    """Return an answer's transaction, kind, address and server, None for another frame."""
    start = 14 + (frame[14] & 15) * 4 + 8 if len(frame) > 300 and frame[23] == 17 else 0
    bootp = frame[start:]
    if not start or bootp[236:240] != MAGIC or bootp[0] != 2:
        return None
    options, at = {}, 240
    while at < len(bootp) and bootp[at] != 255:
        if bootp[at] == 0:
            at += 1
            continue
        options[bootp[at]] = bootp[at + 2 : at + 2 + bootp[at + 1]]
        at += 2 + bootp[at + 1]
    (xid,) = struct.unpack(">I", bootp[4:8])
    kind = options.get(53, b"\0")[0]
    return xid, kind, socket.inet_ntoa(bootp[16:20]), options.get(54, b"")


def ask(interface: str, clients: list[Client], timeout_s: float) -> dict[int, str]:
    """Have the clients ask, some of them at a time; returns what they got."""
    got: dict[int, str] = {}
    by_xid = {one.xid: one for one in clients}
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    link.bind((interface, 0))
    link.settimeout(0.1)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and len(got) < len(clients):
        waiting = [one for one in clients if one.number not in got][:AT_ONCE]
        for client in waiting:
            if time.monotonic() - client.tried > AGAIN_S:
                client.tried = time.monotonic()
                client.began = client.began or client.tried
                link.send(client.request())
        try:
            told = _answer(link.recv(2048))
        except TimeoutError:
            continue
        if not told or not (client := by_xid.get(told[0])) or client.number in got:
            continue
        _, kind, address, server = told
        if kind == OFFER and not client.wanted and not client.address:
            client.wanted, client.server = address, server
            link.send(client.request())
        elif kind == ACK:
            got[client.number] = address
        elif kind == NAK:
            client.wanted = client.address = ""
            client.tried = 0
    return got


def main() -> None:
    """Run as the command."""
    for line in sys.stdin:
        timeout_s, wishes = json.loads(line)
        clients = [Client(int(number), address) for number, address in wishes.items()]
        got = ask(sys.argv[1], clients, timeout_s)
        print(json.dumps({one.number: got.get(one.number, "") for one in clients}))


if __name__ == "__main__":
    main()
