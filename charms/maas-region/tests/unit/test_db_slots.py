# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

import contextlib
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import garbage
import pytest
from hypothesis import given
from hypothesis import strategies as st

import db_proxy
import db_slots
import local_http

ENDS = st.tuples(garbage.hosts, st.integers(1, 65535))
# Few different ones, so that members leave, stay and come back.
SOME = st.sampled_from([(f"10.0.0.{number}", 5432) for number in range(1, 14)])


@garbage.FAST
@given(st.lists(st.none() | SOME | ENDS, max_size=14).map(tuple), st.lists(SOME | ENDS))
def test_a_member_keeps_its_slot_and_every_member_has_one(
    current: db_slots.Slots, wanted: list[db_slots.Endpoint]
):
    slots = db_slots.assign(current, wanted)
    used = [end for end in slots if end]
    assert sorted(used) == sorted(set(wanted))
    for end in set(current) & set(used):
        assert end
        assert slots.index(end) == current.index(end)
    assert len(slots) == max(db_slots.NUMBER, len(current), len(used))
    assert slots == db_slots.assign(slots, list(reversed(wanted)))


@garbage.FAST
@given(st.lists(ENDS, max_size=12, unique=True), st.lists(ENDS, max_size=12, unique=True))
def test_a_file_tells_its_slots_and_differs_in_them_only(
    before: list[db_slots.Endpoint], after: list[db_slots.Endpoint]
):
    old = db_proxy.render_config(db_proxy.Members(tuple(before)))
    current = db_slots.parse(old)
    assert current == db_slots.assign((), before)
    new = db_proxy.render_config(db_proxy.Members(tuple(after)), current)
    assert db_slots.parse(new) == db_slots.assign(current, after)
    has_grown = len(db_slots.parse(new)) > len(current)
    assert (db_slots.without(old) != db_slots.without(new)) == has_grown
    assert db_slots.without(new) not in (old, new)


