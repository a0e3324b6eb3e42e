# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""The login of one run: a certificate, a password, and the client's files that hold them.

All are made anew at every start, for the user who starts it alone, and lie in the stage's state.
"""

import datetime
import ipaddress
import os
import ssl
import tempfile
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from charmed_lab.client import CONTROLLER

from .controller_calls import USER

ADDRESS = ipaddress.IPv4Address("127.0.0.1")
VALID = datetime.timedelta(days=30)


def certificate() -> tuple[str, str]:
    """Return a certificate that vouches for itself, for the loopback address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the lab's controller")])
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # digital_signature, the first, and key_cert_sign, the sixth, are what it is for.
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ADDRESS)]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return made.public_bytes(pem).decode(), key.private_bytes(pem, form, plain).decode()


def context(cert: str, key: str) -> ssl.SSLContext:
    """Return what a server needs for TLS; the key is on disk for this moment only."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(key + cert)
        file.flush()
        made.load_cert_chain(file.name)
    return made


def write_files(
    directory: Path, port: int, uuid: str, version: str, ca: str, password: str
) -> None:
    """Write what a Juju client keeps in JUJU_DATA; the last file says that all are there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    controller = {
        "uuid": uuid,
        "api-endpoints": [f"{ADDRESS}:{port}"],
        "ca-cert": ca,
        "cloud": CONTROLLER,
        "agent-version": version,
    }
    account = {"user": USER, "password": password, "last-known-access": "superuser"}
    # There are no macaroons, but libjuju wants their file. It asks for a model not listed here.
    (directory / "cookies").mkdir(exist_ok=True)
    _write(directory / "cookies" / f"{CONTROLLER}.json", [])
    _write(directory / "models.yaml", {"controllers": {CONTROLLER: {"models": {}}}})
    _write(directory / "accounts.yaml", {"controllers": {CONTROLLER: account}})
    listed = {"controllers": {CONTROLLER: controller}, "current-controller": CONTROLLER}
    _write(directory / "controllers.yaml", listed)


def _write(path: Path, content: object) -> None:
    """Put a whole file in the place of another; nobody else may ever read it."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        yaml.safe_dump(content, file)
    fresh.replace(path)
