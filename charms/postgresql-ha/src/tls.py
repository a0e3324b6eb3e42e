# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.

"""The cluster's own certificate authority, and this unit's certificate from it.

Each unit issues its own: all of them may read the authority's key in the application's secret.
One certificate serves etcd (to peers and clients, and as a client), Patroni's REST API and
PostgreSQL, so it is good for both ends of a connection.
"""

import datetime
import ipaddress
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import cluster
import paths
from charmed_maas import files

DAY = datetime.timedelta(days=1)
CA_LIFE = 7300 * DAY
LIFE = 1825 * DAY
RENEW_BEFORE = 365 * DAY


def new_ca(name: str) -> tuple[str, str]:
    """Return certificate and key of a new authority, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), CA_LIFE)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    return _pem(certificate), _key_pem(key)


def issue(keys: cluster.Keys, me: cluster.Unit) -> tuple[str, str]:
    """Return certificate and key for a unit, in PEM."""
    ca = x509.load_pem_x509_certificate(keys.ca_cert.encode())
    loaded = serialization.load_pem_private_key(keys.ca_key.encode(), password=None)
    ca_key = cast("ec.EllipticCurvePrivateKey", loaded)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, me.member_name)])
    builder = _builder(subject, ca.subject, key.public_key(), LIFE)
    builder = builder.add_extension(_alternative_names(me), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    both_ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(both_ends), critical=False)
    return _pem(builder.sign(ca_key, hashes.SHA256())), _key_pem(key)


def is_valid(certificate: str, key: str, ca_cert: str, me: cluster.Unit) -> bool:
    """Tell whether a certificate is the authority's, for this address and key, and lasts."""
    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(ca_cert.encode()))
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        own_key = serialization.load_pem_private_key(key.encode(), password=None).public_key()
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    now = datetime.datetime.now(datetime.UTC)
    remaining = found.not_valid_after_utc - now
    return (
        own_key == found.public_key()
        and names == _alternative_names(me)
        and remaining > RENEW_BEFORE
        # Not so where the clock was ahead by more than that when it was issued.
        and found.not_valid_before_utc <= now
    )


def ensure(keys: cluster.Keys, me: cluster.Unit) -> bool:
    """Have the authority's certificate, and a certificate for this unit's present address.

    Returns whether any file changed.
    """
    certificate, key = _read(paths.CERTIFICATE), _read(paths.KEY)
    if not is_valid(certificate, key, keys.ca_cert, me):
        certificate, key = issue(keys, me)
    changed = [
        files.ensure_file(paths.CA, keys.ca_cert),
        files.ensure_file(paths.ETCD_KEY, key, mode=0o600, owner="etcd"),
        files.ensure_file(paths.POSTGRES_KEY, key, mode=0o600, owner="postgres"),
        files.ensure_file(paths.CERTIFICATE, certificate),
        # Last: a hook killed before this finds key and certificate at odds and issues anew.
        files.ensure_file(paths.KEY, key, mode=0o600),
    ]
    return any(changed)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, life: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # The members' clocks may differ a little.
        .not_valid_before(now - DAY)
        .not_valid_after(now + life)
        # Python 3.13 and later refuse chains without the two identifiers (RFC 5280 4.2.1.1).
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _alternative_names(me: cluster.Unit) -> x509.SubjectAlternativeName:
    loopbacks = ("127.0.0.1", "::1")
    hosts = [ipaddress.ip_address(one) for one in (me.address, *loopbacks)]
    return x509.SubjectAlternativeName(
        [x509.DNSName(me.member_name), *(x509.IPAddress(one) for one in hosts)]
    )


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