@garbage.FAST
@given(garbage.hosts)
def test_haproxy_writes_an_address_as_a_databag_does(host: str):
    """Where it did not, a slot would seem moved at every event."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    assert socket.inet_ntop(family, socket.inet_pton(family, host)) == host


def test_members_of_a_file_without_slots_keep_their_places():
    line = "    server member-{0} 10.0.0.{0}:5432 tcp-ut 10s\n"
    text = "".join(line.format(number) for number in (1, 2, 3))
    assert db_slots.parse(text) == tuple((f"10.0.0.{number}", 5432) for number in (1, 2, 3))


def primary() -> str:
    """Return address:port of the member that the proxy leads to, "" for none."""
    return db_proxy.parse_primary(local_http.get(db_proxy.STATUS_PORT, "/;csv").decode())


@pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin"), reason="needs haproxy")
class TestHAProxy:
    """A process of HAProxy's own, database members on 127.0.0.x, and a systemd that is none."""

    @pytest.fixture(autouse=True)
    def machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.primary = 1
        self.reloads = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.ca = self._make_ca(tmp_path)
        for name in ("CONFIG", "HEALTH_CA", "LOADED", "UNIT"):
            monkeypatch.setattr(db_proxy, name, tmp_path / getattr(db_proxy, name).name)
        monkeypatch.setattr(db_slots, "SOCKET", tmp_path / "admin.sock")
        for name in ("PORT", "STATUS_PORT"):
            monkeypatch.setattr(db_proxy, name, free_port())
        self.log = tmp_path / "log"
        run = db_proxy.commands.run
        monkeypatch.setattr(
            "charmed_maas.commands.run",
            lambda argv, **more: (
                run(argv, **more) if argv[0] == db_proxy.HAPROXY else self._systemctl(argv)
            ),
        )
        with self._listener(self._serve) as self.port, self._listener(self._health) as self.health:
            yield
            if self.process:
                self.process.terminate()
                self.process.wait()

    def _make_ca(self, folder: Path) -> str:
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key, certificate = folder / "key.pem", folder / "certificate.pem"
        request = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x"]
        argv = [*request, "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(argv, check=True, capture_output=True)
        self.tls.load_cert_chain(certificate, key)
        return certificate.read_text()

    def _systemctl(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        if "is-active" in argv:
            return subprocess.CompletedProcess(argv, 0 if self.process else 3)
        if "start" in argv:
            words = [db_proxy.HAPROXY, "-Ws", "-f", str(db_proxy.CONFIG)]
            with self.log.open("wb") as log:
                self.process = process = subprocess.Popen(words, stdout=log, stderr=log)
            wait_until(lambda: process.poll() is not None or self._answers())
            assert process.poll() is None, self.log.read_text()
        if "reload" in argv:
            assert self.process
            self.reloads += 1
            self.process.send_signal(signal.SIGUSR2)
        if "start" in argv or "reload" in argv:
            db_proxy.LOADED.write_text(db_proxy.CONFIG.read_text())
        return subprocess.CompletedProcess(argv, 0, stdout="enabled\n")

    def _answers(self) -> bool:
        with contextlib.suppress(db_slots.SlotsError):
            return bool(db_slots._ask("show version"))
        return False

    @contextlib.contextmanager
    def _listener(self, serve: Callable[[socket.socket], None]) -> Iterator[int]:
        """Serve connections to all members, each on a thread of its own."""
        with socket.create_server(("0.0.0.0", 0), backlog=64) as server:

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        link = server.accept()[0]
                        threading.Thread(target=guarded, args=(link,), daemon=True).start()

            def guarded(link: socket.socket) -> None:
                with contextlib.suppress(OSError), link:
                    serve(link)

            threading.Thread(target=accept, daemon=True).start()
            yield server.getsockname()[1]
            server.shutdown(socket.SHUT_RDWR)

    def _serve(self, link: socket.socket) -> None:
        """Tell who this is for each line that is sent."""
        while link.recv(64):
            link.sendall(link.getsockname()[0].encode())

    def _health(self, link: socket.socket) -> None:
        is_primary = link.getsockname()[0] == f"127.0.0.{self.primary}"
        with self.tls.wrap_socket(link, server_side=True) as secure:
            secure.recv(4096)
            secure.sendall(f"HTTP/1.0 {'200 OK' if is_primary else '503 No'}\r\n\r\n".encode())

    def _ensure(self, *numbers: int, is_checked: bool = True) -> bool:
        ends = tuple((f"127.0.0.{number}", self.port) for number in numbers)
        health = (self.health, self.ca) if is_checked else (0, "")
        return db_proxy.ensure(db_proxy.Members(ends, *health))

    def _start(self, *numbers: int) -> None:
        self._ensure(*numbers)
        wait_until(lambda: primary() == f"127.0.0.{self.primary}:{self.port}")

    def _holds(self) -> bool:
        """Tell whether the process has what the file says."""
        with contextlib.suppress(db_slots.SlotsError):
            return not db_slots._differing(db_slots.parse(db_proxy.CONFIG.read_text()))
        return False

    def _worker(self) -> str:
        lines = db_slots._ask("show info").splitlines()
        return next(line for line in lines if line.startswith("Pid: "))

    def test_a_connection_goes_on_while_other_members_come_and_go(self):
        self._start(1, 2, 3)
        worker = self._worker()
        with client() as link:
            for numbers in ((1, 2, 3, 4), (1, 4, 5), (1,), (5, 1), (3, 2, 1)):
                assert self._ensure(*numbers)
                assert self._holds()
                assert db_proxy.LOADED.read_text() == db_proxy.CONFIG.read_text()
                assert not self._ensure(*numbers)
                assert whom(link) == "127.0.0.1"
                # What joined is not taken for up, or a new connection would wait.
                assert primary() == f"127.0.0.1:{self.port}"
            self.primary = 2
            wait_until(lambda: primary() == f"127.0.0.2:{self.port}")
            assert whom(link) == ""
        with client() as link:
            assert whom(link) == "127.0.0.2"
            self._ensure(1, 3)
            assert whom(link) == ""
        assert (self.reloads, self._worker()) == (0, worker)

    def test_the_primary_may_be_one_that_joined(self):
        self._start(1, 2)
        self.primary = 3
        self._ensure(1, 2, 3)
        wait_until(lambda: primary() == f"127.0.0.3:{self.port}")
        with client() as link:
            assert whom(link) == "127.0.0.3"

    def test_a_replica_that_joins_while_there_is_no_primary_gets_no_connection(self):
        self._start(1, 2)
        self.primary = 0
        wait_until(lambda: primary() == "")
        self._ensure(1, 2, 3)
        with client() as link:
            assert whom(link) == ""

    def test_members_that_answer_are_told_from_those_whose_health_cannot_be_asked(
        self, tmp_path: Path
    ):
        self._start(1, 2)
        assert db_proxy.no_primary() == ""
        self.primary = 0
        wait_until(lambda: db_proxy.no_primary() == "no member of it is primary now")
        other = tmp_path / "other"
        other.mkdir()
        before, self.primary = self.tls, 1
        self._make_ca(other)
        try:
            words = (
                rf"no member of it is primary now; health of 127\.0\.0\.1:{self.port}: Layer6 .+;"
                rf" health of 127\.0\.0\.2:{self.port}: Layer6 .+"
            )
            wait_until(lambda: bool(re.fullmatch(words, db_proxy.no_primary())))
        finally:
            self.tls = before

    def test_a_replica_that_is_the_only_member_gets_no_connection_before_its_check(self):
        self._start(1)
        assert self._ensure(2)
        with client() as link:
            assert whom(link) == ""
        self.primary = 3
        assert self._ensure(3)
        wait_until(lambda: primary() == f"127.0.0.3:{self.port}")
        with client() as link:
            assert whom(link) == "127.0.0.3"
        assert self.reloads == 0

    def test_slots_that_somebody_moved_by_hand_come_back(self):
        self._start(1, 2)
        db_slots._ask("set server primary/member-2 state maint")
        assert self._ensure(1, 2)
        assert self._holds()
        assert not self._ensure(1, 2)
        assert self.reloads == 0

    def test_a_reload_whose_process_does_not_start_is_made_up_for(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        self._start(1, 2)
        with socket.create_server(("127.0.0.1", 0)) as taken, client() as link:
            monkeypatch.setattr(db_proxy, "STATUS_PORT", taken.getsockname()[1])
            self._ensure(1, 3)
            wait_until(lambda: "cannot bind" in self.log.read_text())
            wait_until(self._answers)
            assert db_proxy.LOADED.read_text() == db_proxy.CONFIG.read_text()
            assert not self._holds()
            assert self._ensure(1, 3)
            assert self._holds()
            assert whom(link) == "127.0.0.1"
        assert self.reloads == 1

    @pytest.mark.parametrize("later", [(1, 2, 3), (1, 4), (1, 2, 5)])
    def test_a_hook_that_is_killed_anywhere_is_made_up_for(
        self, monkeypatch: pytest.MonkeyPatch, later: tuple[int, ...]
    ):
        self._start(1, 2, 3)
        ask = db_slots._ask
        left = number = 0

        def killed(command: str) -> str:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            return ask(command)

        with client() as link:
            for number in range(100):
                self._ensure(1, 2, 3)
                left = number
                monkeypatch.setattr(db_slots, "_ask", killed)
                with contextlib.suppress(KeyboardInterrupt):
                    self._ensure(1, 4)
                monkeypatch.setattr(db_slots, "_ask", ask)
                self._ensure(*later)
                assert self._holds()
                assert whom(link) == "127.0.0.1"
                if left:
                    break
            # Two looks, and the commands for three slots.
            assert number > 8
        assert self.reloads == 0

    def test_nothing_goes_to_a_slot_before_it_has_its_address(
        self, monkeypatch: pytest.MonkeyPatch
    ):
        """HAProxy 3.0 answers before it has the address."""
        self._start(1, 2)
        ask = db_slots._ask
        late: list[str] = []
        looks = 0

        def asked(command: str) -> str:
            nonlocal looks
            if " addr " in command:
                late.append(command)
                return "IP changed\n"
            if command.startswith("show"):
                looks += 1
                if late and looks > 3:
                    ask(late.pop())
            assert not (late and command.endswith((" drain", " ready")))
            return ask(command)

        monkeypatch.setattr(db_slots, "_ask", asked)
        assert self._ensure(1, 2, 3)
        assert self._holds()
        assert self.reloads == 0

    def test_what_haproxy_refuses_is_a_reload(self, monkeypatch: pytest.MonkeyPatch):
        self._start(1, 2)
        worker = self._worker()
        ask = db_slots._ask

        def refused(command: str) -> str:
            return "Permission denied\n" if " ready" in command else ask(command)

        # A new process on a busy machine may take longer to answer than the refused one is given.
        with monkeypatch.context() as refusing:
            refusing.setattr(db_slots, "TIMEOUT_S", 0.2)
            refusing.setattr(db_slots, "_ask", refused)
            assert self._ensure(1, 2, 3)
        assert self.reloads == 1
        wait_until(lambda: self._answers() and self._worker() != worker)
        assert self._holds()

    def test_more_members_than_slots_are_a_reload(self):
        self._start(1, 2)
        assert self._ensure(*range(1, db_slots.NUMBER + 2))
        assert self.reloads == 1
        wait_until(self._holds)
        # Nor does the file lose slots, for that would be another.
        assert self._ensure(1, 2)
        assert self._holds()
        assert self.reloads == 1

    def test_the_one_endpoint_moves_without_a_reload(self):
        self._ensure(1, is_checked=False)
        with client() as link:
            assert whom(link) == "127.0.0.1"
            assert self._ensure(2, is_checked=False)
            # At once: before what is alone no check is waited for.
            assert primary() == f"127.0.0.2:{self.port}"
            assert whom(link) == ""
        with client() as link:
            assert whom(link) == "127.0.0.2"
        assert self.reloads == 0


def free_port() -> int:
    """Return a port that nobody has, below those that the kernel itself gives."""
    while True:
        port = random.randrange(10000, 30000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def client() -> Iterator[socket.socket]:
    """Connect as MAAS does."""
    with socket.create_connection(("127.0.0.1", db_proxy.PORT), timeout=10) as link:
        yield link


def whom(link: socket.socket) -> str:
    """Ask who is at the other end, "" when nobody is any more."""
    try:
        link.sendall(b"?")
        return link.recv(64).decode()
    except (ConnectionError, BrokenPipeError):
        return ""
